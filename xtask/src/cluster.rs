//! A Kubernetes cluster to work with: one that kind makes in the Docker engine, or the one OH_TEST_KUBECONFIG names.

mod debian;
mod kind;
mod kubernetes;
mod load;
mod network;
mod node;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::cmd::{self, Cmd};
use crate::engine::{self, privileged};
use crate::{paths, ui};
use kind::Kind;

pub(crate) use load::load;

/// How many nodes a cluster has where nobody says.
pub(crate) const NODES: usize = 2;
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
const READY_LIMIT: Duration = Duration::from_secs(180);

/// A cluster that answers.
pub(crate) struct Cluster {
    kubectl: PathBuf,
    kubeconfig: PathBuf,
}

impl Cluster {
    /// The cluster there is; an error if none answers.
    pub(crate) fn find() -> Result<Self> {
        let kubeconfig = kubeconfig()?;
        if foreign().is_none() {
            ensure!(kubeconfig.exists(), "there is no cluster: `cargo xtask cluster up`");
        }
        let cluster = Self { kubectl: kubectl()?, kubeconfig };
        cluster.kubectl(&["version"])?;
        Ok(cluster)
    }

    /// What a kubectl command writes.
    pub(crate) fn kubectl(&self, words: &[&str]) -> Result<String> {
        let program = debian::text(&self.kubectl)?;
        let kubeconfig = debian::text(&self.kubeconfig)?;
        Cmd::new(&[&[program, "--kubeconfig", kubeconfig], words].concat()).limit(ANSWER_LIMIT).read()
    }

    /// The file that says where it is.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    fn nodes(&self) -> Result<Value> {
        let nodes = self.kubectl(&["get", "nodes", "-o", "json"])?;
        serde_json::from_str(&nodes).context("kubectl wrote no JSON")
    }

    /// Asks until `done`.
    fn wait(&self, what: &str, done: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let started = Instant::now();
        loop {
            let last = done(self);
            match last {
                Ok(true) => return Ok(()),
                _ if started.elapsed() < READY_LIMIT => std::thread::sleep(Duration::from_millis(500)),
                Ok(false) => bail!("{what} did not happen within {}", ui::seconds(READY_LIMIT)),
                Err(error) => {
                    return Err(
                        error.context(format!("{what} did not happen within {}", ui::seconds(READY_LIMIT)))
                    );
                }
            }
        }
    }
}

/// The file that says where the cluster is, whether it is there or not.
pub(crate) fn kubeconfig() -> Result<PathBuf> {
    match foreign() {
        Some(file) => Ok(file),
        None => Ok(paths::cluster_cache()?.join("kubeconfig")),
    }
}

/// The kubeconfig of a cluster that is not ours to make or remove.
fn foreign() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "a setting of the tests, which no crate of ours reads")]
    std::env::var_os("OH_TEST_KUBECONFIG").filter(|file| !file.is_empty()).map(PathBuf::from)
}

/// Makes sure a cluster answers. `image` is kind's, for another version of Kubernetes than the one it would have.
pub(crate) fn up(nodes: usize, image: Option<&str>) -> Result<Cluster> {
    ui::step("Kubernetes cluster", || {
        if let Some(file) = foreign() {
            let cluster =
                Cluster::find().with_context(|| format!("OH_TEST_KUBECONFIG is {}", file.display()))?;
            ui::note(format!("OH_TEST_KUBECONFIG is {}: that cluster answers", file.display()));
            return Ok(cluster);
        }
        ensure!(nodes > 0, "a cluster needs a node");
        engine::up()?;
        let there = kind::nodes()?;
        if !there.is_empty() {
            match Cluster::find() {
                Ok(cluster) if there.len() == nodes => {
                    ui::note(format!("it is there, with {nodes} nodes"));
                    return finish(cluster);
                }
                Ok(_) => {
                    ui::note(format!("it has {} nodes instead of {nodes}: making a new one", there.len()))
                }
                Err(error) => ui::note(format!("it does not answer: making a new one\n{error:#}")),
            }
            down()?;
        }
        privileged::allow()?;
        let kind = Kind::find()?;
        let (image, ours) = match image {
            Some(image) => (image.to_owned(), false),
            None => choose()?,
        };
        let kubeconfig = kubeconfig()?;
        let created = ui::step("kind", || kind.create(nodes, &image, ours, &kubeconfig));
        if let Err(error) = created {
            // What is half there would be in the way of the next attempt.
            kind.delete(&kubeconfig)?;
            return Err(error);
        }
        finish(Cluster::find()?)
    })
}

/// The image of the nodes, and whether it is of our making.
fn choose() -> Result<(String, bool)> {
    if !node::is_made() {
        if kind::can_pull() {
            return Ok((kind::OFFICIAL.to_owned(), false));
        }
        ui::note(format!(
            "{} cannot be pulled: assembling a node image from Debian's packages",
            kind::OFFICIAL
        ));
    }
    Ok((node::image()?, true))
}

/// What is left to do when the API server answers.
fn finish(cluster: Cluster) -> Result<Cluster> {
    let version = cluster.kubectl(&["version", "-o", "json"])?;
    let version: Value = serde_json::from_str(&version).context("kubectl wrote no JSON")?;
    let version = version["serverVersion"]["gitVersion"].as_str().unwrap_or("of an unknown version");
    if version == kubernetes::VERSION {
        network::connect(&cluster.nodes()?)?;
        // There is none; without this its Pods would be there for ever, waiting for an image.
        cluster.kubectl(&["-n", "kube-system", "scale", "deployment", "coredns", "--replicas=0"])?;
    }
    ui::step("Nodes ready", || {
        cluster.wait("every node being ready", |cluster| {
            let is = |condition: &&Value| condition["type"] == "Ready";
            let nodes = cluster.nodes()?;
            let ready = |node: &Value| {
                let conditions = node["status"]["conditions"].as_array();
                conditions.and_then(|all| all.iter().find(is)).is_some_and(|ready| ready["status"] == "True")
            };
            Ok(nodes["items"].as_array().is_some_and(|nodes| nodes.iter().all(ready)))
        })?;
        // No Pod is admitted before.
        cluster.wait("the service account `default`", |cluster| {
            Ok(cluster.kubectl(&["get", "serviceaccount", "default"]).is_ok())
        })
    })?;
    ui::note(format!("Kubernetes {version} answers; export KUBECONFIG={}", cluster.kubeconfig.display()));
    Ok(cluster)
}

/// Removes the cluster, and leaves nothing of it: no container, volume, network or bridge. The engine stays.
pub(crate) fn down() -> Result<()> {
    if foreign().is_some() {
        bail!("OH_TEST_KUBECONFIG names a cluster that was not made here: it is not removed");
    }
    if !engine::answers() {
        ui::note("no Docker engine answers: there is no cluster");
        return Ok(());
    }
    ui::step("Removing the cluster", || {
        let kubeconfig = kubeconfig()?;
        Kind::find()?.delete(&kubeconfig)?;
        let left = kind::nodes()?;
        ensure!(left.is_empty(), "still there: {}", left.join(", "));
        match std::fs::remove_file(&kubeconfig) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    })
}

/// Shows the nodes; an error if no cluster answers.
pub(crate) fn status() -> Result<()> {
    let cluster = Cluster::find()?;
    ui::note(cluster.kubectl(&["get", "nodes", "-o", "wide"])?);
    ui::note(format!("KUBECONFIG={}", cluster.kubeconfig.display()));
    Ok(())
}

/// A search path with a kubectl in it, where the user's own has none.
pub(crate) fn path() -> Result<Option<OsString>> {
    let kubectl = kubectl()?;
    let Some(folder) = kubectl.parent().filter(|folder| folder.is_absolute()) else { return Ok(None) };
    #[expect(clippy::disallowed_methods, reason = "not a setting of ours")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([folder.to_owned()]);
    Ok(Some(std::env::join_paths(folders)?))
}

/// The user's kubectl, or the one that was built with the node image.
pub(crate) fn kubectl() -> Result<PathBuf> {
    if cmd::works(&["kubectl", "version", "--client"]) { Ok("kubectl".into()) } else { node::kubectl() }
}
