//! A sandbox: one agent connection, opened on demand.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use oh_runtime_api::{
    AgentInfo, AttachedProcess, Backend, BoxRead, CommandId, CommandInfo, CommandSpec, DeleteReport, Dialed,
    Error, ErrorKind, FileDigest, FileEntry, Incarnation, Offsets, Outcome, Owner, Process, Result, Sandbox,
    Selection, WriteOptions,
};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::connection::Connection;
use crate::trouble::{self, Fate};

/// How long a request tries to reach the agent again after the stream broke.
const RECONNECT: Duration = Duration::from_secs(60);
/// Pause before the second attempt; each one after is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// Stands for a deadline the clock cannot hold.
const FOR_EVER: Duration = Duration::from_secs(1 << 30);

/// One sandbox of a backend.
pub(crate) struct Attached {
    backend: Arc<dyn Backend>,
    id: Incarnation,
    current: Mutex<Option<Arc<Connection>>>,
    /// The agent that answered first.
    boot: OnceLock<u128>,
    /// Whether its agent ever answered anybody: what ended before was never ready.
    answered: AtomicBool,
}

impl Attached {
    /// A sandbox that was just made.
    pub(crate) fn made(backend: Arc<dyn Backend>, id: Incarnation) -> Self {
        Self {
            backend,
            id,
            current: Mutex::default(),
            boot: OnceLock::new(),
            answered: AtomicBool::new(false),
        }
    }

    /// A sandbox that was there.
    pub(crate) fn found(backend: Arc<dyn Backend>, id: Incarnation) -> Self {
        Self { answered: AtomicBool::new(true), ..Self::made(backend, id) }
    }

    /// The open connection, or a new one when there is none, tried until `deadline`.
    async fn connection(&self, deadline: Instant) -> Result<Arc<Connection>> {
        let Ok(mut current) = timeout_at(deadline, self.current.lock()).await else {
            return Err(self.silent());
        };
        if let Some(connection) = current.as_ref().filter(|open| !open.client().is_closed()) {
            return Ok(Arc::clone(connection));
        }
        let connection = self.joined(deadline).await?;
        *current = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// A new connection to the agent that answered first.
    async fn joined(&self, deadline: Instant) -> Result<Arc<Connection>> {
        // Whatever broke while connecting, no command was sent.
        let not_started = |error: Error| error.in_operation(self.operation()).outcome_is(Outcome::NotStarted);
        let connection = self.open(deadline).await.map_err(not_started)?;
        let boot = connection.client().info().boot;
        if *self.boot.get_or_init(|| boot) != boot {
            let message = "its agent was started again meanwhile: what ran before is gone";
            return Err(Error::new(ErrorKind::Restarted, self.operation(), message)
                .hint("attach to the sandbox again to go on with the new agent"));
        }
        self.answered.store(true, Ordering::Relaxed);
        Ok(connection)
    }

    /// The connection for a request.
    async fn connected(&self) -> Result<Arc<Connection>> {
        self.connection(Instant::now() + RECONNECT).await
    }

    /// Tries until `deadline`, unless the backend knows that it is hopeless.
    async fn open(&self, deadline: Instant) -> Result<Arc<Connection>> {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match timeout_at(deadline, Connection::open(&self.backend, &self.id)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => self.explain(error).await,
                Err(_) => self.explain(self.silent()).await,
            };
            let worth_it = matches!(error.kind(), ErrorKind::StreamLost | ErrorKind::Unavailable);
            if !worth_it || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tracing::debug!(sandbox = %self.id.name, %error, "connecting again");
            sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// `error`, or what it was a sign of.
    async fn explain(&self, error: Error) -> Error {
        if !matches!(error.kind(), ErrorKind::StreamLost | ErrorKind::Ended | ErrorKind::NotFound) {
            return error;
        }
        let ended = if self.answered.load(Ordering::Relaxed) {
            ErrorKind::Ended
        } else {
            ErrorKind::EndedBeforeReady
        };
        match trouble::look(&*self.backend, &self.id).await {
            Fate::Runs => error,
            fate => fate.explain(error, ended),
        }
    }

    fn operation(&self) -> String {
        format!("connect to sandbox {}", self.id.name)
    }

    fn silent(&self) -> Error {
        Error::new(ErrorKind::StreamLost, self.operation(), "its agent does not answer")
    }
}

#[async_trait]
impl Sandbox for Attached {
    fn incarnation(&self) -> &Incarnation {
        &self.id
    }

    async fn connect(&self, deadline: Duration) -> Result<AgentInfo> {
        let now = Instant::now();
        let error = match self.connection(now.checked_add(deadline).unwrap_or(now + FOR_EVER)).await {
            Ok(connection) => return Ok(connection.client().info().clone()),
            Err(error) if error.kind() == ErrorKind::StreamLost => error,
            Err(error) => return Err(error),
        };
        let message = format!(
            "its agent could not be reached within {:.1} s: {}",
            deadline.as_secs_f64(),
            error.message()
        );
        let late = Error::new(ErrorKind::Deadline, self.operation(), message).caused_by(error);
        Err(match self.backend.evidence(&self.id).await {
            Ok(evidence) => trouble::witnessed(late, &evidence),
            Err(_) => late,
        })
    }

    async fn start(&self, spec: CommandSpec) -> Result<Process> {
        let connection = self.connected().await?;
        let process = connection.client().start(spec).await;
        connection.explained(process).await.map(|process| connection.process(process))
    }

    async fn attach(&self, id: CommandId, known: Offsets) -> Result<AttachedProcess> {
        let connection = self.connected().await?;
        let attached = connection.client().attach(id, known).await;
        connection
            .explained(attached)
            .await
            .map(|attached| AttachedProcess { process: connection.process(attached.process), ..attached })
    }

    async fn kill(&self, id: CommandId, signal: Option<i32>) -> Result<()> {
        let connection = self.connected().await?;
        let killed = connection.client().kill(id, signal).await;
        connection.explained(killed).await
    }

    async fn commands(&self) -> Result<Vec<CommandInfo>> {
        let connection = self.connected().await?;
        let commands = connection.client().commands().await;
        connection.explained(commands).await
    }

    async fn read_file(&self, path: &Path, offset: u64, limit: Option<u64>) -> Result<BoxRead> {
        let connection = self.connected().await?;
        let stream = connection.client().read_file(path, offset, limit).await;
        connection.explained(stream).await.map(|stream| connection.reader(stream))
    }

    async fn write_file(&self, path: &Path, how: WriteOptions, data: BoxRead) -> Result<u64> {
        let connection = self.connected().await?;
        let size = connection.client().write_file(path, how, data).await;
        connection.explained(size).await
    }

    async fn stat(&self, path: &Path) -> Result<FileEntry> {
        let connection = self.connected().await?;
        let entry = connection.client().stat(path).await;
        connection.explained(entry).await
    }

    async fn digest(&self, path: &Path, limit: Option<u64>) -> Result<FileDigest> {
        let connection = self.connected().await?;
        let digest = connection.client().digest(path, limit).await;
        connection.explained(digest).await
    }

    async fn make_folder(&self, path: &Path, mode: u32) -> Result<()> {
        let connection = self.connected().await?;
        let made = connection.client().make_folder(path, mode).await;
        connection.explained(made).await
    }

    async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let connection = self.connected().await?;
        let renamed = connection.client().rename(from, to).await;
        connection.explained(renamed).await
    }

    async fn remove(&self, path: &Path) -> Result<()> {
        let connection = self.connected().await?;
        let removed = connection.client().remove(path).await;
        connection.explained(removed).await
    }

    async fn list(&self, path: &Path) -> Result<Vec<FileEntry>> {
        let connection = self.connected().await?;
        let entries = connection.client().list(path).await;
        connection.explained(entries).await
    }

    async fn pack(&self, path: &Path, wanted: &Selection) -> Result<BoxRead> {
        let connection = self.connected().await?;
        let stream = connection.client().pack(path, wanted).await;
        connection.explained(stream).await.map(|stream| connection.reader(stream))
    }

    async fn unpack(&self, path: &Path, owner: &Owner, tar: BoxRead) -> Result<u64> {
        let connection = self.connected().await?;
        let entries = connection.client().unpack(path, owner, tar).await;
        connection.explained(entries).await
    }

    async fn dial(&self, host: &str, port: u16) -> Result<Dialed> {
        let connection = self.connected().await?;
        let dialed = connection.client().dial(host, port).await;
        connection
            .explained(dialed)
            .await
            .map(|dialed| Dialed { read: connection.reader(dialed.read), ..dialed })
    }

    async fn gone(&self) -> Error {
        loop {
            let error = match self.connected().await {
                Ok(connection) => {
                    // Whoever waits is no reason to keep a session.
                    let over = connection.client().over();
                    drop(connection);
                    over.await;
                    continue;
                }
                Err(error) => error,
            };
            if !matches!(error.kind(), ErrorKind::StreamLost | ErrorKind::Ended) {
                return error;
            }
            // One that is being removed has ended first.
            return match trouble::settled(&*self.backend, &self.id).await {
                Fate::Runs => error,
                fate => fate.explain(error, ErrorKind::Ended),
            };
        }
    }

    async fn disconnect(&self) {
        let connection = self.current.lock().await.take();
        let over = connection.map(|connection| connection.client().over());
        if let Some(over) = over {
            // Whoever still has something open keeps the session.
            let _ = timeout(GOODBYE, over).await;
        }
    }

    async fn pause(&self) -> Result<()> {
        self.backend.pause(&self.id).await
    }

    async fn resume(&self) -> Result<()> {
        self.backend.resume(&self.id).await
    }

    async fn close(&self) -> Result<DeleteReport> {
        let report = self.backend.delete(&self.id).await?;
        // A stream may learn of the end a little later: what is asked for in between must not get lost in it.
        *self.current.lock().await = None;
        Ok(report)
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("backend", &self.backend)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sandbox {} on {}", self.id.name, self.backend)
    }
}
