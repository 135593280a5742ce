//! Commands with a terminal, and signals.

use std::time::Duration;

use oh_runtime::{BoxRead, CommandSpec, End, Process, SandboxExt, TerminalSize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::case::{Case, case};
use crate::context::Context;
use crate::failure::{CaseResult, Failure, check, equal};
use crate::probe::{read_all, soon, text};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(a_terminal_is_one),
        case!(a_terminal_has_the_size_it_is_told),
        case!(a_key_is_a_signal),
        case!(the_end_of_input_is_one_on_a_terminal),
        case!(nothing_written_to_a_terminal_is_lost),
        case!(a_terminal_belongs_to_its_user),
        case!(a_signal_reaches_the_command_and_its_group),
        case!(a_signal_without_handler_is_the_end),
    ]
}

/// Reads until `word` has come; returns everything so far.
pub(super) async fn until_word(stream: &mut BoxRead, word: &str) -> CaseResult<String> {
    let mut seen = String::new();
    while !seen.contains(word) {
        let mut piece = vec![0; 4096];
        let count = soon(word, stream.read(&mut piece)).await??;
        check(count > 0, format!("the stream ended before {word:?}: {seen:?}"))?;
        seen.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    Ok(seen)
}

pub(super) fn output_of(process: &mut Process) -> CaseResult<BoxRead> {
    process.stdout.take().ok_or_else(|| Failure::new("there is no standard output"))
}

async fn a_terminal_is_one(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let size = TerminalSize { rows: 33, columns: 101 };
    let look = "for fd in 0 1 2; do test -t $fd || echo $fd is none; done; stty size; echo err >&2; exit 6";
    let output = sandbox.run(CommandSpec::shell(look).terminal(size).stdin()).await?;
    equal("end", &output.finished.end, &End::Exited(6))?;
    equal("output", &text(&output).as_str(), &"33 101\r\nerr\r\n")?;
    let own = sandbox.run(CommandSpec::new(["tty"]).terminal(size)).await?;
    check(text(&own).starts_with("/dev/pts/"), format!("tty says {:?}", text(&own)))
}

async fn a_terminal_has_the_size_it_is_told(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let wait = "trap 'stty size; exit 7' WINCH; echo ready; while :; do sleep 0.05; done";
    let spec = CommandSpec::shell(wait).terminal(TerminalSize::default()).timeout(Duration::from_secs(30));
    let mut process = sandbox.start(spec).await?;
    let mut stdout = output_of(&mut process)?;
    until_word(&mut stdout, "ready").await?;
    process.resize(TerminalSize { rows: 40, columns: 100 }).await?;
    until_word(&mut stdout, "40 100").await?;
    equal("end", &soon("the end", process.wait()).await??.end, &End::Exited(7))
}

async fn a_key_is_a_signal(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let wait = "trap 'echo got it; exit 5' INT; echo ready; while :; do sleep 0.05; done";
    let spec =
        CommandSpec::shell(wait).terminal(TerminalSize::default()).stdin().timeout(Duration::from_secs(30));
    let mut process = sandbox.start(spec).await?;
    let mut stdout = output_of(&mut process)?;
    until_word(&mut stdout, "ready").await?;
    let mut stdin = process.stdin.take().ok_or_else(|| Failure::new("there is no standard input"))?;
    stdin.write_all(&[3]).await?;
    stdin.flush().await?;
    until_word(&mut stdout, "got it").await?;
    equal("end", &soon("the end", process.wait()).await??.end, &End::Exited(5))
}

async fn the_end_of_input_is_one_on_a_terminal(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let spec = CommandSpec::new(["cat"]).terminal(TerminalSize::default()).stdin();
    let mut process = sandbox.start(spec.timeout(Duration::from_secs(30))).await?;
    let mut stdin = process.stdin.take().ok_or_else(|| Failure::new("there is no standard input"))?;
    stdin.write_all(b"abc\n").await?;
    stdin.shutdown().await?;
    let output = soon("the output", read_all(process.stdout.take())).await??;
    equal("output", &String::from_utf8_lossy(&output).as_ref(), &"abc\r\nabc\r\n")?;
    equal("end", &process.wait().await?.end, &End::Exited(0))
}

async fn nothing_written_to_a_terminal_is_lost(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let spec = CommandSpec::new(["seq", "1", "30000"]).terminal(TerminalSize::default());
    let output = sandbox.run(spec).await?;
    let expected: String = (1..=30_000).map(|number| format!("{number}\r\n")).collect();
    check(text(&output) == expected, "the output is another")
}

async fn a_terminal_belongs_to_its_user(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let spec = CommandSpec::shell("echo to the terminal >$(tty) && stat -c %u $(tty)");
    let output = sandbox.run(spec.terminal(TerminalSize::default()).user("nobody")).await?;
    equal("output", &text(&output).as_str(), &"to the terminal\r\n65534\r\n")
}

async fn a_signal_reaches_the_command_and_its_group(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let wait = "trap 'wait; echo parent; exit 4' USR1; \
                (trap 'echo child; exit' USR1; echo ready; while :; do sleep 0.05; done) & wait";
    let mut process = sandbox.start(CommandSpec::shell(wait).timeout(Duration::from_secs(30))).await?;
    let mut stdout = output_of(&mut process)?;
    until_word(&mut stdout, "ready").await?;
    process.signal(10).await?;
    let said = until_word(&mut stdout, "parent").await?;
    check(said.contains("child"), format!("the child got none: {said:?}"))?;
    equal("end", &soon("the end", process.wait()).await??.end, &End::Exited(4))?;
    process.signal(9).await?;
    Ok(())
}

async fn a_signal_without_handler_is_the_end(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    for signal in [1, 2, 9, 15] {
        let mut process = sandbox.start(CommandSpec::new(["sleep", "600"])).await?;
        process.signal(signal).await?;
        equal("end", &soon("the end", process.wait()).await??.end, &End::Signaled(signal))?;
    }
    Ok(())
}
