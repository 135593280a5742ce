//! The client against agents that mean harm: what answers in a sandbox may be anything. Whatever they send, nothing
//! panics, everything ends within the client's own times, and memory has a limit.

#![cfg(feature = "client")]
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod agent;
mod floods;
mod flow_control;
mod idle;
mod nonsense;
