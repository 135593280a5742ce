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
}
