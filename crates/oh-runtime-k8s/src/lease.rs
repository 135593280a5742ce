//! The Lease of a run: it owns every Pod of the run, so that deleting it deletes them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::PostParams;
use oh_runtime_api::{Error, ErrorKind, Labels, Result, RunId, SandboxSpec, label};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::client::Client;
use crate::{labels, pod};

/// Digits of the hash in a Lease's name.
const DIGITS: usize = 20;

/// The Leases known to be there.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    known: Mutex<HashMap<String, Arc<OnceCell<OwnerReference>>>>,
}

/// A run's id may hold capitals, which no name may.
fn name(run: &RunId, owner: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(run.as_str());
    hash.update([0]);
    hash.update(owner);
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).take(DIGITS / 2).collect();
    format!("oh-run-{digest}")
}

impl Leases {
    /// What owns the Pod of `spec`; nothing when it is of no run.
    pub(crate) async fn ensure(&self, client: &Client, spec: &SandboxSpec) -> Result<Option<OwnerReference>> {
        let Some(run) = &spec.run else { return Ok(None) };
        let name = name(run, &spec.owner);
        let lease = {
            let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(name.clone()).or_default())
        };
        lease.get_or_try_init(|| make(client, name, run, &spec.owner)).await.cloned().map(Some)
    }

    /// Looks again the next time: a Pod whose owner is gone goes, too.
    pub(crate) fn forget(&self, spec: &SandboxSpec) {
        if let Some(run) = &spec.run {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.remove(&name(run, &spec.owner));
        }
    }
}

async fn make(client: &Client, name: String, run: &RunId, owner: &str) -> Result<OwnerReference> {
    let operation = format!("make the lease of run {run}");
    let all =
        Labels::from([(label::RUN.to_owned(), run.to_string()), (label::OWNER.to_owned(), owner.to_owned())]);
    let (stored, annotations) = labels::store(&all);
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels: Some(stored),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec { holder_identity: Some(owner.to_owned()), ..LeaseSpec::default() }),
    };
    let create = || {
        let (leases, lease) = (client.leases(), &lease);
        async move { leases.create(&PostParams::default(), lease).await }
    };
    let get = || {
        let (leases, name) = (client.leases(), &name);
        async move { leases.get(name).await }
    };
    let made = match client.answer(create).await {
        Err(error) if error.status() == 409 => client.answer(get).await,
        made => made,
    };
    let made = made.map_err(|error| client.error(operation.as_str(), error))?;
    match made.metadata.uid {
        Some(uid) if made.metadata.deletion_timestamp.is_none() => Ok(pod::owner(&name, &uid)),
        _ => {
            let message =
                format!("the lease {name} of the run is being removed, and with it the run's sandboxes");
            Err(Error::new(ErrorKind::Conflict, operation, message).hint("try again when they are gone"))
        }
    }
}
