//! Sandboxes through the real `oh`, on every backend.

#![expect(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]

use std::process::Command;
use std::time::{Duration, Instant};

use oh_e2e::environment;
use oh_e2e::oh::{Oh, Ran, run_id};
use serde_json::Value;

const IMAGE: &str = "oh-test:1";

fn oh(backend: &str, arguments: &[&str]) -> Ran {
    Oh::new(backend).unwrap().args(arguments.iter().copied()).run().unwrap()
}

fn run(backend: &str, command: &[&str]) -> Ran {
    oh(backend, &[&["run", "--image", IMAGE, "--"], command].concat())
}

fn names(backend: &str, run_id: &str) -> Vec<String> {
    oh(backend, &["ls", "-q", "--run-id", run_id]).stdout.lines().map(str::to_owned).collect()
}

#[test]
fn run_has_the_commands_output_and_code() {
    for backend in environment::backends() {
        let ran = run(&backend, &["sh", "-c", "echo out; echo err >&2; exit 3"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), "out\n"), "{backend}: {ran:?}");
        // Behind what `oh` itself says, such as that local isolates nothing.
        assert!(ran.stderr.ends_with("err\n"), "{backend}: {ran:?}");
        assert_eq!(run(&backend, &["true"]).code, Some(0), "{backend}");
        assert_eq!(run(&backend, &["sh", "-c", "kill -9 $$"]).code, Some(137), "{backend}");
        assert_eq!(run(&backend, &["no-such-program"]).code, Some(127), "{backend}");
        assert_eq!(run(&backend, &["/etc/passwd"]).code, Some(126), "{backend}");
        let timed = oh(
            &backend,
            &["run", "--image", IMAGE, "--timeout", "1s", "--", "sh", "-c", "echo part; sleep 60"],
        );
        assert_eq!((timed.code, timed.stdout.as_str()), (Some(124), "part\n"), "{backend}: {timed:?}");
        let env = oh(
            &backend,
            &["run", "--image", IMAGE, "--env", "GREETING=hi you", "--", "sh", "-c", "echo $GREETING"],
        );
        assert_eq!(env.stdout, "hi you\n", "{backend}: {env:?}");
    }
}

#[test]
fn run_passes_standard_input_on() {
    for backend in environment::backends() {
        let ran = Oh::new(&backend).unwrap().args(["run", "-i", "--image", IMAGE, "--", "sha256sum"]);
        let ran = ran.stdin(vec![b'x'; 1_000_000]).run().unwrap();
        let sum = oh_e2e::data::sha256(&vec![b'x'; 1_000_000]);
        assert_eq!(ran.stdout.split(' ').next(), Some(sum.as_str()), "{backend}: {ran:?}");
    }
}

#[test]
fn a_dry_run_shows_and_makes_nothing() {
    for backend in environment::backends() {
        let run_id = run_id("dry");
        let ran = oh(&backend, &["run", "--dry-run", "--run-id", &run_id, "--image", IMAGE, "--", "true"]);
        assert_eq!(ran.code, Some(0), "{backend}: {ran:?}");
        let shown: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert!(shown.to_string().contains(IMAGE), "{backend}: {shown}");
        assert_eq!(names(&backend, &run_id), [""; 0], "{backend}");
    }
}

#[test]
fn a_kept_sandbox_is_listed_used_and_removed() {
    for backend in environment::backends() {
        let folder = tempfile::tempdir().unwrap();
        let run_id = run_id("keep");
        let name = format!("{run_id}-box");
        let kept = oh(
            &backend,
            &[
                "run",
                "--keep",
                "--name",
                &name,
                "--run-id",
                &run_id,
                "--image",
                IMAGE,
                "--",
                "sh",
                "-c",
                "echo 1 > /tmp/one",
            ],
        );
        assert_eq!(kept.code, Some(0), "{backend}: {kept:?}");
        assert_eq!(names(&backend, &run_id), [name.as_str()], "{backend}");
        assert_eq!(oh(&backend, &["exec", &name, "--", "cat", "/tmp/one"]).stdout, "1\n", "{backend}");

        let tree = folder.path().join("tree");
        std::fs::create_dir_all(tree.join("sub")).unwrap();
        std::fs::write(tree.join("sub/file"), "content").unwrap();
        std::os::unix::fs::symlink("sub/file", tree.join("link")).unwrap();
        let there = format!("{name}:/tmp/tree");
        assert_eq!(oh(&backend, &["cp", tree.to_str().unwrap(), &there]).code, Some(0), "{backend}");
        assert_eq!(
            oh(&backend, &["exec", &name, "--", "cat", "/tmp/tree/link"]).stdout,
            "content",
            "{backend}"
        );
        let back = folder.path().join("back");
        assert_eq!(oh(&backend, &["cp", &there, back.to_str().unwrap()]).code, Some(0), "{backend}");
        assert_eq!(std::fs::read_to_string(back.join("sub/file")).unwrap(), "content", "{backend}");
        assert_eq!(std::fs::read_link(back.join("link")).unwrap().to_str(), Some("sub/file"), "{backend}");
        let piped = oh(&backend, &["cp", &format!("{name}:/tmp/one"), "-"]);
        assert_eq!(piped.stdout, "1\n", "{backend}: {piped:?}");
        let missing = oh(&backend, &["cp", &format!("{name}:/nope"), "-"]);
        assert_eq!(missing.code, Some(9), "{backend}: {missing:?}");
        assert!(missing.stderr.contains("/nope"), "{backend}: {missing:?}");

        // The agent writes it soon, not at once.
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut log = oh(&backend, &["logs", &name]);
        while !log.stdout.contains("command 1") && Instant::now() < deadline {
            log = oh(&backend, &["logs", &name]);
        }
        assert!(log.stdout.contains("command 1"), "{backend}: {log:?}");
        let listed: Value = serde_json::from_str(&oh(&backend, &["--output", "json", "ls"]).stdout).unwrap();
        assert!(listed.to_string().contains(&name), "{backend}: {listed}");

        let removed = oh(&backend, &["rm", &name]);
        assert_eq!((removed.code, removed.stdout.trim()), (Some(0), name.as_str()), "{backend}: {removed:?}");
        assert_eq!(oh(&backend, &["rm", &name]).code, Some(5), "{backend}");
        assert_eq!(oh(&backend, &["exec", &name, "--", "true"]).code, Some(125), "{backend}");
    }
}

/// Ctrl-C ends the command and removes the sandbox.
#[test]
fn an_interrupted_run_leaves_nothing() {
    for backend in environment::backends() {
        let run_id = run_id("int");
        let arguments =
            ["run", "--run-id", &run_id, "--image", IMAGE, "--", "sh", "-c", "echo up; sleep 120"];
        let running = Oh::new(&backend).unwrap().args(arguments).start().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while names(&backend, &run_id).is_empty() {
            assert!(Instant::now() < deadline, "{backend}: the sandbox never appeared");
            std::thread::sleep(Duration::from_millis(100));
        }
        let kill = Command::new("kill").args(["-INT", &running.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let ran = running.finish().unwrap();
        assert_eq!(ran.code, Some(130), "{backend}: {ran:?}");
        assert_eq!(names(&backend, &run_id), [""; 0], "{backend}");
    }
}

#[test]
fn json_output_has_the_end_and_errors_have_kinds() {
    for backend in environment::backends() {
        let ran =
            oh(&backend, &["--output", "json", "run", "--image", IMAGE, "--", "sh", "-c", "echo hi; exit 4"]);
        let document: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
        assert_eq!(document["end"], serde_json::json!({"kind": "exited", "code": 4}), "{backend}");
        assert_eq!(document["stdout"], "hi\n", "{backend}");
        let failed = oh(&backend, &["--output", "json", "run", "--image", "not an image", "--", "true"]);
        assert_eq!(failed.code, Some(125), "{backend}: {failed:?}");
        let last = failed.stderr.lines().last().unwrap_or_default();
        let error: Value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {failed:?}"));
        assert_eq!(error["error"]["kind"], "image_invalid", "{backend}: {error}");
    }
}
