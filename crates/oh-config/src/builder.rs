//! How a program says what it wants, and where the rest comes from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use figment::value::{Dict, Value};

use crate::environment::Environment;
use crate::error::{ConfigError, Problem};
use crate::inspect::Inspection;
use crate::layers::Origin;
use crate::load::Loaded;
use crate::model::{
    CleanupPolicy, Config, DeliveryKind, LogFormat, LogLevel, MountConfig, PullPolicy, RuntimeKind,
    TolerationConfig,
};
use crate::secret::Secret;

/// What a program sets itself. It wins over files and variables; what is set last wins over what was set before.
///
/// ```
/// use std::time::Duration;
/// use oh_config::{Config, Environment, RuntimeKind};
///
/// # fn main() -> Result<(), oh_config::ConfigError> {
/// let config = Config::builder()
///     // Without this line: files and variables as the command `oh` finds them.
///     .environment(Environment::default())
///     .owner("nightly@ci")
///     .runtime(RuntimeKind::K8s)
///     .k8s_namespace("sandboxes")
///     .resources_cpu(0.5)
///     .sandbox_ttl(Duration::from_secs(3600))
///     .sandbox_env([("TOKEN".to_owned(), "never shown".into())])
///     .load()?;
///
/// assert_eq!(config.k8s.namespace.as_deref(), Some("sandboxes"));
/// assert_eq!(config.resources.memory, 4 << 30, "the built-in value");
///
/// let error = Config::builder().k8s_namespace("Sand_boxes").load().unwrap_err();
/// assert_eq!(error.problems()[0].key(), "k8s.namespace");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct ConfigBuilder {
    pub(crate) environment: Option<Environment>,
    pub(crate) file: Option<PathBuf>,
    pub(crate) profile: Option<String>,
    pub(crate) values: Vec<Override>,
}

/// An option that is set from outside of files and variables.
#[derive(Clone)]
pub(crate) struct Override {
    pub(crate) key: String,
    pub(crate) origin: Origin,
    pub(crate) value: Given,
}

/// Shows no value: it may be a secret.
impl std::fmt::Debug for Override {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.key, self.origin)
    }
}

/// As it was given.
#[derive(Clone)]
pub(crate) enum Given {
    Text(String),
    Value(Value),
}

impl ConfigBuilder {
    /// Nothing is set yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes variables, and the places of files, from here instead of from this process.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Reads this file, if there is one, instead of the project's and of what `OH_CONFIG` names; it has to exist.
    #[must_use]
    pub fn file(mut self, path: Option<PathBuf>) -> Self {
        self.file = path.or(self.file);
        self
    }

    /// Chooses this profile, if there is one, instead of the one `OH_PROFILE` names.
    #[must_use]
    pub fn profile(mut self, name: Option<String>) -> Self {
        self.profile = name.or(self.profile);
        self
    }

    /// Sets the option `key`, such as `docker.host`, if there is a value. `option` is how the user gave it, such as
    /// `--runtime`, for messages. The text is read as that of variables is.
    #[must_use]
    pub fn set(mut self, key: &str, option: &str, value: Option<impl Into<String>>) -> Self {
        self.values.extend(value.map(|text| Override {
            key: key.to_owned(),
            origin: Origin::CommandLine(option.to_owned()),
            value: Given::Text(text.into()),
        }));
        self
    }

    /// The configuration.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn load(self) -> Result<Config, ConfigError> {
        Loaded::new(self)?.config()
    }

    /// The configuration with where everything came from, also when something is wrong with it.
    ///
    /// # Errors
    /// When not even the current folder can be found.
    pub fn inspect(self) -> Result<Inspection, ConfigError> {
        Loaded::new(self).map(Inspection::new)
    }

    fn value(mut self, key: &str, value: Value) -> Self {
        self.values.push(Override {
            key: key.to_owned(),
            origin: Origin::Program,
            value: Given::Value(value),
        });
        self
    }

    pub(crate) fn take_environment(&mut self) -> Result<Environment, ConfigError> {
        self.environment.take().map_or_else(Environment::current, Ok).map_err(|error| {
            let what = format!("the current folder cannot be found: {error}");
            ConfigError::new(vec![Problem::of_file(Origin::file("."), what)])
        })
    }
}

macro_rules! setters {
    ($($name:ident: $type:ty = $key:literal,)+) => {
        /// One method for each option.
        impl ConfigBuilder {
            $(
                #[doc = concat!("Sets `", $key, "`.")]
                #[must_use]
                pub fn $name(self, value: impl Into<$type>) -> Self {
                    self.value($key, value.into().into_value())
                }
            )+
        }

        #[cfg(test)]
        pub(crate) const SETTERS: &[&str] = &[$($key),+];
    };
}

setters! {
    runtime: RuntimeKind = "runtime",
    owner: String = "owner",
    agent_path: PathBuf = "agent.path",
    agent_delivery: Vec<DeliveryKind> = "agent.delivery",
    agent_image: String = "agent.image",
    agent_present: String = "agent.present",
    sandbox_ttl: Duration = "sandbox.ttl",
    sandbox_lease: Duration = "sandbox.lease",
    sandbox_start_timeout: Duration = "sandbox.start_timeout",
    sandbox_grace: Duration = "sandbox.grace",
    sandbox_cleanup: CleanupPolicy = "sandbox.cleanup",
    sandbox_user: String = "sandbox.user",
    sandbox_read_only_root: bool = "sandbox.read_only_root",
    sandbox_restricted: bool = "sandbox.restricted",
    sandbox_env: BTreeMap<String, Secret> = "sandbox.env",
    sandbox_mounts: Vec<MountConfig> = "sandbox.mounts",
    resources_cpu: f64 = "resources.cpu",
    resources_memory: u64 = "resources.memory",
    resources_ephemeral_storage: u64 = "resources.ephemeral_storage",
    resources_pids: u32 = "resources.pids",
    source_mount: bool = "source.mount",
    source_path: PathBuf = "source.path",
    source_claim: String = "source.claim",
    source_target: String = "source.target",
    docker_host: String = "docker.host",
    docker_tls_verify: bool = "docker.tls_verify",
    docker_cert_path: PathBuf = "docker.cert_path",
    docker_pull: PullPolicy = "docker.pull",
    docker_network: String = "docker.network",
    docker_registry: String = "docker.registry",
    docker_registry_user: String = "docker.registry_user",
    docker_registry_password: Secret = "docker.registry_password",
    k8s_kubeconfig: String = "k8s.kubeconfig",
    k8s_context: String = "k8s.context",
    k8s_namespace: String = "k8s.namespace",
    k8s_service_account: String = "k8s.service_account",
    k8s_image_pull_secrets: Vec<String> = "k8s.image_pull_secrets",
    k8s_pull: PullPolicy = "k8s.pull",
    k8s_node_selector: BTreeMap<String, String> = "k8s.node_selector",
    k8s_tolerations: Vec<TolerationConfig> = "k8s.tolerations",
    k8s_labels: BTreeMap<String, String> = "k8s.labels",
    k8s_annotations: BTreeMap<String, String> = "k8s.annotations",
    k8s_priority_class: String = "k8s.priority_class",
    k8s_runtime_class: String = "k8s.runtime_class",
    k8s_schedule_timeout: Duration = "k8s.schedule_timeout",
    local_state_dir: PathBuf = "local.state_dir",
    local_image_dir: PathBuf = "local.image_dir",
    image_template: String = "image.template",
    image_mirror: String = "image.mirror",
    image_repo: String = "image.repo",
    eval_workers: u32 = "eval.workers",
    eval_timeout: Duration = "eval.timeout",
    eval_out_dir: PathBuf = "eval.out_dir",
    log_level: LogLevel = "log.level",
    log_format: LogFormat = "log.format",
}

/// A typed value as the layers hold it.
pub(crate) trait IntoValue {
    fn into_value(self) -> Value;
}

macro_rules! plain {
    ($($type:ty),+) => {
        $(impl IntoValue for $type {
            fn into_value(self) -> Value {
                self.into()
            }
        })+
    };
}

plain!(String, bool, f64);

impl IntoValue for u32 {
    fn into_value(self) -> Value {
        i64::from(self).into()
    }
}

impl IntoValue for u64 {
    fn into_value(self) -> Value {
        self.to_string().into()
    }
}

impl IntoValue for Duration {
    fn into_value(self) -> Value {
        humantime::format_duration(self).to_string().into()
    }
}

impl IntoValue for PathBuf {
    fn into_value(self) -> Value {
        self.to_string_lossy().into_owned().into()
    }
}

impl IntoValue for Secret {
    fn into_value(self) -> Value {
        self.expose().into()
    }
}

impl<T: IntoValue> IntoValue for Vec<T> {
    fn into_value(self) -> Value {
        self.into_iter().map(T::into_value).collect::<Vec<_>>().into()
    }
}

impl<T: IntoValue> IntoValue for BTreeMap<String, T> {
    fn into_value(self) -> Value {
        self.into_iter().map(|(name, value)| (name, value.into_value())).collect::<Dict>().into()
    }
}

impl IntoValue for MountConfig {
    fn into_value(self) -> Value {
        let fields = [
            ("source", self.source.into_value()),
            ("target", self.target.into_value()),
            ("read_only", self.read_only.into()),
        ];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Dict>().into()
    }
}

impl IntoValue for TolerationConfig {
    fn into_value(self) -> Value {
        let fields = [
            ("key", self.key),
            ("operator", self.operator.map(|operator| operator.to_string())),
            ("value", self.value),
            ("effect", self.effect.map(|effect| effect.to_string())),
        ];
        let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
        given.collect::<Dict>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::SETTINGS;

    #[test]
    fn every_option_has_its_method() {
        let all: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
        assert_eq!(SETTERS, all);
    }

    #[test]
    fn typed_values_are_what_they_were() {
        let toleration = TolerationConfig {
            key: Some("pool".into()),
            operator: Some(crate::TolerationOperator::Exists),
            value: None,
            effect: Some(crate::TaintEffect::NoExecute),
        };
        let mount = MountConfig { source: "/a".into(), target: "/b".into(), read_only: true };
        let config = ConfigBuilder::new()
            .environment(Environment::default())
            .owner("me")
            .agent_delivery([DeliveryKind::Memory])
            .sandbox_grace(Duration::ZERO)
            .sandbox_ttl(Duration::from_millis(90_500))
            .sandbox_env([("A".to_owned(), Secret::new("s3cret"))])
            .sandbox_mounts([mount.clone()])
            .resources_cpu(0.5)
            .resources_memory(u64::MAX)
            .resources_pids(7_u32)
            .k8s_tolerations([toleration.clone()])
            .k8s_labels([("team".to_owned(), "a".to_owned())])
            .k8s_pull(PullPolicy::Always)
            .load()
            .unwrap();
        assert_eq!(config.agent.delivery, Some(vec![DeliveryKind::Memory]));
        assert_eq!(
            (config.sandbox.grace, config.sandbox.ttl),
            (Duration::ZERO, Duration::from_millis(90_500))
        );
        assert_eq!(config.sandbox.env["A"].expose(), "s3cret");
        assert_eq!(config.sandbox.mounts, [mount]);
        assert_eq!(
            (config.resources.cpu, config.resources.memory, config.resources.pids.get()),
            (0.5, u64::MAX, 7)
        );
        assert_eq!(config.k8s.tolerations, [toleration]);
        assert_eq!((&*config.k8s.labels["team"], config.k8s.pull), ("a", PullPolicy::Always));
        assert_eq!(config.origin("k8s.pull"), Some(&Origin::Program));
    }

    #[test]
    fn a_wrong_value_of_the_program_is_told_like_any_other() {
        let error = ConfigBuilder::new()
            .environment(Environment::default())
            .owner("me")
            .resources_cpu(f64::NAN)
            .sandbox_env([("A=".to_owned(), Secret::new("s3cret"))])
            .load()
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "2 problems\n\
             - resources.cpu = NaN: is no amount of CPU, write cores like 2, 0.5 or \"500m\" (the program)\n\
             - sandbox.env.A=: cannot be the name of an environment variable (the program)"
        );
    }
}
