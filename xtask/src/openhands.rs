//! The action runtime beside OpenHands' own, from the Python registry.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::cmd::{self, Cmd};
use crate::{Runtime, agent, apt, images, paths, ui};

/// What is compared with.
const PACKAGE: &str = "openhands-ai==0.62.0";
/// The one version of Python it is made for.
const PYTHON: &str = "python3.12";

/// Sends the same actions to both and compares; `write` writes the page of differences, else it is checked.
pub(crate) fn run(write: bool) -> Result<()> {
    agent::build()?;
    images::run(Some(Runtime::Local))?;
    ui::step("The program that compares", || {
        Cmd::new(&["cargo", "build", "-p", "oh-e2e", "--bin", "openhands"]).dir(paths::root()).run()
    })?;
    // OpenHands' shells are windows of tmux.
    if !cmd::works(&["tmux", "-V"]) {
        apt::install(&["tmux"])?;
    }
    let python = ui::step("OpenHands: minutes the first time", environment)?;
    let program = paths::target()?.join("debug/openhands");
    let words = [&*program.to_string_lossy(), &python, if write { "write" } else { "check" }];
    ui::step("Comparing: some minutes", || Cmd::new(&words).dir(paths::root()).run())
}

/// An interpreter that has the package, in an environment that is kept between checkouts.
fn environment() -> Result<String> {
    let folder = paths::openhands_cache()?;
    let interpreter = folder.join("bin/python").to_string_lossy().into_owned();
    let imported = [&*interpreter, "-c", "import openhands.runtime.action_execution_server"];
    if !cmd::works(&imported) {
        let base = base()?;
        Cmd::new(&[&*base.to_string_lossy(), "-m", "venv", "--clear", &folder.to_string_lossy()]).quiet()?;
        Cmd::new(&[&*interpreter, "-m", "pip", "install", "--quiet", "--prefer-binary", PACKAGE]).quiet()?;
        Cmd::new(&imported).quiet()?;
    }
    Ok(interpreter)
}

/// A Python of the right version: installed, or one of pyenv's or uv's.
fn base() -> Result<PathBuf> {
    if cmd::works(&[PYTHON, "--version"]) {
        return Ok(PYTHON.into());
    }
    let found = Cmd::new(&["uv", "python", "find", "3.12"]).read().ok().map(PathBuf::from);
    let found = found.or_else(|| {
        let root = Cmd::new(&["pyenv", "root"]).read().ok()?;
        let versions = std::fs::read_dir(Path::new(&root).join("versions")).ok()?;
        let mut versions: Vec<PathBuf> =
            versions.flatten().map(|entry| entry.path().join("bin").join(PYTHON)).collect();
        versions.sort_unstable();
        versions.into_iter().rfind(|path| path.exists())
    });
    match found {
        Some(path) => Ok(path),
        None => bail!(
            "there is no Python 3.12, which {PACKAGE} needs: install it (`uv python install 3.12`, or pyenv)"
        ),
    }
}
