//! The agent in a ConfigMap: one for each agent and namespace, immutable, compared before it is used.
//!
//! A ConfigMap holds 1 MiB, less than the agent. So it holds the agent packed, and a loader that unpacks it.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use oh_runtime_api::{AgentPayload, Delivery, Error, ErrorKind, Result, label};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::client::Client;

/// The loader's key and file.
pub(crate) const LOADER: &str = "oh-loader";
/// The packed agent's key and file.
pub(crate) const PACKED: &str = "oh-agent.z";
/// Most bytes of a ConfigMap.
const LIMIT: usize = 1024 * 1024;
/// How the names of ConfigMaps begin.
pub(crate) const PREFIX: &str = "oh-agent-";
/// Digits of the digest in a ConfigMap's name.
const DIGITS: usize = 20;

const OPERATION: &str = "deliver the agent";

/// The ConfigMap's name: another agent or another loader has another one.
pub(crate) fn name(agent: &AgentPayload) -> String {
    let mut hash = Sha256::new();
    hash.update(&agent.digest);
    hash.update(agent.loader.as_deref().unwrap_or_default());
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).take(DIGITS / 2).collect();
    format!("{PREFIX}{digest}")
}

/// Whether Pods with this agent need its ConfigMap.
pub(crate) fn is_kept(agent: &AgentPayload) -> bool {
    matches!(agent.delivery, Delivery::Upload | Delivery::Memory)
}

/// The agents known to be in their ConfigMaps.
#[derive(Debug, Default)]
pub(crate) struct Payloads {
    delivered: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
}

impl Payloads {
    /// Makes sure that the namespace has the agent. The bytes are compared once per agent.
    pub(crate) async fn ensure(&self, client: &Client, agent: &AgentPayload) -> Result<()> {
        let delivered = {
            let mut all = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(name(agent)).or_default())
        };
        delivered.get_or_try_init(|| deliver(client, agent)).await.copied()
    }

    /// Makes sure that the namespace still has the agent, for a Pod that waits for it.
    pub(crate) async fn ensure_again(&self, client: &Client, agent: &AgentPayload) -> Result<()> {
        let (maps, name) = (client.config_maps(), name(agent));
        let found = client.answer(|| maps.get_metadata_opt(&name)).await;
        if found.map_err(|error| client.error(OPERATION, error))?.is_some() {
            return Ok(());
        }
        tracing::debug!(name, "the agent was removed meanwhile");
        self.forget(agent);
        self.ensure(client, agent).await
    }

    /// Compares again the next time: the ConfigMap may have been removed.
    pub(crate) fn forget(&self, agent: &AgentPayload) {
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner).remove(&name(agent));
    }
}

async fn deliver(client: &Client, agent: &AgentPayload) -> Result<()> {
    let Some(loader) = agent.loader.clone() else {
        let message = "there is no oh-loader beside the agent, and Pods need it";
        return Err(Error::new(ErrorKind::Config, OPERATION, message).hint("run `cargo xtask agent`"));
    };
    let name = name(agent);
    if let Some(found) = get(client, &name).await? {
        return compare(&found, agent);
    }
    let bytes = agent.bytes.clone();
    let packed = tokio::task::spawn_blocking(move || pack(&bytes)).await.map_err(std::io::Error::other);
    let packed = packed.flatten().map_err(|error| {
        Error::new(ErrorKind::Internal, OPERATION, format!("it cannot be packed: {error}")).caused_by(error)
    })?;
    if packed.len() + loader.len() > LIMIT {
        let message = format!("packed it has {} bytes, more than a ConfigMap holds", packed.len());
        return Err(Error::new(ErrorKind::Internal, OPERATION, message));
    }
    let content = [(LOADER, loader.to_vec()), (PACKED, packed)];
    let object = ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels: Some(BTreeMap::from([(label::AGENT.to_owned(), name.clone())])),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        binary_data: Some(
            content.into_iter().map(|(key, bytes)| (key.to_owned(), ByteString(bytes))).collect(),
        ),
        data: None,
    };
    let made = client.answer(|| make(client, &object)).await;
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.status() == 409 => match get(client, &name).await? {
            Some(found) => compare(&found, agent),
            None => {
                let message = format!("somebody removes the ConfigMap {name} all the time");
                Err(Error::new(ErrorKind::Unavailable, OPERATION, message))
            }
        },
        Err(error) => Err(client.error(OPERATION, error)),
    }
}

async fn get(client: &Client, name: &str) -> Result<Option<ConfigMap>> {
    let found = client.answer(|| look(client, name)).await;
    found.map_err(|error| client.error(OPERATION, error))
}

async fn make(client: &Client, object: &ConfigMap) -> kube::Result<ConfigMap> {
    client.config_maps().create(&PostParams::default(), object).await
}

async fn look(client: &Client, name: &str) -> kube::Result<Option<ConfigMap>> {
    client.config_maps().get_opt(name).await
}

fn pack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Whether `found` holds the agent it is named after: a sandbox would run whatever is in it.
fn compare(found: &ConfigMap, agent: &AgentPayload) -> Result<()> {
    let part = |key| found.binary_data.as_ref().and_then(|all| all.get(key)).map(|bytes| bytes.0.as_slice());
    let mut unpacked = Vec::new();
    let whole = part(PACKED).is_some_and(|packed| {
        let limit = agent.bytes.len() as u64 + 1;
        ZlibDecoder::new(packed).take(limit).read_to_end(&mut unpacked).is_ok() && unpacked == agent.bytes
    });
    if whole && part(LOADER) == agent.loader.as_deref() && found.immutable == Some(true) {
        return Ok(());
    }
    let name = found.metadata.name.as_deref().unwrap_or_default();
    let message =
        format!("the ConfigMap {name} does not hold the agent it is named after: somebody changed it");
    Err(Error::new(ErrorKind::Forbidden, OPERATION, message).hint(format!(
        "find out who can write ConfigMaps of the namespace, then remove it with `kubectl delete configmap {name}`"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent() -> AgentPayload {
        AgentPayload {
            bytes: "the agent".into(),
            digest: "0123".into(),
            loader: Some("the loader".into()),
            arch: "x86_64".into(),
            delivery: Delivery::Upload,
        }
    }

    fn found(loader: &[u8], packed: Vec<u8>, immutable: bool) -> ConfigMap {
        let content = [(LOADER, loader.to_vec()), (PACKED, packed)];
        ConfigMap {
            immutable: Some(immutable),
            binary_data: Some(content.map(|(key, bytes)| (key.to_owned(), ByteString(bytes))).into()),
            ..ConfigMap::default()
        }
    }

    #[test]
    fn only_the_agent_itself_will_do() {
        let (loader, packed) = (b"the loader", pack(b"the agent").unwrap());
        compare(&found(loader, packed.clone(), true), &agent()).unwrap();
        for other in [
            found(loader, packed.clone(), false),
            found(b"another", packed.clone(), true),
            found(loader, packed[..packed.len() / 2].to_vec(), true),
            found(loader, pack(b"the agent and more").unwrap(), true),
            ConfigMap::default(),
        ] {
            assert_eq!(compare(&other, &agent()).unwrap_err().kind(), ErrorKind::Forbidden, "{other:?}");
        }
    }

    #[test]
    fn another_agent_or_loader_has_another_name() {
        let names = [
            name(&agent()),
            name(&AgentPayload { digest: "0124".into(), ..agent() }),
            name(&AgentPayload { loader: Some("other".into()), ..agent() }),
        ];
        assert!(names[0].starts_with("oh-agent-") && names[0].len() == "oh-agent-".len() + DIGITS);
        assert!(names[0] != names[1] && names[0] != names[2] && names[1] != names[2]);
    }
}
