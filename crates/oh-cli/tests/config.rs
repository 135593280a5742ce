//! `oh config` as a new user meets it, mistakes included. Every command and what it says is in `config.snap`: the test
//! writes it when it is out of date, and fails, so that the change is looked at.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// A machine with nothing but a home and a project, and what was done on it.
struct Session {
    root: tempfile::TempDir,
    page: String,
}

impl Session {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["home", "project/src"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        Self { root, page: String::new() }
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.root.path().join(path)
    }

    /// Writes a file of the project.
    fn write(&mut self, path: &str, text: &str) {
        std::fs::write(self.path("project").join(path), text).unwrap();
        let _ = write!(self.page, "$ cat {path}\n{text}\n\n");
    }

    /// Runs `oh`, with `NAME=VALUE` before it as variables. A JSON document has to be one.
    fn run(&mut self, line: &str) {
        let (variables, args) = line.split_once("oh ").unwrap();
        let mut oh = Command::new(env!("CARGO_BIN_EXE_oh"));
        oh.args(args.split(' ')).env_clear().current_dir(self.path("project/src"));
        oh.env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("OH_OWNER", "ada@laptop");
        oh.envs(variables.split_whitespace().map(|variable| variable.split_once('=').unwrap()));
        let output = oh.output().unwrap();
        let root = self.root.path().to_str().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(root, "ROOT");
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        if args.contains("--output json") || args.ends_with("schema") {
            serde_json::from_str::<serde_json::Value>(&stdout).unwrap();
        }
        let code = output.status.code().unwrap();
        let _ = write!(self.page, "$ {line}\n{stdout}{stderr}[exit code {code}]\n\n");
        assert!(!self.page.contains("s3cret,"), "{}", self.page);
    }
}

#[test]
fn the_first_hour_is_as_the_snapshot_says() {
    let mut session = Session::new();
    session.run("oh config check");
    session.run("oh config init gke");
    session.run("oh config init kind --file ../oh.toml");
    session.run("oh config init kind --file ../oh.toml");
    session.run("oh config check ../oh.toml");
    session.run("oh config check");
    session.run("oh config explain k8s.namespace");
    session.run("OH_K8S_NAMESPACE=mine oh config explain OH_K8S_NAMESPACE --set k8s.namespace=other");
    session.run("oh config explain namespace");
    session.run("oh config explain k8s");
    session.run("oh config explain k8s.context --output json");

    session.write(
        "oh.toml",
        "runtime = \"kuberntes\"\n\n[k8s]\nnamespce = \"sandboxes\"\nnode_selector = { pool = \"a b\" }\n\n[resources]\n\
         memory = \"4GB\"\n\n[sandbox]\nttl = 90\n\n[profile.ack.k8s]\ncontext = \"ack\"\nnamespace = \"Ack\"",
    );
    session.run("oh config check ../oh.toml");
    session.run("oh config check ../oh.toml --output json");
    session.run("oh config explain resources.memory");
    session.run("oh config explain k8s.namespace");
    session.run("oh config show");
    session.run("oh ls");
    session.run("oh config check none.toml");

    session.write(
        "oh.toml",
        "runtime = \"kubernetes\"\n\n[k8s]\nnamespace = \"sandboxes\"\n\n[sandbox]\nenv = { TOKEN = \"s3cret\" }\n\n\
         [profile.ack.k8s]\ncontext = \"ack\"",
    );
    session.run("oh config check ../oh.toml");
    session.run("OH_PROFILE=akc oh config check");
    session.run("OH_RESOURCES_CPU=500m OH_K8S_NAMESPCE=x oh config show --profile ack");
    session.run("oh config explain sandbox.env --output json");
    std::fs::remove_file(session.path("project/oh.toml")).unwrap();

    session.write(
        "theirs.toml",
        "[core]\nruntime = \"kubernetes\"\nworkspace_base = \"./workspace\"\n\n[sandbox]\ntimeout = 120\nclose_delay = \
         600\n\n[kubernetes]\nnamespace = \"sandboxes\"\nprivileged = true\nimage_pull_secret = \"acr\"",
    );
    session.run("oh config check ../theirs.toml");
    session.run("oh config explain k8s.image_pull_secrets --config ../theirs.toml");

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config.snap");
    if std::fs::read_to_string(&path).unwrap_or_default() != session.page {
        std::fs::write(&path, &session.page).unwrap();
        panic!("config.snap was out of date and is written anew: look at the change and commit it");
    }
}

#[test]
fn what_is_long_is_printed_whole() {
    let mut session = Session::new();
    session.run("oh config schema");
    assert!(session.page.contains("\"$schema\": \"https://json-schema.org/draft/2020-12/schema\""));
    session.run("oh config show --output json");
    assert!(session.page.contains("\"sandbox.ttl\": {"));
    session.run("oh config init eks --file -");
    assert!(session.page.contains("karpenter.sh/do-not-disrupt"));
    for shell in ["bash", "zsh", "fish"] {
        session.run(&format!("oh completions {shell}"));
    }
    assert!(!session.path("project/src/oh.toml").exists());
}
