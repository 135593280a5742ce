//! Streams of bytes on a channel, with a window: the same at both ends and in both directions.
//!
//! An [`Outlet`] sends and an [`Inlet`] receives. The connection's reader holds the other half of each: a [`Gate`]
//! takes acknowledgements for an outlet, a [`Feed`] takes what arrives for an inlet. Dropping that half says that the
//! connection is gone.

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use crate::protocol::{Failure, WINDOW};
use crate::wire::{Closed, Sender};

/// Acknowledge when this much has been consumed, not for every frame.
const ACK_EVERY: u64 = WINDOW / 4;

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
}

pub(crate) fn outlet(channel: u32, stream: u8, sender: Sender) -> (Outlet, Gate) {
    let (gate, state) = watch::channel(GateState::default());
    (Outlet { channel, stream, sender, state, sent: 0 }, Gate(gate))
}

impl Outlet {
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
            let part = bytes.split_to(room.min(bytes.len()).min(crate::protocol::frame::MAX_PAYLOAD));
            self.sent += part.len() as u64;
            self.sender.data(self.channel, self.stream, part).await?;
        }
        Ok(())
    }

    /// Ends the stream.
    pub(crate) async fn eof(self) -> Result<(), OutletClosed> {
        Ok(self.sender.eof(self.channel, self.stream).await?)
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

/// Takes what arrives for one [`Inlet`].
#[derive(Debug)]
pub(crate) struct Feed {
    chunks: mpsc::UnboundedSender<Chunk>,
    received: u64,
    acked: watch::Receiver<u64>,
}

impl Feed {
    /// Takes data; what nobody reads any more is dropped.
    pub(crate) fn data(&mut self, bytes: Bytes) -> Result<(), WindowExceeded> {
        self.received += bytes.len() as u64;
        if self.received > *self.acked.borrow() + WINDOW && !self.chunks.is_closed() {
            return Err(WindowExceeded);
        }
        let _ = self.chunks.send(Chunk::Data(bytes));
        Ok(())
    }

    pub(crate) fn eof(&self) {
        let _ = self.chunks.send(Chunk::Eof);
    }

    #[cfg(feature = "client")]
    pub(crate) fn fail(&self, failure: Failure) {
        let _ = self.chunks.send(Chunk::Failed(failure));
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
    chunks: mpsc::UnboundedReceiver<Chunk>,
    consumed: u64,
    acked: watch::Sender<u64>,
    ended: bool,
    dialect: std::marker::PhantomData<D>,
}

pub(crate) fn inlet<D: Dialect>(channel: u32, stream: u8, sender: Sender) -> (Inlet<D>, Feed) {
    let (chunk_sender, chunks) = mpsc::unbounded_channel();
    let (acked, acked_receiver) = watch::channel(0);
    let inlet = Inlet {
        channel,
        stream,
        sender,
        chunks,
        consumed: 0,
        acked,
        ended: false,
        dialect: std::marker::PhantomData,
    };
    (inlet, Feed { chunks: chunk_sender, received: 0, acked: acked_receiver })
}

impl<D: Dialect> Inlet<D> {
    /// The next chunk; `None` when the connection is gone. After [`Chunk::Eof`] nothing follows.
    pub(crate) fn poll_next(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<Chunk>> {
        let chunk = std::task::ready!(self.chunks.poll_recv(cx));
        match &chunk {
            Some(Chunk::Data(bytes)) => self.consume(bytes.len() as u64),
            Some(Chunk::Eof | Chunk::Failed(_)) | None => self.ended = true,
        }
        std::task::Poll::Ready(chunk)
    }

    /// See [`poll_next`](Self::poll_next).
    #[cfg(feature = "server")]
    pub(crate) async fn next(&mut self) -> Option<Chunk> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn consume(&mut self, bytes: u64) {
        self.consumed += bytes;
        if self.consumed - *self.acked.borrow() >= ACK_EVERY {
            // The window grows before the other end hears of it, never after.
            self.acked.send_replace(self.consumed);
            let _ = D::ack(&self.sender, self.channel, self.stream, self.consumed);
        }
    }
}

impl<D: Dialect> Drop for Inlet<D> {
    fn drop(&mut self) {
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
        let (mut inlet, mut feed) = inlet::<TestDialect>(1, 1, sender);
        feed.data(bytes(WINDOW)).unwrap();
        assert_eq!(feed.data(bytes(1)), Err(WindowExceeded));
        let chunk = std::future::poll_fn(|cx| inlet.poll_next(cx)).await;
        assert!(matches!(chunk, Some(Chunk::Data(all)) if all.len() as u64 == WINDOW));
        feed.data(bytes(WINDOW - 1)).unwrap();
        drop(inlet);
        feed.data(bytes(WINDOW)).expect("what nobody reads is dropped, whatever its size");
    }
}
