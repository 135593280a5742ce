//! Making a sandbox, whole or not at all.
//!
//! It is made in a folder of another name, its first process included, which waits. Renaming the folder is the moment
//! the sandbox exists; of two who make the same one, the second cannot rename and takes the first one's. Then the first
//! process is let go.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use nix::unistd::{User, geteuid};
use oh_runtime_api::{
    AgentPayload, Delivery, Entrypoint, Error, ErrorKind, Incarnation, Restrictions, Result, SandboxSpec,
    label,
};
use tokio::sync::oneshot;

use crate::instance::{self, Instance, Meta};
use crate::process::Process;
use crate::{image, launch, remove};

/// The agent's executable in its folder.
const AGENT: &str = "oh-agent";

/// Whether this backend can do what is asked for.
pub(crate) fn check(spec: &SandboxSpec, delivery: &Delivery, operation: &str) -> Result<()> {
    let error = |kind, message: String| Err(Error::new(kind, operation, message));
    if *delivery != Delivery::Upload {
        let message = "the local backend copies the agent into the sandbox's folder, and knows no other way";
        return error(ErrorKind::DeliveryFailed, message.to_owned());
    }
    if spec.restrictions != Restrictions::default() {
        let message = "the local backend restricts nothing: its sandboxes can do what you can";
        return error(ErrorKind::Unsupported, message.to_owned());
    }
    if spec.entrypoint == Some(Entrypoint::OfImage) {
        let message = "the local backend's images are folders, which name no entrypoint: say the command";
        return error(ErrorKind::Unsupported, message.to_owned());
    }
    if let Some(user) = spec.user.as_deref().filter(|user| !is_own(user)) {
        return error(
            ErrorKind::Unsupported,
            format!("the local backend cannot run commands as user {user:?}"),
        );
    }
    if let Some(name) = spec.env.keys().find(|name| !launch::is_variable(name)) {
        let message =
            format!("the local backend cannot set the variable {name:?}: a shell would not pass it on");
        return error(ErrorKind::Unsupported, message);
    }
    if let Some((name, _)) = spec.env.iter().find(|(_, value)| value.contains('\0')) {
        return error(ErrorKind::Config, format!("the variable {name} has a zero byte in its value"));
    }
    for mount in &spec.mounts {
        if !mount.source.is_absolute() || !mount.source.exists() {
            return error(ErrorKind::Config, format!("there is no {} to mount", mount.source.display()));
        }
        let mut parts = mount.target.components();
        if parts.next() != Some(Component::RootDir)
            || parts.clone().next().is_none()
            || !parts.all(|part| matches!(part, Component::Normal(_)))
        {
            let message = format!("{} is no absolute path to mount on", mount.target.display());
            return error(ErrorKind::Config, message);
        }
    }
    Ok(())
}

/// Whether it is the user sandboxes run as: who runs this program, who is root inside.
fn is_own(user: &str) -> bool {
    let own = geteuid();
    user == "root"
        || user == "0"
        || user == own.to_string()
        || User::from_uid(own).ok().flatten().is_some_and(|own| own.name == user)
}

/// The sandbox of the specification's name, when there is one.
///
/// # Errors
/// When it has another specification.
pub(crate) fn existing(state_dir: &Path, spec: &SandboxSpec, operation: &str) -> Result<Option<Incarnation>> {
    let instance = Instance::of(state_dir, &spec.name);
    match instance.meta().map_err(|error| instance::unreadable(&instance.path, &error, operation))? {
        Some(meta) if meta.labels.get(label::SPEC) == Some(&spec.digest()) => {
            Ok(Some(Incarnation { name: spec.name.clone(), uid: meta.uid }))
        }
        Some(_) => {
            let message = format!("another sandbox is called {}", spec.name);
            Err(Error::new(ErrorKind::Conflict, operation, message).hint("remove it, or pick another name"))
        }
        None => Ok(None),
    }
}

/// Makes the folder of all sandboxes. Nobody else may be able to change what is in it.
pub(crate) fn prepare(state_dir: &Path, operation: &str) -> Result<()> {
    let failed = |error: io::Error| instance::unreadable(state_dir, &error, operation);
    DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(failed)?;
    let metadata = fs::metadata(state_dir).map_err(failed)?;
    if metadata.uid() != geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        let message = format!("{} can be changed by other users", state_dir.display());
        return Err(Error::new(ErrorKind::Forbidden, operation, message)
            .hint("set local.state_dir to a folder that is yours alone"));
    }
    Ok(())
}

/// A sandbox that is being made.
pub(crate) struct Making {
    state_dir: PathBuf,
    /// What its image has.
    rootfs: PathBuf,
    spec: SandboxSpec,
    agent: AgentPayload,
    operation: String,
    /// Where it is at the moment, and its first process.
    here: Option<Instance>,
    process: Option<Process>,
}

impl Making {
    pub(crate) fn new(
        state_dir: PathBuf,
        rootfs: PathBuf,
        spec: SandboxSpec,
        agent: AgentPayload,
        operation: String,
    ) -> Self {
        Self { state_dir, rootfs, spec, agent, operation, here: None, process: None }
    }

    /// Makes it, unless the other end of `wanted` is dropped before. What fails or is not wanted any more leaves
    /// nothing.
    pub(crate) async fn run(mut self, wanted: oneshot::Receiver<()>) -> Result<Incarnation> {
        let made = tokio::select! {
            made = self.make() => made,
            _ = wanted => Err(Error::new(ErrorKind::Cancelled, self.operation.as_str(), "nobody waits for it any more")),
        };
        if made.is_err() {
            self.undo().await;
        }
        made
    }

    async fn make(&mut self) -> Result<Incarnation> {
        let target = Instance::of(&self.state_dir, &self.spec.name);
        let uid = random().map_err(|error| self.failed(&error))?;
        let own = Process::own().map_err(|error| self.failed(&error))?;
        let here = Instance { path: remove::making(&self.state_dir, own, &uid) };
        self.here = Some(here.clone());
        self.fill(&here).await?;
        let waiting = launch::start(&here, &target, &self.spec, &self.operation).await?;
        self.process = Some(waiting.process);
        let now = SystemTime::now();
        let meta = Meta {
            uid: uid.clone(),
            created: now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
            agent: waiting.process,
            labels: self.spec.labels(&self.agent, now),
        };
        here.write_meta(&meta).map_err(|error| self.failed(&error))?;
        match fs::rename(&here.path, &target.path) {
            Ok(()) => self.here = Some(target.clone()),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) =>
            {
                drop(waiting);
                self.undo().await;
                return existing(&self.state_dir, &self.spec, &self.operation)?.ok_or_else(|| {
                    let message = "another one of its name was made and removed meanwhile";
                    Error::new(ErrorKind::Unavailable, self.operation.as_str(), message)
                });
            }
            Err(error) => return Err(self.failed(&error)),
        }
        waiting.go(&target, &self.operation).await?;
        Ok(Incarnation { name: self.spec.name.clone(), uid })
    }

    /// What is in the folder before its first process starts.
    async fn fill(&self, here: &Instance) -> Result<()> {
        let failed = |error: io::Error| self.failed(&error);
        DirBuilder::new().mode(0o700).create(&here.path).map_err(failed)?;
        fs::create_dir(here.root()).map_err(failed)?;
        image::copy(&self.rootfs, &here.root(), &self.operation).await?;
        let agent_dir = here.agent_dir();
        DirBuilder::new().recursive(true).mode(0o755).create(&agent_dir).map_err(failed)?;
        let agent = agent_dir.join(AGENT);
        tokio::fs::write(&agent, &self.agent.bytes).await.map_err(failed)?;
        fs::set_permissions(&agent, fs::Permissions::from_mode(0o555)).map_err(failed)
    }

    /// Removes what is there of it.
    async fn undo(&mut self) {
        let process = self.process.take();
        let here = self.here.take();
        let undoing = async {
            if let Some(process) = process {
                process.end().await?;
            }
            if let Some(here) = here {
                remove::remove_tree(&here.path).await?;
            }
            Ok::<_, io::Error>(())
        };
        if let Err(error) = undoing.await {
            tracing::warn!(sandbox = %self.spec.name, %error, "a sandbox that failed to start cannot be removed whole");
        }
    }

    fn failed(&self, error: &io::Error) -> Error {
        instance::unreadable(&self.state_dir, error, &self.operation)
    }
}

/// Random hex digits.
fn random() -> io::Result<String> {
    let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    Ok(uuid.trim().replace('-', ""))
}
