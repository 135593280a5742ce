//! `true`, over and over.

use std::time::{Duration, Instant};

use oh_runtime::{CommandSpec, End, Sandbox, SandboxExt};

use crate::Outcome;
use crate::floor::{self, Floor};
use crate::peer::{self, Bed, Engine};
use crate::python::Python;
use crate::table::{Row, Table, Times};

const TOOL: f64 = 1.0 / 40.0;
const FLOOR: f64 = 1.5;
const TAIL: f64 = 10.0;

pub(crate) async fn measure(
    bed: &Bed,
    sandbox: &dyn Sandbox,
    runs: usize,
    python: &Result<String, String>,
    table: &mut Table,
) -> Outcome {
    let engine = bed.engine;
    let [mut warm, mut least, mut cold, mut tool, mut kube, mut by_python] =
        std::array::from_fn(|_| Times::default());
    let mut floor = Floor::open(bed).await?;
    let mut client = match python {
        Ok(interpreter) if engine == Engine::K8s => Some(Python::start(interpreter, bed)?),
        _ => None,
    };
    // In turn, so that whatever else the machine does falls on all of them; ours and the floor side by side, and neither
    // always first.
    for run in 0..runs {
        if run % 2 == 0 {
            warm.add(ours(sandbox).await?);
            least.add(floor.round().await?);
        } else {
            least.add(floor.round().await?);
            warm.add(ours(sandbox).await?);
        }
        cold.add(peer::time(peer::oh(engine)?.args(["exec", &bed.name, "--", "true"]))?);
        tool.add(peer::time(&mut bed.exec(false, &["true"]))?);
        if engine == Engine::K8s {
            kube.add(bed.kube_exec(&["true"]).await?);
        }
        if let Some(client) = &mut client {
            by_python.add(client.exec()?);
        }
    }
    if let Some(client) = client {
        client.end()?;
    }
    let at = |times: &Times, percent| times.percentile(percent);
    for percent in [50, 99] {
        let what = format!("exec_warm_p{percent}");
        let row = |peer, theirs: &Times| {
            Row::times(engine.name(), &what, at(&warm, percent), peer, at(theirs, percent))
        };
        let (tool_row, floor_row) = (row(engine.exec(), &tool), row(floor::NAME, &least));
        if percent == 50 {
            table.add(tool_row.at_most(TOOL));
            // On Docker a command costs so little that what is above the floor is the agent's work, not the way there.
            table.add(if engine == Engine::K8s { floor_row.at_most(FLOOR) } else { floor_row });
        } else {
            table.add(tool_row);
            table.add(floor_row);
            table.add(
                Row::times(engine.name(), &what, at(&warm, percent), "its own p50", at(&warm, 50))
                    .at_most(TAIL),
            );
        }
        if engine == Engine::K8s {
            table.add(row("kube-rs exec", &kube));
            table.add(match python {
                Ok(_) => row("python client", &by_python),
                Err(why) => Row::skipped(engine.name(), format!("{what}_ms"), "python client", why),
            });
        }
        let what = format!("exec_cold_p{percent}");
        table.add(Row::times(engine.name(), what, at(&cold, percent), engine.exec(), at(&tool, percent)));
    }
    Ok(())
}

/// One `true` through the sandbox's open stream.
pub(crate) async fn ours(sandbox: &dyn Sandbox) -> Outcome<Duration> {
    let started = Instant::now();
    let output = sandbox.run(CommandSpec::new(["true"])).await?;
    let took = started.elapsed();
    match output.finished.end {
        End::Exited(0) => Ok(took),
        end => Err(format!("true {end}").into()),
    }
}
