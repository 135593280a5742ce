//! What a copy that breaks off leaves for the next one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::temporary_name;

/// For how long another copy is waited for that may be about to stop.
const STOPPING: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

/// A file that gets its name when it is whole. Dropped before, it is kept if another copy can go on with it, otherwise
/// removed.
#[derive(Debug)]
pub struct Part {
    /// At its end.
    pub file: File,
    /// Where it is; `None` when it is no more, or has its name.
    path: Option<PathBuf>,
    kept: bool,
}

impl Part {
    /// A new file in `folder`.
    ///
    /// # Errors
    /// Those of making a file.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let path = folder.join(temporary_name());
        let file = options().create_new(true).open(&path)?;
        Ok(Self { path: Some(path), file, kept: false })
    }

    /// What an earlier copy left at `path`, cut where this one goes on, or a new one. While another copy is at work on
    /// it, this one goes on in a file of its own, with the same beginning. Blocks.
    ///
    /// # Errors
    /// Those of files; another one when there are fewer than `offset` bytes.
    pub fn resume(path: &Path, offset: u64) -> io::Result<Self> {
        let gone = || io::Error::other("what was there of it is gone");
        let file = options().read(true).create(true).truncate(false).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() < offset {
            return Err(gone());
        }
        if !lock(&file)? {
            let mut own = Self::new(path.parent().ok_or_else(gone)?)?;
            let copied = io::copy(&mut (&file).take(offset), &mut own.file)?;
            return if copied == offset { Ok(own) } else { Err(gone()) };
        }
        // Who had it locked may have finished it: then it has another name now, and is nothing to write to.
        let there = fs::symlink_metadata(path).map_err(|_| gone())?;
        if (there.dev(), there.ino()) != (metadata.dev(), metadata.ino()) {
            return Err(gone());
        }
        // Only where it changes something: ext4 writes a file out at once that was cut to nothing.
        if file.metadata()?.len() > offset {
            file.set_len(offset)?;
        }
        (&file).seek(SeekFrom::Start(offset))?;
        Ok(Self { path: Some(path.to_owned()), file, kept: true })
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// Those of renaming a file.
    pub fn finish(mut self, target: &Path) -> io::Result<()> {
        if let Some(path) = &self.path {
            fs::rename(path, target)?;
        }
        self.path = None;
        Ok(())
    }

    /// Removes it: nothing can go on with it.
    pub fn discard(mut self) {
        self.kept = false;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(path) = self.path.take_if(|_| !self.kept) {
            let _ = fs::remove_file(path);
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
    options
}

/// Whether nobody else is at work on it. Where files cannot be locked, nobody is taken to be.
fn lock(file: &File) -> io::Result<bool> {
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if started.elapsed() < STOPPING => sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn content(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn it_goes_on_where_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        fs::write(&path, "0123456789").unwrap();
        let mut part = Part::resume(&path, 4).unwrap();
        part.file.write_all(b"abc").unwrap();
        drop(part);
        assert_eq!(content(&path), "0123abc");
        assert!(Part::resume(&path, 100).is_err(), "there are not so many");
    }

    #[test]
    fn two_at_once_do_not_disturb_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        let mut first = Part::resume(&path, 0).unwrap();
        first.file.write_all(b"01234").unwrap();
        let mut second = Part::resume(&path, 3).unwrap();
        second.file.write_all(b"xy").unwrap();
        first.file.write_all(b"567").unwrap();
        let target = folder.path().join("target");
        second.finish(&target).unwrap();
        assert_eq!([content(&path), content(&target)], ["01234567", "012xy"]);
        drop(Part::resume(&path, 0).unwrap());
        drop(first);
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.count(), 2, "only what can be gone on with is kept");
    }

    #[test]
    fn one_that_was_finished_meanwhile_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("part"), folder.path().join("target"));
        let mut first = Part::resume(&path, 0).unwrap();
        first.file.write_all(b"whole").unwrap();
        let waiting = {
            let path = path.clone();
            std::thread::spawn(move || Part::resume(&path, 0).map(drop))
        };
        // It has the file open when it waits for the lock; where it has not yet, it makes a new one.
        fs::rename(&path, &target).unwrap();
        drop(first);
        let _ = waiting.join().unwrap();
        assert_eq!(content(&target), "whole");
    }

    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
        assert!(Part::resume(&path, 0).is_err());
    }
}
