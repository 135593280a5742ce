//! Speed beside the engines' own tools. A peer of the same run is the measure; no time is a test.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cmd::{self, Cmd};
use crate::{Runtime, agent, cluster, engine, images, paths, ui};

/// Builds with optimization, and measures on the engines named, or on both.
pub(crate) fn run(runtimes: &[Runtime], runs: usize, only: &[String], json: Option<&Path>) -> Result<()> {
    let all = [Runtime::Docker, Runtime::K8s];
    let runtimes = if runtimes.is_empty() { &all[..] } else { runtimes };
    agent::build()?;
    ui::step("oh and the bench, optimized", || {
        let words =
            ["cargo", "build", "--release", "-p", "oh-cli", "-p", "oh-e2e", "--bin", "oh", "--bin", "bench"];
        Cmd::new(&words).dir(paths::root()).run()
    })?;
    let mut kubeconfig = None;
    for runtime in runtimes {
        match runtime {
            Runtime::K8s => {
                kubeconfig = Some(cluster::up(cluster::NODES, None)?.kubeconfig().to_owned());
            }
            _ => drop(engine::up()?),
        }
        images::run(Some(*runtime))?;
    }
    // A peer that is not there is a row of the table that says so.
    let python = ui::step("The Kubernetes client for Python", python)
        .unwrap_or_else(|error| format!("skip:{}", format!("{error:#}").lines().next().unwrap_or_default()));
    let runs = runs.to_string();
    let json = json.map(absolute).transpose()?;
    let json = json.as_ref().map_or(Ok("-"), |path| path.to_str().context("the file's name is no UTF-8"))?;
    let bench = paths::target()?.join("release/bench");
    let bench = bench.to_str().context("the target folder's name is no UTF-8")?;
    let names = runtimes.iter().map(|runtime| runtime.name());
    let parts = if only.is_empty() { "all".to_owned() } else { only.join(",") };
    let words: Vec<&str> = [bench, &runs, json, &python, &parts].into_iter().chain(names).collect();
    ui::step("Measuring: some minutes", || {
        ui::note(conditions());
        let mut cmd = Cmd::new(&words).dir(paths::root());
        if let Some(file) = kubeconfig {
            cmd = cmd.env("KUBECONFIG", file);
            if let Some(path) = cluster::path()? {
                cmd = cmd.env("PATH", path);
            }
        }
        cmd.run()
    })
}

/// An interpreter that has the client, in an environment of its own that is kept between checkouts.
fn python() -> Result<String> {
    let folder = paths::bench_cache()?.join("python");
    let folder = folder.to_str().context("the cache folder's name is no UTF-8")?;
    let interpreter = format!("{folder}/bin/python");
    let imported = ["-c", "import kubernetes.stream"];
    if !cmd::works(&[&interpreter, imported[0], imported[1]]) {
        Cmd::new(&["python3", "-m", "venv", "--clear", folder]).quiet()?;
        Cmd::new(&[&interpreter, "-m", "pip", "install", "--quiet", "kubernetes"]).quiet()?;
        Cmd::new(&[&interpreter, imported[0], imported[1]]).quiet()?;
    }
    Ok(interpreter)
}

/// What holds for every row.
fn conditions() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!("{cores} cores, Linux {}, load {load} before", kernel.trim())
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))
}
