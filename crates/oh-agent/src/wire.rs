//! Frames of a session over one byte stream after the other. What was sent is kept until the other end has received it.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use crate::protocol::frame::{self, Decoder, Frame, FrameError, HEADER, MAX_PAYLOAD};
use crate::protocol::{self, KEPT, PREAMBLE, RECEIPT_EVERY};

/// Frames of data waiting behind each other; few, so that a message never waits long and channels take turns.
const BULK_QUEUE: usize = 4;
/// Most bytes of data that are under way while other channels are at work.
const KEPT_BESIDE: usize = 128 * 1024;
/// An end says what it has received after this many bytes while other channels are at work: the sender waits for it.
const RECEIPT_BESIDE: u64 = 64 * 1024;
/// For how long a channel is taken to be at work after it was.
const BESIDE: Duration = Duration::from_millis(250);
/// Data in frames of this size belong to a transfer that nobody waits for byte by byte.
const BULKY: usize = 16 * 1024;
/// Most bytes a channel sends at once while no other is at work.
const ALONE: usize = 8 * MAX_PAYLOAD;
/// Bytes written at once.
const WRITE_BATCH: usize = 64 * 1024;
/// Most bytes kept with messages, which are not held back: who lets it come to that receives nothing.
const KEPT_WITH_MESSAGES: usize = 8 * KEPT;
/// Messages that wait to be sent before an end should stop to take more that have to be answered.
#[cfg(feature = "server")]
const BACKLOG: usize = 16 * 1024;
/// Longest first message of a stream.
const MAX_GREETING: usize = 1024;

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
    backlog: Arc<Backlog>,
    beside: Arc<Beside>,
}

/// When something other than a large transfer was last at work.
#[derive(Debug, Default)]
struct Beside(Mutex<Option<Instant>>);

impl Beside {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// For how long it is taken to be at work still.
    fn left(&self) -> Option<Duration> {
        let at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        BESIDE.checked_sub(at?.elapsed()).filter(|left| !left.is_zero())
    }
}

/// How many messages wait to be sent.
#[derive(Debug, Default)]
struct Backlog {
    messages: AtomicUsize,
    less: Notify,
}

impl Backlog {
    fn taken(&self) {
        self.messages.fetch_sub(1, Ordering::Relaxed);
        self.less.notify_waiters();
    }
}

#[derive(Debug)]
enum Bulk {
    Data(u32, u8, Bytes),
    Eof(u32, u8),
}

impl Sender {
    pub(crate) fn message(&self, channel: u32, message: &impl Serialize) -> Result<(), Closed> {
        let body = protocol::encode(message).map_err(|_| Closed)?;
        self.backlog.messages.fetch_add(1, Ordering::Relaxed);
        self.control.send((channel, body)).map_err(|_| Closed)
    }

    /// Waits until not too many messages wait.
    #[cfg(feature = "server")]
    pub(crate) async fn relieved(&self) {
        loop {
            let less = self.backlog.less.notified();
            if self.backlog.messages.load(Ordering::Relaxed) < BACKLOG {
                return;
            }
            less.await;
        }
    }

    /// Most bytes of one channel that should be sent before another one has its turn.
    pub(crate) fn turn(&self) -> usize {
        if self.beside.left().is_some() { MAX_PAYLOAD } else { ALONE }
    }

    /// Waits until nothing but a large transfer is at work.
    pub(crate) async fn alone(&self) {
        while let Some(left) = self.beside.left() {
            tokio::time::sleep(left).await;
        }
    }

    pub(crate) async fn data(&self, channel: u32, stream: u8, bytes: Bytes) -> Result<(), Closed> {
        self.bulk.send(Bulk::Data(channel, stream, bytes)).await.map_err(|_| Closed)
    }

    pub(crate) async fn eof(&self, channel: u32, stream: u8) -> Result<(), Closed> {
        self.bulk.send(Bulk::Eof(channel, stream)).await.map_err(|_| Closed)
    }
}

/// A [`Sender`] that keeps nobody waiting for its end.
#[cfg(feature = "client")]
#[derive(Debug, Clone)]
pub(crate) struct WeakSender {
    control: mpsc::WeakUnboundedSender<(u32, Vec<u8>)>,
    bulk: mpsc::WeakSender<Bulk>,
    backlog: Arc<Backlog>,
    beside: Arc<Beside>,
}

#[cfg(feature = "client")]
impl Sender {
    pub(crate) fn downgrade(&self) -> WeakSender {
        WeakSender {
            control: self.control.downgrade(),
            bulk: self.bulk.downgrade(),
            backlog: Arc::clone(&self.backlog),
            beside: Arc::clone(&self.beside),
        }
    }
}

#[cfg(feature = "client")]
impl WeakSender {
    /// `None` when nobody sends any more.
    pub(crate) fn upgrade(&self) -> Option<Sender> {
        Some(Sender {
            control: self.control.upgrade()?,
            bulk: self.bulk.upgrade()?,
            backlog: Arc::clone(&self.backlog),
            beside: Arc::clone(&self.beside),
        })
    }
}

/// What a [`Sender`] takes comes out here.
#[derive(Debug)]
pub(crate) struct Outgoing {
    control: mpsc::UnboundedReceiver<(u32, Vec<u8>)>,
    bulk: mpsc::Receiver<Bulk>,
    backlog: Arc<Backlog>,
    /// What the other end has of ours, as it says.
    receipts: watch::Receiver<u64>,
    /// What it may not have, in order.
    kept: VecDeque<Bytes>,
    /// Bytes of the session before the first kept one.
    before: u64,
    kept_bytes: usize,
    /// Where the first piece begins of which no stream has taken anything.
    untouched: u64,
    /// The channel whose data come in large frames.
    bulky: u32,
    /// Whether another one is at work.
    beside: Arc<Beside>,
}

/// Takes what the other end says to have received.
#[derive(Debug)]
pub(crate) struct Receipts(watch::Sender<u64>);

impl Receipts {
    pub(crate) fn received(&self, offset: u64) {
        self.0.send_if_modified(|now| offset > std::mem::replace(now, (*now).max(offset)));
    }
}

pub(crate) fn outgoing() -> (Sender, Outgoing, Receipts) {
    let (control_sender, control) = mpsc::unbounded_channel();
    let (bulk_sender, bulk) = mpsc::channel(BULK_QUEUE);
    let (receipts_sender, receipts) = watch::channel(0);
    let (backlog, beside) = (Arc::<Backlog>::default(), Arc::<Beside>::default());
    let outgoing = Outgoing {
        control,
        bulk,
        backlog: Arc::clone(&backlog),
        receipts,
        kept: VecDeque::new(),
        before: 0,
        kept_bytes: 0,
        untouched: 0,
        bulky: 0,
        beside: Arc::clone(&beside),
    };
    let sender = Sender { control: control_sender, bulk: bulk_sender, backlog, beside };
    (sender, outgoing, Receipts(receipts_sender))
}

impl Outgoing {
    /// Before another stream is written to: the other end has received this much. False when that cannot be.
    #[must_use]
    pub(crate) fn rewind(&mut self, received: u64) -> bool {
        if received < self.before || received > self.before + self.kept_bytes as u64 {
            return false;
        }
        self.forget(received);
        true
    }

    /// Drops what the other end has. It cannot have more than was sent.
    fn forget(&mut self, received: u64) {
        while let Some(first) = self.kept.front_mut() {
            let done =
                usize::try_from(received.saturating_sub(self.before)).unwrap_or(usize::MAX).min(first.len());
            if done == 0 {
                return;
            }
            self.before += done as u64;
            self.kept_bytes -= done;
            first.advance(done);
            if first.is_empty() {
                self.kept.pop_front();
            }
        }
    }

    /// Takes no more, and gives the messages of which nothing ever reached a stream, with their channels.
    #[cfg(feature = "client")]
    pub(crate) fn unsent(&mut self) -> Vec<(u32, Bytes)> {
        let mut messages = Vec::new();
        let mut start = self.before;
        for piece in &self.kept {
            // A piece holds whole messages.
            let mut rest = BytesMut::from(if start >= self.untouched { piece.as_ref() } else { &[] });
            let mut decoder = Decoder::default();
            while let Ok(Some(frame)) = decoder.next(&mut rest) {
                if let Frame::Message { channel, body } = frame {
                    messages.push((channel, body));
                }
            }
            start += piece.len() as u64;
        }
        self.control.close();
        while let Ok((channel, body)) = self.control.try_recv() {
            messages.push((channel, body.into()));
        }
        messages
    }

    /// How many bytes may be under way before more data are sent. What is under way is ahead of everything that is said
    /// later: it has to be little while somebody beside a large transfer waits for answers.
    fn ahead(&self) -> usize {
        if self.beside.left().is_some() { KEPT_BESIDE } else { KEPT }
    }

    fn put_message(&mut self, buffer: &mut BytesMut, (channel, body): &(u32, Vec<u8>)) -> io::Result<()> {
        if *channel != 0 && *channel != self.bulky {
            self.beside.now();
        }
        frame::put_message(buffer, *channel, body).map_err(io::Error::other)
    }

    fn put_bulk(&mut self, buffer: &mut BytesMut, bulk: Bulk) {
        match bulk {
            Bulk::Data(channel, stream, bytes) => {
                if bytes.len() >= BULKY {
                    self.bulky = channel;
                } else if channel != self.bulky {
                    self.beside.now();
                }
                frame::put_data(buffer, channel, stream, &bytes);
            }
            Bulk::Eof(channel, stream) => frame::put_eof(buffer, channel, stream),
        }
    }

    /// Writes what is kept, then what comes, until every sender is gone; then `farewell`, and shuts the stream down.
    /// May be dropped and called again with another stream, after [`rewind`](Self::rewind).
    pub(crate) async fn write_to(
        &mut self,
        mut out: impl AsyncWrite + Unpin,
        farewell: Option<&[u8]>,
    ) -> io::Result<()> {
        let mut end = self.before;
        for piece in &self.kept {
            end += piece.len() as u64;
            write_piece(&mut out, piece, end, &mut self.untouched).await?;
        }
        out.flush().await?;
        let mut buffer = BytesMut::with_capacity(2 * WRITE_BATCH);
        loop {
            let mut over = false;
            let room = self.kept_bytes < self.ahead();
            // Held back for others only as long as they are at work.
            let wait = self.beside.left().filter(|_| !room && self.kept_bytes < KEPT);
            tokio::select! {
                biased;
                Ok(()) = self.receipts.changed() => {
                    let received = *self.receipts.borrow_and_update();
                    self.forget(received);
                    continue;
                }
                message = self.control.recv() => match message {
                    Some(message) => {
                        self.backlog.taken();
                        self.put_message(&mut buffer, &message)?;
                    }
                    None => over = true,
                },
                Some(bulk) = self.bulk.recv(), if room => self.put_bulk(&mut buffer, bulk),
                () = async { tokio::time::sleep(wait.unwrap_or_default()).await }, if wait.is_some() => continue,
            }
            while buffer.len() < WRITE_BATCH || over {
                if let Ok(message) = self.control.try_recv() {
                    self.backlog.taken();
                    self.put_message(&mut buffer, &message)?;
                } else if (over || self.kept_bytes < self.ahead())
                    && let Ok(bulk) = self.bulk.try_recv()
                {
                    self.put_bulk(&mut buffer, bulk);
                } else {
                    break;
                }
            }
            if let Some(farewell) = farewell.filter(|_| over) {
                frame::put_message(&mut buffer, 0, farewell).map_err(io::Error::other)?;
            }
            if self.kept_bytes + buffer.len() > KEPT_WITH_MESSAGES {
                return Err(io::Error::other("the other end receives nothing"));
            }
            // Kept before it is written: whoever stops in the middle knows from the other end how much arrived.
            let piece = buffer.split().freeze();
            self.kept_bytes += piece.len();
            self.kept.push_back(piece.clone());
            let end = self.before + self.kept_bytes as u64;
            write_piece(&mut out, &piece, end, &mut self.untouched).await?;
            out.flush().await?;
            if over {
                return out.shutdown().await;
            }
        }
    }
}

/// Writes a piece that ends at `end`, and says so in `untouched` as soon as the stream takes anything of it.
async fn write_piece(
    out: &mut (impl AsyncWrite + Unpin),
    piece: &[u8],
    end: u64,
    untouched: &mut u64,
) -> io::Result<()> {
    let taken = out.write(piece).await?;
    *untouched = end.max(*untouched);
    out.write_all(&piece[taken..]).await
}

/// The first message of a stream.
pub(crate) fn greeting(message: &impl Serialize) -> io::Result<BytesMut> {
    let mut bytes = BytesMut::new();
    let body = protocol::encode(message).map_err(io::Error::other)?;
    frame::put_message(&mut bytes, 0, &body).map_err(io::Error::other)?;
    Ok(bytes)
}

/// The other end's version; `None` when it is not one of ours.
pub(crate) async fn read_preamble(input: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<u16>> {
    let mut bytes = [0; PREAMBLE];
    input.read_exact(&mut bytes).await?;
    Ok(protocol::decode_preamble(&bytes))
}

/// The other end's first message, and nothing behind it; `None` when it makes no sense.
pub(crate) async fn read_greeting<T: DeserializeOwned>(
    input: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<T>> {
    let mut header = [0; HEADER];
    input.read_exact(&mut header).await?;
    let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
    if length > MAX_GREETING {
        return Ok(None);
    }
    let mut bytes = BytesMut::from(header.as_slice());
    bytes.resize(HEADER + length, 0);
    input.read_exact(&mut bytes[HEADER..]).await?;
    Ok(match Decoder::default().next(&mut bytes) {
        Ok(Some(Frame::Message { channel: 0, body })) => protocol::decode(&body).ok(),
        _ => None,
    })
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

/// Reads a session's frames from one stream after the other.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    buffer: BytesMut,
    decoder: Decoder,
    received: u64,
    said: u64,
    /// The channel whose data come in large frames.
    bulky: u32,
    /// When something came on another one.
    beside: Beside,
}

impl Incoming {
    /// Bytes of the session that have arrived.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// What to tell the other end to have received, when it is time to.
    pub(crate) fn receipt(&mut self) -> Option<u64> {
        let every = if self.beside.left().is_some() { RECEIPT_BESIDE } else { RECEIPT_EVERY };
        (self.received - self.said >= every).then(|| {
            self.said = self.received;
            self.received
        })
    }

    /// Notes what the sender has noted of this frame: see [`Outgoing::ahead`].
    fn see(&mut self, frame: &Frame) {
        match frame {
            Frame::Data { channel, bytes, .. } if bytes.len() >= BULKY => self.bulky = *channel,
            Frame::Data { channel, .. } | Frame::Message { channel, .. }
                if *channel != 0 && *channel != self.bulky =>
            {
                self.beside.now();
            }
            _ => {}
        }
    }

    /// The next frame; `None` at the end of the stream. May be dropped and called again, with another stream too.
    pub(crate) async fn next(
        &mut self,
        input: &mut (impl AsyncRead + Unpin),
    ) -> Result<Option<Frame>, ReadError> {
        loop {
            if let Some(frame) = self.decoder.next(&mut self.buffer).map_err(ReadError::Protocol)? {
                self.see(&frame);
                return Ok(Some(frame));
            }
            self.buffer.reserve(WRITE_BATCH);
            match input.read_buf(&mut self.buffer).await {
                Ok(0) => return Ok(None),
                Ok(count) => self.received += count as u64,
                Err(error) => return Err(ReadError::Io(error)),
            }
        }
    }
}

#[cfg(test)]
#[cfg(feature = "client")]
mod tests;
