//! What a command reads.

use std::time::Duration;

use oh_runtime::{BoxWrite, CommandSpec, End, Process, Sandbox};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::case::{Case, case};
use crate::context::Context;
use crate::data::{noise, sha256};
use crate::failure::{CaseResult, Failure, check, empty, equal};
use crate::probe::{read_all, soon};

const LARGE: usize = 64 << 20;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(it_is_empty_when_not_asked_for),
        case!(it_ends_when_shut_down),
        case!(it_ends_when_dropped),
        case!(it_arrives_while_it_is_written),
        case!(sixty_four_mebibytes_arrive).seconds(120),
        case!(sixty_four_mebibytes_come_back).seconds(120),
        case!(a_program_may_ignore_it),
        case!(a_program_that_closed_it_is_an_error_to_the_writer),
        case!(a_program_that_ended_is_an_error_to_the_writer),
        case!(the_command_goes_on_after_its_end),
    ]
}

fn stdin(process: &mut Process) -> CaseResult<BoxWrite> {
    process.stdin.take().ok_or_else(|| Failure::new("it has no standard input"))
}

async fn it_is_empty_when_not_asked_for(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mut process = sandbox.start(CommandSpec::new(["cat"])).await?;
    check(process.stdin.is_none(), "it can be written")?;
    equal("end", &soon("cat", process.wait()).await??.end, &End::Exited(0))?;
    empty("output", &read_all(process.stdout.take()).await?)
}

async fn it_ends_when_shut_down(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mut process = sandbox.start(CommandSpec::new(["cat"]).stdin()).await?;
    let mut stdin = stdin(&mut process)?;
    stdin.write_all(b"before the end").await?;
    stdin.shutdown().await?;
    equal("end", &soon("cat", process.wait()).await??.end, &End::Exited(0))?;
    equal("output", &read_all(process.stdout.take()).await?, &b"before the end".to_vec())
}

async fn it_ends_when_dropped(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    for written in [b"".as_slice(), b"before the end"] {
        let mut process = sandbox.start(CommandSpec::new(["cat"]).stdin()).await?;
        let mut stdin = stdin(&mut process)?;
        stdin.write_all(written).await?;
        drop(stdin);
        equal("end", &soon("cat", process.wait()).await??.end, &End::Exited(0))?;
        equal("output", &read_all(process.stdout.take()).await?, &written.to_vec())?;
    }
    Ok(())
}

async fn it_arrives_while_it_is_written(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mut process = sandbox.start(CommandSpec::new(["cat"]).stdin()).await?;
    let mut stdin = stdin(&mut process)?;
    let mut stdout = process.stdout.take().ok_or_else(|| Failure::new("it has no standard output"))?;
    for line in ["one\n", "two\n", "three\n"] {
        stdin.write_all(line.as_bytes()).await?;
        stdin.flush().await?;
        let mut answer = vec![0; line.len()];
        soon("the answer", stdout.read_exact(&mut answer)).await??;
        equal("answer", &answer, &line.as_bytes())?;
    }
    stdin.shutdown().await?;
    equal("end", &soon("cat", process.wait()).await??.end, &End::Exited(0))
}

/// Writes `bytes` into a command and returns what comes out of it.
async fn filter(sandbox: &dyn Sandbox, spec: CommandSpec, bytes: Vec<u8>) -> CaseResult<Vec<u8>> {
    let mut process = sandbox.start(spec.stdin()).await?;
    let mut stdin = stdin(&mut process)?;
    let stdout = process.stdout.take();
    let write = async {
        stdin.write_all(&bytes).await?;
        stdin.shutdown().await?;
        Ok(())
    };
    let ((), out) = tokio::try_join!(write, read_all(stdout))?;
    equal("end", &process.wait().await?.end, &End::Exited(0))?;
    Ok(out)
}

async fn sixty_four_mebibytes_arrive(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let bytes = noise(64, LARGE);
    let wanted = format!("{}  -\n", sha256(&bytes));
    let out = filter(&*sandbox, CommandSpec::new(["sha256sum"]), bytes).await?;
    equal("sha256", &String::from_utf8_lossy(&out).into_owned(), &wanted)
}

async fn sixty_four_mebibytes_come_back(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let bytes = noise(65, LARGE);
    let out = filter(&*sandbox, CommandSpec::new(["cat"]), bytes.clone()).await?;
    equal("length", &out.len(), &bytes.len())?;
    check(out == bytes, "other bytes came back")
}

async fn a_program_may_ignore_it(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mut process = sandbox.start(CommandSpec::shell("sleep 0.2; exit 3").stdin()).await?;
    let mut stdin = stdin(&mut process)?;
    // More than pipe and window hold; that writing breaks off is what has to happen.
    let writing = tokio::spawn(async move { stdin.write_all(&noise(1, 16 << 20)).await });
    equal("end", &soon("the command", process.wait()).await??.end, &End::Exited(3))?;
    check(soon("writing", writing).await??.is_err(), "bytes nobody read are taken for written")
}

/// Writes until that fails.
async fn until_refused(mut stdin: BoxWrite) -> CaseResult {
    let some = noise(2, 64 << 10);
    let writing = async {
        while stdin.write_all(&some).await.is_ok() && stdin.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon("an error for the writer", writing).await
}

async fn a_program_that_closed_it_is_an_error_to_the_writer(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mut process = sandbox.start(CommandSpec::shell("exec 0<&-; sleep 600").stdin()).await?;
    until_refused(stdin(&mut process)?).await?;
    process.control.cancel().await?;
    equal("end", &soon("the command", process.wait()).await??.end, &End::Cancelled)
}

async fn a_program_that_ended_is_an_error_to_the_writer(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mut process = sandbox.start(CommandSpec::new(["true"]).stdin()).await?;
    let stdin = stdin(&mut process)?;
    equal("end", &soon("the command", process.wait()).await??.end, &End::Exited(0))?;
    until_refused(stdin).await
}

async fn the_command_goes_on_after_its_end(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let spec = CommandSpec::shell("cat >/dev/null; sleep 0.2; echo after; exit 4").stdin();
    let mut process = sandbox.start(spec).await?;
    drop(stdin(&mut process)?);
    equal("output", &soon("the command", read_all(process.stdout.take())).await??, &b"after\n".to_vec())?;
    equal("end", &process.wait().await?.end, &End::Exited(4))
}
