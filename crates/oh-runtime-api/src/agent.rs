//! The agent as plain data: what a backend delivers, and how it is called.

use std::ffi::OsString;
use std::time::Duration;

use bytes::Bytes;

use crate::SandboxName;

/// Folder in a sandbox that holds the agent.
pub const AGENT_DIR: &str = "/.oh";
/// The agent's executable in a sandbox.
pub const AGENT_PATH: &str = "/.oh/oh-agent";

/// Where an image for [`Delivery::Image`] holds the agent.
pub const AGENT_IN_IMAGE: &str = "/oh-agent";

/// How the agent gets into a sandbox. Wherever it comes from, it is [`AGENT_PATH`] there, and commands cannot replace
/// that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Delivery {
    /// The backend is given it once and keeps it for all sandboxes.
    #[default]
    Upload,
    /// From this image, which holds it as [`AGENT_IN_IMAGE`].
    Image(String),
    /// The sandbox's own image holds it at this absolute path.
    Present(String),
    /// Kept by the backend, unpacked into memory and executed there: for machines whose volumes nothing can be
    /// executed on. Security monitors may object.
    Memory,
}

impl Delivery {
    /// Its name, as [`label::DELIVERY`](crate::label::DELIVERY) has it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Image(_) => "image",
            Self::Present(_) => "present",
            Self::Memory => "memory",
        }
    }
}

/// The agent's executable: one static binary per architecture.
#[derive(Clone)]
pub struct AgentPayload {
    /// The file's bytes.
    pub bytes: Bytes,
    /// Lower-case hex sha256 of the bytes.
    pub digest: String,
    /// The executable that unpacks it in the sandbox, where only small files can be delivered: `oh-loader`.
    pub loader: Option<Bytes>,
    /// Architecture as Rust names it: `x86_64`, `aarch64`.
    pub arch: String,
    /// How it gets into the sandbox.
    pub delivery: Delivery,
}

impl std::fmt::Debug for AgentPayload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "AgentPayload({}, {} bytes, {}, {:?})",
            self.arch,
            self.bytes.len(),
            self.digest,
            self.delivery
        )
    }
}

/// The sandbox's first process: serves until it is told to stop, or for `ttl`, or until nobody has been connected for
/// `lease`. `address` is the sandbox's name, or what the backend takes in its place. `beside` is the command it starts
/// at once, if any.
#[must_use]
pub fn serve_argv(address: &str, ttl: Duration, lease: Option<Duration>, beside: &[String]) -> Vec<OsString> {
    let seconds = |time: Duration| time.as_secs().max(1).to_string();
    let mut argv = [AGENT_PATH, "serve", address, &seconds(ttl)].map(OsString::from).to_vec();
    if let Some(lease) = lease {
        argv.extend(["--lease".into(), seconds(lease).into()]);
    }
    if !beside.is_empty() {
        argv.push("--".into());
        argv.extend(beside.iter().map(OsString::from));
    }
    argv
}

/// What puts the agent at [`AGENT_PATH`], where a volume is mounted that can be written to: executed where the agent is
/// already. It fails where that is another agent than `payload`. [`Delivery::Upload`] and [`Delivery::Memory`] need
/// none.
#[must_use]
pub fn place_argv(payload: &AgentPayload) -> Option<Vec<String>> {
    let (path, how) = match &payload.delivery {
        Delivery::Image(_) => (AGENT_IN_IMAGE, "copy"),
        // In its place it can be executed even where volumes are not for that.
        Delivery::Present(path) => (path.as_str(), "link"),
        Delivery::Upload | Delivery::Memory => return None,
    };
    Some([path, "place", how, &payload.digest].map(str::to_owned).to_vec())
}

/// Whether a container runtime, or what it left in a log, says that an executable was there and could not be executed.
#[must_use]
pub fn was_not_executed(words: &str) -> bool {
    ["exec format error", "exec user process caused"].iter().any(|sign| words.contains(sign))
        || (words.contains(AGENT_DIR)
            && ["permission denied", "operation not permitted"].iter().any(|sign| words.contains(sign)))
}

/// What a container runtime executes in a running sandbox to reach its agent: connects standard input and output to
/// it. Its own exit code says nothing about any command.
#[must_use]
pub fn bridge_argv(sandbox: &SandboxName) -> Vec<OsString> {
    [AGENT_PATH, "bridge", sandbox.as_str()].map(OsString::from).to_vec()
}
