//! Many at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use oh_runtime::{CommandSpec, CommandState, End, Process, SandboxExt};

use crate::case::{Case, case};
use crate::context::Context;
use crate::data::noise;
use crate::failure::{CaseResult, check, equal};
use crate::probe::{mark, read_all, script, soon, text, until_marked, within};

/// How long a thousand commands may take on a small machine.
const LONG: Duration = Duration::from_secs(120);

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(fifty_commands_at_once_get_their_own_ends),
        case!(fifty_commands_really_run_at_once),
        case!(a_thousand_commands_at_once).seconds(180),
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

/// Commands of the case with the most of them.
const THOUSAND: usize = 1000;

async fn a_thousand_commands_at_once(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    script(&*sandbox, format!("mkfifo {}/gate", folder.display())).await?;
    // Each waits at the gate, so all of them run before the first one ends.
    let text = "exec 3<gate; echo out $0; echo err $0 >&2; exit $(($0 % 200))";
    let run = |number: usize| {
        CommandSpec::new(["sh".to_owned(), "-c".to_owned(), text.to_owned(), number.to_string()]).cwd(&folder)
    };
    let processes = try_join_all((0..THOUSAND).map(|number| sandbox.start(run(number)))).await?;
    let running = sandbox.commands().await?.iter().filter(|c| c.state == CommandState::Running).count();
    check(running >= THOUSAND, format!("only {running} run at once"))?;
    // The gate stays open for those that come to it late.
    let mut open = sandbox.start(CommandSpec::shell("exec 3>gate; cat").stdin().cwd(&folder)).await?;
    let finish = async |(number, mut process): (usize, Process)| -> CaseResult {
        let (out, err) = (process.stdout.take(), process.stderr.take());
        let (out, err) = tokio::try_join!(read_all(out), read_all(err))?;
        equal("standard output", &out, &format!("out {number}\n").into_bytes())?;
        equal("standard error", &err, &format!("err {number}\n").into_bytes())?;
        equal("end", &process.wait().await?.end, &End::Exited((number % 200) as i32))
    };
    let all = try_join_all(processes.into_iter().enumerate().map(finish));
    within(LONG, "the commands", all).await??;
    drop(open.stdin.take());
    equal("end of the gate", &soon("the gate", open.wait()).await??.end, &End::Exited(0))
}

async fn every_command_has_its_own_id(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let boot = sandbox.connect(Duration::from_secs(10)).await?.boot;
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
    let deadline = Duration::from_secs(10);
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
