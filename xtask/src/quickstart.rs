//! From a fresh machine to a first evaluation.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use crate::cmd::Cmd;
use crate::examples::{self, Instance};
use crate::{Runtime, agent, cluster, engine, images, paths, ui};

/// How long one instance may take when everything is up.
const SMOKE_LIMIT: Duration = Duration::from_secs(120);

/// Runs the example evaluation with the gold patches, and says how to go on.
pub(crate) fn run(runtime: Option<Runtime>) -> Result<()> {
    let runtime = match runtime {
        Some(runtime) => bring_up(runtime).map(|()| runtime)?,
        None => match engine::up() {
            Ok(_) => Runtime::Docker,
            Err(error) => {
                ui::note(format!("{error:#}"));
                ui::note("going on without Docker, on the backend `local`: it isolates nothing");
                Runtime::Local
            }
        },
    };
    prepare(runtime)?;
    let out = paths::target()?.join("quickstart");
    ui::step("Evaluation of three examples with their gold patches", || evaluate(runtime, &out, &[])?.run())?;
    let kubeconfig = match runtime {
        Runtime::K8s => format!("KUBECONFIG={} ", cluster::kubeconfig()?.display()),
        _ => String::new(),
    };
    let oh = format!("{kubeconfig}OH_RUNTIME={} {}", runtime.name(), shown(&oh()?));
    let (dataset, out) = (dataset(), shown(&out));
    let wrong = shown(&examples::folder().join(examples::WRONG));
    anstream::println!(
        "
Logs and reports: {out}. How to go on:
  {oh} run --image {image} -- bash -c 'cd /testbed && python3 -m pytest -q'
  {oh} eval run --dataset {dataset} --predictions {wrong} --run-id wrong-1 --out {out}
  {oh} eval run --dataset YOUR.jsonl --predictions YOURS.jsonl --run-id first --workers 4
  {oh} --help
  cargo xtask test",
        image = Instance::all()?.first().map(Instance::image).unwrap_or_default(),
    );
    Ok(())
}

/// Evaluates one instance end to end. What it needs is brought up first, and its time is not counted.
pub(crate) fn smoke(runtime: Runtime) -> Result<()> {
    bring_up(runtime)?;
    prepare(runtime)?;
    let all = Instance::all()?;
    let instance = all.first().context("there is no example")?;
    let started = Instant::now();
    ui::step("One instance end to end", || {
        let out = tempfile::tempdir()?;
        let cmd = evaluate(runtime, out.path(), &["--instance-ids", &instance.id, "--output", "json"])?;
        let report: serde_json::Value =
            serde_json::from_str(&cmd.read()?).context("the report is no JSON")?;
        let outcome = &report["instances"][0]["outcome"];
        ui::note(format!("{}: {outcome}", instance.id));
        ensure!(outcome == "resolved", "{} is {outcome} with its gold patch", instance.id);
        Ok(())
    })?;
    let took = started.elapsed();
    ensure!(took < SMOKE_LIMIT, "it took {}, more than {}", ui::seconds(took), ui::seconds(SMOKE_LIMIT));
    Ok(())
}

fn bring_up(runtime: Runtime) -> Result<()> {
    match runtime {
        Runtime::Local => Ok(()),
        Runtime::Docker => engine::up().map(drop),
        Runtime::K8s => cluster::up(cluster::NODES, None).map(drop),
    }
}

fn prepare(runtime: Runtime) -> Result<()> {
    agent::build()?;
    build_oh()?;
    images::run(Some(runtime))
}

/// The command that evaluates examples with their gold patches.
fn evaluate(runtime: Runtime, out: &Path, more: &[&str]) -> Result<Cmd> {
    let (oh, dataset, run_id) = (oh()?, dataset(), run_id());
    let (oh, out) = (oh.to_string_lossy(), shown(out));
    let words =
        ["eval", "run", "--dataset", &dataset, "--predictions", "gold", "--run-id", &run_id, "--out", &out];
    let cmd = Cmd::new(&[&[oh.as_ref()], &words[..], more].concat()).env("OH_RUNTIME", runtime.name());
    let cmd = if runtime == Runtime::K8s { cmd.env("KUBECONFIG", cluster::kubeconfig()?) } else { cmd };
    Ok(cmd.dir(paths::root()))
}

fn oh() -> Result<PathBuf> {
    Ok(paths::target()?.join("debug/oh"))
}

fn dataset() -> String {
    shown(&examples::folder().join(examples::INSTANCES))
}

/// A path as short as it can be written in the checkout.
fn shown(path: &Path) -> String {
    path.strip_prefix(paths::root()).unwrap_or(path).display().to_string()
}

/// Builds the command `oh`, unoptimized: the first build is what a new user waits for.
pub(crate) fn build_oh() -> Result<()> {
    ui::step("Command: oh", || {
        Cmd::new(&["cargo", "build", "-p", "oh-cli", "--bin", "oh"]).dir(paths::root()).run()
    })
}

fn run_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("quickstart-{}", now.as_secs())
}
