//! What can be seen of one sandbox.

use std::time::{Duration, SystemTime};

use futures::AsyncReadExt;
use k8s_openapi::api::core::v1::{ContainerState, Pod};
use kube::api::LogParams;
use oh_runtime_api::{
    Error, ErrorKind, Evidence, Incarnation, Result, SandboxInfo, SandboxName, SandboxState, label,
};

use crate::classify::{end_of_sandbox, ended_from_outside, state};
use crate::client::Client;
use crate::labels;
use crate::pod::SANDBOX;

/// Lines of the log.
const LINES: i64 = 50;
/// Most bytes of them.
const BYTES: i64 = 8 * 1024;
/// How long the node may take to say them.
const ANSWER: Duration = Duration::from_secs(5);

/// The Pod as the server describes it.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound), or [`Replaced`](ErrorKind::Replaced) when another one has the name.
pub(crate) async fn get(client: &Client, id: &Incarnation, operation: &str) -> Result<Pod> {
    let found = client.answer(|| client.get_pod(id.name.as_str())).await;
    match found.map_err(|error| client.error(operation, error))? {
        Some(pod) if pod.metadata.uid.as_ref() == Some(&id.uid) => Ok(pod),
        Some(_) => Err(Error::new(ErrorKind::Replaced, operation, "another sandbox has its name now")),
        None => Err(Error::new(ErrorKind::NotFound, operation, "the sandbox does not exist any more")),
    }
}

/// See [`Backend::evidence`](oh_runtime_api::Backend::evidence).
pub(crate) async fn gather(client: &Client, id: &Incarnation) -> Result<Evidence> {
    let operation = format!("look at sandbox {}", id.name);
    let pod = get(client, id, &operation).await?;
    Ok(judge(&pod, tail(client, id).await))
}

fn judge(pod: &Pod, log_tail: String) -> Evidence {
    let end = state(pod, SANDBOX).and_then(|state| state.terminated.as_ref());
    let oom_killed = end.is_some_and(|end| end.reason.as_deref() == Some("OOMKilled"));
    let said = end.filter(|end| !matches!(end.reason.as_deref(), Some("Completed" | "Error") | None));
    let message = ended_from_outside(pod).or_else(|| said.map(end_of_sandbox)).map(|(_, message)| message);
    Evidence {
        state: sandbox_state(pod),
        exit_code: end.map(|end| i64::from(end.exit_code)),
        // The kernel takes a command before the agent, which then goes on: only the sandbox's own end is one of it.
        oom_killed: oom_killed && end.is_some_and(|end| end.exit_code == 137),
        message,
        log_tail,
    }
}

/// Whether it cannot be used any more.
pub(crate) fn ended(pod: &Pod) -> bool {
    sandbox_state(pod) == SandboxState::Exited
}

pub(crate) fn sandbox_state(pod: &Pod) -> SandboxState {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    match state(pod, SANDBOX) {
        Some(state) if state.terminated.is_some() => SandboxState::Exited,
        _ if matches!(phase, Some("Failed" | "Succeeded")) => SandboxState::Exited,
        Some(state) if state.running.is_some() && node_lost(pod) => SandboxState::Unreachable,
        Some(state) if state.running.is_some() => SandboxState::Running,
        _ => SandboxState::Created,
    }
}

/// Whether nothing of it runs any more, in a Pod that a node has started.
pub(crate) fn stopped(pod: &Pod) -> bool {
    let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref());
    let ended = containers.is_some_and(|all| {
        let ended = |state: &ContainerState| state.terminated.is_some();
        !all.is_empty() && all.iter().all(|container| container.state.as_ref().is_some_and(ended))
    });
    ended || never_ran(pod)
}

/// Whether nothing of it can ever have run: the node refuses its first container, again and again.
fn never_ran(pod: &Pod) -> bool {
    let status = pod.status.iter();
    let all = status.flat_map(|s| s.init_container_statuses.iter().chain(&s.container_statuses).flatten());
    let waiting: Option<Vec<_>> =
        all.map(|container| container.state.as_ref().and_then(|state| state.waiting.as_ref())).collect();
    waiting.is_some_and(|all| {
        all.iter().any(|waiting| waiting.reason.as_deref() == Some("CreateContainerConfigError"))
    })
}

/// Whether the node stopped telling how the Pod is. The cluster then says that the Pod is not ready, and leaves what the
/// node said last: that its containers are.
fn node_lost(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let is = |kind: &str, status: &str| {
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition.type_ == kind && condition.status == status)
    };
    is("Ready", "False") && is("ContainersReady", "True")
}

/// A Pod as a sandbox; `None` when it is none, whatever its labels say, or is being removed.
pub(crate) fn info(pod: &Pod) -> Option<SandboxInfo> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let labels = labels::load(pod.metadata.labels.as_ref(), pod.metadata.annotations.as_ref());
    let name = SandboxName::new(pod.metadata.name.clone()?).ok()?;
    if labels.get(label::SANDBOX).map(String::as_str) != Some(name.as_str()) {
        return None;
    }
    Some(SandboxInfo {
        incarnation: Incarnation { name, uid: pod.metadata.uid.clone()? },
        state: sandbox_state(pod),
        created: pod.metadata.creation_timestamp.as_ref().map(|time| SystemTime::from(time.0)),
        labels,
    })
}

/// The end of the log; the rest is worth having without it.
async fn tail(client: &Client, id: &Incarnation) -> String {
    let params = LogParams {
        container: Some(SANDBOX.to_owned()),
        tail_lines: Some(LINES),
        limit_bytes: Some(BYTES),
        ..LogParams::default()
    };
    let pods = client.pods();
    let read = async {
        let mut bytes = Vec::new();
        let stream = pods.log_stream(id.name.as_str(), &params).await?;
        // What breaks off is still a beginning.
        let _ = stream.take(BYTES.unsigned_abs()).read_to_end(&mut bytes).await;
        Ok::<_, kube::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    match tokio::time::timeout(ANSWER, read).await {
        Ok(Ok(tail)) => tail,
        Ok(Err(error)) => {
            tracing::debug!(sandbox = %id.name, %error, "its log cannot be read");
            String::new()
        }
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(phase: &str, state: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {
                "name": "box", "uid": "u", "creationTimestamp": "1970-01-01T00:16:40Z",
                "labels": { "oh.sandbox": "box" },
            },
            "status": { "phase": phase, "containerStatuses": [
                { "name": "sandbox", "state": state, "image": "", "imageID": "", "ready": true, "restartCount": 0 }
            ] },
        }))
        .unwrap()
    }

    fn ended_with(code: i32, reason: &str) -> Evidence {
        let state = json!({ "terminated": { "exitCode": code, "reason": reason } });
        judge(&pod("Failed", state), String::new())
    }

    #[test]
    fn a_listed_pod_is_a_sandbox_by_its_label() {
        let running = pod("Running", json!({ "running": {} }));
        let seen = info(&running).unwrap();
        assert_eq!((seen.incarnation.uid.as_str(), seen.state), ("u", SandboxState::Running));
        assert_eq!(seen.created, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1000)));
        assert_eq!(info(&pod("Pending", json!({ "waiting": {} }))).unwrap().state, SandboxState::Created);
        let ended = pod("Running", json!({ "terminated": { "exitCode": 0 } }));
        assert_eq!(info(&ended).unwrap().state, SandboxState::Exited, "a sidecar may keep the Pod running");
        let mut lost = running.clone();
        lost.status.as_mut().unwrap().conditions = serde_json::from_value(json!([
            { "type": "Ready", "status": "False" }, { "type": "ContainersReady", "status": "True" }
        ]))
        .unwrap();
        assert_eq!(info(&lost).unwrap().state, SandboxState::Unreachable);
        let refused = pod("Pending", json!({ "waiting": { "reason": "CreateContainerConfigError" } }));
        assert!(stopped(&refused), "nothing of it ever ran");
        assert!(stopped(&ended) && !stopped(&running) && !stopped(&pod("Pending", json!({ "waiting": {} }))));
        let mut other = running.clone();
        other.metadata.name = Some("other".to_owned());
        assert_eq!(info(&other), None);
        let mut leaving = running;
        leaving.metadata.deletion_timestamp = leaving.metadata.creation_timestamp.clone();
        assert_eq!(info(&leaving), None);
    }

    #[test]
    fn only_an_ended_sandbox_has_an_exit_code() {
        assert_eq!(judge(&pod("Running", json!({ "running": {} })), String::new()).exit_code, None);
        let ended = ended_with(1, "Error");
        assert_eq!((ended.state, ended.exit_code, ended.message), (SandboxState::Exited, Some(1), None));
        assert!(ended_with(137, "OOMKilled").oom_killed);
        assert!(!ended_with(0, "OOMKilled").oom_killed, "a command was killed, and the sandbox went on");
        assert!(!ended_with(137, "Error").oom_killed);
    }

    #[test]
    fn the_nodes_words_are_kept() {
        let mut evicted = pod("Failed", json!({ "terminated": { "exitCode": 137, "reason": "Error" } }));
        let status = evicted.status.as_mut().unwrap();
        status.reason = Some("Evicted".to_owned());
        status.message = Some("The node was low on resource: ephemeral-storage.".to_owned());
        let message = judge(&evicted, String::new()).message.unwrap();
        assert_eq!(message, "Evicted: The node was low on resource: ephemeral-storage.");
    }
}
