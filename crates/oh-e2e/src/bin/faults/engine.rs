//! The engines, and the ways to them: the usual one, and through a proxy.

use std::net::SocketAddr;
use std::path::Path;

use kube::config::Kubeconfig;
use oh_config::Config;
use oh_runtime::Runtime;

use crate::Outcome;
use crate::proxy::Upstream;

const DOCKER_SOCKET: &str = "/var/run/docker.sock";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Docker,
    K8s,
}

impl Engine {
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Docker, Self::K8s].into_iter().find(|engine| engine.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::K8s => "k8s",
        }
    }

    /// Where it listens.
    pub(crate) fn upstream(self) -> Outcome<Upstream> {
        match self {
            Self::Docker => {
                let host = Config::load()?.docker.host;
                match host.as_deref().map(|host| host.split_once("://")) {
                    None => Ok(Upstream::Unix(DOCKER_SOCKET.into())),
                    Some(Some(("unix", path))) => Ok(Upstream::Unix(path.into())),
                    Some(Some(("tcp" | "http", address))) => Ok(Upstream::Tcp(address.to_owned())),
                    Some(_) => Err("DOCKER_HOST is of a kind that no proxy is written for".into()),
                }
            }
            Self::K8s => {
                let server = server(&Kubeconfig::read()?)?;
                let port = server.port_u16().unwrap_or(443);
                Ok(Upstream::Tcp(format!("{}:{port}", server.host().unwrap_or_default())))
            }
        }
    }

    /// The engine itself.
    pub(crate) async fn runtime(self, options: &[(&str, &str)]) -> Outcome<Runtime> {
        let mut builder = Config::builder()
            .set("runtime", "the faults", Some(self.name()))
            // Many of them have to fit on a small machine.
            .set("resources.cpu", "the faults", Some("0.01"))
            .set("resources.memory", "the faults", Some("128Mi"))
            .set("resources.ephemeral_storage", "the faults", Some("100Mi"));
        for (key, value) in options {
            builder = builder.set(key, "the faults", Some(*value));
        }
        Ok(Runtime::open(&builder.load()?).await?)
    }

    /// The engine behind a proxy. `folder` is for files.
    pub(crate) async fn behind(self, proxy: SocketAddr, folder: &Path) -> Outcome<Runtime> {
        match self {
            Self::Docker => self.runtime(&[("docker.host", &format!("tcp://{proxy}"))]).await,
            Self::K8s => {
                let mut config = Kubeconfig::read()?;
                let name = server(&config)?.host().map(str::to_owned);
                let context = config.current_context.clone();
                let context = config.contexts.iter().find(|named| Some(&named.name) == context.as_ref());
                let cluster = context.and_then(|named| Some(named.context.as_ref()?.cluster.clone()));
                for named in config.clusters.iter_mut().filter(|named| Some(&named.name) == cluster.as_ref())
                {
                    if let Some(cluster) = &mut named.cluster {
                        cluster.server = Some(format!("https://{proxy}"));
                        // The certificate is for the name it is called by.
                        cluster.tls_server_name = cluster.tls_server_name.take().or(name.clone());
                    }
                }
                let file = folder.join(format!("kubeconfig-{}", proxy.port()));
                std::fs::write(&file, serde_json::to_vec(&config)?)?;
                self.runtime(&[("k8s.kubeconfig", &file.to_string_lossy())]).await
            }
        }
    }
}

/// The API server's address.
fn server(config: &Kubeconfig) -> Outcome<http::Uri> {
    let context = config.current_context.as_ref();
    let context = config.contexts.iter().find(|named| Some(&named.name) == context);
    let cluster = context.and_then(|named| Some(&named.context.as_ref()?.cluster));
    let cluster = config.clusters.iter().find(|named| Some(&named.name) == cluster);
    let server = cluster.and_then(|named| named.cluster.as_ref()?.server.as_deref());
    Ok(server.ok_or("the kubeconfig's current context names no server")?.parse()?)
}
