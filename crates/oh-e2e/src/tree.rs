//! Folders of this machine: made, and looked at to be compared.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::data::{noise, sha256};

/// One entry of a tree, as far as copies have to keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A folder with its mode.
    Folder(u32),
    /// A file with its mode, time in seconds, and sha256.
    File(u32, i64, String),
    /// A link with its target.
    Link(PathBuf),
    /// Something else.
    Other,
}

/// Every entry below `root`, which may itself be a file.
///
/// # Errors
/// When it cannot be read.
pub fn snapshot(root: &Path) -> io::Result<BTreeMap<PathBuf, Entry>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path)?;
        let mode = metadata.permissions().mode() & 0o7777;
        let entry = if metadata.is_symlink() {
            Entry::Link(fs::read_link(&path)?)
        } else if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                open.push(entry?.path());
            }
            Entry::Folder(mode)
        } else if metadata.is_file() {
            Entry::File(mode, metadata.mtime(), sha256(&fs::read(&path)?))
        } else {
            Entry::Other
        };
        found.insert(path.strip_prefix(root).unwrap_or(&path).to_owned(), entry);
    }
    Ok(found)
}

/// What differs between two snapshots, in words; empty when nothing does.
#[must_use]
pub fn differences(wanted: &BTreeMap<PathBuf, Entry>, got: &BTreeMap<PathBuf, Entry>) -> Vec<String> {
    let missing = wanted.iter().filter_map(|(path, entry)| match got.get(path) {
        None => Some(format!("{path:?} is missing")),
        Some(other) if other != entry => Some(format!("{path:?} is {other:?}, not {entry:?}")),
        Some(_) => None,
    });
    let extra = got.keys().filter(|path| !wanted.contains_key(*path)).map(|path| format!("{path:?} is new"));
    missing.chain(extra).collect()
}

/// Makes a tree with one of everything a copy has to keep.
///
/// # Errors
/// When it cannot be written.
pub fn make(root: &Path) -> io::Result<()> {
    fs::create_dir_all(root.join("sub/deeper"))?;
    fs::create_dir(root.join("empty folder"))?;
    let files: [(&OsStr, Vec<u8>, u32); 8] = [
        ("plain".as_ref(), b"content\n".to_vec(), 0o644),
        ("empty".as_ref(), Vec::new(), 0o600),
        ("run.sh".as_ref(), b"#!/bin/sh\nexit 7\n".to_vec(), 0o755),
        ("sub/large".as_ref(), noise(8, 700_001), 0o640),
        ("sub/deeper/read only".as_ref(), b"x".to_vec(), 0o444),
        ("new\nline 'quoted\" grüße 🦀".as_ref(), b"odd".to_vec(), 0o644),
        (OsStr::from_bytes(b"not \xff UTF-8"), b"bytes".to_vec(), 0o644),
        ("-rf".as_ref(), b"option".to_vec(), 0o644),
    ];
    for (name, content, mode) in files {
        let path = root.join(name);
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        // Long ago, so that the time of the copy is another one.
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        fs::File::open(&path)?.set_modified(time)?;
    }
    let long: OsString = "l".repeat(200).into();
    fs::write(root.join("sub").join(&long), "long name")?;
    symlink("plain", root.join("link"))?;
    symlink("../plain", root.join("sub/link up"))?;
    symlink("nowhere", root.join("dangling"))?;
    symlink("sub", root.join("link to folder"))?;
    fs::set_permissions(root.join("empty folder"), fs::Permissions::from_mode(0o700))?;
    fs::set_permissions(root.join("sub/deeper"), fs::Permissions::from_mode(0o750))?;
    fs::set_permissions(root.join("sub"), fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_seen_and_differences_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        make(&a).unwrap();
        make(&b).unwrap();
        let wanted = snapshot(&a).unwrap();
        assert_eq!(wanted.get(Path::new("link")), Some(&Entry::Link("plain".into())));
        let long = Path::new("sub").join("l".repeat(200));
        fs::remove_file(b.join(&long)).unwrap();
        fs::write(b.join("new"), "").unwrap();
        fs::write(b.join("plain"), "other").unwrap();
        let got = differences(&wanted, &snapshot(&b).unwrap());
        assert_eq!(got.len(), 3, "{got:?}");
    }
}
