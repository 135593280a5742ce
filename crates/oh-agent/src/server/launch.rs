//! From the supervisor to the command: a child, what the command asked for, and its program.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::waitpid;
use nix::unistd::{
    AccessFlags, Gid, Pid, Uid, access, chdir, dup2_stderr, dup2_stdin, dup2_stdout, execve, getegid,
    geteuid, setgid, setgroups, setsid, setuid,
};
use rustix::process::{Resource, Rlimit as Limit};

use super::control::Launch;
use super::user::{self, User};
use crate::protocol::{Command, Failure, FailureKind, Rlimit};

/// Where programs are when the environment does not say.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

fn failure(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure { kind, message: message.into() }
}

fn invalid(message: impl Into<String>) -> Failure {
    failure(FailureKind::ExecInvalid, message)
}

/// Starts the command with these standard streams.
pub(super) fn launch(launch: Launch, streams: [OwnedFd; 3]) -> Result<Pid, Failure> {
    let Launch { environment, command } = launch;
    check(&command)?;
    let user = command.user.as_deref().map(become_user).transpose()?;
    let env = merged(environment, &command, user.as_ref());
    let image = Image::of(&command, &env)?;
    let cwd = command.cwd.clone().map(CString::new).transpose();
    let state = State {
        streams,
        cwd: cwd.map_err(|_| invalid("the working folder cannot hold a zero byte"))?,
        umask: command.umask.map(Mode::from_bits_truncate),
        limits: limits(&command.rlimits)?,
        terminal: command.terminal.is_some(),
        user: user.filter(|user| !user.is_current()),
    };
    spawn(&state, &image).map_err(|(step, error)| start_failure(&command, &image.candidates, step, error))
}

fn check(command: &Command) -> Result<(), Failure> {
    let program = command.argv.first().ok_or_else(|| invalid("no program is given"))?;
    if program.is_empty() {
        return Err(invalid("the program's name is empty"));
    }
    if let Some((name, _)) = command.env.iter().find(|(name, _)| name.is_empty() || name.contains(&b'=')) {
        return Err(invalid(format!(
            "{:?} cannot be the name of an environment variable",
            String::from_utf8_lossy(name)
        )));
    }
    if let Some(umask) = command.umask.filter(|umask| umask & !0o777 != 0) {
        return Err(invalid(format!("{umask:o} is no file mode creation mask: it goes from 0 to 777")));
    }
    Ok(())
}

/// The user of that name, if the agent may become that user.
fn become_user(text: &[u8]) -> Result<User, Failure> {
    let user = user::find(text).map_err(|message| failure(FailureKind::ExecBadUser, message))?;
    if user.is_current() || geteuid().is_root() {
        return Ok(user);
    }
    Err(failure(
        FailureKind::ExecBadUser,
        format!(
            "the sandbox runs as user {}, which cannot become user {}: make the sandbox with that user",
            geteuid(),
            user.uid
        ),
    ))
}

impl User {
    /// Whether that is who we are already.
    fn is_current(&self) -> bool {
        geteuid().as_raw() == self.uid && getegid().as_raw() == self.gid && self.groups.is_empty()
    }
}

/// The sandbox's environment, what a change of users changes, and the command's own.
fn merged(
    mut env: Vec<(Vec<u8>, Vec<u8>)>,
    command: &Command,
    user: Option<&User>,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut set = |name: &[u8], value: &[u8]| {
        env.retain(|(known, _)| known != name);
        env.push((name.to_vec(), value.to_vec()));
    };
    if let Some(user) = user {
        let (name, home, shell) = match &user.account {
            Some(account) => (&account.name[..], &account.home[..], &account.shell[..]),
            None => (&b""[..], &b""[..], &b""[..]),
        };
        set(b"HOME", if home.is_empty() { b"/" } else { home });
        set(b"SHELL", if shell.is_empty() { b"/bin/sh" } else { shell });
        let number = user.uid.to_string();
        let name = if name.is_empty() { number.as_bytes() } else { name };
        set(b"USER", name);
        set(b"LOGNAME", name);
    }
    for (name, value) in &command.env {
        set(name, value);
    }
    env
}

fn limits(rlimits: &[Rlimit]) -> Result<Vec<(Resource, Limit)>, Failure> {
    let resource = |number| {
        Some(match number {
            libc::RLIMIT_CPU => Resource::Cpu,
            libc::RLIMIT_FSIZE => Resource::Fsize,
            libc::RLIMIT_DATA => Resource::Data,
            libc::RLIMIT_STACK => Resource::Stack,
            libc::RLIMIT_CORE => Resource::Core,
            libc::RLIMIT_NPROC => Resource::Nproc,
            libc::RLIMIT_NOFILE => Resource::Nofile,
            libc::RLIMIT_MEMLOCK => Resource::Memlock,
            libc::RLIMIT_AS => Resource::As,
            _ => return None,
        })
    };
    let finite = |value: u64| (value != u64::MAX).then_some(value);
    let limit = |asked: &Rlimit| {
        let resource =
            resource(asked.resource).ok_or_else(|| invalid(format!("no resource {}", asked.resource)))?;
        if asked.soft > asked.hard {
            return Err(invalid(format!(
                "the soft limit of resource {} is over its hard one",
                asked.resource
            )));
        }
        Ok((resource, Limit { current: finite(asked.soft), maximum: finite(asked.hard) }))
    };
    rlimits.iter().map(limit).collect()
}

/// What is different in the command from the supervisor it comes from.
struct State {
    streams: [OwnedFd; 3],
    cwd: Option<CString>,
    umask: Option<Mode>,
    limits: Vec<(Resource, Limit)>,
    terminal: bool,
    user: Option<User>,
}

/// Which step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Terminal,
    Limits,
    User,
    Program,
}

impl State {
    /// Starts with what `docker exec` gives: a session of its own, and no signal blocked or ignored.
    fn enter(&self) -> Result<(), (Step, Errno)> {
        let here = |step| move |error: Errno| (step, error);
        self.connect().map_err(here(Step::Program))?;
        if let Some(cwd) = &self.cwd {
            chdir(cwd.as_c_str()).map_err(here(Step::Program))?;
        }
        setsid().map_err(here(Step::Program))?;
        default_signals();
        if self.terminal {
            rustix::process::ioctl_tiocsctty(io::stdin())
                .map_err(|e| (Step::Terminal, Errno::from_raw(e.raw_os_error())))?;
        }
        if let Some(mask) = self.umask {
            umask(mask);
        }
        for (resource, limit) in &self.limits {
            rustix::process::setrlimit(*resource, *limit)
                .map_err(|e| (Step::Limits, Errno::from_raw(e.raw_os_error())))?;
        }
        if let Some(user) = &self.user {
            self.switch(user).map_err(here(Step::User))?;
        }
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).map_err(here(Step::Program))
    }

    fn connect(&self) -> nix::Result<()> {
        let [stdin, stdout, stderr] = &self.streams;
        dup2_stdin(stdin)?;
        dup2_stdout(stdout)?;
        dup2_stderr(stderr)
    }

    fn switch(&self, user: &User) -> nix::Result<()> {
        if self.terminal {
            // As login does: programs open their terminal by its name.
            nix::unistd::fchown(io::stdin().as_fd(), Some(Uid::from_raw(user.uid)), None)?;
        }
        let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
        setgroups(&groups)?;
        setgid(Gid::from_raw(user.gid))?;
        setuid(Uid::from_raw(user.uid))
    }
}

/// What `execve` takes, made before there is a child.
struct Image {
    candidates: Vec<CString>,
    argv: Vec<CString>,
    env: Vec<CString>,
}

impl Image {
    fn of(command: &Command, env: &[(Vec<u8>, Vec<u8>)]) -> Result<Self, Failure> {
        let string = |bytes: Vec<u8>| {
            CString::new(bytes)
                .map_err(|_| invalid("arguments, environment and folder cannot hold a zero byte"))
        };
        let variable = |(name, value): &(Vec<u8>, Vec<u8>)| string([name, &b"="[..], value].concat());
        let candidates = candidates(&command.argv[0], env).into_iter();
        Ok(Self {
            candidates: candidates.map(|path| string(path.into_vec())).collect::<Result<_, _>>()?,
            argv: command.argv.iter().cloned().map(string).collect::<Result<_, _>>()?,
            env: env.iter().map(variable).collect::<Result<_, _>>()?,
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
fn candidates(program: &[u8], env: &[(Vec<u8>, Vec<u8>)]) -> Vec<OsString> {
    let name = OsStr::from_bytes(program);
    if program.contains(&b'/') {
        return vec![name.to_owned()];
    }
    let path = env.iter().find(|(name, _)| name == b"PATH").map_or(DEFAULT_PATH, |(_, value)| value);
    std::env::split_paths(OsStr::from_bytes(path)).map(|folder| folder.join(name).into_os_string()).collect()
}

/// Bytes of stack for the child until it executes its program.
const STACK: usize = 64 * 1024;

/// The child's task, and why it could not do it.
struct Birth<'a> {
    state: &'a State,
    image: &'a Image,
    failed: Option<(Step, Errno)>,
}

/// Starts the child as `posix_spawn` does: it shares our memory, and we wait until it executes its program. A fork
/// copies our page tables, and both sides then copy each page they touch; that takes longer than all the rest.
#[expect(unsafe_code, reason = "there is no safe way to run code before exec")]
fn spawn(state: &State, image: &Image) -> Result<Pid, (Step, Errno)> {
    let mut birth = Birth { state, image, failed: None };
    let birth = &raw mut birth;
    let mut stack = vec![0_u8; STACK];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: stack and task live until the child has left our memory, for we wait for that. The supervisor has one
    // thread, so nobody holds a lock the child may need.
    let pid = unsafe { libc::clone(born, stack.as_mut_ptr_range().end.cast(), flags, birth.cast()) };
    let pid = Errno::result(pid).map(Pid::from_raw).map_err(|error| (Step::Program, error))?;
    // SAFETY: the child is gone from our memory.
    match unsafe { (*birth).failed } {
        None => Ok(pid),
        Some(failed) => {
            let _ = waitpid(pid, None);
            Err(failed)
        }
    }
}

#[expect(unsafe_code, reason = "the child gets its task as a pointer")]
extern "C" fn born(birth: *mut libc::c_void) -> libc::c_int {
    // SAFETY: it is what `spawn` passed, and `spawn` waits.
    let birth = unsafe { &mut *birth.cast::<Birth<'_>>() };
    let entered = birth.state.enter();
    birth.failed = Some(entered.err().unwrap_or_else(|| (Step::Program, birth.image.execute())));
    127
}

/// Ignored signals stay ignored across `execve`, and whoever started us may have ignored some; glibc itself ignores 32
/// and 33 in what it spawns, and its functions do not touch those two.
#[expect(unsafe_code, reason = "only the system call reaches all signals")]
fn default_signals() {
    const LAST: libc::c_int = 64;
    // The kernel's sigaction: handler, flags, restorer, mask. All zero is the default.
    let default = [0_u64; 4];
    for signal in 1..=LAST {
        // SAFETY: the pointers are valid for the call; it refuses signals that cannot be set.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                size_of::<u64>(),
            );
        }
    }
}

fn start_failure(command: &Command, candidates: &[CString], step: Step, error: Errno) -> Failure {
    let reason = io::Error::from(error);
    match step {
        Step::User => {
            let user = String::from_utf8_lossy(command.user.as_deref().unwrap_or_default());
            let message = format!("the sandbox may not change to user {user:?}: {reason}");
            return failure(FailureKind::ExecBadUser, message);
        }
        Step::Limits => {
            return invalid(format!("a resource limit cannot be set, as only root may raise one: {reason}"));
        }
        Step::Terminal => {
            return failure(FailureKind::ExecNoResources, format!("the terminal cannot be used: {reason}"));
        }
        Step::Program => {}
    }
    let shown = Path::new(OsStr::from_bytes(&command.argv[0])).display();
    if let Some(cwd) = &command.cwd
        && let Err(reason) = enterable(Path::new(OsStr::from_bytes(cwd)))
    {
        let cwd = String::from_utf8_lossy(cwd);
        let message = format!("the working folder {cwd} cannot be entered: {reason}");
        return failure(FailureKind::ExecBadCwd, message);
    }
    let (kind, message) = match error {
        Errno::ENOENT if exists(command, candidates) => (
            FailureKind::ExecBadFormat,
            format!("the interpreter or loader that {shown} asks for does not exist"),
        ),
        Errno::ENOENT | Errno::ENOTDIR => {
            (FailureKind::ExecNotFound, format!("program {shown} does not exist in the sandbox"))
        }
        Errno::EACCES | Errno::EPERM => {
            (FailureKind::ExecNotExecutable, format!("program {shown} may not be executed"))
        }
        Errno::ENOEXEC | Errno::ELIBBAD => {
            (FailureKind::ExecBadFormat, format!("program {shown} is in a format the kernel does not know"))
        }
        Errno::E2BIG => (
            FailureKind::ExecTooBig,
            "arguments and environment are too large for the kernel (128 KiB each, about 2 MiB together): \
             pass large data through standard input or a file"
                .to_owned(),
        ),
        Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE => {
            (FailureKind::ExecNoResources, format!("the sandbox has no room for another process: {reason}"))
        }
        _ => (FailureKind::ExecNotExecutable, format!("program {shown} cannot be executed: {reason}")),
    };
    failure(kind, message)
}

fn enterable(folder: &Path) -> Result<(), String> {
    if !std::fs::metadata(folder).map_err(|e| e.to_string())?.is_dir() {
        return Err("it is no folder".to_owned());
    }
    access(folder, AccessFlags::X_OK).map_err(|e| e.desc().to_owned())
}

/// Whether the program's name means a file that exists.
fn exists(command: &Command, candidates: &[CString]) -> bool {
    let base = command.cwd.as_ref().map_or(Path::new("."), |cwd| Path::new(OsStr::from_bytes(cwd)));
    candidates.iter().any(|path| base.join(OsStr::from_bytes(path.as_bytes())).is_file())
}
