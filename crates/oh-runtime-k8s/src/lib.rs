//! Sandboxes as Pods of a Kubernetes cluster.
//!
//! One sandbox is one bare Pod of the sandbox's name, with the labels of [`oh_runtime_api::label`]. Its first process is
//! the agent; a stream to it is an exec of the agent's bridge, over one WebSocket. Everything is found again by label,
//! so there is no state besides the cluster's own.
//!
//! | file | is |
//! | --- | --- |
//! | `config`, `client`, `error` | which cluster, the connection to it, what its refusals mean |
//! | `pod`, `labels`, `compare` | from a specification to a Pod, and whether the server kept all of it |
//! | `payload`, `lease` | what Pods need besides: the agent in a ConfigMap, the run they belong to |
//! | `create`, `classify`, `watch` | making a Pod, and waiting until it runs or is hopeless |
//! | `stream`, `logs`, `evidence`, `remove` | using it, looking at it, the end of it |
//! | `collect` | the end of agents that no Pod uses |
//!
//! The agent comes from one immutable ConfigMap for each agent and namespace (`oh-agent-…`): packed, with a tiny loader
//! that unpacks it in an init container of the sandbox's own image. The sandbox itself cannot write to it.
//!
//! What a Pod cannot do: limit processes ([`pids`](oh_runtime_api::Resources::pids) is a setting of the node), run as a
//! user given by name, and have folders of this machine.

mod backend;
mod classify;
mod client;
mod collect;
mod compare;
mod config;
mod create;
mod error;
mod evidence;
mod labels;
mod lease;
mod logs;
mod payload;
mod pod;
mod remove;
mod stream;
mod transport;
mod watch;

pub use backend::K8sBackend;
pub use config::{K8sConfig, PullPolicy, SourceTree, SourceVolume, Toleration};
