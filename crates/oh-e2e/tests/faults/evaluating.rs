//! The examples with their gold patches, while something happens to the cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use libtest_mimic::Failed;
use oh_e2e::environment;
use oh_e2e::oh::{Oh, Running, run_id};
use serde_json::Value;

use crate::world::{Paused, check, delete_pod, kill_api_server, recovered, run, until};

/// What the tests wait for before they begin, in seconds: long enough to be disturbed.
const WAIT: u32 = 20;
const STARTED: &str = "/tmp/oh-tests-started";
/// Less than a connection may be silent.
const MOMENT: Duration = Duration::from_secs(10);

/// Outcome and detail of each instance.
type Outcomes = BTreeMap<String, (String, String)>;

/// An evaluation whose tests have begun in every sandbox.
struct Evaluation {
    run_id: String,
    sandboxes: Vec<String>,
    running: Running,
    _folder: tempfile::TempDir,
}

impl Evaluation {
    fn start(what: &str) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let dataset = folder.path().join("slow.jsonl");
        std::fs::write(&dataset, slowed()?)?;
        let run_id = run_id(what);
        let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let (dataset, out) = (path(&dataset), path(folder.path()));
        let words = ["--output", "json", "eval", "run", "--predictions", "gold", "--workers", "3"];
        let rest = ["--dataset", &dataset, "--out", &out, "--run-id", &run_id];
        let running = Oh::new("k8s")?.args(words).args(rest).start()?;
        let mut evaluation = Self { run_id, sandboxes: Vec::new(), running, _folder: folder };
        until("the tests of all three", || {
            evaluation.sandboxes = evaluation.listed()?;
            Ok(evaluation.sandboxes.len() == 3 && evaluation.sandboxes.iter().all(|name| has_begun(name)))
        })?;
        Ok(evaluation)
    }

    fn listed(&self) -> Result<Vec<String>, Failed> {
        let ran = Oh::new("k8s")?.args(["ls", "-q", "--run-id", &self.run_id]).run()?;
        check(ran.code == Some(0), format!("{ran:?}"))?;
        Ok(ran.stdout.lines().map(str::to_owned).collect())
    }

    /// Waits for its end, and undoes the `harm` only then: exit code, and outcome and detail of each instance. Nothing
    /// may be left when the cluster is well again.
    fn finish(self, harm: Option<Paused>) -> Result<(Option<i32>, Outcomes), Failed> {
        let Self { run_id, running, _folder, .. } = self;
        let ran = running.finish()?;
        drop(harm);
        let document: Value =
            serde_json::from_str(&ran.stdout).map_err(|error| format!("{error}: {ran:?}"))?;
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let instances = document["instances"].as_array().ok_or("no instances")?;
        let outcomes = instances.iter().map(|instance| {
            (word(&instance["instance_id"]), (word(&instance["outcome"]), word(&instance["detail"])))
        });
        let outcomes = outcomes.collect();
        recovered()?;
        let left = Oh::new("k8s")?.args(["ls", "-q", "--run-id", &run_id]).run()?;
        check(
            left.code == Some(0) && left.stdout.is_empty(),
            format!("left behind: {left:?}; {outcomes:?}"),
        )?;
        Ok((ran.code, outcomes))
    }
}

fn has_begun(sandbox: &str) -> bool {
    let look = |oh: Oh| oh.args(["exec", sandbox, "--", "test", "-e", STARTED]).run();
    Oh::new("k8s").and_then(look).is_ok_and(|ran| ran.code == Some(0))
}

fn slowed() -> Result<String, Failed> {
    let mut text = String::new();
    for line in
        std::fs::read_to_string(environment::root().join("examples/quickstart/instances.jsonl"))?.lines()
    {
        let mut row: Value = serde_json::from_str(line)?;
        let script = row["eval_script"].as_str().ok_or("no eval_script")?;
        row["eval_script"] = Value::from(format!("touch {STARTED}; sleep {WAIT}\n{script}"));
        text.push_str(&format!("{row}\n"));
    }
    Ok(text)
}

/// Every instance is an error that says one of these words.
fn all_errors(outcomes: &Outcomes, words: &[&str]) -> Result<(), Failed> {
    let right = |(outcome, detail): &(String, String)| {
        outcome == "error" && words.iter().any(|word| detail.contains(word))
    };
    check(outcomes.len() == 3 && outcomes.values().all(right), format!("{outcomes:#?}"))
}

fn all_resolved(code: Option<i32>, outcomes: &Outcomes) -> Result<(), Failed> {
    let resolved = outcomes.values().all(|(outcome, _)| outcome == "resolved");
    check(code == Some(0) && outcomes.len() == 3 && resolved, format!("{code:?}: {outcomes:#?}"))
}

pub(crate) fn pod_deleted() -> Result<(), Failed> {
    let evaluation = Evaluation::start("deleted")?;
    let victim = evaluation.sandboxes.first().cloned().unwrap_or_default();
    run(delete_pod(&victim))?;
    let (code, outcomes) = evaluation.finish(None)?;
    check(code == Some(10), format!("{code:?}: {outcomes:#?}"))?;
    let resolved = outcomes.values().filter(|(outcome, _)| outcome == "resolved").count();
    let removed =
        |(outcome, detail): &&(String, String)| outcome == "error" && detail.contains("was removed");
    check(resolved == 2 && outcomes.values().filter(removed).count() == 1, format!("{outcomes:#?}"))
}

pub(crate) fn node_paused_shortly() -> Result<(), Failed> {
    let evaluation = Evaluation::start("moment")?;
    let paused = Paused::node()?;
    std::thread::sleep(MOMENT);
    drop(paused);
    let (code, outcomes) = evaluation.finish(None)?;
    all_resolved(code, &outcomes)
}

pub(crate) fn server_killed() -> Result<(), Failed> {
    let evaluation = Evaluation::start("server")?;
    kill_api_server()?;
    let (code, outcomes) = evaluation.finish(None)?;
    // All streams went through it. The sessions go on over other ones.
    all_resolved(code, &outcomes)
}

pub(crate) fn node_stopped() -> Result<(), Failed> {
    let evaluation = Evaluation::start("stopped")?;
    let paused = Paused::node()?;
    // It ends although the node stays away.
    let (code, outcomes) = evaluation.finish(Some(paused))?;
    check(code == Some(10), format!("{code:?}: {outcomes:#?}"))?;
    all_errors(&outcomes, &["the machine the sandbox runs on does not answer"])
}
