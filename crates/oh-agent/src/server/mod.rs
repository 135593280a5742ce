//! The sandbox's end: what the binary `oh-agent` runs.
//!
//! | file | is |
//! | --- | --- |
//! | `serve` | the first process: listens, ends everything when told to or when its time is over |
//! | `identity` | who may connect |
//! | `transport` | the bytes a client speaks through |
//! | `connection` | one client's session: handshake, frames, open channels |
//! | `agent` | what all sessions share |
//! | `commands` | the commands there are, and who has their streams |
//! | `command` | one command: pipes or a terminal, timeout, its end |
//! | `spool` | what it wrote and nobody has consumed yet |
//! | `pump` | bytes between it, its spools and its channel |
//! | `supervise` | the process between agent and command: owns its children, kills them |
//! | `launch`, `user`, `terminal` | how it starts the command |
//! | `supervisors` | the agent's end of it; those without a command wait for the next |
//! | `control` | what agent and supervisor say to each other |
//! | `reaper` | children that nobody else waits for |
//! | `tree` | finding and signalling descendants |
//! | `files`, `archive` | reading, writing, listing; tar streams in and out |
//! | `transfer` | their bytes, and the digest of these |
//! | `forward` | TCP connections to what listens in the sandbox |
//! | `awake` | waiting, though clocks jump |
//! | `log` | the sandbox's log |
//! | `cgroup` | what the kernel counts for the whole sandbox |
//! | `place` | putting the agent into a sandbox from an image that holds it |
//! | `bridge` | what a container runtime executes to reach the agent |
//!
//! The agent is one thread: its state needs no locks, and only file work runs beside it.

mod agent;
mod archive;
mod awake;
mod bridge;
mod cgroup;
mod command;
mod commands;
mod connection;
mod control;
mod files;
mod forward;
mod identity;
mod launch;
mod log;
mod place;
mod pump;
mod reaper;
mod serve;
mod spool;
mod supervise;
mod supervisors;
mod terminal;
mod transfer;
mod transport;
mod tree;
mod user;

use log::{log, note};

pub use bridge::bridge;
pub use place::place;
pub use serve::{ServeOptions, serve};
pub use supervise::supervise;
