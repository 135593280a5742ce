//! What a harness holds.

use std::fmt::{Debug, Display};
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    CommandId, CommandInfo, CommandSpec, DeleteReport, Error, FileDigest, FileEntry, Finished, Incarnation,
    Offsets, Owner, Result, Selection, TerminalSize, WriteOptions,
};

/// Bytes out of a sandbox.
pub type BoxRead = Pin<Box<dyn AsyncRead + Send>>;
/// Bytes into a sandbox; shutting it down is end-of-file.
pub type BoxWrite = Pin<Box<dyn AsyncWrite + Send>>;

/// What the agent says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentInfo {
    /// Random per start of the agent.
    pub boot: u128,
    /// Its version.
    pub version: String,
}

/// A running command.
///
/// Output that is not read holds the command back after a window (4 MiB a stream); dropping a reader discards what
/// follows instead. Dropping the whole value leaves the command running, and its end is kept for
/// [`Sandbox::attach`] unless [`wait`](Self::wait) has told it.
pub struct Process {
    /// Its name for ever.
    pub id: CommandId,
    /// Its standard input, when asked for. Shutting it down or dropping it is end-of-file.
    pub stdin: Option<BoxWrite>,
    /// Its standard output.
    pub stdout: Option<BoxRead>,
    /// Its standard error.
    pub stderr: Option<BoxRead>,
    /// The rest.
    pub control: Box<dyn ProcessControl>,
}

impl Process {
    /// Waits for its end. It can end before its output was read; what was written stays readable.
    ///
    /// # Errors
    /// With [`Outcome::Unknown`](crate::Outcome::Unknown) when the stream broke or the sandbox ended meanwhile.
    pub async fn wait(&mut self) -> Result<Finished> {
        self.control.wait().await
    }

    /// Kills it with all its children: SIGTERM, the command's grace, SIGKILL. Returns when that is asked for;
    /// [`wait`](Self::wait) tells when it is done.
    ///
    /// # Errors
    /// When the stream is broken.
    pub fn cancel(&self) -> impl Future<Output = Result<()>> + Send {
        // Not an async function: its future would hold all of `self`, and standard input cannot be shared.
        self.control.cancel()
    }

    /// Sends a signal, by its number, to its process group: to the command and to those of its children that stayed
    /// there. A command that ended gets none. Returns when that is asked for.
    ///
    /// # Errors
    /// When the stream is broken.
    pub fn signal(&self, signal: i32) -> impl Future<Output = Result<()>> + Send {
        self.control.signal(signal)
    }

    /// Tells its terminal another size; one without a terminal does not notice.
    ///
    /// # Errors
    /// When the stream is broken.
    pub fn resize(&self, size: TerminalSize) -> impl Future<Output = Result<()>> + Send {
        self.control.resize(size)
    }
}

/// A command that was started before, by whomever.
#[derive(Debug)]
pub struct AttachedProcess {
    /// The command. Its standard input is there when it has one that has not ended.
    pub process: Process,
    /// Where its output goes on, at least where it was asked for: what is between was not kept.
    pub from: Offsets,
    /// Bytes its standard input has got so far.
    pub stdin: u64,
}

impl Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("id", &self.id).finish_non_exhaustive()
    }
}

/// An open TCP connection in a sandbox. Each half can end alone, and be used by another task than the other.
///
/// It is carried by the session with the agent, as everything is: when the stream to the sandbox breaks and another one is
/// opened, it goes on. What is not read holds the peer back after a window (4 MiB, besides what its kernel takes); dropping
/// the reader discards what follows. With both halves dropped the connection is closed, as soon as what was written has been
/// passed on, and after 30 s at the latest.
pub struct Dialed {
    /// What the peer says. Its end is the peer's; a connection that broke is an error behind the last byte, which wraps
    /// [`Error`](crate::Error): [`ConnectReset`](crate::ErrorKind::ConnectReset), or what became of the sandbox.
    pub read: BoxRead,
    /// What the peer gets. Shutting it down or dropping it is the end for the peer. It fails with
    /// [`BrokenPipe`](std::io::ErrorKind::BrokenPipe) when the peer takes no more; the reader says why.
    pub write: BoxWrite,
}

impl Debug for Dialed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialed").finish_non_exhaustive()
    }
}

/// The part of a running command that is not bytes. See [`Process`].
#[async_trait]
pub trait ProcessControl: Send + Sync {
    /// See [`Process::wait`].
    async fn wait(&mut self) -> Result<Finished>;
    /// See [`Process::cancel`].
    async fn cancel(&self) -> Result<()>;
    /// See [`Process::signal`].
    async fn signal(&self, signal: i32) -> Result<()>;
    /// See [`Process::resize`].
    async fn resize(&self, size: TerminalSize) -> Result<()>;
}

/// One sandbox. The same on every backend, because it needs nothing of one but a byte stream.
///
/// Paths are paths in the sandbox; relative ones start at `/`. Every method connects when needed.
#[async_trait]
pub trait Sandbox: Debug + Display + Send + Sync + 'static {
    /// Which one.
    fn incarnation(&self) -> &Incarnation;

    /// Waits until its agent answers, at most `deadline`.
    ///
    /// # Errors
    /// [`EndedBeforeReady`](crate::ErrorKind::EndedBeforeReady) with its last words,
    /// [`Deadline`](crate::ErrorKind::Deadline), [`Version`](crate::ErrorKind::Version) when the agent is of another
    /// version, [`Deleted`](crate::ErrorKind::Deleted).
    async fn connect(&self, deadline: Duration) -> Result<AgentInfo>;

    /// Starts a command.
    ///
    /// # Errors
    /// The `Exec…` kinds when it could not be started: that is never an exit code.
    async fn start(&self, spec: CommandSpec) -> Result<Process>;

    /// Goes on with a command that was started before, perhaps by another process that is gone. Whoever had its streams
    /// until now loses them with [`TakenOver`](crate::ErrorKind::TakenOver).
    ///
    /// An agent keeps what a command wrote and nobody has consumed, up to 4 MiB a stream: then the command waits. It keeps
    /// the ends of the last 1,024 commands that nobody has waited for.
    ///
    /// # Errors
    /// [`Restarted`](crate::ErrorKind::Restarted) when the agent is another one than the command's: what became of the
    /// command is unknown. [`CommandNotFound`](crate::ErrorKind::CommandNotFound) when its end was fetched or forgotten.
    async fn attach(&self, id: CommandId, known: Offsets) -> Result<AttachedProcess>;

    /// Kills a command with all its children and waits for that, or sends its process group one signal. Whoever has its
    /// streams keeps them, and sees its end.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    async fn kill(&self, id: CommandId, signal: Option<i32>) -> Result<()>;

    /// The commands that run, and those whose end nobody has fetched, in the order of their start.
    ///
    /// # Errors
    /// When the sandbox cannot be reached.
    async fn commands(&self) -> Result<Vec<CommandInfo>>;

    /// The bytes of a file from `offset`, at most `limit` of them.
    ///
    /// # Errors
    /// The `Transfer…` kinds, possibly while reading.
    async fn read_file(&self, path: &Path, offset: u64, limit: Option<u64>) -> Result<BoxRead>;

    /// Writes a file: all of it or, after an error, nothing (temporary name, then rename). Returns how many bytes were sent.
    ///
    /// # Errors
    /// The `Transfer…` kinds.
    async fn write_file(&self, path: &Path, how: WriteOptions, data: BoxRead) -> Result<u64>;

    /// The entries of a folder, sorted by name.
    ///
    /// # Errors
    /// The `Transfer…` kinds.
    async fn list(&self, path: &Path) -> Result<Vec<FileEntry>>;

    /// What a path is.
    ///
    /// # Errors
    /// The `Transfer…` kinds.
    async fn stat(&self, path: &Path) -> Result<FileEntry>;

    /// The digest of a file's first bytes, at most `limit` of them.
    ///
    /// # Errors
    /// The `Transfer…` kinds.
    async fn digest(&self, path: &Path, limit: Option<u64>) -> Result<FileDigest>;

    /// Makes a folder with these permission bits, and those on the way to it; one that is there is left as it is.
    ///
    /// # Errors
    /// The `Transfer…` kinds.
    async fn make_folder(&self, path: &Path, mode: u32) -> Result<()>;

    /// Gives a file, link or folder another path, in place of a file or link that is there.
    ///
    /// # Errors
    /// The `Transfer…` kinds; [`TransferFailed`](crate::ErrorKind::TransferFailed) also when the two paths are on
    /// different file systems.
    async fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file, a link, or a folder with all that is in it; links are not followed.
    ///
    /// # Errors
    /// The `Transfer…` kinds; what was removed before stays removed.
    async fn remove(&self, path: &Path) -> Result<()>;

    /// A file or tree as a tar stream whose entries start with the path's last part. Links are not followed.
    ///
    /// What arrives is hostile until it is unpacked by somebody who knows that.
    ///
    /// # Errors
    /// The `Transfer…` kinds, possibly while reading.
    async fn pack(&self, path: &Path, wanted: &Selection) -> Result<BoxRead>;

    /// Unpacks a tar stream into the folder `path`, which is made when missing. Returns the number of entries. Each file
    /// appears under its name when it is whole.
    ///
    /// # Errors
    /// The `Transfer…` kinds; what came before the failure stays.
    async fn unpack(&self, path: &Path, owner: &Owner, tar: BoxRead) -> Result<u64>;

    /// Opens a TCP connection to something that listens in the sandbox, or that can be reached from there. `host` is an
    /// IP address or `localhost`, which is tried as `127.0.0.1` and as `::1`; other names are not looked up.
    ///
    /// The agent connects, in the network the sandbox's commands have: where a backend does not isolate, the machine's.
    ///
    /// # Errors
    /// [`ConnectRefused`](crate::ErrorKind::ConnectRefused) when nothing listens there,
    /// [`ConnectFailed`](crate::ErrorKind::ConnectFailed) when there is no way, or no answer within 10 s.
    async fn dial(&self, host: &str, port: u16) -> Result<Dialed>;

    /// Waits until the sandbox can be used no more, and says why; connects again where that is possible. For whoever has
    /// nothing else open that would tell.
    async fn gone(&self) -> Error;

    /// Says goodbye to the agent, so that it knows of every end that was fetched before this process ends. Waits a moment at
    /// most, and for nothing while something is open. The next request connects again.
    async fn disconnect(&self);

    /// Stops every process in the sandbox and keeps all it has, until it is resumed. What is under way waits as long as
    /// that takes: it goes on with the sandbox, and the time is not counted. Doing it twice is fine.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) without [`Capabilities::pauses`](crate::Capabilities::pauses), and what
    /// became of a sandbox that is gone.
    async fn pause(&self) -> Result<()>;

    /// Lets a paused sandbox go on. Doing it twice is fine.
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    async fn resume(&self) -> Result<()>;

    /// Removes the sandbox. Doing it twice is fine.
    ///
    /// # Errors
    /// When the backend cannot be reached or refuses.
    async fn close(&self) -> Result<DeleteReport>;
}
