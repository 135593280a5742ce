//! A running command's streams and ours, joined; signals to us end the command.

use std::io;
use std::pin::pin;
use std::time::Duration;

use futures::future::try_join;
use oh_runtime::{BoxRead, BoxWrite, Error, Finished, Process, TerminalSize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};

use crate::failure::{Cause, Failure, Result};
use crate::signals::{Interrupt, Signal};
use crate::terminal::Terminal;

/// How long a cancelled command may take to end beyond its grace: time to be killed, and for the news to travel.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);
const BUFFER: usize = 32 * 1024;

/// Waits for the end of `process` with its output going to `stdout` and `stderr`, and `stdin` to it where it has one.
/// `grace` is the command's own; it hears of the size of `terminal`.
///
/// # Errors
/// When the stream to the sandbox broke, or the output could not be written; the command is cancelled then. Being
/// interrupted is no error: the command ends as cancelled.
pub(crate) async fn relay(
    mut process: Process,
    grace: Duration,
    mut terminal: Option<Terminal>,
    stdin: impl AsyncRead + Send + Unpin + 'static,
    stdout: impl AsyncWrite + Unpin,
    stderr: impl AsyncWrite + Unpin,
    interrupt: &Interrupt,
) -> Result<Finished> {
    let feeding = process.stdin.take().map(|to| tokio::spawn(feed(stdin, to)));
    let (out, err) = (process.stdout.take(), process.stderr.take());
    let mut output = pin!(try_join(copy_some(out, stdout), copy_some(err, stderr)));

    let mut finished = None;
    let mut copied = false;
    let mut broken = None;
    let mut give_up_at = None;
    let result = loop {
        if let Some(finished) = finished.take_if(|_| copied) {
            break broken.map_or(Ok(finished), Err);
        }
        tokio::select! {
            end = process.wait(), if finished.is_none() => match end {
                Ok(end) => finished = Some(end),
                Err(error) => break Err(error.into()),
            },
            done = &mut output, if !copied => {
                copied = true;
                if let Err(error) = done {
                    // What cannot be shown need not go on. When the sandbox is the cause, `wait` knows better.
                    if matches!(error, CopyError::Write(_)) {
                        give_up_at = Some(cancel(&process, grace).await);
                    }
                    broken = Some(error.into());
                }
            }
            size = resized(&mut terminal) => {
                // A failure shows in `wait`.
                let _ = process.resize(size).await;
            }
            _ = interrupt.wait(), if give_up_at.is_none() => give_up_at = Some(cancel(&process, grace).await),
            () = sleep_until(give_up_at.unwrap_or_else(Instant::now)), if give_up_at.is_some() => {
                let signal = interrupt.signal().unwrap_or(Signal::Interrupt);
                break Err(broken.unwrap_or_else(|| Failure::interrupted("end the command in time", signal)));
            }
        }
    };
    if let Some(feeding) = feeding {
        feeding.abort();
    }
    result
}

async fn resized(terminal: &mut Option<Terminal>) -> TerminalSize {
    match terminal {
        Some(terminal) => terminal.resized().await,
        None => std::future::pending().await,
    }
}

/// Asks for the command's end and says until when it may take. A failure shows in `wait`.
async fn cancel(process: &Process, grace: Duration) -> Instant {
    let until = Instant::now() + grace + CANCEL_LIMIT;
    let _ = process.cancel().await;
    until
}

/// Passes on our standard input until either side has enough. Dropping the writer is the command's end-of-file.
async fn feed(mut from: impl AsyncRead + Unpin, mut to: BoxWrite) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

async fn copy_some(from: Option<BoxRead>, to: impl AsyncWrite + Unpin) -> Result<(), CopyError> {
    match from {
        Some(from) => copy(from, to).await.map(drop),
        None => Ok(()),
    }
}

/// Why a copy stopped before its end.
pub(crate) enum CopyError {
    /// The sandbox's side.
    Read(io::Error),
    /// Ours.
    Write(io::Error),
}

/// Copies all of it, every piece at once, since people read output as it comes. Returns the number of bytes.
pub(crate) async fn copy(mut from: BoxRead, mut to: impl AsyncWrite + Unpin) -> Result<u64, CopyError> {
    let mut buffer = vec![0; BUFFER];
    let mut total = 0;
    loop {
        let count = from.read(&mut buffer).await.map_err(CopyError::Read)?;
        if count == 0 {
            return Ok(total);
        }
        to.write_all(&buffer[..count]).await.map_err(CopyError::Write)?;
        to.flush().await.map_err(CopyError::Write)?;
        total += count as u64;
    }
}

impl From<CopyError> for Failure {
    fn from(error: CopyError) -> Self {
        match error {
            // Errors of a sandbox's streams wrap the error proper.
            CopyError::Read(error) => match error.downcast::<Error>() {
                Ok(error) => error.into(),
                Err(error) => Self::new(Cause::Local, "read what the sandbox sends", error.to_string()),
            },
            CopyError::Write(error) => Self::output(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll};

    use async_trait::async_trait;
    use oh_runtime::{
        CommandId, DEFAULT_GRACE, End, ErrorKind, Outcome, ProcessControl, TerminalSize, Usage,
    };
    use tokio::io::ReadBuf;
    use tokio::sync::Notify;

    use super::*;

    /// A command that ends when it is told to: with `end`, or as cancelled.
    struct Scripted {
        end: Option<Result<End, Error>>,
        cancelled: Arc<AtomicBool>,
        changed: Arc<Notify>,
    }

    #[async_trait]
    impl ProcessControl for Scripted {
        async fn wait(&mut self) -> oh_runtime::Result<Finished> {
            let finished = |end| Finished {
                end,
                wall: Duration::from_secs(1),
                leaked: Vec::new(),
                usage: Usage::default(),
            };
            if let Some(end) = self.end.take() {
                return end.map(finished);
            }
            while !self.cancelled.load(Ordering::SeqCst) {
                self.changed.notified().await;
            }
            Ok(finished(End::Cancelled))
        }

        async fn signal(&self, _: i32) -> oh_runtime::Result<()> {
            Ok(())
        }

        async fn resize(&self, _: TerminalSize) -> oh_runtime::Result<()> {
            Ok(())
        }

        async fn cancel(&self) -> oh_runtime::Result<()> {
            self.cancelled.store(true, Ordering::SeqCst);
            self.changed.notify_one();
            Ok(())
        }
    }

    fn process(end: Option<Result<End, Error>>, stdout: BoxRead) -> Process {
        Process {
            id: CommandId { boot: 1, sequence: 1 },
            stdin: None,
            stdout: Some(stdout),
            stderr: Some(Box::pin(&b"err"[..])),
            control: Box::new(Scripted { end, cancelled: Arc::default(), changed: Arc::default() }),
        }
    }

    /// Output that never ends.
    fn endless() -> BoxRead {
        Box::pin(tokio::io::repeat(b'y'))
    }

    /// Output of a stream that breaks.
    struct Broken(Option<Error>);

    impl AsyncRead for Broken {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(self.0.take().map_or(Ok(()), |error| Err(io::Error::other(error))))
        }
    }

    /// Output that nobody reads any more.
    fn closed() -> impl AsyncWrite + Unpin {
        tokio::io::duplex(1).0
    }

    async fn run(process: Process, stdout: impl AsyncWrite + Unpin) -> (Result<End>, Vec<u8>) {
        let mut stderr = Vec::new();
        let result = relay(
            process,
            DEFAULT_GRACE,
            None,
            tokio::io::empty(),
            stdout,
            &mut stderr,
            &Interrupt::default(),
        )
        .await;
        (result.map(|finished| finished.end), stderr)
    }

    #[tokio::test]
    async fn output_is_complete_though_the_command_ends_first() {
        let mut stdout = Vec::new();
        let (mut write, read) = tokio::io::duplex(4);
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            write.write_all(&[b'x'; 10_000]).await.unwrap();
        });
        let (result, stderr) = run(process(Some(Ok(End::Exited(3))), Box::pin(read)), &mut stdout).await;
        assert_eq!(result.unwrap(), End::Exited(3));
        assert_eq!((stdout.len(), &*stderr), (10_000, &b"err"[..]));
    }

    #[tokio::test]
    async fn closed_output_cancels_the_command() {
        let (result, _) = run(process(None, endless()), closed()).await;
        assert_eq!(result.unwrap_err().cause(), Cause::OutputClosed);
    }

    #[tokio::test]
    async fn a_lost_stream_is_an_error_with_the_better_informed_cause() {
        let lost = |kind| Error::new(kind, "run x", "gone").outcome_is(Outcome::Unknown);
        let broken = Box::pin(Broken(Some(lost(ErrorKind::StreamLost))));
        let (result, _) = run(process(Some(Err(lost(ErrorKind::Deleted))), broken), tokio::io::sink()).await;
        assert_eq!(result.unwrap_err().cause(), Cause::Sandbox(ErrorKind::Deleted));
    }

    #[tokio::test]
    async fn a_signal_cancels_the_command_and_is_no_error() {
        let interrupt = Interrupt::default();
        let process = process(None, Box::pin(tokio::io::empty()));
        let running = relay(
            process,
            DEFAULT_GRACE,
            None,
            tokio::io::empty(),
            tokio::io::sink(),
            tokio::io::sink(),
            &interrupt,
        );
        let (result, first) = tokio::join!(running, async { interrupt.tell(Signal::Terminate) });
        assert!(first);
        assert_eq!(result.unwrap().end, End::Cancelled);
        assert_eq!(interrupt.signal(), Some(Signal::Terminate));
        assert!(!interrupt.tell(Signal::Interrupt), "only the first counts");
    }
}
