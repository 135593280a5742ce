//! What is said on the wire. No input or output here.
//!
//! A connection starts with a [`preamble`](encode_preamble) in both directions, whose layout never changes, so that
//! every version can refuse every other one. Then frames follow (see [`frame`]). The first in each direction says which
//! **session** the stream carries ([`Join`], [`Hello`]). Everything behind that is the session's: two sequences of
//! bytes, one in each direction, that outlive the stream. When a stream breaks, the client joins the session again on
//! another one, each end says how much it has received, and the other sends what is missing. So nothing is lost and
//! nothing arrives twice, whatever it is: a command, its output, its end, a file. An end keeps what it has sent until
//! the other one says [`ToAgent::Received`], and at most [`KEPT`] bytes of streams.
//!
//! Channel 0 belongs to the session itself; the client opens the others, one for each request, and never uses a number
//! twice.
//!
//! Streams of bytes have offsets. The receiver acknowledges what it has consumed, and the sender may be [`WINDOW`]
//! bytes ahead of that: a slow reader holds back its own stream and no other.
//!
//! The bytes of files and archives come in [blocks](block). A large transfer may take further streams: the client opens
//! sessions beside, and in each a channel for [`Request::Lane`].

pub mod block;
mod file;
pub mod frame;
mod message;

use std::time::Duration;

pub use file::{Change, Entry, Kind, Selection, WireOwner, WireResume};
pub use message::{
    Attached, ChildrenUsage, Command, CommandEntry, EndReport, Failure, FailureKind, FromAgent, Hello, Join,
    Request, Rlimit, TerminalSize, ToAgent, Transfer, Usage, Whole, WireEnd, decode, encode,
};

/// Version of everything behind the preamble. Ends of different versions refuse each other.
pub const VERSION: u16 = 6;
/// Most bytes of a stream that may be under way without having been consumed.
pub const WINDOW: u64 = 4 * 1024 * 1024;
/// Most bytes an end sends ahead of what the other has said to have received.
pub const KEPT: usize = 8 * 1024 * 1024;
/// An end says what it has received after this many bytes at the latest.
pub const RECEIPT_EVERY: u64 = 1024 * 1024;
/// How long the agent waits for a client whose stream broke.
pub const PARK: Duration = Duration::from_secs(5 * 60);
/// Most channels a connection may have open.
pub const MAX_CHANNELS: usize = 4096;
/// The client says something at least this often.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// An end that hears nothing for this long takes the connection for lost.
pub const SILENCE: Duration = Duration::from_secs(60);

/// Bytes from the client to the agent: standard input, the content of a file or an archive, what a peer gets.
pub const INPUT: u8 = 0;
/// Bytes from the agent to the client: standard output, the content of a file or an archive, what a peer says.
pub const OUTPUT: u8 = 1;
/// Standard error of a command.
pub const ERROR: u8 = 2;

const MAGIC: [u8; 8] = *b"oh-agent";
/// Length of the preamble: magic, version, and two bytes of zero.
pub const PREAMBLE: usize = 12;

/// The first bytes of a connection, in either direction.
#[must_use]
pub fn encode_preamble(version: u16) -> [u8; PREAMBLE] {
    let mut bytes = [0; PREAMBLE];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..10].copy_from_slice(&version.to_le_bytes());
    bytes
}

/// The version the other end speaks; `None` when it is no agent and no client of ours.
#[must_use]
pub fn decode_preamble(bytes: &[u8; PREAMBLE]) -> Option<u16> {
    (bytes[..8] == MAGIC).then(|| u16::from_le_bytes([bytes[8], bytes[9]]))
}
