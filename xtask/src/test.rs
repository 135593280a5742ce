//! All checks and tests, in stages. A failed stage does not stop those that can still run.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use cargo_metadata::{MetadataCommand, TargetKind};

use crate::cmd::{self, Cmd};
use crate::{Runtime, agent, cluster, engine, faults, images, paths, quickstart, tidy, ui};

/// The test binary with one list of cases for every backend.
const CONFORMANCE: &str = "conformance";
/// Tests that disturb the whole cluster, and so run last and alone; then cuts and restarts, the short form.
const FAULTS: &str = "faults";
/// Cases at once: most of the time they wait for the cluster.
const CASES: &str = "8";

enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

#[derive(Default)]
struct Stages(Vec<(&'static str, Outcome, Duration)>);

impl Stages {
    /// Runs one stage; nothing is returned if it fails.
    fn run<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        let started = Instant::now();
        let result = ui::step(&format!("Stage {name}"), work);
        let (outcome, value) = match result {
            Ok(value) => (Outcome::Passed, Some(value)),
            Err(error) => {
                ui::error(&error);
                (Outcome::Failed(first_line(&error)), None)
            }
        };
        self.0.push((name, outcome, started.elapsed()));
        value
    }

    fn skip(&mut self, name: &'static str, why: impl Into<String>) {
        self.0.push((name, Outcome::Skipped(why.into()), Duration::ZERO));
    }

    /// Prints the table, and the counts as the last line. Returns whether nothing failed.
    fn report(&self) -> bool {
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        anstream::println!();
        for (name, outcome, took) in &self.0 {
            let (style, word, why) = match outcome {
                Outcome::Passed => (ui::GOOD, "passed", ""),
                Outcome::Failed(why) => (ui::BAD, "FAILED", why.as_str()),
                Outcome::Skipped(why) => (ui::WARN, "skipped", why.as_str()),
            };
            match outcome {
                Outcome::Passed => passed += 1,
                Outcome::Failed(_) => failed += 1,
                Outcome::Skipped(_) => skipped += 1,
            }
            anstream::println!("{name:<14} {style}{word:<7}{style:#} {:>9}  {why}", ui::seconds(*took));
        }
        anstream::println!("{passed} passed, {failed} failed, {skipped} skipped");
        failed == 0
    }
}

/// Runs the stages and returns whether none failed; `fast` leaves out what needs a Docker engine.
pub(crate) fn run(fast: bool) -> bool {
    let mut stages = Stages::default();
    stages.run("format", || cargo(&["fmt", "--all", "--check"]).run());
    stages.run("clippy", || {
        cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]).run()
    });
    stages.run("tidy", tidy::run);
    stages.run("unit", unit);
    stages.run("fixture", another_harness);
    stages.run("doc", || cargo(&["test", "--workspace", "--all-features", "--doc"]).run());
    let agent = stages.run("agent", agent::build);
    let oh = stages.run("oh", quickstart::build_oh);
    let docker = docker(&mut stages, fast);
    let k8s = docker
        && stages.run("cluster", || cluster::up(cluster::NODES, None)).is_some()
        && stages.run("images-k8s", || images::run(Some(Runtime::K8s))).is_some();
    let local = stages.run("images-local", || images::run(Some(Runtime::Local))).is_some();
    let backends: Vec<&str> = [(local, Runtime::Local), (docker, Runtime::Docker), (k8s, Runtime::K8s)]
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, r)| r.name())
        .collect();
    match (&agent, backends.is_empty()) {
        (None, _) => stages.skip("backends", "there is no agent"),
        (_, true) => stages.skip("backends", "there are no images"),
        // Where the unit stage skipped them, for want of an agent and images.
        (Some(agent), false) => {
            stages.run("backends", || {
                let tests = backends.iter().filter_map(|backend| match *backend {
                    "docker" => Some(["-p", "oh-runtime-docker", "--test", "engine"]),
                    "local" => Some(["-p", "oh-runtime-local", "--test", "namespaces"]),
                    _ => None,
                });
                let tests: Vec<&str> = tests.flatten().collect();
                on(cargo(&[&["test"], &tests[..]].concat()), &backends, agent)?.run()
            });
        }
    }
    match (&agent, backends.is_empty()) {
        (None, _) => stages.skip(CONFORMANCE, "there is no agent"),
        (_, true) => stages.skip(CONFORMANCE, "there are no images"),
        (Some(agent), false) => {
            stages.run(CONFORMANCE, || conformance(&backends, agent));
        }
    }
    match (&agent, oh) {
        (None, _) => stages.skip("e2e", "there is no agent"),
        (_, None) => stages.skip("e2e", "there is no oh"),
        (Some(agent), Some(())) => {
            stages.run("e2e", || on(e2e(&end_to_end_tests()?), &backends, agent)?.run());
        }
    }
    let engines: &[Runtime] = if k8s { &[Runtime::Docker, Runtime::K8s] } else { &[Runtime::Docker] };
    match &agent {
        Some(agent) if docker => {
            stages.run(FAULTS, || {
                if k8s {
                    on(cargo(&["test", "-p", "oh-e2e", "--test", FAULTS]), &["k8s"], agent)?.run()?;
                }
                faults::on(engines, &faults::Options { short: true, ..faults::Options::default() }, agent)
            });
        }
        _ => stages.skip(FAULTS, "there is no engine, or no agent"),
    }
    if cmd::works(&["cargo", "deny", "--version"]) {
        // Advisories come from a git host; the workflow that has network checks them.
        stages.run("deny", || cargo(&["deny", "check", "bans", "licenses", "sources"]).run());
    } else {
        stages.skip("deny", "cargo-deny is not installed (`cargo install cargo-deny` takes minutes)");
    }
    stages.report()
}

/// The engine and its images; false if tests cannot run on it. A missing engine is a failure, or a whole backend would
/// go untested without anybody noticing.
fn docker(stages: &mut Stages, fast: bool) -> bool {
    if fast {
        stages.skip("engine", "no tests on Docker: --fast");
        return false;
    }
    stages.run("engine", engine::up).is_some()
        && stages.run("images-docker", || images::run(Some(Runtime::Docker))).is_some()
}

/// The suite, and that the committed table of parity says what it found; a table of some backends would not.
fn conformance(backends: &[&str], agent: &PathBuf) -> Result<()> {
    let report = paths::target()?.join("conformance.json");
    let suite = cargo(&["test", "-p", "oh-e2e", "--test", CONFORMANCE, "--", "--test-threads", CASES]);
    on(suite.env("OH_E2E_REPORT", &report), backends, agent)?.run()?;
    if backends.len() < Runtime::ALL.len() {
        return Ok(());
    }
    let report = report.to_string_lossy();
    cargo(&["run", "-q", "-p", "oh-e2e", "--bin", "parity", "--", "check", &report]).run()
}

/// A harness outside the workspace, with another version of the Kubernetes API, compiles.
fn another_harness() -> Result<()> {
    let folder = paths::root().join("tests/fixtures/harness");
    // What it needs is what the project was tested with.
    std::fs::copy(paths::root().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    let target = paths::target()?;
    let target = target.to_string_lossy();
    Cmd::new(&["cargo", "check", "--target-dir", &target]).dir(&folder).run()
}

fn unit() -> Result<()> {
    let all = ["--workspace", "--all-features", "--exclude", "oh-e2e"];
    if has_nextest() {
        cargo(&[&["nextest", "run", "--profile", "ci", "--no-tests", "pass"], &all[..]].concat()).run()
    } else {
        cargo(&[&["test", "--no-fail-fast", "--lib", "--bins", "--tests"], &all[..]].concat()).run()
    }
}

fn e2e(tests: &[String]) -> Cmd {
    let tests: Vec<&str> = tests.iter().flat_map(|name| ["--test", name]).collect();
    let run: &[&str] =
        if has_nextest() { &["nextest", "run", "--profile", "ci"] } else { &["test", "--no-fail-fast"] };
    cargo(&[run, &["-p", "oh-e2e", "--lib"], &tests].concat())
}

/// Tells tests which backends to run on, and where the agent and the cluster are.
fn on(cmd: Cmd, backends: &[&str], agent: &PathBuf) -> Result<Cmd> {
    let cmd = cmd.env("OH_AGENT", agent).env("OH_E2E_BACKENDS", backends.join(","));
    if backends.contains(&Runtime::K8s.name()) {
        return Ok(cmd.env("KUBECONFIG", cluster::kubeconfig()?));
    }
    Ok(cmd)
}

/// The integration tests of oh-e2e, but for those with a stage of their own.
fn end_to_end_tests() -> Result<Vec<String>> {
    let metadata = MetadataCommand::new().current_dir(paths::root()).no_deps().exec()?;
    let Some(package) = metadata.packages.iter().find(|package| package.name.as_str() == "oh-e2e") else {
        bail!("the workspace has no oh-e2e");
    };
    let tests = package.targets.iter().filter(|target| target.kind.contains(&TargetKind::Test));
    Ok(tests.map(|target| target.name.clone()).filter(|name| name != CONFORMANCE && name != FAULTS).collect())
}

fn cargo(words: &[&str]) -> Cmd {
    Cmd::new(&[&["cargo"], words].concat()).dir(paths::root())
}

fn has_nextest() -> bool {
    cmd::works(&["cargo", "nextest", "--version"])
}

fn first_line(error: &anyhow::Error) -> String {
    format!("{error:#}").lines().next().unwrap_or_default().to_owned()
}
