//! Reading, writing and listing files. The work is done on threads beside the agent's own.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use super::connection::{Channel, Order, Replies, given_up};
use crate::digest::Hasher;
use crate::flow::Chunk;
use crate::protocol::frame::MAX_PAYLOAD;
use crate::protocol::{self, Entry, Failure, FailureKind, FromAgent, Kind};

/// Pieces between the agent's thread and a file thread.
const QUEUE: usize = 4;

/// An absolute path of the sandbox; relative ones start at its root.
pub(super) fn absolute(path: &[u8]) -> PathBuf {
    Path::new("/").join(OsStr::from_bytes(path))
}

/// What went wrong with `path`.
pub(super) fn failure(path: &Path, error: &io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FailureKind::TransferNotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => FailureKind::TransferDenied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureKind::TransferNoSpace,
        io::ErrorKind::UnexpectedEof => FailureKind::Cancelled,
        io::ErrorKind::InvalidData if error.get_ref().is_some_and(|inner| inner.is::<Corrupted>()) => {
            FailureKind::TransferChecksum
        }
        _ => FailureKind::TransferFailed,
    };
    Failure { kind, message: format!("{}: {error}", path.display()) }
}

fn refused(path: &Path, reason: &str) -> Failure {
    Failure { kind: FailureKind::TransferFailed, message: format!("{}: {reason}", path.display()) }
}

/// What arrived is not what was sent.
#[derive(Debug)]
struct Corrupted;

impl std::fmt::Display for Corrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("what arrived has another SHA-256 than what was sent")
    }
}

impl std::error::Error for Corrupted {}

/// What became of a request to send something.
pub(super) enum Produced {
    /// All of it was written.
    All,
    /// It is more than the client wants this way.
    TooLarge,
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
    produce: impl FnOnce(&mut Sink) -> Result<Produced, Failure> + Send + 'static,
) {
    let Channel { replies, mut output, mut orders, .. } = channel;
    let (sender, mut pieces) = mpsc::channel(QUEUE);
    let mut sink = Sink { replies: replies.clone(), pieces: sender, hasher: Hasher::default() };
    let producer = tokio::task::spawn_blocking(move || {
        produce(&mut sink).map(|produced| match produced {
            Produced::All => FromAgent::Sent { digest: sink.hasher.digest() },
            Produced::TooLarge => FromAgent::TooLarge,
        })
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

/// Sends a regular file, or a part of it.
pub(super) async fn read(
    channel: Channel,
    path: Vec<u8>,
    offset: u64,
    limit: Option<u64>,
    refuse_above: Option<u64>,
) {
    let path = absolute(&path);
    download(channel, move |sink| {
        let fail = |error| failure(&path, &error);
        // Not blocking: opening a pipe nobody writes to would wait for ever.
        let mut file =
            OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        if metadata.is_dir() {
            return Err(refused(&path, "it is a folder: copy it, or list it"));
        }
        if !metadata.is_file() {
            return Err(refused(&path, "it is no regular file"));
        }
        let limit = limit.unwrap_or(u64::MAX);
        if refuse_above.is_some_and(|most| metadata.len().saturating_sub(offset).min(limit) > most) {
            return Ok(Produced::TooLarge);
        }
        file.seek(SeekFrom::Start(offset)).map_err(fail)?;
        sink.begin();
        io::copy(&mut file.take(limit), sink).map_err(fail)?;
        Ok(Produced::All)
    })
    .await;
}

/// Writes a file under a temporary name beside it, then renames it.
pub(super) async fn write(channel: Channel, path: Vec<u8>, mode: u32) {
    let asked = absolute(&path);
    upload(channel, move |source| {
        let fail = |error| failure(&asked, &error);
        let target = match fs::symlink_metadata(&asked) {
            // The file a link points to is written, not the link replaced.
            Ok(metadata) if metadata.is_symlink() => fs::canonicalize(&asked).map_err(fail)?,
            _ => asked.clone(),
        };
        match fs::metadata(&target) {
            Ok(metadata) if metadata.is_dir() => return Err(refused(&asked, "it is a folder")),
            Ok(metadata) if !metadata.is_file() => return Err(refused(&asked, "it is no regular file")),
            _ => {}
        }
        let folder = target.parent().ok_or_else(|| refused(&asked, "it is a folder"))?;
        let temporary = temporary_beside(folder);
        let file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(fail)?;
        source.begin();
        let written = fill(file, source, mode).and_then(|count| {
            fs::rename(&temporary, &target)?;
            Ok(count)
        });
        written.map_err(|error| {
            let _ = fs::remove_file(&temporary);
            failure(&asked, &error)
        })
    })
    .await;
}

fn fill(mut file: File, source: &mut Source, mode: u32) -> io::Result<u64> {
    let count = io::copy(source, &mut file)?;
    file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))?;
    Ok(count)
}

/// A name nothing else uses, not even an agent that ran here before. Short, so that it fits wherever the final name does.
fn temporary_beside(folder: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    folder.join(format!(".oh-{:x}-{}.part", now.as_nanos(), NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Sends the entries of a folder.
pub(super) async fn list(channel: Channel, path: Vec<u8>) {
    let path = absolute(&path);
    download(channel, move |sink| {
        let fail = |error| failure(&path, &error);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            // Gone meanwhile: then it is no entry.
            let Ok(metadata) = entry.metadata() else { continue };
            let kind = match metadata.file_type() {
                kind if kind.is_file() => Kind::File,
                kind if kind.is_dir() => Kind::Directory,
                kind if kind.is_symlink() => Kind::Symlink,
                _ => Kind::Other,
            };
            let mode = metadata.permissions().mode() & 0o7777;
            entries.push(Entry { name: entry.file_name().into_vec(), kind, size: metadata.len(), mode });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        sink.begin();
        let mut out = io::BufWriter::with_capacity(MAX_PAYLOAD, sink);
        for entry in entries {
            let record = protocol::encode(&entry).map_err(|_| refused(&path, "an entry cannot be sent"))?;
            let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
            out.write_all(&length.to_le_bytes()).and_then(|()| out.write_all(&record)).map_err(fail)?;
        }
        out.flush().map_err(fail)?;
        Ok(Produced::All)
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

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
