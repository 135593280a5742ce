//! A small command beside a large copy, over one connection.

use std::path::Path;
use std::time::Duration;

use oh_runtime::{Sandbox, SandboxExt};

use crate::Outcome;
use crate::copied::{self, BYTES};
use crate::executing;
use crate::peer::Engine;
use crate::table::{Row, Table, Times};

const TARGET: f64 = 5.0;
const IDLE_RUNS: usize = 100;
/// Fewest commands beside copies: fast engines need more than one copy for as many.
const RUNS: usize = 100;
const INSIDE: &str = "/testbed/bench-fairness";

pub(crate) async fn measure(engine: Engine, sandbox: &dyn Sandbox, table: &mut Table) -> Outcome {
    let folder = tempfile::tempdir()?;
    let (source, target) = (folder.path().join("in"), folder.path().join("out"));
    copied::random(&source, BYTES)?;
    for into in [true, false] {
        let mut idle = idle(sandbox).await?;
        let mut busy = Times::default();
        while busy.count() < RUNS {
            let host = if into { &source } else { &target };
            beside_copy(sandbox, host, into, &mut busy).await?;
        }
        // Before and after: the machine may have changed meanwhile.
        idle.extend(self::idle(sandbox).await?);
        let what = if into { "exec_during_copy_in_p50" } else { "exec_during_copy_out_p50" };
        let row = Row::times(engine.name(), what, busy.percentile(50), "idle", idle.percentile(50));
        table.add(row.at_most(TARGET));
    }
    Ok(())
}

async fn idle(sandbox: &dyn Sandbox) -> Outcome<Times> {
    let mut times = Times::default();
    for _ in 0..IDLE_RUNS {
        times.add(executing::ours(sandbox).await?);
    }
    Ok(times)
}

/// Runs commands until a copy is at its end.
async fn beside_copy(sandbox: &dyn Sandbox, host: &Path, into: bool, times: &mut Times) -> Outcome {
    let copy = async {
        let inside = Path::new(INSIDE);
        if into {
            sandbox.copy_to(host, inside, &|_| ()).await
        } else {
            sandbox.copy_from(inside, host, &|_| ()).await
        }
    };
    let commands = async {
        loop {
            match executing::ours(sandbox).await {
                Ok(time) => times.add(time),
                Err(error) => return error,
            }
        }
    };
    // The copy begins first.
    let commands = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        commands.await
    };
    tokio::select! {
        done = copy => { done?; Ok(()) }
        error = commands => Err(error),
    }
}
