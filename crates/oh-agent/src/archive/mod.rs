//! Files and trees as tar streams, the same at both ends. What is unpacked may be forged, and what it is unpacked into
//! may be changed meanwhile by somebody hostile.

mod filter;
mod pack;
mod part;
mod unpack;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

pub use filter::{BadPattern, Filter};
pub use pack::pack;
pub use part::Part;
pub use unpack::{Limits, Owner, Target, unpack};

/// Permission bits that are carried over: no setuid, no setgid.
pub const MODE: u32 = 0o777;

/// What was packed or unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Files, folders and links.
    pub entries: u64,
    /// Bytes in the files.
    pub bytes: u64,
}

/// Why packing or unpacking stopped. What was done before stays.
#[derive(Debug)]
pub enum Stopped {
    /// A path of this side cannot be read or written.
    Path(PathBuf, io::Error),
    /// The stream broke, or cannot be read as an archive.
    Stream(io::Error),
    /// The entry of this name must not be unpacked.
    Unsafe(Vec<u8>, &'static str),
    /// There is more than the limit of this name and size.
    TooMuch(&'static str, u64),
}

impl Stopped {
    fn path(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |error| Self::Path(path, error)
    }
}

/// A name nothing else uses, not even an agent that ran here before. Short, so that it fits wherever the final name does.
#[must_use]
pub fn temporary_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!(".oh-{:x}-{}.part", now.as_nanos(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The last part of a path, or a word for one that has none.
#[must_use]
pub fn name_of(path: &Path) -> PathBuf {
    path.file_name().map_or_else(|| PathBuf::from("root"), PathBuf::from)
}
