//! Removing a container with everything made for it.

use std::time::Duration;

use bollard::errors::Error as EngineError;
use bollard::query_parameters::{RemoveContainerOptionsBuilder, WaitContainerOptionsBuilder};
use futures::StreamExt;
use oh_runtime_api::{DeleteReport, Error, ErrorKind, Result};

use crate::client::Client;
use crate::error::{status, words};

/// How long a removal by somebody else may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Kills and removes the container `id`. Returns when it is gone, whoever removed it.
pub(crate) async fn remove(client: &Client, id: &str, operation: &str) -> Result<DeleteReport> {
    // Volumes without a name go with it; the agent's has one.
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match client.calls.remove_container(id, Some(options)).await {
        Ok(()) => Ok(DeleteReport::Deleted),
        Err(error) => match status(&error) {
            Some(404) => Ok(DeleteReport::AlreadyGone),
            Some(409) if words(&error).contains("already in progress") => {
                gone(client, id, operation).await.map(|()| DeleteReport::AlreadyGone)
            }
            _ => Err(client.error(operation, error)),
        },
    }
}

/// Waits until a container that is being removed is gone.
pub(crate) async fn gone(client: &Client, id: &str, operation: &str) -> Result<()> {
    let options = WaitContainerOptionsBuilder::default().condition("removed").build();
    let mut removal = client.patient.wait_container(id, Some(options));
    match tokio::time::timeout(LIMIT, removal.next()).await {
        // Its exit code comes, 0 or not, or a refusal because it is gone already.
        Ok(None | Some(Ok(_) | Err(EngineError::DockerContainerWaitError { .. }))) => Ok(()),
        Ok(Some(Err(error))) if status(&error) == Some(404) => Ok(()),
        Ok(Some(Err(error))) => Err(client.error(operation, error)),
        Err(_) => {
            let message = format!("its removal by somebody else takes longer than {} s", LIMIT.as_secs());
            Err(Error::new(ErrorKind::Deadline, operation, message))
        }
    }
}
