//! Making a Pod, or finding the one that is there already, and waiting until it runs or is hopeless.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::PostParams;
use oh_runtime_api::{AgentPayload, Error, ErrorKind, Incarnation, Result, SandboxName, SandboxSpec, label};
use tokio::time::{Instant, sleep};

use crate::backend::K8sBackend;
use crate::classify::{Prospect, prospect};
use crate::client::Client;
use crate::error::one_line;
use crate::watch::Sight;
use crate::{compare, evidence, labels, payload, pod, remove};

/// How long others may be about to take or give up the name while it is claimed.
const CLAIM_LIMIT: Duration = Duration::from_secs(90);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// A Pod that does not run after this long is looked after: a watch can miss one that is gone at once, and somebody may
/// have removed its agent as unused. Each pause between two looks is twice as long as the one before.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// Longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Events that go into an error.
const EVENTS: usize = 5;

/// See [`Backend::create`](oh_runtime_api::Backend::create).
pub(crate) async fn create(
    backend: &K8sBackend,
    spec: &SandboxSpec,
    agent: &AgentPayload,
) -> Result<Incarnation> {
    let operation = format!("create sandbox {}", spec.name);
    let made = made(backend, spec, agent, &operation).await;
    if made.is_err() {
        // What is remembered to be there may be why it failed.
        backend.payloads.forget(agent);
        backend.leases.forget(spec);
    }
    made.map_err(|error| error.in_operation(operation))
}

async fn made(
    backend: &K8sBackend,
    spec: &SandboxSpec,
    agent: &AgentPayload,
    operation: &str,
) -> Result<Incarnation> {
    let client = &backend.client;
    let mut wanted = pod::pod(spec, agent, &backend.config, SystemTime::now())?;
    if payload::is_kept(agent) {
        backend.payloads.ensure(client, agent).await?;
    }
    let owner = backend.leases.ensure(client, spec).await?;
    wanted.metadata.owner_references = owner.map(|owner| vec![owner]);
    let deadline = Instant::now() + backend.config.start_timeout;
    // From here on nothing that happens to the Pod is missed.
    let changes = backend.watch.changes(client.pods());
    let uid = claim(backend, spec, &wanted, operation).await?;
    let id = Incarnation { name: spec.name.clone(), uid };
    match started(backend, &id, agent, changes, deadline, operation).await {
        Ok(()) => Ok(id),
        Err(error) => Err(clean_up(backend, &id, error).await),
    }
}

/// Makes the Pod, or takes the one that was made for an equal specification. Returns its uid.
async fn claim(backend: &K8sBackend, spec: &SandboxSpec, wanted: &Pod, operation: &str) -> Result<String> {
    let (client, name) = (&backend.client, spec.name.as_str());
    let started = Instant::now();
    while started.elapsed() < CLAIM_LIMIT {
        match client.answer(|| create_pod(client, wanted)).await {
            Ok(made) => return kept(backend, wanted, made, operation).await,
            Err(error) if error.status() == 409 => {}
            Err(error) => return Err(client.error(operation, error)),
        }
        let found = client.answer(|| client.get_pod(name)).await;
        let found = found.map_err(|error| client.error(operation, error))?;
        let adopted =
            found.as_ref().map_or(Ok(Adopted::Leaving), |found| adopt(&spec.name, &spec.digest(), found));
        match adopted
            .map_err(|(message, hint)| Error::new(ErrorKind::Conflict, operation, message).hint(hint))?
        {
            Adopted::Taken(uid) => return Ok(uid),
            Adopted::Leaving => sleep(PAUSE).await,
        }
    }
    let message = format!("the Pod {name} is being removed, and does not go");
    Err(Error::new(ErrorKind::Conflict, operation, message).hint("choose another name, or look at its node"))
}

async fn create_pod(client: &Client, wanted: &Pod) -> kube::Result<Pod> {
    client.pods().create(&PostParams::default(), wanted).await
}

/// The uid of `made`, if the server kept all that was `wanted`.
async fn kept(backend: &K8sBackend, wanted: &Pod, made: Pod, operation: &str) -> Result<String> {
    let internal = |message: String| Error::new(ErrorKind::Internal, operation, message);
    let uid = made.metadata.uid.clone().ok_or_else(|| internal("the new Pod has no uid".to_owned()))?;
    let json = |pod: &Pod| serde_json::to_value(pod).map_err(|error| internal(error.to_string()));
    let dropped = compare::dropped(&json(wanted)?, &json(&made)?);
    if dropped.is_empty() {
        return Ok(uid);
    }
    let version = backend.client.server_version().await;
    let fields = dropped.join(", ");
    let message = format!("the Kubernetes API server {version} ignored {fields}");
    let error = Error::new(ErrorKind::FieldDropped, operation, message).hint("use a newer Kubernetes");
    let name = made.metadata.name.as_deref().unwrap_or_default();
    Err(match remove::remove(backend, name, &uid, operation).await {
        Ok(_) => error,
        Err(left) => error.context("left_behind", left.to_string()),
    })
}

enum Adopted {
    /// It is the one that is wanted.
    Taken(String),
    /// It is being removed, or is gone already.
    Leaving,
}

/// Whether the Pod that has the name is the one that would be made; if not, why, and what to do.
fn adopt(name: &SandboxName, digest: &str, found: &Pod) -> Result<Adopted, (String, String)> {
    let Some(uid) = &found.metadata.uid else { return Ok(Adopted::Leaving) };
    if found.metadata.deletion_timestamp.is_some() {
        return Ok(Adopted::Leaving);
    }
    let labels = labels::load(found.metadata.labels.as_ref(), found.metadata.annotations.as_ref());
    if labels.get(label::SANDBOX).map(String::as_str) != Some(name.as_str()) {
        return Err((
            format!("a Pod {name} exists that is not a sandbox"),
            "choose another name, or remove that Pod".to_owned(),
        ));
    }
    let remedy = format!("remove it with `oh rm {name}`, or choose another name");
    if labels.get(label::SPEC).map(String::as_str) != Some(digest) {
        return Err((format!("a sandbox {name} exists that was made from another specification"), remedy));
    }
    if evidence::ended(found) {
        return Err((format!("a sandbox {name} exists that has ended"), remedy));
    }
    Ok(Adopted::Taken(uid.clone()))
}

/// Waits until the Pod runs.
async fn started(
    backend: &K8sBackend,
    id: &Incarnation,
    agent: &AgentPayload,
    mut changes: tokio::sync::watch::Receiver<()>,
    deadline: Instant,
    operation: &str,
) -> Result<()> {
    let failed = |kind, message: String| Error::new(kind, operation, message);
    let mut unschedulable_since: Option<Instant> = None;
    let mut seen = None;
    let mut pause = FIRST_LOOK;
    let mut look = Instant::now() + pause;
    loop {
        changes.borrow_and_update();
        let news = match backend.watch.sight(id.name.as_str(), &id.uid) {
            Sight::Pod(pod) => {
                seen = Some(Arc::clone(&pod));
                Some(prospect(&pod, &[]))
            }
            Sight::Absent if seen.is_some() => return Err(gone(backend, id, operation).await),
            // The watch may not have heard of it yet.
            Sight::Absent | Sight::Unknown => None,
        };
        let mut until = deadline;
        match news {
            Some(Prospect::Runs) => return Ok(()),
            Some(Prospect::Hopeless(kind, message)) => {
                return Err(explained(backend, id, seen.as_deref(), failed(kind, message)).await);
            }
            Some(Prospect::Unschedulable(words)) => {
                let since = *unschedulable_since.get_or_insert_with(Instant::now);
                let limit = backend.config.schedule_timeout;
                if since.elapsed() >= limit {
                    let message = format!("no node took it within {} s: {words}", limit.as_secs());
                    let error = failed(ErrorKind::Unschedulable, message)
                        .hint("ask for less, make room, or check k8s.node_selector and k8s.tolerations");
                    return Err(error);
                }
                until = until.min(since + limit);
            }
            Some(Prospect::Pending(_)) => unschedulable_since = None,
            None => {}
        }
        if Instant::now() >= deadline {
            let events = backend.client.events(&id.uid).await;
            let state = seen.as_deref().map(|pod| prospect(pod, &events));
            return Err(failed(ErrorKind::Deadline, late(backend, state)).hint("raise sandbox.start_timeout"));
        }
        if Instant::now() >= look {
            if seen.is_none() {
                // Either the watch is late, or it does not work at all: then this says why.
                let pod = evidence::get(&backend.client, id, operation).await?;
                if evidence::ended(&pod) || pod.metadata.deletion_timestamp.is_some() {
                    seen = Some(Arc::new(pod));
                }
            }
            if payload::is_kept(agent) {
                backend.payloads.ensure_again(&backend.client, agent).await?;
            }
            pause = (2 * pause).min(LONGEST_PAUSE);
            look = Instant::now() + pause;
        }
        tokio::select! {
            // It ends only with the watch, which the backend holds.
            _ = changes.changed() => {}
            () = tokio::time::sleep_until(until.min(look)) => {}
        }
    }
}

fn late(backend: &K8sBackend, state: Option<Prospect>) -> String {
    let seconds = backend.config.start_timeout.as_secs();
    let trouble = || backend.watch.trouble().map(|why| one_line(&format!("it cannot be watched: {why}")));
    let last = match state {
        Some(Prospect::Pending(what) | Prospect::Unschedulable(what) | Prospect::Hopeless(_, what)) => what,
        Some(Prospect::Runs) => "it runs".to_owned(),
        None => trouble().unwrap_or_else(|| "nothing is known of it".to_owned()),
    };
    format!("it did not run within {seconds} s: {last}")
}

/// Why a Pod that was there is not any more.
async fn gone(backend: &K8sBackend, id: &Incarnation, operation: &str) -> Error {
    match evidence::get(&backend.client, id, operation).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Error::new(ErrorKind::Deleted, operation, "the sandbox was removed before it could be used")
        }
        Err(error) => error,
        Ok(_) => Error::new(ErrorKind::Deleted, operation, "the sandbox is being removed"),
    }
}

/// `error` with what the cluster reported about the Pod. Some failures are known by that alone.
async fn explained(backend: &K8sBackend, id: &Incarnation, pod: Option<&Pod>, error: Error) -> Error {
    let events = backend.client.events(&id.uid).await;
    let again = pod.map(|pod| prospect(pod, &events));
    let error = match again {
        Some(Prospect::Hopeless(kind, message)) => Error::new(kind, error.operation(), message),
        _ => error,
    };
    with_events(error, &events)
}

fn with_events(error: Error, events: &[Event]) -> Error {
    let last = events.iter().skip(events.len().saturating_sub(EVENTS));
    let lines = last.map(|event| {
        let reason = event.reason.as_deref().unwrap_or_default();
        one_line(&format!("{reason}: {}", event.message.as_deref().unwrap_or_default()))
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() { error } else { error.context("events", lines.join("\n")) }
}

/// Removes what was made for a creation that failed with `error`.
async fn clean_up(backend: &K8sBackend, id: &Incarnation, error: Error) -> Error {
    match remove::remove(backend, id.name.as_str(), &id.uid, "remove what was made").await {
        Ok(_) => error,
        Err(left) => error.context("left_behind", left.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(metadata: Value, phase: &str) -> Result<Adopted, (String, String)> {
        let pod = serde_json::from_value(json!({ "metadata": metadata, "status": { "phase": phase } }));
        adopt(&SandboxName::new("box").unwrap(), "digest", &pod.unwrap())
    }

    fn ours() -> Value {
        json!({ "name": "box", "uid": "u", "labels": { "oh.sandbox": "box", "oh.spec": "digest" } })
    }

    #[test]
    fn an_equal_sandbox_is_taken() {
        for phase in ["Pending", "Running"] {
            assert!(matches!(check(ours(), phase), Ok(Adopted::Taken(uid)) if uid == "u"), "{phase}");
        }
        let mut leaving = ours();
        leaving["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(matches!(check(leaving, "Running"), Ok(Adopted::Leaving)));
    }

    #[test]
    fn another_one_is_a_conflict_that_names_it() {
        let refused = |metadata, phase| check(metadata, phase).err().unwrap();
        let (message, _) = refused(json!({ "name": "box", "uid": "u" }), "Running");
        assert!(message.contains("not a sandbox"), "{message}");
        let other = json!({ "uid": "u", "labels": { "oh.sandbox": "box", "oh.spec": "other" } });
        let (message, hint) = refused(other, "Running");
        assert!(message.contains("another specification") && hint.contains("oh rm box"), "{message} {hint}");
        let (message, hint) = refused(ours(), "Succeeded");
        assert!(message.contains("has ended") && hint.contains("oh rm box"), "{message} {hint}");
    }
}
