//! Making a container, or finding the one that is there already.

use std::time::{Duration, SystemTime};

use bollard::errors::Error as EngineError;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum as Status, ImageInspect,
};
use bollard::query_parameters::CreateContainerOptionsBuilder;
use oh_runtime_api::{
    AGENT_PATH, AgentPayload, Delivery, Entrypoint, Error, ErrorKind, Incarnation, Result, SandboxName,
    SandboxSpec, label, was_not_executed,
};
use tokio::time::{Instant, sleep};

use crate::backend::DockerBackend;
use crate::client::Client;
use crate::error::{refusal, status, words};
use crate::{container, remove};

/// How long others may be about to take or give up the name while it is claimed. The engine reserves a name before it
/// shows its container.
const CLAIM_LIMIT: Duration = Duration::from_secs(60);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// See [`Backend::create`](oh_runtime_api::Backend::create).
pub(crate) async fn create(
    backend: &DockerBackend,
    spec: &SandboxSpec,
    agent: &AgentPayload,
) -> Result<Incarnation> {
    let operation = format!("create sandbox {}", spec.name);
    if agent.delivery == Delivery::Memory {
        let message = "the Docker backend executes no agent from memory";
        return Err(Error::new(ErrorKind::DeliveryFailed, operation, message));
    }
    let client = &backend.client;
    let here = |error: Error| error.in_operation(operation.as_str());
    // What cannot be right is refused before an image is pulled.
    container::body(spec, agent, backend.network(), &[], SystemTime::now())?;
    let image = backend.images.ensure(client, &spec.image, &agent.arch).await.map_err(here)?;
    let beside = beside(spec, &image).map_err(here)?;
    not_as_root(spec, &image).map_err(here)?;
    let body = container::body(spec, agent, backend.network(), &beside, SystemTime::now())?;
    if let Delivery::Image(image) = &agent.delivery {
        backend.images.ensure(client, image, &agent.arch).await.map_err(here)?;
    }
    let claimed = claim(client, spec, body, &operation).await?;
    if !claimed.running {
        tracing::debug!(sandbox = %spec.name, container = claimed.uid, "starting");
        if let Err(error) = launch(backend, &claimed.uid, spec, agent).await {
            return Err(clean_up(client, &claimed.uid, here(error)).await);
        }
    }
    Ok(Incarnation { name: spec.name.clone(), uid: claimed.uid })
}

/// The command that is started beside the agent.
fn beside(spec: &SandboxSpec, image: &ImageInspect) -> Result<Vec<String>> {
    match &spec.entrypoint {
        None => Ok(Vec::new()),
        Some(Entrypoint::Command(command)) => Ok(command.clone()),
        Some(Entrypoint::OfImage) => {
            let config = image.config.as_ref();
            let entrypoint = config.and_then(|config| config.entrypoint.clone());
            let arguments = config.and_then(|config| config.cmd.clone());
            let command: Vec<String> = entrypoint.into_iter().chain(arguments).flatten().collect();
            if command.is_empty() {
                let message = format!("the image {} has no entrypoint and no command", spec.image);
                return Err(Error::new(ErrorKind::Config, "start the entrypoint", message));
            }
            Ok(command)
        }
    }
}

/// A restricted sandbox must have another user than root: choosing one is not ours.
fn not_as_root(spec: &SandboxSpec, image: &ImageInspect) -> Result<()> {
    let of_image = || image.config.as_ref().and_then(|config| config.user.clone());
    let user = spec.user.clone().or_else(of_image).unwrap_or_default();
    let name = user.split(':').next().unwrap_or_default();
    if spec.restrictions.restricted && matches!(name, "" | "root" | "0") {
        let message = "a restricted sandbox cannot run as root, as this image does";
        return Err(Error::new(ErrorKind::Config, "restrict it", message).hint("say which user, by number"));
    }
    Ok(())
}

struct Claimed {
    uid: String,
    running: bool,
}

/// Makes the container, or takes the one that was made for an equal specification.
async fn claim(
    client: &Client,
    spec: &SandboxSpec,
    body: ContainerCreateBody,
    operation: &str,
) -> Result<Claimed> {
    let name = spec.name.as_str();
    let started = Instant::now();
    while started.elapsed() < CLAIM_LIMIT {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        match client.calls.create_container(Some(options), body.clone()).await {
            Ok(made) => {
                for warning in made.warnings {
                    tracing::warn!(sandbox = name, warning, "the engine warns");
                }
                return Ok(Claimed { uid: made.id, running: false });
            }
            Err(error) if status(&error) == Some(409) => {}
            Err(error) => return Err(refused(client, operation, error)),
        }
        let found = match client.calls.inspect_container(name, None).await {
            Ok(found) => adopt(&spec.name, &spec.digest(), &found),
            Err(error) if status(&error) == Some(404) => Ok(Adopted::Unseen),
            Err(error) => return Err(client.error(operation, error)),
        };
        match found
            .map_err(|(message, hint)| Error::new(ErrorKind::Conflict, operation, message).hint(hint))?
        {
            Adopted::Taken(claimed) => return Ok(claimed),
            Adopted::Leaving(uid) => remove::gone(client, &uid, operation).await?,
            Adopted::Unseen => sleep(PAUSE).await,
        }
    }
    let message = format!("the engine has the name {name} in use for something it does not show");
    Err(Error::new(ErrorKind::Conflict, operation, message).hint("choose another name"))
}

enum Adopted {
    /// It is the one that is wanted.
    Taken(Claimed),
    /// It is being removed.
    Leaving(String),
    /// The one of this name is not there yet or not there any more; another one's id may begin like the name.
    Unseen,
}

/// Whether the container that has the name is the one that would be made; if not, why, and what to do.
fn adopt(
    name: &SandboxName,
    digest: &str,
    found: &ContainerInspectResponse,
) -> Result<Adopted, (String, String)> {
    let (Some(uid), Some(full)) = (&found.id, &found.name) else { return Ok(Adopted::Unseen) };
    if full.trim_start_matches('/') != name.as_str() {
        return Ok(Adopted::Unseen);
    }
    let state = found.state.as_ref().and_then(|state| state.status);
    if state == Some(Status::REMOVING) {
        return Ok(Adopted::Leaving(uid.clone()));
    }
    let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
    let label = |key| labels.and_then(|labels| labels.get(key)).map(String::as_str);
    if label(label::SANDBOX) != Some(name.as_str()) {
        return Err((
            format!("a container {name} exists that is not a sandbox"),
            "choose another name, or remove that container".to_owned(),
        ));
    }
    let remedy = format!("remove it with `oh rm {name}`, or choose another name");
    if label(label::SPEC) != Some(digest) {
        return Err((format!("a sandbox {name} exists that was made from another specification"), remedy));
    }
    match state {
        Some(Status::EXITED | Status::DEAD) => {
            Err((format!("a sandbox {name} exists that has ended"), remedy))
        }
        state => Ok(Adopted::Taken(Claimed { uid: uid.clone(), running: state != Some(Status::CREATED) })),
    }
}

/// Puts the agent in place and starts the container.
async fn launch(backend: &DockerBackend, uid: &str, spec: &SandboxSpec, agent: &AgentPayload) -> Result<()> {
    let (client, payloads) = (&backend.client, &backend.payloads);
    payloads.ensure(client, uid, &spec.image, agent).await?;
    let started = match client.calls.start_container(uid, None).await {
        // Somebody removed the volume since the bytes were compared, and the engine made it again, empty.
        Err(error) if agent_missing(&words(&error)) => {
            payloads.forget(agent);
            payloads.ensure(client, uid, &spec.image, agent).await?;
            client.calls.start_container(uid, None).await
        }
        started => started,
    };
    started.map_err(|error| not_started(client, error))
}

/// Whether the engine says that there is no agent.
fn agent_missing(said: &str) -> bool {
    said.contains(AGENT_PATH) && said.contains("no such file or directory")
}

/// Why the engine does not make a container.
fn refused(client: &Client, operation: &str, error: EngineError) -> Error {
    let said = words(&error);
    let (kind, hint) = match status(&error) {
        Some(404) if said.contains("No such image") => {
            (ErrorKind::ImageNotFound, "the image was removed meanwhile; build or load it again")
        }
        Some(400 | 404) if said.contains("bind source path does not exist") => {
            (ErrorKind::Config, "mounts are paths on the engine's machine; make it, or remove the mount")
        }
        Some(404) if said.contains("network") => {
            (ErrorKind::Config, "`docker network ls` shows those there are")
        }
        _ => return client.error(operation, error),
    };
    Error::new(kind, operation, said).hint(hint).caused_by(error)
}

/// Why the engine does not start a container.
fn not_started(client: &Client, error: EngineError) -> Error {
    let said = words(&error);
    let Some(status) = status(&error) else { return client.error("start it", error) };
    let (kind, hint) = why_not_started(status, &said);
    let failed = Error::new(kind, "start it", said).caused_by(error);
    if hint.is_empty() { failed } else { failed.hint(hint) }
}

fn why_not_started(status: u16, said: &str) -> (ErrorKind, &'static str) {
    if said.contains("unable to find user") || said.contains("unable to find group") {
        return (ErrorKind::Config, "use a user of the image, or a number");
    }
    if said.contains("network") && said.contains("not found") {
        return (ErrorKind::Config, "`docker network ls` shows those there are");
    }
    if was_not_executed(said) || agent_missing(said) {
        return (ErrorKind::DeliveryFailed, "");
    }
    if said.contains("No such container") {
        return (ErrorKind::Deleted, "somebody removed it while it was made");
    }
    match refusal(status, said) {
        kind @ (ErrorKind::NoSpace | ErrorKind::Forbidden | ErrorKind::Unavailable) => (kind, ""),
        _ => (ErrorKind::StartFailed, ""),
    }
}

/// Removes what could not be started, and returns why it could not.
async fn clean_up(client: &Client, uid: &str, error: Error) -> Error {
    match remove::remove(client, uid, "remove what was made").await {
        Ok(_) => error,
        Err(left) => error.context("left_behind", left.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerConfig, ContainerState};

    use super::*;
    use crate::container::pairs;

    fn found(status: Status, labels: &[(&str, &str)]) -> ContainerInspectResponse {
        ContainerInspectResponse {
            id: Some("c0ffee".to_owned()),
            name: Some("/box".to_owned()),
            state: Some(ContainerState { status: Some(status), ..ContainerState::default() }),
            config: Some(ContainerConfig { labels: Some(pairs(labels)), ..ContainerConfig::default() }),
            ..ContainerInspectResponse::default()
        }
    }

    fn check(found: &ContainerInspectResponse) -> Result<Adopted, (String, String)> {
        adopt(&SandboxName::new("box").unwrap(), "digest", found)
    }

    const OURS: &[(&str, &str)] = &[(label::SANDBOX, "box"), (label::SPEC, "digest")];

    #[test]
    fn an_equal_sandbox_is_taken() {
        for (status, is_running) in
            [(Status::RUNNING, true), (Status::PAUSED, true), (Status::CREATED, false)]
        {
            let Ok(Adopted::Taken(Claimed { uid, running })) = check(&found(status, OURS)) else {
                panic!("{status} is not taken");
            };
            assert_eq!((uid.as_str(), running), ("c0ffee", is_running));
        }
    }

    #[test]
    fn another_one_is_a_conflict_that_names_it() {
        let refused = |found: ContainerInspectResponse| check(&found).err().unwrap();
        let (message, _) = refused(found(Status::RUNNING, &[]));
        assert!(message.contains("not a sandbox"), "{message}");
        let other = [(label::SANDBOX, "box"), (label::SPEC, "other")];
        let (message, hint) = refused(found(Status::RUNNING, &other));
        assert!(message.contains("another specification") && hint.contains("oh rm box"), "{message} {hint}");
        let (message, hint) = refused(found(Status::EXITED, OURS));
        assert!(message.contains("has ended") && hint.contains("oh rm box"), "{message} {hint}");
    }

    #[test]
    fn one_that_goes_away_is_waited_for() {
        assert!(
            matches!(check(&found(Status::REMOVING, OURS)), Ok(Adopted::Leaving(uid)) if uid == "c0ffee")
        );
        let another =
            ContainerInspectResponse { name: Some("/else".to_owned()), ..found(Status::RUNNING, OURS) };
        assert!(matches!(check(&another), Ok(Adopted::Unseen)));
    }

    #[test]
    fn the_words_of_a_failed_start_are_kinds() {
        let cases = [
            (400, ErrorKind::Config, "unable to find user nobody2: no matching entries in passwd file"),
            (404, ErrorKind::Config, "network nothing not found"),
            (
                400,
                ErrorKind::DeliveryFailed,
                "OCI runtime create failed: exec /.oh/oh-agent: exec format error: unknown",
            ),
            (
                400,
                ErrorKind::DeliveryFailed,
                "OCI runtime create failed: exec: \"/.oh/oh-agent\": permission denied: unknown",
            ),
            (
                400,
                ErrorKind::DeliveryFailed,
                "OCI runtime create failed: exec: \"/.oh/oh-agent\": stat /.oh/oh-agent: no such file or directory",
            ),
            (500, ErrorKind::NoSpace, "mkdir /var/lib/docker/overlay2/x: no space left on device"),
            (500, ErrorKind::StartFailed, "OCI runtime create failed: something: unknown"),
            (404, ErrorKind::Deleted, "No such container: c0ffee"),
        ];
        for (status, kind, said) in cases {
            assert_eq!(why_not_started(status, said).0, kind, "{said}");
        }
    }
}
