//! From the configuration to a backend. The only place that names backends.

use std::sync::Arc;

use oh_config::{AgentConfig, Config, DeliveryKind, LocalConfig, RuntimeKind};
use oh_runtime_api::{Backend, Delivery, Error, ErrorKind, Mount, Resources, Restrictions, Result};
use oh_runtime_docker::{DockerBackend, DockerConfig, PullPolicy};
use oh_runtime_k8s::{K8sBackend, K8sConfig, Toleration};
use oh_runtime_local::LocalBackend;

use crate::runtime::Defaults;

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
            oh_config::PullPolicy::Missing => PullPolicy::Missing,
            oh_config::PullPolicy::Never => PullPolicy::Never,
            oh_config::PullPolicy::Always => PullPolicy::Always,
        },
        pull_timeout: config.sandbox.start_timeout,
        network: docker.network.clone(),
    }
}

fn k8s(config: &Config) -> K8sConfig {
    let k8s = &config.k8s;
    K8sConfig {
        kubeconfig: k8s.kubeconfig.clone(),
        context: k8s.context.clone(),
        namespace: k8s.namespace.clone(),
        image_pull_secrets: k8s.image_pull_secrets.clone(),
        node_selector: k8s.node_selector.clone(),
        tolerations: k8s
            .tolerations
            .iter()
            .map(|toleration| Toleration {
                key: toleration.key.clone(),
                operator: toleration.operator.clone(),
                value: toleration.value.clone(),
                effect: toleration.effect.clone(),
            })
            .collect(),
        schedule_timeout: k8s.schedule_timeout,
        start_timeout: config.sandbox.start_timeout,
    }
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
        env: sandbox.env.clone(),
        mounts: mounts.collect(),
        user: sandbox.user.clone(),
        restrictions: Restrictions { read_only_root: sandbox.read_only_root, restricted: sandbox.restricted },
        start_timeout: sandbox.start_timeout,
    }
}
