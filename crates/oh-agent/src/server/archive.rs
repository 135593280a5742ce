//! Trees as tar streams. Names are bytes, links are never followed, and images need no `tar`.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use tar::{Builder, EntryType, Header, HeaderMode};

use super::connection::Channel;
use super::files::{self, Produced, Sink, absolute, failure};
use crate::protocol::frame::MAX_PAYLOAD;
use crate::protocol::{Failure, FailureKind};

/// Bytes that describe an entry of an archive.
const HEADER: u64 = 512;

/// Sends a file or tree; its entries start with the path's last part.
pub(super) async fn pack(channel: Channel, path: Vec<u8>, refuse_above: Option<u64>) {
    let path = absolute(&path);
    files::download(channel, move |sink| {
        if refuse_above.is_some_and(|most| is_above(&path, most)) {
            return Ok(Produced::TooLarge);
        }
        pack_tree(&path, sink)?;
        Ok(Produced::All)
    })
    .await;
}

/// Whether an archive of this tree has more bytes. Looks no further than that; what cannot be read counts nothing.
fn is_above(root: &Path, most: u64) -> bool {
    let mut open = vec![root.to_owned()];
    let mut sum = 0;
    while let Some(path) = open.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        sum += HEADER;
        if metadata.is_file() {
            sum += metadata.len();
        }
        if sum > most {
            return true;
        }
        if metadata.is_dir() {
            open.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
    }
    false
}

fn pack_tree(root: &Path, sink: &mut Sink) -> Result<(), Failure> {
    let root_metadata = fs::symlink_metadata(root).map_err(|error| failure(root, &error))?;
    if !(root_metadata.is_dir() || root_metadata.is_file() || root_metadata.is_symlink()) {
        let message = format!("{}: it is no file and no folder", root.display());
        return Err(Failure { kind: FailureKind::TransferFailed, message });
    }
    sink.begin();
    let mut archive = Builder::new(BufWriter::with_capacity(MAX_PAYLOAD, sink));
    let name = root.file_name().map_or_else(|| PathBuf::from("root"), PathBuf::from);
    // Deepest last, so that a folder comes before what is in it.
    let mut open = vec![(root.to_owned(), name)];
    while let Some((path, name)) = open.pop() {
        let fail = |error: io::Error| failure(&path, &error);
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            // Gone since its folder was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path != root => continue,
            Err(error) => return Err(fail(error)),
        };
        let mut header = Header::new_gnu();
        header.set_metadata_in_mode(&metadata, HeaderMode::Complete);
        if metadata.is_dir() {
            header.set_size(0);
            archive.append_data(&mut header, &name, io::empty()).map_err(fail)?;
            for entry in fs::read_dir(&path).map_err(fail)? {
                let entry = entry.map_err(fail)?;
                open.push((entry.path(), name.join(entry.file_name())));
            }
        } else if metadata.is_symlink() {
            header.set_size(0);
            let target = fs::read_link(&path).map_err(fail)?;
            archive.append_link(&mut header, &name, target).map_err(fail)?;
        } else if metadata.is_file() {
            let file = File::open(&path).map_err(fail)?;
            // A file that grows is cut where it was; one that shrinks cannot be sent as promised.
            archive.append_data(&mut header, &name, Exactly { file, left: metadata.len() }).map_err(fail)?;
        }
        // Sockets, pipes and devices mean nothing elsewhere.
    }
    let finished = archive.into_inner().and_then(|mut out| out.flush());
    finished.map_err(|error| failure(root, &error))
}

/// Exactly so many bytes of a file.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let count = self.file.read(&mut out[..most])?;
        if count == 0 && most > 0 {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// Unpacks what the client sends.
pub(super) async fn unpack(channel: Channel, path: Vec<u8>) {
    let root = absolute(&path);
    files::upload(channel, move |source| {
        fs::create_dir_all(&root).map_err(|error| failure(&root, &error))?;
        source.begin();
        let mut archive = tar::Archive::new(BufReader::with_capacity(MAX_PAYLOAD, source));
        archive.set_preserve_permissions(true);
        let count = unpack_into(&mut archive, &root)?;
        // What follows the archive's end mark is padding, but a transfer that broke off there is still broken.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|error| failure(&root, &error))?;
        Ok(count)
    })
    .await;
}

fn unpack_into(archive: &mut tar::Archive<impl Read>, root: &Path) -> Result<u64, Failure> {
    let mut folders = Vec::new();
    let mut count = 0;
    for entry in archive.entries().map_err(|error| failure(root, &error))? {
        let mut entry = entry.map_err(|error| failure(root, &error))?;
        let name = entry.path().map_err(|error| failure(root, &error))?.into_owned();
        let unsafe_entry = |reason: &str| {
            let message = format!("{}: {reason}", name.display());
            Failure { kind: FailureKind::TransferUnsafe, message }
        };
        if !name.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(unsafe_entry("it leads out of the folder"));
        }
        if !matches!(
            entry.header().entry_type(),
            EntryType::Regular | EntryType::Directory | EntryType::Symlink
        ) {
            return Err(unsafe_entry("it is no file, folder or link"));
        }
        if let Some(link) = link_on_the_way(root, &name, entry.header().entry_type() == EntryType::Directory)
        {
            return Err(unsafe_entry(&format!("{} is a link", link.display())));
        }
        count += 1;
        if entry.header().entry_type() == EntryType::Directory {
            fs::create_dir_all(root.join(&name)).map_err(|error| failure(&root.join(&name), &error))?;
            folders.push((name, entry.header().mode().unwrap_or(0o755), entry.header().mtime().ok()));
            continue;
        }
        let unpacked = entry.unpack_in(root).map_err(|error| failure(&root.join(&name), &error))?;
        if !unpacked {
            return Err(unsafe_entry("it leads out of the folder"));
        }
    }
    // Last and deepest first: a folder nobody may write to could not be filled.
    for (name, mode, mtime) in folders.into_iter().rev() {
        settle(&root.join(name), mode, mtime).map_err(|error| failure(root, &error))?;
    }
    Ok(count)
}

/// The first link among the folders that lead to an entry; for a folder, itself included. What is unpacked stays below
/// the root, whatever was put there before.
fn link_on_the_way(root: &Path, name: &Path, is_folder: bool) -> Option<PathBuf> {
    let folders = if is_folder { Some(name) } else { name.parent() };
    let mut path = root.to_owned();
    for part in folders?.components() {
        path.push(part);
        if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink()) {
            return Some(path);
        }
    }
    None
}

fn settle(folder: &Path, mode: u32, mtime: Option<u64>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(mode & 0o7777))?;
    if let Some(seconds) = mtime {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        File::open(folder)?.set_modified(time)?;
    }
    Ok(())
}
