//! Images: folders with what an instance has of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use oh_runtime_api::{Error, ErrorKind, Result};
use tokio::process::Command;

/// Longest name, that of a folder.
const MAX_NAME: usize = 255;

/// Whether an image can have this name.
pub(crate) fn check(image: &str, operation: &str) -> Result<()> {
    check_name(image).map_err(|rule| {
        Error::new(ErrorKind::ImageInvalid, operation, format!("{image:?} is no image name: {rule}"))
    })
}

/// Where the contents of an image are, or would be.
pub(crate) fn folder(image_dir: &Path, image: &str) -> PathBuf {
    image_dir.join(folder_name(image)).join("rootfs")
}

/// The contents of an image.
pub(crate) fn find(image_dir: &Path, image: &str, operation: &str) -> Result<PathBuf> {
    check(image, operation)?;
    let rootfs = folder(image_dir, image);
    if rootfs.is_dir() {
        return Ok(rootfs);
    }
    let message = format!("there is no image {image}: {} is no folder", rootfs.display());
    Err(Error::new(ErrorKind::ImageNotFound, operation, message).hint(
        "an image of the local backend is a folder of files; `cargo xtask images --runtime local` makes the examples'",
    ))
}

/// The folder of an image: its name with every character outside `[A-Za-z0-9._-]` as `_`.
fn folder_name(image: &str) -> String {
    image.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
}

/// Copies what is in `rootfs` into `root`, with modes, times, owners and links.
pub(crate) async fn copy(rootfs: &Path, root: &Path, operation: &str) -> Result<()> {
    let copied = Command::new("cp")
        .args(["-a", "--reflink=auto", "--"])
        .args([&rootfs.join("."), root])
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let failed = |kind, message| Error::new(kind, operation, message);
    let output =
        copied.map_err(|error| failed(ErrorKind::StartFailed, format!("cp cannot be run: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().unwrap_or("it does not say why");
    let kind =
        if said.contains("No space left on device") { ErrorKind::NoSpace } else { ErrorKind::StartFailed };
    Err(failed(kind, format!("the image {} cannot be copied: {first}", rootfs.display())))
}

/// The grammar of image references, so that a name that works here works on other backends:
/// `[host[:port]/]name[/name…][:tag][@digest]`.
fn check_name(image: &str) -> Result<(), &'static str> {
    if image.is_empty() || image.len() > MAX_NAME {
        return Err("use 1 to 255 characters");
    }
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    if let Some(digest) = digest {
        let hex = digest.split_once(':').map(|(_, hex)| hex).unwrap_or_default();
        if hex.len() < 32 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("its digest is malformed");
        }
    }
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let (path, tag) = match name[last..].find(':') {
        Some(colon) => (&name[..last + colon], Some(&name[last + colon + 1..])),
        None => (name, None),
    };
    if !tag.is_none_or(is_tag) {
        return Err("its tag is malformed");
    }
    let path = match path.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
            if !is_host(host) {
                return Err("its registry is malformed");
            }
            rest
        }
        _ => path,
    };
    if path.split('/').all(is_part) {
        Ok(())
    } else {
        Err("use lower-case letters and digits, joined by '.', '_' or '-'")
    }
}

fn is_tag(tag: &str) -> bool {
    let starts = tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    starts && tag.len() <= 128 && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let is_label = |label: &str| {
        let ends = label.starts_with('-') || label.ends_with('-');
        !label.is_empty() && !ends && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.split('.').all(is_label) && port.parse::<u16>().is_ok()
}

fn is_part(part: &str) -> bool {
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(ends) && part.ends_with(ends) && part.chars().all(|c| ends(c) || "._-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_grammar_of_images() {
        for good in [
            "debian",
            "oh-test:1",
            "oh-quickstart/memo-1:1",
            "docker.io/swebench/sweb.eval.x86_64.astropy_1776_astropy-12907:latest",
            "localhost:5000/a/b:V_1.2-x",
            "localhost/a",
            "registry.example.com/proxy/a__b",
            &format!("a@sha256:{}", "0f".repeat(32)),
        ] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            " ",
            ".",
            "..",
            "a/..",
            "../escape",
            "/a",
            "a/",
            "a//b",
            "A",
            "UPPER case:1",
            "a:b:c",
            "a:",
            ":a",
            "a\n",
            "a:-b",
            "a@b",
            "a@sha256:0g",
            "-a",
            "a-",
            "h.x:99999/a",
            "-.x/a",
            "grüße",
            &"a".repeat(256),
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_missing_image_says_where_it_was_looked_for_and_what_to_do() {
        let images = tempfile::tempdir().unwrap();
        let error = find(images.path(), "a/b:1", "create sandbox x").unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::ImageNotFound);
        assert!(text.contains("a/b:1") && text.contains("a_b_1/rootfs") && text.contains("xtask"), "{text}");
        assert_eq!(find(images.path(), "..", "x").unwrap_err().kind(), ErrorKind::ImageInvalid);
        std::fs::create_dir_all(images.path().join("a_b_1/rootfs")).unwrap();
        assert_eq!(find(images.path(), "a/b:1", "x").unwrap(), images.path().join("a_b_1/rootfs"));
    }

    #[tokio::test]
    async fn contents_are_copied_with_modes_times_and_links() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (rootfs, root) = (folder.path().join("rootfs"), folder.path().join("root"));
        std::fs::create_dir_all(rootfs.join("testbed/-sub")).unwrap();
        std::fs::create_dir(&root).unwrap();
        let file = rootfs.join("testbed/file");
        std::fs::write(&file, "content").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o4751)).unwrap();
        std::fs::File::open(&file)
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(7))
            .unwrap();
        symlink("/nowhere", rootfs.join("testbed/link")).unwrap();
        copy(&rootfs, &root, "x").await.unwrap();
        let copied = std::fs::metadata(root.join("testbed/file")).unwrap();
        assert_eq!((copied.mode() & 0o7777, copied.mtime(), copied.len()), (0o4751, 7, 7));
        assert_eq!(std::fs::read_link(root.join("testbed/link")).unwrap(), Path::new("/nowhere"));
        assert!(root.join("testbed/-sub").is_dir());
        let error = copy(&folder.path().join("missing"), &root, "x").await.unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
    }
}
