//! The bytes a client speaks through: a connection to the agent's socket, or the pipes a bridge hands over through one.
//!
//! A bridge that passes bytes on itself costs two more processes woken up and two more copies for each command.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recv, recvmsg, sendmsg};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use super::supervise::own;

/// What comes beside the pipes. A client's preamble begins with another byte.
const PIPES: u8 = 0;

pub(super) type Read = Box<dyn AsyncRead + Unpin>;
pub(super) type Write = Box<dyn AsyncWrite + Unpin>;

/// Gives the agent a bridge's standard input and output.
pub(super) fn hand_over(socket: &StdUnixStream, input: &impl AsFd, output: &impl AsFd) -> io::Result<()> {
    let fds = [input.as_fd().as_raw_fd(), output.as_fd().as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&[PIPES])], &rights, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// Both ends of what a new connection stands for.
pub(super) async fn ends(socket: UnixStream) -> io::Result<(Read, Write)> {
    let mut first = [0];
    let peek = || Ok(recv(socket.as_raw_fd(), &mut first, MsgFlags::MSG_PEEK)?);
    if socket.async_io(Interest::READABLE, peek).await? == 1 && first[0] == PIPES {
        let [input, output] = pipes(&socket)?;
        let read = Piped { pipe: pipe::Receiver::from_owned_fd(input)?, bridge: socket };
        return Ok((Box::new(read), Box::new(pipe::Sender::from_owned_fd(output)?)));
    }
    let (read, write) = socket.into_split();
    Ok((Box::new(read), Box::new(write)))
}

fn pipes(socket: &UnixStream) -> io::Result<[OwnedFd; 2]> {
    let mut byte = [0];
    let mut space = nix::cmsg_space!([RawFd; 2]);
    let mut parts = [IoSliceMut::new(&mut byte)];
    let message =
        recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(more) = part {
            fds.extend(more.into_iter().map(own));
        }
    }
    fds.try_into().map_err(|_| io::Error::other("a bridge has two pipes"))
}

/// A bridge's standard input, as long as the bridge lives: the container runtime waits for the pipes of one that was
/// killed.
struct Piped {
    pipe: pipe::Receiver,
    bridge: UnixStream,
}

impl AsyncRead for Piped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let read @ Poll::Ready(_) = Pin::new(&mut self.pipe).poll_read(cx, buffer) {
            return read;
        }
        // It says nothing more: whatever can be read is its end.
        while self.bridge.poll_read_ready(cx)?.is_ready() {
            match self.bridge.try_read(&mut [0]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return Poll::Ready(Ok(())),
            }
        }
        Poll::Pending
    }
}
