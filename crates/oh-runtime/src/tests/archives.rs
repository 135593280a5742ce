//! Unpacking what a hostile sandbox sends, and packing.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use oh_agent::archive::{Filter, Owner};
use oh_runtime_api::{Error, ErrorKind, Result};
use proptest::prelude::{Strategy, prop, proptest};
use tar::{EntryType, Header};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use crate::archive::{CopyLimits, pack, unpack};
use crate::{CopyReport, channel};

/// One entry as it is written, whatever a library thinks of it.
#[derive(Debug, Clone)]
struct Raw {
    kind: u8,
    name: String,
    link: String,
    mode: u32,
    content: Vec<u8>,
}

fn raw(kind: u8, name: &str, link: &str) -> Raw {
    let content = if kind == b'0' { b"content".to_vec() } else { Vec::new() };
    Raw { kind, name: name.to_owned(), link: link.to_owned(), mode: 0o755, content }
}

fn dir(name: &str) -> Raw {
    raw(b'5', name, "")
}

fn file(name: &str) -> Raw {
    raw(b'0', name, "")
}

fn link(name: &str, target: &str) -> Raw {
    raw(b'2', name, target)
}

/// A GNU long name, or with `K` a long link target, for the entry that follows.
fn long(kind: u8, text: &str) -> Raw {
    Raw { content: format!("{text}\0").into_bytes(), ..raw(kind, "././@LongLink", "") }
}

fn archive(entries: &[Raw]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::new(entry.kind));
        header.set_mode(entry.mode);
        header.set_size(entry.content.len() as u64);
        header.set_mtime(1_000_000_000);
        let old = header.as_old_mut();
        old.name[..entry.name.len()].copy_from_slice(entry.name.as_bytes());
        old.linkname[..entry.link.len()].copy_from_slice(entry.link.as_bytes());
        header.set_cksum();
        builder.append(&header, &*entry.content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A folder to unpack into as `t`, beside a secret, in a folder that is removed afterwards.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.path("inside")).unwrap();
        fs::create_dir(place.path("outside")).unwrap();
        fs::write(place.path("outside/secret"), "keep").unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn unpack_bytes(&self, bytes: &[u8], limits: CopyLimits) -> Result<CopyReport> {
        unpack(bytes, "t".as_ref(), &self.path("inside/t"), Owner::Receiver, limits)
    }

    fn unpack(&self, entries: &[Raw]) -> Result<CopyReport> {
        self.unpack_bytes(&archive(entries), CopyLimits::default())
    }

    fn is_intact(&self) -> bool {
        let names = |folder: &str| -> Vec<_> {
            fs::read_dir(self.path(folder)).unwrap().map(|entry| entry.unwrap().file_name()).collect()
        };
        let beside = names("inside");
        fs::read_to_string(self.path("outside/secret")).unwrap() == "keep"
            && names("outside") == ["secret"]
            && names(".").len() == 2
            && beside.iter().all(|name| name == "t")
    }
}

#[test]
fn hostile_archives_are_refused() {
    let d = || dir("t");
    let deep = format!("t{}", "/a".repeat(300));
    let endless = "a".repeat(5000);
    let cases: Vec<(&str, Vec<Raw>)> = vec![
        ("absolute", vec![d(), file("/t/a")]),
        ("parent", vec![d(), file("t/../../outside/escape")]),
        ("parent inside", vec![d(), file("t/../t/a")]),
        ("dot", vec![d(), file("t/./a")]),
        ("empty part", vec![d(), file("t//a")]),
        ("empty name", vec![d(), file("")]),
        ("another name", vec![d(), file("other")]),
        ("another name first", vec![file("other")]),
        ("a second top", vec![d(), d()]),
        ("a file below a file", vec![file("t"), file("t/a")]),
        ("no top", vec![file("t/a")]),
        ("the top is a link", vec![link("t", "../outside"), file("t/a")]),
        ("absolute link", vec![d(), link("t/a", "/etc/passwd")]),
        ("climbing link", vec![d(), link("t/a", "../outside")]),
        ("deep climbing link", vec![d(), dir("t/a"), link("t/a/b", "../../outside")]),
        ("link behind a name", vec![d(), dir("t/a"), link("t/b", "a/..")]),
        ("long link", vec![d(), long(b'K', &format!("{}../outside", "./".repeat(100))), link("t/a", "")]),
        ("empty link", vec![d(), link("t/a", "")]),
        ("hard link", vec![d(), raw(b'1', "t/a", "t/b")]),
        ("character device", vec![d(), raw(b'3', "t/a", "")]),
        ("block device", vec![d(), raw(b'4', "t/a", "")]),
        ("pipe", vec![d(), raw(b'6', "t/a", "")]),
        ("sparse file", vec![d(), raw(b'S', "t/a", "")]),
        ("pax header", vec![d(), raw(b'x', "t/a", ""), file("t/a")]),
        ("global pax header", vec![raw(b'g', "t", ""), d()]),
        ("unknown kind", vec![d(), raw(b'Z', "t/a", "")]),
        ("too deep", vec![d(), long(b'L', &deep), file("")]),
        ("too long", vec![d(), long(b'L', &format!("t/{endless}")), file("")]),
        (
            "long name upwards",
            vec![d(), long(b'L', &format!("t/../../outside/{}", "e".repeat(90))), file("")],
        ),
        ("zero byte", vec![d(), long(b'L', "t/a\0b"), file("")]),
    ];
    for (what, entries) in cases {
        let place = Place::new();
        let error = place.unpack(&entries).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::TransferUnsafe, "{what}: {error}");
        assert!(place.is_intact(), "{what}");
    }
}

#[test]
fn nothing_is_written_through_a_link_or_over_a_folder() {
    for entries in [
        vec![dir("t"), dir("t/real"), link("t/a", "real"), file("t/a/b")],
        vec![dir("t"), dir("t/real"), link("t/a", "real"), dir("t/a/b")],
        vec![dir("t"), dir("t/real"), link("t/a", "real"), dir("t/a")],
        vec![dir("t"), dir("t/a"), link("t/a", "b")],
        vec![dir("t"), dir("t/a"), file("t/a")],
        vec![dir("t"), file("t/a"), dir("t/a")],
        vec![dir("t"), file("t/a"), file("t/a/b")],
        vec![dir("t"), file("t/missing/b")],
    ] {
        let place = Place::new();
        let error = place.unpack(&entries).unwrap_err();
        assert!(error.to_string().contains("t/"), "it names the path: {error}");
        assert!(place.is_intact());
        assert!(!place.path("inside/t/real/b").exists());
    }
}

#[test]
fn links_that_are_there_already_are_not_followed() {
    let place = Place::new();
    fs::create_dir(place.path("inside/t")).unwrap();
    symlink(place.path("outside"), place.path("inside/t/folder")).unwrap();
    symlink(place.path("outside/secret"), place.path("inside/t/file")).unwrap();
    place.unpack(&[dir("t"), file("t/folder/escape")]).unwrap_err();
    place.unpack(&[dir("t"), file("t/file")]).unwrap();
    assert!(place.is_intact());
    assert_eq!(fs::read_to_string(place.path("inside/t/file")).unwrap(), "content");
    // The target itself.
    fs::rename(place.path("inside/t"), place.path("inside/moved")).unwrap();
    symlink(place.path("outside"), place.path("inside/t")).unwrap();
    place.unpack(&[dir("t"), file("t/escape")]).unwrap_err();
    assert!(!place.path("outside/escape").exists());
}

#[test]
fn only_files_and_links_are_replaced() {
    let place = Place::new();
    nix::unistd::mkfifo(&place.path("inside/t"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let error = place.unpack(&[file("t")]).unwrap_err();
    assert!(error.to_string().contains("device, pipe or socket"), "{error}");
    let error =
        unpack(&*archive(&[file("t")]), "t".as_ref(), Path::new("/"), Owner::Receiver, CopyLimits::default())
            .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TransferFailed, "{error}");
}

#[test]
fn what_is_harmless_is_unpacked() {
    let place = Place::new();
    let name = format!("t/a/{}", "n".repeat(200));
    let entries = [
        dir("t/"),
        dir("t/a"),
        Raw { mode: 0o6751, ..file("t/a/run") },
        Raw { mode: 0o500, ..dir("t/closed") },
        file("t/closed/file"),
        long(b'L', &name),
        file("t/a/cut"),
        link("t/a/up", "../closed//./file"),
        link("t/self", "."),
        link("t/dangling", "nowhere/at/all"),
        file("t/twice"),
        Raw { content: b"second".to_vec(), ..file("t/twice") },
    ];
    let report = place.unpack(&entries).unwrap();
    assert_eq!(report, CopyReport { entries: 11, bytes: 4 * 7 + 6 });
    assert!(place.is_intact());
    let run = fs::metadata(place.path("inside/t/a/run")).unwrap();
    assert_eq!((run.mode() & 0o7000, run.mode() & 0o700, run.mtime()), (0, 0o700, 1_000_000_000));
    assert_eq!(fs::metadata(place.path("inside/t/closed")).unwrap().permissions().mode() & 0o700, 0o700);
    assert_eq!(fs::read(place.path("inside").join(&name)).unwrap(), b"content");
    assert_eq!(fs::read(place.path("inside/t/a/up")).unwrap(), b"content");
    assert_eq!(fs::read(place.path("inside/t/twice")).unwrap(), b"second");
}

#[test]
fn limits_hold() {
    let place = Place::new();
    let bytes = archive(&[dir("t"), file("t/a"), file("t/b")]);
    let limits = |entries, bytes| CopyLimits { entries, bytes };
    let length = bytes.len() as u64;
    place.unpack_bytes(&bytes, limits(3, length)).unwrap();
    for limits in [limits(2, length), limits(3, length - 1), limits(3, 1000)] {
        let error = place.unpack_bytes(&bytes, limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TransferUnsafe, "{error}");
        assert!(error.to_string().contains("more than"), "{error}");
    }
    // What has no end is cut off, also behind the archive.
    let endless = Read::chain(&*bytes, io::repeat(0));
    let error = unpack(endless, "t".as_ref(), &place.path("inside/t"), Owner::Receiver, limits(3, 1 << 20))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TransferUnsafe, "{error}");
}

#[test]
fn what_is_cut_or_broken_is_an_error() {
    let whole = archive(&[dir("t"), Raw { content: vec![7; 2000], ..file("t/a") }]);
    for length in [0, 100, 600, 1024 + 100, 1024 + 1999] {
        let place = Place::new();
        let error = place.unpack_bytes(&whole[..length], CopyLimits::default()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TransferFailed | ErrorKind::Protocol), "{length}: {error}");
    }
    let place = Place::new();
    place.unpack_bytes(&[0xff; 4096], CopyLimits::default()).unwrap_err();
    // An error of the stream arrives as it is.
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other(Error::new(ErrorKind::Deleted, "read", "gone")))
        }
    }
    let broken = Read::chain(&whole[..1500], Broken);
    let error = unpack(broken, "t".as_ref(), &place.path("inside/t"), Owner::Receiver, CopyLimits::default())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deleted, "{error}");
}

proptest! {
    /// Whatever is sent, nothing outside changes, and no link in the tree leads out of it.
    #[test]
    fn nothing_leaves_the_tree(entries in prop::collection::vec(entry(), 1..12)) {
        let place = Place::new();
        let _ = place.unpack(&[&[dir("t")], &*entries].concat());
        assert!(place.is_intact(), "{entries:?}");
        let top = place.path("inside/t").canonicalize().unwrap();
        let mut open = vec![top.clone()];
        while let Some(path) = open.pop() {
            let kind = fs::symlink_metadata(&path).unwrap();
            if kind.is_symlink() && let Ok(end) = path.canonicalize() {
                assert!(end.starts_with(&top), "{path:?} leads to {end:?}: {entries:?}");
            } else if kind.is_dir() {
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
    }
}

fn entry() -> impl Strategy<Value = Raw> {
    let part = || prop::sample::select(vec!["a", "b", "c", "..", ".", "", "outside", "t"]);
    let path = || prop::collection::vec(part(), 1..5).prop_map(|parts| parts.join("/"));
    let kind = prop::sample::select(vec![b'0', b'0', b'5', b'5', b'2', b'2', b'2', b'1']);
    (kind, path(), path()).prop_map(|(kind, name, target)| raw(kind, &format!("t/{name}"), &target))
}

#[tokio::test]
async fn a_packed_tree_unpacks_as_it_was() {
    let place = Place::new();
    let source = place.path("outside/t");
    fs::create_dir_all(source.join("sub/empty")).unwrap();
    let long = format!("sub/{}", "n".repeat(180));
    fs::write(source.join(&long), vec![3; 200_000]).unwrap();
    fs::write(source.join("sub/\u{fc}\n"), "odd").unwrap();
    symlink("sub", source.join("link")).unwrap();
    nix::unistd::mkfifo(&source.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::set_permissions(source.join(&long), fs::Permissions::from_mode(0o4640)).unwrap();

    let (writer, mut tar) = channel::writer();
    let from = source.clone();
    let packing = tokio::task::spawn_blocking(move || pack(&from, "t".into(), &Filter::default(), writer));
    let mut bytes = Vec::new();
    tar.read_to_end(&mut bytes).await.unwrap();
    let packed = packing.await.unwrap().unwrap().unwrap();
    let unpacked = place.unpack_bytes(&bytes, CopyLimits::default()).unwrap();
    assert_eq!(packed, CopyReport { entries: 6, bytes: 200_003 }, "the pipe is left out");
    assert_eq!(unpacked, packed);
    let copy = place.path("inside/t");
    assert_eq!(fs::read(copy.join(&long)).unwrap(), vec![3; 200_000]);
    assert_eq!(fs::metadata(copy.join(&long)).unwrap().mode() & 0o7777, 0o640);
    assert_eq!(fs::read(copy.join("sub/\u{fc}\n")).unwrap(), b"odd");
    assert_eq!(fs::read_link(copy.join("link")).unwrap(), Path::new("sub"));
    assert!(copy.join("sub/empty").is_dir() && !copy.join("pipe").exists());
}

#[tokio::test]
async fn packing_what_cannot_be_read_is_an_error_and_no_short_archive() {
    let place = Place::new();
    for missing in ["nowhere", "inside/pipe"] {
        if missing == "inside/pipe" {
            nix::unistd::mkfifo(&place.path(missing), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        let (writer, mut tar) = channel::writer();
        let from = place.path(missing);
        let packing =
            tokio::task::spawn_blocking(move || pack(&from, "t".into(), &Filter::default(), writer));
        tar.read_to_end(&mut Vec::new()).await.unwrap_err();
        let error = packing.await.unwrap().unwrap_err();
        assert!(error.to_string().contains(missing), "{error}");
    }
}
