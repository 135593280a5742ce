//! The programs of Kubernetes, from Debian's source package.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::debian::{Apt, text};
use crate::cmd::Cmd;
use crate::images::debootstrap;
use crate::{paths, ui};

/// What Debian 12 has.
pub(super) const VERSION: &str = "v1.20.2";
const SOURCE: &str = "kubernetes=1.20.5+really1.20.2-1.1+deb12u1";
const SUITE: &str = "bookworm";
const PROGRAMS: [&str; 7] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubeadm",
    "kubectl",
];
/// What builds it.
const PACKAGES: &str =
    "golang-go golang-github-modern-go-reflect2-dev gcc libc6-dev rsync make dpkg-dev xz-utils";
/// Run in the image of `PACKAGES`, with `/kubernetes` the folder that holds the source package.
const BUILD: &str = include_str!("build-kubernetes");

/// The folder with the programs, which are built once.
pub(super) fn programs() -> Result<PathBuf> {
    ui::step("Kubernetes programs", || {
        let folder = paths::cluster_cache()?.join(format!("kubernetes-{VERSION}"));
        if folder.exists() {
            ui::note(format!("{} is there", folder.display()));
            return Ok(folder);
        }
        ui::note("building Kubernetes from Debian's source package: about 8 minutes on two cores, once");
        let cache = paths::cluster_cache()?;
        let work = tempfile::Builder::new().prefix("kubernetes-").tempdir_in(&cache)?;
        Apt::new(&[SUITE])?.source(SOURCE, work.path())?;
        compile(work.path())?;
        std::fs::rename(work.path().join("bin"), &folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
        Ok(folder)
    })
}

/// In a container without network: this machine needs no Go, and another Go than Debian 12's may not do.
fn compile(work: &Path) -> Result<()> {
    let image = debootstrap::image("oh-go-builder", PACKAGES)?;
    std::fs::write(work.join("build"), BUILD)?;
    let volume = format!("{}:/kubernetes", text(work)?);
    let programs = PROGRAMS.join(" ");
    let mut words = vec!["docker", "run", "--rm", "--network", "none", "--volume", &volume];
    let (version, programs) = (format!("VERSION={VERSION}"), format!("PROGRAMS={programs}"));
    words.extend(["--env", &version, "--env", &programs, &image, "sh", "/kubernetes/build"]);
    Cmd::new(&words).quiet()
}
