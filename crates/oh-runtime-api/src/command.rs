//! Running something in a sandbox.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Time between the polite and the final signal when a command is killed.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// Names one command of one sandbox for ever: the boot of the agent that runs it, and a sequence number in that boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommandId {
    /// Random per start of an agent: the same number under another boot is another command.
    pub boot: u128,
    /// Counts up from 1.
    pub sequence: u64,
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.boot >> 96, self.sequence)
    }
}

/// A command to start.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandSpec {
    /// Program and arguments, passed as they are: no shell is involved. A program without a slash is searched in the
    /// sandbox's `PATH`.
    pub argv: Vec<OsString>,
    /// Set or replaced for this command, on top of the sandbox's environment.
    pub env: BTreeMap<OsString, OsString>,
    /// Working folder; `None` is the sandbox's own.
    pub cwd: Option<PathBuf>,
    /// Whether standard input can be written; otherwise it is empty from the start.
    pub stdin: bool,
    /// After this long the whole process tree is killed and the command ends as [`End::TimedOut`].
    pub timeout: Option<Duration>,
    /// Between SIGTERM and SIGKILL when it is killed.
    pub grace: Duration,
    /// `user` or `user:group`, by name or number, with the user's supplementary groups, and with HOME, USER, LOGNAME
    /// and SHELL of that user; `None` is the sandbox's own. Only a sandbox that runs as root can change users.
    pub user: Option<String>,
    /// File mode creation mask; `None` is the sandbox's own.
    pub umask: Option<u32>,
    /// Resource limits, besides the sandbox's own.
    pub rlimits: Vec<Rlimit>,
    /// A terminal of this size: standard output and standard error are one stream, the process's `stdout`.
    pub terminal: Option<TerminalSize>,
    /// Nobody has to read it: while nobody does, the last MiB of each stream is kept, and the command is not held back.
    pub background: bool,
}

/// A resource limit, as `setrlimit` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    /// Of what.
    pub resource: RlimitResource,
    /// What holds, in the resource's own unit; `None` is no limit.
    pub soft: Option<u64>,
    /// How far the command may raise it; `None` is no limit.
    pub hard: Option<u64>,
}

/// What a [`Rlimit`] limits. See `getrlimit(2)` for each one's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RlimitResource {
    /// Size of its address space, in bytes.
    AddressSpace,
    /// Size of a core file, in bytes.
    Core,
    /// CPU time, in seconds.
    Cpu,
    /// Size of its data segment, in bytes.
    Data,
    /// Size of a file it writes, in bytes.
    FileSize,
    /// Memory it locks, in bytes.
    LockedMemory,
    /// Open files.
    OpenFiles,
    /// Processes of its user.
    Processes,
    /// Size of its stack, in bytes.
    Stack,
}

impl RlimitResource {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::AddressSpace,
        Self::Core,
        Self::Cpu,
        Self::Data,
        Self::FileSize,
        Self::LockedMemory,
        Self::OpenFiles,
        Self::Processes,
        Self::Stack,
    ];

    /// Its name, as `docker run --ulimit` and `limits.conf` spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AddressSpace => "as",
            Self::Core => "core",
            Self::Cpu => "cpu",
            Self::Data => "data",
            Self::FileSize => "fsize",
            Self::LockedMemory => "memlock",
            Self::OpenFiles => "nofile",
            Self::Processes => "nproc",
            Self::Stack => "stack",
        }
    }
}

/// Rows and columns of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

impl Default for TerminalSize {
    /// 80 columns and 24 rows.
    fn default() -> Self {
        Self { rows: 24, columns: 80 }
    }
}

impl CommandSpec {
    /// A command with nothing set but its program and arguments.
    pub fn new<S: Into<OsString>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: BTreeMap::new(),
            cwd: None,
            stdin: false,
            timeout: None,
            grace: DEFAULT_GRACE,
            user: None,
            umask: None,
            rlimits: Vec::new(),
            terminal: None,
            background: false,
        }
    }

    /// `script` run by `/bin/sh -c`.
    #[must_use]
    pub fn shell(script: impl Into<OsString>) -> Self {
        Self::new(["/bin/sh".into(), "-c".into(), script.into()])
    }

    /// Sets one environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Sets the working folder.
    #[must_use]
    pub fn cwd(mut self, path: impl Into<PathBuf>) -> Self {
        self.cwd = Some(path.into());
        self
    }

    /// Makes standard input writable.
    #[must_use]
    pub const fn stdin(mut self) -> Self {
        self.stdin = true;
        self
    }

    /// Sets the timeout.
    #[must_use]
    pub const fn timeout(mut self, after: Duration) -> Self {
        self.timeout = Some(after);
        self
    }

    /// Sets the time between SIGTERM and SIGKILL.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets the user.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the file mode creation mask.
    #[must_use]
    pub const fn umask(mut self, mask: u32) -> Self {
        self.umask = Some(mask);
        self
    }

    /// Adds a resource limit.
    #[must_use]
    pub fn rlimit(mut self, limit: Rlimit) -> Self {
        self.rlimits.push(limit);
        self
    }

    /// Gives it a terminal.
    #[must_use]
    pub const fn terminal(mut self, size: TerminalSize) -> Self {
        self.terminal = Some(size);
        self
    }

    /// Makes it a background command.
    #[must_use]
    pub const fn background(mut self) -> Self {
        self.background = true;
        self
    }
}

/// Shows the program and how many arguments it has, and the names of the environment: values and arguments may be
/// secrets.
impl fmt::Debug for CommandSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandSpec")
            .field("program", &self.argv.first())
            .field("arguments", &self.argv.len().saturating_sub(1))
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("cwd", &self.cwd)
            .field("stdin", &self.stdin)
            .field("timeout", &self.timeout)
            .field("grace", &self.grace)
            .field("user", &self.user)
            .field("umask", &self.umask)
            .field("rlimits", &self.rlimits)
            .field("terminal", &self.terminal)
            .field("background", &self.background)
            .finish()
    }
}

/// What the kernel's OOM killer took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OomScope {
    /// The command's own process; the sandbox goes on.
    Process,
    /// The whole sandbox.
    Sandbox,
}

/// How a command ended. Always what `waitpid` said in the agent, or what the agent itself did to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It exited with this code.
    Exited(i32),
    /// This signal killed it, and nobody had asked for it through us.
    Signaled(i32),
    /// It ran into its timeout and was killed with all its children.
    TimedOut,
    /// Its caller cancelled it; it was killed with all its children.
    Cancelled,
    /// The kernel killed it for want of memory.
    OomKilled(OomScope),
}

impl End {
    /// Whether it exited with code 0.
    #[must_use]
    pub const fn success(&self) -> bool {
        matches!(self, Self::Exited(0))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Signaled(signal) => write!(f, "killed by signal {signal}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::OomKilled(OomScope::Process) => f.write_str("killed: out of memory"),
            Self::OomKilled(OomScope::Sandbox) => f.write_str("sandbox killed: out of memory"),
        }
    }
}

/// What is known of a command, or of any operation, when something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Nothing of it happened: doing it again is safe.
    NotStarted,
    /// It may have happened, in part or whole.
    Unknown,
    /// It happened, and ended like this.
    Finished(End),
}

/// A finished command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub end: End,
    /// Time from its start to its end, measured in the sandbox.
    pub wall: Duration,
    /// Processes of a killed command that could not be killed, by process id in the sandbox.
    pub leaked: Vec<u32>,
    /// What it used, and what held it back.
    pub usage: Usage,
}

/// Evidence of how a command ran, taken in the sandbox. What the kernel does not say is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// CPU time in the code of the command and of its descendants that ended.
    pub user: Option<Duration>,
    /// CPU time in the kernel for them.
    pub system: Option<Duration>,
    /// Largest resident memory one of them had, in bytes; a little more than 1 MiB at least, of starting it.
    pub max_rss: Option<u64>,
    /// What the OOM killer took in the sandbox while the command ran, not necessarily of the command; `None` when
    /// nothing, or when the kernel does not say.
    pub oom: Option<OomScope>,
    /// How long the sandbox was held back by its CPU limit while the command ran.
    pub throttled: Option<Duration>,
    /// How long its output waited for a reader: the command may have been held back for as long.
    pub blocked: Duration,
}

/// A command of a sandbox, as its agent lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandInfo {
    /// Its name for ever.
    pub id: CommandId,
    /// Its program; arguments may be secrets.
    pub program: OsString,
    /// Time since its start.
    pub age: Duration,
    /// What it is doing.
    pub state: CommandState,
    /// Whether somebody has its streams.
    pub attached: bool,
    /// Bytes of standard output so far.
    pub stdout: u64,
    /// Bytes of standard error so far.
    pub stderr: u64,
}

/// What a command is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandState {
    /// It runs.
    Running,
    /// It ended, and nobody has fetched that yet.
    Ended(End),
    /// It ended, and nobody saw how.
    Lost,
}

impl fmt::Display for CommandState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Ended(end) => end.fmt(f),
            Self::Lost => f.write_str("lost"),
        }
    }
}

/// How much of a command's streams is known already, in bytes from their start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offsets {
    /// Of standard output.
    pub stdout: u64,
    /// Of standard error.
    pub stderr: u64,
}
