//! Actions and observations as OpenHands has them, over one sandbox of any backend.
//!
//! An [`ActionRuntime`] takes an [`Action`], a command for a shell, Python, a file to read, write or edit, and gives an
//! [`Observation`], with OpenHands' rules, texts and fields word for word. The types are for harnesses in Rust; their JSON
//! is OpenHands' wire form ([`ActionRuntime::run_json`]). What differs from OpenHands is listed with the reasons in
//! `docs/reference/actions.md`.
//!
//! All of it lives on this side of the stream: in the sandbox there are a shell, Python if it is asked for, and nothing else.
//!
//! ```no_run
//! # async fn example(sandbox: std::sync::Arc<dyn oh_runtime::Sandbox>) -> oh_runtime::Result<()> {
//! use oh_actions::{Action, ActionRuntime, RuntimeOptions};
//!
//! let runtime = ActionRuntime::over(sandbox, RuntimeOptions::default());
//! runtime.connect().await?;
//! runtime.run_action(&Action::run("cd /tmp && export GREETING=hello")).await?;
//! let observation = runtime.run_action(&Action::run("echo $GREETING from $PWD")).await?;
//! assert_eq!(observation.content(), "hello from /tmp");
//! runtime.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! | file | is |
//! | --- | --- |
//! | `action`, `observation` | the types and their JSON |
//! | `runtime`, `options`, `status`, `environment` | [`ActionRuntime`]: its sandbox, sessions and variables |
//! | `perform` | from an action to its observation |
//! | `session` | a shell that goes on between commands |
//! | `python` | an interpreter that goes on between cells |
//! | `editor`, `files`, `text` | files, and what the editor says of them |
//! | `copy` | files between this machine and the sandbox |

mod action;
mod copy;
mod editor;
mod environment;
mod files;
mod observation;
mod options;
mod perform;
mod python;
mod runtime;
mod session;
mod status;
mod text;

pub use action::{
    Action, ActionError, ActionKind, Confirmation, EditAction, EditSource, IpythonAction, OtherAction,
    ReadAction, ReadSource, RunAction, ThinkAction, WriteAction,
};
pub use observation::{BAD_ACTION, EditObservation, Metadata, Observation, RunObservation};
pub use options::RuntimeOptions;
pub use runtime::{ActionRuntime, MAIN};
pub use session::{Session, SessionHandle, SessionSpec};
pub use status::{RuntimeStatus, StatusCallback};
