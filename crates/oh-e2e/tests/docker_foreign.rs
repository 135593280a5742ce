//! What somebody else made on the same engine is never touched, not even when it looks like ours.

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use oh_e2e::environment;
use oh_e2e::oh::{Oh, Ran, run_id};
use testcontainers::runners::AsyncRunner;
use testcontainers::{GenericImage, ImageExt};

fn main() {
    let trial = Trial::ignorable_test("a_container_of_somebody_else_is_left_alone", || {
        if !environment::backends().iter().any(|backend| backend == "docker") {
            return Ok(Completion::ignored_with("docker is not among the backends to test"));
        }
        left_alone().map(|()| Completion::Completed)
    });
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit();
}

fn left_alone() -> Result<(), Failed> {
    let run = run_id("foreign");
    let name = format!("{run}-box");
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // The run's label without the one that says it is a sandbox, and the name a sandbox would have.
    let container = GenericImage::new("oh-test", "1")
        .with_cmd(["sleep", "600"])
        .with_container_name(&name)
        .with_labels([("oh.run", run.as_str()), ("oh.owner", "somebody@else")]);
    let container = tokio.block_on(container.start())?;

    let listed = oh(&["ls", "-q", "--run-id", &run])?;
    check(listed.code == Some(0) && listed.stdout.is_empty(), "it is listed", &listed)?;
    let removed = oh(&["rm", "--run-id", &run])?;
    check(removed.stdout.is_empty(), "it is removed with a run", &removed)?;
    let removed = oh(&["rm", &name])?;
    check(removed.code == Some(5), "it is removed by name", &removed)?;
    let expired = oh(&["rm", "--expired"])?;
    check(!expired.stdout.contains(&name), "it is removed as expired", &expired)?;
    let taken = oh(&["run", "--name", &name, "--image", "oh-test:1", "--", "true"])?;
    check(taken.code == Some(125) && taken.stderr.contains(&name), "its name is taken over", &taken)?;
    check(tokio.block_on(container.is_running())?, "it does not run any more", &taken)?;
    tokio.block_on(container.rm())?;
    Ok(())
}

fn oh(arguments: &[&str]) -> Result<Ran, Failed> {
    Ok(Oh::new("docker")?.args(arguments.iter().copied()).run()?)
}

fn check(holds: bool, otherwise: &str, ran: &Ran) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(format!("{otherwise}: {ran:?}").into()) }
}
