//! What goes wrong in a cluster is named for what it is, and an evaluation in the middle of it tells nothing false.
//! One at a time: they disturb everything else that runs there.

#[path = "faults/asking.rs"]
mod asking;
#[path = "faults/evaluating.rs"]
mod evaluating;
#[path = "faults/world.rs"]
mod world;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use oh_e2e::environment;

type Fault = fn() -> Result<(), Failed>;

/// What is checked, in the order it runs.
const FAULTS: &[(&str, Fault, Needs)] = &[
    ("a_sandbox_that_fits_nowhere_is_unschedulable", asking::fits_nowhere, Needs::Cluster),
    ("a_quota_is_named", asking::over_the_quota, Needs::Cluster),
    ("a_missing_namespace_is_named", asking::no_namespace, Needs::Cluster),
    ("a_forbidden_verb_is_named", asking::forbidden, Needs::Cluster),
    ("an_image_that_cannot_be_pulled_is_named", asking::no_image, Needs::Cluster),
    ("a_server_that_cannot_be_reached_is_named", asking::no_server, Needs::Cluster),
    ("a_bad_kubeconfig_is_named", asking::no_kubeconfig, Needs::Cluster),
    ("a_pod_deleted_during_a_command_is_deleted", asking::deleted_during_a_command, Needs::Cluster),
    ("a_pod_deleted_during_an_evaluation_is_an_error", evaluating::pod_deleted, Needs::Cluster),
    ("a_node_that_stops_for_a_moment_changes_nothing", evaluating::node_paused_shortly, Needs::Nodes),
    ("a_killed_api_server_is_no_wrong_outcome", evaluating::server_killed, Needs::Nodes),
    ("a_node_that_stops_is_a_lost_node", evaluating::node_stopped, Needs::Nodes),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Any cluster.
    Cluster,
    /// One whose nodes are containers of this machine.
    Nodes,
}

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trials = FAULTS.iter().map(|&(name, fault, needs)| {
        Trial::ignorable_test(name, move || {
            if !environment::backends().iter().any(|backend| backend == "k8s") {
                return Ok(Completion::ignored_with("k8s is not among the backends to test"));
            }
            if needs == Needs::Nodes
                && let Err(why) = world::worker()
            {
                return Ok(Completion::ignored_with(format!(
                    "the nodes cannot be disturbed: {}",
                    why.message().unwrap_or_default()
                )));
            }
            fault().map(|()| Completion::Completed)
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
