//! The connection to an engine.

use std::time::Duration;

use bollard::errors::Error as EngineError;
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use oh_runtime_api::{Error, ErrorKind, Result};

use crate::config::{Endpoint, Transport};
use crate::error;

/// How long the engine may take to answer; starting a container on a busy machine can take long.
const ANSWER: Duration = Duration::from_secs(120);
/// The same where the answer comes only after a body was sent, or a registry answered. bollard's time limit runs until
/// the headers of the answer are in, so these requests have a limit of their own.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an engine may take to say that it is there.
const GREETING: Duration = Duration::from_secs(20);
/// The oldest API that is tested: engine 20.10.
const OLDEST_API: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };

/// A connection to one engine; each request opens a socket of its own. Cheap to clone.
///
/// bollard writes request bodies, environment values included, to the `log` crate's debug level: a subscriber must not
/// take those records.
#[derive(Clone)]
pub(crate) struct Client {
    /// For requests that are answered at once.
    pub(crate) calls: Docker,
    /// For requests that are not.
    pub(crate) patient: Docker,
    address: String,
    remote: bool,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Client {
    /// Whether the engine is reached over a network.
    pub(crate) fn is_remote(&self) -> bool {
        self.remote
    }

    pub(crate) async fn connect(endpoint: Endpoint) -> Result<Self> {
        let Endpoint { address, transport } = endpoint;
        let operation = "reach the Docker engine";
        let seconds = GREETING.as_secs();
        let remote = !matches!(transport, Transport::Unix);
        let docker = match transport {
            Transport::Unix => Docker::connect_with_unix(&address, seconds, API_DEFAULT_VERSION),
            Transport::Http => Docker::connect_with_http(&address, seconds, API_DEFAULT_VERSION),
            Transport::Tls(folder) => Docker::connect_with_ssl(
                &address,
                &folder.join("key.pem"),
                &folder.join("cert.pem"),
                &folder.join("ca.pem"),
                seconds,
                API_DEFAULT_VERSION,
            ),
        };
        let failed = |error| error::translate(&address, operation, error);
        // Asks for the version, and so finds out whether an engine answers at all.
        let docker = docker.map_err(failed)?.negotiate_version().await.map_err(failed)?;
        let api = docker.client_version();
        if api < OLDEST_API {
            let message =
                format!("the engine at {address} speaks API {api}, at least {OLDEST_API} is needed");
            return Err(
                Error::new(ErrorKind::Unsupported, operation, message).hint("install engine 20.10 or newer")
            );
        }
        let (calls, patient) = (docker.clone().with_timeout(ANSWER), docker.with_timeout(PATIENCE));
        Ok(Self { calls, patient, address, remote })
    }

    /// What `error` means when nothing more is known about the request.
    pub(crate) fn error(&self, operation: impl Into<String>, error: EngineError) -> Error {
        error::translate(&self.address, operation, error)
    }
}
