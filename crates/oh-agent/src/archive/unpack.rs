//! Unpacking a tar stream.
//!
//! Entries are written one by one, each relative to a folder that is open and was reached part by part without
//! following links; no path is ever given to the kernel as a whole. So neither the archive nor somebody who changes the
//! target meanwhile can make a write go elsewhere. A file appears under its name when it is whole.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{self, AtFlags, OFlag};
use nix::sys::stat::{Mode, SFlag, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, symlinkat, unlinkat};
use tar::{Archive, Entry, EntryType};

use super::{MODE, Report, Stopped, temporary_name};

/// Longest path, the kernel's own limit.
const MAX_PATH: usize = 4096;
/// Most parts of a path.
const MAX_DEPTH: usize = 256;
/// Bytes written at once.
const PIECE: usize = 64 * 1024;
/// Opens a folder only to find what is in it.
const FOLDER: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// How much is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most files, folders and links.
    pub entries: u64,
    /// Most bytes, counting what describes the entries.
    pub bytes: u64,
}

/// Where to.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// The archive is of one file or folder of the name `top`, which becomes `path`; the folder of that exists. It is a
    /// stranger's: links may not lead out of the tree, and folders stay writable for their owner.
    As {
        /// What the archive calls it.
        top: &'a OsStr,
        /// What it becomes.
        path: &'a Path,
    },
    /// Into this folder, which exists. Links may lead anywhere; none is followed.
    Into(&'a Path),
}

/// Whose the unpacked becomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Owner {
    /// The one who unpacks.
    #[default]
    Receiver,
    /// The user and group of these numbers.
    Fixed(u32, u32),
    /// The numbers in the archive.
    Archived,
}

/// Unpacks an archive. A folder that exists is filled, a file or link replaced.
///
/// # Errors
/// See [`Stopped`].
pub fn unpack(
    stream: impl Read,
    target: Target<'_>,
    owner: Owner,
    limits: Limits,
) -> Result<Report, Stopped> {
    let mut archive = Archive::new(Limited { stream, limit: limits.bytes, taken: 0 });
    let mut tree = Tree::new(target, owner)?;
    let taken = take_all(&mut tree, &mut archive, limits);
    // What is there gets what it is to have, also when the rest does not come.
    let left = tree.leave(0).map_err(|error| Stopped::Path(tree.path(&[]), error.into()));
    taken.and(left)?;
    // The stream goes on behind the archive's end mark, and may say there that it broke.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(stream_broke)?;
    Ok(tree.report)
}

fn take_all(tree: &mut Tree<'_>, archive: &mut Archive<impl Read>, limits: Limits) -> Result<(), Stopped> {
    // Of a stranger's archive only what our own agent writes is understood, and the length of names is watched.
    let raw = matches!(tree.target, Target::As { .. });
    let (mut long_name, mut long_link) = (None, None);
    for entry in archive.entries().map_err(stream_broke)?.raw(raw) {
        let mut entry = entry.map_err(stream_broke)?;
        match entry.header().entry_type() {
            EntryType::GNULongName if raw => long_name = Some(long(&mut entry)?),
            EntryType::GNULongLink if raw => long_link = Some(long(&mut entry)?),
            EntryType::XGlobalHeader if !raw => {}
            _ if tree.report.entries == limits.entries => {
                return Err(Stopped::TooMuch("entries", limits.entries));
            }
            kind => {
                let name = long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
                let link = long_link.take().or_else(|| entry.link_name_bytes().map(Into::into));
                tree.take(&name, kind, &link.unwrap_or_default(), &mut entry)?;
            }
        }
    }
    Ok(())
}

/// What is being written.
struct Tree<'a> {
    target: Target<'a>,
    owner: Owner,
    /// The folder everything is in.
    outside: OwnedFd,
    /// The folders one is in, from the outermost.
    open: Vec<Folder>,
    /// Whether the archive began with a folder.
    is_folder: bool,
    report: Report,
}

struct Folder {
    name: Vec<u8>,
    fd: OwnedFd,
    /// What it gets when all that is in it is there: nobody may be able to write to it any more.
    finally: Option<Facts>,
}

#[derive(Clone, Copy)]
struct Facts {
    mode: u32,
    mtime: u64,
    owner: Option<(u32, u32)>,
}

impl<'a> Tree<'a> {
    fn new(target: Target<'a>, owner: Owner) -> Result<Self, Stopped> {
        let folder = match target {
            Target::Into(folder) => folder,
            Target::As { path, .. } => match (path.parent(), path.file_name()) {
                (Some(folder), Some(_)) if folder.as_os_str().is_empty() => Path::new("."),
                (Some(folder), Some(_)) => folder,
                _ => return Err(Stopped::Path(path.to_owned(), io::Error::other("it cannot be replaced"))),
            },
        };
        let outside = fcntl::open(folder, FOLDER, Mode::empty())
            .map_err(|error| Stopped::Path(folder.to_owned(), error.into()))?;
        let report = Report::default();
        Ok(Self { target, owner, outside, open: Vec::new(), is_folder: false, report })
    }

    /// Where an entry is, for people.
    fn path(&self, inner: &[&[u8]]) -> PathBuf {
        let (Target::As { path, .. } | Target::Into(path)) = self.target;
        inner.iter().fold(path.to_owned(), |path, part| path.join(OsStr::from_bytes(part)))
    }

    /// Writes one entry.
    fn take(
        &mut self,
        name: &[u8],
        kind: EntryType,
        link: &[u8],
        entry: &mut Entry<'_, impl Read>,
    ) -> Result<(), Stopped> {
        let refused = |why| Stopped::Unsafe(name.to_owned(), why);
        let is_folder = kind == EntryType::Directory;
        let strict = matches!(self.target, Target::As { .. });
        let mut parts = parts(name, is_folder, strict).map_err(refused)?;
        let mode = entry.header().mode().map_err(|_| refused("its mode is malformed"))? & MODE;
        let mtime = entry.header().mtime().map_err(|_| refused("its time is malformed"))?;
        let owner = match self.owner {
            Owner::Receiver => None,
            Owner::Fixed(uid, gid) => Some((uid, gid)),
            Owner::Archived => {
                let number =
                    |number: io::Result<u64>| number.ok().and_then(|number| u32::try_from(number).ok());
                let pair = number(entry.header().uid()).zip(number(entry.header().gid()));
                Some(pair.ok_or_else(|| refused("its owner is malformed"))?)
            }
        };
        let mut facts = Facts { mode, mtime, owner };
        if let Target::As { top, path } = self.target {
            let [first, inner @ ..] = &parts[..] else { return Err(refused("it has no name")) };
            if *first != top.as_bytes() {
                return Err(refused("it does not belong to what was asked for"));
            }
            match (self.report.entries, inner.is_empty()) {
                (0, true) => self.is_folder = is_folder,
                (1.., false) if self.is_folder => {}
                _ => return Err(refused("it is out of place")),
            }
            if kind == EntryType::Symlink {
                // The first part of the name is the tree itself: a link in it may not climb.
                let depth = inner.len().checked_sub(1);
                let depth = depth.ok_or_else(|| refused("it is a link: copy what it points to"))?;
                check_link(link, depth).map_err(refused)?;
            }
            facts.mode |= if is_folder { 0o700 } else { 0 };
            parts[0] = path.file_name().unwrap_or_default().as_bytes();
        }
        let Some((last, folders)) = parts.split_last() else {
            // The folder itself.
            self.report.entries += 1;
            return Ok(());
        };
        let at = self.path(if strict { &parts[1..] } else { &parts });
        let failed = |error| Stopped::Path(at.clone(), error);
        self.enter(folders, strict).map_err(|error| match error {
            Errno::ELOOP => refused("a link is on the way to it"),
            error => failed(error.into()),
        })?;
        let last = OsStr::from_bytes(last);
        let folder = self.open.last().map_or(&self.outside, |folder| &folder.fd);
        match kind {
            EntryType::Directory => {
                make_folder(folder, last).map_err(failed)?;
                let fd = fcntl::openat(folder, last, FOLDER | OFlag::O_NOFOLLOW, Mode::empty())
                    .map_err(|error| failed(error.into()))?;
                let name = last.as_bytes().to_owned();
                self.open.push(Folder { name, fd, finally: Some(facts) });
            }
            EntryType::Regular => self.report.bytes += write_file(folder, last, entry, facts, &at)?,
            EntryType::Continuous | EntryType::GNUSparse if !strict => {
                self.report.bytes += write_file(folder, last, entry, facts, &at)?;
            }
            EntryType::Symlink => make_link(folder, last, link, facts.owner).map_err(failed)?,
            _ => return Err(refused("it is no file, folder or symbolic link")),
        }
        self.report.entries += 1;
        Ok(())
    }

    /// Enters the folder an entry belongs into. Every part on the way has to be a folder, not a link; one that is missing
    /// is made unless `strict`. [`ELOOP`](Errno::ELOOP) for a link.
    fn enter(&mut self, folders: &[&[u8]], strict: bool) -> nix::Result<()> {
        let common = self.open.iter().zip(folders).take_while(|(open, name)| open.name == **name).count();
        self.leave(common)?;
        for name in &folders[common..] {
            let folder = self.open.last().map_or(&self.outside, |folder| &folder.fd);
            let part = OsStr::from_bytes(name);
            let open = || fcntl::openat(folder, part, FOLDER | OFlag::O_NOFOLLOW, Mode::empty());
            let fd = match open() {
                Err(Errno::ENOENT) if !strict => {
                    mkdirat(folder, part, Mode::from_bits_truncate(0o755))?;
                    open()?
                }
                Err(Errno::ENOTDIR) if kind_of(folder, part).is_ok_and(|kind| kind == SFlag::S_IFLNK) => {
                    return Err(Errno::ELOOP);
                }
                opened => opened?,
            };
            self.open.push(Folder { name: name.to_vec(), fd, finally: None });
        }
        Ok(())
    }

    /// Leaves all folders but the outermost `depth` ones.
    fn leave(&mut self, depth: usize) -> nix::Result<()> {
        while self.open.len() > depth {
            let Some(Folder { name, finally, .. }) = self.open.pop() else { break };
            let folder = self.open.last().map_or(&self.outside, |folder| &folder.fd);
            if let Some(facts) = finally {
                settle(folder, OsStr::from_bytes(&name), facts)?;
            }
        }
        Ok(())
    }
}

/// The parts of a name, or which rule it breaks.
fn parts(name: &[u8], is_folder: bool, strict: bool) -> Result<Vec<&[u8]>, &'static str> {
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
    let mut parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').collect();
    if parts.len() > MAX_DEPTH {
        return Err("it is too deep");
    }
    if !strict {
        parts.retain(|part| !matches!(*part, b"" | b"."));
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

/// Makes a folder that only its owner can use until it is settled, or leaves one that is there.
fn make_folder(folder: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match mkdirat(folder, name, Mode::S_IRWXU) {
        Err(Errno::EEXIST) if kind_of(folder, name)? == SFlag::S_IFDIR => Ok(()),
        made => Ok(made?),
    }
}

/// Gives a folder what it is to have in the end.
fn settle(folder: &OwnedFd, name: &OsStr, facts: Facts) -> nix::Result<()> {
    // Through a file descriptor, so that it is the folder that was made, or another one, but nothing else.
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened: File = match fcntl::openat(folder, name, flags, Mode::empty()) {
        Ok(opened) => opened.into(),
        // One that was there and may not be read keeps what it has.
        Err(Errno::EACCES) => return Ok(()),
        Err(error) => return Err(error),
    };
    if let Some((uid, gid)) = facts.owner {
        nix::unistd::fchown(&opened, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    match nix::sys::stat::fchmod(&opened, Mode::from_bits_truncate(facts.mode)) {
        // So does one that is somebody else's.
        Err(Errno::EPERM) => return Ok(()),
        done => done?,
    }
    set_time(&opened, facts.mtime);
    Ok(())
}

/// A time the file system cannot hold is no reason to go without the file.
fn set_time(file: &File, mtime: u64) {
    if let Some(time) = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(mtime)) {
        let _ = file.set_modified(time);
    }
}

/// A new file in place of a file or link of that name; returns its size.
fn write_file(
    folder: &OwnedFd,
    name: &OsStr,
    entry: &mut Entry<'_, impl Read>,
    facts: Facts,
    at: &Path,
) -> Result<u64, Stopped> {
    let failed = |error: io::Error| Stopped::Path(at.to_owned(), error);
    replaceable(folder, name).map_err(failed)?;
    let temporary = temporary_name();
    let temporary = OsStr::new(&temporary);
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut file: File = fcntl::openat(folder, temporary, flags, Mode::S_IRUSR | Mode::S_IWUSR)
        .map_err(|error| failed(error.into()))?
        .into();
    let written = fill(&mut file, entry, at).and_then(|count| {
        finish(&file, facts).map_err(failed)?;
        fcntl::renameat(folder, temporary, folder, name).map_err(|error| failed(error.into()))?;
        Ok(count)
    });
    if written.is_err() {
        let _ = unlinkat(folder, temporary, UnlinkatFlags::NoRemoveDir);
    }
    written
}

fn finish(file: &File, facts: Facts) -> io::Result<()> {
    if let Some((uid, gid)) = facts.owner {
        nix::unistd::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    nix::sys::stat::fchmod(file, Mode::from_bits_truncate(facts.mode))?;
    set_time(file, facts.mtime);
    Ok(())
}

/// Writes what an entry promises, and returns its size.
fn fill(file: &mut File, entry: &mut Entry<'_, impl Read>, at: &Path) -> Result<u64, Stopped> {
    let promised = entry.size();
    let mut piece = vec![0; PIECE.min(usize::try_from(promised).unwrap_or(PIECE)).max(1)];
    let mut written = 0;
    loop {
        let count = entry.read(&mut piece).map_err(stream_broke)?;
        if count == 0 {
            break;
        }
        file.write_all(&piece[..count]).map_err(|error| Stopped::Path(at.to_owned(), error))?;
        written += count as u64;
    }
    if written < promised {
        let cut = io::Error::other("the archive ends in the middle of a file");
        return Err(Stopped::Stream(cut));
    }
    Ok(written)
}

/// A new link in place of a file or link of that name.
fn make_link(folder: &OwnedFd, name: &OsStr, target: &[u8], owner: Option<(u32, u32)>) -> io::Result<()> {
    replaceable(folder, name)?;
    let temporary = temporary_name();
    let temporary = OsStr::new(&temporary);
    symlinkat(OsStr::from_bytes(target), folder, temporary)?;
    let placed = || {
        if let Some((uid, gid)) = owner {
            let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
            fchownat(folder, temporary, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), flags)?;
        }
        fcntl::renameat(folder, temporary, folder, name)
    };
    placed().map_err(|error| {
        let _ = unlinkat(folder, temporary, UnlinkatFlags::NoRemoveDir);
        error.into()
    })
}

/// Only files and links are ever replaced.
fn replaceable(folder: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match kind_of(folder, name) {
        Ok(SFlag::S_IFREG | SFlag::S_IFLNK) => Ok(()),
        Ok(SFlag::S_IFDIR) => Err(Errno::EISDIR.into()),
        Ok(_) => Err(io::Error::other("it is a device, pipe or socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn kind_of(folder: &impl AsFd, name: &OsStr) -> io::Result<SFlag> {
    let stat = fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    Ok(SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()))
}

/// The name in a GNU long name entry.
fn long(entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>, Stopped> {
    let mut name = Vec::new();
    entry.take(MAX_PATH as u64 + 2).read_to_end(&mut name).map_err(stream_broke)?;
    if name.last() == Some(&0) {
        name.pop();
    }
    if name.len() > MAX_PATH {
        name.truncate(80);
        return Err(Stopped::Unsafe(name, "its name is too long"));
    }
    Ok(name)
}

/// Counts what comes in.
struct Limited<R> {
    stream: R,
    limit: u64,
    taken: u64,
}

/// There are more bytes than this.
#[derive(Debug)]
struct TooManyBytes(u64);

impl std::fmt::Display for TooManyBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "more than {} bytes", self.0)
    }
}

impl std::error::Error for TooManyBytes {}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(out)?;
        self.taken += count as u64;
        if self.taken > self.limit { Err(io::Error::other(TooManyBytes(self.limit))) } else { Ok(count) }
    }
}

fn stream_broke(error: io::Error) -> Stopped {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<TooManyBytes>()) {
        Some(TooManyBytes(limit)) => Stopped::TooMuch("bytes", *limit),
        None => Stopped::Stream(error),
    }
}
