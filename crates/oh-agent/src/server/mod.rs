//! The sandbox's end: what the binary `oh-agent` runs.
//!
//! | file | is |
//! | --- | --- |
//! | `serve` | the first process: listens, ends everything when told to or when its time is over |
//! | `identity` | who may connect |
//! | `connection` | one client's session: handshake, frames, open channels |
//! | `command` | one command: pipes, timeout, its end |
//! | `pump` | bytes between its pipes and its channel |
//! | `supervise` | the process between agent and command: starts it, owns its children, kills them |
//! | `control` | what agent and supervisor say to each other |
//! | `reaper` | children that nobody else waits for |
//! | `tree` | finding and signalling descendants |
//! | `files`, `archive` | reading, writing, listing; tar streams in and out |
//! | `oom` | the kernel's OOM counters |
//! | `bridge` | what a container runtime executes to reach the agent |
//!
//! The agent is one thread: its state needs no locks, and only file work runs beside it.

mod archive;
mod bridge;
mod command;
mod connection;
mod control;
mod files;
mod identity;
mod oom;
mod pump;
mod reaper;
mod serve;
mod supervise;
mod tree;

pub use bridge::bridge;
pub use serve::{ServeOptions, serve};
pub use supervise::supervise;

/// One line in the sandbox's log.
fn log(line: &str) {
    use std::io::Write;
    // The log may be gone or full; the agent goes on.
    let _ = writeln!(std::io::stderr().lock(), "oh-agent: {line}");
}
