//! A file or tree of this machine as a tar stream.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use oh_runtime_api::Result;
use tar::{Builder, Header, HeaderMode};

use crate::channel::Writer;
use crate::copy::{CopyReport, MODE, host_error};

/// Packs a file or folder as `name`; links are not followed. `None` when nobody reads it any more.
pub(crate) fn pack(source: &Path, name: PathBuf, writer: Writer) -> Result<Option<CopyReport>> {
    let mut archive = Builder::new(writer);
    let mut report = CopyReport::default();
    let mut open = vec![(source.to_owned(), name)];
    while let Some((path, name)) = open.pop() {
        match append(&mut archive, &path, &name, &mut report) {
            // Depth first, so that a folder comes before what is in it.
            Ok(names) => open.extend(names.into_iter().map(|entry| (path.join(&entry), name.join(&entry)))),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(None),
            Err(error) => return Err(host_error(&path, error)),
        }
    }
    if report.entries == 0 {
        return Err(host_error(source, io::Error::other("it is no file and no folder")));
    }
    match archive.into_inner().and_then(Writer::finish) {
        Ok(()) => Ok(Some(report)),
        Err(_) => Ok(None),
    }
}

/// Appends one entry. Returns the names in it when it is a folder.
fn append(
    archive: &mut Builder<Writer>,
    path: &Path,
    name: &Path,
    report: &mut CopyReport,
) -> io::Result<Vec<OsString>> {
    let metadata = fs::symlink_metadata(path)?;
    let mut header = Header::new_gnu();
    header.set_metadata_in_mode(&metadata, HeaderMode::Complete);
    header.set_mode(metadata.permissions().mode() & MODE);
    let mut names = Vec::new();
    if metadata.is_dir() {
        header.set_size(0);
        archive.append_data(&mut header, name, io::empty())?;
        for entry in fs::read_dir(path)? {
            names.push(entry?.file_name());
        }
    } else if metadata.is_symlink() {
        header.set_size(0);
        archive.append_link(&mut header, name, fs::read_link(path)?)?;
    } else if metadata.is_file() {
        let file = Exactly { file: File::open(path)?, left: metadata.len() };
        archive.append_data(&mut header, name, file)?;
        report.bytes += metadata.len();
    } else {
        tracing::debug!(path = %path.display(), "left out: it is no file, folder or link");
        return Ok(names);
    }
    report.entries += 1;
    Ok(names)
}

/// As many bytes of a file as its header promised: what grows is cut, what shrinks is an error.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = out.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.file.read(&mut out[..most])?;
        if count == 0 && most > 0 {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}
