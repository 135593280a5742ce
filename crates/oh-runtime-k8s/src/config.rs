//! What the caller decides, as plain values: this crate reads of the environment only what a Pod finds in its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use oh_runtime_api::{Error, ErrorKind, Result};

/// How long a node may take to have room when nobody says otherwise.
const DEFAULT_SCHEDULE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// How long a Pod may take to run when nobody says otherwise.
const DEFAULT_START_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Which cluster, and what holds for all sandboxes on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct K8sConfig {
    /// Files that say where clusters are and who we are, separated by colons; `None` is `~/.kube/config`, or inside a
    /// Pod without it the Pod's own cluster.
    pub kubeconfig: Option<String>,
    /// Which context of them; `None` is their current one.
    pub context: Option<String>,
    /// Where Pods are made; `None` is the context's own.
    pub namespace: Option<String>,
    /// Service account of the Pods, which get no token of it; `None` is the namespace's default one.
    pub service_account: Option<String>,
    /// Secrets of the namespace that registries ask for.
    pub image_pull_secrets: Vec<String>,
    /// When a node pulls an image.
    pub pull: PullPolicy,
    /// Labels a node has to have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that do not matter.
    pub tolerations: Vec<Toleration>,
    /// Labels of the Pods, besides ours, which win.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Pods, besides ours, which win.
    pub annotations: BTreeMap<String, String>,
    /// PriorityClass of the Pods; `None` is the cluster's default one.
    pub priority_class: Option<String>,
    /// RuntimeClass of the Pods; `None` is the nodes' own.
    pub runtime_class: Option<String>,
    /// A tree that every Pod finds, read-only.
    pub source: Option<SourceTree>,
    /// How long a node may take to have room.
    pub schedule_timeout: Duration,
    /// How long a Pod may take to run, its image included.
    pub start_timeout: Duration,
}

/// When a node pulls an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// When it has none of that name.
    #[default]
    Missing,
    /// Never: it has to be there.
    Never,
    /// For every Pod: a tag may have moved.
    Always,
}

/// A tree of files that is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTree {
    /// Where it is.
    pub from: SourceVolume,
    /// Absolute path in the Pods.
    pub target: PathBuf,
}

/// Where a tree of files is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceVolume {
    /// A folder of every node that Pods may run on; absolute.
    Node(PathBuf),
    /// A PersistentVolumeClaim of the namespace, which can be mounted by many Pods.
    Claim(String),
}

/// A taint of nodes that does not matter, as Kubernetes has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Toleration {
    /// The taint's key; `None` is every one.
    pub key: Option<String>,
    /// `Exists` or `Equal`; `None` is `Equal`.
    pub operator: Option<String>,
    /// The taint's value, for `Equal`.
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`; `None` is every one.
    pub effect: Option<String>,
}

impl Default for K8sConfig {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            namespace: None,
            service_account: None,
            image_pull_secrets: Vec::new(),
            pull: PullPolicy::default(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            priority_class: None,
            runtime_class: None,
            source: None,
            schedule_timeout: DEFAULT_SCHEDULE_TIMEOUT,
            start_timeout: DEFAULT_START_TIMEOUT,
        }
    }
}

impl K8sConfig {
    /// Where the cluster is and who we are.
    pub(crate) async fn connection(&self) -> Result<kube::Config> {
        let mut found = match &self.kubeconfig {
            Some(files) => self.from(read(files)?, files).await?,
            None => match Kubeconfig::read() {
                Ok(file) => self.from(file, "~/.kube/config").await?,
                Err(missing) => self.of_this_pod(missing)?,
            },
        };
        if let Some(namespace) = &self.namespace {
            found.default_namespace.clone_from(namespace);
        }
        Ok(found)
    }

    async fn from(&self, file: Kubeconfig, files: &str) -> Result<kube::Config> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        kube::Config::from_custom_kubeconfig(file, &options).await.map_err(|error| {
            let hint = "`kubectl config get-contexts` shows the contexts; set KUBECONFIG or OH_K8S_CONTEXT";
            bad(format!("the kubeconfig {files} cannot be used: {error}")).hint(hint).caused_by(error)
        })
    }

    fn of_this_pod(&self, missing: impl std::fmt::Display) -> Result<kube::Config> {
        if let Some(context) = &self.context {
            return Err(bad(format!("there is no kubeconfig with the context {context:?}: {missing}"))
                .hint("set KUBECONFIG"));
        }
        kube::Config::incluster().map_err(|error| {
            bad(format!("no cluster is known: {missing}, and this is no Pod of one"))
                .hint("set KUBECONFIG, or use OH_RUNTIME=docker")
                .caused_by(error)
        })
    }
}

fn bad(message: String) -> Error {
    Error::new(ErrorKind::Config, "reach the Kubernetes cluster", message)
}

/// One kubeconfig of all `files`, the first one first, as kubectl joins them.
fn read(files: &str) -> Result<Kubeconfig> {
    let mut all: Option<Kubeconfig> = None;
    for file in files.split(':').filter(|file| !file.is_empty()) {
        let wrong = |error: kube::config::KubeconfigError| {
            bad(format!("the kubeconfig {file} cannot be read: {error}"))
                .hint("set KUBECONFIG")
                .caused_by(error)
        };
        let next = Kubeconfig::read_from(file).map_err(wrong)?;
        all = Some(match all {
            Some(before) => before.merge(next).map_err(wrong)?,
            None => next,
        });
    }
    all.ok_or_else(|| bad(format!("{files:?} names no kubeconfig")))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(config: K8sConfig) -> Error {
        let error = config.connection().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        error
    }

    #[tokio::test]
    async fn a_kubeconfig_that_cannot_be_used_is_named() {
        let named = |file: &str| K8sConfig { kubeconfig: Some(file.to_owned()), ..K8sConfig::default() };
        let error = refused(named("/there/is/none")).await;
        assert!(error.to_string().contains("/there/is/none"), "{error}");
        let error = refused(named("/dev/null")).await;
        assert!(error.to_string().contains("/dev/null"), "{error}");
        let error = refused(named("::")).await;
        assert!(error.to_string().contains("\"::\""), "{error}");
    }

    #[tokio::test]
    async fn context_and_namespace_are_chosen() {
        let file = std::env::temp_dir().join(format!("oh-kubeconfig-{}", std::process::id()));
        let text = r#"{
            "clusters": [{ "name": "c", "cluster": { "server": "https://one:6443" } }],
            "contexts": [
                { "name": "a", "context": { "cluster": "c", "namespace": "ours" } },
                { "name": "b", "context": { "cluster": "c" } }
            ],
            "current-context": "a"
        }"#;
        std::fs::write(&file, text).unwrap();
        let config = K8sConfig { kubeconfig: file.to_str().map(str::to_owned), ..K8sConfig::default() };
        let namespace = async |config: K8sConfig| config.connection().await.unwrap().default_namespace;
        assert_eq!(namespace(config.clone()).await, "ours");
        assert_eq!(namespace(K8sConfig { context: Some("b".into()), ..config.clone() }).await, "default");
        assert_eq!(namespace(K8sConfig { namespace: Some("other".into()), ..config.clone() }).await, "other");
        let error = refused(K8sConfig { context: Some("none".into()), ..config }).await;
        assert!(error.to_string().contains("none"), "{error}");
        std::fs::remove_file(file).unwrap();
    }
}
