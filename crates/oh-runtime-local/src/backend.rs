//! The trait's implementation.

use std::fmt;
use std::sync::Arc;
use std::sync::Once;

use async_trait::async_trait;
use oh_runtime_api::{
    AgentPayload, Backend, Capabilities, DeleteReport, Duplex, Error, ErrorKind, Evidence, Incarnation,
    LogOptions, LogStream, Result, SandboxInfo, SandboxSpec, SandboxState, Selector,
};
use serde_json::json;
use tokio::sync::oneshot;

use crate::create::{self, Making};
use crate::instance::{self, Instance};
use crate::{LocalConfig, image, launch, logs, remove, stream};

/// Processes in a folder. See the [crate](crate).
#[derive(Debug)]
pub struct LocalBackend {
    config: LocalConfig,
    warned: Once,
}

impl LocalBackend {
    /// Takes the configuration; the folders are made or looked at when they are needed.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) when a folder is no absolute path.
    pub fn new(config: LocalConfig) -> Result<Self> {
        for (option, folder) in [("state_dir", &config.state_dir), ("image_dir", &config.image_dir)] {
            if !folder.is_absolute() {
                let message = format!("local.{option} is no absolute path: {}", folder.display());
                return Err(Error::new(ErrorKind::Config, "open the local backend", message));
            }
        }
        Ok(Self { config, warned: Once::new() })
    }
}

impl fmt::Display for LocalBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("local")
    }
}

#[async_trait]
impl Backend for LocalBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            isolated: false,
            agent_protected: false,
            resource_limits: false,
            process_limit: false,
            mounts: true,
            own_root: false,
            remote: false,
            keeps_agents: false,
            pauses: false,
        }
    }

    fn render(&self, spec: &SandboxSpec, agent: &AgentPayload) -> Result<serde_json::Value> {
        let operation = format!("describe sandbox {}", spec.name);
        create::check(spec, &agent.delivery, &operation)?;
        image::check(&spec.image, &operation)?;
        let instance = Instance::of(&self.config.state_dir, &spec.name);
        let words = launch::argv(&instance, &instance.path.join("enter.sh"), spec);
        Ok(json!({
            "image": spec.image,
            "copied": image::folder(&self.config.image_dir, &spec.image),
            "root": instance.root(),
            "command": words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>(),
            "env": launch::environment(spec).keys().collect::<Vec<_>>(),
            "labels": spec.labels(agent, std::time::SystemTime::now()),
        }))
    }

    async fn create(&self, spec: &SandboxSpec, agent: &AgentPayload) -> Result<Incarnation> {
        let operation = format!("create sandbox {}", spec.name);
        create::check(spec, &agent.delivery, &operation)?;
        create::prepare(&self.config.state_dir, &operation)?;
        if let Some(existing) = create::existing(&self.config.state_dir, spec, &operation)? {
            return Ok(existing);
        }
        let rootfs = image::find(&self.config.image_dir, &spec.image, &operation)?;
        self.warned.call_once(|| {
            tracing::warn!(
                "the local backend isolates nothing: commands can use and change this machine as you can"
            );
        });
        if let Err(error) = remove::sweep(&self.config.state_dir).await {
            tracing::warn!(%error, "what an interrupted program left cannot be removed");
        }
        let (wanted, is_wanted) = oneshot::channel();
        let making = Making::new(
            self.config.state_dir.clone(),
            rootfs,
            spec.clone(),
            agent.clone(),
            operation.clone(),
        );
        // A task of its own: it cleans up even when this future is dropped.
        let made = tokio::spawn(making.run(is_wanted)).await;
        drop(wanted);
        made.unwrap_or_else(|error| Err(internal(&operation).caused_by(error)))
    }

    async fn list(&self, which: &Selector) -> Result<Vec<SandboxInfo>> {
        let operation = "list sandboxes";
        let state_dir = Arc::new(self.config.state_dir.clone());
        let reading = Arc::clone(&state_dir);
        let all = tokio::task::spawn_blocking(move || instance::list(&reading)).await;
        let all = all.map_err(|error| internal(operation).caused_by(error))?;
        let mut found = all.map_err(|error| instance::unreadable(&state_dir, &error, operation))?;
        let wanted = which.labels();
        found.retain(|info| wanted.iter().all(|(key, value)| info.labels.get(key) == Some(value)));
        Ok(found)
    }

    async fn open_stream(&self, id: &Incarnation) -> Result<Box<dyn Duplex>> {
        let operation = format!("connect to sandbox {}", id.name);
        let (instance, meta) = instance::find(&self.config.state_dir, id, &operation)?;
        match stream::connect(&instance.agent_dir(), meta.agent).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(_) if meta.state() == SandboxState::Exited => {
                Err(Error::new(ErrorKind::Ended, operation, "its first process ended"))
            }
            Err(error) => {
                Err(Error::new(ErrorKind::StreamLost, operation, format!("no agent is listening: {error}")))
            }
        }
    }

    async fn logs(&self, id: &Incarnation, options: LogOptions) -> Result<LogStream> {
        let operation = format!("read the log of sandbox {}", id.name);
        let (instance, meta) = instance::find(&self.config.state_dir, id, &operation)?;
        let log = logs::stream(&instance, meta.agent, options, operation.clone()).await;
        log.map_err(|error| instance::unreadable(&instance.path, &error, &operation))
    }

    async fn evidence(&self, id: &Incarnation) -> Result<Evidence> {
        let operation = format!("look at sandbox {}", id.name);
        let (instance, meta) = instance::find(&self.config.state_dir, id, &operation)?;
        Ok(Evidence {
            state: meta.state(),
            // Nobody waits for the agent once its maker is gone, and the kernel does not say what it did.
            exit_code: None,
            oom_killed: false,
            message: None,
            log_tail: logs::last(&instance, logs::LAST_WORDS).unwrap_or_default(),
        })
    }

    async fn delete(&self, id: &Incarnation) -> Result<DeleteReport> {
        let operation = format!("remove sandbox {}", id.name);
        remove::delete(&self.config.state_dir, id, &operation).await
    }
}

fn internal(operation: &str) -> Error {
    Error::new(ErrorKind::Internal, operation, "a task of ours failed")
}
