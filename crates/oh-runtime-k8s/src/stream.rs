//! A byte stream to a sandbox's agent: an exec of its bridge over one WebSocket.
//!
//! The frames are our own. kube's pipes take a task, cut input into 4 KiB, and do not end when they are dropped.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures::{Sink, Stream};
use kube::api::{AttachParams, Request};
use kube::core::Status;
use oh_runtime_api::{Duplex, Error, ErrorKind, Incarnation, Outcome, Result, SandboxState};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use crate::client::{Client, Unanswered};
use crate::error::one_line;
use crate::pod::SANDBOX;
use crate::{evidence, pod};

/// Most bytes in one frame.
const FRAME: usize = 32 * 1024;
/// Bytes kept of what the bridge said last.
const LAST_WORDS: usize = 2048;

/// The first byte of every frame.
mod channel {
    pub(super) const STDIN: u8 = 0;
    pub(super) const STDOUT: u8 = 1;
    pub(super) const STDERR: u8 = 2;
    /// A `Status` as JSON, the last that comes.
    pub(super) const STATUS: u8 = 3;
    /// From version 5 on: the channel in the next byte is at its end.
    pub(super) const CLOSE: u8 = 255;
}

/// Executes the bridge. Its address holds the uid, so that one of the same name is never taken for it.
pub(crate) async fn open(client: &Client, id: &Incarnation) -> Result<Box<dyn Duplex>> {
    let operation = format!("connect to sandbox {}", id.name);
    let path = format!("/api/v1/namespaces/{}/pods", client.namespace);
    let params = AttachParams::default().container(SANDBOX).stdin(true).stdout(true).stderr(true);
    let request = Request::new(path).exec(id.name.as_str(), pod::bridge(id), &params).map_err(|error| {
        Error::new(ErrorKind::Internal, operation.as_str(), error.to_string()).caused_by(error)
    })?;
    match client.answer(|| client.kube.connect(request.clone())).await {
        Ok(connection) => {
            let closes = connection.supports_stream_close();
            Ok(Box::new(Bridge::new(operation, connection.into_stream(), closes)))
        }
        Err(error) => Err(refused(client, id, operation, error).await),
    }
}

/// Why nothing is executed in the Pod.
async fn refused(client: &Client, id: &Incarnation, operation: String, unanswered: Unanswered) -> Error {
    if !matches!(unanswered.status(), 400 | 404 | 409 | 500..) {
        return client.error(operation, unanswered);
    }
    let pod = match evidence::get(client, id, &operation).await {
        Ok(pod) => pod,
        Err(gone) => return gone,
    };
    if pod.metadata.deletion_timestamp.is_some() {
        return Error::new(ErrorKind::NotFound, operation, "the sandbox is being removed");
    }
    if evidence::ended(&pod) {
        return Error::new(ErrorKind::Ended, operation, "the sandbox ended");
    }
    if evidence::sandbox_state(&pod) == SandboxState::Unreachable {
        return Error::new(ErrorKind::NodeLost, operation, "the sandbox's node does not answer any more");
    }
    // The container may not have started yet, the node may be busy.
    let said = client.error(operation.as_str(), unanswered);
    Error::new(ErrorKind::StreamLost, operation, said.message()).caused_by(said)
}

/// Standard input and output of a bridge, over a WebSocket on `S`.
struct Bridge<S> {
    operation: String,
    socket: WebSocketStream<S>,
    /// Whether the other end understands [`channel::CLOSE`].
    closes: bool,
    /// The rest of the last piece of standard output.
    unread: Bytes,
    /// The end of standard error.
    said: Vec<u8>,
    /// What the server said about the bridge's end.
    status: Option<String>,
    ended: bool,
    input_closed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Bridge<S> {
    fn new(operation: String, socket: WebSocketStream<S>, closes: bool) -> Self {
        Self {
            operation,
            socket,
            closes,
            unread: Bytes::new(),
            said: Vec::new(),
            status: None,
            ended: false,
            input_closed: false,
        }
    }

    fn lost(&self, message: String) -> io::Error {
        // What was sent may have arrived.
        let error = Error::new(ErrorKind::StreamLost, self.operation.as_str(), message);
        io::Error::other(error.outcome_is(Outcome::Unknown))
    }

    fn broken(&self, error: &WsError) -> io::Error {
        self.lost(format!(
            "the connection to the Kubernetes API server broke: {}",
            one_line(&error.to_string())
        ))
    }

    /// Takes the next message.
    fn take(&mut self, message: Option<Result<Message, WsError>>) -> io::Result<()> {
        let mut frame = match message {
            Some(Ok(Message::Binary(frame))) => frame,
            Some(Ok(Message::Text(text))) => Bytes::from(text),
            // Answered by the library.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Ok(()),
            Some(Ok(Message::Close(_))) | None => return self.end(),
            Some(Err(WsError::ConnectionClosed)) => return self.end(),
            Some(Err(error)) => return Err(self.broken(&error)),
        };
        if frame.is_empty() {
            return Ok(());
        }
        match frame.get_u8() {
            channel::STDOUT => self.unread = frame,
            channel::STDERR => {
                self.said.extend_from_slice(&frame);
                let excess = self.said.len().saturating_sub(LAST_WORDS);
                self.said.drain(..excess);
            }
            channel::STATUS => self.status = Some(reason(&frame)),
            // The end of a channel; the socket's own end follows.
            _ => {}
        }
        Ok(())
    }

    /// The bridge ended, or the connection did. Only a bridge that says nothing at its end ended in order; a connection
    /// that ends without the server's word broke.
    fn end(&mut self) -> io::Result<()> {
        self.ended = true;
        let said = one_line(&String::from_utf8_lossy(&std::mem::take(&mut self.said)));
        let reason = match (self.status.take(), said.is_empty()) {
            (Some(status), true) if status.is_empty() => return Ok(()),
            (Some(status), true) => status,
            (_, false) => said,
            (None, true) => "the connection to the Kubernetes API server ended".to_owned(),
        };
        Err(self.lost(reason))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, frame: impl FnOnce() -> Bytes) -> Poll<io::Result<()>> {
        let ready = ready!(Pin::new(&mut self.socket).poll_ready(cx));
        let sent = ready.and_then(|()| Pin::new(&mut self.socket).start_send(Message::Binary(frame())));
        Poll::Ready(sent.map_err(|error| self.broken(&error)))
    }
}

/// Why the bridge could not be executed or failed; empty when it ended in order.
fn reason(status: &[u8]) -> String {
    match serde_json::from_slice::<Status>(status) {
        Ok(status) if status.is_success() => String::new(),
        Ok(status) => one_line(&status.message),
        Err(_) => one_line(&String::from_utf8_lossy(status)),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Bridge<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() && !self.ended {
            let message = ready!(Pin::new(&mut self.socket).poll_next(cx));
            self.take(message)?;
        }
        let count = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread[..count]);
        self.unread.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Bridge<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = bytes.len().min(FRAME);
        ready!(self.poll_send(cx, || {
            let mut frame = BytesMut::with_capacity(1 + count);
            frame.extend_from_slice(&[channel::STDIN]);
            frame.extend_from_slice(&bytes[..count]);
            frame.freeze()
        }))?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.socket).poll_flush(cx));
        Poll::Ready(flushed.map_err(|error| self.broken(&error)))
    }

    /// Ends standard input. Where the protocol has no way to say so, the connection is closed.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closes {
            return match ready!(Pin::new(&mut self.socket).poll_close(cx)) {
                Ok(()) | Err(WsError::ConnectionClosed | WsError::AlreadyClosed) => Poll::Ready(Ok(())),
                Err(error) => Poll::Ready(Err(self.broken(&error))),
            };
        }
        if !self.input_closed {
            ready!(self.poll_send(cx, || Bytes::from_static(&[channel::CLOSE, channel::STDIN])))?;
            self.input_closed = true;
        }
        self.poll_flush(cx)
    }
}

#[cfg(test)]
mod tests;
