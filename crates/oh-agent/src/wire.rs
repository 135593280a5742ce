//! Frames over a byte stream: one task writes, one reads.

use std::io;

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::protocol::frame::{self, Decoder, Frame, FrameError};
use crate::protocol::{self, PREAMBLE};

/// Frames of data waiting behind each other; few, so that a message never waits long and channels take turns.
const BULK_QUEUE: usize = 4;
/// Bytes written at once.
const WRITE_BATCH: usize = 64 * 1024;

/// The connection is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

/// Where everything that is to be sent goes in. Cheap to clone.
///
/// Messages overtake data. Their queue has no limit of its own: each answers something the other end sent, or
/// acknowledges a part of a window.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    control: mpsc::UnboundedSender<(u32, Vec<u8>)>,
    bulk: mpsc::Sender<Bulk>,
}

#[derive(Debug)]
enum Bulk {
    Data(u32, u8, Bytes),
    Eof(u32, u8),
}

impl Sender {
    pub(crate) fn message(&self, channel: u32, message: &impl Serialize) -> Result<(), Closed> {
        let body = protocol::encode(message).map_err(|_| Closed)?;
        self.control.send((channel, body)).map_err(|_| Closed)
    }

    pub(crate) async fn data(&self, channel: u32, stream: u8, bytes: Bytes) -> Result<(), Closed> {
        self.bulk.send(Bulk::Data(channel, stream, bytes)).await.map_err(|_| Closed)
    }

    pub(crate) async fn eof(&self, channel: u32, stream: u8) -> Result<(), Closed> {
        self.bulk.send(Bulk::Eof(channel, stream)).await.map_err(|_| Closed)
    }
}

/// What a [`Sender`] takes comes out here.
#[derive(Debug)]
pub(crate) struct Outgoing {
    control: mpsc::UnboundedReceiver<(u32, Vec<u8>)>,
    bulk: mpsc::Receiver<Bulk>,
}

pub(crate) fn outgoing() -> (Sender, Outgoing) {
    let (control_sender, control) = mpsc::unbounded_channel();
    let (bulk_sender, bulk) = mpsc::channel(BULK_QUEUE);
    (Sender { control: control_sender, bulk: bulk_sender }, Outgoing { control, bulk })
}

impl Outgoing {
    /// Writes until every sender is gone, then shuts the stream down.
    pub(crate) async fn write_to(mut self, mut out: impl AsyncWrite + Unpin) -> io::Result<()> {
        let mut buffer = BytesMut::with_capacity(2 * WRITE_BATCH);
        loop {
            tokio::select! {
                biased;
                Some(message) = self.control.recv() => put_message(&mut buffer, &message)?,
                Some(bulk) = self.bulk.recv() => put_bulk(&mut buffer, bulk),
                else => return out.shutdown().await,
            }
            while buffer.len() < WRITE_BATCH {
                if let Ok(message) = self.control.try_recv() {
                    put_message(&mut buffer, &message)?;
                } else if let Ok(bulk) = self.bulk.try_recv() {
                    put_bulk(&mut buffer, bulk);
                } else {
                    break;
                }
            }
            out.write_all(&buffer).await?;
            out.flush().await?;
            buffer.clear();
        }
    }
}

fn put_message(buffer: &mut BytesMut, (channel, body): &(u32, Vec<u8>)) -> io::Result<()> {
    frame::put_message(buffer, *channel, body).map_err(io::Error::other)
}

fn put_bulk(buffer: &mut BytesMut, bulk: Bulk) {
    match bulk {
        Bulk::Data(channel, stream, bytes) => frame::put_data(buffer, channel, stream, &bytes),
        Bulk::Eof(channel, stream) => frame::put_eof(buffer, channel, stream),
    }
}

/// Why no more frames come.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The stream broke.
    #[cfg_attr(
        not(feature = "client"),
        expect(dead_code, reason = "a client that broke off is no news to the agent")
    )]
    Io(io::Error),
    /// The other end broke the protocol.
    Protocol(FrameError),
}

/// Reads frames. [`next`](Self::next) may be dropped and called again.
#[derive(Debug)]
pub(crate) struct Incoming<R> {
    input: R,
    buffer: BytesMut,
    decoder: Decoder,
}

impl<R: AsyncRead + Unpin> Incoming<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, buffer: BytesMut::with_capacity(WRITE_BATCH), decoder: Decoder::default() }
    }

    /// The other end's version; `None` when it is not one of ours.
    pub(crate) async fn preamble(&mut self) -> io::Result<Option<u16>> {
        let mut bytes = [0; PREAMBLE];
        self.input.read_exact(&mut bytes).await?;
        Ok(protocol::decode_preamble(&bytes))
    }

    /// The next frame; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, ReadError> {
        loop {
            if let Some(frame) = self.decoder.next(&mut self.buffer).map_err(ReadError::Protocol)? {
                return Ok(Some(frame));
            }
            self.buffer.reserve(WRITE_BATCH);
            match self.input.read_buf(&mut self.buffer).await {
                Ok(0) if self.buffer.is_empty() => return Ok(None),
                Ok(0) => return Err(ReadError::Io(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(ReadError::Io(error)),
            }
        }
    }
}
