//! The configuration as plain fields. `default.toml` says what each means and what it is when nobody sets it.

use std::collections::BTreeMap;
use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::layers::Origin;
use crate::units;

/// What the user wants, checked and complete.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where sandboxes run.
    pub runtime: RuntimeKind,
    /// Who makes the sandboxes; not empty, no control characters.
    #[serde(deserialize_with = "owner")]
    pub owner: String,
    /// The program in every sandbox.
    pub agent: AgentConfig,
    /// What holds for every sandbox.
    pub sandbox: SandboxConfig,
    /// How much of the machine one sandbox gets.
    pub resources: ResourcesConfig,
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
}

impl Config {
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
    #[serde(default, deserialize_with = "ways")]
    pub delivery: Option<Vec<DeliveryKind>>,
    /// An image that holds it.
    pub image: Option<String>,
    /// Where the sandboxes' own images hold it; absolute.
    #[serde(default, deserialize_with = "path_in_image")]
    pub present: Option<String>,
}

/// What holds for every sandbox.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxConfig {
    /// It ends by itself after this time; more than nothing.
    #[serde(deserialize_with = "units::positive_duration")]
    pub ttl: Duration,
    /// One made for one command or an evaluation ends when nobody has been connected for this long; more than nothing.
    #[serde(deserialize_with = "units::positive_duration")]
    pub lease: Duration,
    /// Longest time for getting the image and for the sandbox to be ready; more than nothing.
    #[serde(deserialize_with = "units::positive_duration")]
    pub start_timeout: Duration,
    /// Between SIGTERM and SIGKILL; zero kills at once.
    #[serde(deserialize_with = "units::duration")]
    pub grace: Duration,
    /// User to run as, a name or a number; `None` is the image's own.
    pub user: Option<String>,
    /// Whether the image's files cannot be written to.
    pub read_only_root: bool,
    /// Whether it runs without privileges, and not as root.
    pub restricted: bool,
    /// Environment of every command, on top of the image's. Names are ones a process can have.
    #[serde(deserialize_with = "variables")]
    pub env: BTreeMap<String, String>,
    /// Folders and files of the host in it.
    pub mounts: Vec<MountConfig>,
}

/// Shows the names of environment variables, never their values: they may be secrets.
impl fmt::Debug for SandboxConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxConfig")
            .field("ttl", &self.ttl)
            .field("lease", &self.lease)
            .field("start_timeout", &self.start_timeout)
            .field("grace", &self.grace)
            .field("user", &self.user)
            .field("read_only_root", &self.read_only_root)
            .field("restricted", &self.restricted)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("mounts", &self.mounts)
            .finish()
    }
}

/// A host folder or file in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountConfig {
    /// Absolute path on this machine.
    pub source: PathBuf,
    /// Absolute path in the sandbox.
    #[serde(deserialize_with = "absolute")]
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
    #[serde(deserialize_with = "cores")]
    pub cpu: f64,
    /// Bytes of memory, request and limit; more than nothing.
    #[serde(deserialize_with = "units::positive_size")]
    pub memory: u64,
    /// Bytes of writable disk; more than nothing.
    #[serde(deserialize_with = "units::positive_size")]
    pub ephemeral_storage: u64,
    /// Most processes and threads at once.
    pub pids: NonZeroU32,
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
    /// Secrets of the namespace that registries ask for.
    pub image_pull_secrets: Vec<String>,
    /// Labels a node has to have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that do not matter.
    pub tolerations: Vec<TolerationConfig>,
    /// Longest time for a node to have room; more than nothing.
    #[serde(deserialize_with = "units::positive_duration")]
    pub schedule_timeout: Duration,
}

/// A taint of nodes that does not matter, as Kubernetes has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TolerationConfig {
    /// The taint's key; `None` is every one.
    pub key: Option<String>,
    /// `Exists` or `Equal`; `None` is `Equal`.
    pub operator: Option<String>,
    /// The taint's value, for `Equal`.
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`; `None` is every one.
    pub effect: Option<String>,
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

/// Which image an instance runs in. `oh-builder` reads the two.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageConfig {
    /// For instances that name no image.
    pub template: String,
    /// What stands in for `docker.io`.
    pub mirror: Option<String>,
}

/// Evaluations.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalConfig {
    /// Most instances at once.
    pub workers: NonZeroUsize,
    /// Longest time for one instance's tests; more than nothing.
    #[serde(deserialize_with = "units::positive_duration")]
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

/// A word that is none of those an option knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown value {value:?}, use {known}")]
pub struct UnknownValue {
    value: String,
    known: String,
}

/// An option that is one of a few words. They are read from text alone: serde's derived enums take numbers too.
macro_rules! choice {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
        #[serde(try_from = "String")]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// How it is written.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownValue;

            fn from_str(text: &str) -> Result<Self, UnknownValue> {
                let found = Self::ALL.iter().find(|choice| choice.name() == text);
                found.copied().ok_or_else(|| UnknownValue {
                    value: text.to_owned(),
                    known: one_of(&[$($word),+]),
                })
            }
        }

        impl TryFrom<String> for $name {
            type Error = UnknownValue;

            fn try_from(text: String) -> Result<Self, UnknownValue> {
                text.parse()
            }
        }
    };
}

choice! {
    /// Where sandboxes run.
    RuntimeKind {
        /// Containers of a Docker engine.
        Docker = "docker",
        /// Pods of a Kubernetes cluster.
        K8s = "k8s",
        /// Processes in a folder of this machine, without isolation.
        Local = "local",
    }
}

choice! {
    /// A way for the agent into a sandbox, in the order they are tried.
    DeliveryKind {
        /// The backend is given it once and keeps it.
        Upload = "upload",
        /// From an image that holds it.
        Image = "image",
        /// The sandbox's image holds it.
        Present = "present",
        /// Kept by the backend, executed from memory.
        Memory = "memory",
    }
}

choice! {
    /// When to pull an image.
    PullPolicy {
        /// When the engine has none of that name.
        Missing = "missing",
        /// Not at all.
        Never = "never",
        /// Before every sandbox.
        Always = "always",
    }
}

choice! {
    /// How important something has to be to be logged.
    LogLevel {
        /// Nothing is.
        Off = "off",
        /// What failed.
        Error = "error",
        /// What is suspicious.
        Warn = "warn",
        /// What happens.
        Info = "info",
        /// What helps to find a mistake.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

choice! {
    /// How the log is written.
    LogFormat {
        /// Lines for people.
        Human = "human",
        /// One JSON object a line.
        Json = "json",
    }
}

/// `docker or local`; `missing, never or always`.
fn one_of(words: &[&str]) -> String {
    match words {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        words => words.concat(),
    }
}

fn owner<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let owner = String::deserialize(deserializer)?;
    if owner.is_empty() || owner.chars().any(char::is_control) {
        return Err(D::Error::custom("has to be text without control characters, and not empty"));
    }
    Ok(owner)
}

fn variables<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let variables = BTreeMap::<String, String>::deserialize(deserializer)?;
    for (name, value) in &variables {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(D::Error::custom(format_args!(
                "{name:?} cannot be the name of an environment variable"
            )));
        }
        if value.contains('\0') {
            return Err(D::Error::custom(format_args!("the value of {name} holds a zero byte")));
        }
    }
    Ok(variables)
}

fn absolute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(D::Error::custom(format_args!("{path:?} is a path in the sandbox, so it has to start with '/'")))
    }
}

fn ways<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<DeliveryKind>>, D::Error> {
    match Option::<Vec<DeliveryKind>>::deserialize(deserializer)? {
        Some(ways) if ways.is_empty() => Err(D::Error::custom("names no way into a sandbox")),
        ways => Ok(ways),
    }
}

fn path_in_image<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Option::<String>::deserialize(deserializer)? {
        Some(path) if !path.starts_with('/') => Err(D::Error::custom(format_args!(
            "{path:?} is a path in the sandbox, so it has to start with '/'"
        ))),
        path => Ok(path),
    }
}

fn cores<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let cores = f64::deserialize(deserializer)?;
    if cores.is_finite() && cores > 0.0 { Ok(cores) } else { Err(D::Error::custom("has to be more than 0")) }
}
