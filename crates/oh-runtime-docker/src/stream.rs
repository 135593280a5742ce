//! A byte stream to a sandbox's agent: an exec of its bridge.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bollard::container::LogOutput;
use bollard::errors::Error as EngineError;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::{ContainerStateStatusEnum as Status, ExecConfig};
use bytes::{Buf, Bytes};
use futures::Stream;
use futures::stream::BoxStream;
use oh_runtime_api::{Duplex, Error, ErrorKind, Incarnation, Result, bridge_argv};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::client::Client;
use crate::error::{one_line, status, words};
use crate::evidence;

/// Bytes read from the engine at once.
const BUFFER: usize = 64 * 1024;
/// Bytes kept of what the bridge said last.
const LAST_WORDS: usize = 2048;

/// Executes the bridge. The container is named by its id, so that one of the same name is never taken for it.
pub(crate) async fn open(client: &Client, id: &Incarnation) -> Result<Box<dyn Duplex>> {
    let operation = format!("connect to sandbox {}", id.name);
    let argv = bridge_argv(&id.name);
    let exec = ExecConfig {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(false),
        cmd: Some(argv.iter().map(|word| word.to_string_lossy().into_owned()).collect()),
        ..ExecConfig::default()
    };
    let options = StartExecOptions { detach: false, tty: false, output_capacity: Some(BUFFER) };
    let started = match client.calls.create_exec(&id.uid, exec).await {
        Ok(made) => client.calls.start_exec(&made.id, Some(options)).await,
        Err(error) => Err(error),
    };
    match started {
        Ok(StartExecResults::Attached { output, input }) => Ok(Box::new(Bridge {
            operation,
            output,
            input,
            unread: Bytes::new(),
            greeted: false,
            said: Vec::new(),
        })),
        Ok(StartExecResults::Detached) => {
            Err(Error::new(ErrorKind::Internal, operation, "the engine detached the bridge"))
        }
        Err(error) => Err(refused(client, id, operation, error).await),
    }
}

/// Why the engine executes nothing in the container.
async fn refused(client: &Client, id: &Incarnation, operation: String, error: EngineError) -> Error {
    if !matches!(status(&error), Some(404 | 409)) {
        return client.error(operation, error);
    }
    let state = match evidence::inspect(client, id, &operation).await {
        Ok(found) => found.state.and_then(|state| state.status),
        Err(gone) => return gone,
    };
    let (kind, message) = match state {
        Some(Status::PAUSED) => {
            let paused = Error::new(ErrorKind::Paused, operation, "the sandbox is paused");
            return paused.hint("resume it: what ran in it goes on then").caused_by(error);
        }
        Some(Status::EXITED | Status::DEAD | Status::REMOVING) => {
            (ErrorKind::Ended, "the sandbox ended".to_owned())
        }
        Some(Status::CREATED) => (ErrorKind::StreamLost, "the sandbox is not started yet".to_owned()),
        _ => (ErrorKind::StreamLost, format!("the engine refuses: {}", words(&error))),
    };
    Error::new(kind, operation, message).caused_by(error)
}

/// Standard input and output of a bridge.
struct Bridge {
    operation: String,
    output: BoxStream<'static, Result<LogOutput, EngineError>>,
    input: Pin<Box<dyn AsyncWrite + Send>>,
    /// The rest of the last piece of standard output.
    unread: Bytes,
    /// Whether standard output began.
    greeted: bool,
    /// The end of standard error.
    said: Vec<u8>,
}

impl Bridge {
    fn lost(&self, message: String) -> io::Error {
        io::Error::other(Error::new(ErrorKind::StreamLost, self.operation.as_str(), message))
    }

    /// Takes the next piece of the exec's output. True when the stream is at its end.
    fn take(&mut self, piece: Option<Result<LogOutput, EngineError>>) -> io::Result<bool> {
        match piece {
            Some(Ok(LogOutput::StdOut { message })) => {
                if !self.greeted
                    && let Some(text) = words_of_the_engine(&message)
                {
                    return Err(self.lost(text));
                }
                self.greeted = true;
                self.unread = message;
                Ok(false)
            }
            Some(Ok(LogOutput::StdErr { message })) => {
                self.said.extend_from_slice(&message);
                let excess = self.said.len().saturating_sub(LAST_WORDS);
                self.said.drain(..excess);
                Ok(false)
            }
            // bollard's way to say that the stream broke off amid a frame.
            Some(Ok(LogOutput::Console { .. } | LogOutput::StdIn { .. })) => {
                Err(self.lost("the connection to the engine broke".to_owned()))
            }
            Some(Err(error)) => {
                Err(self.lost(format!("the connection to the engine broke: {}", words(&error))))
            }
            None => match one_line(&String::from_utf8_lossy(&std::mem::take(&mut self.said))) {
                said if said.is_empty() => Ok(true),
                said => Err(self.lost(said)),
            },
        }
    }
}

/// When an exec cannot be started, the engine has promised a stream already, and writes why into standard output: a
/// line of text. What an agent says first is not text, it holds zeros.
fn words_of_the_engine(first: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(first.strip_suffix(b"\r\n")?).ok()?;
    (!text.contains('\0')).then(|| format!("the engine cannot execute the bridge: {}", one_line(text)))
}

impl AsyncRead for Bridge {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            let piece = ready!(Pin::new(&mut self.output).poll_next(cx));
            if self.take(piece)? {
                return Poll::Ready(Ok(()));
            }
        }
        let count = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread[..count]);
        self.unread.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bridge {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.input.as_mut().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use tokio::io::AsyncReadExt;

    use super::*;

    fn bridge(pieces: Vec<Result<LogOutput, EngineError>>) -> Bridge {
        Bridge {
            operation: "connect to sandbox a".to_owned(),
            output: Box::pin(stream::iter(pieces)),
            input: Box::pin(tokio::io::sink()),
            unread: Bytes::new(),
            greeted: false,
            said: Vec::new(),
        }
    }

    fn out(text: &'static [u8]) -> Result<LogOutput, EngineError> {
        Ok(LogOutput::StdOut { message: text.into() })
    }

    fn err(text: &'static [u8]) -> Result<LogOutput, EngineError> {
        Ok(LogOutput::StdErr { message: text.into() })
    }

    async fn read(pieces: Vec<Result<LogOutput, EngineError>>) -> (Vec<u8>, Option<Error>) {
        let mut bytes = Vec::new();
        let result = bridge(pieces).read_to_end(&mut bytes).await;
        (bytes, result.err().map(|error| error.downcast::<Error>().unwrap()))
    }

    #[tokio::test]
    async fn standard_output_is_the_stream() {
        let (bytes, error) = read(vec![out(b"\0ab"), out(b""), out(b"cd\r\n"), out(b"ef\r\n")]).await;
        assert_eq!(bytes, b"\0abcd\r\nef\r\n");
        assert!(error.is_none());
        // Reading less than a piece leaves the rest.
        let mut stream = bridge(vec![out(b"\0abc")]);
        let mut two = [0; 2];
        stream.read_exact(&mut two).await.unwrap();
        assert_eq!(&two, b"\0a");
        stream.read_exact(&mut two).await.unwrap();
        assert_eq!(&two, b"bc");
    }

    #[tokio::test]
    async fn what_the_bridge_said_is_the_error_at_the_end() {
        let (bytes, error) =
            read(vec![out(b"\0a"), err(b"oh-agent: no agent "), err(b"is listening\n")]).await;
        assert_eq!(bytes, b"\0a");
        let error = error.unwrap();
        assert_eq!(error.kind(), ErrorKind::StreamLost);
        assert_eq!(error.message(), "oh-agent: no agent is listening");
        let (_, error) = read(vec![err(&[b'x'; 5000]), err(b"end")]).await;
        let message = error.unwrap().message().to_owned();
        assert!(message.len() == LAST_WORDS && message.ends_with("xend"), "{message}");
    }

    #[tokio::test]
    async fn the_engines_own_words_are_no_data() {
        let text = b"OCI runtime exec failed: exec failed: resource temporarily unavailable: unknown\r\n";
        let (bytes, error) = read(vec![out(text)]).await;
        assert!(bytes.is_empty());
        let error = error.unwrap();
        assert_eq!(error.kind(), ErrorKind::StreamLost);
        assert!(error.message().contains("resource temporarily unavailable"), "{error}");
    }

    #[tokio::test]
    async fn a_damaged_stream_is_an_error() {
        let damaged = Ok(LogOutput::Console { message: "half".into() });
        let broken = Err(EngineError::IOError { err: io::ErrorKind::ConnectionReset.into() });
        for piece in [damaged, broken] {
            let (bytes, error) = read(vec![out(b"\0a"), piece]).await;
            assert_eq!(bytes, b"\0a");
            assert_eq!(error.unwrap().kind(), ErrorKind::StreamLost);
        }
    }
}
