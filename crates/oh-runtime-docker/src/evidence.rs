//! What can be seen of one sandbox.

use bollard::container::LogOutput;
use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status};
use bollard::query_parameters::LogsOptionsBuilder;
use futures::TryStreamExt;
use oh_runtime_api::{Error, ErrorKind, Evidence, Incarnation, Result, SandboxState, Selector};

use crate::backend;
use crate::client::Client;
use crate::error::{one_line, status};

/// Lines of the log.
const LINES: u64 = 50;
/// Most bytes of them.
const BYTES: usize = 8 * 1024;
/// The exit code of a process that SIGKILL ended.
const KILLED: i64 = 137;

/// The container as the engine describes it.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound), or [`Replaced`](ErrorKind::Replaced) when another one has the name.
pub(crate) async fn inspect(
    client: &Client,
    id: &Incarnation,
    operation: &str,
) -> Result<ContainerInspectResponse> {
    match client.calls.inspect_container(&id.uid, None).await {
        Ok(found) => Ok(found),
        Err(error) if status(&error) == Some(404) => {
            let namesakes = backend::list(client, &Selector::name(id.name.clone())).await?;
            let (kind, message) = if namesakes.is_empty() {
                (ErrorKind::NotFound, "the sandbox does not exist any more")
            } else {
                (ErrorKind::Replaced, "another sandbox has its name now")
            };
            Err(Error::new(kind, operation, message).caused_by(error))
        }
        Err(error) => Err(client.error(operation, error)),
    }
}

/// See [`Backend::evidence`](oh_runtime_api::Backend::evidence).
pub(crate) async fn gather(client: &Client, id: &Incarnation) -> Result<Evidence> {
    let operation = format!("look at sandbox {}", id.name);
    let found = inspect(client, id, &operation).await?;
    let log_tail = match tail(client, &id.uid).await {
        Ok(tail) => tail,
        // The rest is worth having without it.
        Err(error) => {
            tracing::debug!(sandbox = %id.name, %error, "its log cannot be read");
            String::new()
        }
    };
    Ok(judge(found.state.unwrap_or_default(), log_tail))
}

fn judge(seen: ContainerState, log_tail: String) -> Evidence {
    let state = state(seen.status);
    let ended = state == SandboxState::Exited;
    Evidence {
        state,
        exit_code: seen.exit_code.filter(|_| ended),
        // The engine says so too when a command was killed, and the sandbox went on and ended later.
        oom_killed: ended && seen.oom_killed == Some(true) && seen.exit_code == Some(KILLED),
        message: seen.error.map(|error| one_line(&error)).filter(|error| !error.is_empty()),
        log_tail,
    }
}

/// What the states of an inspected container mean.
pub(crate) fn state(status: Option<Status>) -> SandboxState {
    match status {
        Some(Status::CREATED) => SandboxState::Created,
        Some(Status::RUNNING | Status::RESTARTING | Status::STOPPING) => SandboxState::Running,
        Some(Status::PAUSED) => SandboxState::Paused,
        Some(Status::EXITED | Status::DEAD | Status::REMOVING | Status::EMPTY) | None => SandboxState::Exited,
    }
}

/// The end of a container's log.
pub(crate) async fn tail(client: &Client, uid: &str) -> Result<String> {
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&LINES.to_string()).build();
    let mut log = client.calls.logs(uid, Some(options)).map_ok(LogOutput::into_bytes);
    let mut bytes = Vec::new();
    while let Some(piece) = log.try_next().await.map_err(|error| client.error("read its log", error))? {
        bytes.extend_from_slice(&piece);
        let excess = bytes.len().saturating_sub(BYTES);
        bytes.drain(..excess);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(status: Status, exit_code: i64, oom_killed: bool) -> Evidence {
        let state = ContainerState {
            status: Some(status),
            exit_code: Some(exit_code),
            oom_killed: Some(oom_killed),
            error: Some(String::new()),
            ..ContainerState::default()
        };
        judge(state, String::new())
    }

    #[test]
    fn only_an_ended_sandbox_has_an_exit_code() {
        assert_eq!(seen(Status::RUNNING, 0, false).exit_code, None);
        assert_eq!(seen(Status::CREATED, 0, false).exit_code, None);
        let ended = seen(Status::EXITED, 1, false);
        assert_eq!((ended.state, ended.exit_code), (SandboxState::Exited, Some(1)));
        assert_eq!(ended.message, None, "an empty error is none");
    }

    #[test]
    fn a_command_out_of_memory_is_not_the_sandbox() {
        assert!(seen(Status::EXITED, 137, true).oom_killed);
        assert!(!seen(Status::EXITED, 0, true).oom_killed);
        assert!(!seen(Status::EXITED, 137, false).oom_killed);
        assert!(!seen(Status::RUNNING, 0, true).oom_killed);
    }
}
