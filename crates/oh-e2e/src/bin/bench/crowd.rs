//! Many sandboxes with many commands each, all at once.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use oh_runtime::{CommandSpec, End, Resources, Runtime, Sandbox, SandboxExt, SandboxSpec};

use crate::peer::{Bed, Engine};
use crate::table::{Row, Table};
use crate::{Outcome, Specs};

const SANDBOXES: usize = 50;
const COMMANDS: usize = 20;
/// Commands one after the other, for each that is under way.
const ROUNDS: usize = 5;
/// Sandboxes made at the same time.
const AT_ONCE: usize = 8;
/// Runs of the tool, and how many at the same time.
const TOOL_RUNS: usize = 100;
const TOOL_AT_ONCE: usize = 20;
/// So that all of them fit on one machine.
const RESOURCES: Resources =
    Resources { cpu: 0.01, memory: 128 << 20, ephemeral_storage: 100 << 20, pids: 512 };

pub(crate) async fn measure(
    engine: Engine,
    runtime: &Runtime,
    spec: Specs<'_>,
    table: &mut Table,
) -> Outcome {
    let specs: Vec<SandboxSpec> =
        (0..SANDBOXES).map(|n| SandboxSpec { resources: RESOURCES, ..spec(&format!("crowd-{n}")) }).collect();
    let made: Vec<_> =
        stream::iter(&specs).map(|spec| runtime.create(spec)).buffer_unordered(AT_ONCE).collect().await;
    let (sandboxes, errors): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
    let sandboxes: Vec<Arc<dyn Sandbox>> = sandboxes.into_iter().flatten().collect();
    let measured = match errors.into_iter().find_map(Result::err) {
        None => run(engine, &sandboxes, table).await,
        Some(error) => Err(error.into()),
    };
    let closed = stream::iter(&sandboxes).map(|sandbox| sandbox.close()).buffer_unordered(AT_ONCE);
    closed.try_collect::<Vec<_>>().await?;
    measured
}

async fn run(engine: Engine, sandboxes: &[Arc<dyn Sandbox>], table: &mut Table) -> Outcome {
    for sandbox in sandboxes {
        sandbox.connect(Duration::from_secs(60)).await?;
    }
    let started = Instant::now();
    let workers = sandboxes.iter().enumerate().flat_map(|(n, sandbox)| {
        (0..COMMANDS).map(move |m| tokio::spawn(worker(Arc::clone(sandbox), n * COMMANDS + m)))
    });
    let lost: usize = join_all(workers).await.into_iter().map(|lost| lost.unwrap_or(ROUNDS)).sum();
    let took = started.elapsed();
    let all = SANDBOXES * COMMANDS * ROUNDS;
    let metric = format!("lost_of_{SANDBOXES}x{COMMANDS}_at_once");
    table.add(Row::new(engine.name(), metric, count(lost), "all", count(all)).at_most(0.0));
    let (ours, theirs) = (count(all) / took.as_secs_f64(), tool(engine, sandboxes).await?);
    table.add(Row::new(engine.name(), "commands_per_s_at_once", ours, engine.exec(), theirs));
    Ok(())
}

/// Runs commands one after the other. Returns how many did not end as they should or say what they should.
async fn worker(sandbox: Arc<dyn Sandbox>, number: usize) -> usize {
    let mut lost = 0;
    for round in 0..ROUNDS {
        let word = format!("{number}.{round}");
        match sandbox.run(CommandSpec::new(["echo", &word])).await {
            Ok(output)
                if output.finished.end == End::Exited(0)
                    && output.stdout.bytes == format!("{word}\n").as_bytes() => {}
            Ok(output) => {
                eprintln!("command {word} said {:?} and {:?}", output.finished.end, output.stdout);
                lost += 1;
            }
            Err(error) => {
                eprintln!("command {word}: {error}");
                lost += 1;
            }
        }
    }
    lost
}

/// Commands a second of the engine's tool, over the same sandboxes.
async fn tool(engine: Engine, sandboxes: &[Arc<dyn Sandbox>]) -> Outcome<f64> {
    let mut beds = Vec::new();
    for sandbox in &sandboxes[..TOOL_AT_ONCE] {
        beds.push(Bed::new(engine, sandbox.incarnation().name.to_string()).await?);
    }
    let started = Instant::now();
    let runs = (0..TOOL_RUNS).map(|n| {
        let mut command = tokio::process::Command::from(beds[n % TOOL_AT_ONCE].exec(false, &["true"]));
        async move {
            let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().await?;
            if status.success() {
                Ok(())
            } else {
                Err(format!("{} ended with {status}", engine.exec()).into())
            }
        }
    });
    let done: Vec<Outcome> = stream::iter(runs).buffer_unordered(TOOL_AT_ONCE).collect().await;
    done.into_iter().collect::<Outcome<()>>()?;
    Ok(count(TOOL_RUNS) / started.elapsed().as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "thousands")]
fn count(number: usize) -> f64 {
    number as f64
}
