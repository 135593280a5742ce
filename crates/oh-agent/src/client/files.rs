//! Files and trees.

use std::path::Path;
use std::sync::Arc;

use oh_runtime_api::{
    BoxRead, Error, ErrorKind, FileDigest, FileEntry, Outcome, Owner, Result, Resume, Selection, WriteOptions,
};
use tokio::io::AsyncReadExt;

use super::connection::{Connection, Handle, Input, unexpected};
use super::convert;
use super::streams::{self, PumpError};
use super::verify;
use crate::flow::{Outlet, OutletClosed};
use crate::protocol::{self, Change, FromAgent, Request, ToAgent, WireResume};

/// Most entries taken of one folder: the sandbox may lie about it.
const MAX_ENTRIES: usize = 1_000_000;
/// Most bytes of one entry.
const MAX_ENTRY: u32 = 8 * 1024;

pub(super) async fn read(
    connection: &Arc<Connection>,
    path: &Path,
    offset: u64,
    limit: Option<u64>,
) -> Result<BoxRead> {
    let operation = format!("read {} in the sandbox", path.display());
    let path = convert::path(path);
    download(connection, operation, Request::Read { path, offset, limit }).await
}

pub(super) async fn pack(connection: &Arc<Connection>, path: &Path, wanted: &Selection) -> Result<BoxRead> {
    let operation = format!("copy {} out of the sandbox", path.display());
    let (path, wanted) = (convert::path(path), convert::selection(wanted));
    download(connection, operation, Request::Pack { path, wanted }).await
}

pub(super) async fn stat(connection: &Arc<Connection>, path: &Path) -> Result<FileEntry> {
    let operation = format!("look at {} in the sandbox", path.display());
    match ask(connection, &operation, Request::Stat { path: convert::path(path) }).await? {
        FromAgent::Entry(entry) => Ok(convert::entry(entry)),
        _ => Err(unexpected(&operation)),
    }
}

pub(super) async fn digest(
    connection: &Arc<Connection>,
    path: &Path,
    limit: Option<u64>,
) -> Result<FileDigest> {
    let operation = format!("sum up {} in the sandbox", path.display());
    match ask(connection, &operation, Request::Digest { path: convert::path(path), limit }).await? {
        FromAgent::Digest { size, digest } => Ok(FileDigest { size, sha256: digest }),
        _ => Err(unexpected(&operation)),
    }
}

pub(super) async fn change(connection: &Arc<Connection>, operation: String, change: Change) -> Result<()> {
    match ask(connection, &operation, Request::Change(change)).await? {
        FromAgent::Done { .. } => Ok(()),
        _ => Err(unexpected(&operation)),
    }
}

async fn ask(connection: &Arc<Connection>, operation: &str, request: Request) -> Result<FromAgent> {
    let (mut channel, _streams) = connection.request(operation, request)?;
    channel.reply(operation).await
}

async fn download(connection: &Arc<Connection>, operation: String, request: Request) -> Result<BoxRead> {
    let (mut channel, streams) = connection.request(&operation, request)?;
    match channel.reply(&operation).await? {
        FromAgent::Opened => Ok(verify::reader(channel, streams.output, operation)),
        _ => Err(unexpected(&operation)),
    }
}

pub(super) async fn list(connection: &Arc<Connection>, path: &Path) -> Result<Vec<FileEntry>> {
    let operation = format!("list {} in the sandbox", path.display());
    let request = Request::List { path: convert::path(path) };
    let mut data = download(connection, operation.clone(), request).await?;
    let nonsense = || {
        Error::new(ErrorKind::Protocol, operation.clone(), "the agent's list of entries makes no sense")
            .outcome_is(Outcome::Unknown)
    };
    let mut entries = Vec::new();
    loop {
        let mut length = [0; 4];
        if data.read(&mut length[..1]).await.map_err(|e| io_error(e, &operation))? == 0 {
            break;
        }
        data.read_exact(&mut length[1..]).await.map_err(|e| io_error(e, &operation))?;
        let length = u32::from_le_bytes(length);
        if length > MAX_ENTRY || entries.len() == MAX_ENTRIES {
            return Err(nonsense());
        }
        let mut record = vec![0; length as usize];
        data.read_exact(&mut record).await.map_err(|e| io_error(e, &operation))?;
        let entry = protocol::decode(&record).map_err(|_| nonsense())?;
        entries.push(convert::entry(entry));
    }
    Ok(entries)
}

pub(super) async fn write(
    connection: &Arc<Connection>,
    path: &Path,
    how: WriteOptions,
    data: BoxRead,
) -> Result<u64> {
    let operation = format!("write {} in the sandbox", path.display());
    let request = Request::Write {
        path: convert::path(path),
        mode: how.mode,
        mtime: how.modified.and_then(convert::mtime),
        owner: how.owner.map(String::into_bytes),
        resume: how.resume.map(|Resume { key, offset }| WireResume { key, offset }),
    };
    upload(connection, operation, request, data).await
}

pub(super) async fn unpack(
    connection: &Arc<Connection>,
    path: &Path,
    owner: &Owner,
    tar: BoxRead,
) -> Result<u64> {
    let operation = format!("copy into {} in the sandbox", path.display());
    let request = Request::Unpack { path: convert::path(path), owner: convert::owner(owner) };
    upload(connection, operation, request, tar).await
}

async fn upload(
    connection: &Arc<Connection>,
    operation: String,
    request: Request,
    data: BoxRead,
) -> Result<u64> {
    let (mut data, hasher) = verify::hashed(data);
    let (mut channel, streams) = connection.request(&operation, request)?;
    let mut unfinished = Unfinished(Some(Arc::clone(channel.handle())));
    // Nothing comes back on these; dropped early they would say "not wanted" for no reason.
    let (mut outlet, _output, _error): (Outlet, Input, Input) =
        (streams.input, streams.output, streams.error);
    match channel.reply(&operation).await? {
        FromAgent::Opened => {}
        _ => return Err(unexpected(&operation)),
    }
    let mut watch = outlet.watch();
    let pumped = tokio::select! {
        pumped = streams::pump(&mut data, &mut outlet) => pumped,
        // The agent gave up while we waited for data.
        closed = Outlet::closed(&mut watch) => Err(PumpError::Closed(closed)),
    };
    match pumped {
        Ok(()) => {
            let _ = channel.handle().send(&ToAgent::Sent { digest: hasher.digest() });
            let _ = outlet.eof().await;
        }
        // The agent's own answer, or the lost connection, says why.
        Err(PumpError::Closed(OutletClosed::Discarded | OutletClosed::Lost)) => {}
        Err(PumpError::Read(error)) => return Err(io_error(error, &operation)),
    }
    let reply = channel.reply(&operation).await;
    unfinished.0 = None;
    match reply? {
        FromAgent::Done { count } => Ok(count),
        _ => Err(unexpected(&operation)),
    }
}

/// Gives a transfer up when it is dropped: the agent would wait for the rest.
struct Unfinished(Option<Arc<Handle>>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            let _ = handle.send(&ToAgent::Cancel);
        }
    }
}

/// An error of a stream: the one it wraps, or one of the data's source.
fn io_error(error: std::io::Error, operation: &str) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::new(ErrorKind::TransferFailed, operation, error.to_string())
            .outcome_is(Outcome::Unknown)
            .caused_by(error),
    }
}
