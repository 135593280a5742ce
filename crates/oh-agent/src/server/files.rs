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

use super::connection::{Channel, Replies, given_up};
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
        _ => FailureKind::TransferFailed,
    };
    Failure { kind, message: format!("{}: {error}", path.display()) }
}

fn refused(path: &Path, reason: &str) -> Failure {
    Failure { kind: FailureKind::TransferFailed, message: format!("{}: {reason}", path.display()) }
}

/// Where a file thread writes what the client gets.
pub(super) struct Sink {
    replies: Replies,
    pieces: mpsc::Sender<Bytes>,
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
    produce: impl FnOnce(Sink) -> Result<(), Failure> + Send + 'static,
) {
    let Channel { replies, mut output, mut orders, .. } = channel;
    let (sender, mut pieces) = mpsc::channel(QUEUE);
    let sink = Sink { replies: replies.clone(), pieces: sender };
    let producer = tokio::task::spawn_blocking(move || produce(sink));
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
        Ok(Ok(())) => {
            let _ = output.eof().await;
        }
        Ok(Err(failure)) => replies.fail(failure),
        Err(_) => replies.fail(refused(Path::new(""), "the agent could not do it")),
    }
}

/// Where a file thread reads what the client sends. Ends only where the client ended it: whatever breaks off before
/// is an error.
pub(super) struct Source {
    replies: Replies,
    pieces: mpsc::Receiver<Option<Bytes>>,
    current: Bytes,
    ended: bool,
}

impl Source {
    /// The request can be served; bytes are expected.
    pub(super) fn begin(&self) {
        self.replies.say(&FromAgent::Opened);
    }
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Some(piece)) => self.current = piece,
                Some(None) => self.ended = true,
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
    consume: impl FnOnce(Source) -> Result<u64, Failure> + Send + 'static,
) {
    let Channel { replies, mut input, mut orders, .. } = channel;
    let (sender, pieces) = mpsc::channel(QUEUE);
    let source = Source { replies: replies.clone(), pieces, current: Bytes::new(), ended: false };
    let consumer = tokio::task::spawn_blocking(move || consume(source));
    let forward = async {
        loop {
            let piece = tokio::select! {
                chunk = input.next() => match chunk {
                    Some(Chunk::Data(bytes)) => Some(bytes),
                    Some(Chunk::Eof) => None,
                    Some(Chunk::Failed(_)) | None => return,
                },
                () = sender.closed() => return,
            };
            let last = piece.is_none();
            if sender.send(piece).await.is_err() || last {
                return;
            }
        }
    };
    tokio::select! {
        () = forward => {}
        () = given_up(&mut orders) => {}
    }
    drop(sender);
    match consumer.await {
        Ok(Ok(count)) => replies.say(&FromAgent::Done { count }),
        Ok(Err(failure)) => replies.fail(failure),
        Err(_) => replies.fail(refused(Path::new(""), "the agent could not do it")),
    }
}

/// Sends a regular file, or a part of it.
pub(super) async fn read(channel: Channel, path: Vec<u8>, offset: u64, limit: Option<u64>) {
    let path = absolute(&path);
    download(channel, move |mut sink| {
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
        file.seek(SeekFrom::Start(offset)).map_err(fail)?;
        sink.begin();
        let mut part = file.take(limit.unwrap_or(u64::MAX));
        io::copy(&mut part, &mut sink).map_err(fail)?;
        Ok(())
    })
    .await;
}

/// Writes a file under a temporary name beside it, then renames it.
pub(super) async fn write(channel: Channel, path: Vec<u8>, mode: u32) {
    let asked = absolute(&path);
    upload(channel, move |mut source| {
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
        let written = fill(file, &mut source, mode).and_then(|count| {
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
        out.flush().map_err(fail)
    })
    .await;
}
