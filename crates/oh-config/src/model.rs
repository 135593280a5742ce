//! The configuration as plain fields. `default.toml` says what each means and what it is when nobody sets it; what the
//! values may be is in `table`, and was checked before they come here.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::builder::ConfigBuilder;
pub use crate::choice::{
    CleanupPolicy, DeliveryKind, LogFormat, LogLevel, PullPolicy, RuntimeKind, TaintEffect,
    TolerationOperator, UnknownValue,
};
use crate::error::ConfigError;
use crate::layers::Origin;
use crate::secret::Secret;
use crate::units;

/// What the user wants, checked and complete.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where sandboxes run.
    pub runtime: RuntimeKind,
    /// Who makes the sandboxes; not empty, no control characters.
    pub owner: String,
    /// The program in every sandbox.
    pub agent: AgentConfig,
    /// What holds for every sandbox.
    pub sandbox: SandboxConfig,
    /// How much of the machine one sandbox gets.
    pub resources: ResourcesConfig,
    /// The source tree in every sandbox.
    pub source: SourceConfig,
    /// The runtime `docker`.
    pub docker: DockerConfig,
    /// The runtime `k8s`.
    pub k8s: K8sConfig,
    /// The runtime `local`.
    pub local: LocalConfig,
    /// Which image an instance runs in.
    pub image: ImageConfig,
    /// Evaluations.
    pub eval: EvalConfig,
    /// What is logged.
    pub log: LogConfig,
    #[serde(skip)]
    pub(crate) origins: BTreeMap<String, Origin>,
    #[serde(skip)]
    pub(crate) warnings: Vec<String>,
}

impl Config {
    /// The configuration as the command `oh` finds it: of this process's files and variables.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn load() -> Result<Self, ConfigError> {
        ConfigBuilder::new().load()
    }

    /// To set options in the program, above files and variables.
    #[must_use]
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::new()
    }

    /// What is no error and probably a mistake all the same: variables spelled almost as ours, and what of a file of
    /// OpenHands has no meaning here.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Where the value of an option came from: `docker.host`, or `sandbox.env.LANG` for one entry of a table. `None`
    /// when it has no value, or there is no such option.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.origins.get(key)
    }
}

/// The program in every sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// The agent's static binary; `None`: look beside the running program.
    pub path: Option<PathBuf>,
    /// How it gets into a sandbox, the first that works; not empty. `None`: every way that is possible.
    pub delivery: Option<Vec<DeliveryKind>>,
    /// An image that holds it.
    pub image: Option<String>,
    /// Where the sandboxes' own images hold it; absolute.
    pub present: Option<String>,
}

/// What holds for every sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxConfig {
    /// It ends by itself after this time; more than nothing.
    #[serde(deserialize_with = "units::duration")]
    pub ttl: Duration,
    /// One made for one command or an evaluation ends when nobody has been connected for this long; more than nothing.
    #[serde(deserialize_with = "units::duration")]
    pub lease: Duration,
    /// Longest time for getting the image and for the sandbox to be ready; more than nothing.
    #[serde(deserialize_with = "units::duration")]
    pub start_timeout: Duration,
    /// Between SIGTERM and SIGKILL; zero kills at once.
    #[serde(deserialize_with = "units::duration")]
    pub grace: Duration,
    /// What becomes of one made for one command or an instance.
    pub cleanup: CleanupPolicy,
    /// User to run as, a name or a number; `None` is the image's own.
    pub user: Option<String>,
    /// Whether the image's files cannot be written to.
    pub read_only_root: bool,
    /// Whether it runs without privileges, and not as root.
    pub restricted: bool,
    /// Environment of every command, on top of the image's. Names are ones a process can have.
    pub env: BTreeMap<String, Secret>,
    /// Folders and files of the host in it.
    pub mounts: Vec<MountConfig>,
}

/// A host folder or file in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountConfig {
    /// Absolute path on this machine.
    pub source: PathBuf,
    /// Absolute path in the sandbox.
    pub target: PathBuf,
    /// Whether the sandbox may not write to it.
    #[serde(default)]
    pub read_only: bool,
}

/// How much of the machine one sandbox gets.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourcesConfig {
    /// Cores it is sure to get, without an upper limit; more than nothing.
    #[serde(deserialize_with = "units::cores")]
    pub cpu: f64,
    /// Bytes of memory, request and limit; more than nothing.
    #[serde(deserialize_with = "units::size")]
    pub memory: u64,
    /// Bytes of writable disk; more than nothing.
    #[serde(deserialize_with = "units::size")]
    pub ephemeral_storage: u64,
    /// Most processes and threads at once.
    pub pids: NonZeroU32,
}

/// A source tree, read-only in every sandbox and first in its `PYTHONPATH`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Whether it is there. Then either `path` or `claim` is set.
    pub mount: bool,
    /// Folder of this machine; on Kubernetes, of the node.
    pub path: Option<PathBuf>,
    /// PersistentVolumeClaim of the namespace, on Kubernetes.
    pub claim: Option<String>,
    /// Absolute path in the sandbox.
    pub target: PathBuf,
}

/// The runtime `docker`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DockerConfig {
    /// Where the engine listens, as `DOCKER_HOST` spells it; `None` is Docker's own default.
    pub host: Option<String>,
    /// Whether to talk TLS to an engine reached over TCP.
    pub tls_verify: bool,
    /// Folder with `ca.pem`, `cert.pem`, `key.pem`; `None` only when there is no home folder either.
    pub cert_path: Option<PathBuf>,
    /// When to pull an image.
    pub pull: PullPolicy,
    /// Network of the containers; `None` is the engine's default one.
    pub network: Option<String>,
    /// Host of the registry that user and password are for; all three are set, or none.
    pub registry: Option<String>,
    /// The user there.
    pub registry_user: Option<String>,
    /// The password there.
    pub registry_password: Option<Secret>,
}

/// The runtime `k8s`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct K8sConfig {
    /// Files that say where clusters are and who we are, separated by colons; `None` is kubectl's own, or inside a Pod
    /// its cluster.
    pub kubeconfig: Option<String>,
    /// Which entry of them; `None` is their current one.
    pub context: Option<String>,
    /// Where Pods are made; `None` is the context's own.
    pub namespace: Option<String>,
    /// Service account of the Pods; `None` is the namespace's default one.
    pub service_account: Option<String>,
    /// Secrets of the namespace that registries ask for.
    pub image_pull_secrets: Vec<String>,
    /// When a node pulls an image.
    pub pull: PullPolicy,
    /// Labels a node has to have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that do not matter.
    pub tolerations: Vec<TolerationConfig>,
    /// Labels of the Pods, besides ours.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Pods, besides ours.
    pub annotations: BTreeMap<String, String>,
    /// PriorityClass of the Pods; `None` is the cluster's default one.
    pub priority_class: Option<String>,
    /// RuntimeClass of the Pods; `None` is the nodes' own.
    pub runtime_class: Option<String>,
    /// Longest time for a node to have room; more than nothing.
    #[serde(deserialize_with = "units::duration")]
    pub schedule_timeout: Duration,
}

/// A taint of nodes that does not matter, as Kubernetes has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TolerationConfig {
    /// The taint's key; `None` is every one.
    pub key: Option<String>,
    /// `None` is `Equal`.
    pub operator: Option<TolerationOperator>,
    /// The taint's value, for `Equal`.
    pub value: Option<String>,
    /// `None` is every one.
    pub effect: Option<TaintEffect>,
}

/// The runtime `local`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalConfig {
    /// Folder for the sandboxes.
    pub state_dir: PathBuf,
    /// Folder that holds one folder per image.
    pub image_dir: PathBuf,
}

/// Which image an instance runs in. `oh-builder` reads all three.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageConfig {
    /// For instances that name no image.
    pub template: String,
    /// What stands in for `docker.io`.
    pub mirror: Option<String>,
    /// What stands in for all before the last slash of an image.
    pub repo: Option<String>,
}

/// Evaluations.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalConfig {
    /// Most instances at once.
    pub workers: NonZeroUsize,
    /// Longest time for one instance's tests; more than nothing.
    #[serde(deserialize_with = "units::duration")]
    pub timeout: Duration,
    /// Where logs and reports go.
    pub out_dir: PathBuf,
}

/// What is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// The least important that is shown.
    pub level: LogLevel,
    /// How it is written.
    pub format: LogFormat,
}
