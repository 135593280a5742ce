//! From a fresh machine to a first evaluation.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::cmd::Cmd;
use crate::{Runtime, agent, engine, examples, images, paths, ui};

/// Runs the example evaluation with the gold patches, and says how to go on.
pub(crate) fn run(runtime: Option<Runtime>) -> Result<()> {
    let runtime = match runtime {
        Some(Runtime::Local) => Runtime::Local,
        Some(Runtime::Docker) => engine::up().map(|_| Runtime::Docker)?,
        None => match engine::up() {
            Ok(_) => Runtime::Docker,
            Err(error) => {
                ui::note(format!("{error:#}"));
                ui::note("going on without Docker, on the backend `local`: it isolates nothing");
                Runtime::Local
            }
        },
    };
    agent::build()?;
    build_oh()?;
    images::run(Some(runtime))?;
    let root = paths::root();
    let oh = paths::target()?.join("debug/oh");
    let show = |path: &std::path::Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
    let (oh_shown, out) = (show(&oh), show(&paths::target()?.join("quickstart")));
    let dataset = show(&examples::folder().join(examples::INSTANCES));
    let run_id = run_id();
    ui::step("Evaluation of three examples with their gold patches", || {
        Cmd::new(&[
            oh.to_string_lossy().as_ref(),
            "eval",
            "run",
            "--dataset",
            &dataset,
            "--predictions",
            "gold",
            "--run-id",
            &run_id,
            "--out",
            &out,
        ])
        .env("OH_RUNTIME", runtime.name())
        .dir(root)
        .run()
    })?;
    let oh = format!("OH_RUNTIME={} {oh_shown}", runtime.name());
    let wrong = show(&examples::folder().join(examples::WRONG));
    anstream::println!(
        "
Logs and reports: {out}. How to go on:
  {oh} run --image {image} -- bash -c 'cd /testbed && python3 -m pytest -q'
  {oh} eval run --dataset {dataset} --predictions {wrong} --run-id wrong-1 --out {out}
  {oh} eval run --dataset YOUR.jsonl --predictions YOURS.jsonl --run-id first --workers 4
  {oh} --help
  cargo xtask test",
        image = examples::Instance::all()?.first().map(examples::Instance::image).unwrap_or_default(),
    );
    Ok(())
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
