//! The backend itself.

use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;
use kube::api::ListParams;
use oh_runtime_api::{
    AgentPayload, Backend, Capabilities, DeleteReport, Duplex, Evidence, Incarnation, LogOptions, LogStream,
    Result, SandboxInfo, SandboxSpec, Selector,
};

use crate::client::Client;
use crate::config::K8sConfig;
use crate::lease::Leases;
use crate::payload::Payloads;
use crate::watch::Watch;
use crate::{collect, create, evidence, labels, logs, pod, remove, stream};

/// Sandboxes as Pods of one namespace.
#[derive(Debug)]
pub struct K8sBackend {
    pub(crate) client: Client,
    pub(crate) config: K8sConfig,
    pub(crate) payloads: Payloads,
    pub(crate) leases: Leases,
    pub(crate) watch: Watch,
}

impl K8sBackend {
    /// Finds out where the cluster is and who we are. The first request finds out whether it answers: asking before
    /// would make every short command longer.
    ///
    /// # Errors
    /// [`Config`](oh_runtime_api::ErrorKind::Config) with what was looked for and what to do.
    pub async fn connect(config: K8sConfig) -> Result<Self> {
        let client = Client::connect(&config).await?;
        let (payloads, leases, watch) = (Payloads::default(), Leases::default(), Watch::new());
        Ok(Self { client, config, payloads, leases, watch })
    }
}

impl fmt::Display for K8sBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("k8s")
    }
}

#[async_trait]
impl Backend for K8sBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            isolated: true,
            agent_protected: true,
            resource_limits: true,
            process_limit: false,
            mounts: false,
            own_root: true,
            remote: true,
            keeps_agents: true,
            pauses: false,
        }
    }

    fn render(&self, spec: &SandboxSpec, agent: &AgentPayload) -> Result<serde_json::Value> {
        let mut pod = pod::pod(spec, agent, &self.config, SystemTime::now())?;
        pod.metadata.namespace = Some(self.client.namespace.clone());
        pod::described(&pod)
    }

    async fn create(&self, spec: &SandboxSpec, agent: &AgentPayload) -> Result<Incarnation> {
        create::create(self, spec, agent).await
    }

    async fn list(&self, which: &Selector) -> Result<Vec<SandboxInfo>> {
        let selected = ListParams::default().labels(&labels::selector(which));
        let list = || {
            let (pods, selected) = (self.client.pods(), &selected);
            async move { pods.list(selected).await }
        };
        let found = self.client.answer(list).await;
        let found = found.map_err(|error| self.client.error("list the sandboxes", error))?;
        Ok(found.iter().filter_map(evidence::info).collect())
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

    async fn delete(&self, id: &Incarnation) -> Result<DeleteReport> {
        let operation = format!("remove sandbox {}", id.name);
        let report = remove::remove(self, id.name.as_str(), &id.uid, &operation).await?;
        tracing::debug!(sandbox = %id.name, ?report, "removed");
        Ok(report)
    }

    async fn collect_agents(&self, dry_run: bool) -> Result<Vec<String>> {
        collect::agents(&self.client, dry_run).await
    }
}
