//! Installing what is missing, where we may: root on Debian or a system made from it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Result, bail};

use crate::cmd::{self, Cmd};
use crate::ui;

/// Whether we run as root.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}

/// Installs `packages`, or says how it could be done.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !Path::new("/etc/debian_version").exists() || !cmd::works(&["apt-get", "--version"]) {
        bail!("this is no Debian system: install what Debian calls {list}");
    }
    if !is_root() {
        bail!("not root: run `apt-get install {list}` as root");
    }
    ui::note(format!("installing {list}"));
    let mut words = vec!["apt-get", "install", "-y", "-q", "--no-install-recommends"];
    words.extend(packages);
    let install = || Cmd::new(&words).env("DEBIAN_FRONTEND", "noninteractive").quiet();
    // Lists that are missing or too old name files the mirror no longer has; fresh ones cure both.
    if has_lists() && install().is_ok() {
        return Ok(());
    }
    Cmd::new(&["apt-get", "update", "-q"]).quiet()?;
    install()
}

fn has_lists() -> bool {
    let Ok(lists) = std::fs::read_dir("/var/lib/apt/lists") else { return false };
    lists.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
}
