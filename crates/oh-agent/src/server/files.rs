//! Files and folders of the sandbox. The work is done on threads beside the agent's own.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::agent::Agent;
use super::connection::Channel;
use super::transfer::{self, download, upload};
use super::user;
use crate::archive::Part;
use crate::digest;
use crate::protocol::frame::MAX_PAYLOAD;
use crate::protocol::{
    self, Change, Entry, Failure, FailureKind, FromAgent, Kind, Transfer, Whole, WireResume,
};

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
        io::ErrorKind::InvalidData if transfer::is_corruption(error) => FailureKind::TransferChecksum,
        _ => FailureKind::TransferFailed,
    };
    Failure { kind, message: format!("{}: {error}", path.display()) }
}

pub(super) fn refused(path: &Path, reason: &str) -> Failure {
    Failure { kind: FailureKind::TransferFailed, message: format!("{}: {reason}", path.display()) }
}

/// Sends a regular file, or a part of it.
pub(super) async fn read(
    agent: &Rc<Agent>,
    transfer: Transfer,
    channel: Channel,
    path: Vec<u8>,
    (offset, limit): (u64, Option<u64>),
) {
    let path = absolute(&path);
    download(agent, transfer, channel, move |sink| {
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
        sink.take_all(file.take(limit.unwrap_or(u64::MAX))).map_err(fail)
    })
    .await;
}

/// How a file is written.
pub(super) struct Written {
    pub(super) mode: u32,
    pub(super) mtime: Option<(u64, u32)>,
    pub(super) owner: Option<Vec<u8>>,
    pub(super) resume: Option<WireResume>,
}

/// Writes a file under a temporary name beside it, then renames it.
pub(super) async fn write(
    agent: &Rc<Agent>,
    transfer: Transfer,
    channel: Channel,
    path: Vec<u8>,
    how: Written,
) {
    let Written { mode, mtime, owner, resume } = how;
    let asked = absolute(&path);
    upload(agent, transfer, channel, move |source| {
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
        let owner = owner.map(|name| user::find(&name)).transpose().map_err(|why| refused(&asked, &why))?;
        let part = match &resume {
            None => Part::new(folder),
            Some(resume) => {
                let name = part_name(resume).ok_or_else(|| refused(&asked, "its key is no key"))?;
                Part::resume(&folder.join(name), resume.offset)
            }
        };
        let mut part = part.map_err(fail)?;
        let modified = mtime.and_then(time);
        source.begin();
        let written = source.give_all(&mut part.file).and_then(|count| {
            if let Some(owner) = owner {
                std::os::unix::fs::fchown(&part.file, Some(owner.uid), Some(owner.gid))?;
            }
            part.file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))?;
            // A time the file system cannot hold is no reason to go without the file.
            let _ = modified.map(|time| part.file.set_modified(time));
            Ok(count)
        });
        let count = match written {
            Ok(count) => count,
            Err(error) => {
                // What broke off is kept for the next attempt; what is wrong, or was finished by another one, is not.
                let now = fs::metadata(&target).and_then(|there| there.modified());
                if error.kind() == io::ErrorKind::InvalidData || (modified.is_some() && now.ok() == modified)
                {
                    part.discard();
                }
                return Err(fail(error));
            }
        };
        part.finish(&target).map_err(fail)?;
        Ok(count)
    })
    .await;
}

fn time((seconds, nanos): (u64, u32)) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
}

fn part_name(resume: &WireResume) -> Option<String> {
    let digits = resume.key.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (digits && (1..=64).contains(&resume.key.len())).then(|| format!(".oh-{}.part", resume.key))
}

/// Says what a path is.
pub(super) async fn stat(channel: Channel, path: Vec<u8>) {
    let path = absolute(&path);
    answer(&channel, move || {
        let metadata = fs::symlink_metadata(&path).map_err(|error| failure(&path, &error))?;
        let name = path.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
        Ok(FromAgent::Entry(entry(&path, name, &metadata)))
    })
    .await;
}

/// Says the digest of a file's first bytes.
pub(super) async fn digest(channel: Channel, path: Vec<u8>, limit: Option<u64>) {
    let path = absolute(&path);
    answer(&channel, move || {
        let fail = |error| failure(&path, &error);
        let file =
            OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&path).map_err(fail)?;
        if !file.metadata().map_err(fail)?.is_file() {
            return Err(refused(&path, "it is no regular file"));
        }
        let (size, digest) = digest::of(file.take(limit.unwrap_or(u64::MAX))).map_err(fail)?;
        Ok(FromAgent::Digest(Whole { size, digest }))
    })
    .await;
}

/// Changes the tree of files.
pub(super) async fn change(channel: Channel, change: Change) {
    answer(&channel, move || {
        match change {
            Change::MakeFolder { path, mode } => {
                let path = absolute(&path);
                let mut builder = fs::DirBuilder::new();
                builder
                    .recursive(true)
                    .mode(mode & 0o7777)
                    .create(&path)
                    .map_err(|error| failure(&path, &error))?;
            }
            Change::Rename { from, to } => {
                let (from, to) = (absolute(&from), absolute(&to));
                fs::rename(&from, &to).map_err(|error| {
                    let failed = failure(&from, &error);
                    Failure { message: format!("{} to {}: {error}", from.display(), to.display()), ..failed }
                })?;
            }
            Change::Remove { path } => {
                let path = absolute(&path);
                let fail = |error| failure(&path, &error);
                if fs::symlink_metadata(&path).map_err(fail)?.is_dir() {
                    fs::remove_dir_all(&path).map_err(fail)?;
                } else {
                    fs::remove_file(&path).map_err(fail)?;
                }
            }
        }
        Ok(FromAgent::Done { count: 1 })
    })
    .await;
}

/// Answers with what a thread finds out.
async fn answer(channel: &Channel, work: impl FnOnce() -> Result<FromAgent, Failure> + Send + 'static) {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(answer)) => channel.replies.say(&answer),
        Ok(Err(failure)) => channel.replies.fail(failure),
        Err(_) => channel.replies.fail(refused(Path::new(""), "the agent could not do it")),
    }
}

fn entry(path: &Path, name: Vec<u8>, metadata: &fs::Metadata) -> Entry {
    let kind = match metadata.file_type() {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Directory,
        kind if kind.is_symlink() => Kind::Symlink,
        _ => Kind::Other,
    };
    let target = (kind == Kind::Symlink).then(|| fs::read_link(path).ok()).flatten();
    Entry {
        name,
        kind,
        size: metadata.len(),
        mode: metadata.permissions().mode() & 0o7777,
        mtime: (metadata.mtime(), u32::try_from(metadata.mtime_nsec()).unwrap_or_default()),
        uid: metadata.uid(),
        gid: metadata.gid(),
        target: target.map(|target| target.into_os_string().into_vec()),
    }
}

/// Sends the entries of a folder.
pub(super) async fn list(agent: &Rc<Agent>, transfer: Transfer, channel: Channel, path: Vec<u8>) {
    let path = absolute(&path);
    download(agent, transfer, channel, move |sink| {
        let fail = |error| failure(&path, &error);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            // Gone meanwhile: then it is no entry.
            let Ok(metadata) = entry.metadata() else { continue };
            entries.push(self::entry(&entry.path(), entry.file_name().into_vec(), &metadata));
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
        Ok(())
    })
    .await;
}
