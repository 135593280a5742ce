//! Ending what does not end.

use std::time::{Duration, Instant};

use oh_runtime::{CommandSpec, End, Process, SandboxExt};
use tokio::io::AsyncReadExt;

use crate::case::{Case, case};
use crate::context::Context;
use crate::failure::{CaseResult, check, empty, equal};
use crate::probe::{mark, marked, read_all, script, soon, text, until_marked};

/// Short, so that cases are; long enough for a shell to start and print on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(2);
const GRACE: Duration = Duration::from_millis(300);
/// For a busy machine to notice that a process is gone.
const SLACK: Duration = Duration::from_secs(2);

/// Starts descendants of every kind that try to stay: an ordinary child, one in a session of its own, one that ignores
/// SIGTERM, one whose parents are gone, and one that is stopped. Each has `$MARK` on its command line.
const STAYERS: &str = r#"
sleep $MARK &
setsid sleep $MARK &
(trap '' TERM HUP INT; exec sleep $MARK) &
(setsid sh -c 'trap "" TERM; setsid sleep $MARK & exit' &)
sh -c 'kill -STOP $$' $MARK &
echo partial
"#;
const STAYERS_COUNT: usize = 5;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(a_timeout_keeps_the_output_so_far),
        case!(a_timeout_kills_every_descendant),
        case!(a_timeout_kills_what_ignores_sigterm),
        case!(a_daemon_that_ignores_sigterm_is_gone_in_time),
        case!(a_timeout_lets_a_handler_run),
        case!(a_timeout_of_one_leaves_others_alone),
        case!(a_timeout_ends_a_command_nobody_reads),
        case!(a_command_that_is_faster_keeps_its_end),
        case!(cancelling_keeps_the_output_so_far),
        case!(cancelling_kills_every_descendant),
        case!(cancelling_lets_a_handler_run),
        case!(cancelling_twice_or_too_late_is_fine),
    ]
}

async fn a_timeout_keeps_the_output_so_far(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let spec =
        CommandSpec::shell("echo out; echo err >&2; sleep 600; echo never").timeout(TIMEOUT).grace(GRACE);
    let output = soon("the command", sandbox.run(spec)).await??;
    equal("end", &output.finished.end, &End::TimedOut)?;
    equal("standard output", &output.stdout.bytes, &b"out\n".to_vec())?;
    equal("standard error", &output.stderr.bytes, &b"err\n".to_vec())?;
    let wall = output.finished.wall;
    check((TIMEOUT..TIMEOUT * 5).contains(&wall), format!("it is said to have run {wall:?}"))
}

async fn a_timeout_kills_every_descendant(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mark = mark();
    let spec = CommandSpec::shell(format!("{STAYERS} wait")).env("MARK", &mark).timeout(TIMEOUT).grace(GRACE);
    let (output, there) = tokio::join!(sandbox.run(spec), until_marked(&*sandbox, &mark, STAYERS_COUNT));
    there?;
    let output = output?;
    equal("end", &output.finished.end, &End::TimedOut)?;
    equal("output", &text(&output), &"partial\n")?;
    empty("what is said to be left", &output.finished.leaked)?;
    empty("what is left", &marked(&*sandbox, &mark).await?)
}

async fn a_timeout_kills_what_ignores_sigterm(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mark = mark();
    let stubborn = format!("trap '' TERM; echo deaf; while :; do sleep {mark}; done");
    let spec = CommandSpec::shell(stubborn).timeout(TIMEOUT).grace(GRACE);
    let output = soon("the command", sandbox.run(spec)).await??;
    equal("end", &output.finished.end, &End::TimedOut)?;
    equal("output", &text(&output), &"deaf\n")?;
    empty("what is left", &marked(&*sandbox, &mark).await?)
}

/// Forks a daemon as daemons do: two forks, a session of its own, another folder, no descriptors, deaf to every signal
/// that can be ignored. The command goes on when the daemon is all that.
const DAEMON: &str = "\
import os, signal, sys, time
done, tell = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir('/')
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
            signal.signal(number, signal.SIG_IGN)
        os.closerange(0, 1024)
        os.execvp('sleep', ['sleep', sys.argv[1]])
    os._exit(0)
os.wait()
os.close(tell)
os.read(done, 1)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('detached', flush=True)
time.sleep(600)
";

async fn a_daemon_that_ignores_sigterm_is_gone_in_time(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mark = mark();
    let spec = CommandSpec::new(["python3", "-c", DAEMON, &mark]).timeout(TIMEOUT).grace(GRACE);
    let output = soon("the command", sandbox.run(spec)).await??;
    empty("what is left", &marked(&*sandbox, &mark).await?)?;
    equal("end", &output.finished.end, &End::TimedOut)?;
    equal("output", &text(&output), &"detached\n")?;
    empty("what is said to be left", &output.finished.leaked)?;
    let wall = output.finished.wall;
    check(wall >= TIMEOUT && wall < TIMEOUT + GRACE + SLACK, format!("it took {wall:?}"))
}

/// Prints `cleaned` when it is told to end.
const HANDLER: &str = "trap 'sleep 0.2; echo cleaned; exit 9' TERM; echo ready; while :; do sleep 0.05; done";

async fn a_timeout_lets_a_handler_run(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let spec = CommandSpec::shell(HANDLER).timeout(TIMEOUT).grace(Duration::from_secs(10));
    let begun = Instant::now();
    let output = soon("the command", sandbox.run(spec)).await??;
    equal("output", &text(&output), &"ready\ncleaned\n")?;
    // What the handler exits with does not make it a command that ended by itself.
    equal("end", &output.finished.end, &End::TimedOut)?;
    check(begun.elapsed() < Duration::from_secs(9), "the whole grace was waited for")
}

async fn a_timeout_of_one_leaves_others_alone(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let (of_other, of_background) = (mark(), mark());
    let mut other = sandbox.start(CommandSpec::new(["sleep", &of_other])).await?;
    script(&*sandbox, format!("sleep {of_background} >/dev/null 2>&1 &")).await?;
    let spec = CommandSpec::new(["sleep", "600"]).timeout(Duration::from_millis(300)).grace(GRACE);
    equal("end", &soon("the command", sandbox.run(spec)).await??.finished.end, &End::TimedOut)?;
    equal("other commands", &marked(&*sandbox, &of_other).await?.len(), &1)?;
    let background = marked(&*sandbox, &of_background).await?;
    equal("background processes", &background.len(), &1)?;
    script(&*sandbox, format!("kill {}", background[0])).await?;
    other.control.cancel().await?;
    equal("end of the other", &soon("the other", other.wait()).await??.end, &End::Cancelled)
}

async fn a_timeout_ends_a_command_nobody_reads(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mut process = sandbox.start(CommandSpec::new(["yes"]).timeout(TIMEOUT).grace(GRACE)).await?;
    equal("end", &soon("the command", process.wait()).await??.end, &End::TimedOut)
}

async fn a_command_that_is_faster_keeps_its_end(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let spec = CommandSpec::shell("exit 5").timeout(Duration::from_secs(60));
    equal("end", &soon("the command", sandbox.run(spec)).await??.finished.end, &End::Exited(5))?;
    // Nor is a signal it gave itself taken for ours.
    let spec = CommandSpec::shell("kill $$; sleep 600").timeout(Duration::from_secs(60));
    equal("end", &soon("the command", sandbox.run(spec)).await??.finished.end, &End::Signaled(15))
}

async fn cancelling_keeps_the_output_so_far(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mark = mark();
    let spec = CommandSpec::shell("echo out; echo err >&2; sleep $MARK").env("MARK", &mark).grace(GRACE);
    let mut process = sandbox.start(spec).await?;
    until_marked(&*sandbox, &mark, 1).await?;
    process.control.cancel().await?;
    equal("end", &soon("the command", process.wait()).await??.end, &End::Cancelled)?;
    equal("standard output", &read_all(process.stdout.take()).await?, &b"out\n".to_vec())?;
    equal("standard error", &read_all(process.stderr.take()).await?, &b"err\n".to_vec())
}

async fn cancelling_kills_every_descendant(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mark = mark();
    let spec = CommandSpec::shell(format!("{STAYERS} wait")).env("MARK", &mark).grace(GRACE);
    let mut process = sandbox.start(spec).await?;
    until_marked(&*sandbox, &mark, STAYERS_COUNT).await?;
    process.control.cancel().await?;
    let finished = soon("the command", process.wait()).await??;
    equal("end", &finished.end, &End::Cancelled)?;
    empty("what is said to be left", &finished.leaked)?;
    empty("what is left", &marked(&*sandbox, &mark).await?)
}

async fn cancelling_lets_a_handler_run(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mut process = sandbox.start(CommandSpec::shell(HANDLER).grace(Duration::from_secs(10))).await?;
    wait_for_ready(&mut process).await?;
    process.control.cancel().await?;
    equal("output", &soon("the output", read_all(process.stdout.take())).await??, &b"cleaned\n".to_vec())?;
    equal("end", &soon("the command", process.wait()).await??.end, &End::Cancelled)
}

async fn wait_for_ready(process: &mut Process) -> CaseResult {
    let mut line = [0; 6];
    if let Some(stdout) = &mut process.stdout {
        soon("the first line", stdout.read_exact(&mut line)).await??;
    }
    equal("first line", &line, b"ready\n")
}

async fn cancelling_twice_or_too_late_is_fine(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mut process = sandbox.start(CommandSpec::new(["sleep", "600"]).grace(GRACE)).await?;
    process.control.cancel().await?;
    process.control.cancel().await?;
    equal("end", &soon("the command", process.wait()).await??.end, &End::Cancelled)?;
    process.control.cancel().await?;
    let mut process = sandbox.start(CommandSpec::shell("exit 8")).await?;
    equal("end", &soon("the command", process.wait()).await??.end, &End::Exited(8))?;
    process.control.cancel().await?;
    equal("end", &soon("the command", process.wait()).await??.end, &End::Exited(8))
}
