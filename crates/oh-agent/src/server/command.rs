//! One command: its pipes, its timeout, its end.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::{Command as Program, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::unistd::pipe2;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout};

use super::connection::{Channel, Sessions};
use super::control::{self, FromSupervisor, Launch, Status, ToSupervisor};
use super::pump;
use super::reaper::Reaper;
use super::{log, oom, tree};
use crate::protocol::{Command, EndReport, Failure, FailureKind, FromAgent, WireEnd};

/// How long starting may take: it is a fork, an exec, and another fork and exec.
const START: Duration = Duration::from_secs(60);
/// How much longer than the grace a supervisor may take to kill its command, before it is taken for stopped from
/// inside.
const KILL: Duration = Duration::from_secs(10);
/// How often a command without supervisor is looked after.
const LOOK_AFTER: Duration = Duration::from_millis(50);

/// The agent's state.
pub(super) struct Agent {
    pub(super) boot: u128,
    pub(super) reaper: Reaper,
    pub(super) sessions: Sessions,
    /// What every command gets, before its own.
    pub(super) environment: Vec<(Vec<u8>, Vec<u8>)>,
    sequence: Cell<u64>,
}

impl Agent {
    pub(super) fn new(boot: u128, environment: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        let (reaper, sessions) = (Reaper::default(), Sessions::default());
        Self { boot, reaper, sessions, environment, sequence: Cell::new(0) }
    }

    fn launch(&self, spec: &Command) -> Launch {
        let mut env = self.environment.clone();
        env.retain(|(name, _)| !spec.env.iter().any(|(own, _)| own == name));
        env.extend(spec.env.iter().cloned());
        Launch { argv: spec.argv.clone(), env, cwd: spec.cwd.clone() }
    }
}

fn lost(message: &str) -> Failure {
    Failure { kind: FailureKind::ExecLost, message: message.to_owned() }
}

fn no_resources(error: impl std::fmt::Display) -> Failure {
    let message = format!("the sandbox has no room for another process: {error}");
    Failure { kind: FailureKind::ExecNoResources, message }
}

/// Our ends of a command's standard streams.
struct Pipes {
    stdin: Option<pipe::Sender>,
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
}

fn pipes(stdin: bool) -> io::Result<(Pipes, [OwnedFd; 3])> {
    let (stdout, their_stdout) = pipe2(OFlag::O_CLOEXEC)?;
    let (stderr, their_stderr) = pipe2(OFlag::O_CLOEXEC)?;
    let (stdin, their_stdin) = if stdin {
        let (theirs, ours) = pipe2(OFlag::O_CLOEXEC)?;
        (Some(pipe::Sender::from_owned_fd(ours)?), theirs)
    } else {
        (None, OwnedFd::from(File::open("/dev/null")?))
    };
    let ours = Pipes {
        stdin,
        stdout: pipe::Receiver::from_owned_fd(stdout)?,
        stderr: pipe::Receiver::from_owned_fd(stderr)?,
    };
    Ok((ours, [their_stdin, their_stdout, their_stderr]))
}

/// A command that runs.
struct Running {
    sequence: u64,
    /// The command's own process.
    pid: u32,
    supervisor: u32,
    socket: UnixStream,
    /// Its end, should its supervisor be killed.
    status: watch::Receiver<Option<Status>>,
}

async fn start(agent: &Agent, spec: &Command) -> Result<(Running, Pipes), Failure> {
    let (pipes, theirs) = pipes(spec.stdin).map_err(no_resources)?;
    let (ours, their_socket) = StdUnixStream::pair().map_err(no_resources)?;
    let _starting = agent.reaper.starting();
    let supervisor = Program::new("/proc/self/exe")
        .arg("supervise")
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(their_socket)))
        .stdout(Stdio::null())
        .spawn()
        .map_err(no_resources)?
        .id();
    agent.reaper.supervisor(supervisor);
    let message = control::frame(&ToSupervisor::Start(agent.launch(spec))).map_err(|_| Failure {
        kind: FailureKind::ExecTooBig,
        message: "arguments and environment are too large".to_owned(),
    })?;
    let (length, body) = message.split_at(4);
    let fds = [theirs[0].as_raw_fd(), theirs[1].as_raw_fd(), theirs[2].as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(ours.as_raw_fd(), &[IoSlice::new(length)], &rights, MsgFlags::MSG_NOSIGNAL, None)
        .map_err(no_resources)?;
    drop(theirs);
    let started = async {
        ours.set_nonblocking(true)?;
        let mut socket = UnixStream::from_std(ours)?;
        tokio::io::AsyncWriteExt::write_all(&mut socket, body).await?;
        Ok::<_, io::Error>((control::read_async(&mut socket).await?, socket))
    };
    match timeout(START, started).await {
        Ok(Ok((FromSupervisor::Started { pid }, socket))) => {
            let sequence = agent.sequence.get() + 1;
            agent.sequence.set(sequence);
            let status = agent.reaper.expect(sequence, pid);
            Ok((Running { sequence, pid, supervisor, socket, status }, pipes))
        }
        Ok(Ok((FromSupervisor::StartFailed(failure), _))) => Err(failure),
        Ok(Ok(_) | Err(_)) => Err(lost("its supervisor was killed from inside while it started")),
        Err(_) => {
            tree::signal(&[supervisor], Signal::SIGKILL);
            Err(lost(&format!("its supervisor did not answer within {} s", START.as_secs())))
        }
    }
}

/// Runs a command for a channel, to its end and its last output.
pub(super) async fn run(agent: Rc<Agent>, channel: Channel, spec: Command) {
    let begun = Instant::now();
    let oom_kills = oom::kills();
    let Channel { replies, input, output, error, cancelled } = channel;
    let (mut running, pipes) = match start(&agent, &spec).await {
        Ok(started) => started,
        Err(failure) => return replies.fail(failure),
    };
    let sequence = running.sequence;
    let program = spec.argv.first().map(|program| String::from_utf8_lossy(program).into_owned());
    log(&format!("command {sequence} started: {:?}", program.unwrap_or_default()));
    replies.say(&FromAgent::Started { sequence });

    let (over, ended) = watch::channel(false);
    let (input_cut, cut) = watch::channel(false);
    let outputs = [
        tokio::task::spawn_local(pump::out(pipes.stdout, output, ended.clone())),
        tokio::task::spawn_local(pump::out(pipes.stderr, error, ended)),
    ];
    let stdin = pipes.stdin.map(|pipe| tokio::task::spawn_local(pump::into(pipe, input, input_cut)));
    let limits = Limits {
        timeout: spec.timeout_ms.map(Duration::from_millis),
        grace: Duration::from_millis(spec.grace_ms),
        begun,
    };
    let result = watch_over(&mut running, &limits, cancelled, cut).await;
    agent.reaper.forget(sequence);
    let wall = begun.elapsed();
    over.send_replace(true);
    match result {
        Ok((end, leaked)) => {
            let end = oom_verdict(end, oom_kills);
            log(&format!("command {sequence} ended: {end:?}"));
            let wall_us = u64::try_from(wall.as_micros()).unwrap_or(u64::MAX);
            replies.say(&FromAgent::Ended(EndReport { end, wall_us, leaked }));
        }
        Err(failure) => {
            log(&format!("command {sequence} lost: {}", failure.message));
            replies.fail(failure);
        }
    }
    finish(stdin, outputs).await;
    // What the command left in the background keeps its supervisor.
    tokio::task::spawn_local(async move {
        while control::read_async::<FromSupervisor>(&mut running.socket).await.is_ok() {}
    });
}

async fn finish(stdin: Option<JoinHandle<()>>, outputs: [JoinHandle<()>; 2]) {
    if let Some(stdin) = stdin {
        stdin.abort();
    }
    for output in outputs {
        let _ = output.await;
    }
}

fn oom_verdict(end: WireEnd, before: Option<u64>) -> WireEnd {
    let killed = end == WireEnd::Signaled(Signal::SIGKILL as i32);
    if killed && before.zip(oom::kills()).is_some_and(|(before, now)| now > before) {
        WireEnd::OomKilled
    } else {
        end
    }
}

struct Limits {
    timeout: Option<Duration>,
    grace: Duration,
    begun: Instant,
}

/// Waits for the command's end, and kills it when its time is over, it is cancelled, or its input broke off.
async fn watch_over(
    running: &mut Running,
    limits: &Limits,
    mut cancelled: watch::Receiver<bool>,
    mut cut: watch::Receiver<bool>,
) -> Result<(WireEnd, Vec<u32>), Failure> {
    let deadline = limits.timeout.and_then(|timeout| limits.begun.checked_add(timeout));
    let asked = async {
        tokio::select! {
            () = until(deadline) => WireEnd::TimedOut,
            () = turned(&mut cancelled) => WireEnd::Cancelled,
            // Half an input must not look like a whole one.
            () = turned(&mut cut) => WireEnd::Cancelled,
        }
    };
    let (first, killed) = tokio::select! {
        biased;
        message = control::read_async(&mut running.socket) => (Some(message), None),
        end = asked => (None, Some(end)),
    };
    match (first, killed) {
        (_, Some(end)) => kill(running, limits.grace, end).await,
        (Some(Ok(FromSupervisor::Exited(status))), None) => Ok((end_of(status), Vec::new())),
        _ => without_supervisor(running, deadline, cancelled).await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Waits until a flag turns true; for ever when its owner is gone.
async fn turned(flag: &mut watch::Receiver<bool>) {
    if flag.wait_for(|on| *on).await.is_err() {
        std::future::pending().await
    }
}

const fn end_of(status: Status) -> WireEnd {
    match status {
        Status::Exited(code) => WireEnd::Exited(code),
        Status::Signaled(signal) => WireEnd::Signaled(signal),
    }
}

/// Has the supervisor kill everything; without a supervisor that obeys, does it here.
async fn kill(running: &mut Running, grace: Duration, end: WireEnd) -> Result<(WireEnd, Vec<u32>), Failure> {
    let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    let obeyed = async {
        control::write_async(&mut running.socket, &ToSupervisor::Kill { grace_ms }).await?;
        loop {
            if let FromSupervisor::Drained { leaked } = control::read_async(&mut running.socket).await? {
                return Ok::<_, io::Error>(leaked);
            }
        }
    };
    if let Ok(Ok(leaked)) = timeout(grace.saturating_add(KILL), obeyed).await {
        return Ok((end, leaked));
    }
    let mut victims = tree::descendants(running.supervisor);
    victims.push(running.pid);
    victims.push(running.supervisor);
    tree::signal(&victims, Signal::SIGKILL);
    let gone = async {
        while running.status.borrow().is_none() && tree::parent(running.pid).is_some() {
            let _ = timeout(LOOK_AFTER, running.status.changed()).await;
        }
    };
    let leaked = timeout(KILL, gone).await.err().map(|_| running.pid);
    Ok((end, leaked.into_iter().collect()))
}

/// Its supervisor was killed from inside. The command is our child now, and its end comes to the reaper.
async fn without_supervisor(
    running: &mut Running,
    deadline: Option<Instant>,
    mut cancelled: watch::Receiver<bool>,
) -> Result<(WireEnd, Vec<u32>), Failure> {
    let mut killed = None;
    loop {
        if let Some(status) = *running.status.borrow_and_update() {
            return Ok((killed.unwrap_or(end_of(status)), Vec::new()));
        }
        // The socket closes a moment before the kernel hands over the child.
        let ours = [std::process::id(), running.supervisor];
        if !tree::parent(running.pid).is_some_and(|parent| ours.contains(&parent)) {
            return Err(lost(
                "it was killed together with its supervisor from inside, and nobody saw how it ended",
            ));
        }
        tokio::select! {
            _ = running.status.changed() => continue,
            () = tokio::time::sleep(LOOK_AFTER) => {}
            () = until(deadline), if killed.is_none() => killed = Some(WireEnd::TimedOut),
            () = turned(&mut cancelled), if killed.is_none() => killed = Some(WireEnd::Cancelled),
        }
        if killed.is_some() {
            let mut victims = tree::descendants(running.pid);
            victims.push(running.pid);
            tree::signal(&victims, Signal::SIGKILL);
        }
    }
}
