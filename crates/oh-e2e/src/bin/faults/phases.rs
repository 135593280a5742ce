//! Cuts that land where they are meant to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;
use tokio::time::{sleep, timeout};

use crate::Outcome;
use crate::bed::{Bed, judge};
use crate::command::{Command, Waits};
use crate::proxy::{Cut, Gate};
use crate::tally::Tally;

/// Ordinary commands beside each that is cut.
const COMPANIONS: usize = 4;
/// More than a client says unasked, less than half a request to start one of our commands.
const OF_A_REQUEST: usize = 300;
/// How long what is to be cut may take to come to the proxy.
const ARRIVAL: Duration = Duration::from_secs(5);
/// Cuts while one output is read.
const CUTS_OF_AN_OUTPUT: usize = 4;
/// More bytes than a connection has before it carries a session again.
const BEFORE_A_SESSION: usize = 16 * 1024;
/// Commands whose ends are measured.
const MEASURED: usize = 8;

/// Bytes by which one end may be shorter than another: it tells times and sizes, and smaller numbers take fewer bytes.
const NUMBERS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The request to start a command has left the client, whole or in part, and nothing came back.
    Start,
    /// A command's output is being read.
    Output,
    /// A command has ended and its output was read; that it ended is on its way.
    Exit,
}

impl Phase {
    pub(crate) const ALL: [Self; 3] = [Self::Start, Self::Output, Self::Exit];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "start unacknowledged",
            Self::Output => "mid-output",
            Self::Exit => "exit unacknowledged",
        }
    }
}

/// Cuts on all beds together until enough have landed, or too many have not.
pub(crate) async fn run(phase: Phase, beds: &[Bed], wanted: usize, seed: u64, tally: &Tally) -> Outcome {
    let rounds = AtomicUsize::new(0);
    let most = 2 * wanted + beds.len();
    let work = beds.iter().zip(seed..).map(async |(bed, seed)| {
        let mut rng = Rng::with_seed(seed);
        let exit = if phase == Phase::Exit { size_of_an_exit(bed, tally).await } else { 0 };
        while tally.counts().cuts < wanted && rounds.fetch_add(1, Ordering::Relaxed) < most {
            let companions = bed.companions(COMPANIONS, &mut rng).await;
            match phase {
                Phase::Start => start(bed, &mut rng, tally).await,
                Phase::Output => output(bed, &mut rng, tally).await,
                Phase::Exit => {
                    // Nothing but the exit may be on its way.
                    for (command, running) in companions {
                        judge(command, running, tally).await;
                    }
                    exit_of(bed, exit, &mut rng, tally).await;
                    continue;
                }
            }
            for (command, running) in companions {
                judge(command, running, tally).await;
            }
        }
        bed.audit(tally).await
    });
    futures::future::try_join_all(work).await.map(drop)
}

/// Holds back what comes from the engine, asks for a command, and cuts.
async fn start(bed: &Bed, rng: &mut Rng, tally: &Tally) {
    let command = bed.command(rng.usize(1..200));
    let before = bed.proxy.state();
    bed.proxy.down(Gate::Held);
    if rng.bool() {
        bed.proxy.up(Gate::Half);
    }
    let starting = bed.start(command);
    tokio::pin!(starting);
    let sent = bed.proxy.until(|state| state.up.passed >= before.up.passed + OF_A_REQUEST);
    let early = tokio::select! {
        early = &mut starting => Some(early),
        sent = timeout(ARRIVAL, sent) => {
            // The agent may be told, or may have started it, or be about to say so.
            sleep(Duration::from_millis(rng.u64(..10))).await;
            if sent.is_ok_and(|state| state.era == before.era) && bed.proxy.state().era == before.era {
                tally.count(|counts| counts.cuts += 1);
            }
            None
        }
    };
    bed.proxy.cut(Cut::random(rng));
    let running = match early {
        Some(early) => early,
        None => starting.await,
    };
    judge(command, running, tally).await;
}

/// Cuts after a number of bytes while a command's output is read, several times.
async fn output(bed: &Bed, rng: &mut Rng, tally: &Tally) {
    let command = Command { waits: Waits::First, ..bed.command(rng.usize(20_000..40_000)) };
    let mut running = bed.start(command).await;
    if let Ok(running) = &mut running {
        let total = running.total();
        for _ in 0..CUTS_OF_AN_OUTPUT {
            let before = bed.proxy.state();
            // Never so many that the rest of the output could be among them.
            let most = (total - running.read()) / 2;
            if most <= BEFORE_A_SESSION {
                break;
            }
            bed.proxy.down(Gate::Only(rng.usize(BEFORE_A_SESSION..most), Cut::random(rng)));
            running.release();
            tokio::select! {
                _ = bed.proxy.until(|state| state.era > before.era) => {}
                () = running.until_read(total) => break,
            }
            if running.read() < total {
                tally.count(|counts| counts.cuts += 1);
            }
        }
    }
    bed.proxy.down(Gate::Open);
    judge(command, running, tally).await;
}

/// Lets a command end whose output was read, holds back that it ended, and cuts.
async fn exit_of(bed: &Bed, size: usize, rng: &mut Rng, tally: &Tally) {
    let command = Command { waits: Waits::Last, ..bed.command(rng.usize(1..300)) };
    let mut running = bed.start(command).await;
    if let Ok(running) = &mut running {
        running.until_read(running.total()).await;
        let before = bed.proxy.state();
        bed.proxy.down(Gate::Held);
        running.release();
        let arrived = timeout(ARRIVAL, bed.proxy.until(|state| state.down.held() >= size)).await;
        if arrived.is_ok_and(|state| state.era == before.era && state.down.passed == before.down.passed) {
            tally.count(|counts| counts.cuts += 1);
        }
    }
    if rng.bool() {
        let held = bed.proxy.state();
        bed.proxy.down(Gate::Only(held.down.held() / 2, Cut::random(rng)));
        let _ = timeout(ARRIVAL, bed.proxy.until(|state| state.era > held.era)).await;
    }
    bed.proxy.cut(Cut::random(rng));
    judge(command, running, tally).await;
}

/// How many bytes say that a command has ended, at least.
async fn size_of_an_exit(bed: &Bed, tally: &Tally) -> usize {
    let mut least = usize::MAX;
    for _ in 0..MEASURED {
        let command = Command { waits: Waits::Last, ..bed.command(1) };
        let mut running = bed.start(command).await;
        if let Ok(running) = &mut running {
            running.until_read(running.total()).await;
        }
        let before = bed.proxy.state().down.arrived;
        judge(command, running, tally).await;
        least = least.min(bed.proxy.state().down.arrived.saturating_sub(before));
    }
    least.saturating_sub(NUMBERS)
}
