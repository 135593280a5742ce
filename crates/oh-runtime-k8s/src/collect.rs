//! Removing agents that no sandbox uses.
//!
//! A Pod may be asked for between the look at all Pods and the removal. Whoever makes that Pod looks whether its agent
//! is still there for as long as it does not run, and puts it there again: the kubelet tries to mount it until it can.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Preconditions};
use oh_runtime_api::{Result, label};

use crate::client::Client;
use crate::payload;

const OPERATION: &str = "remove unused agents";

/// See [`Backend::collect_agents`](oh_runtime_api::Backend::collect_agents).
pub(crate) async fn agents(client: &Client, dry_run: bool) -> Result<Vec<String>> {
    let ours = ListParams::default().labels(label::AGENT);
    let maps = client.config_maps();
    let kept = client.answer(|| maps.list_metadata(&ours)).await;
    let kept = kept.map_err(|error| client.error(OPERATION, error))?;
    // After them: a Pod made meanwhile is seen.
    let (pods, all) = (client.pods(), ListParams::default());
    let pods = client.answer(|| pods.list(&all)).await.map_err(|error| client.error(OPERATION, error))?;
    let used: HashSet<&str> = pods.iter().flat_map(mounted).collect();
    let mut removed = Vec::new();
    for map in kept {
        let Some(name) = map.metadata.name else { continue };
        if !name.starts_with(payload::PREFIX) || used.contains(name.as_str()) {
            continue;
        }
        let only = Preconditions { uid: map.metadata.uid, resource_version: None };
        let how = DeleteParams { preconditions: Some(only), ..DeleteParams::default() };
        if !dry_run {
            match client.answer(|| maps.delete(&name, &how)).await {
                Ok(_) => {}
                // Somebody else was faster, or made it again.
                Err(error) if matches!(error.status(), 404 | 409) => continue,
                Err(error) => return Err(client.error(OPERATION, error)),
            }
        }
        removed.push(name);
    }
    Ok(removed)
}

/// The ConfigMaps a Pod mounts.
fn mounted(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| Some(volume.config_map.as_ref()?.name.as_str()))
}
