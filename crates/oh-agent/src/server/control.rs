//! What agent and supervisor say to each other over their socket pair: messages behind their length.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::protocol::{Failure, decode, encode};

/// Longest message: a command with all its arguments and the whole environment.
const MAX: u32 = 16 * 1024 * 1024;

/// From the agent. The command comes first, with its three standard streams beside its length.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToSupervisor {
    Start(Launch),
    Kill { grace_ms: u64 },
}

/// A command with its whole environment.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Launch {
    pub(super) argv: Vec<Vec<u8>>,
    pub(super) env: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) cwd: Option<Vec<u8>>,
}

/// From the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromSupervisor {
    Started {
        pid: u32,
    },
    StartFailed(Failure),
    /// The command itself ended; its children may live on.
    Exited(Status),
    /// No child is left but these, which could not be killed. The last message.
    Drained {
        leaked: Vec<u32>,
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

fn checked(length: [u8; 4]) -> io::Result<Vec<u8>> {
    let length = u32::from_le_bytes(length);
    if length > MAX { Err(invalid("too long")) } else { Ok(vec![0; length as usize]) }
}

pub(super) fn write(mut out: impl Write, message: &impl Serialize) -> io::Result<()> {
    out.write_all(&frame(message)?)
}

/// Reads a message whose length was read already.
pub(super) fn read_body<T: DeserializeOwned>(mut input: impl Read, length: [u8; 4]) -> io::Result<T> {
    let mut body = checked(length)?;
    input.read_exact(&mut body)?;
    decode(&body).map_err(invalid)
}

pub(super) fn read<T: DeserializeOwned>(mut input: impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    read_body(input, length)
}

pub(super) async fn write_async(
    out: &mut (impl tokio::io::AsyncWrite + Unpin),
    message: &impl Serialize,
) -> io::Result<()> {
    out.write_all(&frame(message)?).await
}

pub(super) async fn read_async<T: DeserializeOwned>(
    input: &mut (impl tokio::io::AsyncRead + Unpin),
) -> io::Result<T> {
    let mut length = [0; 4];
    input.read_exact(&mut length).await?;
    let mut body = checked(length)?;
    input.read_exact(&mut body).await?;
    decode(&body).map_err(invalid)
}
