//! Packages and sources of Debian releases other than the machine's own, without installing them or changing its lists.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::cmd::Cmd;
use crate::{paths, ui};

const KEY: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What apt reads when APT_CONFIG names it.
const SETTINGS: &str = "apt.conf";

/// An apt of our own: its sources, lists and archives lie in the cache.
pub(super) struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// With the binary packages and sources of `suites`.
    pub(super) fn new(suites: &[&str]) -> Result<Self> {
        let folder = paths::cluster_cache()?.join("apt").join(suites.join("-"));
        let apt = Self { folder };
        if apt.folder.join("ready").exists() {
            return Ok(apt);
        }
        for name in ["lists/partial", "archives/partial"] {
            let path = apt.folder.join(name);
            std::fs::create_dir_all(&path).with_context(|| format!("failed to make {}", path.display()))?;
        }
        let uri = mirror()?;
        let suites = suites.join(" ");
        let sources = format!(
            "Types: deb deb-src\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {KEY}\n"
        );
        std::fs::write(apt.folder.join("debian.sources"), sources)?;
        let folder = apt.folder.display();
        // The folder may be closed to apt's own user.
        let settings = format!(
            "Dir::Etc::SourceList \"{folder}/debian.sources\";\nDir::Etc::SourceParts \"/dev/null\";\n\
             Dir::State::Lists \"{folder}/lists\";\nDir::Cache \"{folder}\";\nAPT::Sandbox::User \"\";\n"
        );
        std::fs::write(apt.folder.join(SETTINGS), settings)?;
        apt.run(&["apt-get", "-q", "update"], &apt.folder)?;
        std::fs::write(apt.folder.join("ready"), "")?;
        Ok(apt)
    }

    /// The content of a binary package in a folder, which is made once.
    pub(super) fn package(&self, name: &str) -> Result<PathBuf> {
        let folder = paths::cluster_cache()?.join(name);
        if folder.exists() {
            ui::note(format!("{} is there", folder.display()));
            return Ok(folder);
        }
        let scratch = tempfile::Builder::new().prefix("package-").tempdir_in(&self.folder)?;
        self.run(&["apt-get", "-q", "download", name], scratch.path())?;
        let file = only_file(scratch.path(), ".deb")?;
        let content = scratch.path().join("content");
        Cmd::new(&["dpkg-deb", "--extract", text(&file)?, text(&content)?]).quiet()?;
        std::fs::rename(&content, &folder)?;
        Ok(folder)
    }

    /// Downloads the parts of a source package, `name=version`, and returns its description file.
    pub(super) fn source(&self, package: &str, into: &Path) -> Result<PathBuf> {
        self.run(&["apt-get", "-q", "source", "--download-only", package], into)?;
        only_file(into, ".dsc")
    }

    fn run(&self, argv: &[&str], dir: &Path) -> Result<()> {
        Cmd::new(argv).env("APT_CONFIG", self.folder.join(SETTINGS)).dir(dir).quiet()
    }
}

/// The mirror this machine already uses.
fn mirror() -> Result<String> {
    let targets = ["apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI)"];
    let all = Cmd::new(&[&targets[..], &["Created-By: Packages"]].concat())
        .read()
        .context("a node image can be assembled only on Debian, with its packages at hand")?;
    let mirror = all.lines().find(|uri| uri.trim_end_matches('/').ends_with("/debian"));
    mirror.map(str::to_owned).context("apt knows no mirror of Debian")
}

fn only_file(folder: &Path, end: &str) -> Result<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    ensure!(found.len() <= 1, "more than one {end} in {}", folder.display());
    match found.pop() {
        Some(path) => Ok(path),
        None => bail!("no {end} in {}", folder.display()),
    }
}

/// A path for a command line.
pub(super) fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is no UTF-8", path.display()))
}
