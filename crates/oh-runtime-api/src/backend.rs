//! Where a sandbox runs.

use std::fmt::{Debug, Display};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{AgentPayload, Error, ErrorKind, Labels, Result, RunId, SandboxName, SandboxSpec, label};

/// The backend's own, never reused id of a sandbox.
pub type Uid = String;

/// One sandbox and no other: a sandbox that was removed and made again under the same name is another value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Incarnation {
    /// Its name.
    pub name: SandboxName,
    /// The backend's id of it.
    pub uid: Uid,
}

/// What a backend is able to do. Named booleans: nobody asks which backend it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Sandboxes cannot see or harm each other or the host.
    pub isolated: bool,
    /// Commands cannot kill or read the agent.
    pub agent_protected: bool,
    /// The memory limit holds.
    pub resource_limits: bool,
    /// The limit of processes holds.
    pub process_limit: bool,
    /// Folders of this machine can be in a sandbox.
    pub mounts: bool,
    /// Every command sees a file system of the image's own.
    pub own_root: bool,
    /// What goes to a sandbox and comes from it leaves this machine.
    pub remote: bool,
    /// It keeps an agent for sandboxes to come, until [`Backend::collect_agents`] removes it.
    pub keeps_agents: bool,
    /// A sandbox can be paused.
    pub pauses: bool,
}

/// Which sandboxes: all that match every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    /// The one of this name.
    pub name: Option<SandboxName>,
    /// Those of this run.
    pub run: Option<RunId>,
    /// Those of this owner.
    pub owner: Option<String>,
}

impl Selector {
    /// The one sandbox of this name.
    #[must_use]
    pub fn name(name: SandboxName) -> Self {
        Self { name: Some(name), ..Self::default() }
    }

    /// The labels a backend can select by; each has to match exactly.
    #[must_use]
    pub fn labels(&self) -> Labels {
        let pairs = [
            (label::SANDBOX, self.name.as_ref().map(ToString::to_string)),
            (label::RUN, self.run.as_ref().map(ToString::to_string)),
            (label::OWNER, self.owner.clone()),
        ];
        pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

/// What a sandbox is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SandboxState {
    /// Made, not yet started.
    Created,
    /// Its first process runs.
    Running,
    /// All its processes are stopped, and go on when it is resumed.
    Paused,
    /// Its first process ended; it cannot be used any more.
    Exited,
    /// The machine it runs on does not answer: nobody knows what it is doing.
    Unreachable,
}

impl Display for SandboxState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Exited => "exited",
            Self::Unreachable => "unreachable",
        })
    }
}

/// One sandbox as a backend lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxInfo {
    /// Which one.
    pub incarnation: Incarnation,
    /// What it is doing.
    pub state: SandboxState,
    /// When it was made.
    pub created: Option<SystemTime>,
    /// Its labels, as [`label`] names them.
    pub labels: Labels,
}

impl SandboxInfo {
    /// When it may be removed, by its label.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        let seconds = self.labels.get(label::EXPIRES)?.parse().ok()?;
        SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds))
    }
}

/// What is left to see of a sandbox, taken before it is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What it is doing.
    pub state: SandboxState,
    /// Exit code of its first process.
    pub exit_code: Option<i64>,
    /// Whether the kernel killed it for want of memory.
    pub oom_killed: bool,
    /// What the backend says about its end.
    pub message: Option<String>,
    /// The last lines of its log. Written from inside: an untrusted hint.
    pub log_tail: String,
}

/// What deleting did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteReport {
    /// It is gone now.
    Deleted,
    /// It was gone before.
    AlreadyGone,
}

/// Which part of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Go on with new lines until the sandbox ends.
    pub follow: bool,
    /// Only this many of the last lines.
    pub tail: Option<u64>,
}

/// The bytes of a log as they come.
pub type LogStream = BoxStream<'static, Result<Bytes>>;

fn unable(verb: &str, id: &Incarnation) -> Error {
    let operation = format!("{verb} sandbox {}", id.name);
    Error::new(ErrorKind::Unsupported, operation, "this runtime cannot stop a sandbox and let it go on")
}

/// A byte stream in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Where sandboxes run: a lifecycle and a byte stream. It runs no user command.
///
/// Implementations are cheap to share (`Arc<dyn Backend>`), idempotent per [`SandboxName`], and keep no state a
/// second process could not find again by labels.
#[async_trait]
pub trait Backend: Debug + Display + Send + Sync + 'static {
    /// What it is able to do.
    fn capabilities(&self) -> Capabilities;

    /// What `create` would ask the backend for, for people to read (`--dry-run`). Touches nothing.
    ///
    /// # Errors
    /// When the specification cannot be right.
    fn render(&self, spec: &SandboxSpec, agent: &AgentPayload) -> Result<serde_json::Value>;

    /// Makes and starts a sandbox, its image and the agent included.
    ///
    /// Repeating it with an equal specification returns the same sandbox. When it fails, nothing of it is left.
    ///
    /// # Errors
    /// The image kinds, [`StartFailed`](crate::ErrorKind::StartFailed), [`Conflict`](crate::ErrorKind::Conflict) when another specification has the name,
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn create(&self, spec: &SandboxSpec, agent: &AgentPayload) -> Result<Incarnation>;

    /// The sandboxes that match, ended ones included, in one request.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn list(&self, which: &Selector) -> Result<Vec<SandboxInfo>>;

    /// A new byte stream to the sandbox's agent. Its end or error is news about the transport, never an exit code.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when it is gone, [`Ended`](crate::ErrorKind::Ended) when its first process ended,
    /// [`Paused`](crate::ErrorKind::Paused) while it is paused,
    /// [`Replaced`](crate::ErrorKind::Replaced), [`Unavailable`](crate::ErrorKind::Unavailable); [`StreamLost`](crate::ErrorKind::StreamLost) when the agent cannot be
    /// reached for now.
    async fn open_stream(&self, id: &Incarnation) -> Result<Box<dyn Duplex>>;

    /// What the sandbox's first process wrote.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound), [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn logs(&self, id: &Incarnation, options: LogOptions) -> Result<LogStream>;

    /// What can be seen of the sandbox, for an error message and before deletion.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound), [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn evidence(&self, id: &Incarnation) -> Result<Evidence>;

    /// Stops every process of the sandbox, the agent too, and keeps all it has. Doing it twice is fine.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) without [`Capabilities::pauses`]; [`NotFound`](crate::ErrorKind::NotFound),
    /// [`Ended`](crate::ErrorKind::Ended), [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn pause(&self, id: &Incarnation) -> Result<()> {
        Err(unable("pause", id))
    }

    /// Lets a paused sandbox go on. Doing it twice is fine.
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    async fn resume(&self, id: &Incarnation) -> Result<()> {
        Err(unable("resume", id))
    }

    /// Removes the sandbox and everything made for it. Another sandbox of the same name is left alone.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable), [`Forbidden`](crate::ErrorKind::Forbidden).
    async fn delete(&self, id: &Incarnation) -> Result<DeleteReport>;

    /// Removes the agents it keeps for sandboxes to come and that no sandbox uses, ended ones included; with `dry_run`
    /// it removes nothing. Returns the names of those it removed, or would.
    ///
    /// A sandbox that is being made meanwhile, by whomever, gets its agent all the same. A backend that keeps none has
    /// none to remove.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable), [`Forbidden`](crate::ErrorKind::Forbidden).
    async fn collect_agents(&self, dry_run: bool) -> Result<Vec<String>> {
        let _ = dry_run;
        Ok(Vec::new())
    }
}
