//! Large single files. What an attempt got across is kept beside the target, in `.oh-KEY.part`, and the next one goes on
//! there when it is still the beginning of the file.

use std::fs::{self, Permissions};
use std::io::{self, Read, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use oh_agent::archive::Part;
use oh_agent::digest;
use oh_runtime_api::{Error, ErrorKind, FileEntry, Outcome, Owner, Result, Resume, Sandbox, WriteOptions};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, ReadBuf, Take};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::copy::{self, CopyReport, MODE, Progress, counted, host_error, panicked, reporting};
use crate::ext::stream_error;

/// Files from this size on are worth an effort when a copy breaks off.
pub(crate) const LARGE_FILE: u64 = 64 << 20;
/// Most bytes written at once.
const PIECE: usize = 256 * 1024;
/// Pieces that wait to be written.
const PIECES: usize = 2;

/// Copies a file of this machine to `target` in the sandbox.
pub(crate) async fn write<S: Sandbox + ?Sized>(
    sandbox: &S,
    source: &Path,
    target: &Path,
    owner: &Owner,
    progress: Progress<'_>,
) -> Result<CopyReport> {
    let failed = |error| host_error(source, error);
    let mut file = File::open(source).await.map_err(failed)?;
    let metadata = file.metadata().await.map_err(failed)?;
    let size = metadata.len();
    let modified = metadata.modified().map_err(failed)?;
    let mut resume = Resume { key: key(&[target.as_os_str().as_bytes()], size, modified), offset: 0 };
    let part = target.with_file_name(resume.name());
    match sandbox.stat(&part).await {
        Ok(there) if there.size <= size => {
            let there = sandbox.digest(&part, None).await?;
            if Some(there.sha256) == beginning(source, there.size).await? {
                resume.offset = there.size;
            }
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::TransferNotFound => {}
        Err(error) => return Err(error),
    }
    let offset = resume.offset;
    file.seek(SeekFrom::Start(offset)).await.map_err(failed)?;
    let (data, taken) = counted(Exactly(file.take(size - offset)));
    let how = WriteOptions {
        mode: metadata.permissions().mode() & MODE,
        modified: Some(modified),
        owner: match owner {
            Owner::Receiver => None,
            Owner::Same => Some(format!("{}:{}", metadata.uid(), metadata.gid())),
            Owner::Named(name) => Some(name.clone()),
        },
        resume: Some(resume),
    };
    let writing = sandbox.write_file(target, how, data);
    let seen = copy::of(Some(size), progress);
    reporting(writing, taken, |bytes| seen(offset + bytes)).await?;
    Ok(CopyReport { entries: 1, bytes: size })
}

/// Copies a file of the sandbox, which is `entry`, to `target` on this machine.
pub(crate) async fn read<S: Sandbox + ?Sized>(
    sandbox: &S,
    path: &Path,
    entry: &FileEntry,
    target: &Path,
    owner: &Owner,
    progress: Progress<'_>,
) -> Result<CopyReport> {
    let size = entry.size;
    let whose = sandbox.incarnation().uid.to_string();
    let key = key(&[whose.as_bytes(), path.as_os_str().as_bytes()], size, entry.modified);
    let part = target.with_file_name(Resume { key, offset: 0 }.name());
    let failed = |error| host_error(&part, error);
    let mut offset = 0;
    if let Ok(there) = fs::symlink_metadata(&part)
        && there.is_file()
        && there.len() <= size
    {
        let wanted = sandbox.digest(path, Some(there.len())).await?;
        if wanted.size == there.len() && Some(wanted.sha256) == beginning(&part, there.len()).await? {
            offset = there.len();
        }
    }
    let mut data = sandbox.read_file(path, offset, Some(size - offset)).await?;
    let resuming = part.clone();
    let resumed = spawn_blocking(move || Part::resume(&resuming, offset)).await.map_err(panicked)?;
    let mut opened = resumed.map_err(failed)?;
    let (pieces, mut arrived) = mpsc::channel::<Bytes>(PIECES);
    let writing = spawn_blocking(move || {
        while let Some(piece) = arrived.blocking_recv() {
            opened.file.write_all(&piece)?;
        }
        Ok(opened)
    });
    let (seen, mut read) = (copy::of(Some(size), progress), offset);
    loop {
        let mut piece = BytesMut::with_capacity(PIECE);
        let broken = |error| stream_error("copy", error).outcome_is(Outcome::Unknown);
        let count = data.read_buf(&mut piece).await.map_err(broken)?;
        // Where writing failed, the thread says why.
        if count == 0 || pieces.send(piece.freeze()).await.is_err() {
            break;
        }
        read += count as u64;
        seen(read);
    }
    drop(pieces);
    let written = writing.await.map_err(panicked)?.map_err(failed)?;
    if read != size {
        let message = format!("{} became shorter while it was read", path.display());
        return Err(Error::new(ErrorKind::TransferFailed, "copy", message).outcome_is(Outcome::Unknown));
    }
    let finished = || {
        if *owner == Owner::Same {
            std::os::unix::fs::fchown(&written.file, Some(entry.uid), Some(entry.gid))?;
        }
        written.file.set_permissions(Permissions::from_mode(entry.mode & MODE))?;
        written.file.set_modified(entry.modified)?;
        written.finish(target)
    };
    finished().map_err(|error| host_error(target, error))?;
    Ok(CopyReport { entries: 1, bytes: size })
}

/// Another one for every other file, and for this one when it was changed.
fn key(names: &[&[u8]], size: u64, modified: SystemTime) -> String {
    let mut hasher = Sha256::new();
    for name in names {
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name);
    }
    hasher.update(size.to_le_bytes());
    let age = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    hasher.update(age.as_nanos().to_le_bytes());
    hasher.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of the first `size` bytes of a file of this machine; `None` when it has fewer, or when there are none to
/// compare.
async fn beginning(path: &Path, size: u64) -> Result<Option<[u8; 32]>> {
    if size == 0 {
        return Ok(None);
    }
    let owned = path.to_owned();
    let summed = spawn_blocking(move || digest::of(fs::File::open(owned)?.take(size)));
    let (read, sha256) = summed.await.map_err(panicked)?.map_err(|error| host_error(path, error))?;
    Ok((read == size).then_some(sha256))
}

/// As many bytes of a file as were promised: what grows is cut, what shrinks is an error.
struct Exactly(Take<File>);

impl AsyncRead for Exactly {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.remaining();
        ready!(Pin::new(&mut self.0).poll_read(cx, out))?;
        if before > 0 && out.remaining() == before && self.0.limit() > 0 {
            return Poll::Ready(Err(io::Error::other("it became shorter while it was read")));
        }
        Poll::Ready(Ok(()))
    }
}
