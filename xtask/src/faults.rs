//! Cuts and restarts while commands run, on real engines. A broken agent proves that it would find something.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::cmd::Cmd;
use crate::{Runtime, agent, cluster, engine, images, paths, ui};

/// What to try.
#[derive(Default)]
pub(crate) struct Options<'a> {
    /// On these engines, or on both.
    pub(crate) runtimes: &'a [Runtime],
    /// Less of everything.
    pub(crate) short: bool,
    /// Decides where the cuts are.
    pub(crate) seed: Option<u64>,
    pub(crate) json: Option<&'a Path>,
}

/// Brings up the engines and runs it.
pub(crate) fn run(options: &Options<'_>) -> Result<()> {
    let all = [Runtime::Docker, Runtime::K8s];
    let runtimes = if options.runtimes.is_empty() { &all[..] } else { options.runtimes };
    let agent = agent::build()?;
    for runtime in runtimes {
        match runtime {
            Runtime::K8s => drop(cluster::up(cluster::NODES, None)?),
            Runtime::Docker => drop(engine::up()?),
            Runtime::Local => bail!("nothing is between us and the backend local that could be cut"),
        }
        images::run(Some(*runtime))?;
    }
    on(runtimes, options, &agent)
}

/// The same on engines that are there. Only the whole run asks for speed: hundreds of sandboxes have to come back in a
/// time. The short one takes the build of the tests.
pub(crate) fn on(runtimes: &[Runtime], options: &Options<'_>, agent: &Path) -> Result<()> {
    let (profile, folder) = if options.short { ("dev", "debug") } else { ("release", "release") };
    ui::step("The faults", || {
        Cmd::new(&["cargo", "build", "--profile", profile, "-p", "oh-e2e", "--bin", "faults"])
            .dir(paths::root())
            .run()
    })?;
    let faults = Faults { program: paths::target()?.join(folder).join("faults"), runtimes, options };
    let json = options.json.map(std::path::absolute).transpose()?;
    let plan = if options.short { "short" } else { "full" };
    ui::step("Cuts and restarts", || faults.run(plan, agent, json.as_deref()))?;
    faults.control()
}

struct Faults<'a> {
    program: PathBuf,
    runtimes: &'a [Runtime],
    options: &'a Options<'a>,
}

impl Faults<'_> {
    fn run(&self, plan: &str, agent: &Path, json: Option<&Path>) -> Result<()> {
        let seed = self.options.seed.unwrap_or_else(seed).to_string();
        let json = json.map_or(Ok("-"), |path| path.to_str().context("the file's name is no UTF-8"))?;
        let program = self.program.to_str().context("the target folder's name is no UTF-8")?;
        let names = self.runtimes.iter().map(|runtime| runtime.name());
        let words: Vec<&str> = [program, plan, &seed, json].into_iter().chain(names).collect();
        let mut cmd = Cmd::new(&words).dir(paths::root()).env("OH_AGENT", agent);
        if self.runtimes.contains(&Runtime::K8s) {
            cmd = cmd.env("KUBECONFIG", cluster::kubeconfig()?);
        }
        cmd.run()
    }

    /// A run with an agent that does things twice has to fail for that.
    fn control(&self) -> Result<()> {
        let agent = agent::build_without_deduplication()?;
        ui::step("The same without deduplication, which has to fail", || {
            let folder = tempfile::tempdir()?;
            let json = folder.path().join("faults.json");
            ensure!(self.run("control", &agent, Some(&json)).is_err(), "nothing was found");
            let text = std::fs::read(&json).context("it failed before it found anything")?;
            let found: Value = serde_json::from_slice(&text).context("it wrote no JSON")?;
            let count = |key: &str| found[key].as_u64().unwrap_or_default();
            let (duplicates, losses) = (count("duplicates"), count("losses"));
            ensure!(duplicates > 0, "it failed, but found no duplicates");
            ui::note(format!("it failed as it should: {duplicates} duplicates, {losses} losses"));
            Ok(())
        })
    }
}

/// Another one each time; the report names it.
fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos())
}
