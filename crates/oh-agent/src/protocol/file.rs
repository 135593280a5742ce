//! What is said about files.

use serde::{Deserialize, Serialize};

/// Patterns as `oh_agent::archive::Filter` takes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Only what matches one of these; everything when there is none.
    pub include: Vec<String>,
    /// Nothing that matches one of these.
    pub exclude: Vec<String>,
}

/// Whose files become.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WireOwner {
    /// The agent's.
    #[default]
    Agent,
    /// Of the numbers in the archive.
    Archived,
    /// `user`, `user:group`, by name or number.
    Named(Vec<u8>),
}

/// A change of the tree of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Makes a folder, and those on the way to it.
    MakeFolder {
        /// The folder.
        path: Vec<u8>,
        /// Its permission bits.
        mode: u32,
    },
    /// Gives something another path.
    Rename {
        /// Which it has.
        from: Vec<u8>,
        /// Which it gets.
        to: Vec<u8>,
    },
    /// Removes something with all that is in it.
    Remove {
        /// The path.
        path: Vec<u8>,
    },
}

/// See `oh_runtime_api::Resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireResume {
    /// Tells this content from every other one.
    pub key: String,
    /// How much of what is there is kept.
    pub offset: u64,
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
    /// Seconds and nanoseconds since 1970 of its last change; before that, the seconds are negative.
    pub mtime: (i64, u32),
    /// The number of its user.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
    /// Where a link leads.
    pub target: Option<Vec<u8>>,
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
