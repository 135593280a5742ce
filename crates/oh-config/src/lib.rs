//! What the user wants: layered configuration that knows where each value came from.
//!
//! [`Config::load`] reads the layers, lowest first: built-in values (`default.toml`, which is also the reference), the
//! system's file, the user's file, the project's file (`oh.toml` or `oh.yaml`, here or in a folder above), the chosen
//! profile of these files, environment variables, the command line. It checks every value and reports all problems at
//! once, each with its key, its value and where it stands. Then everything is plain fields of [`Config`]: durations and
//! sizes are parsed, paths absolute. [`Config::builder`] adds what the program itself wants.
//!
//! This crate is the only one that reads the environment. [`Environment`] is what it takes from there, as a value, so a
//! test or an embedding program can bring its own. There is no global state.
//!
//! | file | is |
//! | --- | --- |
//! | `table` | the one table of options: key, variables, kind |
//! | `kind`, `formats`, `units` | what an option may hold |
//! | `options` | help and built-in values, from `default.toml` |
//! | `environment`, `foreign` | variables, ours and those of others |
//! | `files`, `file` | which files there are, and TOML and YAML with line numbers |
//! | `openhands` | a `config.toml` of OpenHands as one of ours |
//! | `layers`, `fit`, `text` | where values come from; the only use of figment's providers |
//! | `load`, `rules` | layers to [`Config`]; what values have to do with each other |
//! | `model`, `choice`, `secret` | [`Config`] and its sections |
//! | `builder` | [`ConfigBuilder`] |
//! | `error` | problems in the user's words |
//! | `inspect`, `check`, `init`, `schema` | what `oh config` shows |
//! | `reference` | the pages of `docs/reference` |

mod builder;
mod check;
mod choice;
mod environment;
mod error;
mod file;
mod files;
mod fit;
mod foreign;
mod formats;
mod init;
mod inspect;
mod kind;
mod layers;
mod load;
mod model;
mod near;
mod openhands;
mod options;
mod reference;
mod rules;
mod schema;
mod secret;
mod table;
mod text;
mod units;

pub use builder::ConfigBuilder;
pub use check::{Checked, check};
pub use environment::Environment;
pub use error::{ConfigError, Problem};
pub use init::Flavor;
pub use inspect::{Explanation, Inspection, Place};
pub use layers::Origin;
pub use model::{
    AgentConfig, CleanupPolicy, Config, DeliveryKind, DockerConfig, EvalConfig, ImageConfig, K8sConfig,
    LocalConfig, LogConfig, LogFormat, LogLevel, MountConfig, PullPolicy, ResourcesConfig, RuntimeKind,
    SandboxConfig, SourceConfig, TaintEffect, TolerationConfig, TolerationOperator, UnknownValue,
};
pub use reference::pages;
pub use schema::schema;
pub use secret::Secret;
pub use units::{InvalidUnit, parse_cores, parse_duration, parse_size};
