//! Files of the sandbox, as the actions see them: links are followed.

use std::path::{Path, PathBuf};

use oh_runtime::{EntryKind, Error, ErrorKind, FileEntry, Result, Sandbox, WriteOptions};
use tokio::io::AsyncReadExt;

/// Links followed before a path is taken for one that leads nowhere.
const MAX_LINKS: usize = 40;

/// Files of one sandbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Files<'a> {
    pub(crate) sandbox: &'a dyn Sandbox,
    /// Whose new files become; `None` leaves it to the sandbox.
    pub(crate) owner: Option<&'a str>,
}

/// What a path leads to.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Where it is, all links followed.
    pub(crate) path: PathBuf,
    /// What it is.
    pub(crate) entry: FileEntry,
}

impl Found {
    pub(crate) fn is_folder(&self) -> bool {
        self.entry.kind == EntryKind::Directory
    }

    pub(crate) fn is_file(&self) -> bool {
        self.entry.kind == EntryKind::File
    }
}

impl Files<'_> {
    /// What is there, if anything.
    pub(crate) async fn find(&self, path: &Path) -> Result<Option<Found>> {
        let mut path = path.to_owned();
        for _ in 0..MAX_LINKS {
            let entry = match self.sandbox.stat(&path).await {
                Ok(entry) => entry,
                Err(error) if error.kind() == ErrorKind::TransferNotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            match (entry.kind, &entry.target) {
                (EntryKind::Symlink, Some(target)) => {
                    path = path.parent().unwrap_or(Path::new("/")).join(target);
                }
                _ => return Ok(Some(Found { path, entry })),
            }
        }
        Ok(None)
    }

    /// A file's bytes, at most `limit` of them.
    pub(crate) async fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = self.sandbox.read_file(path, 0, Some(limit)).await?;
        match file.read_to_end(&mut bytes).await {
            Ok(_) => Ok(bytes),
            Err(error) => Err(error.downcast::<Error>().unwrap_or_else(|error| {
                Error::new(ErrorKind::TransferFailed, format!("read {}", path.display()), error.to_string())
            })),
        }
    }

    /// Writes a file; one that is there keeps its owner and its mode, and its links go on leading to it.
    pub(crate) async fn write(
        &self,
        path: &Path,
        old: Option<&Found>,
        bytes: Vec<u8>,
        mode: u32,
    ) -> Result<()> {
        let how = match old {
            Some(Found { entry, .. }) => WriteOptions {
                owner: Some(format!("{}:{}", entry.uid, entry.gid)),
                ..WriteOptions::mode(entry.mode)
            },
            None => WriteOptions { owner: self.owner.map(str::to_owned), ..WriteOptions::mode(mode) },
        };
        let path = old.map_or(path, |old| &old.path);
        self.sandbox.write_file(path, how, Box::pin(std::io::Cursor::new(bytes))).await.map(drop)
    }
}

/// A name's extension with its dot, in lower case, as Python finds it.
pub(crate) fn suffix(path: &Path) -> String {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.map(|extension| format!(".{extension}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_has_its_dot() {
        for (path, expected) in [("a.PDF", ".pdf"), ("a", ""), (".bashrc", ""), ("a.tar.gz", ".gz")] {
            assert_eq!(suffix(Path::new(path)), expected);
        }
    }
}
