//! Bytes between a command and its spools, and between those and its channel.

use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;

use nix::errno::Errno;
use tokio::net::unix::pipe;
use tokio::sync::watch;

use super::connection::AgentDialect;
use super::spool::Spool;
use crate::flow::{Chunk, Inlet, Outlet, OutletClosed};
use crate::protocol::frame::MAX_PAYLOAD;

thread_local! {
    /// Where every stream is read into: a command that writes nothing needs no memory.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; MAX_PAYLOAD]);
}

/// Keeps what the command writes. After its end, what is in the pipe is still kept; what its background children
/// write later goes nowhere, but they may write.
pub(super) async fn out(from: pipe::Receiver, spool: Rc<Spool>, mut ended: watch::Receiver<bool>) {
    loop {
        let room = spool.room().await;
        let read = if *ended.borrow() {
            // Asks the kernel itself: the event loop may not have heard yet of the last bytes.
            read_now(&from, room, |bytes| spool.push(bytes))
        } else {
            tokio::select! {
                read = read(&from, room, |bytes| spool.push(bytes)) => read,
                _ = ended.changed() => continue,
            }
        };
        if !matches!(read, Ok(count) if count > 0) {
            break;
        }
    }
    spool.end();
    tokio::task::spawn_local(async move {
        while read(&from, MAX_PAYLOAD, |_| ()).await.is_ok_and(|count| count > 0) {}
    });
}

/// Waits for bytes; 0 at the end.
async fn read(from: &pipe::Receiver, limit: usize, take: impl Fn(&[u8])) -> io::Result<usize> {
    loop {
        from.readable().await?;
        let read = SCRATCH.with_borrow_mut(|scratch| {
            let buffer = &mut scratch[..limit.min(MAX_PAYLOAD)];
            let read = from.try_read(buffer);
            if let Ok(count) = read {
                take(&buffer[..count]);
            }
            read
        });
        match read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => return Ok(0),
            done => return done,
        }
    }
}

/// Takes what is there; 0 at the end. A terminal whose other end is closed has ended.
fn read_now(from: &pipe::Receiver, limit: usize, take: impl Fn(&[u8])) -> io::Result<usize> {
    SCRATCH.with_borrow_mut(|scratch| {
        let buffer = &mut scratch[..limit.min(MAX_PAYLOAD)];
        loop {
            match nix::unistd::read(from.as_fd(), buffer) {
                Ok(count) => {
                    take(&buffer[..count]);
                    return Ok(count);
                }
                Err(Errno::EIO) => return Ok(0),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    })
}

/// Sends what the spool has from `start` on, and frees what the client has consumed. Goes on until the client wants no
/// more, or is gone.
pub(super) async fn feed(spool: &Spool, mut outlet: Outlet, start: u64) {
    let mut offset = start;
    let mut ended = false;
    let closed = loop {
        tokio::select! {
            acknowledged = outlet.acknowledged() => match acknowledged {
                Ok(consumed) => spool.consumed(start + consumed),
                Err(closed) => break closed,
            },
            bytes = spool.next(offset), if !ended => {
                let sent = match bytes {
                    Some(bytes) => {
                        offset += bytes.len() as u64;
                        outlet.send(bytes).await
                    }
                    None => {
                        ended = true;
                        outlet.eof().await
                    }
                };
                if let Err(closed) = sent {
                    break closed;
                }
            }
        }
    };
    if closed == OutletClosed::Discarded {
        spool.discard();
        if !ended {
            // Refused only when the connection is gone.
            let _ = outlet.eof().await;
        }
    }
}

/// A command's standard input.
pub(super) struct Stdin {
    pub(super) to: pipe::Sender,
    /// End-of-file on a terminal is a character.
    pub(super) terminal: bool,
}

/// How writing to a command's standard input came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fed {
    /// The client ended it, or the command closed it.
    Ended,
    /// The connection is gone in the middle.
    Cut,
}

/// Writes what arrives to the command's standard input; `written` counts, also when this is dropped in the middle.
pub(super) async fn into(stdin: &Stdin, input: &mut Inlet<AgentDialect>, written: impl Fn(usize)) -> Fed {
    const END_OF_TRANSMISSION: &[u8] = &[4];
    loop {
        match input.next().await {
            Some(Chunk::Data(bytes)) => {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    match write(&stdin.to, rest).await {
                        Ok(count) => {
                            written(count);
                            rest = &rest[count..];
                        }
                        Err(_) => return Fed::Ended,
                    }
                }
            }
            Some(Chunk::Eof | Chunk::Failed(_)) => {
                if stdin.terminal {
                    let _ = write(&stdin.to, END_OF_TRANSMISSION).await;
                }
                return Fed::Ended;
            }
            None => return Fed::Cut,
        }
    }
}

async fn write(to: &pipe::Sender, bytes: &[u8]) -> io::Result<usize> {
    loop {
        to.writable().await?;
        match to.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}
