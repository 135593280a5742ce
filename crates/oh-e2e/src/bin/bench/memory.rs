//! What the agent holds in memory, as its host sees it.

use std::fs;

use futures::future::try_join_all;
use oh_runtime::Sandbox;

use crate::executing;
use crate::peer::Engine;
use crate::table::{Row, Table};
use crate::{Outcome, Specs};

const COMMANDS: usize = 1000;
const AT_ONCE: usize = 20;
/// The limit, in 10⁶ bytes.
const LIMIT: f64 = 10.0;

pub(crate) async fn measure(
    engine: Engine,
    runtime: &oh_runtime::Runtime,
    spec: Specs<'_>,
    table: &mut Table,
) -> Outcome {
    let sandbox = runtime.create(&spec("memory")).await?;
    let measured = fill(engine, &*sandbox, table).await;
    sandbox.close().await?;
    measured
}

async fn fill(engine: Engine, sandbox: &dyn Sandbox, table: &mut Table) -> Outcome {
    sandbox.connect(std::time::Duration::from_secs(60)).await?;
    let name = sandbox.incarnation().name.to_string();
    report(engine, &name, "idle", table)?;
    for _ in 0..COMMANDS / AT_ONCE {
        try_join_all((0..AT_ONCE).map(|_| executing::ours(sandbox))).await?;
    }
    report(engine, &name, "after_1000_commands", table)
}

fn report(engine: Engine, name: &str, when: &str, table: &mut Table) -> Outcome {
    let Ours { agent, all } = match Ours::find(name)? {
        Some(found) => found,
        None => {
            let why = "the engine's processes are not to be seen from here";
            table.add(Row::skipped(engine.name(), format!("agent_{when}_mb"), "limit", why));
            return Ok(());
        }
    };
    for (what, bytes) in [("agent", agent), ("agent_bridge_supervisors", all)] {
        let metric = format!("{what}_{when}_mb");
        table.add(Row::new(engine.name(), metric, megabytes(bytes), "limit", LIMIT).at_most(1.0));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a number of three digits")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Memory of our processes in one sandbox.
struct Ours {
    /// Resident bytes of the agent, those it shares included.
    agent: u64,
    /// Bytes of all, what some of them share counted once.
    all: u64,
}

impl Ours {
    fn find(name: &str) -> Outcome<Option<Self>> {
        let mut processes = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let folder = entry.path();
            // A process may end meanwhile.
            if let (Ok(line), Ok(status)) =
                (fs::read_to_string(folder.join("cmdline")), fs::read_to_string(folder.join("status")))
            {
                let rollup = fs::read_to_string(folder.join("smaps_rollup")).unwrap_or_default();
                processes.push((line, status, rollup));
            }
        }
        let words = |line: &str| line.split('\0').map(str::to_owned).collect::<Vec<_>>();
        let role = |line: &str, role: &str| {
            let words = words(line);
            words.first().is_some_and(|program| program.ends_with("oh-agent"))
                && words.get(1).is_some_and(|word| word == role)
                && words.get(2).is_some_and(|word| word == name)
        };
        let Some((_, agent, _)) = processes.iter().find(|(line, ..)| role(line, "serve")) else {
            return Ok(None);
        };
        let pid = field(agent, "Pid:").ok_or("the agent has no number")?;
        let all = processes.iter().filter(|(line, status, _)| {
            role(line, "serve")
                || role(line, "bridge")
                || words(line).get(1).is_some_and(|word| word == "supervise")
                    && field(status, "PPid:") == Some(pid)
        });
        let kilobytes =
            |text: &str, name| field(text, name).ok_or("the kernel does not tell the memory of a process");
        let all: Result<Vec<u64>, _> = all.map(|(.., rollup)| kilobytes(rollup, "Pss:")).collect();
        Ok(Some(Self { agent: 1024 * kilobytes(agent, "VmRSS:")?, all: 1024 * all?.iter().sum::<u64>() }))
    }
}

/// A number of a file about a process.
fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}
