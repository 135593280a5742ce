//! What the agent knows, for as long as it runs.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use super::awake::unbroken;
use super::cgroup::Counters;
use super::commands::Commands;
use super::connection::Sessions;
use super::reaper::Reaper;
use super::spool::Room;
use super::supervisors::Idle;
use super::transfer::Transfers;

/// How long the first client may take: making a sandbox does not end with its agent.
const FIRST_CLIENT: Duration = Duration::from_secs(5 * 60);

/// The agent's state.
pub(super) struct Agent {
    /// Random per start.
    pub(super) boot: u128,
    pub(super) reaper: Reaper,
    pub(super) sessions: Sessions,
    pub(super) commands: Commands,
    pub(super) idle: Idle,
    pub(super) transfers: Transfers,
    pub(super) room: Rc<Room>,
    /// Streams of clients, as far as is known.
    pub(super) streams: watch::Sender<usize>,
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
            transfers: Transfers::default(),
            room: Rc::default(),
            streams: watch::channel(0).0,
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

    /// Waits until no client has had a stream for this long; the first one may take its time to come.
    pub(super) async fn abandoned(&self, lease: Duration) {
        let mut streams = self.streams.subscribe();
        tokio::select! {
            () = unbroken(lease.max(FIRST_CLIENT)) => return,
            _ = streams.wait_for(|count| *count > 0) => {}
        }
        // The sender is our own: it is not gone.
        while streams.wait_for(|count| *count == 0).await.is_ok() {
            tokio::select! {
                () = unbroken(lease) => return,
                _ = streams.wait_for(|count| *count > 0) => {}
            }
        }
    }
}
