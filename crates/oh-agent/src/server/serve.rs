//! The first process of a sandbox.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::agent::Agent;
use super::awake::awake_for;
use super::{bridge, command, connection, identity, log, supervise};
use crate::protocol::Command;

/// Between SIGTERM and SIGKILL when the whole sandbox ends.
const GRACE: Duration = Duration::from_secs(3);
/// Threads for file work.
const FILE_THREADS: usize = 64;

/// How to serve.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The sandbox's name.
    pub name: String,
    /// After this long it ends.
    pub ttl: Duration,
    /// When no client has had a stream for this long, it ends.
    pub lease: Option<Duration>,
    /// Listen on this file instead of the abstract address.
    pub socket: Option<PathBuf>,
    /// A command that is started at once and goes on beside all others, as one of them; none when it is empty.
    pub beside: Vec<OsString>,
}

/// Serves until SIGTERM from outside the sandbox or the end of its time; then ends every process of it.
///
/// # Errors
/// In words, when it is not the first process of a PID namespace, or cannot listen.
pub fn serve(options: &ServeOptions) -> Result<(), String> {
    if std::process::id() != 1 {
        return Err("serve has to be the first process of a sandbox, process 1".to_owned());
    }
    prctl::set_dumpable(false).map_err(|e| e.to_string())?;
    supervise::keep_descriptors_from_children().map_err(|e| e.to_string())?;
    let signals = SigSet::from_iter([Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT]);
    // All of them: the standard library handles some, and what it handles can be sent from inside.
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None).map_err(|e| e.to_string())?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).map_err(|e| e.to_string())?;
    let listener = listen(options).map_err(|e| format!("cannot listen: {e}"))?;
    let agent = Rc::new(Agent::new(boot_id().map_err(|e| format!("no randomness: {e}"))?, environment()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(FILE_THREADS)
        .build()
        .map_err(|e| e.to_string())?;
    let reason = LocalSet::new()
        .block_on(&runtime, run(options, agent, listener, signals))
        .map_err(|e| e.to_string())?;
    log(&format!("stopping: {reason}"));
    end_everything();
    Ok(())
}

fn listen(options: &ServeOptions) -> io::Result<StdUnixListener> {
    let listener = match &options.socket {
        Some(path) => StdUnixListener::bind(path)?,
        None => StdUnixListener::bind_addr(&bridge::address(&options.name)?)?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn boot_id() -> io::Result<u128> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u128::from_le_bytes(bytes))
}

/// The image's environment, as `docker exec` gives it: without what Kubernetes adds about its services.
fn environment() -> Vec<(Vec<u8>, Vec<u8>)> {
    std::env::vars_os()
        .map(|(name, value)| (name.into_vec(), value.into_vec()))
        .filter(|(name, _)| !name.starts_with(b"KUBERNETES_"))
        .collect()
}

async fn run(
    options: &ServeOptions,
    agent: Rc<Agent>,
    listener: StdUnixListener,
    signals: SignalFd,
) -> io::Result<&'static str> {
    let listener = UnixListener::from_std(listener)?;
    let mut signals = watch_signals(signals);
    if !options.beside.is_empty() {
        start_beside(&agent, &options.beside).await?;
    }
    log(&format!("serving {:?} for at most {} s", options.name, options.ttl.as_secs()));
    let mut time_over = std::pin::pin!(awake_for(options.ttl));
    let mut abandoned = std::pin::pin!(async {
        match options.lease {
            Some(lease) => agent.abandoned(lease).await,
            None => std::future::pending().await,
        }
    });
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => match identity::check_peer(&stream) {
                    Ok(()) => {
                        tokio::task::spawn_local(connection::serve(Rc::clone(&agent), stream));
                    }
                    Err(reason) => log(&format!("refused a connection: {reason}")),
                },
                Err(error) => {
                    log(&format!("cannot accept a connection: {error}"));
                    // Out of descriptors: let some be closed first.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            signal = signals.recv() => match signal {
                Some(Incoming::ChildEnded) => agent.reaper.reap(),
                Some(Incoming::Stop) => return Ok("told to"),
                None => return Err(io::Error::other("signals cannot be received")),
            },
            () = &mut time_over => return Ok("its time to live is over"),
            () = &mut abandoned => return Ok("its lease is over: no client has been connected for so long"),
        }
    }
}

/// Starts the command that belongs to the sandbox. Clients find it among the others.
async fn start_beside(agent: &Rc<Agent>, argv: &[OsString]) -> io::Result<()> {
    let argv = argv.iter().map(|word| word.as_bytes().to_vec()).collect();
    let command =
        Command { argv, background: true, grace_ms: GRACE.as_millis() as u64, ..Command::default() };
    match command::start(agent, command).await {
        Ok(entry) => {
            agent.commands.add(&entry);
            Ok(())
        }
        Err(failure) => {
            Err(io::Error::other(format!("the command beside it cannot be started: {}", failure.message)))
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Incoming {
    ChildEnded,
    Stop,
}

/// Receives signals on a thread of its own. Only a sender outside the sandbox may stop it: one inside has a number.
fn watch_signals(signals: SignalFd) -> mpsc::UnboundedReceiver<Incoming> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        loop {
            let info = match signals.read_signal() {
                Ok(Some(info)) => info,
                Ok(None) | Err(Errno::EINTR) => continue,
                Err(_) => return,
            };
            let sent = match (info.ssi_signo == Signal::SIGCHLD as u32, info.ssi_pid) {
                (true, _) => sender.send(Incoming::ChildEnded),
                (false, 0) => sender.send(Incoming::Stop),
                (false, _) => Ok(()),
            };
            if sent.is_err() {
                return;
            }
        }
    });
    receiver
}

fn end_everything() {
    // As process 1: every other process of the namespace.
    let all = Pid::from_raw(-1);
    let _ = kill(all, Signal::SIGTERM);
    let _ = kill(all, Signal::SIGCONT);
    if !children_end_within(GRACE) {
        let _ = kill(all, Signal::SIGKILL);
        children_end_within(GRACE);
    }
}

fn children_end_within(time: Duration) -> bool {
    let deadline = Instant::now() + time;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return true,
            Ok(WaitStatus::StillAlive) if Instant::now() >= deadline => return false,
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(10)),
            _ => {}
        }
    }
}
