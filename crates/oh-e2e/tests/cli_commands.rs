//! Commands that outlive the `oh` that started them, and what one can ask for them.

#![expect(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]

use std::process::Command;
use std::time::{Duration, Instant};

use oh_e2e::environment;
use oh_e2e::oh::{Kept, Oh, Ran};
use serde_json::Value;

const IMAGE: &str = "oh-test:1";

fn oh(backend: &str, arguments: &[&str]) -> Ran {
    Oh::new(backend).unwrap().args(arguments.iter().copied()).run().unwrap()
}

/// What a test asks again and again.
trait Asked {
    fn ps(&self) -> Vec<Value>;
    fn command(&self, stdout_bytes: u64) -> String;
}

impl Asked for Kept {
    fn ps(&self) -> Vec<Value> {
        let listed = oh(&self.backend, &["--output", "json", "ps", &self.name]);
        let listed: Value =
            serde_json::from_str(&listed.stdout).unwrap_or_else(|e| panic!("{e}: {listed:?}"));
        listed["commands"].as_array().unwrap().clone()
    }

    /// The id of the only command, as soon as it has written so much.
    fn command(&self, stdout_bytes: u64) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let listed = self.ps();
            if let [command] = &listed[..]
                && command["stdout_bytes"].as_u64().unwrap() >= stdout_bytes
            {
                return command["id"].as_str().unwrap().to_owned();
            }
            assert!(Instant::now() < deadline, "{}: {listed:?}", self.backend);
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn a_killed_exec_loses_nothing() {
    for backend in environment::backends() {
        let kept = Kept::new(&backend, "killed", IMAGE).unwrap();
        let script = "echo begun; sleep 2; seq 1 1000; exit 7";
        let running = ["exec", &kept.name, "--", "sh", "-c", script];
        let running = Oh::new(&backend).unwrap().args(running).start().unwrap();
        let id = kept.command(6);
        let kill = Command::new("kill").args(["-KILL", &running.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        running.finish().unwrap();

        let attached = kept.exec(&["--attach", &id]).unwrap();
        let numbers: String = (1..=1000).map(|number| format!("{number}\n")).collect();
        assert_eq!(attached.stdout, format!("begun\n{numbers}"), "{backend}: {attached:?}");
        assert_eq!(attached.code, Some(7), "{backend}: {attached:?}");
        assert_eq!(kept.ps(), [Value::Null; 0], "{backend}: its end was fetched");
        let again = kept.exec(&["--attach", &id]).unwrap();
        assert_eq!(again.code, Some(125), "{backend}: {again:?}");
        assert!(again.stderr.contains("oh ps"), "{backend}: {again:?}");
    }
}

#[test]
fn a_detached_command_is_listed_followed_and_ended() {
    for backend in environment::backends() {
        let kept = Kept::new(&backend, "detach", IMAGE).unwrap();
        let script = "trap 'echo heard; exit 6' USR1; echo up; while :; do sleep 0.1; done";
        let started = kept.exec(&["--detach", "--", "sh", "-c", script]).unwrap();
        assert_eq!(started.code, Some(0), "{backend}: {started:?}");
        let id = started.stdout.trim();
        assert_eq!(kept.command(3), id, "{backend}");
        let shown = oh(&backend, &["ps", &kept.name]);
        assert!(shown.stdout.contains("running") && shown.stdout.contains(id), "{backend}: {shown:?}");

        let signal = oh(&backend, &["kill", &kept.name, id, "--signal", "USR1"]);
        assert_eq!(signal.code, Some(0), "{backend}: {signal:?}");
        let attached = kept.exec(&["--attach", id, "--stdout-from", "3"]).unwrap();
        assert_eq!(
            (attached.code, attached.stdout.as_str()),
            (Some(6), "heard\n"),
            "{backend}: {attached:?}"
        );

        let second = kept.exec(&["-d", "--", "sleep", "600"]).unwrap();
        let killed = oh(&backend, &["kill", &kept.name, second.stdout.trim()]);
        assert_eq!(killed.code, Some(0), "{backend}: {killed:?}");
        let ended = &kept.ps()[0];
        assert_eq!(ended["end"]["kind"], "cancelled", "{backend}: {ended}");
        let missing = oh(&backend, &["kill", &kept.name, "00000000-1"]);
        assert_eq!(missing.code, Some(8), "{backend}: {missing:?}");
    }
}

#[test]
fn users_masks_limits_and_terminals_are_options() {
    for backend in environment::backends() {
        let kept = Kept::new(&backend, "options", IMAGE).unwrap();
        let script = "id -un; umask; ulimit -n";
        let options = ["--user", "nobody", "--umask", "077", "--ulimit", "nofile=99:199"];
        let ran = kept.exec(&[&options[..], &["--", "sh", "-c", script]].concat()).unwrap();
        assert_eq!(ran.stdout, "nobody\n0077\n99\n", "{backend}: {ran:?}");
        let unknown = kept.exec(&["--user", "nobody-at-all", "--", "true"]).unwrap();
        assert_eq!(unknown.code, Some(125), "{backend}: {unknown:?}");
        assert!(unknown.stderr.contains("nobody-at-all"), "{backend}: {unknown:?}");
        let terminal = kept.exec(&["--tty", "--", "sh", "-c", "test -t 1 && stty size"]).unwrap();
        assert_eq!(terminal.stdout, "24 80\r\n", "{backend}: {terminal:?}");
        let json = oh(&backend, &["--output", "json", "exec", &kept.name, "--", "true"]);
        let document: Value = serde_json::from_str(&json.stdout).unwrap();
        assert!(document["usage"]["max_rss_bytes"].as_u64().unwrap() > 0, "{backend}: {document}");
    }
}
