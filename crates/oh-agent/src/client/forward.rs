//! TCP connections in the sandbox.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use oh_runtime_api::{BoxRead, Dialed, Error, ErrorKind, Result};
use tokio::io::{AsyncRead, ReadBuf};

use super::connection::{Channel, Connection, unexpected};
use super::{convert, streams};
use crate::protocol::{FromAgent, Request};

pub(super) async fn dial(connection: &Arc<Connection>, host: &str, port: u16) -> Result<Dialed> {
    let operation = format!("connect to port {port} of {host} in the sandbox");
    let request = Request::Connect { host: host.as_bytes().to_vec(), port };
    let (mut channel, streams) = connection.request(&operation, request)?;
    channel.handle().carries_connection();
    match channel.reply(&operation).await.map_err(|error| explained(error, port))? {
        FromAgent::Opened => {}
        _ => return Err(unexpected(&operation)),
    }
    let handle = channel.handle();
    let write = streams::writer(handle, streams.input);
    let bytes = streams::reader(handle, streams.output, &operation);
    Ok(Dialed { read: Box::pin(Reader { bytes, channel, operation }), write })
}

fn explained(error: Error, port: u16) -> Error {
    match error.kind() {
        ErrorKind::ConnectRefused => error.hint(format!("nothing listens on port {port} in the sandbox")),
        _ => error,
    }
}

/// What the peer says. A connection that broke has no end.
struct Reader {
    bytes: BoxRead,
    channel: Channel,
    operation: String,
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.remaining();
        ready!(self.bytes.as_mut().poll_read(cx, out))?;
        // That it broke is said before the end of its bytes is.
        if out.remaining() == before
            && before > 0
            && let Some(FromAgent::Broke(failure)) = self.channel.reply_now()
        {
            return Poll::Ready(Err(io::Error::other(convert::failure(failure, &self.operation))));
        }
        Poll::Ready(Ok(()))
    }
}
