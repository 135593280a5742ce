//! Any archive of a stranger, unpacked as what comes out of a sandbox is: whatever its entries are called and wherever
//! its links lead, nothing is changed beside the target, and no link in it leads out.

#![no_main]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use oh_agent::archive::{Limits, Owner, Target, unpack};
use tar::{EntryType, Header};

const KINDS: [EntryType; 10] = [
    EntryType::Regular,
    EntryType::Directory,
    EntryType::Symlink,
    EntryType::Link,
    EntryType::Fifo,
    EntryType::Char,
    EntryType::GNULongName,
    EntryType::GNULongLink,
    EntryType::XHeader,
    EntryType::GNUSparse,
];
/// Longest name that fits into a header.
const NAME: usize = 100;
const LIMITS: Limits = Limits { entries: 200, bytes: 50_000 };

/// Takes up to `most` bytes off the front, as many as the first one says.
fn take<'a>(bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
    let Some((&length, rest)) = bytes.split_first() else { return &[] };
    let (taken, rest) = rest.split_at(usize::from(length).min(most).min(rest.len()));
    *bytes = rest;
    taken
}

/// One entry for as long as there are bytes: mutations of entries, and headers that are right.
fn archive(mut bytes: &[u8]) -> Vec<u8> {
    let mut archive = Vec::new();
    while let Some((&kind, rest)) = bytes.split_first() {
        bytes = rest;
        let [name, link] = [(); 2].map(|()| take(&mut bytes, NAME));
        let content = take(&mut bytes, usize::MAX);
        let mut header = Header::new_gnu();
        header.set_entry_type(KINDS[usize::from(kind) % KINDS.len()]);
        header.set_mode(u32::from(kind) << 2);
        // Sometimes more than there is.
        header.set_size(content.len() as u64 + u64::from(kind / 250));
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link);
        header.set_cksum();
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive
}

/// Every link has to lead to something below `root`, or to nothing.
fn check(root: &Path, folder: &Path) {
    for entry in fs::read_dir(folder).expect("what was unpacked can be listed") {
        let path = entry.expect("an entry").path();
        let metadata = fs::symlink_metadata(&path).expect("what is there");
        if metadata.is_symlink() {
            if let Ok(leads) = fs::canonicalize(&path) {
                assert!(leads.starts_with(root), "{} leads to {}", path.display(), leads.display());
            }
        } else if metadata.is_dir() {
            check(root, &path);
        } else {
            assert!(metadata.is_file(), "{} is no file", path.display());
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let place = PathBuf::from(format!("/tmp/oh-fuzz-unpack-{}", std::process::id()));
    let _ = fs::remove_dir_all(&place);
    let (outside, inside) = (place.join("outside"), place.join("inside"));
    for folder in [&outside, &inside] {
        fs::create_dir_all(folder).expect("a folder in /tmp");
    }
    fs::write(outside.join("file"), b"untouched").expect("a file in /tmp");
    let target = Target::As { top: OsStr::new("t"), path: &inside.join("t") };
    let _ = unpack(&archive(bytes)[..], target, Owner::Receiver, LIMITS);
    assert_eq!(fs::read(outside.join("file")).expect("the file outside"), b"untouched");
    assert_eq!(fs::read_dir(&outside).expect("the folder outside").count(), 1);
    assert_eq!(fs::read_dir(&place).expect("the folder").count(), 2);
    let inside = fs::canonicalize(&inside).expect("the folder inside");
    check(&inside, &inside);
    fs::remove_dir_all(&place).expect("all of it is ours");
});
