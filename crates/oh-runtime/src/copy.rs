//! Files and trees in and out, with cp's naming: a target that is a folder takes the source's name inside it.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;

use oh_agent::archive;
use oh_runtime_api::{BoxRead, EntryKind, Error, ErrorKind, Outcome, Owner, Result, Sandbox, Selection};
use tokio::io::AsyncRead;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio_util::io::InspectReader;

use crate::archive::{CopyLimits, filter, pack, unpack};
use crate::channel;
use crate::ext::stream_error;
use crate::large::{self, LARGE_FILE};

/// Permission bits that are carried over: no setuid, no setgid.
pub(crate) const MODE: u32 = oh_agent::archive::MODE;
/// Permission bits of folders that are made on the way.
const FOLDER_MODE: u32 = 0o755;

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// Files, folders and links.
    pub entries: u64,
    /// Bytes in the files.
    pub bytes: u64,
}

impl From<CopyReport> for (u64, u64) {
    /// Entries, then bytes.
    fn from(report: CopyReport) -> Self {
        (report.entries, report.bytes)
    }
}

/// An error of this machine's side, about `path`.
pub(crate) fn host_error(path: &Path, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ErrorKind::TransferNotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::TransferDenied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::TransferNoSpace,
        _ => ErrorKind::TransferFailed,
    };
    Error::new(kind, "copy", format!("{} on this machine: {error}", path.display())).caused_by(error)
}

/// How files and trees are copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// Whose they become.
    pub owner: Owner,
    /// What of a tree.
    pub wanted: Selection,
    /// How much is accepted of a sandbox.
    pub limits: CopyLimits,
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyProgress {
    /// Bytes so far. Those of a tree count its names too.
    pub bytes: u64,
    /// Bytes in all, when it is a single file.
    pub total: Option<u64>,
}

pub(crate) type Progress<'a> = &'a (dyn Fn(CopyProgress) + Send + Sync);

/// Says the bytes so far of a file that has `total`, or of a tree.
pub(crate) fn of(total: Option<u64>, progress: Progress<'_>) -> impl Fn(u64) + Send + Sync {
    move |bytes| progress(CopyProgress { bytes: total.map_or(bytes, |total| bytes.min(total)), total })
}

pub(crate) async fn copy_to<S: Sandbox + ?Sized>(
    sandbox: &S,
    host: &Path,
    path: &Path,
    options: &CopyOptions,
    progress: Progress<'_>,
) -> Result<CopyReport> {
    let operation = format!("copy {} to {} in the sandbox", host.display(), path.display());
    let failed = |error| host_error(host, error).in_operation(&operation);
    let filter = filter(&options.wanted).map_err(|error| error.in_operation(&operation))?;
    let source = tokio::fs::canonicalize(host).await.map_err(failed)?;
    let metadata = tokio::fs::metadata(&source).await.map_err(failed)?;
    // The name of the path as it was given, or of the folder that `.` or `..` stands for.
    let name =
        host.file_name().or(source.file_name()).ok_or_else(|| failed(io::Error::other("it has no name")))?;
    let is_folder = match sandbox.stat(path).await {
        // A link to a folder is as good as the folder.
        Ok(entry) if entry.kind == EntryKind::Symlink => sandbox.list(path).await.is_ok(),
        Ok(entry) => entry.kind == EntryKind::Directory,
        Err(error) if error.kind() == ErrorKind::TransferNotFound => false,
        Err(error) => return Err(error.in_operation(operation)),
    };
    let target = if is_folder { path.join(name) } else { path.to_owned() };
    let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else {
        return Err(Error::new(ErrorKind::TransferFailed, operation, "it has no name to be copied under"));
    };
    if metadata.is_file() && metadata.len() >= LARGE_FILE {
        let copied = async {
            sandbox.make_folder(folder, FOLDER_MODE).await?;
            large::write(sandbox, &source, &target, &options.owner, progress).await
        };
        return copied.await.map_err(|error| error.in_operation(operation));
    }
    let (writer, tar) = channel::writer();
    let name = PathBuf::from(name);
    let packing = spawn_blocking(move || pack(&source, name, &filter, writer));
    let (tar, taken) = counted(tar);
    let total = metadata.is_file().then_some(metadata.len());
    let unpacked = reporting(sandbox.unpack(folder, &options.owner, tar), taken, of(total, progress)).await;
    // What could not be read here is why the rest could not be unpacked there.
    let packed = packing.await.map_err(panicked).and_then(|packed| packed);
    match (packed, unpacked) {
        (Ok(Some(report)), Ok(_)) => Ok(report),
        (Ok(_), Err(error)) => Err(error),
        (Ok(None), Ok(_)) => {
            Err(Error::new(ErrorKind::Protocol, "copy", "the agent stopped amid the archive"))
        }
        (Err(error), _) => Err(error.outcome_is(Outcome::Unknown)),
    }
    .map_err(|error| error.in_operation(operation))
}

pub(crate) async fn copy_from<S: Sandbox + ?Sized>(
    sandbox: &S,
    path: &Path,
    host: &Path,
    options: &CopyOptions,
    progress: Progress<'_>,
) -> Result<CopyReport> {
    let operation = format!("copy {} in the sandbox to {}", path.display(), host.display());
    let failed = |error: Error| error.in_operation(&operation);
    let owner = match &options.owner {
        Owner::Receiver => archive::Owner::Receiver,
        Owner::Same => archive::Owner::Archived,
        Owner::Named(_) => {
            let message = "the users of a sandbox mean nothing on this machine";
            return Err(Error::new(ErrorKind::Config, operation, message));
        }
    };
    filter(&options.wanted).map_err(failed)?;
    let name = path.file_name().unwrap_or(OsStr::new("root")).to_owned();
    let target = match tokio::fs::canonicalize(host).await {
        Ok(folder) if folder.is_dir() => folder.join(&name),
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => host.to_owned(),
        Err(error) => return Err(failed(host_error(host, error))),
    };
    let entry = sandbox.stat(path).await.map_err(failed)?;
    if entry.kind == EntryKind::File && entry.size >= LARGE_FILE {
        if entry.size > options.limits.bytes {
            let message = format!("the file has more than {} bytes", options.limits.bytes);
            return Err(Error::new(ErrorKind::TransferUnsafe, operation, message));
        }
        return large::read(sandbox, path, &entry, &target, &options.owner, progress).await.map_err(failed);
    }
    let tar = sandbox.pack(path, &options.wanted).await.map_err(failed)?;
    let (feeder, reader) = channel::reader();
    let limits = options.limits;
    let unpacking = spawn_blocking(move || unpack(reader, &name, &target, owner, limits));
    let total = (entry.kind == EntryKind::File).then_some(entry.size);
    let fed = feeder.feed(tar, &of(total, progress)).await;
    let unpacked = unpacking.await.map_err(panicked)?;
    // What broke the stream is why the rest could not be unpacked.
    fed.map_err(|error| failed(stream_error("copy", error)))?;
    unpacked.map_err(|error| failed(error.outcome_is(Outcome::Unknown)))
}

/// The same bytes, and the number of those that were taken.
pub(crate) fn counted(data: impl AsyncRead + Send + 'static) -> (BoxRead, watch::Receiver<u64>) {
    let (sender, taken) = watch::channel(0);
    let data =
        InspectReader::new(data, move |bytes| sender.send_modify(|taken| *taken += bytes.len() as u64));
    (Box::pin(data), taken)
}

/// Waits for `work`, and calls `seen` with the number of bytes taken so far.
pub(crate) async fn reporting<T>(
    work: impl Future<Output = T>,
    mut taken: watch::Receiver<u64>,
    seen: impl Fn(u64),
) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            Ok(()) = taken.changed() => seen(*taken.borrow_and_update()),
            done = &mut work => return done,
        }
    }
}

pub(crate) fn panicked(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Internal, "copy", "a thread of ours failed")
        .outcome_is(Outcome::Unknown)
        .caused_by(error)
}
