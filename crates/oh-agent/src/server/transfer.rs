//! Bytes of a transfer between the agent's thread and the threads that read and write files, and their digest.

use std::io::{self, Read, Write};
use std::path::Path;

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use super::connection::{Channel, Order, Replies, given_up};
use super::files::refused;
use crate::digest::Hasher;
use crate::flow::Chunk;
use crate::protocol::frame::MAX_PAYLOAD;
use crate::protocol::{Failure, FromAgent};

/// Pieces between the agent's thread and a file thread.
const QUEUE: usize = 4;

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
    error.get_ref().is_some_and(|inner| inner.is::<Corrupted>())
}

/// Where a file thread writes what the client gets.
pub(super) struct Sink {
    replies: Replies,
    pieces: mpsc::Sender<Bytes>,
    hasher: Hasher,
}

impl Sink {
    /// The request can be served; bytes follow.
    pub(super) fn begin(&self) {
        self.replies.say(&FromAgent::Opened);
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(MAX_PAYLOAD);
        self.hasher.update(&bytes[..count]);
        self.pieces
            .blocking_send(Bytes::copy_from_slice(&bytes[..count]))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends what `produce` writes.
pub(super) async fn download(
    channel: Channel,
    produce: impl FnOnce(&mut Sink) -> Result<(), Failure> + Send + 'static,
) {
    let Channel { replies, mut output, mut orders, .. } = channel;
    let (sender, mut pieces) = mpsc::channel(QUEUE);
    let mut sink = Sink { replies: replies.clone(), pieces: sender, hasher: Hasher::default() };
    let producer = tokio::task::spawn_blocking(move || {
        produce(&mut sink)?;
        Ok(FromAgent::Sent { digest: sink.hasher.digest() })
    });
    let forward = async {
        while let Some(piece) = pieces.recv().await {
            if output.send(piece).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = forward => {}
        () = given_up(&mut orders) => {}
    }
    drop(pieces);
    match producer.await {
        Ok(Ok(done)) => {
            replies.say(&done);
            let _ = output.eof().await;
        }
        Ok(Err(failure)) => replies.fail(failure),
        Err(_) => replies.fail(refused(Path::new(""), "the agent could not do it")),
    }
}

/// What a file thread gets of what the client sends.
enum Piece {
    Bytes(Bytes),
    /// Nothing follows, and this is the SHA-256 of all that was sent.
    End([u8; 32]),
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

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.incoming.read(out)
    }
}

impl Read for Incoming {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Bytes(piece)) => {
                    self.hasher.update(&piece);
                    self.current = piece;
                }
                Some(Piece::End(digest)) if digest == self.hasher.digest() => self.ended = true,
                Some(Piece::End(_)) => return Err(io::Error::new(io::ErrorKind::InvalidData, Corrupted)),
                None => {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the transfer was given up"));
                }
            }
        }
        let count = self.current.len().min(out.len());
        self.current.copy_to_slice(&mut out[..count]);
        Ok(count)
    }
}

/// Hands what the client sends to `consume`, which returns what to report.
pub(super) async fn upload(
    channel: Channel,
    consume: impl FnOnce(&mut Source) -> Result<u64, Failure> + Send + 'static,
) {
    let Channel { replies, mut input, mut orders, .. } = channel;
    let (sender, pieces) = mpsc::channel(QUEUE);
    let incoming = Incoming { pieces, current: Bytes::new(), ended: false, hasher: Hasher::default() };
    let mut source = Source { replies: replies.clone(), incoming };
    let consumer = tokio::task::spawn_blocking(move || consume(&mut source));
    let (mut ended, mut promised) = (false, None);
    loop {
        let piece = match promised {
            Some(digest) if ended => Piece::End(digest),
            _ => tokio::select! {
                chunk = input.next(), if !ended => match chunk {
                    Some(Chunk::Data(bytes)) => Piece::Bytes(bytes),
                    Some(Chunk::Eof) => {
                        ended = true;
                        continue;
                    }
                    Some(Chunk::Failed(_)) | None => break,
                },
                order = orders.recv() => match order {
                    Some(Order::Sent { digest }) => {
                        promised = Some(digest);
                        continue;
                    }
                    Some(Order::Signal(_) | Order::Resize(_)) => continue,
                    Some(Order::Cancel | Order::Close { .. }) | None => break,
                },
                () = sender.closed() => break,
            },
        };
        let last = matches!(piece, Piece::End(_));
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
        let bytes = |bytes: &'static [u8]| Piece::Bytes(Bytes::from_static(bytes));
        assert_eq!(read(vec![bytes(b"ab"), bytes(b"cd"), Piece::End(hasher.digest())]).unwrap(), b"abcd");
        let changed = read(vec![bytes(b"abce"), Piece::End(hasher.digest())]).unwrap_err();
        assert_eq!(failure(Path::new("/x"), &changed).kind, FailureKind::TransferChecksum);
        let broken = read(vec![bytes(b"abcd")]).unwrap_err();
        assert_eq!(failure(Path::new("/x"), &broken).kind, FailureKind::Cancelled);
    }
}
