//! Both ends of the wire between a harness and a sandbox.
//!
//! ```text
//!  harness ── client ══ one byte stream of frames ══ (bridge) ══ server ── supervisor ── command
//!                                                                 PID 1     one each
//! ```
//!
//! [`protocol`] says what is on the wire and does no input or output. `flow` and `wire` carry it, the same for both
//! ends. `client` is what a harness links, over any byte stream; `server` is what the binary `oh-agent` runs as first
//! process of a sandbox. The agent knows processes, files and connections, and nothing else.

pub mod protocol;

#[cfg(any(feature = "client", feature = "server"))]
pub mod archive;
#[cfg(any(feature = "client", feature = "server"))]
pub mod digest;
#[cfg(any(feature = "client", feature = "server"))]
mod flow;
#[cfg(any(feature = "client", feature = "server"))]
mod lanes;
#[cfg(any(feature = "client", feature = "server"))]
mod wire;

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
pub mod server;
