//! What a Pod's status means for whoever waits for it. No input or output here.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, Event, Pod};
use oh_runtime_api::{ErrorKind, was_not_executed};

use crate::error::one_line;
use crate::pod::{PLACE, SANDBOX};

/// What becomes of a Pod that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Prospect {
    /// Its first process runs.
    Runs,
    /// Not yet; what is going on.
    Pending(String),
    /// No node takes it for now; the scheduler's words.
    Unschedulable(String),
    /// It will never run.
    Hopeless(ErrorKind, String),
}

/// Judges our containers by name, never the Pod's phase alone: others may have been put beside them.
pub(crate) fn prospect(pod: &Pod, events: &[Event]) -> Prospect {
    let hopeless = |kind, message: &str| Prospect::Hopeless(kind, one_line(message));
    if let Some((kind, message)) = ended_from_outside(pod) {
        return Prospect::Hopeless(kind, message);
    }
    if let Some(state) = state(pod, SANDBOX) {
        if state.running.is_some() {
            return Prospect::Runs;
        }
        if let Some(end) = &state.terminated {
            let (kind, message) = end_of_sandbox(end);
            return Prospect::Hopeless(kind, message);
        }
    }
    if let Some(end) = state(pod, PLACE).and_then(|state| state.terminated.as_ref())
        && end.exit_code != 0
    {
        let (kind, message) = end_of_sandbox(end);
        return Prospect::Hopeless(
            of_placing(kind),
            format!("the agent could not be put in place: {message}"),
        );
    }
    for name in [PLACE, SANDBOX] {
        let Some(waiting) = state(pod, name).and_then(|state| state.waiting.as_ref()) else { continue };
        let message = waiting.message.as_deref().unwrap_or_default();
        let reason = waiting.reason.as_deref().unwrap_or_default();
        match reason {
            "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable" => {
                return image(pod, name, message, events);
            }
            "InvalidImageName" => return hopeless(ErrorKind::ImageInvalid, message),
            "ErrImageNeverPull" => return hopeless(ErrorKind::ImageNotFound, message),
            // A restricted sandbox, and an image whose user is root.
            "CreateContainerConfigError" if message.contains("runAsNonRoot") => {
                return hopeless(ErrorKind::Config, message);
            }
            "CreateContainerConfigError" => {
                return hopeless(ErrorKind::StartFailed, &format!("{reason}: {message}"));
            }
            "ImageInspectError" | "CreateContainerError" | "RunContainerError" => {
                let kind = cannot_start(message);
                let kind = if name == PLACE { of_placing(kind) } else { kind };
                return hopeless(kind, &format!("{reason}: {message}"));
            }
            "" | "ContainerCreating" | "PodInitializing" => {}
            other => return Prospect::Pending(one_line(&format!("{other}: {message}"))),
        }
    }
    unscheduled(pod).unwrap_or_else(|| pending(pod, events))
}

/// The state of our container `name`.
pub(crate) fn state<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerState> {
    let status = pod.status.as_ref()?;
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    all.into_iter().find(|container| container.name == name)?.state.as_ref()
}

/// Whether the node, the cluster or somebody made an end of the whole Pod, and why.
pub(crate) fn ended_from_outside(pod: &Pod) -> Option<(ErrorKind, String)> {
    let status = pod.status.as_ref();
    let reason = status.and_then(|status| status.reason.as_deref()).unwrap_or_default();
    let message = status.and_then(|status| status.message.as_deref()).unwrap_or_default();
    let kind = match reason {
        "Evicted" => ErrorKind::Evicted,
        "NodeLost" | "Shutdown" | "NodeShutdown" | "Terminated" => ErrorKind::NodeLost,
        "DeadlineExceeded" => ErrorKind::Deadline,
        "UnexpectedAdmissionError" | "NodeAffinity" | "NodeSelectorMismatching" => ErrorKind::Unschedulable,
        reason if reason.starts_with("OutOf") => ErrorKind::Unschedulable,
        _ if pod.metadata.deletion_timestamp.is_some() => {
            return Some((ErrorKind::Deleted, "the sandbox was removed".to_owned()));
        }
        _ => return None,
    };
    Some((kind, one_line(&format!("{reason}: {message}"))))
}

/// What the end of our container was, in our words and its own.
pub(crate) fn end_of_sandbox(end: &ContainerStateTerminated) -> (ErrorKind, String) {
    let reason = end.reason.as_deref().unwrap_or_default();
    let message = end.message.as_deref().unwrap_or_default();
    match reason {
        "OOMKilled" => {
            (ErrorKind::OomKilled, "the sandbox was killed: it used more memory than it may".to_owned())
        }
        "ContainerCannotRun" | "StartError" => {
            (cannot_start(message), one_line(&format!("it could not be started: {message}")))
        }
        _ if was_not_executed(message) => {
            (ErrorKind::DeliveryFailed, one_line(&format!("it could not be executed: {message}")))
        }
        _ => {
            let said = if message.is_empty() { String::new() } else { format!(": {message}") };
            (ErrorKind::EndedBeforeReady, one_line(&format!("it ended with code {}{said}", end.exit_code)))
        }
    }
}

/// The kind when the agent does not get to its place for a reason of `kind`: another way there may be open.
fn of_placing(kind: ErrorKind) -> ErrorKind {
    match kind {
        ErrorKind::EndedBeforeReady | ErrorKind::StartFailed => ErrorKind::DeliveryFailed,
        kind => kind,
    }
}

/// The kind of a failed start, by the words of the container runtime.
fn cannot_start(said: &str) -> ErrorKind {
    if was_not_executed(said) {
        ErrorKind::DeliveryFailed
    } else if said.contains("no space left on device") {
        ErrorKind::NoSpace
    } else {
        ErrorKind::StartFailed
    }
}

/// Why an image could not be pulled. Backing off, the kubelet says no more why; its events do.
fn image(pod: &Pod, container: &str, message: &str, events: &[Event]) -> Prospect {
    let failed = events.iter().rev().filter_map(|event| event.message.as_deref());
    let reported = failed.filter(|said| said.contains("Failed to pull image")).find(|said| !said.is_empty());
    let said = one_line(reported.unwrap_or(message));
    let kind = image_kind(&said);
    let all = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let image = all
        .into_iter()
        .find(|c| c.name == container)
        .and_then(|container| container.image.as_deref())
        .unwrap_or_default();
    let named = if said.contains(image) { said } else { format!("image {image}: {said}") };
    Prospect::Hopeless(kind, named)
}

fn image_kind(said: &str) -> ErrorKind {
    let said = said.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if any(&["toomanyrequests", "too many requests", "rate limit"]) {
        ErrorKind::ImageRateLimited
    } else if any(&["no space left on device"]) {
        ErrorKind::NoSpace
    } else if any(&["no match for platform", "no matching manifest"]) {
        ErrorKind::WrongPlatform
    } else if any(&[
        "no such host",
        "connection refused",
        "i/o timeout",
        "timeout",
        "network is unreachable",
        "server misbehaving",
        "certificate",
        "connection reset",
        "eof",
        "502 bad gateway",
        "503 service unavailable",
        "dial tcp",
    ]) {
        ErrorKind::RegistryUnavailable
    } else if any(&["unauthorized", "authentication required", "403 forbidden", "access denied", "denied"]) {
        // Registries say so of what does not exist, too, unless one is logged in.
        ErrorKind::ImageDenied
    } else if any(&["not found", "manifest unknown", "name unknown"]) {
        ErrorKind::ImageNotFound
    } else {
        ErrorKind::RegistryUnavailable
    }
}

/// The scheduler's words, when it found no node.
fn unscheduled(pod: &Pod) -> Option<Prospect> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions.iter().find(|condition| condition.type_ == "PodScheduled")?;
    let unschedulable = scheduled.status == "False" && scheduled.reason.as_deref() == Some("Unschedulable");
    let words = scheduled.message.as_deref().unwrap_or("no node takes it");
    unschedulable.then(|| Prospect::Unschedulable(one_line(words)))
}

fn pending(pod: &Pod, events: &[Event]) -> Prospect {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let last = events.last().and_then(|event| event.message.as_deref());
    Prospect::Pending(one_line(&match (node, last) {
        (None, _) => "no node was chosen for it yet".to_owned(),
        (Some(node), None) => format!("node {node} prepares it"),
        (Some(node), Some(last)) => format!("node {node} prepares it; the last it said: {last}"),
    }))
}

#[cfg(test)]
mod tests;
