//! Unpacking a tar stream that a sandbox sent. All of it may be forged.
//!
//! Entries are written one by one, each relative to a folder that is opened without following links, part by part; no
//! path is ever given to the kernel as a whole. So neither the archive nor somebody who changes the target meanwhile
//! can make a write go elsewhere. Only what the agent sends is understood: files, folders, symbolic links and GNU
//! long names.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{self, AtFlags, OFlag};
use nix::sys::stat::{Mode, SFlag, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};
use oh_runtime_api::{Error, ErrorKind, Result};
use tar::{Archive, Entry, EntryType};

use crate::copy::{CopyReport, MODE, host_error};
use crate::ext::stream_error;

/// Longest path, the kernel's own limit.
const MAX_PATH: usize = 4096;
/// Most parts of a path.
const MAX_DEPTH: usize = 256;
/// Bytes written at once.
const PIECE: usize = 64 * 1024;
/// Opens a folder only to find what is in it.
const FOLDER: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// How much is accepted of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyLimits {
    /// Most files, folders and links.
    pub entries: u64,
    /// Most bytes, counting what describes the entries.
    pub bytes: u64,
}

impl Default for CopyLimits {
    /// A million entries, 64 GiB.
    fn default() -> Self {
        Self { entries: 1_000_000, bytes: 64 << 30 }
    }
}

/// Unpacks an archive of the one file or folder `name`, which becomes `target`. Its folder has to exist. A target
/// folder that exists is filled, a target file replaced.
pub(crate) fn unpack(
    stream: impl Read,
    name: &OsStr,
    target: &Path,
    limits: CopyLimits,
) -> Result<CopyReport> {
    let mut archive = Archive::new(Limited { stream, limit: limits.bytes, taken: 0 });
    let mut tree = Tree::new(name, target)?;
    let (mut long_name, mut long_link) = (None, None);
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        match entry.header().entry_type() {
            EntryType::GNULongName => long_name = Some(long(&mut entry)?),
            EntryType::GNULongLink => long_link = Some(long(&mut entry)?),
            _ if tree.report.entries == limits.entries => return Err(too_much("entries", limits.entries)),
            kind => {
                let name = long_name.take().unwrap_or_else(|| entry.header().path_bytes().into_owned());
                let link = long_link.take().or_else(|| entry.header().link_name_bytes().map(Cow::into_owned));
                tree.take(&name, kind, &link.unwrap_or_default(), &mut entry)?;
            }
        }
    }
    // The stream goes on behind the archive's end mark, and may say there that it broke.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(broken)?;
    if tree.report.entries == 0 {
        return Err(Error::new(ErrorKind::Protocol, "copy", "the agent sent an empty archive"));
    }
    Ok(tree.report)
}

/// What is being written.
struct Tree<'a> {
    /// What the archive calls it.
    top: &'a [u8],
    target: &'a Path,
    /// The folder the target is in.
    outside: OwnedFd,
    /// The target's name in it.
    name: &'a OsStr,
    /// Whether the archive began with a folder.
    is_folder: bool,
    report: CopyReport,
}

impl<'a> Tree<'a> {
    fn new(top: &'a OsStr, target: &'a Path) -> Result<Self> {
        let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(host_error(target, io::Error::other("it cannot be replaced")));
        };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let outside =
            fcntl::open(folder, FOLDER, Mode::empty()).map_err(|error| host_error(folder, error.into()))?;
        let report = CopyReport::default();
        Ok(Self { top: top.as_bytes(), target, outside, name, is_folder: false, report })
    }

    /// Writes one entry.
    fn take(
        &mut self,
        name: &[u8],
        kind: EntryType,
        link: &[u8],
        entry: &mut Entry<'_, impl Read>,
    ) -> Result<()> {
        let refused = |why: &str| refused(name, why);
        let is_folder = kind == EntryType::Directory;
        let parts = parts(name, is_folder).map_err(refused)?;
        let (top, inner) = parts.split_first().ok_or_else(|| refused("it has no name"))?;
        if *top != self.top {
            return Err(refused("it does not belong to what was asked for"));
        }
        match (self.report.entries, inner.is_empty()) {
            (0, true) => self.is_folder = is_folder,
            (1.., false) if self.is_folder => {}
            _ => return Err(refused("it is out of place")),
        }
        let mode = entry.header().mode().map_err(|_| refused("its mode is malformed"))? & MODE;
        let mtime = entry.header().mtime().map_err(|_| refused("its time is malformed"))?;
        let at = inner.iter().fold(self.target.to_owned(), |path, part| path.join(OsStr::from_bytes(part)));
        let failed = |error| host_error(&at, error);
        let (folder, last) = self.place(inner).map_err(failed)?;
        match kind {
            EntryType::Directory => make_folder(&folder, last, mode).map_err(failed)?,
            EntryType::Regular => {
                let file = make_file(&folder, last, mode).map_err(failed)?;
                self.report.bytes += fill(&file, entry, failed)?;
                // A time the file system cannot hold is no reason to go without the file.
                let _ =
                    UNIX_EPOCH.checked_add(Duration::from_secs(mtime)).map(|time| file.set_modified(time));
            }
            EntryType::Symlink => {
                // The first part of the name is the tree itself: a link in it may not climb.
                let depth = inner
                    .len()
                    .checked_sub(1)
                    .ok_or_else(|| refused("it is a link: copy what it points to"))?;
                check_link(link, depth).map_err(refused)?;
                make_link(&folder, last, link).map_err(failed)?;
            }
            _ => return Err(refused("it is no file, folder or symbolic link")),
        }
        self.report.entries += 1;
        Ok(())
    }

    /// The folder an entry belongs into, and its name there. Every part on the way has to be a folder, not a link.
    fn place<'b>(&self, inner: &[&'b [u8]]) -> io::Result<(OwnedFd, &'b OsStr)>
    where
        'a: 'b,
    {
        let mut folder = self.outside.try_clone()?;
        let mut name = self.name;
        for part in inner {
            folder = fcntl::openat(&folder, name, FOLDER | OFlag::O_NOFOLLOW, Mode::empty())?;
            name = OsStr::from_bytes(part);
        }
        Ok((folder, name))
    }
}

/// The parts of a name, or which rule it breaks.
fn parts(name: &[u8], is_folder: bool) -> Result<Vec<&[u8]>, &'static str> {
    // Folders are written with a slash at the end.
    let name = if is_folder { name.strip_suffix(b"/").unwrap_or(name) } else { name };
    if name.len() > MAX_PATH {
        return Err("its name is too long");
    }
    if name.starts_with(b"/") {
        return Err("its name is absolute");
    }
    if name.contains(&0) {
        return Err("its name contains a zero byte");
    }
    let parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').collect();
    if parts.len() > MAX_DEPTH {
        return Err("it is too deep");
    }
    if parts.iter().any(|part| matches!(*part, b"" | b"." | b"..")) {
        return Err("its name has empty parts, '.' or '..'");
    }
    Ok(parts)
}

/// Whether a link may point to `target` from a folder `depth` levels below the top of the tree. What is followed by
/// names must not climb any more: a name may be a link itself, and climbing from where that leads proves nothing.
fn check_link(target: &[u8], depth: usize) -> Result<(), &'static str> {
    if target.is_empty() || target.len() > MAX_PATH || target.contains(&0) {
        return Err("it is a malformed link");
    }
    if target.starts_with(b"/") {
        return Err("it is a link to an absolute path");
    }
    let mut climbed = 0;
    let mut names = false;
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if names => return Err("it is a link with '..' behind a name"),
            b".." if climbed == depth => return Err("it is a link out of the copied tree"),
            b".." => climbed += 1,
            _ => names = true,
        }
    }
    Ok(())
}

/// Makes a folder, or leaves one that is there. Its owner can always fill it.
fn make_folder(folder: &OwnedFd, name: &OsStr, mode: u32) -> io::Result<()> {
    match mkdirat(folder, name, Mode::from_bits_truncate(mode | 0o700)) {
        Err(Errno::EEXIST) if kind_of(folder, name)? == SFlag::S_IFDIR => Ok(()),
        made => Ok(made?),
    }
}

/// A new file in place of a file or link of that name.
fn make_file(folder: &OwnedFd, name: &OsStr, mode: u32) -> io::Result<File> {
    clear(folder, name)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(fcntl::openat(folder, name, flags, Mode::from_bits_truncate(mode))?.into())
}

/// A new link in place of a file or link of that name.
fn make_link(folder: &OwnedFd, name: &OsStr, target: &[u8]) -> io::Result<()> {
    clear(folder, name)?;
    Ok(symlinkat(OsStr::from_bytes(target), folder, name)?)
}

/// Removes a file or link; nothing else is ever removed.
fn clear(folder: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match kind_of(folder, name) {
        Ok(SFlag::S_IFREG | SFlag::S_IFLNK) => Ok(unlinkat(folder, name, UnlinkatFlags::NoRemoveDir)?),
        Ok(SFlag::S_IFDIR) => Err(Errno::EISDIR.into()),
        Ok(_) => Err(io::Error::other("it is a device, pipe or socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn kind_of(folder: &OwnedFd, name: &OsStr) -> io::Result<SFlag> {
    let stat = fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    Ok(SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()))
}

/// Writes what an entry promises, and returns its size.
fn fill(
    mut file: &File,
    entry: &mut Entry<'_, impl Read>,
    failed: impl Fn(io::Error) -> Error,
) -> Result<u64> {
    let promised = entry.size();
    let mut piece = vec![0; PIECE];
    let mut written = 0;
    loop {
        let count = entry.read(&mut piece).map_err(broken)?;
        if count == 0 {
            break;
        }
        file.write_all(&piece[..count]).map_err(&failed)?;
        written += count as u64;
    }
    if written < promised { Err(broken(io::ErrorKind::UnexpectedEof.into())) } else { Ok(written) }
}

/// The name in a GNU long name entry.
fn long(entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>> {
    let mut name = Vec::new();
    entry.take(MAX_PATH as u64 + 2).read_to_end(&mut name).map_err(broken)?;
    if name.last() == Some(&0) {
        name.pop();
    }
    if name.len() > MAX_PATH { Err(refused(&name[..80], "its name is too long")) } else { Ok(name) }
}

/// Counts what comes in.
struct Limited<R> {
    stream: R,
    limit: u64,
    taken: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(out)?;
        self.taken += count as u64;
        if self.taken > self.limit { Err(io::Error::other(too_much("bytes", self.limit))) } else { Ok(count) }
    }
}

fn refused(name: &[u8], why: &str) -> Error {
    let message = format!("{:?} was sent, which must not be unpacked: {why}", String::from_utf8_lossy(name));
    Error::new(ErrorKind::TransferUnsafe, "copy", message)
}

fn too_much(what: &str, limit: u64) -> Error {
    Error::new(ErrorKind::TransferUnsafe, "copy", format!("the sandbox sent more than {limit} {what}"))
}

fn broken(error: io::Error) -> Error {
    stream_error("copy", error)
}
