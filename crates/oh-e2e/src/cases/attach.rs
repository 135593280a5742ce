//! Commands that another process goes on with.

use std::time::Duration;

use oh_runtime::{CommandId, CommandSpec, CommandState, End, ErrorKind, Offsets, Process, Sandbox};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::terminals::{output_of, until_word};
use crate::case::{Case, case};
use crate::context::Context;
use crate::data::noise;
use crate::failure::{CaseResult, Failure, check, equal, refused};
use crate::probe::{read_all, script, soon, until};

/// A command of these cases does not go on for ever when its case fails.
const LIMIT: Duration = Duration::from_secs(50);
const MIB: u64 = 1 << 20;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(another_process_goes_on_with_a_running_command),
        case!(output_goes_on_where_it_was_left),
        case!(input_goes_on_where_it_was_left),
        case!(an_end_is_kept_until_it_is_fetched),
        case!(a_background_command_needs_no_reader),
        case!(a_background_command_is_not_held_back),
        case!(an_attached_command_can_be_ended),
        case!(a_command_can_be_killed_under_its_holder),
        case!(running_commands_are_listed),
        case!(a_command_of_another_boot_is_unknown),
        case!(what_was_never_started_is_not_found),
    ]
}

/// The same sandbox as another process sees it.
async fn elsewhere(cx: &Context, sandbox: &dyn Sandbox) -> CaseResult<std::sync::Arc<dyn Sandbox>> {
    Ok(cx.another_runtime().await?.attach(&sandbox.incarnation().name).await?)
}

const fn stdout(offset: u64) -> Offsets {
    Offsets { stdout: offset, stderr: 0 }
}

fn numbers() -> String {
    (1..=100).map(|number| format!("{number}\n")).collect()
}

async fn another_process_goes_on_with_a_running_command(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let text = "seq 1 100; echo ready >&2; read word; echo $word; exit 3";
    let mut first = sandbox.start(CommandSpec::shell(text).stdin().timeout(LIMIT)).await?;
    let mut seen = vec![0; numbers().len()];
    soon("the numbers", output_of(&mut first)?.read_exact(&mut seen)).await??;
    equal("the first part", &String::from_utf8_lossy(&seen).as_ref(), &numbers().as_str())?;

    let other = elsewhere(cx, &*sandbox).await?;
    let mut attached = other.attach(first.id, stdout(seen.len() as u64)).await?;
    equal("where it goes on", &attached.from, &Offsets { stdout: seen.len() as u64, stderr: 0 })?;
    refused(soon("the first one's news", first.wait()).await?, &[ErrorKind::TakenOver])?;
    let mut stdin =
        attached.process.stdin.take().ok_or_else(|| Failure::new("there is no standard input"))?;
    stdin.write_all(b"go\n").await?;
    drop(stdin);
    let rest = soon("the rest", read_all(attached.process.stdout.take())).await??;
    equal("the rest", &rest.as_slice(), &&b"go\n"[..])?;
    let errors = soon("the errors", read_all(attached.process.stderr.take())).await??;
    equal("standard error", &errors.as_slice(), &&b"ready\n"[..])?;
    equal("end", &soon("the end", attached.process.wait()).await??.end, &End::Exited(3))
}

async fn output_goes_on_where_it_was_left(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let bytes = noise(31, 3_000_000);
    oh_runtime::SandboxExt::write(&*sandbox, &folder.join("bytes"), bytes.clone(), 0o600).await?;
    let mut holder = sandbox.start(CommandSpec::new(["cat", "bytes"]).cwd(&folder).timeout(LIMIT)).await?;
    let id = holder.id;
    let mut received = Vec::new();
    // Each reads a part of odd size, and is taken over in the middle of it.
    let mut holders = Vec::new();
    for part in [1, 999, 70_001, 1_200_003, 12_345] {
        let mut piece = vec![0; part];
        let mut stream = output_of(&mut holder)?;
        soon("a part", stream.read_exact(&mut piece)).await??;
        received.extend(piece);
        let other = elsewhere(cx, &*sandbox).await?;
        let attached = other.attach(id, stdout(received.len() as u64)).await?;
        equal("where it goes on", &attached.from.stdout, &(received.len() as u64))?;
        holders.push((std::mem::replace(&mut holder, attached.process), stream, other));
    }
    received.extend(soon("the rest", read_all(holder.stdout.take())).await??);
    check(received == bytes, "the parts together are not what was written")?;
    equal("end", &soon("the end", holder.wait()).await??.end, &End::Exited(0))
}

async fn input_goes_on_where_it_was_left(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let input = noise(32, 600_000);
    // It takes its input slowly: what is under way when the other process comes is not lost and not there twice.
    let text = "for i in 1 2 3; do head -c 100000; sleep 0.2; done >copy; cat >>copy";
    let mut first = sandbox.start(CommandSpec::shell(text).stdin().cwd(&folder).timeout(LIMIT)).await?;
    let mut stdin = first.stdin.take().ok_or_else(|| Failure::new("there is no standard input"))?;
    soon("writing", stdin.write_all(&input[..150_000])).await??;
    let other = elsewhere(cx, &*sandbox).await?;
    let mut attached = other.attach(first.id, Offsets::default()).await?;
    check(attached.stdin <= 150_000, format!("it got {} bytes", attached.stdin))?;
    let mut stdin =
        attached.process.stdin.take().ok_or_else(|| Failure::new("there is no standard input"))?;
    soon("writing", stdin.write_all(&input[attached.stdin as usize..])).await??;
    stdin.shutdown().await?;
    equal("end", &soon("the end", attached.process.wait()).await??.end, &End::Exited(0))?;
    let copy = oh_runtime::SandboxExt::read(&*sandbox, &folder.join("copy")).await?;
    check(copy == input, "what the command got is not what was sent")
}

async fn an_end_is_kept_until_it_is_fetched(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let id = sandbox.start(CommandSpec::shell("echo words; exit 9")).await?.id;
    let other = elsewhere(cx, &*sandbox).await?;
    until("the end to be listed", || async {
        let listed = other.commands().await?;
        let found = listed.iter().find(|command| command.id == id);
        Ok(found.is_some_and(|command| command.state == CommandState::Ended(End::Exited(9))))
    })
    .await?;
    let mut attached = other.attach(id, Offsets::default()).await?;
    equal("end", &soon("the end", attached.process.wait()).await??.end, &End::Exited(9))?;
    drop(attached);
    until("the end to be forgotten", || async {
        Ok(other.commands().await?.iter().all(|command| command.id != id))
    })
    .await?;
    refused(sandbox.attach(id, Offsets::default()).await, &[ErrorKind::CommandNotFound]).map(drop)
}

async fn a_background_command_needs_no_reader(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let text = "echo one; echo two >&2; read word </dev/null; exit 5";
    let id = sandbox.start(CommandSpec::shell(text).background()).await?.id;
    let other = elsewhere(cx, &*sandbox).await?;
    let Process { stdout, stderr, mut control, .. } = other.attach(id, Offsets::default()).await?.process;
    equal("output", &soon("output", read_all(stdout)).await??.as_slice(), &&b"one\n"[..])?;
    equal("errors", &soon("errors", read_all(stderr)).await??.as_slice(), &&b"two\n"[..])?;
    equal("end", &soon("the end", control.wait()).await??.end, &End::Exited(5))
}

async fn a_background_command_is_not_held_back(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let text = "seq 1 2000000; touch written";
    let process = sandbox.start(CommandSpec::shell(text).background().cwd(&folder)).await?;
    let id = process.id;
    drop(process);
    crate::probe::until_exists(&*sandbox, &folder.join("written")).await?;
    let attached = elsewhere(cx, &*sandbox).await?.attach(id, Offsets::default()).await?;
    let all: String = (1..=2_000_000).map(|number| format!("{number}\n")).collect();
    let from = attached.from.stdout;
    check(from + MIB == all.len() as u64, format!("of {} bytes those from {from} on were kept", all.len()))?;
    let rest = soon("the rest", read_all(attached.process.stdout)).await??;
    check(rest == all.as_bytes()[from as usize..], "what was kept is not the end")
}

async fn an_attached_command_can_be_ended(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let text = "trap 'echo heard' USR1; echo ready; while :; do sleep 0.05; done";
    let id = sandbox.start(CommandSpec::shell(text).background().timeout(LIMIT)).await?.id;
    let other = elsewhere(cx, &*sandbox).await?;
    let mut process = other.attach(id, Offsets::default()).await?.process;
    let mut output = output_of(&mut process)?;
    until_word(&mut output, "ready").await?;
    process.signal(10).await?;
    until_word(&mut output, "heard").await?;
    process.cancel().await?;
    equal("end", &soon("the end", process.wait()).await??.end, &End::Cancelled)
}

async fn a_command_can_be_killed_under_its_holder(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let other = elsewhere(cx, &*sandbox).await?;
    let text = "trap 'echo heard' USR1; trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let spec = CommandSpec::shell(text).grace(Duration::from_millis(200)).timeout(LIMIT);
    let mut held = sandbox.start(spec).await?;
    let mut output = output_of(&mut held)?;
    until_word(&mut output, "ready").await?;
    other.kill(held.id, Some(10)).await?;
    until_word(&mut output, "heard").await?;
    soon("the kill", other.kill(held.id, None)).await??;
    equal("end", &soon("the end", held.wait()).await??.end, &End::Cancelled)?;
    drop((held, output));
    let never = CommandId { boot: sandbox.connect(LIMIT).await?.boot, sequence: u64::MAX };
    refused(other.kill(never, None).await, &[ErrorKind::CommandNotFound]).map(drop)
}

async fn running_commands_are_listed(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    check(sandbox.commands().await?.is_empty(), "a fresh sandbox has commands")?;
    let held = sandbox.start(CommandSpec::new(["sleep", "600", "secret"])).await;
    let sleeping = sandbox.start(CommandSpec::new(["sleep", "600"]).background()).await?.id;
    drop(held);
    let listed = sandbox.commands().await?;
    let found = listed.iter().find(|command| command.id == sleeping);
    let found = found.ok_or_else(|| Failure::new(format!("it is not listed: {listed:?}")))?;
    equal("program", &found.program.to_string_lossy().as_ref(), &"sleep")?;
    equal("state", &found.state, &CommandState::Running)?;
    check(found.age < Duration::from_secs(60), format!("it is {:?} old", found.age))?;
    let shown = format!("{listed:?}");
    check(!shown.contains("secret"), format!("arguments are listed: {shown}"))
}

async fn a_command_of_another_boot_is_unknown(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let id = CommandId { boot: 1, sequence: 1 };
    let error = refused(sandbox.attach(id, Offsets::default()).await, &[ErrorKind::Restarted])?;
    equal("outcome", &error.outcome(), &oh_runtime::Outcome::Unknown)
}

async fn what_was_never_started_is_not_found(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let boot = sandbox.connect(Duration::from_secs(20)).await?.boot;
    let never = CommandId { boot, sequence: u64::MAX };
    refused(sandbox.attach(never, Offsets::default()).await, &[ErrorKind::CommandNotFound])?;
    // Nor has it written what somebody claims to have read.
    let id = sandbox.start(CommandSpec::new(["sleep", "5"])).await?.id;
    refused(sandbox.attach(id, stdout(1)).await, &[ErrorKind::ExecInvalid])?;
    script(&*sandbox, "true").await.map(drop)
}
