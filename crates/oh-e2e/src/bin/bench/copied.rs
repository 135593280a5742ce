//! What is copied: made anew each time, from what this machine has.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::Outcome;

/// Bytes of each file.
pub(crate) const BYTES: u64 = 256 << 20;
/// Files of the tree, and most bytes of one.
pub(crate) const FILES: usize = 10_000;
const SMALL: u64 = 16 * 1024;
/// Endings of source code.
const SOURCES: [&str; 8] = ["rs", "c", "h", "py", "js", "md", "toml", "txt"];

/// Bytes nobody can compress.
pub(crate) fn random(path: &Path, bytes: u64) -> Outcome {
    io::copy(&mut File::open("/dev/urandom")?.take(bytes), &mut File::create(path)?)?;
    Ok(())
}

/// Source code of the packages this workspace is built from, one file behind the other, again and again until there is
/// enough.
pub(crate) fn text(path: &Path) -> Outcome {
    let sources = sources()?;
    let mut out = io::BufWriter::new(File::create(path)?);
    let mut left = BYTES;
    for (source, _) in sources.iter().cycle() {
        left -= io::copy(&mut File::open(source)?.take(left), &mut out)?;
        if left == 0 {
            break;
        }
    }
    out.flush()?;
    Ok(())
}

/// A tree of small files of source code. Returns their bytes.
pub(crate) fn tree(root: &Path) -> Outcome<u64> {
    let mut total = 0;
    let small: Vec<_> = sources()?.into_iter().filter(|(_, size)| (1..SMALL).contains(size)).collect();
    if small.is_empty() {
        return Err("there are no small files of source code".into());
    }
    for (number, (source, _)) in small.iter().cycle().take(FILES).enumerate() {
        let folder = root.join(format!("package-{}/src", number / 25));
        fs::create_dir_all(&folder)?;
        let name = source.file_name().unwrap_or(OsStr::new("file")).to_string_lossy();
        total += fs::copy(source, folder.join(format!("{number}-{name}")))?;
    }
    Ok(total)
}

/// Where cargo keeps packages.
#[expect(clippy::disallowed_methods, reason = "cargo's own variables, not ours")]
fn cargo_home() -> Outcome<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    Ok(PathBuf::from(std::env::var_os("HOME").ok_or("no home folder")?).join(".cargo"))
}

/// All files of source code among the packages cargo has unpacked, with their sizes.
fn sources() -> Outcome<Vec<(PathBuf, u64)>> {
    let root = cargo_home()?.join("registry/src");
    let (mut folders, mut files) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let (path, metadata) = (entry.path(), entry.metadata()?);
            if metadata.is_dir() {
                folders.push(path);
            } else if path.extension().and_then(OsStr::to_str).is_some_and(|end| SOURCES.contains(&end)) {
                files.push((path, metadata.len()));
            }
        }
    }
    files.sort();
    if files.iter().all(|(_, size)| *size == 0) {
        return Err(format!("there is no source code in {}", root.display()).into());
    }
    Ok(files)
}

/// Whether two files or trees hold the same.
pub(crate) fn same(one: &Path, other: &Path) -> Outcome<bool> {
    if one.is_dir() {
        let mut names = Vec::new();
        for entry in fs::read_dir(one)? {
            names.push(entry?.file_name());
        }
        if names.len() != fs::read_dir(other)?.count() {
            return Ok(false);
        }
        for name in names {
            if !other.join(&name).exists() || !same(&one.join(&name), &other.join(&name))? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let read = one.read(&mut a)?;
        if read == 0 {
            return Ok(true);
        }
        other.read_exact(&mut b[..read])?;
        if a[..read] != b[..read] {
            return Ok(false);
        }
    }
}
