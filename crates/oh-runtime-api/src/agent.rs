//! The agent as plain data: what a backend delivers, and how it is called.

use std::ffi::OsString;
use std::time::Duration;

use bytes::Bytes;

use crate::SandboxName;

/// Folder in a sandbox that holds the agent.
pub const AGENT_DIR: &str = "/.oh";
/// The agent's executable in a sandbox.
pub const AGENT_PATH: &str = "/.oh/oh-agent";

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
}

impl std::fmt::Debug for AgentPayload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AgentPayload({}, {} bytes, {})", self.arch, self.bytes.len(), self.digest)
    }
}

/// The sandbox's first process: serves until it is told to stop, or for `ttl`, or until nobody has been connected for
/// `lease`. `address` is the sandbox's name, or what the backend takes in its place.
#[must_use]
pub fn serve_argv(address: &str, ttl: Duration, lease: Option<Duration>) -> Vec<OsString> {
    let seconds = |time: Duration| time.as_secs().max(1).to_string();
    let mut argv = [AGENT_PATH, "serve", address, &seconds(ttl)].map(OsString::from).to_vec();
    if let Some(lease) = lease {
        argv.extend(["--lease".into(), seconds(lease).into()]);
    }
    argv
}

/// What a container runtime executes in a running sandbox to reach its agent: connects standard input and output to
/// it. Its own exit code says nothing about any command.
#[must_use]
pub fn bridge_argv(sandbox: &SandboxName) -> Vec<OsString> {
    [AGENT_PATH, "bridge", sandbox.as_str()].map(OsString::from).to_vec()
}
