//! Removing a Pod.

use std::time::Duration;

use kube::api::{DeleteParams, Preconditions};
use oh_runtime_api::{DeleteReport, Error, ErrorKind, Result};
use tokio::time::Instant;

use crate::backend::K8sBackend;
use crate::evidence;
use crate::pod::GRACE;
use crate::watch::Sight;

/// After this long the node is taken for lost, and the Pod is removed without it.
const LOST: Duration = Duration::from_secs(30);
/// How long a removal without the node may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks when the watch says nothing.
const LOOK: Duration = Duration::from_secs(2);

/// Deletes the Pod `name` if its uid is `uid`. Returns when it is gone, whoever removed it.
pub(crate) async fn remove(
    backend: &K8sBackend,
    name: &str,
    uid: &str,
    operation: &str,
) -> Result<DeleteReport> {
    let client = &backend.client;
    let mut changes = backend.watch.changes(client.pods());
    if !delete(backend, name, uid, GRACE, operation).await? {
        return Ok(DeleteReport::AlreadyGone);
    }
    let started = Instant::now();
    let mut forced = false;
    loop {
        changes.borrow_and_update();
        let sight = backend.watch.sight(name, uid);
        let mut look = matches!(sight, Sight::Absent);
        if let Sight::Pod(pod) = sight
            && !forced
            && evidence::stopped(&pod)
        {
            // Nothing runs any more. What is left is the node's bookkeeping, which it does every ten seconds.
            delete(backend, name, uid, 0, operation).await?;
            forced = true;
        }
        if !look {
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(LOOK) => look = true,
            }
        }
        if look {
            let pods = client.pods();
            let found = client.answer(|| pods.get_metadata_opt(name)).await;
            let found = found.map_err(|error| client.error(operation, error))?;
            if found.is_none_or(|found| found.metadata.uid.as_deref() != Some(uid)) {
                return Ok(DeleteReport::Deleted);
            }
            // The watch lags behind what was asked directly.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if started.elapsed() > LOST && !forced {
            tracing::warn!(
                sandbox = name,
                "its node does not confirm the removal: removed without it, and what ran there may still run"
            );
            delete(backend, name, uid, 0, operation).await?;
            forced = true;
        }
        if started.elapsed() > LIMIT {
            let message = format!("the Pod is still there after {} s", LIMIT.as_secs());
            return Err(Error::new(ErrorKind::Deadline, operation, message)
                .hint(format!("`kubectl describe pod {name}` may say why")));
        }
    }
}

/// Asks for the removal; false when no such Pod is there.
async fn delete(backend: &K8sBackend, name: &str, uid: &str, grace: u32, operation: &str) -> Result<bool> {
    let client = &backend.client;
    let only = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    let how = DeleteParams {
        grace_period_seconds: Some(grace),
        preconditions: Some(only),
        ..DeleteParams::default()
    };
    let pods = client.pods();
    match client.answer(|| pods.delete(name, &how)).await {
        Ok(_) => Ok(true),
        // Another one has the name.
        Err(error) if matches!(error.status(), 404 | 409) => Ok(false),
        Err(error) => Err(client.error(operation, error)),
    }
}
