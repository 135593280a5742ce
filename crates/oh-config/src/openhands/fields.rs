//! Every field of OpenHands' `[sandbox]` and `[kubernetes]`, and `[core] runtime`, as of version 0.62.

use figment::value::{Dict, Value};

use crate::file;
use crate::kind::{called, number_text};

/// A field of OpenHands.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) table: &'static str,
    pub(crate) name: &'static str,
    pub(crate) does: Does,
    /// What becomes of it, or why nothing does; for the reference.
    pub(crate) how: &'static str,
}

/// What becomes of a field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Does {
    /// The option has its value.
    Same(&'static str),
    /// The option is this many seconds.
    Seconds(&'static str),
    /// The option is its value as text.
    Text(&'static str),
    /// Something else with these options; the table it stands in may matter.
    Custom(&'static [&'static str], fn(&Value, &Dict) -> Result<Set, String>),
    /// Another field reads it.
    Part,
    Nothing,
}

/// Options and their values.
type Set = Vec<(String, Value)>;

impl Does {
    /// The options it sets.
    pub(crate) fn keys(&self) -> &[&'static str] {
        match self {
            Self::Same(key) | Self::Seconds(key) | Self::Text(key) => std::slice::from_ref(key),
            Self::Custom(keys, _) => keys,
            Self::Part | Self::Nothing => &[],
        }
    }

    pub(super) fn apply(self, value: &Value, table: &Dict) -> Result<Set, String> {
        match self {
            Self::Same(key) => set(key, value.clone()),
            Self::Seconds(key) => set(key, format!("{}s", number(value)?).into()),
            Self::Text(key) => set(key, number(value)?.into()),
            Self::Custom(_, apply) => apply(value, table),
            Self::Part | Self::Nothing => Ok(Vec::new()),
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what the functions of the table return")]
fn set(key: impl Into<String>, value: Value) -> Result<Set, String> {
    Ok(vec![(key.into(), value)])
}

fn number(value: &Value) -> Result<String, String> {
    match value {
        Value::Num(_, number) => Ok(number_text(*number)),
        other => Err(format!("expected a number, found {}", called(other))),
    }
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("expected text, found {}", called(value)))
}

fn flag(value: &Value) -> Result<bool, String> {
    value.to_bool().ok_or_else(|| format!("expected true or false, found {}", called(value)))
}

fn is_set(table: &Dict, name: &str) -> bool {
    table.get(name).is_some_and(|value| value.as_str() != Some(""))
}

fn runtime(value: &Value, _: &Dict) -> Result<Set, String> {
    let ours = match text(value)? {
        "docker" | "eventstream" => "docker",
        "kubernetes" | "k8s" => "k8s",
        "local" | "cli" => "local",
        other => return Err(format!("{other:?} is no runtime here, use docker, kubernetes or local")),
    };
    set("runtime", ours.into())
}

fn alive(value: &Value, _: &Dict) -> Result<Set, String> {
    if flag(value)? { set("sandbox.cleanup", "never".into()) } else { Ok(Vec::new()) }
}

fn base_image(value: &Value, table: &Dict) -> Result<Set, String> {
    if is_set(table, "runtime_container_image") {
        Ok(Vec::new())
    } else {
        set("image.template", value.clone())
    }
}

fn runtime_class(value: &Value, _: &Dict) -> Result<Set, String> {
    let class = match text(value)? {
        "sysbox" => "sysbox-runc",
        other => other,
    };
    set("k8s.runtime_class", class.into())
}

fn lint(value: &Value, _: &Dict) -> Result<Set, String> {
    if flag(value)? { set("sandbox.env.ENABLE_AUTO_LINT", "true".into()) } else { Ok(Vec::new()) }
}

fn environment(value: &Value, _: &Dict) -> Result<Set, String> {
    let Value::Dict(_, entries) = value else {
        return Err(format!("expected a table, found {}", called(value)));
    };
    let as_text = |(name, value): (&String, &Value)| {
        let value = match value {
            Value::Num(_, number) => number_text(*number).into(),
            other => other.clone(),
        };
        (format!("sandbox.env.{name}"), value)
    };
    Ok(entries.iter().map(as_text).collect())
}

/// `host:container[:mode]`, separated by commas.
fn volumes(value: &Value, _: &Dict) -> Result<Set, String> {
    let one = |(number, volume): (usize, &str)| {
        let bad = |what: &str| format!("volume {}: {what}", number + 1);
        let parts: Vec<&str> = volume.trim().split(':').collect();
        let (source, target, mode) = match *parts {
            [source, target] => (source, target, "rw"),
            [source, target, mode] => (source, target, mode),
            _ => return Err(bad("write host:container or host:container:ro")),
        };
        let read_only = match mode {
            "ro" => true,
            "rw" => false,
            other => return Err(bad(&format!("there is no mode {other:?} here, use ro or rw"))),
        };
        if !source.starts_with(['/', '~', '.']) {
            return Err(bad("its source is no path of this machine"));
        }
        let fields = [("source", source.into()), ("target", target.into()), ("read_only", read_only.into())];
        Ok(fields
            .into_iter()
            .map(|(name, value): (&str, Value)| (name.to_owned(), value))
            .collect::<Dict>()
            .into())
    };
    let all = text(value)?.split(',').enumerate().map(one).collect::<Result<Vec<Value>, String>>()?;
    set("sandbox.mounts", all.into())
}

fn memory_request(value: &Value, table: &Dict) -> Result<Set, String> {
    if is_set(table, "resource_memory_limit") {
        Ok(Vec::new())
    } else {
        set("resources.memory", value.clone())
    }
}

fn pull_secret(value: &Value, _: &Dict) -> Result<Set, String> {
    set("k8s.image_pull_secrets", vec![value.clone()].into())
}

fn node_selector(value: &Value, table: &Dict) -> Result<Set, String> {
    match table.get("node_selector_val") {
        Some(wanted) => {
            let labels: Dict = [(text(value)?.to_owned(), wanted.clone())].into();
            set("k8s.node_selector", labels.into())
        }
        None => Err("needs node_selector_val".to_owned()),
    }
}

fn tolerations(value: &Value, _: &Dict) -> Result<Set, String> {
    let read = file::parse_yaml_value(text(value)?);
    set("k8s.tolerations", read.map_err(|error| error.what)?)
}

const fn field(table: &'static str, name: &'static str, does: Does, how: &'static str) -> Field {
    Field { table, name, does, how }
}

/// All of them, in OpenHands' order.
pub(crate) const FIELDS: &[Field] = &[
    field(
        "core",
        "runtime",
        Does::Custom(&["runtime"], runtime),
        "`kubernetes` is `k8s`, `eventstream` is `docker`, `cli` is `local`; `remote` and classes are refused",
    ),
    field(
        "sandbox",
        "remote_runtime_api_url",
        Does::Nothing,
        "sandboxes are made here, not by a remote service",
    ),
    field(
        "sandbox",
        "local_runtime_url",
        Does::Nothing,
        "sandboxes have no address: everything goes over one stream",
    ),
    field("sandbox", "keep_runtime_alive", Does::Custom(&["sandbox.cleanup"], alive), "`true` is `never`"),
    field(
        "sandbox",
        "pause_closed_runtimes",
        Does::Nothing,
        "sandboxes are not paused: they stay or are removed, see `sandbox.cleanup`",
    ),
    field("sandbox", "rm_all_containers", Does::Nothing, "`oh rm` removes sandboxes"),
    field("sandbox", "api_key", Does::Nothing, "there is no remote service to show it to"),
    field(
        "sandbox",
        "base_container_image",
        Does::Custom(&["image.template"], base_image),
        "unless `runtime_container_image` is set",
    ),
    field(
        "sandbox",
        "runtime_container_image",
        Does::Same("image.template"),
        "the image of instances that name none",
    ),
    field("sandbox", "user_id", Does::Text("sandbox.user"), "as text"),
    field(
        "sandbox",
        "timeout",
        Does::Nothing,
        "a command has the time that whoever runs it gives it, as `oh exec --timeout`",
    ),
    field("sandbox", "remote_runtime_init_timeout", Does::Seconds("sandbox.start_timeout"), "in seconds"),
    field(
        "sandbox",
        "remote_runtime_api_timeout",
        Does::Nothing,
        "there is no remote service; a lost stream is opened again by itself",
    ),
    field("sandbox", "remote_runtime_enable_retries", Does::Nothing, "what can be repeated safely always is"),
    field(
        "sandbox",
        "remote_runtime_class",
        Does::Custom(&["k8s.runtime_class"], runtime_class),
        "`sysbox` is `sysbox-runc`",
    ),
    field(
        "sandbox",
        "enable_auto_lint",
        Does::Custom(&["sandbox.env"], lint),
        "`true` is the variable `ENABLE_AUTO_LINT=true`, as OpenHands sets it",
    ),
    field(
        "sandbox",
        "use_host_network",
        Does::Nothing,
        "a sandbox is never on the host's network, where the agent could not tell who is outside",
    ),
    field("sandbox", "additional_networks", Does::Nothing, "a container is on one network: `docker.network`"),
    field("sandbox", "runtime_binding_address", Does::Nothing, "sandboxes listen on no port"),
    field(
        "sandbox",
        "runtime_extra_build_args",
        Does::Nothing,
        "no image is built: the agent is put into the one there is",
    ),
    field("sandbox", "initialize_plugins", Does::Nothing, "there are no plugins"),
    field("sandbox", "force_rebuild_runtime", Does::Nothing, "no image is built"),
    field("sandbox", "runtime_extra_deps", Does::Nothing, "no image is built: have them in the image"),
    field(
        "sandbox",
        "runtime_startup_env_vars",
        Does::Custom(&["sandbox.env"], environment),
        "numbers become text",
    ),
    field("sandbox", "browsergym_eval_env", Does::Nothing, "there is no browser"),
    field("sandbox", "platform", Does::Nothing, "the platform is the agent's"),
    field("sandbox", "close_delay", Does::Seconds("sandbox.lease"), "in seconds"),
    field(
        "sandbox",
        "remote_runtime_resource_factor",
        Does::Nothing,
        "how much a sandbox gets is in `[resources]`",
    ),
    field("sandbox", "enable_gpu", Does::Nothing, "sandboxes get no GPU"),
    field("sandbox", "docker_runtime_kwargs", Does::Nothing, "what a container gets is what the options say"),
    field("sandbox", "selected_repo", Does::Nothing, "repositories are the harness's affair"),
    field("sandbox", "trusted_dirs", Does::Nothing, "what runs in a sandbox is not trusted"),
    field(
        "sandbox",
        "vscode_port",
        Does::Nothing,
        "sandboxes listen on no port; `oh port-forward` reaches those of programs",
    ),
    field(
        "sandbox",
        "volumes",
        Does::Custom(&["sandbox.mounts"], volumes),
        "modes `ro` and `rw`; `overlay` and named volumes are refused",
    ),
    field("sandbox", "cuda_visible_devices", Does::Nothing, "sandboxes get no GPU"),
    field("kubernetes", "namespace", Does::Same("k8s.namespace"), "the same"),
    field(
        "kubernetes",
        "ingress_domain",
        Does::Nothing,
        "nothing is reached through an Ingress: everything goes over the API server",
    ),
    field(
        "kubernetes",
        "pvc_storage_size",
        Does::Nothing,
        "a sandbox has no claim of its own; its disk is `resources.ephemeral_storage`",
    ),
    field("kubernetes", "pvc_storage_class", Does::Nothing, "a sandbox has no claim of its own"),
    field("kubernetes", "resource_cpu_request", Does::Same("resources.cpu"), "the same"),
    field(
        "kubernetes",
        "resource_memory_request",
        Does::Custom(&["resources.memory"], memory_request),
        "unless `resource_memory_limit` is set: request and limit are one here",
    ),
    field("kubernetes", "resource_memory_limit", Does::Same("resources.memory"), "request and limit"),
    field(
        "kubernetes",
        "image_pull_secret",
        Does::Custom(&["k8s.image_pull_secrets"], pull_secret),
        "the only one of the list",
    ),
    field("kubernetes", "ingress_tls_secret", Does::Nothing, "nothing is reached through an Ingress"),
    field(
        "kubernetes",
        "node_selector_key",
        Does::Custom(&["k8s.node_selector"], node_selector),
        "with `node_selector_val`",
    ),
    field("kubernetes", "node_selector_val", Does::Part, "with `node_selector_key`"),
    field(
        "kubernetes",
        "tolerations_yaml",
        Does::Custom(&["k8s.tolerations"], tolerations),
        "a list; fields key, operator, value, effect",
    ),
    field("kubernetes", "privileged", Does::Nothing, "a sandbox is never privileged"),
];
