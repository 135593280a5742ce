//! A shell on a terminal of the sandbox: what it prints is read all the time, so that nothing in it ever waits for a reader.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oh_runtime::{
    BoxWrite, CommandId, CommandSpec, End, Error, ErrorKind, Offsets, Outcome, Process, Result, Sandbox,
    TerminalSize,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::screen::{HEIGHT, Screen, WIDTH};

/// Bytes asked for at once.
const PIECE: usize = 64 * 1024;

/// How a shell ended: as the sandbox says, or not known because something broke.
pub(super) type Over = std::result::Result<End, Arc<Error>>;

/// The terminal of one shell.
#[derive(Debug)]
pub(super) struct Terminal {
    id: CommandId,
    stdin: Input,
    shared: Arc<Shared>,
    news: watch::Receiver<u64>,
}

struct Input(BoxWrite);

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Input")
    }
}

#[derive(Debug, Default)]
struct Shared {
    screen: Mutex<Screen>,
    over: Mutex<Option<Over>>,
    /// Bytes read.
    offset: AtomicU64,
    /// The shell is left to somebody else.
    left: Notify,
}

impl Terminal {
    /// Starts a program on a new terminal.
    pub(super) async fn start(sandbox: &dyn Sandbox, spec: CommandSpec) -> Result<Self> {
        let size = TerminalSize { rows: HEIGHT, columns: WIDTH };
        // What OpenHands' terminal is called.
        let process = sandbox.start(spec.env("TERM", "screen").terminal(size).stdin()).await?;
        Self::of(process, 0)
    }

    /// Goes on with one that another process started, from what that has read.
    pub(super) async fn attach(sandbox: &dyn Sandbox, id: CommandId, offset: u64) -> Result<Self> {
        let attached = sandbox.attach(id, Offsets { stdout: offset, stderr: 0 }).await?;
        Self::of(attached.process, attached.from.stdout)
    }

    fn of(mut process: Process, offset: u64) -> Result<Self> {
        let missing = || Error::new(ErrorKind::Protocol, "open a terminal", "the agent gave no streams");
        let stdin = Input(process.stdin.take().ok_or_else(missing)?);
        let mut stdout = process.stdout.take().ok_or_else(missing)?;
        let (id, shared) = (process.id, Arc::new(Shared::default()));
        shared.offset.store(offset, Ordering::Relaxed);
        let (sender, news) = watch::channel(0);
        let of_task = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut piece = Vec::with_capacity(PIECE);
            let mut broken = None;
            loop {
                piece.clear();
                let read = tokio::select! {
                    read = stdout.read_buf(&mut piece) => read,
                    // Dropped, they would tell the agent that nobody will ever read.
                    () = of_task.left.notified() => return std::mem::forget((stdout, process)),
                };
                match read {
                    Ok(0) => break,
                    Ok(count) => {
                        of_task.offset.fetch_add(count as u64, Ordering::Relaxed);
                        lock(&of_task.screen).feed(&piece);
                        sender.send_modify(|count| *count += 1);
                    }
                    Err(error) => {
                        broken = Some(error);
                        break;
                    }
                }
            }
            let over = match (broken, process.wait().await) {
                (_, Err(error)) => Err(Arc::new(error)),
                (Some(error), Ok(_)) => Err(Arc::new(stream_error(error))),
                (None, Ok(finished)) => Ok(finished.end),
            };
            *lock(&of_task.over) = Some(over);
            // Its sender ends with it: nothing new will come.
        });
        Ok(Self { id, stdin, shared, news })
    }

    /// Leaves the shell to whoever attaches to it; dropping a terminal ends its input, and so the shell.
    pub(super) fn leave(self) {
        std::mem::forget(self.stdin);
        self.shared.left.notify_one();
    }

    /// The shell's name for ever, and how much of what it printed was read.
    pub(super) fn position(&self) -> (CommandId, u64) {
        (self.id, self.shared.offset.load(Ordering::Relaxed))
    }

    /// What it shows.
    pub(super) fn screen(&self) -> MutexGuard<'_, Screen> {
        lock(&self.shared.screen)
    }

    /// How the shell ended, if it did.
    pub(super) fn ended(&self) -> Option<Over> {
        lock(&self.shared.over).clone()
    }

    /// Waits for the end of the shell, at most so long.
    pub(super) async fn over(&mut self, limit: Duration) -> Option<Over> {
        let over = async {
            loop {
                if let Some(over) = self.ended() {
                    return over;
                }
                self.changed().await;
            }
        };
        timeout(limit, over).await.ok()
    }

    /// Waits until something was printed since the last call, or the shell has ended.
    pub(super) async fn changed(&mut self) {
        if self.news.changed().await.is_err() {
            // Over, which whoever asks next will see.
            tokio::task::yield_now().await;
        }
    }

    /// Types something.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(Ok(end)) = self.ended() {
            return Err(Error::new(ErrorKind::Ended, "use a session's terminal", format!("its shell {end}")));
        }
        let written = async {
            self.stdin.0.write_all(bytes).await?;
            self.stdin.0.flush().await
        };
        written.await.map_err(stream_error)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stream_error(error: std::io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::new(ErrorKind::StreamLost, "use a session's terminal", error.to_string())
            .outcome_is(Outcome::Unknown)
            .caused_by(error),
    }
}
