//! Streams of a channel as readers and writers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::FutureExt;
use oh_runtime_api::{BoxRead, BoxWrite};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::connection::{Handle, Input};
use super::convert;
use crate::flow::{Chunk, Outlet, OutletClosed};
use crate::protocol::frame::MAX_PAYLOAD;

/// Bytes of a channel's stream. Errors wrap [`oh_runtime_api::Error`].
struct Reader {
    input: Input,
    current: Bytes,
    ended: bool,
    operation: String,
    handle: Arc<Handle>,
}

pub(super) fn reader(handle: &Arc<Handle>, input: Input, operation: &str) -> BoxRead {
    Box::pin(Reader {
        input,
        current: Bytes::new(),
        ended: false,
        operation: operation.to_owned(),
        handle: Arc::clone(handle),
    })
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.current.is_empty() && !self.ended {
            match ready!(self.input.poll_next(cx)) {
                Some(Chunk::Data(bytes)) => self.current = bytes,
                Some(Chunk::Eof) => self.ended = true,
                Some(Chunk::Failed(failure)) => {
                    return Poll::Ready(Err(io::Error::other(convert::failure(failure, &self.operation))));
                }
                None => return Poll::Ready(Err(io::Error::other(self.handle.lost(&self.operation)))),
            }
        }
        let count = self.current.len().min(out.remaining());
        out.put_slice(&self.current[..count]);
        self.current.advance(count);
        self.input.consume(count);
        Poll::Ready(Ok(()))
    }
}

/// What a command or a peer gets: what is written goes through a small pipe into the channel.
pub(super) fn writer(handle: &Arc<Handle>, mut outlet: Outlet) -> BoxWrite {
    let (ours, theirs) = tokio::io::duplex(2 * MAX_PAYLOAD);
    let handle = Arc::clone(handle);
    let mut watch = outlet.watch();
    tokio::spawn(async move {
        let _handle = handle;
        let mut data: BoxRead = Box::pin(ours);
        // The reader's end is dropped as soon as nobody wants the rest, so that the writer gets an error even while it
        // writes nothing.
        tokio::select! {
            _ = pump(&mut data, &mut outlet) => { let _ = outlet.eof().await; }
            _ = Outlet::closed(&mut watch) => {}
        }
    });
    Box::pin(theirs)
}

/// Sends all of `data`, or as much as can be read and is wanted; does not end the stream.
async fn pump(data: &mut BoxRead, outlet: &mut Outlet) -> Result<(), OutletClosed> {
    loop {
        let room = outlet.room().await?.min(MAX_PAYLOAD);
        let mut buffer = BytesMut::with_capacity(room);
        let mut last = data.read_buf(&mut (&mut buffer).limit(room)).await;
        // What is there already goes along: a small frame costs as much as a full one.
        while matches!(last, Ok(count) if count > 0) && buffer.len() < room {
            let left = room - buffer.len();
            match data.read_buf(&mut (&mut buffer).limit(left)).now_or_never() {
                Some(more) => last = more,
                None => break,
            }
        }
        if !buffer.is_empty() {
            outlet.send(buffer.freeze()).await?;
        }
        if !matches!(last, Ok(count) if count > 0) {
            return Ok(());
        }
    }
}
