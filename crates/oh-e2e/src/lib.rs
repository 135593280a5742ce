//! What the end-to-end tests are made of.
//!
//! The conformance suite is one list of [`cases`] that every backend runs through the facade: a backend cannot choose.
//! [`suite`] runs it, [`skips`] holds what a backend lacks with the reason, [`report`] and [`baseline`] turn outcomes into
//! the parity table and find regressions. [`oh`] runs the real binary for the tests in `tests/cli_*.rs`, on a [`pty`]
//! where it is interactive.

pub mod baseline;
pub mod case;
pub mod cases;
pub mod context;
pub mod cutting;
pub mod data;
pub mod environment;
pub mod failure;
pub mod oh;
pub mod probe;
pub mod pty;
pub mod report;
pub mod skips;
pub mod suite;
pub mod tree;
