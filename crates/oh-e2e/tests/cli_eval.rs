//! The main job through the real `oh`, on every backend.

#![expect(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oh_e2e::environment;
use oh_e2e::oh::{Oh, Ran, run_id};
use serde_json::Value;

const EXAMPLES: [&str; 3] =
    ["oh-quickstart__csvtable-1", "oh-quickstart__intervals-1", "oh-quickstart__memo-1"];

fn dataset() -> PathBuf {
    environment::root().join("examples/quickstart/instances.jsonl")
}

fn eval(backend: &str, dataset: &Path, predictions: &str, run_id: &str, out: &Path) -> Oh {
    let arguments = [
        "--output".into(),
        "json".into(),
        "eval".into(),
        "run".into(),
        "--dataset".into(),
        dataset.as_os_str().to_owned(),
        "--predictions".into(),
        predictions.into(),
        "--run-id".into(),
        run_id.into(),
        "--out".into(),
        out.as_os_str().to_owned(),
    ];
    Oh::new(backend).unwrap().args(arguments)
}

/// Instance id → outcome, of the document `oh` prints.
fn outcomes(ran: &Ran) -> BTreeMap<String, String> {
    let document: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    let word = |value: &Value| value.as_str().unwrap_or("none").to_owned();
    document["instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|instance| (word(&instance["instance_id"]), word(&instance["outcome"])))
        .collect()
}

fn all(outcome: &str) -> BTreeMap<String, String> {
    EXAMPLES.iter().map(|id| ((*id).to_owned(), outcome.to_owned())).collect()
}

fn sandboxes_of(backend: &str, run_id: &str) -> Vec<String> {
    let ran = Oh::new(backend).unwrap().args(["ls", "-q", "--run-id", run_id]).run().unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.stdout.lines().map(str::to_owned).collect()
}

/// Every report of a run, by its path in the log tree.
fn reports(out: &Path, run_id: &str) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let mut open = vec![out.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json")
                && path.file_name().is_some_and(|name| name != "run.json")
            {
                let name = path.strip_prefix(out).unwrap().display().to_string().replace(run_id, "RUN");
                found.insert(name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap());
            }
        }
    }
    found
}

/// Gold is 3/3, empty 0/3 as empty patches, wrong 0/3 as unresolved, and all reports are the same on every backend.
#[test]
fn examples_are_graded_the_same_everywhere() {
    let wrong = environment::root().join("examples/quickstart/wrong.jsonl");
    let wrong = wrong.to_str().unwrap();
    let mut first: BTreeMap<&str, (String, BTreeMap<String, Value>)> = BTreeMap::new();
    for backend in environment::backends() {
        for (predictions, outcome) in [("gold", "resolved"), ("empty", "empty_patch"), (wrong, "unresolved")]
        {
            let out = tempfile::tempdir().unwrap();
            let run_id = run_id("grade");
            let ran = eval(&backend, &dataset(), predictions, &run_id, out.path()).run().unwrap();
            assert_eq!(ran.code, Some(0), "{backend}: {ran:?}");
            assert_eq!(outcomes(&ran), all(outcome), "{backend}");
            assert_eq!(sandboxes_of(&backend, &run_id), [""; 0], "{backend}: all are removed");
            let found = reports(out.path(), &run_id);
            assert!(!found.is_empty());
            match first.get(outcome) {
                None => {
                    first.insert(outcome, (backend.clone(), found));
                }
                Some((other, theirs)) => assert_eq!(theirs, &found, "{other} and {backend} differ"),
            }
        }
    }
}

/// A second run of the same id runs nothing again; a run of some instances leaves the others for later.
#[test]
fn a_run_goes_on_where_it_ended() {
    for backend in environment::backends() {
        let out = tempfile::tempdir().unwrap();
        let run_id = run_id("resume");
        let some =
            eval(&backend, &dataset(), "gold", &run_id, out.path()).args(["--instance-ids", EXAMPLES[0]]);
        assert_eq!(outcomes(&some.run().unwrap()).len(), 1);
        let report = out
            .path()
            .join("logs/run_evaluation")
            .join(&run_id)
            .join("gold")
            .join(EXAMPLES[0])
            .join("report.json");
        let written = std::fs::metadata(&report).unwrap().modified().unwrap();
        let ran = eval(&backend, &dataset(), "gold", &run_id, out.path()).run().unwrap();
        assert_eq!(outcomes(&ran), all("resolved"), "{backend}: {ran:?}");
        assert!(ran.stderr.contains("1 done before"), "{backend}: {}", ran.stderr);
        assert_eq!(std::fs::metadata(&report).unwrap().modified().unwrap(), written);
    }
}

/// The harness dies in the middle: its sandboxes are found, removed by run, nobody else's is touched, and the same
/// command then finishes the job.
#[test]
fn a_killed_harness_leaves_nothing_that_cannot_be_found() {
    for backend in environment::backends() {
        let out = tempfile::tempdir().unwrap();
        let run_id = run_id("killed");
        let bystander = format!("{}-bystander", &run_id);
        let made = Oh::new(&backend)
            .unwrap()
            .args(["run", "--keep", "--image", "oh-test:1", "--name", &bystander, "--", "true"])
            .run()
            .unwrap();
        assert_eq!(made.code, Some(0), "{backend}: {made:?}");

        let slow = out.path().join("slow.jsonl");
        std::fs::write(&slow, slowed(&dataset())).unwrap();
        let mut running = eval(&backend, &slow, "gold", &run_id, out.path()).start().unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        while sandboxes_of(&backend, &run_id).len() < EXAMPLES.len() {
            assert!(Instant::now() < deadline, "{backend}: the sandboxes of the run never appeared");
            std::thread::sleep(Duration::from_millis(100));
        }
        running.child.kill().unwrap();
        drop(running);

        assert_eq!(sandboxes_of(&backend, &run_id).len(), EXAMPLES.len(), "{backend}: `oh ls` finds them");
        let removed = Oh::new(&backend).unwrap().args(["rm", "--run-id", &run_id]).run().unwrap();
        assert_eq!(removed.code, Some(0), "{backend}: {removed:?}");
        assert_eq!(removed.stdout.lines().count(), EXAMPLES.len(), "{backend}: {removed:?}");
        assert_eq!(sandboxes_of(&backend, &run_id), [""; 0], "{backend}");
        let alive =
            Oh::new(&backend).unwrap().args(["exec", &bystander, "--", "echo", "alive"]).run().unwrap();
        assert_eq!(alive.stdout, "alive\n", "{backend}: {alive:?}");
        let gone = Oh::new(&backend).unwrap().args(["rm", &bystander]).run().unwrap();
        assert_eq!(gone.code, Some(0), "{backend}: {gone:?}");

        let ran = eval(&backend, &dataset(), "gold", &run_id, out.path()).run().unwrap();
        assert_eq!(outcomes(&ran), all("resolved"), "{backend}: {ran:?}");
    }
}

/// The rows with tests that take a minute before they begin.
fn slowed(dataset: &Path) -> String {
    let mut text = String::new();
    for line in std::fs::read_to_string(dataset).unwrap().lines() {
        let mut row: Value = serde_json::from_str(line).unwrap();
        let script = row["eval_script"].as_str().unwrap().to_owned();
        row["eval_script"] = Value::from(format!("sleep 60\n{script}"));
        text.push_str(&format!("{row}\n"));
    }
    text
}

/// Tests that run out of time, patches that do not apply and images that do not exist are errors with their cause,
/// never unresolved instances.
#[test]
fn failures_of_the_machinery_are_errors_with_their_cause() {
    for backend in environment::backends() {
        let out = tempfile::tempdir().unwrap();
        let rows: Vec<Value> = std::fs::read_to_string(dataset())
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut broken = rows.clone();
        broken[0]["eval_script"] = Value::from("sleep 300");
        broken[1]["image"] = Value::from("oh-no-such-image:1");
        broken[2]["patch"] =
            Value::from("--- a/nothing.py\n+++ b/nothing.py\n@@ -1 +1 @@\n-nothing\n+something\n");
        let file = out.path().join("broken.jsonl");
        let text: String = broken.iter().map(|row| format!("{row}\n")).collect();
        std::fs::write(&file, text).unwrap();
        let run_id = run_id("broken");
        let ran = eval(&backend, &file, "gold", &run_id, out.path())
            .args(["--timeout", "5s"])
            .env("OH_DOCKER_PULL", "never")
            .run()
            .unwrap();
        assert_eq!(ran.code, Some(10), "{backend}: {ran:?}");
        assert_eq!(outcomes(&ran), all("error"), "{backend}");
        let document: Value = serde_json::from_str(&ran.stdout).unwrap();
        let detail = |id: &Value| {
            let instances = document["instances"].as_array().unwrap();
            let one = instances.iter().find(|one| &one["instance_id"] == id).unwrap();
            one["detail"].as_str().unwrap_or_default().to_owned()
        };
        assert!(detail(&rows[0]["instance_id"]).contains("timed out after 5"), "{backend}: {document}");
        assert!(detail(&rows[1]["instance_id"]).contains("oh-no-such-image"), "{backend}: {document}");
        assert!(detail(&rows[2]["instance_id"]).contains("Patch Apply Failed"), "{backend}: {document}");
        assert_eq!(sandboxes_of(&backend, &run_id), [""; 0], "{backend}");
    }
}

/// SIGTERM ends a run, removes its sandboxes, and says so by its exit code.
#[test]
fn a_terminated_run_removes_its_sandboxes() {
    for backend in environment::backends() {
        let out = tempfile::tempdir().unwrap();
        let run_id = run_id("term");
        let slow = out.path().join("slow.jsonl");
        std::fs::write(&slow, slowed(&dataset())).unwrap();
        let running = eval(&backend, &slow, "gold", &run_id, out.path()).start().unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        while sandboxes_of(&backend, &run_id).len() < EXAMPLES.len() {
            assert!(Instant::now() < deadline, "{backend}: the sandboxes of the run never appeared");
            std::thread::sleep(Duration::from_millis(100));
        }
        let kill =
            std::process::Command::new("kill").args(["-TERM", &running.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let ran = running.finish().unwrap();
        assert_eq!(ran.code, Some(143), "{backend}: {ran:?}");
        assert_eq!(sandboxes_of(&backend, &run_id), [""; 0], "{backend}");
    }
}

fn failed(oh: Oh, code: i32, parts: &[&str]) {
    let ran = oh.run().unwrap();
    assert_eq!(ran.code, Some(code), "{ran:?}");
    // Behind whatever was said before.
    let last = ran.stderr.lines().last().unwrap_or_default();
    let error: Value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    let text = error["error"].to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }
}

#[test]
fn bad_input_is_a_clear_error_with_its_exit_code() {
    let out = tempfile::tempdir().unwrap();
    let good = dataset();
    let file = |name: &str, text: &str| {
        let path = out.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let missing = out.path().join("missing.jsonl");
    failed(eval("local", &missing, "gold", "bad", out.path()), 3, &["missing.jsonl"]);

    let first = std::fs::read_to_string(&good).unwrap().lines().next().unwrap().to_owned();
    let mut row: Value = serde_json::from_str(&first).unwrap();
    row.as_object_mut().unwrap().remove("PASS_TO_PASS");
    let rows = file("rows.jsonl", &format!("{first}\n{row}\nnot json\n"));
    failed(eval("local", &rows, "gold", "bad", out.path()), 3, &["line 2", "PASS_TO_PASS", "line 3"]);

    let predictions = file("predictions.jsonl", "{\"instance_id\": \"x\"}\n");
    let predictions = predictions.to_str().unwrap();
    failed(eval("local", &good, predictions, "bad", out.path()), 3, &["line 1", "model_patch"]);

    failed(eval("podman", &good, "gold", "bad", out.path()), 3, &["podman", "docker", "local", "OH_RUNTIME"]);

    let unreachable =
        eval("docker", &good, "gold", "bad", out.path()).env("DOCKER_HOST", "unix:///nowhere.sock");
    failed(unreachable, 4, &["/nowhere.sock", "OH_RUNTIME=local"]);

    let blocked = file("blocked", "");
    failed(eval("local", &good, "gold", "bad", &blocked), 11, &["blocked", "cannot be written", "--out"]);
}
