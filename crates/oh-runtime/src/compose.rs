//! From the configuration to a backend. The only place that names backends.

use std::sync::Arc;

use oh_config::{Config, LocalConfig, RuntimeKind};
use oh_runtime_api::{Backend, Error, ErrorKind, Mount, Resources, Result};
use oh_runtime_local::LocalBackend;

use crate::runtime::Defaults;

/// The backend the configuration names, after it answered.
pub(crate) async fn backend(config: &Config) -> Result<Arc<dyn Backend>> {
    Ok(match config.runtime {
        RuntimeKind::Docker => {
            return Err(Error::new(ErrorKind::Internal, "reach the backend", "docker is not there yet"));
        }
        RuntimeKind::Local => {
            let LocalConfig { state_dir, image_dir } = config.local.clone();
            Arc::new(LocalBackend::new(oh_runtime_local::LocalConfig { state_dir, image_dir })?)
        }
    })
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
        resources: Resources {
            cpu: resources.cpu,
            memory: resources.memory,
            ephemeral_storage: resources.ephemeral_storage,
            pids: resources.pids.get(),
        },
        env: sandbox.env.clone(),
        mounts: mounts.collect(),
        user: sandbox.user.clone(),
        start_timeout: sandbox.start_timeout,
    }
}
