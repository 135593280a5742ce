//! The harness's end: one [`Client`] for each byte stream.

mod connection;
mod convert;
mod files;
mod forward;
mod lanes;
mod process;
mod rejoin;
mod streams;
#[cfg(test)]
mod tests;
mod verify;

use std::path::Path;
use std::sync::Arc;

use oh_runtime_api::{
    AgentInfo, AttachedProcess, BoxRead, CommandId, CommandInfo, CommandSpec, Dialed, Duplex, FileDigest,
    FileEntry, Offsets, Owner, Process, Result, Selection, WriteOptions,
};

use crate::protocol::Change;

use connection::Connection;
pub use rejoin::{Outlook, Reconnect};

/// A session with one sandbox's agent. Cheap to clone; it ends with the last clone and the last thing opened through
/// it.
#[derive(Debug, Clone)]
pub struct Client {
    connection: Arc<Connection>,
}

impl Client {
    /// Shakes hands over a fresh stream.
    ///
    /// # Errors
    /// [`Version`](oh_runtime_api::ErrorKind::Version) when the agent speaks another version,
    /// [`StreamLost`](oh_runtime_api::ErrorKind::StreamLost) when the stream ends or stays silent,
    /// [`Protocol`](oh_runtime_api::ErrorKind::Protocol) when something else answers.
    pub async fn connect(stream: Box<dyn Duplex>) -> Result<Self> {
        Ok(Self { connection: Arc::new(Connection::open(stream, None).await?) })
    }

    /// The same, and when the stream breaks the session goes on over another one, for two minutes at least: commands,
    /// their output and files are neither lost nor repeated. Meanwhile everything waits.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_for_good(stream: Box<dyn Duplex>, again: Arc<dyn Reconnect>) -> Result<Self> {
        Ok(Self { connection: Arc::new(Connection::open(stream, Some(again)).await?) })
    }

    /// What the agent said of itself.
    #[must_use]
    pub fn info(&self) -> &AgentInfo {
        self.connection.info()
    }

    /// Whether the session is over: connect again.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    /// Ready when the session is over and all that was said in it has left: soon after the last user of it is dropped.
    pub fn over(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut over = self.connection.over();
        // Nothing is ever sent: it ends when the sender is gone.
        async move { while over.changed().await.is_ok() {} }
    }

    /// See [`Sandbox::start`](oh_runtime_api::Sandbox::start).
    ///
    /// # Errors
    /// The `Exec…` kinds when it could not be started.
    pub async fn start(&self, spec: CommandSpec) -> Result<Process> {
        process::start(&self.connection, spec).await
    }

    /// See [`Sandbox::attach`](oh_runtime_api::Sandbox::attach).
    ///
    /// # Errors
    /// As there.
    pub async fn attach(&self, id: CommandId, known: Offsets) -> Result<AttachedProcess> {
        process::attach(&self.connection, id, known).await
    }

    /// See [`Sandbox::kill`](oh_runtime_api::Sandbox::kill).
    ///
    /// # Errors
    /// As there.
    pub async fn kill(&self, id: CommandId, signal: Option<i32>) -> Result<()> {
        process::kill(&self.connection, id, signal).await
    }

    /// See [`Sandbox::commands`](oh_runtime_api::Sandbox::commands).
    ///
    /// # Errors
    /// As there.
    pub async fn commands(&self) -> Result<Vec<CommandInfo>> {
        process::list(&self.connection).await
    }

    /// See [`Sandbox::read_file`](oh_runtime_api::Sandbox::read_file).
    ///
    /// # Errors
    /// The `Transfer…` kinds.
    pub async fn read_file(&self, path: &Path, offset: u64, limit: Option<u64>) -> Result<BoxRead> {
        files::read(&self.connection, path, offset, limit).await
    }

    /// See [`Sandbox::write_file`](oh_runtime_api::Sandbox::write_file).
    ///
    /// # Errors
    /// The `Transfer…` kinds.
    pub async fn write_file(&self, path: &Path, how: WriteOptions, data: BoxRead) -> Result<u64> {
        files::write(&self.connection, path, how, data).await
    }

    /// See [`Sandbox::stat`](oh_runtime_api::Sandbox::stat).
    ///
    /// # Errors
    /// The `Transfer…` kinds.
    pub async fn stat(&self, path: &Path) -> Result<FileEntry> {
        files::stat(&self.connection, path).await
    }

    /// See [`Sandbox::digest`](oh_runtime_api::Sandbox::digest).
    ///
    /// # Errors
    /// The `Transfer…` kinds.
    pub async fn digest(&self, path: &Path, limit: Option<u64>) -> Result<FileDigest> {
        files::digest(&self.connection, path, limit).await
    }

    /// See [`Sandbox::make_folder`](oh_runtime_api::Sandbox::make_folder).
    ///
    /// # Errors
    /// The `Transfer…` kinds.
    pub async fn make_folder(&self, path: &Path, mode: u32) -> Result<()> {
        let operation = format!("make the folder {} in the sandbox", path.display());
        let change = Change::MakeFolder { path: convert::path(path), mode };
        files::change(&self.connection, operation, change).await
    }

    /// See [`Sandbox::rename`](oh_runtime_api::Sandbox::rename).
    ///
    /// # Errors
    /// The `Transfer…` kinds.
    pub async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let operation = format!("rename {} in the sandbox", from.display());
        let change = Change::Rename { from: convert::path(from), to: convert::path(to) };
        files::change(&self.connection, operation, change).await
    }

    /// See [`Sandbox::remove`](oh_runtime_api::Sandbox::remove).
    ///
    /// # Errors
    /// The `Transfer…` kinds.
    pub async fn remove(&self, path: &Path) -> Result<()> {
        let operation = format!("remove {} in the sandbox", path.display());
        files::change(&self.connection, operation, Change::Remove { path: convert::path(path) }).await
    }

    /// See [`Sandbox::list`](oh_runtime_api::Sandbox::list).
    ///
    /// # Errors
    /// The `Transfer…` kinds.
    pub async fn list(&self, path: &Path) -> Result<Vec<FileEntry>> {
        files::list(&self.connection, path).await
    }

    /// See [`Sandbox::pack`](oh_runtime_api::Sandbox::pack).
    ///
    /// # Errors
    /// The `Transfer…` kinds.
    pub async fn pack(&self, path: &Path, wanted: &Selection) -> Result<BoxRead> {
        files::pack(&self.connection, path, wanted).await
    }

    /// See [`Sandbox::unpack`](oh_runtime_api::Sandbox::unpack).
    ///
    /// # Errors
    /// The `Transfer…` kinds.
    pub async fn unpack(&self, path: &Path, owner: &Owner, tar: BoxRead) -> Result<u64> {
        files::unpack(&self.connection, path, owner, tar).await
    }

    /// See [`Sandbox::dial`](oh_runtime_api::Sandbox::dial).
    ///
    /// # Errors
    /// The `Connect…` kinds.
    pub async fn dial(&self, host: &str, port: u16) -> Result<Dialed> {
        forward::dial(&self.connection, host, port).await
    }
}
