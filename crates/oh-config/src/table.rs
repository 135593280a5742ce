//! The one table of options: each with its variables and its kind. `default.toml` has its help and its built-in value.

use crate::formats;
use crate::kind::{Field, Kind};
use crate::model::{
    CleanupPolicy, DeliveryKind, LogFormat, LogLevel, PullPolicy, RuntimeKind, TaintEffect,
    TolerationOperator,
};

/// An option.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Section and name, such as `docker.host`.
    pub(crate) key: &'static str,
    /// The variables that set it; the first wins.
    pub(crate) variables: &'static [&'static str],
    pub(crate) kind: Kind,
}

const fn setting(key: &'static str, variables: &'static [&'static str], kind: Kind) -> Setting {
    Setting { key, variables, kind }
}

const IN_SANDBOX: Kind = Kind::Text("an absolute path in the sandbox", formats::absolute);
const IMAGE: Kind = Kind::Text("an image", formats::image);
const SUBDOMAIN: Kind = Kind::Text("a name of Kubernetes", formats::dns_subdomain);
const NAMES: Kind = Kind::List(&SUBDOMAIN);
const LABEL_VALUE: Kind = Kind::Text("a label's value", formats::label_value);
const LABELS: Kind = Kind::Map("a label's name", formats::label_key, &LABEL_VALUE);
const ANNOTATIONS: Kind =
    Kind::Map("an annotation's name", formats::label_key, &Kind::Text("text", formats::any));
const ENVIRONMENT: Kind = Kind::Map("a variable's name", formats::variable_name, &Kind::Secret);
const WAYS: Kind = Kind::List(&Kind::Word(DeliveryKind::WORDS));

const MOUNTS: Kind = Kind::Tables(&[
    Field { name: "source", kind: Kind::Path, required: true },
    Field { name: "target", kind: IN_SANDBOX, required: true },
    Field { name: "read_only", kind: Kind::Flag, required: false },
]);

const TOLERATIONS: Kind = Kind::Tables(&[
    Field { name: "key", kind: Kind::Text("a taint's key", formats::label_key), required: false },
    Field { name: "operator", kind: Kind::Word(TolerationOperator::WORDS), required: false },
    Field { name: "value", kind: LABEL_VALUE, required: false },
    Field { name: "effect", kind: Kind::Word(TaintEffect::WORDS), required: false },
]);

/// All options, in the order of `default.toml`.
///
/// OpenHands owns names that start with `OH_SANDBOX_`, too; `foreign` lists those none of ours may be.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("runtime", &["OH_RUNTIME"], Kind::Word(RuntimeKind::WORDS)),
    setting("owner", &["OH_OWNER"], Kind::Text("text", formats::owner)),
    setting("agent.path", &["OH_AGENT"], Kind::Path),
    setting("agent.delivery", &["OH_AGENT_DELIVERY"], WAYS),
    setting("agent.image", &["OH_AGENT_IMAGE"], IMAGE),
    setting("agent.present", &["OH_AGENT_PRESENT"], IN_SANDBOX),
    setting("sandbox.ttl", &["OH_SANDBOX_TTL"], Kind::Duration { zero: false }),
    setting("sandbox.lease", &["OH_SANDBOX_LEASE"], Kind::Duration { zero: false }),
    setting("sandbox.start_timeout", &["OH_SANDBOX_START_TIMEOUT"], Kind::Duration { zero: false }),
    setting("sandbox.grace", &["OH_SANDBOX_GRACE"], Kind::Duration { zero: true }),
    setting(
        "sandbox.cleanup",
        &["OH_CLEANUP_POLICY", "OH_K8S_CLEANUP_POLICY"],
        Kind::Word(CleanupPolicy::WORDS),
    ),
    setting("sandbox.user", &["OH_SANDBOX_USER"], Kind::Text("a user", formats::user)),
    setting("sandbox.read_only_root", &["OH_SANDBOX_READ_ONLY_ROOT"], Kind::Flag),
    setting("sandbox.restricted", &["OH_SANDBOX_RESTRICTED"], Kind::Flag),
    setting("sandbox.env", &["OH_SANDBOX_ENV"], ENVIRONMENT),
    setting("sandbox.mounts", &["OH_MOUNTS"], MOUNTS),
    setting("resources.cpu", &["OH_RESOURCES_CPU"], Kind::Cores),
    setting("resources.memory", &["OH_RESOURCES_MEMORY"], Kind::Size),
    setting("resources.ephemeral_storage", &["OH_RESOURCES_EPHEMERAL_STORAGE"], Kind::Size),
    setting("resources.pids", &["OH_RESOURCES_PIDS"], Kind::Count { most: u32::MAX as u64 }),
    setting("source.mount", &["OH_MOUNT_SOURCE"], Kind::Flag),
    setting("source.path", &["OH_SOURCE_HOST_PATH"], Kind::Path),
    setting("source.claim", &["OH_SOURCE_CLAIM"], SUBDOMAIN),
    setting("source.target", &["OH_SOURCE_TARGET"], IN_SANDBOX),
    setting("docker.host", &["DOCKER_HOST"], Kind::Text("an address", formats::engine)),
    setting("docker.tls_verify", &["DOCKER_TLS_VERIFY"], Kind::Flag),
    setting("docker.cert_path", &["DOCKER_CERT_PATH"], Kind::Path),
    setting("docker.pull", &["OH_DOCKER_PULL_POLICY"], Kind::Word(PullPolicy::WORDS)),
    setting("docker.network", &["OH_DOCKER_NETWORK"], Kind::Text("a network", formats::network)),
    setting("docker.registry", &["OH_DOCKER_REGISTRY"], Kind::Text("a registry", formats::registry_host)),
    setting("docker.registry_user", &["OH_DOCKER_REGISTRY_USER"], Kind::Text("text", formats::not_empty)),
    setting("docker.registry_password", &["OH_DOCKER_REGISTRY_PASSWORD"], Kind::Secret),
    setting("k8s.kubeconfig", &["KUBECONFIG"], Kind::Text("paths", formats::not_empty)),
    setting("k8s.context", &["OH_K8S_CONTEXT"], Kind::Text("text", formats::not_empty)),
    setting("k8s.namespace", &["OH_K8S_NAMESPACE"], Kind::Text("a namespace", formats::dns_label)),
    setting("k8s.service_account", &["OH_K8S_SERVICE_ACCOUNT"], SUBDOMAIN),
    setting("k8s.image_pull_secrets", &["OH_K8S_IMAGE_PULL_SECRETS"], NAMES),
    setting("k8s.pull", &["OH_K8S_PULL_POLICY"], Kind::Word(PullPolicy::WORDS)),
    setting("k8s.node_selector", &["OH_K8S_NODE_SELECTOR"], LABELS),
    setting("k8s.tolerations", &["OH_K8S_TOLERATIONS"], TOLERATIONS),
    setting("k8s.labels", &["OH_K8S_LABELS"], LABELS),
    setting("k8s.annotations", &["OH_K8S_ANNOTATIONS"], ANNOTATIONS),
    setting("k8s.priority_class", &["OH_K8S_PRIORITY_CLASS"], SUBDOMAIN),
    setting("k8s.runtime_class", &["OH_K8S_RUNTIME_CLASS"], SUBDOMAIN),
    setting("k8s.schedule_timeout", &["OH_K8S_SCHEDULE_TIMEOUT"], Kind::Duration { zero: false }),
    setting("local.state_dir", &["OH_LOCAL_STATE"], Kind::Path),
    setting("local.image_dir", &["OH_LOCAL_IMAGES"], Kind::Path),
    setting(
        "image.template",
        &["OH_IMAGE_TEMPLATE"],
        Kind::Text("an image with placeholders", formats::template),
    ),
    setting("image.mirror", &["OH_IMAGE_MIRROR"], Kind::Text("a registry", formats::mirror)),
    setting("image.repo", &["OH_RUNTIME_IMAGE_REPO"], Kind::Text("a repository", formats::repo)),
    setting("eval.workers", &["OH_EVAL_WORKERS"], Kind::Count { most: u32::MAX as u64 }),
    setting("eval.timeout", &["OH_EVAL_TIMEOUT"], Kind::Duration { zero: false }),
    setting("eval.out_dir", &["OH_EVAL_OUT_DIR"], Kind::Path),
    setting("log.level", &["OH_LOG"], Kind::Word(LogLevel::WORDS)),
    setting("log.format", &["OH_LOG_FORMAT"], Kind::Word(LogFormat::WORDS)),
];

impl Setting {
    /// The option of this key.
    pub(crate) fn of(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// Section, which is empty for what stands on top, and name.
    pub(crate) fn parts(&self) -> (&'static str, &'static str) {
        self.key.split_once('.').unwrap_or(("", self.key))
    }
}

/// The section names, without the nameless one.
pub(crate) fn sections() -> Vec<&'static str> {
    let mut names: Vec<_> = SETTINGS.iter().map(|setting| setting.parts().0).collect();
    names.dedup();
    names.retain(|name| !name.is_empty());
    names
}

/// The names in a section.
pub(crate) fn names(section: &str) -> Vec<&'static str> {
    let parts = SETTINGS.iter().map(Setting::parts);
    parts.filter(|(of, _)| *of == section).map(|(_, name)| name).collect()
}
