//! The examples of harnesses, run on the backends under test as their `main` runs them.

#[path = "../../../examples/agent_loop.rs"]
#[expect(dead_code, unreachable_pub, reason = "a program of its own, whose `main` is not used here")]
mod agent_loop;
#[path = "../../../examples/batch.rs"]
#[expect(dead_code, unreachable_pub, reason = "a program of its own, whose `main` is not used here")]
mod batch;

use oh_e2e::environment;
use oh_runtime::oh_config::Config;
use oh_runtime::{Runtime, SandboxName, Selector};

type Fallible<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Each backend under test, with an owner of this run and test.
async fn runtimes(test: &str) -> Fallible<Vec<(String, Runtime)>> {
    let mut runtimes = Vec::new();
    for backend in environment::backends() {
        let owner = format!("{test}-{}", std::process::id());
        let config = Config::builder()
            .set("runtime", environment::BACKENDS, Some(backend.as_str()))
            .set("owner", environment::BACKENDS, Some(owner.as_str()))
            .set("resources.cpu", environment::BACKENDS, Some("0.05"))
            .set("resources.memory", environment::BACKENDS, Some("1Gi"));
        let config = config.load()?;
        runtimes.push((backend, Runtime::open(&config).await?));
    }
    Ok(runtimes)
}

async fn nothing_is_left(runtime: &Runtime) -> Fallible {
    let mine = Selector { owner: Some(runtime.owner().to_owned()), ..Selector::default() };
    assert!(runtime.list(&mine).await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_mends_the_example_repository() -> Fallible {
    for (backend, runtime) in runtimes("agent-loop").await? {
        let name = SandboxName::new(format!("agent-loop-{}", std::process::id()))?;
        let patch = agent_loop::mend(&runtime, name).await?;
        assert!(
            patch.contains("+        if merged and interval.start <= merged[-1].end + 1:"),
            "{backend}: {patch}"
        );
        nothing_is_left(&runtime).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_runs_in_many_sandboxes() -> Fallible {
    for (backend, runtime) in runtimes("batch").await? {
        let outcomes = batch::batch(&runtime, &format!("batch-{}", std::process::id()), 6).await;
        let expected: Vec<Result<String, String>> = (0..6)
            .map(|number: usize| Ok((number * 7).to_string().len() + 1).map(|size| size.to_string()))
            .collect();
        assert_eq!(outcomes, expected, "{backend}");
        nothing_is_left(&runtime).await?;
    }
    Ok(())
}
