//! The connection to a cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use kube::Api;
use kube::api::ListParams;
use oh_runtime_api::{Error, ErrorKind, Outcome, Result};
use tokio::time::{Instant, sleep, timeout};

use crate::config::K8sConfig;
use crate::{error, transport};

/// How long the server may take to answer. Streams have no such limit, so kube itself has none.
const ANSWER: Duration = Duration::from_secs(60);
/// How long a server that has answered before may be away: a control plane that is restarted or replaced takes this long.
const ABSENCE: Duration = Duration::from_secs(60);
/// Pause before it is asked again; each one after is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A connection to one namespace of one cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) kube: kube::Client,
    pub(crate) namespace: String,
    address: String,
    /// Whether the server ever answered: one that never did is not there, or not what was meant.
    met: Arc<AtomicBool>,
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
        let kube = transport::client(connection).map_err(|error| {
            let message = format!("the connection to {address} cannot be set up: {error}");
            Error::new(ErrorKind::Config, "reach the Kubernetes cluster", message).caused_by(error)
        })?;
        Ok(Self { kube, namespace, address, met: Arc::default() })
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    /// The Pod of this name, as the server has it.
    pub(crate) async fn get_pod(&self, name: &str) -> kube::Result<Option<Pod>> {
        self.pods().get_opt(name).await
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
        match timeout(ANSWER, events.list(&about)).await {
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
        match timeout(ANSWER, self.kube.apiserver_version()).await {
            Ok(Ok(version)) => version.git_version,
            _ => "of an unknown version".to_owned(),
        }
    }

    /// The answer to a request, which has to come in time. A server that has answered before is asked again when it is
    /// away for a moment, so only requests that may be repeated go through here.
    pub(crate) async fn answer<T, F>(&self, request: impl Fn() -> F) -> Result<T, Unanswered>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match timeout(ANSWER, request()).await {
                Ok(Ok(answer)) => {
                    self.met.store(true, Ordering::Relaxed);
                    return Ok(answer);
                }
                Ok(Err(error)) => error,
                Err(_) => return Err(Unanswered::Late),
            };
            let away = error::away(&error);
            if !away {
                self.met.store(true, Ordering::Relaxed);
            }
            if !away || !self.met.load(Ordering::Relaxed) || started.elapsed() + pause > ABSENCE {
                return Err(Unanswered::Error(error));
            }
            tracing::debug!(%error, "the Kubernetes API server is away: asking again");
            sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_not_waited_for() {
        let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let client = Client {
            kube: nowhere.try_into().unwrap(),
            namespace: "a".to_owned(),
            address: "http://127.0.0.1:1".to_owned(),
            met: Arc::default(),
        };
        let started = Instant::now();
        let answer = client.answer(std::future::pending::<kube::Result<()>>).await;
        assert_eq!(started.elapsed(), ANSWER);
        let error = client.error("connect to sandbox b", answer.unwrap_err());
        // It may have done what it was asked for.
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
    }
}
