//! What a harness depends on: sandboxes on the backend the configuration names.
//!
//! [`Runtime`] picks the backend and makes, finds and removes sandboxes. A [`Sandbox`] runs commands and moves bytes;
//! [`SandboxExt`] adds what one wants most of the time: collected output, whole files, trees. Everything of
//! `oh-runtime-api` is here too, so one dependency is enough besides `oh-config`.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use oh_runtime::{CommandSpec, Runtime, SandboxExt, SandboxName};
//!
//! let runtime = Runtime::open(&oh_config::Config::load()?).await?;
//! let sandbox = runtime.create(&runtime.spec(SandboxName::new("box")?, "debian:12")).await?;
//! let output = sandbox.run(CommandSpec::shell("cat /etc/os-release")).await?;
//! println!("{}, {} bytes", output.finished.end, output.stdout.bytes.len());
//! sandbox.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! | file | is |
//! | --- | --- |
//! | `runtime` | [`Runtime`] |
//! | `compose` | from the configuration to a backend; the only place that names backends |
//! | `payload` | finds and checks the agent's executable |
//! | `sandbox` | a [`Sandbox`] over one agent connection, opened on demand |
//! | `connection` | one agent connection, and what became of the sandbox when it broke |
//! | `trouble` | asks the backend what became of a sandbox |
//! | `ext`, `capture` | [`SandboxExt`], and output within a limit |
//! | `copy`, `large`, `channel` | files and trees in and out, large files in several attempts |
//! | `forward` | [`forward()`]: a port of this machine that leads into a sandbox |
//! | `archive` | our side of a tar stream; what a sandbox sent is hostile |

mod archive;
mod capture;
mod channel;
mod compose;
mod connection;
mod copy;
mod ext;
mod forward;
mod large;
mod payload;
mod runtime;
mod sandbox;
#[cfg(test)]
mod tests;
mod trouble;

pub use oh_config;
pub use oh_runtime_api::*;

pub use archive::CopyLimits;
pub use capture::{Captured, Output, OutputLimit};
pub use copy::{CopyOptions, CopyProgress, CopyReport};
pub use ext::SandboxExt;
pub use forward::forward;
pub use runtime::{Defaults, Runtime};
