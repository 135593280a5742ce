//! Streams that break while something is under way: nothing is lost, nothing happens twice.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use oh_runtime::{Backend, CommandSpec, End, ErrorKind, Sandbox, SandboxExt, Selector, TerminalSize};
use tokio::io::AsyncWriteExt;

use super::terminals::{output_of, until_word};
use crate::case::{Case, case};
use crate::context::Context;
use crate::cutting::Cutting;
use crate::data::noise;
use crate::failure::{CaseResult, Failure, check, equal, refused};
use crate::probe::{read_all, script, within};

/// A stream is opened dozens of times, on a machine where others may do the same.
const LONG: Duration = Duration::from_secs(150);
/// For a whole case.
const DEADLINE: u64 = 180;
/// Commands at once.
const AT_ONCE: usize = 8;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(commands_run_once_and_tell_the_truth).seconds(DEADLINE),
        case!(input_arrives_whole).seconds(DEADLINE),
        case!(files_arrive_whole).seconds(DEADLINE),
        case!(a_conversation_goes_on).seconds(DEADLINE),
        case!(a_sandbox_that_is_gone_is_not_waited_for).seconds(DEADLINE),
    ]
}

/// The same sandbox over streams that live at most `longest` bytes.
pub(super) async fn cut(
    cx: &Context,
    sandbox: &dyn Sandbox,
    longest: usize,
    seed: u64,
) -> CaseResult<(Arc<dyn Sandbox>, Arc<Cutting>)> {
    let name = sandbox.incarnation().name.clone();
    let runtime = cx.runtime()?;
    let cutting = Arc::new(Cutting::new(Arc::clone(runtime.backend()), longest, seed));
    let backend: Arc<dyn Backend> = Arc::<Cutting>::clone(&cutting);
    Ok((runtime.on(backend).attach(&name).await?, cutting))
}

/// A case without enough cuts would prove nothing.
pub(super) fn often_cut(cutting: &Cutting, times: usize) -> CaseResult {
    check(cutting.cuts() >= times, format!("the stream was cut only {} times", cutting.cuts()))
}

async fn commands_run_once_and_tell_the_truth(cx: &Context) -> CaseResult {
    let (whole, folder) = cx.place().await?;
    let (sandbox, cutting) = cut(cx, &*whole, 6_000, 1).await?;
    let run = async |number: usize| -> CaseResult {
        let code = number % 200;
        let text = format!("echo {number} >> ran; seq {number} 500; seq {number} 300 >&2; exit {code}");
        let output = sandbox.run(CommandSpec::shell(text).cwd(&folder)).await?;
        let lines = |last| (number..=last).map(|line| format!("{line}\n")).collect::<String>().into_bytes();
        equal("end", &output.finished.end, &End::Exited(code as i32))?;
        check(output.stdout.bytes == lines(500), format!("the output of {number} is another"))?;
        check(output.stderr.bytes == lines(300), format!("the error output of {number} is another"))
    };
    let all = stream::iter(1..=60).map(run).buffer_unordered(AT_ONCE).try_collect::<()>();
    within(LONG, "the commands", all).await??;
    often_cut(&cutting, 20)?;
    let ran = script(&*whole, format!("sort -n {}/ran", folder.display())).await?;
    let once: String = (1..=60).map(|line| format!("{line}\n")).collect();
    equal("commands that ran", &ran, &once)
}

async fn input_arrives_whole(cx: &Context) -> CaseResult {
    let (sandbox, cutting) = cut(cx, &*cx.shared().await?, 50_000, 2).await?;
    let input = noise(20, 300_000);
    let mut process = sandbox.start(CommandSpec::new(["cat"]).stdin()).await?;
    let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
    let send = async {
        if let Some(mut stdin) = stdin {
            stdin.write_all(&input).await?;
            stdin.shutdown().await?;
        }
        Ok::<_, std::io::Error>(())
    };
    let (sent, output) = within(LONG, "the input", async { tokio::join!(send, read_all(stdout)) }).await?;
    sent?;
    check(output? == input, "what came back is not what was sent")?;
    equal("end", &process.wait().await?.end, &End::Exited(0))?;
    often_cut(&cutting, 10)
}

async fn files_arrive_whole(cx: &Context) -> CaseResult {
    let (whole, folder) = cx.place().await?;
    let (sandbox, cutting) = cut(cx, &*whole, 200_000, 3).await?;
    let path = folder.join("file");
    let bytes = noise(21, 1_200_000);
    let copied = async {
        sandbox.write(&path, bytes.clone(), 0o600).await?;
        sandbox.read(&path).await
    };
    check(within(LONG, "the file", copied).await?? == bytes, "the file is another")?;
    often_cut(&cutting, 10)
}

async fn a_conversation_goes_on(cx: &Context) -> CaseResult {
    let (sandbox, cutting) = cut(cx, &*cx.shared().await?, 1_200, 6).await?;
    let mut process =
        sandbox.start(CommandSpec::new(["sh"]).terminal(TerminalSize::default()).stdin()).await?;
    let mut stdout = output_of(&mut process)?;
    let mut stdin = process.stdin.take().ok_or_else(|| Failure::new("there is no standard input"))?;
    // From here on only answers are shown: neither prompts nor what is typed.
    stdin.write_all(b"PS1=; stty -echo; echo be''gun\n").await?;
    until_word(&mut stdout, "begun\r\n").await?;
    let talking = async {
        for number in 1..=200 {
            stdin.write_all(format!("echo {number} $(({number} * 3))\n").as_bytes()).await?;
            let answer = format!("{number} {}\r\n", number * 3);
            equal("answer", &until_word(&mut stdout, &answer).await?, &answer)?;
        }
        stdin.write_all(b"exit 7\n").await?;
        equal("what is said at the end", &read_all(Some(stdout)).await?, &b"")?;
        Ok::<_, Failure>(process.wait().await?.end)
    };
    equal("end", &within(LONG, "the conversation", talking).await??, &End::Exited(7))?;
    often_cut(&cutting, 10)
}

async fn a_sandbox_that_is_gone_is_not_waited_for(cx: &Context) -> CaseResult {
    let (sandbox, _) = cut(cx, &*cx.fresh().await?, 2_000, 4).await?;
    let mut process = sandbox.start(CommandSpec::shell("sleep 600")).await?;
    cx.runtime()?.remove(sandbox.incarnation()).await?;
    let end = within(LONG, "the command", process.wait()).await?;
    refused(end, &[ErrorKind::Deleted, ErrorKind::NotFound])?;
    let listed = cx.runtime()?.list(&Selector::name(sandbox.incarnation().name.clone())).await?;
    equal("listed", &listed.len(), &0)
}
