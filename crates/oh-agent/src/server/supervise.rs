//! The process between agent and command: one for each command.
//!
//! It is a subreaper, so every orphan among the command's descendants becomes its child, whatever session or group it
//! moved to, and killing the command is signalling its descendants until none is left. It lives until then. It blocks
//! every signal it can and gets its orders over a socket, its standard input.

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{AccessFlags, Pid, access, execve, setsid};

use super::control::{self, FromSupervisor, Launch, Status, ToSupervisor};
use super::tree;
use crate::protocol::{Failure, FailureKind};

/// Commands are the OOM killer's choice before the agent.
const OOM_SCORE: &str = "500";
/// Where programs are when the environment does not say.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";
/// How often it looks for descendants to kill that appeared meanwhile.
const KILL_AGAIN: Duration = Duration::from_millis(20);
/// How long it tries to kill what does not die.
const GIVE_UP: Duration = Duration::from_secs(5);

/// Runs one command for the agent.
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

    let (launch, streams) = receive(&socket).map_err(|e| format!("no command was sent: {e}"))?;
    let child = match launch_command(&launch, streams) {
        Ok(child) => child,
        Err(failure) => return say(&socket, &FromSupervisor::StartFailed(failure)),
    };
    say(&socket, &FromSupervisor::Started { pid: child.id() })?;
    Supervisor { socket, signals, main: Pid::from_raw(child.id().cast_signed()), killing: None, deaf: false }
        .run()
}

fn say(socket: &UnixStream, message: &FromSupervisor) -> Result<(), String> {
    control::write(socket, message).map_err(|e| format!("the agent is gone: {e}"))
}

/// The command, and its three standard streams.
fn receive(socket: &UnixStream) -> io::Result<(Launch, [OwnedFd; 3])> {
    let mut length = [0; 4];
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
    let received = message.bytes;
    let streams = streams.try_into().map_err(|_| io::Error::other("three streams are needed"))?;
    if received != length.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    match control::read_body(socket, length)? {
        ToSupervisor::Start(launch) => Ok((launch, streams)),
        ToSupervisor::Kill { .. } => Err(io::Error::other("the first message is no command")),
    }
}

#[expect(unsafe_code, reason = "the kernel hands over descriptors as numbers")]
fn own(fd: std::os::fd::RawFd) -> OwnedFd {
    // SAFETY: recvmsg has just made this descriptor for us, and nobody else knows its number.
    unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) }
}

fn launch_command(launch: &Launch, [stdin, stdout, stderr]: [OwnedFd; 3]) -> Result<Child, Failure> {
    let invalid = |message: &str| Failure { kind: FailureKind::ExecInvalid, message: message.to_owned() };
    let program = launch.argv.first().ok_or_else(|| invalid("no program is given"))?;
    if program.is_empty() {
        return Err(invalid("the program's name is empty"));
    }
    if let Some((name, _)) = launch.env.iter().find(|(name, _)| name.is_empty() || name.contains(&b'=')) {
        return Err(invalid(&format!(
            "{:?} cannot be the name of an environment variable",
            String::from_utf8_lossy(name)
        )));
    }
    if launch.cwd.as_ref().is_some_and(|cwd| cwd.contains(&0)) {
        return Err(invalid("the working folder cannot hold a zero byte"));
    }
    let mut command = Command::new(OsStr::from_bytes(program));
    command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
    if let Some(cwd) = &launch.cwd {
        command.current_dir(OsStr::from_bytes(cwd));
    }
    execute(&mut command, Image::of(launch)?);
    command.spawn().map_err(|error| start_failure(launch, &error))
}

/// What `execve` takes, made before the fork.
struct Image {
    candidates: Vec<CString>,
    argv: Vec<CString>,
    env: Vec<CString>,
}

impl Image {
    fn of(launch: &Launch) -> Result<Self, Failure> {
        let string = |bytes: Vec<u8>| {
            CString::new(bytes).map_err(|_| Failure {
                kind: FailureKind::ExecInvalid,
                message: "arguments, environment and folder cannot hold a zero byte".to_owned(),
            })
        };
        let variable = |(name, value): &(Vec<u8>, Vec<u8>)| string([name, &b"="[..], value].concat());
        Ok(Self {
            candidates: candidates(launch)
                .into_iter()
                .map(|path| string(path.into_vec()))
                .collect::<Result<_, _>>()?,
            argv: launch.argv.iter().cloned().map(string).collect::<Result<_, _>>()?,
            env: launch.env.iter().map(variable).collect::<Result<_, _>>()?,
        })
    }

    /// Becomes the first candidate that can be executed. Not `execvp`: that hands what the kernel does not know to a
    /// shell.
    fn execute(&self) -> Errno {
        let mut answer = Errno::ENOENT;
        for candidate in &self.candidates {
            match execve(candidate, &self.argv, &self.env) {
                Err(Errno::ENOENT | Errno::ENOTDIR) | Ok(_) => {}
                Err(Errno::EACCES) => answer = Errno::EACCES,
                Err(error) => return error,
            }
        }
        answer
    }
}

/// The files a program's name may mean, in order.
fn candidates(launch: &Launch) -> Vec<OsString> {
    let program = OsStr::from_bytes(&launch.argv[0]);
    if launch.argv[0].contains(&b'/') {
        return vec![program.to_owned()];
    }
    let path = launch.env.iter().find(|(name, _)| name == b"PATH").map_or(DEFAULT_PATH, |(_, value)| value);
    std::env::split_paths(OsStr::from_bytes(path))
        .map(|folder| folder.join(program).into_os_string())
        .collect()
}

/// Starts with what `docker exec` gives: a session of its own, and no signal blocked or ignored.
#[expect(unsafe_code, reason = "there is no safe way to run code between fork and exec")]
fn execute(command: &mut Command, image: Image) {
    // SAFETY: the supervisor has one thread, so the child may do whatever the supervisor may.
    unsafe {
        command.pre_exec(move || {
            setsid()?;
            default_signals();
            pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
            Err(image.execute().into())
        });
    }
}

/// Ignored signals stay ignored across `execve`, and whoever started us may have ignored some; glibc itself ignores 32
/// and 33 in what it spawns, and its functions do not touch those two.
#[expect(unsafe_code, reason = "only the system call reaches all signals")]
fn default_signals() {
    const LAST: nix::libc::c_int = 64;
    // The kernel's sigaction: handler, flags, restorer, mask. All zero is the default.
    let default = [0_u64; 4];
    for signal in 1..=LAST {
        // SAFETY: the pointers are valid for the call; it refuses signals that cannot be set.
        unsafe {
            nix::libc::syscall(
                nix::libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                size_of::<u64>(),
            );
        }
    }
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

fn start_failure(launch: &Launch, error: &io::Error) -> Failure {
    let program = OsStr::from_bytes(&launch.argv[0]);
    let shown = Path::new(program).display();
    if let Some(cwd) = &launch.cwd
        && let Err(reason) = enterable(Path::new(OsStr::from_bytes(cwd)))
    {
        let cwd = String::from_utf8_lossy(cwd);
        let message = format!("the working folder {cwd} cannot be entered: {reason}");
        return Failure { kind: FailureKind::ExecBadCwd, message };
    }
    let (kind, message) = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) if program_exists(launch) => (
            FailureKind::ExecBadFormat,
            format!("the interpreter or loader that {shown} asks for does not exist"),
        ),
        Some(Errno::ENOENT | Errno::ENOTDIR) => {
            (FailureKind::ExecNotFound, format!("program {shown} does not exist in the sandbox"))
        }
        Some(Errno::EACCES | Errno::EPERM) => {
            (FailureKind::ExecNotExecutable, format!("program {shown} may not be executed"))
        }
        Some(Errno::ENOEXEC | Errno::ELIBBAD) => {
            (FailureKind::ExecBadFormat, format!("program {shown} is in a format the kernel does not know"))
        }
        Some(Errno::E2BIG) => (
            FailureKind::ExecTooBig,
            "arguments and environment are too large for the kernel (128 KiB each, about 2 MiB together): \
             pass large data through standard input or a file"
                .to_owned(),
        ),
        Some(Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE) => {
            (FailureKind::ExecNoResources, format!("the sandbox has no room for another process: {error}"))
        }
        _ => (FailureKind::ExecNotExecutable, format!("program {shown} cannot be executed: {error}")),
    };
    Failure { kind, message }
}

fn enterable(folder: &Path) -> Result<(), String> {
    if !std::fs::metadata(folder).map_err(|e| e.to_string())?.is_dir() {
        return Err("it is no folder".to_owned());
    }
    access(folder, AccessFlags::X_OK).map_err(|e| e.desc().to_owned())
}

/// Whether the program's name means a file that exists.
fn program_exists(launch: &Launch) -> bool {
    let base = launch.cwd.as_ref().map_or(Path::new("."), |cwd| Path::new(OsStr::from_bytes(cwd)));
    candidates(launch).iter().any(|candidate| base.join(candidate).is_file())
}

struct Killing {
    grace_ends: Instant,
    gives_up: Instant,
}

struct Supervisor {
    socket: UnixStream,
    signals: SignalFd,
    main: Pid,
    killing: Option<Killing>,
    /// The agent's end is closed: no more orders come.
    deaf: bool,
}

impl Supervisor {
    fn run(mut self) -> Result<(), String> {
        while self.reap()? {
            if let Some(killing) = &self.killing
                && Instant::now() >= killing.grace_ends
            {
                let left = tree::descendants(std::process::id());
                let refused = tree::signal(&left, Signal::SIGKILL);
                let hopeless = !left.is_empty() && refused.len() == left.len();
                if hopeless || Instant::now() >= killing.gives_up {
                    return say(&self.socket, &FromSupervisor::Drained { leaked: left });
                }
            }
            self.wait()?;
        }
        say(&self.socket, &FromSupervisor::Drained { leaked: Vec::new() })
    }

    /// Takes every child that ended; false when none is left.
    fn reap(&self) -> Result<bool, String> {
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == self.main => Status::Exited(code),
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.main => {
                    Status::Signaled(signal as i32)
                }
                Ok(WaitStatus::StillAlive) => return Ok(true),
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(_) => return Ok(false),
            };
            say(&self.socket, &FromSupervisor::Exited(status))?;
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
            match control::read(&self.socket) {
                Ok(ToSupervisor::Kill { grace_ms }) => self.kill(Duration::from_millis(grace_ms)),
                Ok(ToSupervisor::Start(_)) | Err(_) => self.deaf = true,
            }
        }
        Ok(())
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
