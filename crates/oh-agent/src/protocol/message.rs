//! Messages, encoded with postcard. Both ends are of one version, so the encoding need not describe itself.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// From the client to the agent. [`ToAgent::Open`] is the first on its channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToAgent {
    /// The first message on a stream; it and its answer are not part of the session.
    Join(Join),
    /// Channel 0: asks for [`FromAgent::Pong`] with the same number.
    Ping(u64),
    /// Channel 0: this many bytes of the session have arrived and need not be kept any more.
    Received(u64),
    /// Channel 0: the session is over; nobody comes back.
    Bye,
    /// Does something.
    Open(Request),
    /// This many bytes of a stream have been consumed, counted from its start.
    Ack {
        /// Which stream.
        stream: u8,
        /// Bytes consumed since its start.
        offset: u64,
    },
    /// Nobody reads this stream any more.
    Discard {
        /// Which stream.
        stream: u8,
    },
    /// Kills the command, or gives up the transfer.
    Cancel,
}

/// From the agent to the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromAgent {
    /// The answer to [`ToAgent::Join`].
    Hello(Hello),
    /// See [`ToAgent::Received`].
    Received(u64),
    /// Channel 0: the answer to [`ToAgent::Ping`].
    Pong(u64),
    /// See [`ToAgent::Ack`].
    Ack {
        /// Which stream.
        stream: u8,
        /// Bytes consumed since its start.
        offset: u64,
    },
    /// See [`ToAgent::Discard`].
    Discard {
        /// Which stream.
        stream: u8,
    },
    /// The command runs.
    Started {
        /// Its number in this boot of the agent.
        sequence: u64,
    },
    /// The transfer has begun; its bytes follow or are expected.
    Opened,
    /// The command ended. Its last output may still be on the way.
    Ended(EndReport),
    /// The transfer is complete.
    Done {
        /// Bytes written or entries unpacked.
        count: u64,
    },
    /// The request failed; nothing more comes on this channel.
    Failed(Failure),
}

/// Which session a stream carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Random, of the client's choice.
    pub session: u128,
    /// Whether the session may be a new one.
    pub fresh: bool,
    /// Bytes of the session that have arrived at the client.
    pub received: u64,
}

/// What the agent says of itself and of the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Random per start.
    pub boot: u128,
    /// Version of the program.
    pub version: String,
    /// Bytes of the session that have arrived at the agent; `None` when it has no such session.
    pub received: Option<u64>,
}

/// What a channel is opened for. Paths and words are bytes: Linux knows no encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Runs a command.
    Start(Command),
    /// Sends a file.
    Read {
        /// The file.
        path: Vec<u8>,
        /// Where to start.
        offset: u64,
        /// How many bytes at most.
        limit: Option<u64>,
    },
    /// Writes a file.
    Write {
        /// The file.
        path: Vec<u8>,
        /// Its permission bits.
        mode: u32,
    },
    /// Sends the entries of a folder, each an [`Entry`] behind its length as `u32`.
    List {
        /// The folder.
        path: Vec<u8>,
    },
    /// Sends a file or tree as a tar stream.
    Pack {
        /// The file or folder.
        path: Vec<u8>,
    },
    /// Unpacks a tar stream.
    Unpack {
        /// The folder to unpack into.
        path: Vec<u8>,
    },
}

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<Vec<u8>>,
    /// On top of the sandbox's environment.
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    /// Working folder.
    pub cwd: Option<Vec<u8>>,
    /// Whether standard input follows.
    pub stdin: bool,
    /// Milliseconds until it is killed.
    pub timeout_ms: Option<u64>,
    /// Milliseconds between SIGTERM and SIGKILL.
    pub grace_ms: u64,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndReport {
    /// How.
    pub end: WireEnd,
    /// Microseconds it ran.
    pub wall_us: u64,
    /// Processes that could not be killed.
    pub leaked: Vec<u32>,
}

/// See `oh_runtime_api::End`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WireEnd {
    /// Exit code.
    Exited(i32),
    /// Signal.
    Signaled(i32),
    /// Killed by its timeout.
    TimedOut,
    /// Killed by its caller.
    Cancelled,
    /// Killed by the kernel for want of memory.
    OomKilled,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What to do about it.
    pub kind: FailureKind,
    /// The cause, in words.
    pub message: String,
}

/// See `oh_runtime_api::ErrorKind`, whose names these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// The program does not exist.
    ExecNotFound,
    /// The program may not be executed.
    ExecNotExecutable,
    /// The kernel does not know the program's format.
    ExecBadFormat,
    /// The working folder cannot be entered.
    ExecBadCwd,
    /// Arguments and environment are too large.
    ExecTooBig,
    /// No process can be started.
    ExecNoResources,
    /// The command is malformed.
    ExecInvalid,
    /// It started, but what became of it is not known.
    ExecLost,
    /// The path does not exist.
    TransferNotFound,
    /// The path may not be read or written.
    TransferDenied,
    /// No room left.
    TransferNoSpace,
    /// The archive holds what must not be unpacked.
    TransferUnsafe,
    /// Another failure of a transfer.
    TransferFailed,
    /// The caller gave it up.
    Cancelled,
    /// The request cannot be understood or is over a limit.
    Protocol,
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Its size in bytes.
    pub size: u64,
    /// Its permission bits.
    pub mode: u32,
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Anything else.
    Other,
}

/// Encodes a message.
///
/// # Errors
/// None in practice: these types always fit; postcard's signature has one.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, postcard::Error> {
    postcard::to_stdvec(message)
}

/// Decodes a message.
///
/// # Errors
/// When the bytes are not one, or more than one.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, postcard::Error> {
    match postcard::take_from_bytes(bytes)? {
        (message, []) => Ok(message),
        _ => Err(postcard::Error::DeserializeBadEncoding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_comes_back_and_trailing_bytes_are_refused() {
        let message = ToAgent::Ack { stream: 1, offset: u64::MAX };
        let mut bytes = encode(&message).unwrap();
        assert_eq!(decode::<ToAgent>(&bytes).unwrap(), message);
        bytes.push(0);
        assert!(decode::<ToAgent>(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = decode::<ToAgent>(&bytes);
            let _ = decode::<FromAgent>(&bytes);
        }
    }
}
