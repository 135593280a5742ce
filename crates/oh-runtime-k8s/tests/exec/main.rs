//! Executing over both versions of the protocol of `pods/exec`, against a scripted API server.
//!
//! Other clients pass first, kube's own and kubectl: so the script is right, and what ours does with it counts.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod kubectl;
mod ours;
mod peers;
mod server;

use std::future::Future;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

type Outcome = Result<Completion, Failed>;

fn main() {
    let trials = vec![
        trial("kube_rs_speaks_v5", peers::kube_rs_speaks_v5),
        trial("kube_rs_speaks_v4", peers::kube_rs_speaks_v4),
        trial("kube_rs_hears_how_it_ended", peers::kube_rs_hears_how_it_ended),
        trial("kube_rs_refuses_what_it_does_not_know", peers::kube_rs_refuses_what_it_does_not_know),
        trial("kubectl_speaks_v5", kubectl::speaks_v5),
        trial("v5_is_preferred", ours::v5_is_preferred),
        trial("a_stream_is_one_request", ours::a_stream_is_one_request),
        trial("v5_ends_input_alone", ours::v5_ends_input_alone),
        trial("v4_is_taken", ours::v4_is_taken),
        trial("bytes_pass_both_ways", ours::bytes_pass_both_ways),
        trial("a_failed_bridge_is_a_lost_stream", ours::a_failed_bridge_is_a_lost_stream),
        trial("an_end_without_status_is_a_lost_stream", ours::an_end_without_status_is_a_lost_stream),
        trial("a_server_without_a_protocol_is_refused", ours::a_server_without_a_protocol_is_refused),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// A test on a runtime of its own. It fails by panicking.
fn trial<F>(name: &'static str, test: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = Outcome>,
{
    Trial::ignorable_test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(test())
    })
}
