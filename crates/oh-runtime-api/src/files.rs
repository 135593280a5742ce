//! Files of a sandbox.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::SystemTime;

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link, not followed.
    Symlink,
    /// A device, socket or pipe.
    Other,
}

/// A path of a sandbox, as it is; a link is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Its name, as bytes: names need not be UTF-8.
    pub name: OsString,
    /// What it is.
    pub kind: EntryKind,
    /// Size in bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// When its content was changed last.
    pub modified: SystemTime,
    /// The number of its user.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
    /// Where a link leads.
    pub target: Option<PathBuf>,
}

/// Whose copied files become.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Owner {
    /// The one's who writes them: of the agent in a sandbox, ours on this machine.
    #[default]
    Receiver,
    /// Of the user and group that have the numbers of those they belonged to. Needs root where they are written.
    Same,
    /// `user` or `user:group` of the sandbox, by name or number. Only into a sandbox, and needs root there.
    Named(String),
}

/// What of a tree is copied. A pattern may use `*`, `?`, `[a-z]` and `{a,b}` within a name and `**` for any folders; one
/// with a slash is meant from the top of the tree, another one matches a name at any depth. What matches a folder matches
/// all that is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only what matches one of these; everything when there is none.
    pub include: Vec<String>,
    /// Nothing that matches one of these.
    pub exclude: Vec<String>,
}

/// How a file is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Its permission bits.
    pub mode: u32,
    /// When its content was changed last; `None` is now.
    pub modified: Option<SystemTime>,
    /// `user` or `user:group` of the sandbox; `None` leaves it to the agent's own.
    pub owner: Option<String>,
    /// Goes on where another attempt broke off.
    pub resume: Option<Resume>,
}

impl WriteOptions {
    /// With these permission bits and nothing special.
    #[must_use]
    pub const fn mode(mode: u32) -> Self {
        Self { mode, modified: None, owner: None, resume: None }
    }
}

/// A file that is written in several attempts. Until it is whole its bytes are in `.oh-KEY.part` beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// Tells this content from every other one: lower-case hexadecimal digits, at most 64.
    pub key: String,
    /// How much of what is there is kept; what is sent follows.
    pub offset: u64,
}

impl Resume {
    /// The name of the file that is not whole yet.
    #[must_use]
    pub fn name(&self) -> String {
        format!(".oh-{}.part", self.key)
    }
}

/// The first bytes of a file, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileDigest {
    /// How many bytes these are.
    pub size: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}
