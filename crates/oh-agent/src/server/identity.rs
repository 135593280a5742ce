//! Who may talk to the agent, without any secret.
//!
//! A process that a container runtime injects has no parent inside the sandbox (parent 0), and one outside the
//! sandbox's PID namespace has no number in it (0). Nothing a command starts can be either: its parent is a process
//! of the sandbox, and orphans go to process 1.

use std::os::fd::AsFd;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::tree;

/// Checks the process at the other end of an accepted connection.
pub(super) fn check_peer(socket: &impl AsFd) -> Result<(), String> {
    let credentials = getsockopt(socket, PeerCredentials).map_err(|e| format!("peer unknown: {e}"))?;
    match credentials.pid() {
        0 => Ok(()),
        pid => match u32::try_from(pid).ok().and_then(tree::parent) {
            Some(0) => Ok(()),
            Some(parent) => Err(format!("process {pid} (child of {parent}) is of the sandbox itself")),
            None => Err(format!("process {pid} is gone")),
        },
    }
}

/// Checks that it is the agent who listens: the sandbox's first process.
pub(super) fn check_listener(socket: &impl AsFd) -> Result<(), String> {
    let credentials = getsockopt(socket, PeerCredentials).map_err(|e| format!("listener unknown: {e}"))?;
    match credentials.pid() {
        1 => Ok(()),
        pid => Err(format!("process {pid} listens in the agent's place")),
    }
}
