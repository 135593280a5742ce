//! The base image's files from Debian's packages alone, for where no registry can be reached.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::definition;
use crate::cmd::{self, Cmd};
use crate::{apt, paths, ui};

/// Changes when this file makes something else of the same packages.
pub(crate) const RECIPE: &str = "bookworm minbase 2";
const SUITE: &str = "bookworm";
/// What official slim images leave out as well, and what Docker provides itself.
const LEFT_OUT: [&str; 7] = [
    "./dev/*",
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./usr/share/doc/*",
    "./usr/share/info/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
];

/// A tar file of a root file system with `packages` (one name a line), made once and kept.
pub(crate) fn tarball(packages: &str) -> Result<PathBuf> {
    let cache = paths::cache()?;
    let tarball = cache.join(format!("base-{}.tar", definition(&[packages, RECIPE])));
    if tarball.exists() {
        ui::note(format!("{} is there", tarball.display()));
        return Ok(tarball);
    }
    ensure!(
        apt::is_root(),
        "debootstrap needs root: run this as root, or where debian:bookworm-slim can be pulled"
    );
    if !cmd::works(&["debootstrap", "--version"]) {
        apt::install(&["debootstrap"])?;
    }
    std::fs::create_dir_all(&cache).with_context(|| format!("failed to make {}", cache.display()))?;
    let scratch = tempfile::Builder::new().prefix("base-").tempdir_in(&cache)?;
    // A folder of its own: the temporary one is closed to others, which the root of an image must not be.
    let rootfs = scratch.path().join("rootfs");
    let rootfs = text(&rootfs)?;
    ui::note("debootstrap: about a minute");
    let include = format!("--include={}", packages.split_whitespace().collect::<Vec<_>>().join(","));
    Cmd::new(&["debootstrap", "--variant=minbase", &include, SUITE, rootfs]).quiet()?;
    let half = tempfile::Builder::new().suffix(".part").tempfile_in(&cache)?;
    let mut tar = vec!["tar", "--numeric-owner"];
    let left_out = LEFT_OUT.map(|pattern| format!("--exclude={pattern}"));
    tar.extend(left_out.iter().map(String::as_str));
    tar.extend(["-C", rootfs, "-cf", text(half.path())?, "."]);
    Cmd::new(&tar).quiet()?;
    half.persist(&tarball)?;
    Ok(tarball)
}

/// The same in the Docker engine, under a tag of its own for each set of packages.
pub(crate) fn image(name: &str, packages: &str) -> Result<String> {
    let image = format!("{name}:{}", definition(&[packages, RECIPE]));
    if !cmd::works(&["docker", "image", "inspect", &image]) {
        Cmd::new(&["docker", "import", text(&tarball(packages)?)?, &image]).quiet()?;
    }
    Ok(image)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the cache folder's name is no UTF-8")
}
