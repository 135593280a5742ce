//! The agent in a volume: one for each digest, filled once, compared before it is used. Where the sandbox's image holds
//! the agent, the volume holds a link to it instead.
//!
//! Filling needs no image with a shell and no registry: a container that is made but never started takes an archive.
//! Many processes may start at once on an engine that has no volume yet, and putting a file where one is replaces it:
//! a sandbox that starts at that moment finds nothing to execute. So only who holds the filling container fills; its
//! fixed name is the lock, and the engine is the one who grants it.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::errors::Error as EngineError;
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use futures::TryStreamExt;
use oh_runtime_api::{
    AGENT_DIR, AGENT_PATH, AgentPayload, Delivery, Error, ErrorKind, Result, label, place_argv,
};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::container::pairs;
use crate::error::{one_line, status, words};
use crate::{evidence, remove};

/// On the container that fills a volume: it is no sandbox.
const HELPER: &str = "oh.helper";
/// How the names of volumes begin.
pub(crate) const PREFIX: &str = "oh-agent-";
/// Digits of the digest in a volume's name.
const DIGITS: usize = 16;
/// Readable and executable, writable for nobody.
const MODE: u32 = 0o555;
/// Between two looks while another process fills the volume.
const PAUSE: Duration = Duration::from_millis(100);
/// Whoever fills the volume and does not get on for this long was killed.
const STALLED: Duration = Duration::from_secs(15);
/// How long getting the agent into the volume may take.
const LIMIT: Duration = Duration::from_secs(300);
/// More than an archive adds to its one file.
const ARCHIVE_EXTRA: usize = 64 * 1024;

const OPERATION: &str = "deliver the agent";

fn volume(agent: &AgentPayload) -> String {
    let hex =
        |text: String| -> String { Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect() };
    let digest = match &agent.delivery {
        Delivery::Present(path) => hex(format!("link to {path}")),
        Delivery::Image(image) => hex(format!("{} of {image}", agent.digest)),
        Delivery::Upload | Delivery::Memory => agent.digest.clone(),
    };
    format!("{PREFIX}{}", digest.get(..DIGITS).unwrap_or(&digest))
}

/// The volume in a container; the engine makes it with the first one.
pub(crate) fn mount(agent: &AgentPayload, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume(agent)),
        target: Some(AGENT_DIR.to_owned()),
        read_only: Some(read_only),
        volume_options: Some(MountVolumeOptions {
            // What an image has in that folder must not get into the volume.
            no_copy: Some(true),
            labels: Some(pairs(&[(label::AGENT, &agent.digest)])),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    }
}

/// What a volume holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// The agent.
    Whole,
    /// The first bytes of it, perhaps none.
    Part(usize),
    /// Something else.
    Foreign,
}

/// The agents known to be in their volumes.
#[derive(Debug, Default)]
pub(crate) struct Payloads {
    delivered: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
}

impl Payloads {
    /// Makes sure that `container`, which has the volume and does not run, finds the agent in it. The bytes are
    /// compared once per digest.
    pub(crate) async fn ensure(
        &self,
        client: &Client,
        container: &str,
        image: &str,
        agent: &AgentPayload,
    ) -> Result<()> {
        let delivered = {
            let mut all = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(volume(agent)).or_default())
        };
        delivered.get_or_try_init(|| deliver(client, container, image, agent)).await.copied()
    }

    /// Compares again the next time: the volume may have been removed.
    pub(crate) fn forget(&self, agent: &AgentPayload) {
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner).remove(&volume(agent));
    }
}

async fn deliver(client: &Client, container: &str, image: &str, agent: &AgentPayload) -> Result<()> {
    let started = Instant::now();
    // Who fills the volume, how far he got, and since when no further.
    let mut other: Option<(String, usize, Instant)> = None;
    while started.elapsed() < LIMIT {
        let part = match look(client, container, agent).await? {
            Content::Whole => return Ok(()),
            Content::Foreign => return Err(foreign(agent)),
            Content::Part(part) => part,
        };
        // A task of its own: whoever waits for it may give up, and the lock must not stay behind.
        let filling = tokio::spawn(fill(client.clone(), image.to_owned(), agent.clone()));
        let filled = filling.await.map_err(|error| {
            Error::new(ErrorKind::Cancelled, OPERATION, "the program is ending").caused_by(error)
        })?;
        if filled? == Fill::Done {
            continue;
        }
        other = match (holder(client, agent).await?, other) {
            (Some(id), Some((known, seen, since))) if (&id, part) == (&known, seen) => {
                if since.elapsed() > STALLED {
                    tracing::debug!(volume = volume(agent), "whoever filled the volume is gone");
                    remove::remove(client, &id, OPERATION).await?;
                }
                Some((known, seen, since))
            }
            (id, _) => id.map(|id| (id, part, Instant::now())),
        };
        sleep(PAUSE).await;
    }
    let message = format!("the volume {} was not filled within {} s", volume(agent), LIMIT.as_secs());
    Err(Error::new(ErrorKind::Deadline, OPERATION, message))
}

fn foreign(agent: &AgentPayload) -> Error {
    let volume = volume(agent);
    let message =
        format!("the volume {volume} does not hold the agent it is named after: somebody changed it");
    Error::new(ErrorKind::Forbidden, OPERATION, message).hint(format!(
        "find out who can write to the engine's volumes, then remove this one with `docker volume rm {volume}`"
    ))
}

/// What the volume holds, seen through a container that has it.
async fn look(client: &Client, container: &str, agent: &AgentPayload) -> Result<Content> {
    let options = DownloadFromContainerOptionsBuilder::default().path(AGENT_PATH).build();
    let mut download = client.patient.download_from_container(container, Some(options));
    let mut archive = Vec::new();
    loop {
        match download.try_next().await {
            Ok(Some(piece)) => archive.extend_from_slice(&piece),
            Ok(None) => return Ok(judge(&archive, agent)),
            Err(error) if status(&error) == Some(404) && !words(&error).contains("No such container") => {
                return Ok(Content::Part(0));
            }
            Err(error) => return Err(client.error(OPERATION, error)),
        }
        if archive.len() > agent.bytes.len() + ARCHIVE_EXTRA {
            return Ok(Content::Foreign);
        }
    }
}

fn judge(archive: &[u8], agent: &AgentPayload) -> Content {
    let mut content = Vec::new();
    let mut regular = true;
    let mut executable = true;
    let mut link = None;
    let read = tar::Archive::new(archive).entries().and_then(|mut entries| {
        let Some(entry) = entries.next() else { return Ok(()) };
        let entry = entry?;
        link = entry.link_name()?.map(std::borrow::Cow::into_owned);
        regular = entry.header().entry_type().is_file();
        executable = entry.header().mode()? & MODE == MODE;
        entry.take(agent.bytes.len() as u64 + 1).read_to_end(&mut content).map(drop)
    });
    if let Delivery::Present(path) = &agent.delivery {
        return match (read, link) {
            (Ok(()), Some(link)) if link == Path::new(path) => Content::Whole,
            (Ok(()), None) if regular && content.is_empty() => Content::Part(0),
            (Err(_), _) => Content::Part(0),
            _ => Content::Foreign,
        };
    }
    match read {
        Ok(()) if regular && executable && content == agent.bytes => Content::Whole,
        Ok(()) if regular && content.len() < agent.bytes.len() && agent.bytes.starts_with(&content) => {
            Content::Part(content.len())
        }
        // The archive breaks off where the file was replaced while it was read.
        Err(_) => Content::Part(0),
        Ok(()) => Content::Foreign,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Fill {
    /// The agent was put into the volume, or was there.
    Done,
    /// Another process is about to do it.
    Taken,
}

fn lock_name(agent: &AgentPayload) -> String {
    format!("{}-fill", volume(agent))
}

async fn fill(client: Client, image: String, agent: AgentPayload) -> Result<Fill> {
    let (image, argv) = match (&agent.delivery, place_argv(&agent)) {
        (Delivery::Image(image), Some(argv)) => (image.clone(), argv),
        // Never executed, but there has to be something.
        _ => (image, vec![AGENT_PATH.to_owned()]),
    };
    let body = ContainerCreateBody {
        image: Some(image),
        entrypoint: Some(argv),
        cmd: Some(Vec::new()),
        labels: Some(pairs(&[(HELPER, "fill"), (label::AGENT, &agent.digest)])),
        host_config: Some(HostConfig {
            mounts: Some(vec![mount(&agent, false)]),
            network_mode: Some("none".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::default().name(&lock_name(&agent)).build();
    let helper = match client.calls.create_container(Some(options), body).await {
        Ok(made) => made.id,
        Err(error) if status(&error) == Some(409) => return Ok(Fill::Taken),
        Err(error) => return Err(client.error(OPERATION, error)),
    };
    let filled = match agent.delivery {
        Delivery::Image(_) => run(&client, &helper).await,
        _ => upload(&client, &helper, &agent).await,
    };
    let removed = remove::remove(&client, &helper, OPERATION).await;
    filled?;
    removed?;
    Ok(Fill::Done)
}

/// Runs the agent of an agent image, which copies itself.
async fn run(client: &Client, helper: &str) -> Result<()> {
    let failed = |message: String| Error::new(ErrorKind::DeliveryFailed, OPERATION, message);
    client.calls.start_container(helper, None).await.map_err(|error| {
        failed(format!("the agent image cannot be run: {}", words(&error))).caused_by(error)
    })?;
    let mut end = client.patient.wait_container(helper, None);
    let code = match tokio::time::timeout(LIMIT, end.try_next()).await {
        Ok(Ok(end)) => end.map_or(0, |end| end.status_code),
        Ok(Err(EngineError::DockerContainerWaitError { code, .. })) => code,
        Ok(Err(error)) => return Err(client.error(OPERATION, error)),
        Err(_) => return Err(failed(format!("the agent image did not end within {} s", LIMIT.as_secs()))),
    };
    match code {
        0 => Ok(()),
        code => {
            let said = evidence::tail(client, helper).await.unwrap_or_default();
            Err(failed(one_line(&format!("the agent image ended with code {code}: {said}"))))
        }
    }
}

async fn upload(client: &Client, helper: &str, agent: &AgentPayload) -> Result<()> {
    // Another process may have been done just before this one got the lock.
    match look(client, helper, agent).await? {
        Content::Whole => return Ok(()),
        Content::Foreign => return Err(foreign(agent)),
        Content::Part(_) => {}
    }
    tracing::debug!(volume = volume(agent), bytes = agent.bytes.len(), "filling the agent's volume");
    let archive = archive(agent).map_err(|error| {
        Error::new(ErrorKind::Internal, OPERATION, format!("it cannot be packed: {error}")).caused_by(error)
    })?;
    let options = UploadToContainerOptionsBuilder::default().path(AGENT_DIR).build();
    let upload =
        client.patient.upload_to_container(helper, Some(options), bollard::body_full(archive.into()));
    match tokio::time::timeout(LIMIT, upload).await {
        Ok(sent) => sent.map_err(|error| client.error(OPERATION, error)),
        Err(_) => {
            let message = format!("the engine did not take it within {} s", LIMIT.as_secs());
            Err(Error::new(ErrorKind::Deadline, OPERATION, message))
        }
    }
}

fn archive(agent: &AgentPayload) -> std::io::Result<Vec<u8>> {
    let name = Path::new(AGENT_PATH).file_name().unwrap_or_default();
    let mut header = tar::Header::new_ustar();
    header.set_mode(MODE);
    let mut builder = tar::Builder::new(Vec::with_capacity(agent.bytes.len() + ARCHIVE_EXTRA));
    if let Delivery::Present(path) = &agent.delivery {
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, name, path)?;
    } else {
        header.set_size(agent.bytes.len() as u64);
        builder.append_data(&mut header, name, agent.bytes.as_ref())?;
    }
    builder.into_inner()
}

/// The container that holds the lock.
async fn holder(client: &Client, agent: &AgentPayload) -> Result<Option<String>> {
    match client.calls.inspect_container(&lock_name(agent), None).await {
        Ok(found) => Ok(found.id),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(client.error(OPERATION, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linked(path: &str) -> AgentPayload {
        AgentPayload { delivery: Delivery::Present(path.into()), ..agent(b"the agent") }
    }

    fn agent(bytes: &'static [u8]) -> AgentPayload {
        AgentPayload {
            bytes: bytes.into(),
            digest: "0123456789abcdef0123".into(),
            loader: None,
            arch: "x86_64".into(),
            delivery: Delivery::Upload,
        }
    }

    #[test]
    fn what_is_in_a_volume_is_judged_by_its_bytes() {
        let whole = agent(b"the agent");
        let packed = |bytes| archive(&agent(bytes)).unwrap();
        assert_eq!(judge(&packed(b"the agent"), &whole), Content::Whole);
        assert_eq!(judge(&packed(b"the a"), &whole), Content::Part(5));
        assert_eq!(judge(&packed(b""), &whole), Content::Part(0));
        assert_eq!(judge(&[], &whole), Content::Part(0));
        assert_eq!(judge(&packed(b"the agent")[..515], &whole), Content::Part(3), "the archive breaks off");
        for other in [b"the agenT".as_slice(), b"tha", b"the agent and more"] {
            assert_eq!(judge(&packed(other), &whole), Content::Foreign, "{other:?}");
        }
    }

    #[test]
    fn links_and_files_that_cannot_be_executed_are_not_the_agent() {
        let whole = agent(b"");
        let packed = |kind, mode| {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_size(0);
            let mut builder = tar::Builder::new(Vec::new());
            builder.append_data(&mut header, "oh-agent", &b""[..]).unwrap();
            builder.into_inner().unwrap()
        };
        assert_eq!(judge(&packed(tar::EntryType::Regular, 0o755), &whole), Content::Whole);
        assert_eq!(judge(&packed(tar::EntryType::Regular, 0o444), &whole), Content::Foreign);
        assert_eq!(judge(&packed(tar::EntryType::Symlink, 0o777), &whole), Content::Foreign);
    }

    #[test]
    fn a_link_leads_where_the_image_has_the_agent() {
        let wanted = linked("/opt/oh-agent");
        assert_eq!(judge(&archive(&wanted).unwrap(), &wanted), Content::Whole);
        assert_eq!(judge(&[], &wanted), Content::Part(0));
        for other in [linked("/tmp/oh-agent"), agent(b"the agent")] {
            assert_eq!(judge(&archive(&other).unwrap(), &wanted), Content::Foreign, "{other:?}");
        }
        assert_ne!(volume(&wanted), volume(&linked("/tmp/oh-agent")));
    }

    #[test]
    fn names_carry_the_digest() {
        assert_eq!(volume(&agent(b"")), "oh-agent-0123456789abcdef");
        assert_eq!(lock_name(&agent(b"")), "oh-agent-0123456789abcdef-fill");
    }
}
