//! Streams of bytes on a channel, with a window: the same at both ends and in both directions.
//!
//! An [`Outlet`] sends and an [`Inlet`] receives. The connection's reader holds the other half of each: a [`Gate`]
//! takes acknowledgements for an outlet, a [`Feed`] takes what arrives for an inlet. Dropping that half says that the
//! connection is gone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;

use crate::protocol::frame::MAX_PAYLOAD;
use crate::protocol::{Failure, WINDOW};
use crate::wire::{Closed, Sender};

/// Acknowledge when this much has been consumed, not for every frame.
const ACK_EVERY: u64 = WINDOW / 4;
/// Acknowledge this much when nothing waits to be consumed: a sender with little room must not wait for more.
const ACK_IDLE: u64 = 16 * 1024;
/// Pieces under this size are copied together.
const SMALL: usize = 4 * 1024;

#[derive(Debug, Clone, Copy, Default)]
struct GateState {
    acked: u64,
    discarded: bool,
}

/// The receiving side's wishes about one [`Outlet`].
#[derive(Debug)]
pub(crate) struct Gate(watch::Sender<GateState>);

impl Gate {
    pub(crate) fn ack(&self, offset: u64) {
        self.0.send_modify(|state| state.acked = state.acked.max(offset));
    }

    pub(crate) fn discard(&self) {
        self.0.send_modify(|state| state.discarded = true);
    }
}

/// Why an outlet takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutletClosed {
    /// The receiver does not want the rest.
    Discarded,
    /// The connection is gone.
    Lost,
}

impl From<Closed> for OutletClosed {
    fn from(_: Closed) -> Self {
        Self::Lost
    }
}

/// The sending end of a stream.
#[derive(Debug)]
pub(crate) struct Outlet {
    channel: u32,
    stream: u8,
    sender: Sender,
    state: watch::Receiver<GateState>,
    sent: u64,
    /// What the last call of [`acknowledged`](Self::acknowledged) said.
    #[cfg(feature = "server")]
    known: u64,
}

pub(crate) fn outlet(channel: u32, stream: u8, sender: Sender) -> (Outlet, Gate) {
    let (gate, state) = watch::channel(GateState::default());
    let outlet = Outlet {
        channel,
        stream,
        sender,
        state,
        sent: 0,
        #[cfg(feature = "server")]
        known: 0,
    };
    (outlet, Gate(gate))
}

impl Outlet {
    /// What it sends with.
    pub(crate) fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Waits until something may be sent; returns how many bytes.
    pub(crate) async fn room(&mut self) -> Result<usize, OutletClosed> {
        let sent = self.sent;
        let state = self
            .state
            .wait_for(|state| state.discarded || sent < state.acked + WINDOW)
            .await
            .map_err(|_| OutletClosed::Lost)?;
        if state.discarded {
            return Err(OutletClosed::Discarded);
        }
        Ok(usize::try_from(state.acked + WINDOW - sent).unwrap_or(usize::MAX))
    }

    /// Sends bytes, waiting for room as often as needed.
    pub(crate) async fn send(&mut self, mut bytes: Bytes) -> Result<(), OutletClosed> {
        while !bytes.is_empty() {
            let room = self.room().await?;
            let part = bytes.split_to(room.min(bytes.len()).min(self.sender.turn()));
            self.sent += part.len() as u64;
            self.sender.data(self.channel, self.stream, part).await?;
        }
        Ok(())
    }

    /// Ends the stream.
    pub(crate) async fn eof(&mut self) -> Result<(), OutletClosed> {
        Ok(self.sender.eof(self.channel, self.stream).await?)
    }

    /// Waits until the receiver has consumed more than at the last call; returns how much.
    #[cfg(feature = "server")]
    pub(crate) async fn acknowledged(&mut self) -> Result<u64, OutletClosed> {
        let known = self.known;
        let state = self
            .state
            .wait_for(|state| state.discarded || state.acked > known)
            .await
            .map_err(|_| OutletClosed::Lost)?;
        if state.discarded {
            return Err(OutletClosed::Discarded);
        }
        // Nobody consumes what was not sent.
        self.known = state.acked.min(self.sent);
        Ok(self.known)
    }

    /// Waits until the receiver wants no more or the connection is gone.
    #[cfg(feature = "client")]
    pub(crate) async fn closed(state: &mut OutletWatch) -> OutletClosed {
        match state.0.wait_for(|state| state.discarded).await {
            Ok(_) => OutletClosed::Discarded,
            Err(_) => OutletClosed::Lost,
        }
    }

    /// For [`closed`](Self::closed), beside an outlet in use.
    #[cfg(feature = "client")]
    pub(crate) fn watch(&self) -> OutletWatch {
        OutletWatch(self.state.clone())
    }
}

/// Tells when an outlet is closed, while somebody else uses it.
#[cfg(feature = "client")]
#[derive(Debug)]
pub(crate) struct OutletWatch(watch::Receiver<GateState>);

/// What arrives on a stream.
#[derive(Debug)]
pub(crate) enum Chunk {
    Data(Bytes),
    Eof,
    #[cfg_attr(not(feature = "client"), expect(dead_code, reason = "only the agent reports failures"))]
    Failed(Failure),
}

/// The other end sent more than its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WindowExceeded;

/// What has arrived and was not taken yet. Small pieces are put together: what it needs is bounded by the window, however
/// the other end cuts its bytes.
#[derive(Debug, Default)]
struct Queue {
    pieces: VecDeque<Bytes>,
    small: BytesMut,
    last: Option<Chunk>,
    received: u64,
    acked: u64,
    feed_gone: bool,
    inlet_gone: bool,
    reader: Option<Waker>,
}

impl Queue {
    fn push(&mut self, bytes: Bytes) {
        if bytes.len() < SMALL {
            self.small.extend_from_slice(&bytes);
        } else {
            self.flush_small();
            self.pieces.push_back(bytes);
        }
        if self.small.len() >= MAX_PAYLOAD {
            self.flush_small();
        }
    }

    fn flush_small(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push_back(std::mem::take(&mut self.small).freeze());
        }
    }

    fn pop(&mut self) -> Option<Bytes> {
        self.pieces
            .pop_front()
            .or_else(|| (!self.small.is_empty()).then(|| std::mem::take(&mut self.small).freeze()))
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

fn locked(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes what arrives for one [`Inlet`].
#[derive(Debug)]
pub(crate) struct Feed(Arc<Mutex<Queue>>);

impl Feed {
    /// Takes data; what nobody reads any more is dropped.
    pub(crate) fn data(&self, bytes: Bytes) -> Result<(), WindowExceeded> {
        let mut queue = locked(&self.0);
        if queue.inlet_gone || queue.last.is_some() {
            return Ok(());
        }
        queue.received += bytes.len() as u64;
        if queue.received > queue.acked + WINDOW {
            return Err(WindowExceeded);
        }
        queue.push(bytes);
        queue.wake();
        Ok(())
    }

    pub(crate) fn eof(&self) {
        self.last(Chunk::Eof);
    }

    #[cfg(feature = "client")]
    pub(crate) fn fail(&self, failure: Failure) {
        self.last(Chunk::Failed(failure));
    }

    fn last(&self, chunk: Chunk) {
        let mut queue = locked(&self.0);
        queue.last.get_or_insert(chunk);
        queue.wake();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut queue = locked(&self.0);
        queue.feed_gone = true;
        queue.wake();
    }
}

/// How acknowledgements and discards are said: the two ends have different messages for them.
pub(crate) trait Dialect: Send + Sync + 'static {
    fn ack(sender: &Sender, channel: u32, stream: u8, offset: u64) -> Result<(), Closed>;
    fn discard(sender: &Sender, channel: u32, stream: u8) -> Result<(), Closed>;
}

/// The receiving end of a stream. Dropping it tells the sender that the rest is not wanted.
#[derive(Debug)]
pub(crate) struct Inlet<D: Dialect> {
    channel: u32,
    stream: u8,
    sender: Sender,
    queue: Arc<Mutex<Queue>>,
    consumed: u64,
    ended: bool,
    dialect: std::marker::PhantomData<D>,
}

pub(crate) fn inlet<D: Dialect>(channel: u32, stream: u8, sender: Sender) -> (Inlet<D>, Feed) {
    let queue = Arc::<Mutex<Queue>>::default();
    let feed = Feed(Arc::clone(&queue));
    let dialect = std::marker::PhantomData;
    (Inlet { channel, stream, sender, queue, consumed: 0, ended: false, dialect }, feed)
}

impl<D: Dialect> Inlet<D> {
    /// The next chunk, which is not consumed yet; `None` when the connection is gone. After [`Chunk::Eof`] nothing
    /// follows.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        let queue = Arc::clone(&self.queue);
        let mut queue = locked(&queue);
        if let Some(bytes) = queue.pop() {
            return Poll::Ready(Some(Chunk::Data(bytes)));
        }
        if queue.last.is_none() && !queue.feed_gone {
            queue.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.ended = true;
        Poll::Ready(queue.last.take())
    }

    /// The next chunk, consumed. See [`poll_next`](Self::poll_next).
    #[cfg(feature = "server")]
    pub(crate) async fn next(&mut self) -> Option<Chunk> {
        let chunk = std::future::poll_fn(|cx| self.poll_next(cx)).await;
        if let Some(Chunk::Data(bytes)) = &chunk {
            self.consume(bytes.len());
        }
        chunk
    }

    /// So many bytes more have been consumed, and need not be kept for anybody.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.consumed += bytes as u64;
        let mut queue = locked(&self.queue);
        let unsaid = self.consumed - queue.acked;
        let idle = self.consumed == queue.received;
        if unsaid >= ACK_EVERY || (unsaid >= ACK_IDLE && idle) {
            // The window grows before the other end hears of it, never after.
            queue.acked = self.consumed;
            let _ = D::ack(&self.sender, self.channel, self.stream, self.consumed);
        }
    }
}

impl<D: Dialect> Drop for Inlet<D> {
    fn drop(&mut self) {
        let mut queue = locked(&self.queue);
        queue.inlet_gone = true;
        queue.pieces.clear();
        queue.small = BytesMut::new();
        drop(queue);
        if !self.ended {
            let _ = D::discard(&self.sender, self.channel, self.stream);
        }
    }
}

#[cfg(all(test, feature = "client"))]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::protocol::ToAgent;
    use crate::wire;

    #[derive(Debug)]
    struct TestDialect;

    impl Dialect for TestDialect {
        fn ack(sender: &Sender, channel: u32, stream: u8, offset: u64) -> Result<(), Closed> {
            sender.message(channel, &ToAgent::Ack { stream, offset })
        }

        fn discard(sender: &Sender, channel: u32, stream: u8) -> Result<(), Closed> {
            sender.message(channel, &ToAgent::Discard { stream })
        }
    }

    fn bytes(count: u64) -> Bytes {
        Bytes::from(vec![7; count as usize])
    }

    #[tokio::test]
    async fn an_outlet_stops_at_the_window_and_goes_on_when_acknowledged() {
        let (sender, mut outgoing, _receipts) = wire::outgoing();
        let (mut outlet, gate) = outlet(1, 1, sender);
        tokio::spawn(async move { outgoing.write_to(tokio::io::sink(), None).await });
        outlet.send(bytes(WINDOW)).await.unwrap();
        assert!(outlet.room().now_or_never().is_none(), "the window is full");
        gate.ack(10);
        assert_eq!(outlet.room().await, Ok(10));
        gate.ack(5);
        assert_eq!(outlet.room().await, Ok(10), "an older acknowledgement takes nothing back");
        gate.discard();
        assert_eq!(outlet.room().await, Err(OutletClosed::Discarded));
    }

    #[tokio::test]
    async fn a_full_outlet_ends_with_its_connection() {
        let (sender, mut outgoing, _receipts) = wire::outgoing();
        let (mut outlet, gate) = outlet(1, 1, sender);
        tokio::spawn(async move { outgoing.write_to(tokio::io::sink(), None).await });
        outlet.send(bytes(WINDOW)).await.unwrap();
        drop(gate);
        assert_eq!(outlet.room().await, Err(OutletClosed::Lost));
    }

    #[tokio::test]
    async fn an_inlet_takes_one_window_ahead_of_its_reader_and_no_more() {
        let (sender, _outgoing, _receipts) = wire::outgoing();
        let (mut inlet, feed) = inlet::<TestDialect>(1, 1, sender);
        feed.data(bytes(WINDOW)).unwrap();
        assert_eq!(feed.data(bytes(1)), Err(WindowExceeded));
        let chunk = std::future::poll_fn(|cx| inlet.poll_next(cx)).await;
        assert!(matches!(chunk, Some(Chunk::Data(all)) if all.len() as u64 == WINDOW));
        assert_eq!(feed.data(bytes(1)), Err(WindowExceeded), "taken is not consumed");
        inlet.consume(WINDOW as usize);
        feed.data(bytes(WINDOW - 2)).unwrap();
        drop(inlet);
        feed.data(bytes(WINDOW)).expect("what nobody reads is dropped, whatever its size");
    }

    #[tokio::test]
    async fn small_pieces_are_put_together_and_keep_their_order() {
        let (sender, _outgoing, _receipts) = wire::outgoing();
        let (mut inlet, feed) = inlet::<TestDialect>(1, 1, sender);
        let sent: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
        let (mut rest, mut size) = (&sent[..], 1);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(size));
            feed.data(Bytes::copy_from_slice(piece)).unwrap();
            feed.data(Bytes::new()).unwrap();
            (rest, size) = (after, size * 3 % 9_001);
        }
        feed.eof();
        feed.data(bytes(1)).unwrap();
        let held = locked(&inlet.queue).pieces.len();
        assert!(held < 300_000 / SMALL + 2, "{held} pieces");
        let mut received = Vec::new();
        loop {
            match std::future::poll_fn(|cx| inlet.poll_next(cx)).await {
                Some(Chunk::Data(bytes)) => received.extend_from_slice(&bytes),
                Some(Chunk::Eof) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(received, sent);
    }
}
