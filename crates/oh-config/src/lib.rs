//! What the user wants: layered configuration that knows where each value came from.
//!
//! [`load`] reads the layers, lowest first: built-in values (`default.toml`, which is also the reference), the system's
//! file, the user's file, the project's file `oh.toml`, environment variables, the command line. It checks every value
//! and reports all problems at once, each with its key and where it stands. Then everything is plain fields of
//! [`Config`]: durations and sizes are parsed, paths absolute.
//!
//! This crate is the only one that reads the environment. [`Environment`] is what it takes from there, as a value, so a
//! test or an embedding program can bring its own. Text from there stays text (`1.30` is no number) unless the option
//! is a number.
//!
//! | file | is |
//! | --- | --- |
//! | `model` | [`Config`] and its sections |
//! | `environment` | the one table of variables, and reading them |
//! | `layers` | where values come from; the only use of figment's providers |
//! | `load` | layers to [`Config`] |
//! | `error` | problems in the user's words |
//! | `units` | durations and sizes |
//! | `options`, `reference` | `default.toml` as documentation |

mod environment;
mod error;
mod layers;
mod load;
mod model;
mod options;
mod reference;
mod units;

pub use environment::Environment;
pub use error::{ConfigError, Problem};
pub use layers::{Origin, Overrides};
pub use load::{load, load_from};
pub use model::{
    AgentConfig, Config, DeliveryKind, DockerConfig, EvalConfig, ImageConfig, LocalConfig, LogConfig,
    LogFormat, LogLevel, MountConfig, PullPolicy, ResourcesConfig, RuntimeKind, SandboxConfig, UnknownValue,
};
pub use reference::reference;
pub use units::{InvalidUnit, parse_duration, parse_size};
