//! The process between agent and command: one for each command that runs.
//!
//! It is a subreaper, so every orphan among the command's descendants becomes its child, whatever session or group it
//! moved to, and killing the command is signalling its descendants until none is left. Then it waits for another command,
//! unless it had to kill. It blocks every signal it can and gets its orders over a socket, its standard input.

use std::io::{self, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::{self, rusage};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, killpg, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::Pid;

use super::control::{self, FromSupervisor, LENGTH, Launch, Status, ToSupervisor};
use super::{launch, tree};
use crate::protocol::ChildrenUsage;

/// Commands are the OOM killer's choice before the agent.
const OOM_SCORE: &str = "500";
/// How often it looks for descendants to kill that appeared meanwhile.
const KILL_AGAIN: Duration = Duration::from_millis(20);
/// How long it tries to kill what does not die.
const GIVE_UP: Duration = Duration::from_secs(5);

/// Runs commands for the agent, one after the other.
///
/// # Errors
/// In words, when it was not started by an agent.
pub fn supervise() -> Result<(), String> {
    let socket = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from).map_err(|e| e.to_string())?;
    // Not fatal where /proc is read-only: the kernel's own choice remains. Once undumpable, it would be refused.
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    prctl::set_dumpable(false).map_err(|e| e.to_string())?;
    prctl::set_child_subreaper(true).map_err(|e| e.to_string())?;
    let signals =
        SignalFd::with_flags(&SigSet::from(Signal::SIGCHLD), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(|e| e.to_string())?;
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None).map_err(|e| e.to_string())?;

    while let Some((launch, streams)) = receive(&socket).map_err(|e| format!("no command was sent: {e}"))? {
        let main = match launch::launch(launch, streams) {
            Ok(main) => main,
            Err(failure) => {
                say(&socket, &FromSupervisor::StartFailed(failure))?;
                continue;
            }
        };
        say(&socket, &FromSupervisor::Started { pid: main.as_raw().cast_unsigned() })?;
        let mut supervisor = Supervisor {
            socket: &socket,
            signals: &signals,
            main,
            running: true,
            children: ChildrenUsage::default(),
            killing: None,
            deaf: false,
            unsaid: Vec::new(),
        };
        supervisor.run()?;
        if supervisor.killing.is_some() || supervisor.deaf {
            break;
        }
    }
    Ok(())
}

fn say(socket: &UnixStream, message: &FromSupervisor) -> Result<(), String> {
    control::write(socket, message).map_err(|e| format!("the agent is gone: {e}"))
}

/// The next command, and its three standard streams; `None` when the agent has no other.
fn receive(socket: &UnixStream) -> io::Result<Option<(Launch, [OwnedFd; 3])>> {
    loop {
        let mut length = [0; LENGTH];
        let mut space = nix::cmsg_space!([std::os::fd::RawFd; 3]);
        let mut parts = [IoSliceMut::new(&mut length)];
        let message =
            recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
        let mut streams = Vec::new();
        for part in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(fds) = part {
                streams.extend(fds.into_iter().map(own));
            }
        }
        match message.bytes {
            0 => return Ok(None),
            LENGTH => {}
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        match control::read_body(socket, length)? {
            ToSupervisor::Start(launch) => {
                let streams = streams.try_into().map_err(|_| io::Error::other("three streams are needed"))?;
                return Ok(Some((launch, streams)));
            }
            // To the command before, which has ended meanwhile.
            ToSupervisor::Kill { .. } | ToSupervisor::Signal(_) => {}
        }
    }
}

#[expect(unsafe_code, reason = "the kernel hands over descriptors as numbers")]
pub(super) fn own(fd: std::os::fd::RawFd) -> OwnedFd {
    // SAFETY: recvmsg has just made this descriptor for us, and nobody else knows its number.
    unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) }
}

/// Descriptors the agent was started with end with it, instead of reaching commands.
#[expect(unsafe_code, reason = "the numbers come from /proc, not from an owner")]
pub(super) fn keep_descriptors_from_children() -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let Some(fd) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if fd > 2 {
            // SAFETY: setting a flag on a number that is no descriptor any more fails and does nothing else.
            unsafe { nix::libc::fcntl(fd, nix::libc::F_SETFD, nix::libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// A child that ended, how, and what it and those it waited for used; `None` when none has.
#[expect(unsafe_code, reason = "there is no safe way to learn what one child used")]
fn reaped() -> nix::Result<Option<(Pid, Status, rusage)>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<rusage>::zeroed();
    // SAFETY: both pointers are valid for the call.
    let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, usage.as_mut_ptr()) };
    // SAFETY: all zero is a valid value, and so is what the kernel writes.
    let usage = unsafe { usage.assume_init() };
    let pid = Errno::result(pid)?;
    let status = if libc::WIFEXITED(status) {
        Status::Exited(libc::WEXITSTATUS(status))
    } else {
        Status::Signaled(libc::WTERMSIG(status))
    };
    Ok((pid != 0).then_some((Pid::from_raw(pid), status, usage)))
}

fn add(all: &mut ChildrenUsage, one: &rusage) {
    let micros =
        |time: libc::timeval| u64::try_from(TimeVal::from(time).num_microseconds()).unwrap_or_default();
    all.user_us += micros(one.ru_utime);
    all.system_us += micros(one.ru_stime);
    all.max_rss = all.max_rss.max(u64::try_from(one.ru_maxrss).unwrap_or_default() * 1024);
}

struct Killing {
    grace_ends: Instant,
    gives_up: Instant,
}

/// One command's.
struct Supervisor<'a> {
    socket: &'a UnixStream,
    signals: &'a SignalFd,
    main: Pid,
    /// The command itself has not been reaped.
    running: bool,
    /// Of the command and of its descendants, as far as they ended and their parents looked.
    children: ChildrenUsage,
    killing: Option<Killing>,
    /// The agent's end is closed: no more orders come.
    deaf: bool,
    /// What the agent is told before anything is waited for.
    unsaid: Vec<u8>,
}

impl Supervisor<'_> {
    fn run(&mut self) -> Result<(), String> {
        while self.reap()? {
            if let Some(killing) = &self.killing
                && Instant::now() >= killing.grace_ends
            {
                let left = tree::descendants(std::process::id());
                let refused = tree::signal(&left, Signal::SIGKILL);
                let hopeless = !left.is_empty() && refused.len() == left.len();
                if hopeless || Instant::now() >= killing.gives_up {
                    return self.drained(left);
                }
            }
            self.flush()?;
            self.wait()?;
        }
        self.drained(Vec::new())
    }

    fn drained(&mut self, leaked: Vec<u32>) -> Result<(), String> {
        self.say(&FromSupervisor::Drained { leaked, children: self.children })?;
        self.flush()
    }

    fn say(&mut self, message: &FromSupervisor) -> Result<(), String> {
        control::write(&mut self.unsaid, message).map_err(|e| e.to_string())
    }

    /// Most commands leave no child behind: then the agent hears of both ends at once.
    fn flush(&mut self) -> Result<(), String> {
        let unsaid = std::mem::take(&mut self.unsaid);
        if unsaid.is_empty() {
            return Ok(());
        }
        let mut socket = self.socket;
        socket.write_all(&unsaid).map_err(|e| format!("the agent is gone: {e}"))
    }

    /// Takes every child that ended; false when none is left.
    fn reap(&mut self) -> Result<bool, String> {
        loop {
            let (pid, status, usage) = match reaped() {
                Ok(Some(ended)) => ended,
                Ok(None) => return Ok(true),
                Err(_) => return Ok(false),
            };
            add(&mut self.children, &usage);
            if pid == self.main {
                self.running = false;
                self.say(&FromSupervisor::Exited(status, self.children))?;
            }
        }
    }

    /// Sleeps until a child ends, an order comes, or it is time to kill again.
    fn wait(&mut self) -> Result<(), String> {
        let timeout = match &self.killing {
            None => PollTimeout::NONE,
            Some(killing) => {
                let until = killing.grace_ends.saturating_duration_since(Instant::now()).max(KILL_AGAIN);
                PollTimeout::try_from(until).unwrap_or(PollTimeout::MAX)
            }
        };
        let mut fds = [
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
        ];
        let watched = if self.deaf { &mut fds[..1] } else { &mut fds[..] };
        match poll(watched, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.to_string()),
        }
        let ordered = fds[1].any().unwrap_or(false) && !self.deaf;
        while let Ok(Some(_)) = self.signals.read_signal() {}
        if ordered {
            match control::read(self.socket) {
                Ok(ToSupervisor::Kill { grace_ms }) => self.kill(Duration::from_millis(grace_ms)),
                Ok(ToSupervisor::Signal(signal)) => self.signal(signal),
                Ok(ToSupervisor::Start(_)) | Err(_) => self.deaf = true,
            }
        }
        Ok(())
    }

    /// To the command and what it started in its group; its number means nobody else as long as it was not reaped.
    fn signal(&self, signal: i32) {
        if self.running
            && let Ok(signal) = Signal::try_from(signal)
        {
            // It may have ended, or be another user's whom we may not signal.
            let _ = killpg(self.main, signal);
        }
    }

    fn kill(&mut self, grace: Duration) {
        if self.killing.is_some() {
            return;
        }
        let grace_ends = Instant::now() + grace;
        self.killing = Some(Killing { grace_ends, gives_up: grace_ends + GIVE_UP });
        let victims = tree::descendants(std::process::id());
        tree::signal(&victims, Signal::SIGTERM);
        // A stopped process takes its SIGTERM when it goes on.
        tree::signal(&victims, Signal::SIGCONT);
    }
}
