//! Images for the backend `local`: `<image root>/<image>/rootfs/`, whose top-level entries become an instance's own.
//! Programs are the host's.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{TEST, definition};
use crate::cmd::Cmd;
use crate::examples::Instance;
use crate::{apt, paths, ui};

/// Where a sandbox of the backend looks for programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What the example rows call, and the Debian package of each.
const PROGRAMS: [(&[&str], &str); 3] = [
    (&["git", "--version"], "git"),
    (&["patch", "--version"], "patch"),
    (&["python3", "-m", "pytest", "--version"], "python3-pytest"),
];
/// Changes when this file makes something else of the same repository.
const RECIPE: &str = "1";

/// Makes what is missing or out of date.
pub(super) fn build() -> Result<()> {
    programs()?;
    let images = paths::local_images()?;
    std::fs::create_dir_all(&images).with_context(|| format!("failed to make {}", images.display()))?;
    for instance in Instance::all()? {
        folder(&images, &instance.image(), |testbed| instance.make_repository(testbed))?;
    }
    folder(&images, TEST, |testbed| {
        std::fs::create_dir(testbed)?;
        Ok(String::new())
    })
}

/// Makes sure that a sandbox finds what the rows call.
fn programs() -> Result<()> {
    let missing = || PROGRAMS.iter().filter(|(argv, _)| !found(argv)).collect::<Vec<_>>();
    let packages: Vec<&str> = missing().iter().map(|(_, package)| *package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    apt::install(&packages)?;
    if let [(argv, package), ..] = missing()[..] {
        anyhow::bail!("{package} is installed, but `{}` does not work with PATH={PATH}", argv.join(" "));
    }
    Ok(())
}

fn found(argv: &[&str]) -> bool {
    let path = format!("PATH={PATH}");
    let argv: Vec<&str> = ["env", "-i", &path].iter().chain(argv).copied().collect();
    Cmd::new(&argv).read().is_ok()
}

/// Makes one image, whole or not at all. `fill` makes its /testbed and returns what tells one content from another.
fn folder(images: &Path, image: &str, fill: impl FnOnce(&Path) -> Result<String>) -> Result<()> {
    let scratch = tempfile::Builder::new().prefix(".making-").tempdir_in(images)?;
    let made = scratch.path().join("image");
    std::fs::create_dir_all(made.join("rootfs"))?;
    let content = fill(&made.join("rootfs/testbed"))?;
    let definition = definition(&[&content, RECIPE]);
    let target = images.join(folder_name(image));
    if std::fs::read_to_string(target.join("definition")).is_ok_and(|there| there == definition) {
        ui::note(format!("{image} is there"));
        return Ok(());
    }
    std::fs::write(made.join("definition"), definition)?;
    if target.exists() {
        std::fs::rename(&target, scratch.path().join("old"))?;
    }
    std::fs::rename(&made, &target).with_context(|| format!("failed to make {}", target.display()))?;
    ensure!(target.join("rootfs/testbed").is_dir(), "{} has no rootfs/testbed", target.display());
    ui::note(format!("{image}: {}", target.display()));
    Ok(())
}

/// The folder of an image: its name with every character outside `[A-Za-z0-9._-]` as `_`.
fn folder_name(image: &str) -> String {
    image.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_names_are_safe() {
        assert_eq!(folder_name("oh-quickstart/memo-1:1"), "oh-quickstart_memo-1_1");
        assert_eq!(folder_name("a.b_c@sha256:é"), "a.b_c_sha256__");
    }

    #[test]
    fn an_image_is_replaced_only_by_another_content() {
        let images = tempfile::tempdir().unwrap();
        let make = |content: &str| {
            folder(images.path(), "a/b:1", |testbed| {
                std::fs::create_dir(testbed)?;
                std::fs::write(testbed.join("file"), content)?;
                Ok(content.to_owned())
            })
            .unwrap();
            let testbed = images.path().join("a_b_1/rootfs/testbed");
            (std::fs::read_to_string(testbed.join("file")).unwrap(), testbed.join("mark"))
        };
        let (_, mark) = make("one");
        std::fs::write(&mark, "").unwrap();
        make("one");
        assert!(mark.exists(), "made again without need");
        let (now, mark) = make("two");
        assert!(now == "two" && !mark.exists());
        assert_eq!(std::fs::read_dir(images.path()).unwrap().count(), 1, "leftovers");
    }
}
