//! Many at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::{join_all, try_join_all};
use oh_runtime::{CommandSpec, End, SandboxExt};

use crate::case::{Case, case};
use crate::context::Context;
use crate::data::noise;
use crate::failure::{CaseResult, check, equal};
use crate::probe::{mark, script, soon, text, until_marked};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(fifty_commands_at_once_get_their_own_ends),
        case!(fifty_commands_really_run_at_once),
        case!(every_command_has_its_own_id),
        case!(two_clients_work_in_one_sandbox),
        case!(commands_run_beside_transfers),
        case!(three_sandboxes_are_made_at_once),
    ]
}

async fn fifty_commands_at_once_get_their_own_ends(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let run = |number: i32| {
        let sandbox = Arc::clone(&sandbox);
        async move {
            let spec =
                CommandSpec::shell(format!("echo out {number}; cat; echo err {number} >&2; exit {number}"));
            (number, sandbox.run(spec).await)
        }
    };
    for (number, result) in soon("all of them", join_all((0..50).map(run))).await? {
        let output = result?;
        equal("end", &output.finished.end, &End::Exited(number))?;
        equal("standard output", &text(&output), &format!("out {number}\n"))?;
        equal("standard error", &output.stderr.bytes, &format!("err {number}\n").into_bytes())?;
    }
    Ok(())
}

async fn fifty_commands_really_run_at_once(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mark = mark();
    let mut processes =
        try_join_all((0..50).map(|_| sandbox.start(CommandSpec::new(["sleep", &mark])))).await?;
    until_marked(&*sandbox, &mark, 50).await?;
    for process in &mut processes {
        process.control.cancel().await?;
    }
    for process in &mut processes {
        equal("end", &soon("a command", process.wait()).await??.end, &End::Cancelled)?;
    }
    until_marked(&*sandbox, &mark, 0).await
}

async fn every_command_has_its_own_id(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let boot = sandbox.connect(std::time::Duration::from_secs(10)).await?.boot;
    let mut processes = try_join_all((0..20).map(|_| sandbox.start(CommandSpec::new(["true"])))).await?;
    let numbers: BTreeSet<u64> = processes.iter().map(|process| process.id.sequence).collect();
    equal("different numbers", &numbers.len(), &20)?;
    check(processes.iter().all(|process| process.id.boot == boot), "a command names another boot")?;
    for process in &mut processes {
        equal("end", &process.wait().await?.end, &End::Exited(0))?;
    }
    let next = sandbox.start(CommandSpec::new(["true"])).await?;
    check(numbers.iter().all(|number| *number < next.id.sequence), "a later command has an earlier number")
}

async fn two_clients_work_in_one_sandbox(cx: &Context) -> CaseResult {
    let (one, folder) = cx.place().await?;
    let two = cx.another_runtime().await?.attach(&one.incarnation().name).await?;
    let deadline = std::time::Duration::from_secs(10);
    equal("agent", &two.connect(deadline).await?, &one.connect(deadline).await?)?;
    // Each waits for the other's file: they run at the same time, and see the same files.
    let meet = |own: &str, other: &str| {
        CommandSpec::shell(format!("touch {own}; until [ -e {other} ]; do sleep 0.02; done; exit 3"))
            .cwd(&folder)
    };
    let both = async { tokio::join!(one.run(meet("a", "b")), two.run(meet("b", "a"))) };
    let (first, second) = soon("both commands", both).await?;
    equal("end of one", &first?.finished.end, &End::Exited(3))?;
    equal("end of the other", &second?.finished.end, &End::Exited(3))?;
    drop(two);
    script(&*one, "true").await.map(drop)
}

async fn commands_run_beside_transfers(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let bytes = noise(14, 10 << 20);
    let transfers = async {
        for number in 0..2 {
            let path = folder.join(number.to_string());
            sandbox.write(&path, bytes.clone(), 0o644).await?;
            check(sandbox.read(&path).await? == bytes, "other bytes came back")?;
        }
        Ok(())
    };
    let commands = async {
        for number in 0..30 {
            let command = script(&*sandbox, format!("echo {number}"));
            equal("output", &soon("a command", command).await??, &format!("{number}\n"))?;
        }
        Ok(())
    };
    tokio::try_join!(transfers, commands).map(drop)
}

async fn three_sandboxes_are_made_at_once(cx: &Context) -> CaseResult {
    let sandboxes = try_join_all((0..3).map(|_| cx.fresh())).await?;
    let names: BTreeSet<_> = sandboxes.iter().map(|sandbox| sandbox.incarnation().name.clone()).collect();
    equal("different names", &names.len(), &3)?;
    let run = sandboxes.iter().map(|sandbox| script(&**sandbox, "echo here"));
    equal("output", &try_join_all(run).await?, &vec!["here\n"; 3])
}
