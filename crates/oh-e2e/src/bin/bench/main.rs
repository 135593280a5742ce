//! How fast a sandbox is, beside what its users would take otherwise, in the same run on the same machine.
//! `cargo xtask bench` brings up what it needs.

mod copied;
mod copying;
mod creating;
mod crowd;
mod delivering;
mod executing;
mod fairness;
mod floor;
mod holding;
mod memory;
mod peer;
mod python;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use oh_config::Config;
use oh_runtime::{RunId, Runtime, SandboxExt, SandboxName, SandboxSpec};

use peer::Engine;
use table::Table;

const USAGE: &str = "usage: bench RUNS JSON-FILE|- PYTHON|skip:REASON PART,…|all BACKEND…";
const PARTS: [&str; 7] = ["exec", "fairness", "copy", "memory", "crowd", "create", "deliver"];
const IMAGE: &str = "oh-test:1";
/// The sandbox ends by itself after this long when the bench was killed.
const TTL: Duration = Duration::from_secs(60 * 60);

/// A measurement that cannot be had, and why.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What a sandbox for one measurement is made from.
type Specs<'a> = &'a (dyn Fn(&str) -> SandboxSpec + Sync);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (runs, json, python, parts, backends) = match arguments.as_slice() {
        [runs, json, python, parts, backends @ ..] if !backends.is_empty() => match runs.parse::<usize>() {
            Ok(runs) if runs > 0 => (runs, json, python, parts, backends),
            _ => return fail(&format!("{runs:?} is no number of runs\n{USAGE}")),
        },
        _ => return fail(USAGE),
    };
    let parts = if parts == "all" { PARTS.to_vec() } else { parts.split(',').collect() };
    if let Some(part) = parts.iter().find(|part| !PARTS.contains(part)) {
        return fail(&format!("{part:?} is none of {}\n{USAGE}", PARTS.join(", ")));
    }
    let python = match python.strip_prefix("skip:") {
        Some(reason) => Err(reason.to_owned()),
        None => Ok(python.clone()),
    };
    let mut table = Table::default();
    let mut failed = false;
    for name in backends {
        let Some(engine) = Engine::named(name) else {
            return fail(&format!("nothing is known to compare {name} with: docker and k8s are\n{USAGE}"));
        };
        // What was measured before is worth having.
        if let Err(error) = measure(engine, runs, &python, &parts, &mut table).await {
            eprintln!("{name}: {error}");
            failed = true;
        }
    }
    anstream::println!("{table}");
    if json != "-"
        && let Err(error) = std::fs::write(json, table.json())
    {
        return fail(&format!("failed to write {json}: {error}"));
    }
    match table.missed() {
        0 if !failed => ExitCode::SUCCESS,
        0 => ExitCode::FAILURE,
        missed => fail(&format!("targets missed: {missed}")),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}

async fn measure(
    engine: Engine,
    runs: usize,
    python: &Result<String, String>,
    parts: &[&str],
    table: &mut Table,
) -> Outcome {
    let wanted = |part| parts.contains(&part);
    let builder = Config::builder()
        .set("runtime", "bench", Some(engine.name()))
        .set("resources.cpu", "bench", Some("0.1"))
        .set("resources.memory", "bench", Some("2Gi"));
    let runtime = Runtime::open(&builder.load()?).await?;
    let run = RunId::new(format!("bench-{}", std::process::id()))?;
    let spec = |what: &str| {
        let name = SandboxName::derive(&run, what);
        SandboxSpec { run: Some(run.clone()), ttl: TTL, ..runtime.spec(name, IMAGE) }
    };
    table.conditions(format!("{}; {runs} runs of each command, in turn; image {IMAGE}", engine.version()?));
    let sandbox = runtime.create(&spec("bench")).await?;
    let name = sandbox.incarnation().name.to_string();
    // The peers need the same sandbox, by the name their tools know.
    let measured = async {
        sandbox.run(oh_runtime::CommandSpec::new(["true"])).await?;
        let bed = peer::Bed::new(engine, name).await?;
        if wanted("exec") {
            executing::measure(&bed, &*sandbox, runs, python, table).await?;
        }
        if wanted("fairness") {
            fairness::measure(engine, &*sandbox, table).await?;
        }
        if wanted("copy") {
            copying::measure(&bed, table).await?;
        }
        if wanted("memory") {
            holding::measure(&bed, table).await?;
        }
        Ok(())
    };
    let measured: Outcome = measured.await;
    sandbox.close().await?;
    measured?;
    if wanted("memory") {
        memory::measure(engine, &runtime, &spec, table).await?;
    }
    if wanted("crowd") {
        crowd::measure(engine, &runtime, &spec, table).await?;
    }
    if wanted("create") {
        creating::measure(engine, &runtime, &spec, table).await?;
    }
    if wanted("deliver") {
        delivering::measure(engine, &runtime, &spec, table).await?;
    }
    Ok(())
}
