//! Removing agents that no sandbox uses.

use std::collections::HashMap;

use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};
use oh_runtime_api::{Result, label};

use crate::client::Client;
use crate::error::status;
use crate::payload;

const OPERATION: &str = "remove unused agents";

/// See [`Backend::collect_agents`](oh_runtime_api::Backend::collect_agents).
///
/// A container is made before its volume is looked into, and the engine removes no volume that a container has, started
/// or not. So nothing can come in between.
pub(crate) async fn agents(client: &Client, dry_run: bool) -> Result<Vec<String>> {
    let filters = HashMap::from([("label", vec![label::AGENT]), ("dangling", vec!["true"])]);
    let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let found = client.calls.list_volumes(Some(options)).await;
    let found = found.map_err(|error| client.error(OPERATION, error))?;
    let names = found.volumes.unwrap_or_default().into_iter().map(|volume| volume.name);
    let mut removed = Vec::new();
    for name in names.filter(|name| name.starts_with(payload::PREFIX)) {
        if dry_run {
            removed.push(name);
            continue;
        }
        match client.calls.remove_volume(&name, None::<RemoveVolumeOptions>).await {
            Ok(()) => removed.push(name),
            // Somebody else was faster, or a container has it now.
            Err(error) if matches!(status(&error), Some(404 | 409)) => {}
            Err(error) => return Err(client.error(OPERATION, error)),
        }
    }
    Ok(removed)
}
