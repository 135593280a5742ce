//! The connection to a cluster.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use kube::Api;
use kube::api::ListParams;
use oh_runtime_api::{Error, ErrorKind, Outcome, Result};

use crate::config::K8sConfig;
use crate::error;

/// How long the server may take to answer. Streams have no such limit, so kube itself has none.
const ANSWER: Duration = Duration::from_secs(60);

/// A connection to one namespace of one cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) kube: kube::Client,
    pub(crate) namespace: String,
    address: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.address).field("namespace", &self.namespace).finish()
    }
}

impl Client {
    /// Nothing is sent yet: the first request finds out whether the cluster answers.
    pub(crate) async fn connect(config: &K8sConfig) -> Result<Self> {
        let connection = config.connection().await?;
        let (address, namespace) = (connection.cluster_url.to_string(), connection.default_namespace.clone());
        let kube = kube::Client::try_from(connection).map_err(|error| {
            let message = format!("the connection to {address} cannot be set up: {error}");
            Error::new(ErrorKind::Config, "reach the Kubernetes cluster", message).caused_by(error)
        })?;
        Ok(Self { kube, namespace, address })
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    pub(crate) fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    pub(crate) fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    /// What was reported about the object `uid`, the oldest first. Nothing when it cannot be had: it only explains.
    pub(crate) async fn events(&self, uid: &str) -> Vec<Event> {
        let events: Api<Event> = Api::namespaced(self.kube.clone(), &self.namespace);
        let about = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
        match tokio::time::timeout(ANSWER, events.list(&about)).await {
            Ok(Ok(found)) => {
                let mut events = found.items;
                events.sort_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0));
                events
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "the events cannot be read");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }

    /// The version the server says it has.
    pub(crate) async fn server_version(&self) -> String {
        match tokio::time::timeout(ANSWER, self.kube.apiserver_version()).await {
            Ok(Ok(version)) => version.git_version,
            _ => "of an unknown version".to_owned(),
        }
    }

    /// The answer to a request, which has to come in time.
    pub(crate) async fn answer<T>(
        &self,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Unanswered> {
        match tokio::time::timeout(ANSWER, request).await {
            Ok(answer) => answer.map_err(Unanswered::Error),
            Err(_) => Err(Unanswered::Late),
        }
    }

    /// What a request that was not answered means when nothing more is known about it.
    pub(crate) fn error(&self, operation: impl Into<String>, unanswered: Unanswered) -> Error {
        match unanswered {
            Unanswered::Error(error) => error::translate(&self.address, &self.namespace, operation, error),
            Unanswered::Late => {
                let message = format!(
                    "the Kubernetes API server at {} does not answer within {} s",
                    self.address,
                    ANSWER.as_secs()
                );
                Error::new(ErrorKind::Unavailable, operation, message).outcome_is(Outcome::Unknown)
            }
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// It is a refusal, or none came.
    Error(kube::Error),
    /// It did not come in time.
    Late,
}

impl Unanswered {
    /// The HTTP status of a refusal, otherwise 0.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Error(kube::Error::Api(status)) => status.code,
            _ => 0,
        }
    }
}
