//! The client against agents that mean harm: what answers in a sandbox may be anything. Whatever they send, nothing
//! panics, everything ends within the client's own times, and memory has a limit.

#![cfg(feature = "client")]

mod agent;
mod floods;
mod flow_control;
mod nonsense;
