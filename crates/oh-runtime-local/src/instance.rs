//! The folder of a sandbox.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use oh_runtime_api::{
    Error, ErrorKind, Incarnation, Labels, Result, SandboxInfo, SandboxName, SandboxState, Uid,
};
use serde::{Deserialize, Serialize};

use crate::process::Process;

const META: &str = "meta.json";

/// What a sandbox is, written before it can be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// Random, so that a sandbox made again is another one.
    pub(crate) uid: Uid,
    /// Seconds since 1970.
    pub(crate) created: u64,
    /// The agent.
    pub(crate) agent: Process,
    pub(crate) labels: Labels,
}

/// A folder that holds, or will hold, a sandbox.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) path: PathBuf,
}

impl Instance {
    /// The folder of the sandbox of this name. Names are safe as names of folders and never begin with a dot.
    pub(crate) fn of(state_dir: &Path, name: &SandboxName) -> Self {
        Self { path: state_dir.join(name.as_str()) }
    }

    /// What the sandbox sees as `/`, as far as it is its own.
    pub(crate) fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    /// The agent's folder in [`root`](Self::root).
    pub(crate) fn agent_dir(&self) -> PathBuf {
        self.root().join(oh_runtime_api::AGENT_DIR.trim_start_matches('/'))
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("agent.log")
    }

    /// What it is; `None` when there is no sandbox.
    pub(crate) fn meta(&self) -> io::Result<Option<Meta>> {
        match fs::read(self.path.join(META)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn write_meta(&self, meta: &Meta) -> io::Result<()> {
        fs::write(self.path.join(META), serde_json::to_vec_pretty(meta)?)
    }
}

impl Meta {
    pub(crate) fn state(&self) -> SandboxState {
        if self.agent.is_alive() { SandboxState::Running } else { SandboxState::Exited }
    }

    pub(crate) fn info(self, name: SandboxName) -> SandboxInfo {
        SandboxInfo {
            state: self.state(),
            created: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(self.created)),
            incarnation: Incarnation { name, uid: self.uid },
            labels: self.labels,
        }
    }
}

/// The sandbox `id`, and no other of its name.
pub(crate) fn find(state_dir: &Path, id: &Incarnation, operation: &str) -> Result<(Instance, Meta)> {
    let instance = Instance::of(state_dir, &id.name);
    match instance.meta().map_err(|error| unreadable(&instance.path, &error, operation))? {
        Some(meta) if meta.uid == id.uid => Ok((instance, meta)),
        Some(_) => {
            let message = format!("another sandbox is called {} now", id.name);
            Err(Error::new(ErrorKind::Replaced, operation, message))
        }
        None => Err(Error::new(ErrorKind::NotFound, operation, format!("there is no sandbox {}", id.name))),
    }
}

/// Every sandbox.
pub(crate) fn list(state_dir: &Path) -> io::Result<Vec<SandboxInfo>> {
    let entries = match fs::read_dir(state_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let Some(name) = entry?.file_name().to_str().and_then(|name| SandboxName::new(name).ok()) else {
            continue;
        };
        match Instance::of(state_dir, &name).meta() {
            Ok(Some(meta)) => found.push(meta.info(name)),
            Ok(None) => {}
            Err(error) => tracing::warn!(sandbox = %name, %error, "a sandbox's folder cannot be read"),
        }
    }
    found.sort_by(|a, b| a.incarnation.name.cmp(&b.incarnation.name));
    Ok(found)
}

/// The error for a folder that cannot be used.
pub(crate) fn unreadable(path: &Path, error: &io::Error, operation: &str) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Forbidden,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, operation, format!("{}: {error}", path.display()))
        .hint("local.state_dir says where the sandboxes of this backend are")
}
