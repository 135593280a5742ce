//! Pausing a container: the kernel's freezer stops all its processes.

use bollard::errors::Error as EngineError;
use oh_runtime_api::{Error, ErrorKind, Incarnation, Result, SandboxState};

use crate::client::Client;
use crate::evidence;

/// See [`Backend::pause`](oh_runtime_api::Backend::pause).
pub(crate) async fn pause(client: &Client, id: &Incarnation) -> Result<()> {
    let done = client.calls.pause_container(&id.uid).await;
    settled(client, id, format!("pause sandbox {}", id.name), done, SandboxState::Paused).await
}

/// See [`Backend::resume`](oh_runtime_api::Backend::resume).
pub(crate) async fn resume(client: &Client, id: &Incarnation) -> Result<()> {
    let done = client.calls.unpause_container(&id.uid).await;
    settled(client, id, format!("resume sandbox {}", id.name), done, SandboxState::Running).await
}

/// The engine refuses what is already so.
async fn settled(
    client: &Client,
    id: &Incarnation,
    operation: String,
    done: Result<(), EngineError>,
    wanted: SandboxState,
) -> Result<()> {
    let Err(error) = done else { return Ok(()) };
    let found = evidence::inspect(client, id, &operation).await?;
    match evidence::state(found.state.and_then(|state| state.status)) {
        state if state == wanted => Ok(()),
        SandboxState::Exited => Err(Error::new(ErrorKind::Ended, operation, "the sandbox ended")),
        _ => Err(client.error(operation, error)),
    }
}
