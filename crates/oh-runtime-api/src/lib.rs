//! What a sandbox is, on whatever it runs.
//!
//! Read in this order: [`SandboxName`] and [`SandboxSpec`] (what is asked for), [`Backend`] (where it runs: a
//! lifecycle and a byte stream), [`Sandbox`] (what a harness holds), [`CommandSpec`], [`Process`] and [`End`]
//! (running something in it), [`Error`] (what went wrong, whether it ran, what to do).
//!
//! A backend implements [`Backend`] and nothing else. Exec, files, signals and timeouts are implemented once, over
//! the byte stream a backend opens, so two backends cannot differ in them.

mod agent;
mod backend;
mod command;
mod error;
mod files;
mod name;
mod resources;
mod sandbox;
mod spec;

pub use agent::{
    AGENT_DIR, AGENT_IN_IMAGE, AGENT_PATH, AgentPayload, Delivery, bridge_argv, place_argv, serve_argv,
    was_not_executed,
};
pub use backend::{
    Backend, Capabilities, DeleteReport, Duplex, Evidence, Incarnation, LogOptions, LogStream, SandboxInfo,
    SandboxState, Selector, Uid,
};
pub use command::{
    CommandId, CommandInfo, CommandSpec, CommandState, DEFAULT_GRACE, End, Finished, Offsets, OomScope,
    Outcome, Rlimit, RlimitResource, TerminalSize, Usage,
};
pub use error::{Error, ErrorKind, Result, Retry};
pub use files::{EntryKind, FileDigest, FileEntry, Owner, Resume, Selection, WriteOptions};
pub use name::{InvalidName, RunId, SandboxName};
pub use resources::Resources;
pub use sandbox::{AgentInfo, AttachedProcess, BoxRead, BoxWrite, Dialed, Process, ProcessControl, Sandbox};
pub use spec::{Entrypoint, Labels, Mount, Restrictions, SandboxSpec, label};
