//! Sandboxes as containers of a Docker engine, 20.10 or newer.
//!
//! One sandbox is one container of the sandbox's name, with the labels of [`oh_runtime_api::label`]. Its first process
//! is the agent; a stream to it is an exec of the agent's bridge. Everything is found again by label, so there is no
//! state besides the engine's own.
//!
//! The agent comes from a named volume, one for each agent digest (`oh-agent-…`), mounted read-only. The first sandbox
//! that needs it fills it; they are small, and `docker volume prune` or `oh gc --agents` may remove them at any time.
//!
//! What Docker does not do: [`ephemeral_storage`](oh_runtime_api::Resources::ephemeral_storage) is not enforced,
//! because the usual storage driver, overlay2, has quotas on few file systems only. Registry credentials are not read:
//! a private image has to be pulled before.

mod backend;
mod client;
mod collect;
mod config;
mod container;
mod create;
mod error;
mod evidence;
mod image;
mod logs;
mod pause;
mod payload;
mod remove;
mod stream;

pub use backend::DockerBackend;
pub use config::{DockerConfig, PullPolicy, RegistryLogin};
