//! One command: its pipes, its timeout, its end.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::pipe2;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::agent::Agent;
use super::awake::awake_for;
use super::cgroup::Counts;
use super::commands::Entry;
use super::connection::Order;
use super::control::{self, FromSupervisor, Launch, Status, ToSupervisor};
use super::pump::{self, Stdin};
use super::spool::{Spool, Unread};
use super::supervisors::Supervisor;
use super::{note, terminal, tree};
use crate::protocol::{ChildrenUsage, Command, EndReport, Failure, FailureKind, Usage, WireEnd};

/// How long starting may take: it is a fork, an exec, and another fork and exec.
const START: Duration = Duration::from_secs(60);
/// How much longer than the grace a supervisor may take to kill its command, before it is taken for stopped from
/// inside.
const KILL: Duration = Duration::from_secs(10);
/// How long a supervisor may take to hear of a signal.
const SIGNAL: Duration = Duration::from_secs(1);
/// Orders that wait to be obeyed.
const ORDERS: usize = 64;
/// How often a command without supervisor is looked after.
const LOOK_AFTER: Duration = Duration::from_millis(50);

fn lost(message: &str) -> Failure {
    Failure { kind: FailureKind::ExecLost, message: message.to_owned() }
}

fn no_resources(error: impl std::fmt::Display) -> Failure {
    let message = format!("the sandbox has no room for another process: {error}");
    Failure { kind: FailureKind::ExecNoResources, message }
}

/// Our ends of a command's standard streams; one end of a terminal stands for all.
struct Streams {
    stdin: Option<Rc<Stdin>>,
    stdout: pipe::Receiver,
    stderr: Option<pipe::Receiver>,
    terminal: Option<Rc<Stdin>>,
}

/// Both ends of a command's standard streams.
fn streams(spec: &Command) -> io::Result<(Streams, [OwnedFd; 3])> {
    if let Some(size) = spec.terminal {
        let (ours, theirs) = terminal::open(size)?;
        let to = pipe::Sender::from_owned_fd_unchecked(ours.try_clone()?)?;
        let terminal = Rc::new(Stdin { to, terminal: true });
        let streams = Streams {
            stdin: spec.stdin.then(|| Rc::clone(&terminal)),
            stdout: pipe::Receiver::from_owned_fd_unchecked(ours)?,
            stderr: None,
            terminal: Some(terminal),
        };
        return Ok((streams, [theirs.try_clone()?, theirs.try_clone()?, theirs]));
    }
    let (stdout, their_stdout) = pipe2(OFlag::O_CLOEXEC)?;
    let (stderr, their_stderr) = pipe2(OFlag::O_CLOEXEC)?;
    let (stdin, their_stdin) = if spec.stdin {
        let (theirs, ours) = pipe2(OFlag::O_CLOEXEC)?;
        let to = pipe::Sender::from_owned_fd(ours)?;
        (Some(Rc::new(Stdin { to, terminal: false })), theirs)
    } else {
        (None, OwnedFd::from(File::open("/dev/null")?))
    };
    let streams = Streams {
        stdin,
        stdout: pipe::Receiver::from_owned_fd(stdout)?,
        stderr: Some(pipe::Receiver::from_owned_fd(stderr)?),
        terminal: None,
    };
    Ok((streams, [their_stdin, their_stdout, their_stderr]))
}

/// A command that runs.
struct Running {
    sequence: u64,
    /// The command's own process.
    pid: u32,
    supervisor: Supervisor,
    /// Its end, should its supervisor be killed.
    status: watch::Receiver<Option<Status>>,
}

async fn launch(agent: &Agent, spec: &Command) -> Result<(Running, Streams), Failure> {
    let (streams, theirs) = streams(spec).map_err(no_resources)?;
    let launch = Launch { environment: agent.environment.clone(), command: spec.clone() };
    let message = control::frame(&ToSupervisor::Start(launch)).map_err(|_| Failure {
        kind: FailureKind::ExecTooBig,
        message: "arguments and environment are too large".to_owned(),
    })?;
    let _starting = agent.reaper.starting();
    let (mut supervisor, sent) = agent.idle.employ(&agent.reaper, &message, &theirs).map_err(no_resources)?;
    drop(theirs);
    let started = async {
        supervisor.socket.write_all(&message[sent..]).await?;
        supervisor.inbox.next(&mut supervisor.socket).await
    };
    match timeout(START, started).await {
        Ok(Ok(FromSupervisor::Started { pid })) => {
            let sequence = agent.next_sequence();
            let status = agent.reaper.expect(sequence, pid);
            Ok((Running { sequence, pid, supervisor, status }, streams))
        }
        Ok(Ok(FromSupervisor::StartFailed(failure))) => {
            agent.idle.add(supervisor);
            Err(failure)
        }
        Ok(Ok(_) | Err(_)) => Err(lost("its supervisor was killed from inside while it started")),
        Err(_) => {
            tree::signal(&[supervisor.pid], Signal::SIGKILL);
            Err(lost(&format!("its supervisor did not answer within {} s", START.as_secs())))
        }
    }
}

/// Starts a command. From then on it goes on by itself, whoever reads it.
pub(super) async fn start(agent: &Rc<Agent>, spec: Command) -> Result<Rc<Entry>, Failure> {
    let begun = Instant::now();
    let counts = agent.counters.now();
    let (mut running, streams) = launch(agent, &spec).await?;
    let sequence = running.sequence;
    let program = spec.argv.first().cloned().unwrap_or_default();
    note(&format!("command {sequence} started: {:?}", String::from_utf8_lossy(&program)));

    let unread = if spec.background { Unread::Last } else { Unread::Held };
    let (stdout, stderr) = (Spool::new(&agent.room, unread), Spool::new(&agent.room, unread));
    let (over, whether_over) = watch::channel(false);
    tokio::task::spawn_local(pump::out(streams.stdout, Rc::clone(&stdout), whether_over.clone()));
    match streams.stderr {
        Some(pipe) => drop(tokio::task::spawn_local(pump::out(pipe, Rc::clone(&stderr), whether_over))),
        None => stderr.end(),
    }
    let (orders, mut ordered) = mpsc::channel(ORDERS);
    let (tell, ended) = watch::channel(None);
    let entry = Rc::new(Entry {
        sequence,
        program,
        begun,
        stdout,
        stderr,
        stdin: RefCell::new(streams.stdin),
        stdin_written: Cell::new(0),
        terminal: streams.terminal,
        orders,
        ended,
        holder: watch::channel(0).0,
        attachments: Cell::new(0),
    });
    let (agent, [stdout, stderr]) = (Rc::clone(agent), [Rc::clone(&entry.stdout), Rc::clone(&entry.stderr)]);
    tokio::task::spawn_local(async move {
        let limits = Limits {
            timeout: spec.timeout_ms.map(Duration::from_millis),
            grace: Duration::from_millis(spec.grace_ms),
            begun,
        };
        let result = watch_over(&mut running, &limits, &mut ordered).await;
        let by_itself = matches!(&result, Ok(Over { end: WireEnd::Exited(_) | WireEnd::Signaled(_), .. }));
        agent.reaper.forget(sequence);
        let wall = begun.elapsed();
        over.send_replace(true);
        let counts = agent.counters.now().since(counts);
        let result = result.map(|Over { end, leaked, children }| EndReport {
            end: oom_verdict(end, counts),
            wall_us: micros(wall),
            leaked,
            usage: Usage {
                children,
                oom_kills: counts.oom_kills,
                throttled_us: counts.throttled_us,
                blocked_us: micros(stdout.blocked().max(stderr.blocked())),
            },
        });
        match &result {
            Ok(report) => note(&format!("command {sequence} ended: {:?}", report.end)),
            Err(failure) => note(&format!("command {sequence} lost: {}", failure.message)),
        }
        tell.send_replace(Some(result));
        agent.commands.tidy();
        // What the command left in the background keeps its supervisor.
        let mut supervisor = running.supervisor;
        if by_itself && supervisor.drained().await.is_ok() {
            agent.idle.add(supervisor);
        }
    });
    Ok(entry)
}

/// Microseconds, as they are sent.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn oom_verdict(end: WireEnd, counts: Counts) -> WireEnd {
    let killed = end == WireEnd::Signaled(Signal::SIGKILL as i32);
    if killed && counts.oom_kills.is_some_and(|kills| kills > 0) { WireEnd::OomKilled } else { end }
}

struct Limits {
    timeout: Option<Duration>,
    grace: Duration,
    begun: Instant,
}

impl Limits {
    /// Waits until the command's time is over; for ever when it has no limit.
    async fn over(&self) {
        match self.timeout {
            Some(timeout) => awake_for(timeout.saturating_sub(self.begun.elapsed())).await,
            None => std::future::pending().await,
        }
    }
}

/// How a command ended.
struct Over {
    end: WireEnd,
    leaked: Vec<u32>,
    children: Option<ChildrenUsage>,
}

/// Waits for the command's end, and kills it when its time is over or it is cancelled.
async fn watch_over(
    running: &mut Running,
    limits: &Limits,
    orders: &mut mpsc::Receiver<Order>,
) -> Result<Over, Failure> {
    let mut time_over = std::pin::pin!(limits.over());
    let (mut read, mut write) = running.supervisor.socket.split();
    let asked = loop {
        tokio::select! {
            biased;
            message = running.supervisor.inbox.next(&mut read) => match message {
                Ok(FromSupervisor::Exited(status, children)) => {
                    return Ok(Over { end: end_of(status), leaked: Vec::new(), children: Some(children) });
                }
                _ => break None,
            },
            () = &mut time_over => break Some(WireEnd::TimedOut),
            order = next(orders) => match order {
                Order::Signal(signal) => {
                    let message = ToSupervisor::Signal(signal);
                    // One that was stopped from inside takes nothing: the command's signals wait with it.
                    let _ = timeout(SIGNAL, control::write_async(&mut write, &message)).await;
                }
                Order::Cancel => break Some(WireEnd::Cancelled),
                Order::Resize(_) | Order::Close { .. } | Order::Sent(_) => {}
            },
        }
    };
    match asked {
        Some(end) => kill(running, limits.grace, end).await,
        None => without_supervisor(running, time_over, orders).await,
    }
}

/// The next order; never when nobody can give any.
async fn next(orders: &mut mpsc::Receiver<Order>) -> Order {
    match orders.recv().await {
        Some(order) => order,
        None => std::future::pending().await,
    }
}

/// Waits until the command is cancelled.
async fn cancelled(orders: &mut mpsc::Receiver<Order>) {
    while !matches!(next(orders).await, Order::Cancel) {}
}

const fn end_of(status: Status) -> WireEnd {
    match status {
        Status::Exited(code) => WireEnd::Exited(code),
        Status::Signaled(signal) => WireEnd::Signaled(signal),
    }
}

/// Has the supervisor kill everything; without a supervisor that obeys, does it here.
async fn kill(running: &mut Running, grace: Duration, end: WireEnd) -> Result<Over, Failure> {
    let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    let obeyed = async {
        let supervisor = &mut running.supervisor;
        control::write_async(&mut supervisor.socket, &ToSupervisor::Kill { grace_ms }).await?;
        let (leaked, children) = supervisor.drained().await?;
        Ok::<_, io::Error>(Over { end, leaked, children: Some(children) })
    };
    if let Ok(Ok(over)) = timeout(grace.saturating_add(KILL), obeyed).await {
        return Ok(over);
    }
    let mut victims = tree::descendants(running.supervisor.pid);
    victims.push(running.pid);
    victims.push(running.supervisor.pid);
    tree::signal(&victims, Signal::SIGKILL);
    let gone = async {
        while running.status.borrow().is_none() && tree::parent(running.pid).is_some() {
            let _ = timeout(LOOK_AFTER, running.status.changed()).await;
        }
    };
    let leaked = timeout(KILL, gone).await.err().map(|_| running.pid);
    Ok(Over { end, leaked: leaked.into_iter().collect(), children: None })
}

/// Its supervisor was killed from inside. The command is our child now, and its end comes to the reaper.
async fn without_supervisor(
    running: &mut Running,
    mut time_over: Pin<&mut impl Future<Output = ()>>,
    orders: &mut mpsc::Receiver<Order>,
) -> Result<Over, Failure> {
    let mut killed = None;
    loop {
        if let Some(status) = *running.status.borrow_and_update() {
            let end = killed.unwrap_or(end_of(status));
            return Ok(Over { end, leaked: Vec::new(), children: None });
        }
        // The socket closes a moment before the kernel hands over the child.
        let ours = [std::process::id(), running.supervisor.pid];
        if !tree::parent(running.pid).is_some_and(|parent| ours.contains(&parent)) {
            return Err(lost(
                "it was killed together with its supervisor from inside, and nobody saw how it ended",
            ));
        }
        tokio::select! {
            _ = running.status.changed() => continue,
            () = tokio::time::sleep(LOOK_AFTER) => {}
            () = &mut time_over, if killed.is_none() => killed = Some(WireEnd::TimedOut),
            () = cancelled(orders), if killed.is_none() => killed = Some(WireEnd::Cancelled),
        }
        if killed.is_some() {
            let mut victims = tree::descendants(running.pid);
            victims.push(running.pid);
            tree::signal(&victims, Signal::SIGKILL);
        }
    }
}
