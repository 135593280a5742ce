//! What the agent knows, for as long as it runs.

use std::cell::Cell;
use std::rc::Rc;

use super::cgroup::Counters;
use super::commands::Commands;
use super::connection::Sessions;
use super::reaper::Reaper;
use super::spool::Room;
use super::supervisors::Idle;

/// The agent's state.
pub(super) struct Agent {
    /// Random per start.
    pub(super) boot: u128,
    pub(super) reaper: Reaper,
    pub(super) sessions: Sessions,
    pub(super) commands: Commands,
    pub(super) idle: Idle,
    pub(super) room: Rc<Room>,
    pub(super) counters: Counters,
    /// What every command gets, before its own.
    pub(super) environment: Vec<(Vec<u8>, Vec<u8>)>,
    sequence: Cell<u64>,
}

impl Agent {
    pub(super) fn new(boot: u128, environment: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        Self {
            boot,
            reaper: Reaper::default(),
            sessions: Sessions::default(),
            commands: Commands::default(),
            idle: Idle::default(),
            room: Rc::default(),
            counters: Counters::open(),
            environment,
            sequence: Cell::new(0),
        }
    }

    /// The number of another command.
    pub(super) fn next_sequence(&self) -> u64 {
        self.sequence.set(self.sequence.get() + 1);
        self.sequence.get()
    }
}
