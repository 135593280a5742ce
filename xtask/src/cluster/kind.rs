//! The kind CLI: the user's, or Debian's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::debian::{Apt, text};
use crate::cmd::{self, Cmd};
use crate::{paths, ui};

/// The cluster's name; kind puts it into the names of nodes and of the kubeconfig's context.
pub(super) const NAME: &str = "oh";
/// What Debian's kind 0.27 makes where it may choose.
pub(super) const OFFICIAL: &str = "kindest/node:v1.32.2";
/// The engine's network of all kind clusters.
const NETWORK: &str = "kind";
const SUITE: &str = "trixie";
/// What a node may have at once; faults need many, and a node's subnet has addresses for no more.
const PODS: usize = 250;
const CREATE_LIMIT: Duration = Duration::from_secs(600);

/// The kind CLI.
pub(super) struct Kind(PathBuf);

impl Kind {
    /// Finds it, or fetches Debian's.
    pub(super) fn find() -> Result<Self> {
        if cmd::works(&["kind", "version"]) {
            return Ok(Self("kind".into()));
        }
        Ok(Self(Apt::new(&[SUITE])?.package("kind")?.join("usr/bin/kind")))
    }

    /// Makes the cluster. With an image of ours its network is left to us.
    pub(super) fn create(&self, nodes: usize, image: &str, ours: bool, kubeconfig: &Path) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("kind.json");
        std::fs::write(&config, configuration(nodes, ours).to_string())?;
        let words = ["create", "cluster", "--config", text(&config)?, "--image", image];
        self.cmd(&words)?.env("KUBECONFIG", kubeconfig).limit(CREATE_LIMIT).run()
    }

    /// Removes the cluster, if there is one, and the network when no other cluster is in it.
    pub(super) fn delete(&self, kubeconfig: &Path) -> Result<()> {
        self.cmd(&["delete", "cluster", "--name", NAME])?.env("KUBECONFIG", kubeconfig).quiet()?;
        let format = ["--format", "{{len .Containers}}"];
        let users = Cmd::new(&[&["docker", "network", "inspect", NETWORK], &format[..]].concat()).read();
        if users.is_ok_and(|users| users == "0") {
            Cmd::new(&["docker", "network", "rm", NETWORK]).quiet()?;
        }
        Ok(())
    }

    /// Copies images of the engine into every node.
    pub(super) fn load(&self, images: &[&str]) -> Result<()> {
        self.cmd(&[&["load", "docker-image", "--name", NAME], images].concat())?.quiet()
    }

    fn cmd(&self, words: &[&str]) -> Result<Cmd> {
        Ok(Cmd::new(&[&[text(&self.0)?], words].concat()).dir(paths::root()))
    }
}

/// The containers that are nodes of the cluster, running or not.
pub(super) fn nodes() -> Result<Vec<String>> {
    let filter = format!("label=io.x-k8s.kind.cluster={NAME}");
    let names = Cmd::new(&["docker", "ps", "--all", "--filter", &filter, "--format", "{{.Names}}"]).read()?;
    Ok(names.lines().map(str::to_owned).collect())
}

fn configuration(nodes: usize, ours: bool) -> serde_json::Value {
    let role = |index| if index == 0 { "control-plane" } else { "worker" };
    let nodes: Vec<_> = (0..nodes).map(|index| serde_json::json!({ "role": role(index) })).collect();
    serde_json::json!({
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": NAME,
        "networking": { "disableDefaultCNI": ours },
        "kubeadmConfigPatches": [format!("kind: KubeletConfiguration\nmaxPods: {PODS}\n")],
        "nodes": nodes,
    })
}

/// Whether the official image is in the engine, or can be had.
pub(super) fn can_pull() -> bool {
    let there = cmd::works(&["docker", "image", "inspect", OFFICIAL]);
    // A registry that cannot be reached must not hold up the other way.
    let pull = || Cmd::new(&["docker", "pull", "-q", OFFICIAL]).limit(Duration::from_secs(300)).quiet();
    there || pull().map_err(|error| ui::note(cmd::tail(&format!("{error:#}")))).is_ok()
}
