//! The end of a sandbox, however it comes.

use std::time::Duration;

use oh_runtime::{
    CommandSpec, DeleteReport, ErrorKind, Outcome, RunId, Sandbox, SandboxExt, SandboxSpec, SandboxState,
    Selector,
};

use crate::case::{Case, case};
use crate::context::Context;
use crate::failure::{CaseResult, check, empty, equal, refused};
use crate::probe::{SOON, script, soon, until, until_within, within};

/// What a sandbox says that is not there any more.
const GONE: &[ErrorKind] = &[ErrorKind::Deleted, ErrorKind::NotFound];
/// What a sandbox says that ended by itself; whether it is still listed is the backend's affair.
const ENDED: &[ErrorKind] = &[ErrorKind::Ended, ErrorKind::Deleted, ErrorKind::NotFound];
/// Shorter is less than a sandbox may need to start on a busy machine.
pub(super) const SHORT: Duration = Duration::from_secs(15);

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(closing_twice_is_fine),
        case!(a_closed_sandbox_is_gone),
        case!(removal_during_a_command_is_no_exit_code),
        case!(removal_during_a_transfer_is_an_error),
        case!(a_replaced_sandbox_is_never_used),
        case!(removing_the_old_leaves_the_new),
        case!(removing_a_run_touches_no_other),
        case!(it_ends_by_itself_when_its_time_is_over),
        case!(the_end_of_its_time_is_no_exit_code),
        case!(it_ends_when_nobody_has_been_connected_for_its_lease),
        case!(only_own_and_expired_sandboxes_are_reaped),
    ]
}

async fn closing_twice_is_fine(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    equal("first", &sandbox.close().await?, &DeleteReport::Deleted)?;
    equal("second", &sandbox.close().await?, &DeleteReport::AlreadyGone)?;
    let removed = cx.another_runtime().await?.remove(sandbox.incarnation()).await?;
    equal("by another", &removed, &DeleteReport::AlreadyGone)
}

async fn a_closed_sandbox_is_gone(cx: &Context) -> CaseResult {
    let (runtime, sandbox) = (cx.runtime()?, cx.fresh().await?);
    let name = sandbox.incarnation().name.clone();
    sandbox.close().await?;
    let error = refused(soon("a command", sandbox.run(CommandSpec::new(["true"]))).await?, GONE)?;
    equal("outcome", &error.outcome(), &Outcome::NotStarted)?;
    refused(soon("a read", sandbox.read("/etc/hostname".as_ref())).await?, GONE)?;
    refused(runtime.attach(&name).await, &[ErrorKind::NotFound])?;
    empty("listed", &runtime.list(&Selector::name(name)).await?)
}

async fn removal_during_a_command_is_no_exit_code(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    let mut process = sandbox.start(CommandSpec::shell("trap '' TERM; echo begun; sleep 600")).await?;
    let collected = tokio::spawn({
        let sandbox = std::sync::Arc::clone(&sandbox);
        async move { sandbox.run(CommandSpec::new(["sleep", "600"])).await }
    });
    script(&*sandbox, "true").await?;
    cx.another_runtime().await?.remove(sandbox.incarnation()).await?;
    for error in [
        refused(soon("the command", process.wait()).await?, &[ErrorKind::Deleted])?,
        refused(soon("the collected command", collected).await??, &[ErrorKind::Deleted])?,
    ] {
        equal("outcome", &error.outcome(), &Outcome::Unknown)?;
    }
    Ok(())
}

async fn removal_during_a_transfer_is_an_error(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    script(&*sandbox, "head -c 200000000 /dev/zero >/testbed/large").await?;
    let mut stream = sandbox.read_file("/testbed/large".as_ref(), 0, None).await?;
    sandbox.close().await?;
    let reading = async {
        let mut sink = tokio::io::sink();
        tokio::io::copy(&mut stream, &mut sink).await
    };
    let copied = soon("the read", reading).await?;
    check(copied.is_err(), format!("{copied:?} bytes are taken for the whole file"))
}

async fn a_replaced_sandbox_is_never_used(cx: &Context) -> CaseResult {
    let (runtime, spec) = (cx.runtime()?, cx.spec()?);
    let old = runtime.create(&spec).await?;
    cx.another_runtime().await?.remove(old.incarnation()).await?;
    let new = runtime.create(&spec).await?;
    check(new.incarnation() != old.incarnation(), "two sandboxes are one incarnation")?;
    let mark = CommandSpec::new(["touch", "/testbed/mark"]);
    let error = refused(soon("a command", old.run(mark)).await?, &[ErrorKind::Replaced, ErrorKind::Deleted])?;
    equal("outcome", &error.outcome(), &Outcome::NotStarted)?;
    equal("files of the new one", &new.list("/testbed".as_ref()).await?.len(), &0)
}

async fn removing_the_old_leaves_the_new(cx: &Context) -> CaseResult {
    let (runtime, spec) = (cx.runtime()?, cx.spec()?);
    let old = runtime.create(&spec).await?;
    old.close().await?;
    let new = runtime.create(&spec).await?;
    equal("second removal", &runtime.remove(old.incarnation()).await?, &DeleteReport::AlreadyGone)?;
    equal("closing again", &old.close().await?, &DeleteReport::AlreadyGone)?;
    script(&*new, "true").await.map(drop)
}

async fn removing_a_run_touches_no_other(cx: &Context) -> CaseResult {
    let runtime = cx.runtime()?;
    let mut sandboxes = Vec::new();
    for run in ["one", "other"] {
        let run = RunId::new(format!("{}-{run}", cx.run()))?;
        let sandbox = runtime.create(&SandboxSpec { run: Some(run.clone()), ..cx.spec()? }).await?;
        sandboxes.push((run, sandbox));
    }
    let of_run = |run: &RunId| Selector { run: Some(run.clone()), ..Selector::default() };
    for info in runtime.list(&of_run(&sandboxes[0].0)).await? {
        runtime.remove(&info.incarnation).await?;
    }
    empty("left of the one", &runtime.list(&of_run(&sandboxes[0].0)).await?)?;
    equal("left of the other", &runtime.list(&of_run(&sandboxes[1].0)).await?.len(), &1)?;
    script(&*sandboxes[1].1, "true").await.map(drop)
}

/// Waits until a sandbox is not running any more.
pub(super) async fn until_ended(cx: &Context, sandbox: &dyn Sandbox) -> CaseResult {
    let which = Selector::name(sandbox.incarnation().name.clone());
    let runtime = cx.runtime()?;
    until_within(SHORT + SOON, "the sandbox to end", || async {
        Ok(runtime.list(&which).await?.iter().all(|info| info.state == SandboxState::Exited))
    })
    .await
}

async fn it_ends_by_itself_when_its_time_is_over(cx: &Context) -> CaseResult {
    let sandbox = cx.runtime()?.create(&SandboxSpec { ttl: SHORT, ..cx.spec()? }).await?;
    until_ended(cx, &*sandbox).await?;
    let error = refused(soon("a command", sandbox.run(CommandSpec::new(["true"]))).await?, ENDED)?;
    equal("outcome", &error.outcome(), &Outcome::NotStarted)?;
    refused(cx.another_runtime().await?.attach(&sandbox.incarnation().name).await, ENDED)?;
    sandbox.close().await.map(drop)?;
    empty("listed", &cx.runtime()?.list(&Selector::name(sandbox.incarnation().name.clone())).await?)
}

async fn the_end_of_its_time_is_no_exit_code(cx: &Context) -> CaseResult {
    let sandbox = cx.runtime()?.create(&SandboxSpec { ttl: SHORT, ..cx.spec()? }).await?;
    // Whatever ends the command in the sandbox's last moments, it is not how the command ended by itself.
    let mut process = sandbox.start(CommandSpec::shell("trap 'exit 0' TERM; sleep 600 & wait")).await?;
    let error = refused(within(SHORT + SOON, "the command", process.wait()).await?, ENDED)?;
    equal("outcome", &error.outcome(), &Outcome::Unknown)
}

async fn it_ends_when_nobody_has_been_connected_for_its_lease(cx: &Context) -> CaseResult {
    const LEASE: Duration = Duration::from_secs(4);
    let leased = || -> CaseResult<_> { Ok(SandboxSpec { lease: Some(LEASE), ..cx.spec()? }) };
    let used = cx.runtime()?.create(&leased()?).await?;
    let (left, name) = {
        let left = cx.another_runtime().await?.create(&leased()?).await?;
        // What runs is no reason to stay: nobody is there to hear of it.
        left.start(CommandSpec::new(["sleep", "600"])).await?;
        let name = left.incarnation().name.clone();
        (left.incarnation().clone(), name)
    };
    until_within(SHORT + SOON, "the abandoned sandbox to end", || async {
        let listed = cx.runtime()?.list(&Selector::name(name.clone())).await?;
        Ok(listed.iter().all(|info| info.state == SandboxState::Exited))
    })
    .await?;
    cx.runtime()?.remove(&left).await?;
    // Whoever is connected need not do anything for it.
    tokio::time::sleep(LEASE * 2).await;
    check(used.run(CommandSpec::new(["true"])).await?.finished.end.success(), "one in use has ended")
}

async fn only_own_and_expired_sandboxes_are_reaped(cx: &Context) -> CaseResult {
    // An owner of this case alone: other cases have sandboxes whose time is over, too.
    let owner = format!("{} reaping", cx.run());
    let runtime = cx.runtime_of(&owner).await?;
    let make = async |owner: &str, ttl| -> CaseResult<_> {
        let spec = SandboxSpec { owner: owner.to_owned(), ttl, ..cx.spec()? };
        Ok(runtime.create(&spec).await?)
    };
    let expired = make(&owner, SHORT).await?;
    let anothers = make("somebody@elsewhere", SHORT).await?;
    let living = make(&owner, Duration::from_secs(600)).await?;
    until_ended(cx, &*expired).await?;
    until_ended(cx, &*anothers).await?;
    let which = Selector::name(expired.incarnation().name.clone());
    // The label is in whole seconds, so the time is over a little later.
    until("the expired sandbox to be reaped", || async {
        for name in runtime.reap_expired().await? {
            equal("reaped", &name, &expired.incarnation().name)?;
        }
        Ok(runtime.list(&which).await?.is_empty())
    })
    .await?;
    for kept in [&anothers, &living] {
        let name = kept.incarnation().name.clone();
        equal("listed", &runtime.list(&Selector::name(name)).await?.len(), &1)?;
    }
    script(&*living, "true").await.map(drop)
}
