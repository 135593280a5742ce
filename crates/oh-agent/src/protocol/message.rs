//! Messages, encoded with postcard. Both ends are of one version, so the encoding need not describe itself.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::file::{Change, Entry, Selection, WireOwner, WireResume};

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
    /// Sends a signal to the command's process group.
    Signal(i32),
    /// The command's terminal has this size now.
    Resize(TerminalSize),
    /// Nobody uses this command's channel any more; nothing follows on it.
    Close {
        /// Whether its end has arrived where it was wanted, so that the agent need not keep it.
        claimed: bool,
    },
    /// The transfer has no other bytes.
    Sent(Whole),
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
    /// The channel carries a command that was started before.
    Attached(Attached),
    /// The commands the agent knows.
    Commands(Vec<CommandEntry>),
    /// The transfer has begun, or the connection is there; bytes follow or are expected.
    Opened,
    /// The command ended. Its last output may still be on the way.
    Ended(EndReport),
    /// What was sent is complete and right.
    Done {
        /// Bytes written or entries unpacked.
        count: u64,
    },
    /// The request failed; nothing more comes on this channel.
    Failed(Failure),
    /// See [`ToAgent::Sent`].
    Sent(Whole),
    /// What the path is.
    Entry(Entry),
    /// The digest of a file's first bytes.
    Digest(Whole),
    /// The connection broke; what came before is still on the way, and its end is none.
    Broke(Failure),
}

/// What somebody says of bytes, so that another one can tell whether these are all and the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whole {
    /// How many they are.
    pub size: u64,
    /// The SHA-256 of all of them, in order.
    pub digest: [u8; 32],
}

/// How the bytes of a file or an archive are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// How lanes name it: random, of the client's choice.
    pub id: u128,
    /// Whether its streams leave the machine: then the agent compresses, as the client may too, and lanes are worth it.
    pub remote: bool,
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
    /// Goes on with a command that was started before, also by another client, who loses it.
    Attach {
        /// Its number in this boot of the agent.
        sequence: u64,
        /// Bytes of its standard output that are not needed again.
        stdout: u64,
        /// Bytes of its standard error that are not needed again.
        stderr: u64,
    },
    /// Asks for the commands the agent knows.
    Commands,
    /// Sends a signal to a command's process group, or kills it with all its children and waits for that. Whoever has
    /// its streams keeps them.
    Kill {
        /// Its number in this boot of the agent.
        sequence: u64,
        /// The signal; `None` kills.
        signal: Option<i32>,
    },
    /// Sends a file.
    Read {
        /// How it is sent.
        transfer: Transfer,
        /// The file.
        path: Vec<u8>,
        /// Where to start.
        offset: u64,
        /// How many bytes at most.
        limit: Option<u64>,
    },
    /// Writes a file.
    Write {
        /// How it is sent.
        transfer: Transfer,
        /// The file.
        path: Vec<u8>,
        /// Its permission bits.
        mode: u32,
        /// Seconds and nanoseconds since 1970 of its last change; `None` is now.
        mtime: Option<(u64, u32)>,
        /// `user`, `user:group`, by name or number.
        owner: Option<Vec<u8>>,
        /// Goes on where another attempt broke off.
        resume: Option<WireResume>,
    },
    /// Says what a path is.
    Stat {
        /// The path.
        path: Vec<u8>,
    },
    /// Says the digest of a file's first bytes.
    Digest {
        /// The file.
        path: Vec<u8>,
        /// How many bytes at most.
        limit: Option<u64>,
    },
    /// Changes the tree of files.
    Change(Change),
    /// Sends the entries of a folder, each an [`Entry`] behind its length as `u32`.
    List {
        /// How it is sent.
        transfer: Transfer,
        /// The folder.
        path: Vec<u8>,
    },
    /// Sends a file or tree as a tar stream.
    Pack {
        /// How it is sent.
        transfer: Transfer,
        /// The file or folder.
        path: Vec<u8>,
        /// What of it.
        wanted: Selection,
    },
    /// Unpacks a tar stream.
    Unpack {
        /// How it is sent.
        transfer: Transfer,
        /// The folder to unpack into.
        path: Vec<u8>,
        /// Whose it becomes.
        owner: WireOwner,
    },
    /// Carries blocks of a transfer that another session has begun.
    Lane {
        /// Which one.
        transfer: u128,
    },
    /// Opens a TCP connection in the sandbox: what is sent goes to the peer, what it says comes back, and either
    /// direction ends alone.
    Connect {
        /// An IP address, or `localhost`.
        host: Vec<u8>,
        /// The peer's port.
        port: u16,
    },
}

/// A command to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// `user`, `user:group`, by name or number; `None` is the agent's own.
    pub user: Option<Vec<u8>>,
    /// File mode creation mask; `None` is the agent's own.
    pub umask: Option<u32>,
    /// Resource limits besides the agent's own.
    pub rlimits: Vec<Rlimit>,
    /// A terminal of this size instead of three pipes.
    pub terminal: Option<TerminalSize>,
    /// Output that nobody reads does not hold it back.
    pub background: bool,
}

/// One resource limit, as `setrlimit` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// The kernel's number of the resource.
    pub resource: u32,
    /// What holds.
    pub soft: u64,
    /// How far the command may raise it.
    pub hard: u64,
}

/// Rows and columns of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

/// Where the streams of an attached command go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Offset of the first byte of standard output that follows.
    pub stdout: u64,
    /// Offset of the first byte of standard error that follows.
    pub stderr: u64,
    /// Bytes the command's standard input has got; `None` when it has ended.
    pub stdin: Option<u64>,
}

/// A command the agent knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandEntry {
    /// Its number in this boot of the agent.
    pub sequence: u64,
    /// Its program: arguments may be secrets.
    pub program: Vec<u8>,
    /// Microseconds since its start.
    pub age_us: u64,
    /// Whether it has not ended.
    pub running: bool,
    /// How it ended, when it has and somebody saw it.
    pub end: Option<WireEnd>,
    /// Whether a client has its streams.
    pub attached: bool,
    /// Bytes of standard output so far.
    pub stdout: u64,
    /// Bytes of standard error so far.
    pub stderr: u64,
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
    /// What it used.
    pub usage: Usage,
}

/// See `oh_runtime_api::Usage`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time and memory; `None` when its supervisor was killed.
    pub children: Option<ChildrenUsage>,
    /// Processes of the sandbox the kernel killed for want of memory meanwhile; `None` where that cannot be read.
    pub oom_kills: Option<u64>,
    /// Microseconds the sandbox was throttled meanwhile; `None` where that cannot be read.
    pub throttled_us: Option<u64>,
    /// Microseconds its output waited for a reader.
    pub blocked_us: u64,
}

/// What the kernel says of a command and those of its descendants that ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildrenUsage {
    /// Microseconds of CPU time in their own code.
    pub user_us: u64,
    /// Microseconds of CPU time in the kernel.
    pub system_us: u64,
    /// Largest memory of one of them, in bytes.
    pub max_rss: u64,
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
    /// The command cannot run as the user it asks for.
    ExecBadUser,
    /// The command is malformed.
    ExecInvalid,
    /// It started, but what became of it is not known.
    ExecLost,
    /// The agent has no such command.
    CommandNotFound,
    /// Another client attached to the command.
    TakenOver,
    /// The path does not exist.
    TransferNotFound,
    /// The path may not be read or written.
    TransferDenied,
    /// No room left.
    TransferNoSpace,
    /// The archive holds what must not be unpacked.
    TransferUnsafe,
    /// What arrived is not what was sent.
    TransferChecksum,
    /// Another failure of a transfer.
    TransferFailed,
    /// The caller gave it up.
    Cancelled,
    /// The request cannot be understood or is over a limit.
    Protocol,
    /// Nothing listens there.
    ConnectRefused,
    /// There cannot be a connection for another reason.
    ConnectFailed,
    /// The connection was there and broke.
    ConnectReset,
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
