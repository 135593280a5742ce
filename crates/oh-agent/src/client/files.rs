//! Files and trees.

use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use oh_runtime_api::{
    BoxRead, Error, ErrorKind, FileDigest, FileEntry, Outcome, Owner, Result, Resume, Selection, WriteOptions,
};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::connection::{Connection, Handle, Input, unexpected};
use super::lanes::{Lane, Lanes};
use super::{convert, verify};
use crate::digest::Hasher;
use crate::flow::{Outlet, OutletClosed};
use crate::lanes::{self, Blocks};
use crate::protocol::block::Packer;
use crate::protocol::{self, Change, FromAgent, Request, ToAgent, Transfer, Whole, WireResume};

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
    download(connection, operation, |transfer| Request::Read { transfer, path, offset, limit }).await
}

pub(super) async fn pack(connection: &Arc<Connection>, path: &Path, wanted: &Selection) -> Result<BoxRead> {
    let operation = format!("copy {} out of the sandbox", path.display());
    let (path, wanted) = (convert::path(path), convert::selection(wanted));
    download(connection, operation, |transfer| Request::Pack { transfer, path, wanted }).await
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
        FromAgent::Digest(Whole { size, digest }) => Ok(FileDigest { size, sha256: digest }),
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

async fn download(
    connection: &Arc<Connection>,
    operation: String,
    request: impl FnOnce(Transfer) -> Request,
) -> Result<BoxRead> {
    let transfer = connection.transfer()?;
    let (mut channel, streams) = connection.request(&operation, request(transfer))?;
    match channel.reply(&operation).await? {
        FromAgent::Opened => Ok(verify::reader(channel, streams.output, transfer, operation)),
        _ => Err(unexpected(&operation)),
    }
}

pub(super) async fn list(connection: &Arc<Connection>, path: &Path) -> Result<Vec<FileEntry>> {
    let operation = format!("list {} in the sandbox", path.display());
    let path = convert::path(path);
    let mut data =
        download(connection, operation.clone(), |transfer| Request::List { transfer, path }).await?;
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
    let request = |transfer| Request::Write {
        transfer,
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
    let (path, owner) = (convert::path(path), convert::owner(owner));
    let request = |transfer| Request::Unpack { transfer, path, owner };
    upload(connection, operation, request, tar).await
}

async fn upload(
    connection: &Arc<Connection>,
    operation: String,
    request: impl FnOnce(Transfer) -> Request,
    mut data: BoxRead,
) -> Result<u64> {
    let transfer = connection.transfer()?;
    let (mut channel, streams) = connection.request(&operation, request(transfer))?;
    let mut unfinished = Unfinished(Some(Arc::clone(channel.handle())));
    // Nothing comes back on these; dropped early they would say "not wanted" for no reason.
    let (outlet, _output, _error): (Outlet, Input, Input) = (streams.input, streams.output, streams.error);
    match channel.reply(&operation).await? {
        FromAgent::Opened => {}
        _ => return Err(unexpected(&operation)),
    }
    let handle = Arc::clone(channel.handle());
    let (blocks, dealer) = lanes::dealer();
    let (mut blocks, dealer) = (Some(blocks), Arc::new(dealer));
    let mut lanes = Lanes::new(&handle, transfer);
    let (main, mut carriers) = (outlet.sender().clone(), JoinSet::new());
    let carrier = Arc::clone(&dealer);
    carriers.spawn(async move { carrier.carry(outlet).await });
    let (mut packer, mut hasher) = (Packer::new(transfer.remote), Hasher::default());
    let (mut sealed, mut ended, mut kept) = (None, false, Vec::new());
    let mut reply = pin!(channel.reply(&operation));
    let reply = loop {
        if ended && sealed.is_none() && blocks.take().is_some() {
            let whole = Whole { size: packer.size(), digest: hasher.digest() };
            let _ = handle.send(&ToAgent::Sent(whole));
        }
        tokio::select! {
            filled = fill(&mut packer, &mut data), if !ended && sealed.is_none() => {
                ended = filled.map_err(|error| io_error(error, &operation))?;
                hasher.update(packer.content());
                sealed = packer.seal();
            }
            Some(room) = room(blocks.as_ref()), if sealed.is_some() => {
                if let Some(block) = sealed.take() {
                    lanes.moved(block.len());
                    room.send(block);
                }
            }
            Lane { input, output, handle } = poll_fn(|cx| lanes.poll_next(cx)) => {
                let (carrier, main) = (Arc::clone(&dealer), main.clone());
                carriers.spawn(async move { carrier.carry_beside(input, main).await });
                // Until the agent has all: what is under way when a stream is closed may be lost.
                kept.push((output, handle));
            }
            // What the agent does not want, it says why.
            Some(Ok(Err(OutletClosed::Lost)) | Err(_)) = carriers.join_next() => {
                return Err(handle.lost(&operation));
            }
            reply = &mut reply => break reply,
        }
    };
    unfinished.0 = None;
    match reply? {
        FromAgent::Done { count } => Ok(count),
        _ => Err(unexpected(&operation)),
    }
}

/// Fills the block; true at the end of `data`. May be dropped and called again.
async fn fill(packer: &mut Packer, data: &mut BoxRead) -> io::Result<bool> {
    while packer.room() > 0 {
        if data.read_buf(&mut packer.buffer()).await? == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Waits until another block may be dealt; `None` when nobody takes any.
async fn room(blocks: Option<&Blocks>) -> Option<mpsc::Permit<'_, Bytes>> {
    blocks?.reserve().await.ok()
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
fn io_error(error: io::Error, operation: &str) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::new(ErrorKind::TransferFailed, operation, error.to_string())
            .outcome_is(Outcome::Unknown)
            .caused_by(error),
    }
}
