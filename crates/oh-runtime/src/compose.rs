//! From the configuration to a backend. The only place that names backends.

use std::collections::BTreeMap;
use std::sync::Arc;

use oh_config::{AgentConfig, Config, DeliveryKind, LocalConfig, PullPolicy, RuntimeKind, SourceConfig};
use oh_runtime_api::{Backend, Delivery, Error, ErrorKind, Mount, Resources, Restrictions, Result};
use oh_runtime_docker::{DockerBackend, DockerConfig, RegistryLogin};
use oh_runtime_k8s::{K8sBackend, K8sConfig, SourceTree, SourceVolume, Toleration};
use oh_runtime_local::LocalBackend;

use crate::runtime::Defaults;

/// Where Python looks first.
const PYTHONPATH: &str = "PYTHONPATH";

/// The backend the configuration names, after it answered.
pub(crate) async fn backend(config: &Config) -> Result<Arc<dyn Backend>> {
    Ok(match config.runtime {
        RuntimeKind::Docker => Arc::new(DockerBackend::connect(docker(config)).await?),
        RuntimeKind::K8s => Arc::new(K8sBackend::connect(k8s(config)).await?),
        RuntimeKind::Local => {
            let LocalConfig { state_dir, image_dir } = config.local.clone();
            Arc::new(LocalBackend::new(oh_runtime_local::LocalConfig { state_dir, image_dir })?)
        }
    })
}

fn docker(config: &Config) -> DockerConfig {
    let docker = &config.docker;
    DockerConfig {
        host: docker.host.clone(),
        tls_verify: docker.tls_verify,
        cert_path: docker.cert_path.clone(),
        pull: match docker.pull {
            PullPolicy::Missing => oh_runtime_docker::PullPolicy::Missing,
            PullPolicy::Never => oh_runtime_docker::PullPolicy::Never,
            PullPolicy::Always => oh_runtime_docker::PullPolicy::Always,
        },
        pull_timeout: config.sandbox.start_timeout,
        registry: login(docker),
        network: docker.network.clone(),
    }
}

/// The configuration has all three of them, or none.
fn login(docker: &oh_config::DockerConfig) -> Option<RegistryLogin> {
    Some(RegistryLogin {
        host: docker.registry.clone()?,
        user: docker.registry_user.clone()?,
        password: docker.registry_password.as_ref()?.expose().to_owned(),
    })
}

fn k8s(config: &Config) -> K8sConfig {
    let k8s = &config.k8s;
    K8sConfig {
        kubeconfig: k8s.kubeconfig.clone(),
        context: k8s.context.clone(),
        namespace: k8s.namespace.clone(),
        service_account: k8s.service_account.clone(),
        image_pull_secrets: k8s.image_pull_secrets.clone(),
        pull: match k8s.pull {
            PullPolicy::Missing => oh_runtime_k8s::PullPolicy::Missing,
            PullPolicy::Never => oh_runtime_k8s::PullPolicy::Never,
            PullPolicy::Always => oh_runtime_k8s::PullPolicy::Always,
        },
        node_selector: k8s.node_selector.clone(),
        tolerations: k8s
            .tolerations
            .iter()
            .map(|toleration| Toleration {
                key: toleration.key.clone(),
                operator: toleration.operator.map(|operator| operator.to_string()),
                value: toleration.value.clone(),
                effect: toleration.effect.map(|effect| effect.to_string()),
            })
            .collect(),
        labels: k8s.labels.clone(),
        annotations: k8s.annotations.clone(),
        priority_class: k8s.priority_class.clone(),
        runtime_class: k8s.runtime_class.clone(),
        source: source_tree(&config.source),
        schedule_timeout: k8s.schedule_timeout,
        start_timeout: config.sandbox.start_timeout,
    }
}

fn source_tree(source: &SourceConfig) -> Option<SourceTree> {
    let from = match (&source.claim, &source.path) {
        _ if !source.mount => return None,
        (Some(claim), _) => SourceVolume::Claim(claim.clone()),
        (None, path) => SourceVolume::Node(path.clone()?),
    };
    Some(SourceTree { from, target: source.target.clone() })
}

/// How the agent may be delivered, the first that works: as the configuration says, else all that can be.
pub(crate) fn deliveries(agent: &AgentConfig) -> Result<Vec<Delivery>> {
    let missing = |word: DeliveryKind, key: &str| {
        let message = format!("agent.delivery names {word}, and agent.{key} is not set");
        Error::new(ErrorKind::Config, "find out how to deliver the agent", message)
    };
    let all = |kind| match kind {
        DeliveryKind::Upload => Ok(Delivery::Upload),
        DeliveryKind::Memory => Ok(Delivery::Memory),
        DeliveryKind::Image => agent.image.clone().map(Delivery::Image).ok_or_else(|| missing(kind, "image")),
        DeliveryKind::Present => {
            agent.present.clone().map(Delivery::Present).ok_or_else(|| missing(kind, "present"))
        }
    };
    match &agent.delivery {
        Some(named) => named.iter().copied().map(all).collect(),
        None => Ok(DeliveryKind::ALL.iter().copied().filter_map(|kind| all(kind).ok()).collect()),
    }
}

/// What holds for every sandbox.
pub(crate) fn defaults(config: &Config) -> Defaults {
    let (sandbox, resources) = (&config.sandbox, &config.resources);
    let mounts = sandbox.mounts.iter().map(|mount| Mount {
        source: mount.source.clone(),
        target: mount.target.clone(),
        read_only: mount.read_only,
    });
    let env = sandbox.env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
    let (mut mounts, mut env): (Vec<_>, BTreeMap<_, _>) = (mounts.collect(), env.collect());
    if config.source.mount {
        // On Kubernetes it is a volume of the Pod.
        let here = config.source.path.clone().filter(|_| config.runtime != RuntimeKind::K8s);
        let target = config.source.target.clone();
        mounts.extend(here.map(|source| Mount { source, target, read_only: true }));
        let path = env.entry(PYTHONPATH.to_owned()).or_default();
        *path =
            [&*config.source.target.to_string_lossy(), &**path].join(":").trim_end_matches(':').to_owned();
    }
    Defaults {
        owner: config.owner.clone(),
        ttl: sandbox.ttl,
        lease: sandbox.lease,
        resources: Resources {
            cpu: resources.cpu,
            memory: resources.memory,
            ephemeral_storage: resources.ephemeral_storage,
            pids: resources.pids.get(),
        },
        env,
        mounts,
        user: sandbox.user.clone(),
        restrictions: Restrictions { read_only_root: sandbox.read_only_root, restricted: sandbox.restricted },
        start_timeout: sandbox.start_timeout,
    }
}

#[cfg(test)]
mod tests {
    use oh_config::{ConfigBuilder, Environment};

    use super::*;

    fn config() -> ConfigBuilder {
        Config::builder().environment(Environment::default()).owner("me")
    }

    #[test]
    fn a_source_tree_is_a_mount_and_comes_first_in_pythonpath() {
        let with = |runtime| {
            let builder = config().runtime(runtime).source_mount(true).source_path("/src");
            builder.sandbox_env([("PYTHONPATH".to_owned(), "/mine".into())]).load().unwrap()
        };
        let docker = defaults(&with(RuntimeKind::Docker));
        let mount = Mount { source: "/src".into(), target: "/app/openhands".into(), read_only: true };
        assert_eq!((docker.mounts, &*docker.env["PYTHONPATH"]), (vec![mount], "/app/openhands:/mine"));

        let pods = with(RuntimeKind::K8s);
        assert_eq!(defaults(&pods).mounts, []);
        assert_eq!(defaults(&pods).env["PYTHONPATH"], "/app/openhands:/mine");
        let tree = SourceTree { from: SourceVolume::Node("/src".into()), target: "/app/openhands".into() };
        assert_eq!(k8s(&pods).source, Some(tree));

        let none = config().load().unwrap();
        assert_eq!((defaults(&none).env, k8s(&none).source), (BTreeMap::new(), None));
        let claim =
            config().runtime(RuntimeKind::K8s).source_mount(true).source_claim("code").load().unwrap();
        assert_eq!(defaults(&claim).env["PYTHONPATH"], "/app/openhands");
        assert_eq!(k8s(&claim).source.unwrap().from, SourceVolume::Claim("code".into()));
    }

    #[test]
    fn a_registry_is_logged_in_to_with_all_three() {
        let builder = config().docker_registry("r.example.com").docker_registry_user("robot");
        let config = builder.docker_registry_password("s3cret").load().unwrap();
        let login = docker(&config).registry.unwrap();
        assert_eq!((&*login.host, &*login.user, &*login.password), ("r.example.com", "robot", "s3cret"));
    }
}
