//! What a command writes.

use std::time::Duration;

use oh_runtime::{CommandSpec, End, OutputLimit, SandboxExt};
use tokio::io::AsyncReadExt;
use tokio::time::{sleep, timeout};

use crate::case::{Case, case};
use crate::context::Context;
use crate::data::{numbers, sha256};
use crate::failure::{CaseResult, Failure, check, equal};
use crate::probe::{read_all, script, soon, until_exists};

const LARGE: usize = 5_000_000;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(output_and_error_are_apart),
        case!(five_megabytes_on_both_at_once),
        case!(every_byte_arrives),
        case!(no_newline_is_added),
        case!(output_arrives_while_the_command_runs),
        case!(output_can_be_read_after_the_end),
        case!(a_slow_reader_gets_everything),
        case!(a_sleeping_reader_gets_all_of_both),
        case!(an_idle_reader_holds_the_command_back),
        case!(an_idle_reader_holds_nobody_else_back),
        case!(a_dropped_reader_neither_holds_nor_kills),
        case!(a_dropped_reader_of_one_leaves_the_other),
        case!(a_dropped_command_goes_on),
        case!(collected_output_has_a_limit_and_says_so),
    ]
}

/// Prints what [`numbers`] makes.
fn print(first: u64, length: usize) -> String {
    format!("seq {first} 99999999 2>/dev/null | head -c {length}")
}

async fn output_and_error_are_apart(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let output = sandbox.run(CommandSpec::shell("echo out; echo err >&2; echo out2")).await?;
    equal("standard output", &output.stdout.bytes, &b"out\nout2\n".to_vec())?;
    equal("standard error", &output.stderr.bytes, &b"err\n".to_vec())
}

async fn five_megabytes_on_both_at_once(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let both = format!("{} & {} >&2; wait", print(1, LARGE), print(5_000_000, LARGE));
    let output = sandbox.run(CommandSpec::shell(both)).await?;
    equal("end", &output.finished.end, &End::Exited(0))?;
    for (what, captured, first) in
        [("standard output", output.stdout, 1), ("standard error", output.stderr, 5_000_000)]
    {
        equal(&format!("dropped of {what}"), &captured.dropped, &0)?;
        equal(what, &sha256(&captured.bytes), &sha256(&numbers(first, LARGE)))?;
    }
    Ok(())
}

async fn every_byte_arrives(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let write = "import os; os.write(1, bytes(range(256))); os.write(2, bytes(range(255, -1, -1)))";
    let output = sandbox.run(CommandSpec::new(["python3", "-c", write])).await?;
    equal("standard output", &output.stdout.bytes, &(0..=255).collect::<Vec<u8>>())?;
    equal("standard error", &output.stderr.bytes, &(0..=255).rev().collect::<Vec<u8>>())
}

async fn no_newline_is_added(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    for written in ["", "no newline", "one\n", "\n\n", "return\r\n"] {
        let output = sandbox.run(CommandSpec::new(["printf", "%s", written])).await?;
        equal("output", &output.stdout.bytes, &written.as_bytes())?;
    }
    Ok(())
}

async fn output_arrives_while_the_command_runs(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mut process = sandbox.start(CommandSpec::shell("echo first; cat; echo last").stdin()).await?;
    let mut stdout = process.stdout.take().ok_or_else(|| Failure::new("it has no standard output"))?;
    let mut first = [0; 6];
    soon("the first line", stdout.read_exact(&mut first)).await??;
    equal("first line", &first, b"first\n")?;
    // It can only end now: so the line was not held until then.
    drop(process.stdin.take());
    equal("the rest", &read_all(Some(stdout)).await?, &b"last\n".to_vec())?;
    equal("end", &process.wait().await?.end, &End::Exited(0))
}

async fn output_can_be_read_after_the_end(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let length = 100_000;
    let mut process = sandbox.start(CommandSpec::shell(print(1, length))).await?;
    equal("end", &soon("the command", process.wait()).await??.end, &End::Exited(0))?;
    equal("output", &read_all(process.stdout.take()).await?, &numbers(1, length))
}

async fn a_slow_reader_gets_everything(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let length = 2_000_000;
    let mut process = sandbox.start(CommandSpec::shell(print(1, length))).await?;
    let mut stdout = process.stdout.take().ok_or_else(|| Failure::new("it has no standard output"))?;
    let (mut bytes, mut part) = (Vec::new(), vec![0; 50_000]);
    loop {
        match stdout.read(&mut part).await? {
            0 => break,
            count => bytes.extend(&part[..count]),
        }
        sleep(Duration::from_millis(20)).await;
    }
    equal("sha256", &sha256(&bytes), &sha256(&numbers(1, length)))?;
    equal("end", &process.wait().await?.end, &End::Exited(0))
}

async fn a_sleeping_reader_gets_all_of_both(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let both = format!("{} & {} >&2; wait; exit 3", print(1, LARGE), print(7, LARGE));
    let mut process = sandbox.start(CommandSpec::shell(both)).await?;
    // Long enough for every buffer on the way to fill.
    sleep(Duration::from_secs(2)).await;
    let (stdout, stderr) = (read_all(process.stdout.take()), read_all(process.stderr.take()));
    let (stdout, stderr) = soon("both streams", async { tokio::join!(stdout, stderr) }).await?;
    equal("standard output", &sha256(&stdout?), &sha256(&numbers(1, LARGE)))?;
    equal("standard error", &sha256(&stderr?), &sha256(&numbers(7, LARGE)))?;
    equal("end", &soon("the command", process.wait()).await??.end, &End::Exited(3))
}

async fn an_idle_reader_holds_the_command_back(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let script = format!("touch begun; {}; touch done", print(1, LARGE));
    let mut process = sandbox.start(CommandSpec::shell(script).cwd(&folder)).await?;
    until_exists(&*sandbox, &folder.join("begun")).await?;
    // It cannot have ended with megabytes unread, however long one looks.
    let early = timeout(Duration::from_millis(500), process.wait()).await;
    check(early.is_err(), format!("it ended with its output unread: {early:?}"))?;
    equal("sha256", &sha256(&read_all(process.stdout.take()).await?), &sha256(&numbers(1, LARGE)))?;
    equal("end", &soon("the command", process.wait()).await??.end, &End::Exited(0))
}

async fn an_idle_reader_holds_nobody_else_back(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mut idle = sandbox.start(CommandSpec::new(["yes"])).await?;
    let other = script(&*sandbox, print(1, LARGE));
    equal("another command's output", &soon("another command", other).await??.len(), &LARGE)?;
    idle.control.cancel().await?;
    drop(idle.stdout.take());
    equal("end", &soon("the end of the idle one", idle.wait()).await??.end, &End::Cancelled)
}

async fn a_dropped_reader_neither_holds_nor_kills(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    // More than any window, and the command says whether it could write it all.
    let script = format!("({}) && ({}) >&2 && exit 6; exit 1", print(1, LARGE), print(7, LARGE));
    let mut process = sandbox.start(CommandSpec::shell(script)).await?;
    drop(process.stdout.take());
    drop(process.stderr.take());
    equal("end", &soon("the command", process.wait()).await??.end, &End::Exited(6))
}

async fn a_dropped_reader_of_one_leaves_the_other(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let both = format!("{} & {} >&2; wait", print(1, LARGE), print(7, LARGE));
    let mut process = sandbox.start(CommandSpec::shell(both)).await?;
    drop(process.stdout.take());
    let err = soon("standard error", read_all(process.stderr.take())).await??;
    equal("standard error", &sha256(&err), &sha256(&numbers(7, LARGE)))?;
    equal("end", &soon("the command", process.wait()).await??.end, &End::Exited(0))
}

async fn a_dropped_command_goes_on(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let script = format!("until [ -e go ]; do sleep 0.05; done; {}; touch done", print(1, LARGE));
    let process = sandbox.start(CommandSpec::shell(script).cwd(&folder)).await?;
    drop(process);
    sandbox.write(&folder.join("go"), Vec::new(), 0o644).await?;
    until_exists(&*sandbox, &folder.join("done")).await
}

async fn collected_output_has_a_limit_and_says_so(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let limit = OutputLimit { head: 1000, tail: 2000 };
    let output = sandbox.run_limited(CommandSpec::shell(print(1, LARGE)), limit).await?;
    equal("end", &output.finished.end, &End::Exited(0))?;
    let all = numbers(1, LARGE);
    let kept = [&all[..limit.head], &all[LARGE - limit.tail..]].concat();
    equal("what is kept", &output.stdout.bytes, &kept)?;
    equal("what is said to be dropped", &output.stdout.dropped, &((LARGE - kept.len()) as u64))?;
    equal("dropped of what was within it", &output.stderr.dropped, &0)
}
