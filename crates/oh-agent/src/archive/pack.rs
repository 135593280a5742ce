//! A file or tree as a tar stream.

use std::fs::{self, File, Metadata};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use tar::{Builder, Header, HeaderMode};

use super::{Filter, MODE, Report, Stopped};

/// Bytes written at once.
const PIECE: usize = 64 * 1024;

/// Writes a file or folder under `name`, a folder before what is in it; links are not followed. Pipes, sockets and
/// devices are left out, as are entries that vanish meanwhile.
///
/// # Errors
/// When something cannot be read or written, or `source` is no file, folder or link.
pub fn pack<W: Write>(source: &Path, name: PathBuf, filter: &Filter, out: W) -> Result<(Report, W), Stopped> {
    let mut packer = Packer {
        archive: Builder::new(BufWriter::with_capacity(PIECE, out)),
        report: Report::default(),
        filter,
        pending: Vec::new(),
    };
    let mut open = vec![Found { path: source.to_owned(), name, inner: PathBuf::new() }];
    while let Some(found) = open.pop() {
        let metadata = match fs::symlink_metadata(&found.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound && found.path != source => continue,
            Err(error) => return Err(Stopped::Path(found.path, error)),
        };
        packer.pending.retain(|(folder, _)| found.name.starts_with(&folder.name));
        if !metadata.is_dir() {
            packer.leaf(found, &metadata)?;
            continue;
        }
        // Depth first, so that a folder comes before what is in it.
        for entry in fs::read_dir(&found.path).map_err(Stopped::path(&found.path))? {
            let name = entry.map_err(Stopped::path(&found.path))?.file_name();
            let inner = found.inner.join(&name);
            if !filter.excludes(&inner) {
                open.push(Found { path: found.path.join(&name), name: found.name.join(&name), inner });
            }
        }
        let wanted = found.inner.as_os_str().is_empty() || filter.includes(&found.inner);
        packer.pending.push((found, metadata));
        if wanted {
            packer.folders()?;
        }
    }
    if packer.report.entries == 0 {
        return Err(Stopped::Path(source.to_owned(), io::Error::other("it is no file and no folder")));
    }
    let out =
        packer.archive.into_inner().and_then(|out| out.into_inner().map_err(io::IntoInnerError::into_error));
    Ok((packer.report, out.map_err(Stopped::Stream)?))
}

struct Found {
    path: PathBuf,
    /// In the archive.
    name: PathBuf,
    /// Below the top.
    inner: PathBuf,
}

struct Packer<'a, W: Write> {
    archive: Builder<BufWriter<W>>,
    report: Report,
    filter: &'a Filter,
    /// Folders on the way that are written as soon as something in them is.
    pending: Vec<(Found, Metadata)>,
}

impl<W: Write> Packer<'_, W> {
    /// Writes the folders on the way.
    fn folders(&mut self) -> Result<(), Stopped> {
        for (folder, metadata) in std::mem::take(&mut self.pending) {
            let mut header = header(&metadata);
            header.set_size(0);
            self.archive
                .append_data(&mut header, &folder.name, io::empty())
                .map_err(|error| sorted(&folder.path, error))?;
            self.report.entries += 1;
        }
        Ok(())
    }

    /// Writes what is no folder.
    fn leaf(&mut self, Found { path, name, inner }: Found, metadata: &Metadata) -> Result<(), Stopped> {
        if !metadata.is_file() && !metadata.is_symlink() {
            return Ok(());
        }
        if !inner.as_os_str().is_empty() && !self.filter.includes(&inner) {
            return Ok(());
        }
        self.folders()?;
        let failed = |error| sorted(&path, error);
        let mut header = header(metadata);
        if metadata.is_symlink() {
            header.set_size(0);
            let target = fs::read_link(&path).map_err(failed)?;
            self.archive.append_link(&mut header, &name, target).map_err(failed)?;
        } else {
            // Somebody may have put something else there meanwhile: a link to be followed, a pipe to be waited for.
            let options = O_NOFOLLOW | O_NONBLOCK;
            let file = File::options().read(true).custom_flags(options).open(&path).map_err(failed)?;
            let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
            // The archive asks for less at once.
            let file = BufReader::with_capacity(PIECE.min(size), Exactly { file, left: metadata.len() });
            self.archive.append_data(&mut header, &name, file).map_err(failed)?;
            self.report.bytes += metadata.len();
        }
        self.report.entries += 1;
        Ok(())
    }
}

fn header(metadata: &Metadata) -> Header {
    let mut header = Header::new_gnu();
    header.set_metadata_in_mode(metadata, HeaderMode::Complete);
    header.set_mode(metadata.permissions().mode() & MODE);
    header
}

/// Whether a path could not be read or nobody takes the archive any more.
fn sorted(path: &Path, error: io::Error) -> Stopped {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Stopped::Stream(error)
    } else {
        Stopped::Path(path.to_owned(), error)
    }
}

/// As many bytes of a file as its header promised: what grows is cut, what shrinks is an error.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = out.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let count = self.file.read(&mut out[..most])?;
        if count == 0 {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}
