//! Files between this machine and the sandbox, as OpenHands copies them: trees go through zip files.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};
use std::pin::Pin;

use oh_runtime::{EntryKind, Error, ErrorKind, Result, Sandbox, SandboxExt, Selection};
use tokio::io::AsyncRead;
use tokio::task::spawn_blocking;
use tokio_util::io::SyncIoBridge;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use crate::files::{Files, suffix};

/// Most files and bytes taken out of a sandbox into one zip file: how much there is says the sandbox.
const MAX_FILES: usize = 1_000_000;
const MAX_BYTES: u64 = 64 << 30;
const FOLDER: u32 = 0o755;

fn failed(operation: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::TransferFailed, operation, error.to_string()).caused_by(error)
}

/// Copies a file of this machine into the folder `to`, or a tree under its own name; a zip file is unpacked there.
pub(crate) async fn copy_to(sandbox: &dyn Sandbox, from: &Path, to: &Path, recursive: bool) -> Result<()> {
    let operation = format!("copy {} to {} in the sandbox", from.display(), to.display());
    if tokio::fs::metadata(from).await.is_err() {
        let what = format!("source file {} does not exist", from.display());
        return Err(Error::new(ErrorKind::TransferNotFound, operation, what));
    }
    if !to.is_absolute() {
        return Err(Error::new(ErrorKind::Config, operation, "destination must be an absolute path"));
    }
    sandbox.make_folder(to, FOLDER).await?;
    if recursive || suffix(from) != ".zip" {
        return sandbox.copy_to(from, to, &|_| ()).await.map(drop);
    }
    let from = from.to_owned();
    let unpacked = spawn_blocking(move || {
        let folder = tempfile::tempdir().map_err(|error| failed("unpack a zip file", error))?;
        let file = std::fs::File::open(&from).map_err(|error| failed("unpack a zip file", error))?;
        ZipArchive::new(file)
            .and_then(|mut archive| archive.extract(folder.path()))
            .map_err(|error| failed("unpack a zip file", error))?;
        Ok(folder)
    });
    let folder = unpacked.await.map_err(|error| failed(&operation, error))??;
    let mut entries = tokio::fs::read_dir(folder.path()).await.map_err(|error| failed(&operation, error))?;
    while let Some(entry) = entries.next_entry().await.map_err(|error| failed(&operation, error))? {
        sandbox.copy_to(&entry.path(), to, &|_| ()).await?;
    }
    Ok(())
}

/// A zip file on this machine with the files below a folder of the sandbox. Whoever asked removes it.
pub(crate) async fn copy_from(sandbox: &dyn Sandbox, path: &Path) -> Result<PathBuf> {
    let operation = format!("copy {} in the sandbox", path.display());
    if !path.is_absolute() {
        return Err(Error::new(ErrorKind::Config, operation, "path must be an absolute path"));
    }
    let files = Files { sandbox, owner: None };
    let Some(found) = files.find(path).await? else {
        return Err(Error::new(ErrorKind::TransferNotFound, operation, "file not found"));
    };
    let tar = sandbox.pack(&found.path, &Selection::default()).await?;
    let zipped = spawn_blocking(move || zip_of(tar));
    let (zip, links) = zipped.await.map_err(|error| failed(&operation, error))??;
    // A link stands for the file it leads to.
    let mut linked = Vec::new();
    for link in links {
        let at = found.path.join(&link);
        if let Some(file) = files.find(&at).await?.filter(|file| file.entry.kind == EntryKind::File) {
            linked.push((link, sandbox.read(&file.path).await?));
        }
    }
    let finished = spawn_blocking(move || finish(zip, &linked));
    finished.await.map_err(|error| failed(&operation, error))?
}

type Zip = ZipWriter<tempfile::NamedTempFile>;

/// The files of a tar stream in a zip file, and the links that were between them.
fn zip_of(tar: Pin<Box<dyn AsyncRead + Send>>) -> Result<(Zip, BTreeSet<PathBuf>)> {
    let io = |error| failed("write a zip file", error);
    let file = tempfile::Builder::new().suffix(".zip").tempfile().map_err(io)?;
    let (mut zip, mut links) = (ZipWriter::new(file), BTreeSet::new());
    let (mut count, mut bytes) = (0, 0);
    let mut archive = tar::Archive::new(SyncIoBridge::new(tar));
    for entry in archive.entries().map_err(io)? {
        let mut entry = entry.map_err(io)?;
        let kind = entry.header().entry_type();
        let Some(name) = below_the_first(&entry.path().map_err(io)?) else { continue };
        count += 1;
        bytes += entry.size();
        if count > MAX_FILES || bytes > MAX_BYTES {
            return Err(Error::new(ErrorKind::TransferUnsafe, "write a zip file", "the tree is too large"));
        }
        if kind.is_symlink() {
            links.insert(name);
        } else if kind.is_file() {
            add(&mut zip, &name, &mut entry)?;
        }
    }
    Ok((zip, links))
}

/// The name in a tar stream without the folder that all of it is in; none for what is no name.
fn below_the_first(path: &Path) -> Option<PathBuf> {
    let mut parts = path.components();
    parts.next()?;
    let rest = parts.as_path();
    let plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && rest.components().next().is_some()).then(|| rest.to_owned())
}

fn add(zip: &mut Zip, name: &Path, content: &mut dyn Read) -> Result<()> {
    let options =
        SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored).large_file(true);
    zip.start_file(name.to_string_lossy(), options).map_err(|error| failed("write a zip file", error))?;
    std::io::copy(content, zip).map(drop).map_err(|error| failed("write a zip file", error))
}

fn finish(mut zip: Zip, linked: &[(PathBuf, Vec<u8>)]) -> Result<PathBuf> {
    for (name, bytes) in linked {
        add(&mut zip, name, &mut bytes.as_slice())?;
    }
    let mut file = zip.finish().map_err(|error| failed("write a zip file", error))?;
    file.flush().map_err(|error| failed("write a zip file", error))?;
    file.into_temp_path().keep().map_err(|error| failed("write a zip file", error))
}

/// The names in a folder: folders first, with a slash, each group in alphabetical order; none where there is no folder.
pub(crate) async fn list_files(sandbox: &dyn Sandbox, path: &Path) -> Result<Vec<String>> {
    let files = Files { sandbox, owner: None };
    let Some(folder) = files.find(path).await?.filter(|found| found.is_folder()) else {
        return Ok(Vec::new());
    };
    let (mut folders, mut others) = (Vec::new(), Vec::new());
    for entry in sandbox.list(&folder.path).await? {
        let name = entry.name.to_string_lossy().into_owned();
        match files.find(&folder.path.join(&entry.name)).await? {
            Some(found) if found.is_folder() => folders.push(name + "/"),
            Some(_) => others.push(name),
            None => {}
        }
    }
    folders.sort_by_key(|name| name.to_lowercase());
    others.sort_by_key(|name| name.to_lowercase());
    folders.append(&mut others);
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_zip_file_stay_below_it() {
        for (path, expected) in [
            ("tree/a/b.txt", Some("a/b.txt")),
            ("tree", None),
            ("tree/", None),
            ("tree/../b", None),
            ("tree//etc/passwd", Some("etc/passwd")),
        ] {
            assert_eq!(below_the_first(Path::new(path)), expected.map(PathBuf::from), "{path}");
        }
    }
}
