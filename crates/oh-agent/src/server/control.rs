//! What agent and supervisor say to each other over their socket pair: messages behind their length.

use std::io::{self, Read, Write};

use bytes::BytesMut;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::protocol::{ChildrenUsage, Command, Failure, decode, encode};

/// Bytes of a message's length.
pub(super) const LENGTH: usize = 4;
/// Longest message: a command with all its arguments and the whole environment.
const MAX: u32 = 16 * 1024 * 1024;

/// From the agent. A command comes first, with its three standard streams beside it; after its end the next may come.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToSupervisor {
    Start(Launch),
    /// To the command's process group, while the command runs.
    Signal(i32),
    Kill {
        grace_ms: u64,
    },
}

/// A command, and the environment it adds to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Launch {
    pub(super) environment: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) command: Command,
}

/// From the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromSupervisor {
    Started {
        pid: u32,
    },
    StartFailed(Failure),
    /// The command itself ended; its children may live on.
    Exited(Status, ChildrenUsage),
    /// No child is left but these, which could not be killed. The last message about a command.
    Drained {
        leaked: Vec<u32>,
        children: ChildrenUsage,
    },
}

/// What `waitpid` said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Status {
    Exited(i32),
    Signaled(i32),
}

fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

/// A message behind its length.
pub(super) fn frame(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let body = encode(message).map_err(invalid)?;
    let length =
        u32::try_from(body.len()).ok().filter(|&length| length <= MAX).ok_or_else(|| invalid("too long"))?;
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend(body);
    Ok(bytes)
}

fn length_of(bytes: [u8; LENGTH]) -> io::Result<usize> {
    let length = u32::from_le_bytes(bytes);
    if length > MAX { Err(invalid("too long")) } else { Ok(length as usize) }
}

pub(super) fn write(mut out: impl Write, message: &impl Serialize) -> io::Result<()> {
    out.write_all(&frame(message)?)
}

/// Reads a message whose length was read already.
pub(super) fn read_body<T: DeserializeOwned>(mut input: impl Read, length: [u8; LENGTH]) -> io::Result<T> {
    let mut body = vec![0; length_of(length)?];
    input.read_exact(&mut body)?;
    decode(&body).map_err(invalid)
}

pub(super) fn read<T: DeserializeOwned>(mut input: impl Read) -> io::Result<T> {
    let mut length = [0; LENGTH];
    input.read_exact(&mut length)?;
    read_body(input, length)
}

pub(super) async fn write_async(
    out: &mut (impl tokio::io::AsyncWrite + Unpin),
    message: &impl Serialize,
) -> io::Result<()> {
    out.write_all(&frame(message)?).await
}

/// What has arrived of the next message.
#[derive(Debug, Default)]
pub(super) struct Inbox(BytesMut);

impl Inbox {
    /// The next message. May be dropped and called again.
    pub(super) async fn next<T: DeserializeOwned>(
        &mut self,
        input: &mut (impl tokio::io::AsyncRead + Unpin),
    ) -> io::Result<T> {
        loop {
            if let Some(length) = self.0.first_chunk() {
                let end = length_of(*length)? + LENGTH;
                if self.0.len() >= end {
                    let message = self.0.split_to(end);
                    return decode(&message[LENGTH..]).map_err(invalid);
                }
            }
            if input.read_buf(&mut self.0).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
