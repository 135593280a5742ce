//! A sandbox, or whoever is on the stream, that means harm.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use oh_runtime::{
    CommandSpec, Duplex, End, ErrorKind, OomScope, Outcome, Resources, Sandbox, SandboxExt, SandboxSpec,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::case::{AGENT_PROTECTED, Case, PROCESS_LIMIT, RESOURCE_LIMITS, case};
use crate::context::Context;
use crate::data::noise;
use crate::failure::{CaseResult, Failure, check, empty, equal};
use crate::probe::{script, soon, text, until_closed};

/// How the preamble of a connection begins, in either direction; version and two bytes of zero follow.
const MAGIC: &[u8; 8] = b"oh-agent";
/// How long a sandbox may take to answer that was treated badly.
const ANSWER: Duration = Duration::from_secs(20);

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(killing_everything_leaves_the_sandbox),
        case!(killing_everything_invents_no_exit_codes),
        case!(killing_its_parent_tells_nothing_false),
        case!(the_agent_cannot_be_killed).needs(&[AGENT_PROTECTED]),
        case!(the_agent_cannot_be_read).needs(&[AGENT_PROTECTED]),
        case!(another_protocol_version_is_refused),
        case!(garbage_closes_the_connection),
        case!(a_frame_over_the_limit_closes_the_connection),
        case!(a_silent_connection_holds_nobody_up),
        case!(a_connection_cut_in_a_frame_harms_nobody),
        case!(the_process_limit_holds).needs(&[PROCESS_LIMIT]),
        case!(the_memory_limit_takes_the_command).needs(&[RESOURCE_LIMITS]),
    ]
}

/// Fails unless the same agent still answers and runs commands.
pub(super) async fn still_answers(sandbox: &dyn Sandbox, boot: u128) -> CaseResult {
    let info = sandbox.connect(ANSWER).await?;
    equal("boot of the agent", &info.boot, &boot)?;
    equal("output", &soon("a command", script(sandbox, "echo here")).await??, &"here\n")
}

pub(super) async fn boot(sandbox: &dyn Sandbox) -> CaseResult<u128> {
    Ok(sandbox.connect(ANSWER).await?.boot)
}

/// Fails where killing everything would kill more than the sandbox.
pub(super) async fn has_its_own_processes(sandbox: &dyn Sandbox) -> CaseResult {
    let inside = script(sandbox, "readlink /proc/self/ns/pid").await?;
    let outside = std::fs::read_link("/proc/self/ns/pid")?;
    check(
        outside.as_os_str() != inside.trim(),
        "the sandbox shares the processes of this test: not killing them",
    )
}

async fn killing_everything_leaves_the_sandbox(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    has_its_own_processes(&*sandbox).await?;
    let boot = boot(&*sandbox).await?;
    for _ in 0..3 {
        let killer = sandbox.run(CommandSpec::shell("kill -9 -1; exit 5"));
        // It kills all but itself, its supervisor included. Whether it is then seen to exit, is killed as a stray, or is
        // lost from sight: all of that is true.
        match soon("the killer", killer).await? {
            Ok(output) => {
                let end = output.finished.end;
                check([End::Exited(5), End::Signaled(9)].contains(&end), format!("it {end}"))?;
            }
            Err(error) => equal("outcome", &error.outcome(), &Outcome::Unknown)?,
        }
        still_answers(&*sandbox, boot).await?;
    }
    Ok(())
}

async fn killing_everything_invents_no_exit_codes(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    has_its_own_processes(&*sandbox).await?;
    let boot = boot(&*sandbox).await?;
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(sandbox.start(CommandSpec::shell("sleep 600; exit 0")).await?);
    }
    let killer = CommandSpec::new(["python3", "-c", "import os; os.kill(-1, 9)"]);
    let _ = soon("the killer", sandbox.run(killer)).await?;
    for other in &mut others {
        match soon("a command that was killed", other.wait()).await? {
            Ok(finished) => equal("end", &finished.end, &End::Signaled(9))?,
            Err(error) => equal("outcome", &error.outcome(), &Outcome::Unknown)?,
        }
    }
    still_answers(&*sandbox, boot).await
}

async fn killing_its_parent_tells_nothing_false(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    let boot = boot(&*sandbox).await?;
    let script = "[ $PPID -gt 1 ] && kill -9 $PPID; sleep 1; echo end; exit 7";
    // Many at once: the agent may learn of the killed parent before it learns that the command runs.
    let commands = (0..20).map(|_| sandbox.run(CommandSpec::shell(script)));
    for output in soon("the commands", futures::future::join_all(commands)).await? {
        match output {
            Ok(output) => {
                equal("end", &output.finished.end, &End::Exited(7))?;
                equal("output", &text(&output), &"end\n")?;
            }
            Err(error) => equal("outcome", &error.outcome(), &Outcome::Unknown)?,
        }
    }
    still_answers(&*sandbox, boot).await
}

async fn the_agent_cannot_be_killed(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    let boot = boot(&*sandbox).await?;
    // Every signal there is, one after the other: pending ones would hide each other.
    let kill = "for signal in $(seq 1 64); do kill -$signal 1 2>/dev/null; sleep 0.02; done; true";
    script(&*sandbox, kill).await?;
    still_answers(&*sandbox, boot).await
}

async fn the_agent_cannot_be_read(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    // `ls` of the descriptors fails too where reading their targets is what is forbidden.
    for look in [
        "cat /proc/1/environ",
        "cat /proc/1/maps",
        "head -c 1 /proc/1/mem",
        "ls -l /proc/1/fd/",
        "readlink /proc/1/exe",
    ] {
        let output = sandbox.run(CommandSpec::shell(look)).await?;
        check(!output.finished.end.success(), format!("`{look}` succeeds: {:?}", text(&output)))?;
    }
    let attach = "import ctypes, sys; libc = ctypes.CDLL(None, use_errno=True)\n\
                  sys.exit(0 if libc.ptrace(16, 1, 0, 0) == 0 else 1)";
    let output = sandbox.run(CommandSpec::new(["python3", "-c", attach])).await?;
    equal("end of attaching as a debugger", &output.finished.end, &End::Exited(1))
}

/// A connection to the agent without a client.
async fn connection(cx: &Context, sandbox: &dyn Sandbox) -> CaseResult<Box<dyn Duplex>> {
    let stream = cx.runtime()?.backend().open_stream(sandbox.incarnation());
    Ok(soon("opening a connection", stream).await??)
}

pub(super) fn preamble(version: u16) -> Vec<u8> {
    [MAGIC.as_slice(), &version.to_le_bytes(), &[0, 0]].concat()
}

/// The agent's version, from its own preamble.
fn version(bytes: &[u8]) -> CaseResult<u16> {
    match bytes {
        [magic @ .., low, high, 0, 0] if magic == MAGIC => Ok(u16::from_le_bytes([*low, *high])),
        other => Err(Failure::new(format!("the agent's preamble is {other:?}"))),
    }
}

/// Exchanges preambles with a version the agent does not have, and returns the one it has.
pub(super) async fn refused_version(cx: &Context, sandbox: &dyn Sandbox) -> CaseResult<u16> {
    let mut stream = connection(cx, sandbox).await?;
    stream.write_all(&preamble(u16::MAX)).await?;
    stream.flush().await?;
    let said = until_closed(&mut stream).await?;
    version(&said)
}

/// A connection of a session of its own, which has just begun.
async fn greeted(cx: &Context, sandbox: &dyn Sandbox) -> CaseResult<Box<dyn Duplex>> {
    let version = refused_version(cx, sandbox).await?;
    let mut stream = connection(cx, sandbox).await?;
    stream.write_all(&preamble(version)).await?;
    stream.flush().await?;
    let mut answer = [0; 12];
    soon("the agent's preamble", stream.read_exact(&mut answer)).await??;
    equal("preamble", &answer.as_slice(), &preamble(version))?;
    // A frame on channel 0 with the message "join": the session's number, that it is new, nothing received.
    static SESSIONS: AtomicU8 = AtomicU8::new(1);
    let session = SESSIONS.fetch_add(1, Ordering::Relaxed) & 0x7f;
    stream.write_all(&[0, 0, 0, 0, 4, 0, 0, 0, 0, session, 1, 0]).await?;
    stream.flush().await?;
    Ok(stream)
}

async fn another_protocol_version_is_refused(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let boot = boot(&*sandbox).await?;
    let version = refused_version(cx, &*sandbox).await?;
    check(version != u16::MAX && version > 0, format!("the agent's version is {version}"))?;
    still_answers(&*sandbox, boot).await
}

async fn garbage_closes_the_connection(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let boot = boot(&*sandbox).await?;
    for garbage in [noise(10, 1000), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), vec![0; 100]] {
        let mut stream = connection(cx, &*sandbox).await?;
        // The agent may be faster in closing than we in writing.
        let _ = stream.write_all(&garbage).await;
        let _ = stream.flush().await;
        let said = until_closed(&mut stream).await?;
        check(said.len() <= 12, format!("the agent answers garbage with {} bytes", said.len()))?;
    }
    let mut stream = greeted(cx, &*sandbox).await?;
    let _ = stream.write_all(&noise(11, 5000)).await;
    let _ = stream.flush().await;
    until_closed(&mut stream).await?;
    still_answers(&*sandbox, boot).await
}

async fn a_frame_over_the_limit_closes_the_connection(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let boot = boot(&*sandbox).await?;
    // Header: channel, length, kind (data), stream. The length alone is wrong.
    let mut frame = [1u32.to_le_bytes().as_slice(), &u16::MAX.to_le_bytes(), &[2, 0]].concat();
    frame.extend(noise(12, usize::from(u16::MAX)));
    let mut stream = greeted(cx, &*sandbox).await?;
    let _ = stream.write_all(&frame).await;
    let _ = stream.flush().await;
    until_closed(&mut stream).await?;
    still_answers(&*sandbox, boot).await
}

async fn a_silent_connection_holds_nobody_up(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let boot = boot(&*sandbox).await?;
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(connection(cx, &*sandbox).await?);
    }
    let also = greeted(cx, &*sandbox).await?;
    still_answers(&*sandbox, boot).await?;
    drop((silent, also));
    still_answers(&*sandbox, boot).await
}

async fn a_connection_cut_in_a_frame_harms_nobody(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let boot = boot(&*sandbox).await?;
    for cut in [1, 5, 8, 100] {
        // A frame of 1000 bytes of data, of which only some are sent.
        let frame =
            [1u32.to_le_bytes().as_slice(), &1000u16.to_le_bytes(), &[2, 0], &noise(13, 1000)].concat();
        let mut stream = greeted(cx, &*sandbox).await?;
        stream.write_all(&frame[..cut]).await?;
        stream.flush().await?;
        drop(stream);
    }
    still_answers(&*sandbox, boot).await
}

async fn the_process_limit_holds(cx: &Context) -> CaseResult {
    let resources = Resources { pids: 64, ..Resources::default() };
    let sandbox = cx.runtime()?.create(&SandboxSpec { resources, ..cx.spec()? }).await?;
    let boot = boot(&*sandbox).await?;
    let bomb = "import os, time\n\
                count = 0\n\
                try:\n    while count < 500:\n        if os.fork() == 0:\n            time.sleep(600); os._exit(0)\n        count += 1\n\
                except BlockingIOError: pass\n\
                print(count, flush=True)\n\
                time.sleep(600)";
    let spec = CommandSpec::new(["python3", "-c", bomb]).grace(Duration::from_millis(100));
    let mut process = sandbox.start(spec).await?;
    let mut line = Vec::new();
    let mut stdout = process.stdout.take().ok_or_else(|| Failure::new("it has no standard output"))?;
    while !line.ends_with(b"\n") {
        line.push(soon("the count", stdout.read_u8()).await??);
    }
    let count: u32 = String::from_utf8_lossy(&line).trim().parse()?;
    check((1..64).contains(&count), format!("{count} processes were possible with a limit of 64"))?;
    // While it is full, a command cannot be started, and says so.
    match soon("a command", sandbox.run(CommandSpec::new(["true"]))).await? {
        Ok(output) => equal("end", &output.finished.end, &End::Exited(0))?,
        Err(error) => equal("kind", &error.kind(), &ErrorKind::ExecNoResources)?,
    }
    process.control.cancel().await?;
    let finished = soon("the command", process.wait()).await??;
    equal("end", &finished.end, &End::Cancelled)?;
    empty("what is said to be left", &finished.leaked)?;
    still_answers(&*sandbox, boot).await
}

async fn the_memory_limit_takes_the_command(cx: &Context) -> CaseResult {
    let resources = Resources { memory: 128 << 20, ..Resources::default() };
    let sandbox = cx.runtime()?.create(&SandboxSpec { resources, ..cx.spec()? }).await?;
    let eat = "print('eating', flush=True); held = bytearray(1 << 30); print('ate')";
    match soon("the command", sandbox.run(CommandSpec::new(["python3", "-c", eat]))).await? {
        Ok(output) => {
            equal("output", &text(&output), &"eating\n")?;
            equal("end", &output.finished.end, &End::OomKilled(OomScope::Process))?;
            soon("a command", script(&*sandbox, "true")).await?.map(drop)
        }
        // Where the kernel takes the whole sandbox, that is what has to be said.
        Err(error) => {
            equal("kind", &error.kind(), &ErrorKind::OomKilled)?;
            equal("outcome", &error.outcome(), &Outcome::Finished(End::OomKilled(OomScope::Sandbox)))
        }
    }
}
