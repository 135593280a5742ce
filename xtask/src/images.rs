//! The images of the examples and the tests, each defined once: a Dockerfile under `examples/quickstart/image` or
//! `tests/images`, and for the backend `local` a folder with the same content.

pub(crate) mod debootstrap;
pub(crate) mod docker;
mod local;

use anyhow::Result;
use sha2::{Digest, Sha256};

use crate::examples::Instance;
use crate::{Runtime, cluster, engine, ui};

/// What all others are made from.
const BASE: &str = "oh-base:1";
/// An ordinary image for tests: shell, Python, git, an empty /testbed.
const TEST: &str = "oh-test:1";
/// An image for tests that holds one static file.
const TEST_STATIC: &str = "oh-test-static:1";
/// An image for tests with busybox and its commands.
const TEST_BUSYBOX: &str = "oh-test-busybox:1";
/// An image for tests that holds the agent, and starts something of its own.
const TEST_PRESENT: &str = "oh-test-present:1";
/// The agent alone, for clusters that take it from a registry.
const AGENT: &str = "oh-agent:1";

/// Makes them for one backend, or for all that can run here.
pub(crate) fn run(runtime: Option<Runtime>) -> Result<()> {
    let wants = |one| runtime.is_none_or(|runtime| runtime == one);
    if wants(Runtime::Local) {
        ui::step("Images for local", local::build)?;
    }
    if runtime.is_none() && !engine::answers() {
        ui::note("no Docker engine answers: no images for it (`cargo xtask engine up`)");
        return Ok(());
    }
    if wants(Runtime::Docker) || wants(Runtime::K8s) {
        ui::step("Images for docker", docker::build)?;
    }
    if runtime.is_none() && cluster::Cluster::find().is_err() {
        ui::note("no cluster answers: no images for it (`cargo xtask cluster up`)");
        return Ok(());
    }
    if wants(Runtime::K8s) {
        cluster::load(&[])?;
    }
    Ok(())
}

/// What a Docker engine has when they are made.
pub(crate) fn names() -> Result<Vec<String>> {
    let mut names: Vec<String> = Instance::all()?.iter().map(Instance::image).collect();
    names.extend([TEST, TEST_STATIC, TEST_BUSYBOX, TEST_PRESENT, AGENT].map(str::to_owned));
    Ok(names)
}

/// One hash for everything an image is made from: an image that carries it as a label need not be made again.
pub(crate) fn definition(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
