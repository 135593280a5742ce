//! What the caller decides, as plain values: this crate never reads the environment.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use oh_runtime_api::{Error, ErrorKind, Result};

/// Where Docker listens when nobody says otherwise.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// How long a pull may take when nobody says otherwise.
const DEFAULT_PULL_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// When the engine does not have it.
    #[default]
    Missing,
    /// Never: it has to be there.
    Never,
    /// For every sandbox: a tag may have moved.
    Always,
}

/// Who we are at a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryLogin {
    /// Its host, as it stands in images: `registry.example.com:5000`, `docker.io`. No other is shown the password.
    pub host: String,
    /// The user.
    pub user: String,
    /// The password, or a token.
    pub password: String,
}

/// Never shows the password.
impl fmt::Debug for RegistryLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.host)
    }
}

/// Which engine, and what holds for all sandboxes on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerConfig {
    /// Where the engine listens, as `DOCKER_HOST` spells it: `unix://`, `tcp://`, `http://` or `https://`; `None` is
    /// Docker's own default.
    pub host: Option<String>,
    /// Whether to talk TLS to a `tcp://` engine.
    pub tls_verify: bool,
    /// Folder with `ca.pem`, `cert.pem` and `key.pem`, for TLS.
    pub cert_path: Option<PathBuf>,
    /// When an image is pulled.
    pub pull: PullPolicy,
    /// How long one pull may take.
    pub pull_timeout: Duration,
    /// Who we are where images are pulled from; `None` is nobody.
    pub registry: Option<RegistryLogin>,
    /// Network of the containers: `none`, or one the engine knows; `None` is the engine's default one.
    pub network: Option<String>,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            host: None,
            tls_verify: false,
            cert_path: None,
            pull: PullPolicy::default(),
            pull_timeout: DEFAULT_PULL_TIMEOUT,
            registry: None,
            network: None,
        }
    }
}

/// How an engine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Transport {
    Unix,
    Http,
    /// With the folder of the certificates.
    Tls(PathBuf),
}

/// Where an engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// As `DOCKER_HOST` spells it.
    pub(crate) address: String,
    pub(crate) transport: Transport,
}

impl DockerConfig {
    pub(crate) fn endpoint(&self) -> Result<Endpoint> {
        let address = self.host.as_deref().unwrap_or(DEFAULT_HOST).to_owned();
        let bad = |message: String| Error::new(ErrorKind::Config, "reach the Docker engine", message);
        let transport = match address.split_once("://") {
            Some((_, "")) => return Err(bad(format!("the host {address:?} names nothing"))),
            Some(("unix", _)) => Transport::Unix,
            Some(("https", _)) => Transport::Tls(self.certificates()?),
            Some(("tcp", _)) if self.tls_verify => Transport::Tls(self.certificates()?),
            Some(("tcp" | "http", _)) => Transport::Http,
            _ => {
                return Err(bad(format!("the host {address:?} is of an unknown kind"))
                    .hint("use unix:///path/of/the/socket or tcp://host:port"));
            }
        };
        Ok(Endpoint { address, transport })
    }

    fn certificates(&self) -> Result<PathBuf> {
        let bad = |message: String| {
            Error::new(ErrorKind::Config, "reach the Docker engine", message)
                .hint("TLS needs a folder with ca.pem, cert.pem and key.pem: set DOCKER_CERT_PATH")
        };
        let folder =
            self.cert_path.clone().ok_or_else(|| bad("no folder of certificates is given".into()))?;
        for file in ["ca.pem", "cert.pem", "key.pem"] {
            let path = folder.join(file);
            std::fs::File::open(&path)
                .map_err(|error| bad(format!("{} cannot be read: {error}", path.display())))?;
        }
        Ok(folder)
    }

    /// Refuses networks in which sandboxes would not be apart: the agent's address is one of its network namespace,
    /// and it trusts whoever is outside its process namespace.
    pub(crate) fn check_network(&self) -> Result<()> {
        match self.network.as_deref() {
            Some(network) if network == "host" || network.starts_with("container:") => Err(Error::new(
                ErrorKind::Forbidden,
                "use the Docker engine",
                format!("the network {network:?} is shared with processes outside of the sandbox"),
            )
            .hint("use a network of the engine's own, such as bridge, or none")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(host: &str) -> DockerConfig {
        DockerConfig { host: Some(host.to_owned()), ..DockerConfig::default() }
    }

    #[test]
    fn hosts_are_spelt_as_docker_does() {
        let transport = |host| config(host).endpoint().map(|endpoint| endpoint.transport);
        assert_eq!(transport("unix:///run/user/1000/docker.sock").unwrap(), Transport::Unix);
        assert_eq!(transport("tcp://10.0.0.1:2375").unwrap(), Transport::Http);
        assert_eq!(transport("http://10.0.0.1:2375").unwrap(), Transport::Http);
        for host in ["/var/run/docker.sock", "ssh://me@there", "npipe:////./pipe/docker", "tcp://", ""] {
            let error = transport(host).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{host:?}");
            assert!(error.to_string().contains(&format!("{host:?}")), "{error}");
        }
        let endpoint = DockerConfig::default().endpoint().unwrap();
        assert_eq!(endpoint, Endpoint { address: DEFAULT_HOST.into(), transport: Transport::Unix });
    }

    #[test]
    fn missing_certificates_are_named() {
        for host in ["tcp://10.0.0.1:2376", "https://10.0.0.1:2376"] {
            let config = DockerConfig { tls_verify: true, ..config(host) };
            let error = config.endpoint().unwrap_err();
            assert!(error.to_string().contains("DOCKER_CERT_PATH"), "{error}");
            let config = DockerConfig { cert_path: Some("/there/is/nothing".into()), ..config };
            let error = config.endpoint().unwrap_err();
            assert!(error.to_string().contains("/there/is/nothing/ca.pem"), "{error}");
        }
    }

    #[test]
    fn shared_networks_are_refused() {
        let check = |network: &str| {
            DockerConfig { network: Some(network.to_owned()), ..DockerConfig::default() }.check_network()
        };
        for shared in ["host", "container:abc"] {
            assert_eq!(check(shared).unwrap_err().kind(), ErrorKind::Forbidden);
        }
        for apart in ["none", "bridge", "hosts"] {
            check(apart).unwrap();
        }
        DockerConfig::default().check_network().unwrap();
    }
}
