//! Transfers whose bytes are compared, end to end, with what was sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use oh_runtime_api::{BoxRead, Error, ErrorKind, Outcome, Result};
use tokio::io::{AsyncRead, ReadBuf};

use super::connection::{Channel, ClientDialect, Input, unexpected};
use super::convert;
use super::lanes::Lanes;
use crate::digest::Hasher;
use crate::lanes::{Merge, Stopped};
use crate::protocol::block::Block;
use crate::protocol::{FromAgent, Transfer, Whole};

/// Bytes that have to be those of which the agent says the digest. Errors wrap [`oh_runtime_api::Error`].
struct Verified {
    merge: Merge<ClientDialect>,
    /// What was not read yet of the last block.
    current: Bytes,
    channel: Channel,
    lanes: Lanes,
    hasher: Hasher,
    promised: Option<Whole>,
    ended: bool,
    operation: String,
}

pub(super) fn reader(channel: Channel, input: Input, transfer: Transfer, operation: String) -> BoxRead {
    let lanes = Lanes::new(channel.handle(), transfer);
    Box::pin(Verified {
        merge: Merge::new(input),
        current: Bytes::new(),
        channel,
        lanes,
        hasher: Hasher::default(),
        promised: None,
        ended: false,
        operation,
    })
}

impl Verified {
    /// Gets the next block; false at the end, which is there when all that was promised has come and is right.
    fn poll_block(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool>> {
        loop {
            if let Some(whole) = self.promised
                && whole.size <= self.merge.size()
            {
                let right = whole.size == self.merge.size() && whole.digest == self.hasher.digest();
                return Poll::Ready(if right { Ok(false) } else { Err(corrupted(&self.operation)) });
            }
            while let Poll::Ready(lane) = self.lanes.poll_next(cx) {
                self.merge.add(lane.output);
                self.lanes.keep(lane.handle);
            }
            let ended = match self.merge.poll_next(cx) {
                Poll::Ready(Ok(block)) => return Poll::Ready(self.open(block).map(|()| true)),
                Poll::Ready(Err(Stopped::Failed(failure))) => {
                    return Poll::Ready(Err(convert::failure(failure, &self.operation)));
                }
                Poll::Ready(Err(Stopped::Lost)) => {
                    return Poll::Ready(Err(self.channel.handle().lost(&self.operation)));
                }
                Poll::Ready(Err(Stopped::Bad)) => return Poll::Ready(Err(corrupted(&self.operation))),
                Poll::Ready(Err(Stopped::Ended)) => true,
                Poll::Pending => false,
            };
            if self.promised.is_some() {
                return if ended { Poll::Ready(Err(corrupted(&self.operation))) } else { Poll::Pending };
            }
            match ready!(self.channel.poll_reply(cx, &self.operation))? {
                FromAgent::Sent(whole) => self.promised = Some(whole),
                _ => return Poll::Ready(Err(unexpected(&self.operation))),
            }
        }
    }

    fn open(&mut self, block: Block) -> Result<()> {
        self.current = block.open().map_err(|_| corrupted(&self.operation))?;
        self.hasher.update(&self.current);
        self.lanes.moved(self.current.len());
        Ok(())
    }
}

impl AsyncRead for Verified {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.current.is_empty() && !this.ended && out.remaining() > 0 {
            this.ended = !ready!(this.poll_block(cx)).map_err(io::Error::other)?;
        }
        let count = this.current.len().min(out.remaining());
        out.put_slice(&this.current[..count]);
        this.current.advance(count);
        Poll::Ready(Ok(()))
    }
}

fn corrupted(operation: &str) -> Error {
    Error::new(ErrorKind::TransferChecksum, operation, "what arrived has another SHA-256 than what was sent")
        .outcome_is(Outcome::Unknown)
        .hint("try again; when it happens twice, something between here and the sandbox changes bytes")
}
