//! What the configuration decides about sandboxes, through the real `oh`, on every backend.

#![expect(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]

use oh_e2e::environment;
use oh_e2e::oh::{Oh, Ran, run_id};

const IMAGE: &str = "oh-test:1";

fn oh(backend: &str, arguments: &[&str]) -> Ran {
    Oh::new(backend).unwrap().args(arguments.iter().copied()).run().unwrap()
}

#[test]
fn a_policy_says_which_sandboxes_stay() {
    for backend in environment::backends() {
        for (policy, code, stays) in
            [("always", 3, false), ("on_success", 0, false), ("on_success", 3, true), ("never", 0, true)]
        {
            let run_id = run_id("cleanup");
            let set = format!("sandbox.cleanup={policy}");
            let command = format!("exit {code}");
            let arguments =
                ["--set", &set, "run", "--run-id", &run_id, "--image", IMAGE, "--", "sh", "-c", &command];
            let ran = oh(&backend, &arguments);
            assert_eq!(ran.code, Some(code), "{backend} {policy}: {ran:?}");
            let left = oh(&backend, &["ls", "-q", "--run-id", &run_id]).stdout.lines().count();
            assert_eq!(left, usize::from(stays), "{backend} {policy} {code}");
            if stays {
                assert_eq!(oh(&backend, &["rm", "--run-id", &run_id]).code, Some(0), "{backend} {policy}");
            }
        }
    }
}

/// The folder is one that every machine has: on Kubernetes it is the node's.
#[test]
fn a_source_tree_is_read_only_and_where_python_looks_first() {
    for backend in environment::backends() {
        let script = "test -d /app/openhands/doc && ! touch /app/openhands/x 2>/dev/null && echo $PYTHONPATH";
        let arguments = ["--set", "source.mount=true", "--set", "source.path=/usr/share", "run"];
        let rest = ["--image", IMAGE, "--env", "A=1", "--", "sh", "-c", script];
        let ran = oh(&backend, &[&arguments[..], &rest[..]].concat());
        assert_eq!((ran.code, &*ran.stdout), (Some(0), "/app/openhands\n"), "{backend}: {ran:?}");
    }
}

#[test]
fn a_node_without_the_tree_says_so() {
    for backend in environment::backends() {
        let arguments = ["--set", "source.mount=true", "--set", "source.path=/there/is/none", "--set"];
        let rest = ["sandbox.start_timeout=60s", "run", "--image", IMAGE, "--", "true"];
        let ran = oh(&backend, &[&arguments[..], &rest[..]].concat());
        assert_eq!(ran.code, Some(125), "{backend}: {ran:?}");
        assert!(ran.stderr.contains("/there/is/none"), "{backend}: {ran:?}");
    }
}
