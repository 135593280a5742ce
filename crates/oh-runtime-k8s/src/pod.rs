//! From a specification to the Pod that is asked for. No input or output here.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource,
    HostPathVolumeSource, KeyToPath, LocalObjectReference, ObjectFieldSelector,
    PersistentVolumeClaimVolumeSource, Pod, PodSecurityContext, PodSpec, ResourceRequirements,
    SeccompProfile, SecurityContext, Toleration as PodToleration, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use oci_spec::distribution::Reference;
use oh_runtime_api::{
    AGENT_DIR, AGENT_PATH, AgentPayload, Delivery, Entrypoint, Error, ErrorKind, Incarnation, Resources,
    Restrictions, Result, SandboxName, SandboxSpec, place_argv, serve_argv,
};

use crate::config::{K8sConfig, PullPolicy, SourceVolume, Toleration};
use crate::{labels, payload};

/// The container of the sandbox itself.
pub(crate) const SANDBOX: &str = "sandbox";
/// The init container that puts the agent in its place.
pub(crate) const PLACE: &str = "oh-agent";
/// Seconds between SIGTERM and SIGKILL when a Pod is deleted; the agent needs less.
pub(crate) const GRACE: u32 = 5;
/// Where the loader lies that unpacks the agent; it knows by itself where the rest is.
const LOAD_DIR: &str = "/.oh-load";
const LOADER: &str = "/.oh-load/oh-loader";
/// The volume with the ConfigMap, and the one with the agent.
const KEPT: &str = "oh-load";
const PLACED: &str = "oh-agent";
/// What can be written to where the image's files cannot.
const TMP: &str = "tmp";
/// The volume with the source tree.
const SOURCE: &str = "source";
/// Room for the agent.
const AGENT_ROOM: &str = "32Mi";
/// The variable with the Pod's uid. The agent keeps `KUBERNETES_…` from commands.
const UID: &str = "KUBERNETES_OH_UID";
/// Bytes of a name in the agent's address: the kernel takes 107, `oh-agent/`, a slash and a uid are 46.
const ADDRESS_NAME: usize = 61;

/// The Pod of `spec`, without its owner.
pub(crate) fn pod(
    spec: &SandboxSpec,
    agent: &AgentPayload,
    config: &K8sConfig,
    now: SystemTime,
) -> Result<Pod> {
    let bad = |kind, message: String| Error::new(kind, format!("create sandbox {}", spec.name), message);
    let invalid = |message| bad(ErrorKind::Config, message);
    spec.image.parse::<Reference>().map_err(|error| {
        bad(ErrorKind::ImageInvalid, format!("{:?} is no image name: {error}", spec.image))
    })?;
    if !spec.mounts.is_empty() {
        let message = "folders of this machine cannot be in a Pod, which runs on another".to_owned();
        return Err(bad(ErrorKind::Unsupported, message).hint("copy the files with `oh cp`"));
    }
    let resources = resources(&spec.resources).map_err(invalid)?;
    let beside = match &spec.entrypoint {
        None => Vec::new(),
        // Or Kubernetes puts variables' values where `$(…)` stands.
        Some(Entrypoint::Command(command)) => command.iter().map(|word| word.replace('$', "$$")).collect(),
        Some(Entrypoint::OfImage) => {
            let message = format!("which entrypoint the image {} has is not known here", spec.image);
            return Err(bad(ErrorKind::Unsupported, message)
                .hint("say the command itself: its program and arguments"));
        }
    };
    let Restrictions { read_only_root, restricted } = spec.restrictions;
    let (stored, full) = labels::store(&spec.labels(agent, now));
    let besides = |own: &BTreeMap<String, String>, ours| own.clone().into_iter().chain(ours).collect();
    let (stored, annotations) = (besides(&config.labels, stored), besides(&config.annotations, full));
    let container = |name: &str, image: &str, command: Vec<String>, mounts| Container {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some(pull_policy(config.pull).to_owned()),
        command: Some(command),
        resources: Some(resources.clone()),
        security_context: (read_only_root || restricted).then(|| SecurityContext {
            read_only_root_filesystem: read_only_root.then_some(true),
            allow_privilege_escalation: restricted.then_some(false),
            capabilities: restricted
                .then(|| Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() }),
            ..SecurityContext::default()
        }),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(mounts),
        ..Container::default()
    };
    let placed = mount(PLACED, AGENT_DIR, false);
    let place = match (&agent.delivery, place_argv(agent)) {
        (Delivery::Memory, _) => None,
        (Delivery::Image(image), Some(argv)) => Some(container(PLACE, image, argv, vec![placed])),
        (_, Some(argv)) => Some(container(PLACE, &spec.image, argv, vec![placed])),
        (_, None) => {
            let mounts = vec![mount(KEPT, LOAD_DIR, true), placed];
            Some(container(PLACE, &spec.image, vec![LOADER.to_owned()], mounts))
        }
    };
    let serve = serve_argv(&address(&spec.name, &format!("$({UID})")), spec.ttl, spec.lease, &beside);
    let serve = serve.into_iter().map(|word| word.to_string_lossy().into_owned());
    let mut mounts = vec![mount(PLACED, AGENT_DIR, true)];
    let mut volumes = volumes(agent);
    if read_only_root {
        mounts.push(mount(TMP, "/tmp", false));
        volumes.push(empty(TMP, None));
    }
    if let Some(source) = &config.source {
        mounts.push(mount(SOURCE, &source_target(&source.target).map_err(invalid)?, true));
        volumes.push(source_volume(&source.from));
    }
    let sandbox = Container {
        env: Some(environment(spec).map_err(invalid)?),
        ..container(SANDBOX, &spec.image, serve.collect(), mounts)
    };
    let names = |names: &[String]| {
        let references = names.iter().map(|name| LocalObjectReference { name: name.clone() });
        Some(references.collect::<Vec<_>>()).filter(|all| !all.is_empty())
    };
    let tolerations: Vec<_> = config.tolerations.iter().map(toleration).collect();
    Ok(Pod {
        metadata: ObjectMeta {
            name: Some(spec.name.to_string()),
            labels: Some(stored),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            init_containers: place.map(|container| vec![container]),
            containers: vec![sandbox],
            volumes: Some(volumes),
            restart_policy: Some("Never".to_owned()),
            // The agent ends at its time; this is for when it cannot. It counts from before the image is pulled.
            active_deadline_seconds: i64::try_from((spec.ttl + config.start_timeout).as_secs()).ok(),
            termination_grace_period_seconds: Some(i64::from(GRACE)),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            service_account_name: config.service_account.clone(),
            priority_class_name: config.priority_class.clone(),
            runtime_class_name: config.runtime_class.clone(),
            image_pull_secrets: names(&config.image_pull_secrets),
            node_selector: Some(node_selector(config, agent)),
            tolerations: Some(tolerations).filter(|all| !all.is_empty()),
            security_context: Some(security(spec.user.as_deref(), restricted).map_err(|message| {
                bad(ErrorKind::Unsupported, message).hint("use numbers, as in `1000` or `1000:1000`")
            })?),
            ..PodSpec::default()
        }),
        status: None,
    })
}

/// What makes the Pod go when its run does.
pub(crate) fn owner(name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: "coordination.k8s.io/v1".to_owned(),
        kind: "Lease".to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        ..OwnerReference::default()
    }
}

/// What is executed in a Pod to reach its agent. The address holds the Pod's uid: a Pod that has taken the name of
/// another one is never talked to in its place, without asking the server first.
pub(crate) fn bridge(id: &Incarnation) -> [String; 3] {
    [AGENT_PATH.to_owned(), "bridge".to_owned(), address(&id.name, &id.uid)]
}

fn address(name: &SandboxName, uid: &str) -> String {
    let name = name.as_str();
    format!("{}/{uid}", name.get(..ADDRESS_NAME).unwrap_or(name))
}

/// `pod` for people to read: without the values of the environment, which may be secrets.
pub(crate) fn described(pod: &Pod) -> Result<serde_json::Value> {
    let mut pod = pod.clone();
    let containers = pod.spec.iter_mut().flat_map(|spec| &mut spec.containers);
    for variable in containers.flat_map(|container| container.env.iter_mut().flatten()) {
        if let Some(value) = &mut variable.value {
            "(hidden)".clone_into(value);
        }
    }
    serde_json::to_value(pod).map_err(|error| {
        Error::new(ErrorKind::Internal, "describe the sandbox", error.to_string()).caused_by(error)
    })
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

fn volumes(agent: &AgentPayload) -> Vec<Volume> {
    let kept = |name: &str, items| Volume {
        name: name.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: payload::name(agent),
            default_mode: Some(0o555),
            items,
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    };
    let room = empty(PLACED, Some(Quantity(AGENT_ROOM.to_owned())));
    match agent.delivery {
        Delivery::Upload => vec![kept(KEPT, None), room],
        Delivery::Image(_) | Delivery::Present(_) => vec![room],
        // The loader stands in the agent's place, and executes it.
        Delivery::Memory => {
            let item = |key: &str, path: &str| KeyToPath {
                key: key.to_owned(),
                path: path.to_owned(),
                ..KeyToPath::default()
            };
            let items = vec![item(payload::LOADER, "oh-agent"), item(payload::PACKED, payload::PACKED)];
            vec![kept(PLACED, Some(items))]
        }
    }
}

fn empty(name: &str, size_limit: Option<Quantity>) -> Volume {
    let source = EmptyDirVolumeSource { size_limit, ..EmptyDirVolumeSource::default() };
    Volume { name: name.to_owned(), empty_dir: Some(source), ..Volume::default() }
}

fn source_volume(from: &SourceVolume) -> Volume {
    let volume = Volume { name: SOURCE.to_owned(), ..Volume::default() };
    match from {
        SourceVolume::Node(path) => Volume {
            host_path: Some(HostPathVolumeSource {
                path: path.to_string_lossy().into_owned(),
                // Or the kubelet makes an empty one where it is missing.
                type_: Some("Directory".to_owned()),
            }),
            ..volume
        },
        SourceVolume::Claim(name) => Volume {
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: name.clone(),
                read_only: Some(true),
            }),
            ..volume
        },
    }
}

/// Where the source tree is mounted; nothing can be where the agent is.
fn source_target(path: &Path) -> Result<String, String> {
    let outside = path.is_absolute() && path != Path::new("/") && !path.starts_with(AGENT_DIR);
    let text = path.to_str().filter(|text| outside && !text.contains([':', '\0']));
    text.map(str::to_owned).ok_or_else(|| format!("nothing can be mounted at {}", path.display()))
}

const fn pull_policy(policy: PullPolicy) -> &'static str {
    match policy {
        PullPolicy::Missing => "IfNotPresent",
        PullPolicy::Never => "Never",
        PullPolicy::Always => "Always",
    }
}

/// Memory as request and limit, a share of the CPU but no quota, and writable disk.
fn resources(resources: &Resources) -> Result<ResourceRequirements, String> {
    let Resources { cpu, memory, ephemeral_storage, pids: _ } = *resources;
    if !(cpu.is_finite() && cpu > 0.0) {
        return Err(format!("{cpu} cores are no amount of CPU"));
    }
    if memory == 0 || ephemeral_storage == 0 {
        return Err("0 bytes are no amount of memory or disk".to_owned());
    }
    let quantity = |name: &str, amount: String| (name.to_owned(), Quantity(amount));
    let limits = BTreeMap::from([
        quantity("memory", memory.to_string()),
        quantity("ephemeral-storage", ephemeral_storage.to_string()),
    ]);
    let mut requests = limits.clone();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounding up is what is wanted, of a positive number"
    )]
    requests.extend([quantity("cpu", format!("{}m", (cpu * 1000.0).ceil() as i64))]);
    Ok(ResourceRequirements {
        limits: Some(limits),
        requests: Some(requests),
        ..ResourceRequirements::default()
    })
}

fn node_selector(config: &K8sConfig, agent: &AgentPayload) -> BTreeMap<String, String> {
    let arch = match agent.arch.as_str() {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let mut labels = config.node_selector.clone();
    labels.insert("kubernetes.io/arch".to_owned(), arch.to_owned());
    labels
}

fn toleration(toleration: &Toleration) -> PodToleration {
    let Toleration { key, operator, value, effect } = toleration.clone();
    PodToleration { key, operator, value, effect, ..PodToleration::default() }
}

/// Kubernetes takes users by number only; it does not look into the image. One name is the same number everywhere.
fn security(user: Option<&str>, restricted: bool) -> Result<PodSecurityContext, String> {
    let number = |text: &str| {
        if text == "root" {
            return Ok(0);
        }
        let number = text.parse::<u32>().map(i64::from);
        number.map_err(|_| format!("Kubernetes runs a Pod as a user given by number, and {text:?} is none"))
    };
    let (user, group) =
        match user.map(|user| user.split_once(':').map_or((user, None), |(u, g)| (u, Some(g)))) {
            Some((user, group)) => (Some(number(user)?), group.map(number).transpose()?),
            None => (None, None),
        };
    Ok(PodSecurityContext {
        run_as_user: user,
        run_as_group: group,
        // The kubelet looks into the image where no user is given.
        run_as_non_root: restricted.then_some(true),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    })
}

fn environment(spec: &SandboxSpec) -> Result<Vec<EnvVar>, String> {
    let uid = EnvVar {
        name: UID.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: "metadata.uid".to_owned(),
                ..ObjectFieldSelector::default()
            }),
            ..EnvVarSource::default()
        }),
        value: None,
    };
    std::iter::once(Ok(uid)).chain(spec.env.iter().map(variable)).collect()
}

fn variable((name, value): (&String, &String)) -> Result<EnvVar, String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(format!("{name:?} cannot be the name of an environment variable"));
    }
    if value.contains('\0') {
        return Err(format!("the value of the environment variable {name} holds a zero byte"));
    }
    // Or Kubernetes puts other variables' values where `$(…)` stands.
    Ok(EnvVar { name: name.clone(), value: Some(value.replace('$', "$$")), value_from: None })
}

#[cfg(test)]
mod tests;
