//! What a sandbox is made from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{AgentPayload, Resources, RunId, SandboxName};

/// Labels as a backend stores them.
pub type Labels = BTreeMap<String, String>;

/// The keys of the labels every backend puts on every object it makes.
pub mod label {
    /// The sandbox's name. Its presence says that an object is ours.
    pub const SANDBOX: &str = "oh.sandbox";
    /// The run it belongs to.
    pub const RUN: &str = "oh.run";
    /// The instance of the run.
    pub const INSTANCE: &str = "oh.instance";
    /// Who made it; automatic clean-up never touches what somebody else made.
    pub const OWNER: &str = "oh.owner";
    /// When it may be removed by anybody of the same owner, in seconds since 1970.
    pub const EXPIRES: &str = "oh.expires";
    /// Digest of the specification, so that creating twice can tell "the same" from "another of that name".
    pub const SPEC: &str = "oh.spec";
    /// Digest of the agent it runs.
    pub const AGENT: &str = "oh.agent";
    /// How the agent got into it, as [`Delivery::name`](crate::Delivery::name) says it.
    pub const DELIVERY: &str = "oh.delivery";
    /// The image it was asked for.
    pub const IMAGE: &str = "oh.image";
}

/// A host folder or file inside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path on the machine the backend runs on.
    pub source: PathBuf,
    /// Absolute path in the sandbox.
    pub target: PathBuf,
    /// Whether the sandbox may not write to it.
    pub read_only: bool,
}

/// What a sandbox may not do, besides what none may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restrictions {
    /// Write to the image's files. `/tmp` can be written to, and is empty at first.
    pub read_only_root: bool,
    /// Run as root, have or gain a privilege: what Kubernetes calls restricted. The user has to be another than root, by
    /// the specification or in the image.
    pub restricted: bool,
}

/// A command that is started with the sandbox and goes on beside all others, as one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entrypoint {
    /// The image's own, where the backend knows it.
    OfImage,
    /// Program and arguments.
    Command(Vec<String>),
}

/// What to create. Equal specifications of one name are one sandbox.
#[derive(Clone, PartialEq)]
pub struct SandboxSpec {
    /// Its name.
    pub name: SandboxName,
    /// The image as the backend names it.
    pub image: String,
    /// The run it belongs to.
    pub run: Option<RunId>,
    /// The instance of the run, as the dataset spells it.
    pub instance: Option<String>,
    /// Who makes it.
    pub owner: String,
    /// Environment of every command, on top of the image's.
    pub env: BTreeMap<String, String>,
    /// Folders of the host in it.
    pub mounts: Vec<Mount>,
    /// How much it gets.
    pub resources: Resources,
    /// User to run as, by name or number; `None` is the image's own.
    pub user: Option<String>,
    /// What it may not do.
    pub restrictions: Restrictions,
    /// What is started with it; `None` is nothing, also not what the image would start.
    pub entrypoint: Option<Entrypoint>,
    /// After this long it ends by itself, whatever became of its maker.
    pub ttl: Duration,
    /// It ends by itself when no client has been connected for this long; `None` when it may be left alone. A
    /// [`Sandbox`](crate::Sandbox) stays connected from its first use until it is dropped.
    pub lease: Option<Duration>,
}

impl SandboxSpec {
    /// A specification with defaults for all but what has none.
    pub fn new(name: SandboxName, image: impl Into<String>, owner: impl Into<String>, ttl: Duration) -> Self {
        Self {
            name,
            image: image.into(),
            run: None,
            instance: None,
            owner: owner.into(),
            env: BTreeMap::new(),
            mounts: Vec::new(),
            resources: Resources::default(),
            user: None,
            restrictions: Restrictions::default(),
            entrypoint: None,
            ttl,
            lease: None,
        }
    }

    /// Hex digest of everything that makes two sandboxes different. The time to live and the lease are not part of it:
    /// asking again later is still asking for the same.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        part(self.name.as_str());
        part(&self.image);
        part(self.run.as_ref().map_or("", RunId::as_str));
        part(self.instance.as_deref().unwrap_or_default());
        part(&self.owner);
        part(&format!("{:?}", self.user));
        part(&format!("{:?}", self.env));
        part(&format!("{:?}", self.mounts));
        part(&format!("{:?}", self.resources));
        part(&format!("{:?}", self.restrictions));
        part(&format!("{:?}", self.entrypoint));
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The labels of this sandbox, those of the agent and the expiry time included.
    #[must_use]
    pub fn labels(&self, agent: &AgentPayload, now: std::time::SystemTime) -> Labels {
        let expires = (now + self.ttl).duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut labels = Labels::from([
            (label::SANDBOX.to_owned(), self.name.to_string()),
            (label::OWNER.to_owned(), self.owner.clone()),
            (label::EXPIRES.to_owned(), expires.to_string()),
            (label::SPEC.to_owned(), self.digest()),
            (label::AGENT.to_owned(), agent.digest.clone()),
            (label::DELIVERY.to_owned(), agent.delivery.name().to_owned()),
            (label::IMAGE.to_owned(), self.image.clone()),
        ]);
        if let Some(run) = &self.run {
            labels.insert(label::RUN.to_owned(), run.to_string());
        }
        if let Some(instance) = &self.instance {
            labels.insert(label::INSTANCE.to_owned(), instance.clone());
        }
        labels
    }
}

/// Shows the names of environment variables, never their values: they may be secrets.
impl std::fmt::Debug for SandboxSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SandboxSpec")
            .field("name", &self.name)
            .field("image", &self.image)
            .field("run", &self.run)
            .field("instance", &self.instance)
            .field("owner", &self.owner)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("mounts", &self.mounts)
            .field("resources", &self.resources)
            .field("user", &self.user)
            .field("restrictions", &self.restrictions)
            .field("entrypoint", &self.entrypoint)
            .field("ttl", &self.ttl)
            .field("lease", &self.lease)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> SandboxSpec {
        SandboxSpec::new(SandboxName::new("box").unwrap(), "image:1", "me@here", Duration::from_secs(60))
    }

    #[test]
    fn digest_changes_with_what_matters_only() {
        let base = spec().digest();
        assert_eq!(base, SandboxSpec { ttl: Duration::from_secs(5), ..spec() }.digest());
        assert_ne!(base, SandboxSpec { image: "image:2".into(), ..spec() }.digest());
        assert_ne!(base, SandboxSpec { env: [("A".into(), "1".into())].into(), ..spec() }.digest());
        assert_ne!(base, SandboxSpec { user: Some(String::new()), ..spec() }.digest());
    }

    #[test]
    fn debug_hides_environment_values() {
        let shown =
            format!("{:?}", SandboxSpec { env: [("TOKEN".into(), "s3cret".into())].into(), ..spec() });
        assert!(shown.contains("TOKEN") && !shown.contains("s3cret"), "{shown}");
    }
}
