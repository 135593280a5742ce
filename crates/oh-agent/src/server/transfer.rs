//! Bytes of a transfer between the agent's thread and the threads that read and write files, and their digest.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::agent::Agent;
use super::connection::{AgentDialect, Channel, Order, Replies, given_up};
use super::files::refused;
use crate::digest::Hasher;
use crate::flow::{Inlet, Outlet};
use crate::lanes::{self, Blocks, Merge, Stopped};
use crate::protocol::block::{BLOCK, BadBlock, Block, Packer};
use crate::protocol::{Failure, FailureKind, FromAgent, Transfer, Whole};

/// Blocks between the agent's thread and a file thread.
const QUEUE: usize = 2;
/// Lanes a client may give to one transfer.
const LANES: usize = 8;

/// What arrived is not what was sent.
#[derive(Debug)]
struct Corrupted;

impl std::fmt::Display for Corrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("what arrived has another SHA-256 than what was sent")
    }
}

impl std::error::Error for Corrupted {}

/// Whether an error says so.
pub(super) fn is_corruption(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Corrupted>() || inner.is::<BadBlock>())
}

/// Transfers that take lanes, by the names their clients gave them.
#[derive(Default)]
pub(super) struct Transfers(RefCell<HashMap<u128, mpsc::Sender<Lane>>>);

/// A channel of another session. Whoever waits at the other end of `_used` keeps it open.
struct Lane {
    input: Inlet<AgentDialect>,
    output: Outlet,
    _used: oneshot::Sender<()>,
}

/// A transfer that takes lanes for as long as this is there.
struct Arriving {
    agent: Rc<Agent>,
    transfer: u128,
    lanes: mpsc::Receiver<Lane>,
}

impl Arriving {
    fn of(agent: &Rc<Agent>, transfer: u128) -> Self {
        let (sender, lanes) = mpsc::channel(LANES);
        // A name that is used twice gets the lanes of the first one no more.
        agent.transfers.0.borrow_mut().insert(transfer, sender);
        Self { agent: Rc::clone(agent), transfer, lanes }
    }

    /// The next lane; never when there cannot be any.
    async fn next(&mut self) -> Lane {
        match self.lanes.recv().await {
            Some(lane) => lane,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.agent.transfers.0.borrow_mut().remove(&self.transfer);
    }
}

/// Gives a channel to a transfer of another session, until that or the client has no more use for it.
pub(super) async fn lane(agent: &Agent, channel: Channel, transfer: u128) {
    let Channel { replies, input, output, mut orders, .. } = channel;
    let (used, mut until) = oneshot::channel();
    let taken = match agent.transfers.0.borrow().get(&transfer) {
        Some(lanes) => lanes.try_send(Lane { input, output, _used: used }).is_ok(),
        None => false,
    };
    if !taken {
        let message = "the transfer is over, or has lanes enough".to_owned();
        return replies.fail(Failure { kind: FailureKind::TransferFailed, message });
    }
    replies.say(&FromAgent::Opened);
    tokio::select! {
        _ = &mut until => {}
        () = given_up(&mut orders) => {}
    }
}

/// Where a file thread writes what the client gets.
pub(super) struct Sink {
    replies: Replies,
    blocks: Blocks,
    packer: Packer,
    hasher: Hasher,
}

impl Sink {
    /// The request can be served; bytes follow.
    pub(super) fn begin(&self) {
        self.replies.say(&FromAgent::Opened);
    }

    /// Sends all that can be read, in larger pieces than `io::copy` takes.
    pub(super) fn take_all(&mut self, mut from: impl Read) -> io::Result<()> {
        let mut piece = vec![0; BLOCK];
        loop {
            match from.read(&mut piece)? {
                0 => return Ok(()),
                count => self.write_all(&piece[..count])?,
            }
        }
    }

    fn send(&mut self) -> io::Result<()> {
        match self.packer.seal() {
            Some(block) => self.blocks.blocking_send(block).map_err(|_| io::ErrorKind::BrokenPipe.into()),
            None => Ok(()),
        }
    }

    fn finish(mut self) -> io::Result<Whole> {
        self.send()?;
        Ok(Whole { size: self.packer.size(), digest: self.hasher.digest() })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.packer.fill(bytes);
        self.hasher.update(&bytes[..count]);
        if self.packer.room() == 0 {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends what `produce` writes.
pub(super) async fn download(
    agent: &Rc<Agent>,
    transfer: Transfer,
    channel: Channel,
    produce: impl FnOnce(&mut Sink) -> Result<(), Failure> + Send + 'static,
) {
    let Channel { replies, output, mut orders, .. } = channel;
    let mut arriving = Arriving::of(agent, transfer.id);
    let (blocks, dealer) = lanes::dealer();
    let dealer = Arc::new(dealer);
    let mut sink = Sink {
        replies: replies.clone(),
        blocks,
        packer: Packer::new(transfer.remote),
        hasher: Hasher::default(),
    };
    let producer = tokio::task::spawn_blocking(move || {
        produce(&mut sink)?;
        // Nobody takes the rest: then nobody asks for this either.
        sink.finish().map_err(|error| super::files::failure(Path::new(""), &error))
    });
    let main = output.sender().clone();
    let mut carriers = JoinSet::new();
    let carrier = Arc::clone(&dealer);
    carriers.spawn_local(async move { carrier.carry(output).await });
    let carried = async move {
        loop {
            tokio::select! {
                lane = arriving.next() => {
                    let (carrier, main) = (Arc::clone(&dealer), main.clone());
                    carriers.spawn_local(async move {
                        let Lane { input: _input, output, _used } = lane;
                        carrier.carry_beside(output, main).await
                    });
                }
                done = carriers.join_next() => match done {
                    Some(Ok(Ok(()))) => {}
                    // All have ended, or one is gone: dropping the rest ends the file thread.
                    Some(_) | None => break,
                },
            }
        }
    };
    let told = async {
        match producer.await {
            Ok(Ok(whole)) => replies.say(&FromAgent::Sent(whole)),
            Ok(Err(failure)) => replies.fail(failure),
            Err(_) => replies.fail(refused(Path::new(""), "the agent could not do it")),
        }
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(carried, told) } => {}
        () = given_up(&mut orders) => {}
    }
}

/// What a file thread gets of what the client sends.
enum Piece {
    Block(Block),
    /// Nothing follows, and this is what was sent.
    End(Whole),
    /// What comes cannot be what was sent.
    Bad,
}

/// Where a file thread reads what the client sends. Ends only where the client ended it: whatever breaks off before,
/// or is not what was sent, is an error.
pub(super) struct Source {
    replies: Replies,
    incoming: Incoming,
}

struct Incoming {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
    hasher: Hasher,
}

impl Source {
    /// The request can be served; bytes are expected.
    pub(super) fn begin(&self) {
        self.replies.say(&FromAgent::Opened);
    }
}

impl Source {
    /// Writes all that comes, in larger pieces than `io::copy` takes; returns how much that was.
    pub(super) fn give_all(&mut self, mut to: impl Write) -> io::Result<u64> {
        let mut size = 0;
        loop {
            let piece = self.incoming.fill_buf()?;
            if piece.is_empty() {
                return Ok(size);
            }
            let count = piece.len();
            to.write_all(piece)?;
            self.incoming.consume(count);
            size += count as u64;
        }
    }
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.incoming.read(out)
    }
}

impl Read for Incoming {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Incoming {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Block(block)) => {
                    self.current =
                        block.open().map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))?;
                    self.hasher.update(&self.current);
                }
                Some(Piece::End(whole)) if whole.digest == self.hasher.digest() => self.ended = true,
                Some(Piece::End(_) | Piece::Bad) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, Corrupted));
                }
                None => {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the transfer was given up"));
                }
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, count: usize) {
        self.current.advance(count);
    }
}

/// Hands what the client sends to `consume`, which returns what to report.
pub(super) async fn upload(
    agent: &Rc<Agent>,
    transfer: Transfer,
    channel: Channel,
    consume: impl FnOnce(&mut Source) -> Result<u64, Failure> + Send + 'static,
) {
    let Channel { replies, input, mut orders, .. } = channel;
    let mut arriving = Arriving::of(agent, transfer.id);
    let (sender, pieces) = mpsc::channel(QUEUE);
    let incoming = Incoming { pieces, current: Bytes::new(), ended: false, hasher: Hasher::default() };
    let mut source = Source { replies: replies.clone(), incoming };
    let consumer = tokio::task::spawn_blocking(move || consume(&mut source));
    let mut merge = Merge::new(input);
    let (mut promised, mut ended): (Option<Whole>, _) = (None, false);
    let mut lanes = Vec::new();
    loop {
        let piece = match promised {
            Some(whole) if whole.size < merge.size() => Piece::Bad,
            Some(whole) if whole.size == merge.size() => Piece::End(whole),
            _ => tokio::select! {
                block = poll_fn(|cx| merge.poll_next(cx)), if !ended => match block {
                    Ok(block) => Piece::Block(block),
                    // It may still be said that this was all.
                    Err(Stopped::Ended) if promised.is_none() => {
                        ended = true;
                        continue;
                    }
                    Err(Stopped::Bad) => Piece::Bad,
                    Err(Stopped::Ended | Stopped::Failed(_) | Stopped::Lost) => break,
                },
                lane = arriving.next() => {
                    let Lane { input, output, _used } = lane;
                    merge.add(input);
                    ended = false;
                    lanes.push((output, _used));
                    continue;
                }
                order = orders.recv() => match order {
                    Some(Order::Sent(whole)) => {
                        promised = Some(whole);
                        continue;
                    }
                    Some(Order::Signal(_) | Order::Resize(_)) => continue,
                    Some(Order::Cancel | Order::Close { .. }) | None => break,
                },
                () = sender.closed() => break,
            },
        };
        let last = matches!(piece, Piece::End(_) | Piece::Bad);
        if sender.send(piece).await.is_err() || last {
            break;
        }
    }
    drop(sender);
    match consumer.await {
        Ok(Ok(count)) => replies.say(&FromAgent::Done { count }),
        Ok(Err(failure)) => replies.fail(failure),
        Err(_) => replies.fail(refused(Path::new(""), "the agent could not do it")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::failure;
    use super::*;
    use crate::protocol::FailureKind;

    fn read(pieces: Vec<Piece>) -> io::Result<Vec<u8>> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        for piece in pieces {
            sender.try_send(piece).unwrap_or_else(|_| panic!("too many pieces"));
        }
        drop(sender);
        let mut bytes = Vec::new();
        let (current, hasher) = (Bytes::new(), Hasher::default());
        Incoming { pieces: receiver, current, ended: false, hasher }.read_to_end(&mut bytes).map(|_| bytes)
    }

    #[test]
    fn an_upload_ends_where_its_digest_is_right_and_nowhere_else() {
        let mut hasher = Hasher::default();
        hasher.update(b"abcd");
        let end = || Piece::End(Whole { size: 4, digest: hasher.digest() });
        let bytes = |bytes: &[u8]| {
            let mut packer = Packer::new(true);
            packer.fill(bytes);
            Piece::Block(Block::take(&mut packer.seal().unwrap().into()).unwrap().unwrap())
        };
        assert_eq!(read(vec![bytes(b"abcd"), end()]).unwrap(), b"abcd");
        let changed = read(vec![bytes(b"abce"), end()]).unwrap_err();
        assert_eq!(failure(Path::new("/x"), &changed).kind, FailureKind::TransferChecksum);
        let broken = read(vec![bytes(b"abcd")]).unwrap_err();
        assert_eq!(failure(Path::new("/x"), &broken).kind, FailureKind::Cancelled);
    }
}
