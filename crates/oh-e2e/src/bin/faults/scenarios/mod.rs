//! The real things: servers that are killed or restarted while commands run.

pub(crate) mod cluster;
pub(crate) mod live_restore;

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::process::Command as Program;
use tokio::time::timeout;

use crate::Outcome;
use crate::bed::{Bed, judge};
use crate::command::{Command, Waits};
use crate::tally::Tally;

/// How long a restart may take.
const RESTART: Duration = Duration::from_secs(240);
/// A command that prints all the time does so for this many halves of a second.
const PAUSES: usize = 40;

/// What a restart did to the sessions.
pub(crate) struct Seen {
    /// From the harm to the moment the server was there again.
    pub(crate) away: Duration,
    /// From then to the first answer of the last sandbox.
    pub(crate) back: Duration,
    /// Streams that were opened meanwhile.
    pub(crate) reopened: usize,
}

impl Seen {
    pub(crate) fn words(&self, sandboxes: usize) -> String {
        let Self { away, back, reopened } = self;
        format!(
            "away for {:.1} s; all of {sandboxes} sandboxes answered {:.1} s after it was there again, over {reopened} new connections",
            away.as_secs_f64(),
            back.as_secs_f64(),
        )
    }
}

/// Commands in each bed while harm is done.
#[derive(Clone, Copy)]
pub(crate) struct InFlight {
    /// Those that print all the time.
    pub(crate) printing: usize,
    /// Those that wait for the end of their input.
    pub(crate) waiting: usize,
}

/// Runs commands in every bed while `harm` is done, which ends when the server is there again.
pub(crate) async fn disturbed(
    beds: &[Bed],
    in_flight: InFlight,
    harm: impl Future<Output = Outcome>,
    tally: &Tally,
) -> Outcome<Seen> {
    let start = beds.iter().map(async |bed| {
        let commands = (0..in_flight.printing + in_flight.waiting).map(async |index| {
            let command = bed.command(2_000);
            let command = if index < in_flight.printing {
                Command { pauses: PAUSES, ..command }
            } else {
                Command { waits: Waits::Last, ..command }
            };
            let mut running = bed.start(command).await;
            if let Ok(running) = &mut running {
                running.until_read(1).await;
            }
            (command, running)
        });
        join_all(commands).await
    });
    let running = join_all(start).await;
    let proxies: HashMap<_, _> = beds.iter().map(|bed| (Arc::as_ptr(&bed.proxy), &bed.proxy)).collect();
    let accepted = || proxies.values().map(|proxy| proxy.state().accepted).sum::<usize>();
    let (accepted_before, started) = (accepted(), Instant::now());
    timeout(RESTART, harm).await.map_err(|_| format!("it is still away after {} s", RESTART.as_secs()))??;
    let away = started.elapsed();
    join_all(beds.iter().map(|bed| bed.warm_up(tally))).await;
    let back = started.elapsed() - away;
    let reopened = accepted() - accepted_before;
    let ends = running.into_iter().flatten().map(|(command, running)| judge(command, running, tally));
    join_all(ends).await;
    for bed in beds {
        bed.audit(tally).await?;
    }
    Ok(Seen { away, back, reopened })
}

/// Runs a program, which has to succeed, and returns what it wrote.
async fn program(argv: &[&str]) -> Outcome<String> {
    let (name, rest) = argv.split_first().ok_or("no program")?;
    let ran = Program::new(name).args(rest).stdin(Stdio::null()).kill_on_drop(true).output().await?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr);
        return Err(format!("`{}` ended with {}: {}", argv.join(" "), ran.status, said.trim()).into());
    }
    Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
}
