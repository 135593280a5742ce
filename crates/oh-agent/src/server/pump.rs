//! Bytes between a command's pipes and its channel.

use std::io;
use std::os::fd::AsFd;

use bytes::{Bytes, BytesMut};
use nix::errno::Errno;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::watch;

use super::connection::AgentDialect;
use crate::flow::{Chunk, Inlet, Outlet};
use crate::protocol::frame::MAX_PAYLOAD;

/// Sends what the command writes. After its end, what is in the pipe still goes out; what its background children
/// write later goes nowhere, but they may write.
pub(super) async fn out(pipe: pipe::Receiver, mut outlet: Outlet, mut ended: watch::Receiver<bool>) {
    while outlet.room().await.is_ok() {
        let bytes = if *ended.borrow() {
            rest(&pipe)
        } else {
            tokio::select! {
                bytes = next(&pipe) => bytes,
                _ = ended.changed() => continue,
            }
        };
        match bytes {
            Ok(bytes) if !bytes.is_empty() => {
                if outlet.send(bytes).await.is_err() {
                    break;
                }
            }
            _ => break,
        }
    }
    // Refused only when the connection is gone or the client does not want it.
    let _ = outlet.eof().await;
    tokio::task::spawn_local(async move { while next(&pipe).await.is_ok_and(|bytes| !bytes.is_empty()) {} });
}

/// Waits for bytes; empty at the end.
async fn next(pipe: &pipe::Receiver) -> io::Result<Bytes> {
    loop {
        pipe.readable().await?;
        let mut buffer = BytesMut::with_capacity(MAX_PAYLOAD);
        match pipe.try_read_buf(&mut buffer) {
            Ok(_) => return Ok(buffer.freeze()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// What is in the pipe now; empty when nothing is. Asks the kernel itself: the event loop may not have heard yet of
/// the last bytes.
fn rest(pipe: &pipe::Receiver) -> io::Result<Bytes> {
    let mut buffer = vec![0; MAX_PAYLOAD];
    loop {
        match nix::unistd::read(pipe.as_fd(), &mut buffer) {
            Ok(count) => {
                buffer.truncate(count);
                return Ok(buffer.into());
            }
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Ok(Bytes::new()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes what arrives to the command's standard input. `cut` turns true when the connection is lost in the middle.
pub(super) async fn into(mut pipe: pipe::Sender, mut input: Inlet<AgentDialect>, cut: watch::Sender<bool>) {
    loop {
        match input.next().await {
            Some(Chunk::Data(bytes)) => {
                // The command closed its standard input: dropping ours says so to the client.
                if pipe.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Some(Chunk::Eof | Chunk::Failed(_)) => return,
            None => {
                cut.send_replace(true);
                return;
            }
        }
    }
}
