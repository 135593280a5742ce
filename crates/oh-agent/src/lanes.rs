//! The blocks of one transfer over one stream or several: its own channel, and lanes, which are channels of other
//! sessions with the same agent.
//!
//! Who sends deals blocks to whichever lane has room. Who receives takes them in their order: the one that is next is
//! always the first of some lane, so nothing has to be kept but the windows.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::sync::{Mutex, mpsc};

use crate::flow::{Chunk, Dialect, Inlet, Outlet, OutletClosed};
use crate::protocol::Failure;
use crate::protocol::block::{self, BadBlock, Block};
use crate::wire::Sender;

/// Blocks that wait for a lane.
const QUEUE: usize = 2;

/// Blocks that are to be sent, in order.
pub(crate) type Blocks = mpsc::Sender<Bytes>;

/// Where the lanes of a transfer take its blocks from.
#[derive(Debug)]
pub(crate) struct Dealer(Mutex<mpsc::Receiver<Bytes>>);

pub(crate) fn dealer() -> (Blocks, Dealer) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (sender, Dealer(Mutex::new(receiver)))
}

impl Dealer {
    /// Sends blocks over the transfer's own channel until there are no more, then ends it.
    pub(crate) async fn carry(&self, mut outlet: Outlet) -> Result<(), OutletClosed> {
        while let Some(block) = self.next().await {
            outlet.send(block).await?;
        }
        outlet.eof().await
    }

    /// The same over another session, as long as nothing else is at work in the one that sends to `main`: all streams
    /// share the processes they go through, and whoever waits for an answer would wait for them.
    pub(crate) async fn carry_beside(&self, mut outlet: Outlet, main: Sender) -> Result<(), OutletClosed> {
        loop {
            main.alone().await;
            let Some(block) = self.next().await else { return outlet.eof().await };
            outlet.send(block).await?;
        }
    }

    async fn next(&self) -> Option<Bytes> {
        self.0.lock().await.recv().await
    }
}

/// Why there is no next block.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The sender says that it failed.
    #[cfg_attr(not(feature = "client"), expect(dead_code, reason = "only the agent says so"))]
    Failed(Failure),
    /// A lane is gone.
    Lost,
    /// No lane carries more.
    Ended,
    /// The sender broke the protocol.
    Bad,
}

impl From<BadBlock> for Stopped {
    fn from(_: BadBlock) -> Self {
        Self::Bad
    }
}

/// One lane's end.
#[derive(Debug)]
struct Lane<D: Dialect> {
    inlet: Inlet<D>,
    /// The beginning of its next block, or all of it.
    buffer: BytesMut,
    ended: bool,
}

impl<D: Dialect> Lane<D> {
    /// The block that begins at `next`; `Pending` also when the lane's first one is another, which may be waited for
    /// elsewhere.
    fn poll_block(&mut self, cx: &mut Context<'_>, next: u64) -> Poll<Result<Block, Stopped>> {
        loop {
            match block::offset(&self.buffer) {
                Some(offset) if offset < next => return Poll::Ready(Err(Stopped::Bad)),
                Some(offset) if offset > next => return Poll::Pending,
                _ => {}
            }
            match Block::take(&mut self.buffer)? {
                Ok(block) => return Poll::Ready(Ok(block)),
                Err(Some(length)) => self.buffer.reserve(length - self.buffer.len()),
                Err(None) => {}
            }
            if self.ended {
                return if self.buffer.is_empty() { Poll::Pending } else { Poll::Ready(Err(Stopped::Bad)) };
            }
            match ready!(self.inlet.poll_next(cx)) {
                Some(Chunk::Data(bytes)) => {
                    self.buffer.extend_from_slice(&bytes);
                    self.inlet.consume(bytes.len());
                }
                Some(Chunk::Eof) => self.ended = true,
                Some(Chunk::Failed(failure)) => return Poll::Ready(Err(Stopped::Failed(failure))),
                None => return Poll::Ready(Err(Stopped::Lost)),
            }
        }
    }
}

/// A transfer's blocks in their order.
#[derive(Debug)]
pub(crate) struct Merge<D: Dialect> {
    lanes: Vec<Lane<D>>,
    next: u64,
}

impl<D: Dialect> Merge<D> {
    /// Of the transfer's own channel.
    pub(crate) fn new(main: Inlet<D>) -> Self {
        let mut merge = Self { lanes: Vec::new(), next: 0 };
        merge.add(main);
        merge
    }

    /// One more lane. What waits for a block has to ask again.
    pub(crate) fn add(&mut self, inlet: Inlet<D>) {
        self.lanes.push(Lane { inlet, buffer: BytesMut::new(), ended: false });
    }

    /// Bytes of the blocks so far.
    pub(crate) fn size(&self) -> u64 {
        self.next
    }

    /// The next block. May be dropped and called again.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Block, Stopped>> {
        for lane in &mut self.lanes {
            if let Poll::Ready(done) = lane.poll_block(cx, self.next) {
                if let Ok(block) = &done {
                    self.next += block.size() as u64;
                }
                return Poll::Ready(done);
            }
        }
        // None of them has it, and none waits for more.
        if self.lanes.iter().all(|lane| lane.ended) {
            Poll::Ready(Err(Stopped::Ended))
        } else {
            Poll::Pending
        }
    }
}

#[cfg(all(test, feature = "client"))]
mod tests {
    use std::future::poll_fn;

    use futures::FutureExt;

    use super::*;
    use crate::flow;
    use crate::protocol::ToAgent;
    use crate::protocol::block::{BLOCK, Packer};
    use crate::wire::{self, Closed};

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

    fn blocks(bytes: &[u8]) -> Vec<Bytes> {
        let mut packer = Packer::new(true);
        bytes
            .chunks(BLOCK)
            .filter_map(|part| {
                packer.fill(part);
                packer.seal()
            })
            .collect()
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i / 251 + i) as u8).collect()
    }

    #[tokio::test]
    async fn blocks_of_several_lanes_come_in_their_order() {
        let bytes = pattern(9 * BLOCK + 5);
        let (sender, _outgoing, _receipts) = wire::outgoing();
        let mut feeds = Vec::new();
        let mut inlet = |channel| {
            let (inlet, feed) = flow::inlet::<TestDialect>(channel, 1, sender.clone());
            feeds.push(feed);
            inlet
        };
        let mut merge = Merge::new(inlet(1));
        merge.add(inlet(2));
        merge.add(inlet(3));
        for (number, block) in blocks(&bytes).into_iter().enumerate() {
            // The first of all is the last to be there.
            if number != 0 {
                feeds[number % 3].data(block).unwrap();
            }
        }
        assert!(poll_fn(|cx| merge.poll_next(cx)).now_or_never().is_none(), "the first one is missing");
        let (first, feed) = flow::inlet::<TestDialect>(4, 1, sender.clone());
        feed.data(blocks(&bytes).swap_remove(0)).unwrap();
        merge.add(first);
        let mut got = Vec::new();
        while got.len() < bytes.len() {
            got.extend(poll_fn(|cx| merge.poll_next(cx)).await.unwrap().open().unwrap());
        }
        assert!(got == bytes, "other bytes came out");
        for feed in feeds.iter().chain([&feed]) {
            feed.eof();
        }
        assert!(matches!(poll_fn(|cx| merge.poll_next(cx)).await, Err(Stopped::Ended)));
    }

    #[tokio::test]
    async fn what_repeats_breaks_off_or_is_lost_is_no_block() {
        let all = blocks(&pattern(2 * BLOCK));
        let (sender, _outgoing, _receipts) = wire::outgoing();
        let half = all[0].slice(..all[0].len() / 2);
        for (sent, ends) in [(vec![all[0].clone(), all[0].clone()], false), (vec![half], true)] {
            let (inlet, feed) = flow::inlet::<TestDialect>(1, 1, sender.clone());
            let mut merge = Merge::new(inlet);
            sent.iter().for_each(|block| feed.data(block.clone()).unwrap());
            if ends {
                feed.eof();
            } else {
                poll_fn(|cx| merge.poll_next(cx)).await.unwrap();
            }
            assert!(matches!(poll_fn(|cx| merge.poll_next(cx)).await, Err(Stopped::Bad)));
        }
        let (inlet, feed) = flow::inlet::<TestDialect>(1, 1, sender.clone());
        let mut merge = Merge::new(inlet);
        feed.data(all[1].clone()).unwrap();
        drop(feed);
        assert!(poll_fn(|cx| merge.poll_next(cx)).now_or_never().is_none(), "it may come on another lane");
        let (inlet, feed) = flow::inlet::<TestDialect>(1, 1, sender.clone());
        merge.add(inlet);
        drop(feed);
        assert!(matches!(poll_fn(|cx| merge.poll_next(cx)).await, Err(Stopped::Lost)));
    }
}
