//! Files and trees.

use std::path::Path;
use std::sync::Arc;

use oh_runtime_api::{BoxRead, Error, ErrorKind, FileEntry, Outcome, Result};
use tokio::io::AsyncReadExt;

use super::connection::{Channel, Connection, Input, unexpected};
use super::convert;
use super::streams::{self, PumpError};
use super::verify;
use crate::flow::{Outlet, OutletClosed};
use crate::protocol::{self, FromAgent, Request, ToAgent};

/// The answer to a request for bytes.
pub enum Download {
    /// Here they are.
    Bytes(BoxRead),
    /// They are more than was accepted.
    TooLarge,
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bytes(_) => "Bytes",
            Self::TooLarge => "TooLarge",
        })
    }
}

/// Most entries taken of one folder: the sandbox may lie about it.
const MAX_ENTRIES: usize = 1_000_000;
/// Most bytes of one entry.
const MAX_ENTRY: u32 = 8 * 1024;

pub(super) async fn read(
    connection: &Arc<Connection>,
    path: &Path,
    offset: u64,
    limit: Option<u64>,
    refuse_above: Option<u64>,
) -> Result<Download> {
    let operation = format!("read {} in the sandbox", path.display());
    let path = convert::path(path);
    download(connection, operation, Request::Read { path, offset, limit, refuse_above }).await
}

pub(super) async fn pack(
    connection: &Arc<Connection>,
    path: &Path,
    refuse_above: Option<u64>,
) -> Result<Download> {
    let operation = format!("copy {} out of the sandbox", path.display());
    download(connection, operation, Request::Pack { path: convert::path(path), refuse_above }).await
}

async fn download(connection: &Arc<Connection>, operation: String, request: Request) -> Result<Download> {
    let (mut channel, streams) = connection.request(&operation, request)?;
    match channel.reply(&operation).await? {
        FromAgent::Opened => Ok(Download::Bytes(verify::reader(channel, streams.output, operation))),
        FromAgent::TooLarge => Ok(Download::TooLarge),
        _ => Err(unexpected(&operation)),
    }
}

pub(super) async fn list(connection: &Arc<Connection>, path: &Path) -> Result<Vec<FileEntry>> {
    let operation = format!("list {} in the sandbox", path.display());
    let request = Request::List { path: convert::path(path) };
    let Download::Bytes(mut data) = download(connection, operation.clone(), request).await? else {
        return Err(unexpected(&operation));
    };
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
    mode: u32,
    data: BoxRead,
) -> Result<u64> {
    let operation = format!("write {} in the sandbox", path.display());
    upload(connection, operation, Request::Write { path: convert::path(path), mode }, data).await
}

pub(super) async fn unpack(connection: &Arc<Connection>, path: &Path, tar: BoxRead) -> Result<u64> {
    let operation = format!("copy into {} in the sandbox", path.display());
    upload(connection, operation, Request::Unpack { path: convert::path(path) }, tar).await
}

async fn upload(
    connection: &Arc<Connection>,
    operation: String,
    request: Request,
    data: BoxRead,
) -> Result<u64> {
    let (mut data, hasher) = verify::hashed(data);
    let (mut channel, streams) = connection.request(&operation, request)?;
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
        Err(PumpError::Read(error)) => {
            abort(&channel);
            return Err(io_error(error, &operation));
        }
    }
    match channel.reply(&operation).await? {
        FromAgent::Done { count } => Ok(count),
        _ => Err(unexpected(&operation)),
    }
}

fn abort(channel: &Channel) {
    let _ = channel.handle().send(&ToAgent::Cancel);
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
