//! The backend itself.

use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as State};
use bollard::query_parameters::ListContainersOptionsBuilder;
use oh_runtime_api::{
    AgentPayload, Backend, Capabilities, DeleteReport, Duplex, Entrypoint, Evidence, Incarnation, LogOptions,
    LogStream, Result, SandboxInfo, SandboxName, SandboxSpec, SandboxState, Selector, label,
};

use crate::client::Client;
use crate::config::DockerConfig;
use crate::image::Images;
use crate::payload::Payloads;
use crate::{collect, container, create, evidence, logs, pause, remove, stream};

/// Sandboxes as containers of one Docker engine.
#[derive(Debug)]
pub struct DockerBackend {
    pub(crate) client: Client,
    pub(crate) images: Images,
    pub(crate) payloads: Payloads,
    network: Option<String>,
}

impl DockerBackend {
    /// Connects to an engine that answers.
    ///
    /// # Errors
    /// [`Unavailable`](oh_runtime_api::ErrorKind::Unavailable) with where it looked and what to do;
    /// [`Config`](oh_runtime_api::ErrorKind::Config) and [`Forbidden`](oh_runtime_api::ErrorKind::Forbidden) when
    /// `config` cannot be used; [`Unsupported`](oh_runtime_api::ErrorKind::Unsupported) when the engine is too old.
    pub async fn connect(config: DockerConfig) -> Result<Self> {
        config.check_network()?;
        let client = Client::connect(config.endpoint()?).await?;
        Ok(Self {
            client,
            images: Images::new(&config),
            payloads: Payloads::default(),
            network: config.network,
        })
    }

    pub(crate) fn network(&self) -> Option<&str> {
        self.network.as_deref()
    }
}

impl fmt::Display for DockerBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("docker")
    }
}

#[async_trait]
impl Backend for DockerBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            isolated: true,
            agent_protected: true,
            resource_limits: true,
            process_limit: true,
            mounts: true,
            own_root: true,
            remote: self.client.is_remote(),
            keeps_agents: true,
            pauses: true,
        }
    }

    fn render(&self, spec: &SandboxSpec, agent: &AgentPayload) -> Result<serde_json::Value> {
        // Which entrypoint an image has, only the engine knows.
        let beside = match &spec.entrypoint {
            Some(Entrypoint::Command(command)) => command.clone(),
            Some(Entrypoint::OfImage) => vec!["(the image's entrypoint)".to_owned()],
            None => Vec::new(),
        };
        let body = container::body(spec, agent, self.network(), &beside, SystemTime::now())?;
        container::described(spec.name.as_str(), body)
    }

    async fn create(&self, spec: &SandboxSpec, agent: &AgentPayload) -> Result<Incarnation> {
        create::create(self, spec, agent).await
    }

    async fn list(&self, which: &Selector) -> Result<Vec<SandboxInfo>> {
        list(&self.client, which).await
    }

    async fn open_stream(&self, id: &Incarnation) -> Result<Box<dyn Duplex>> {
        stream::open(&self.client, id).await
    }

    async fn logs(&self, id: &Incarnation, options: LogOptions) -> Result<LogStream> {
        logs::open(&self.client, id, options).await
    }

    async fn evidence(&self, id: &Incarnation) -> Result<Evidence> {
        evidence::gather(&self.client, id).await
    }

    async fn pause(&self, id: &Incarnation) -> Result<()> {
        pause::pause(&self.client, id).await
    }

    async fn resume(&self, id: &Incarnation) -> Result<()> {
        pause::resume(&self.client, id).await
    }

    async fn delete(&self, id: &Incarnation) -> Result<DeleteReport> {
        let report = remove::remove(&self.client, &id.uid, &format!("remove sandbox {}", id.name)).await?;
        tracing::debug!(sandbox = %id.name, ?report, "removed");
        Ok(report)
    }

    async fn collect_agents(&self, dry_run: bool) -> Result<Vec<String>> {
        collect::agents(&self.client, dry_run).await
    }
}

/// See [`Backend::list`].
pub(crate) async fn list(client: &Client, which: &Selector) -> Result<Vec<SandboxInfo>> {
    let selected = which.labels().into_iter().map(|(key, value)| format!("{key}={value}"));
    let labels: Vec<String> = std::iter::once(label::SANDBOX.to_owned()).chain(selected).collect();
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&std::collections::HashMap::from([("label", labels)]))
        .build();
    let found = client.calls.list_containers(Some(options)).await;
    let found = found.map_err(|error| client.error("list the sandboxes", error))?;
    Ok(found.into_iter().filter_map(info).collect())
}

/// A container as a sandbox; `None` when it is none, whatever its labels say.
fn info(found: ContainerSummary) -> Option<SandboxInfo> {
    let labels = found.labels.unwrap_or_default();
    let name = SandboxName::new(labels.get(label::SANDBOX)?.as_str()).ok()?;
    let seconds = found.created.and_then(|seconds| u64::try_from(seconds).ok());
    Some(SandboxInfo {
        incarnation: Incarnation { name, uid: found.id? },
        state: match found.state {
            Some(State::CREATED) => SandboxState::Created,
            Some(State::RUNNING | State::RESTARTING | State::STOPPING) => SandboxState::Running,
            Some(State::PAUSED) => SandboxState::Paused,
            Some(State::EXITED | State::DEAD | State::REMOVING | State::EMPTY) | None => SandboxState::Exited,
        },
        created: seconds.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
        labels: labels.into_iter().collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_container_is_a_sandbox_by_its_label() {
        let listed = |name: &str, state| {
            info(ContainerSummary {
                id: Some("c0ffee".to_owned()),
                created: Some(1000),
                state: Some(state),
                labels: Some(container::pairs(&[(label::SANDBOX, name), ("other", "1")])),
                ..ContainerSummary::default()
            })
        };
        let seen = listed("box", State::PAUSED).unwrap();
        assert_eq!(seen.incarnation.uid, "c0ffee");
        assert_eq!(seen.incarnation.name.as_str(), "box");
        assert_eq!(seen.state, SandboxState::Paused);
        assert_eq!(seen.created, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1000)));
        assert_eq!(seen.labels.len(), 2);
        assert_eq!(listed("box", State::CREATED).unwrap().state, SandboxState::Created);
        assert_eq!(listed("box", State::REMOVING).unwrap().state, SandboxState::Exited);
        assert_eq!(listed("No Name", State::RUNNING), None);
    }
}
