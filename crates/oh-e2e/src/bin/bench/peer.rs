//! What users of the engines take otherwise, on the same sandbox.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess};

use crate::Outcome;

/// An engine, and its command line tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Docker,
    K8s,
}

impl Engine {
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Docker, Self::K8s].into_iter().find(|engine| engine.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::K8s => "k8s",
        }
    }

    /// The tool, and how its commands are called in a table.
    pub(crate) fn tool(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::K8s => "kubectl",
        }
    }

    pub(crate) fn exec(self) -> &'static str {
        match self {
            Self::Docker => "docker exec",
            Self::K8s => "kubectl exec",
        }
    }

    /// How [`Bed::bare_exec`] is called in a table.
    pub(crate) fn bare(self) -> &'static str {
        match self {
            Self::Docker => "docker exec",
            Self::K8s => "kube's exec",
        }
    }

    pub(crate) fn cp(self) -> &'static str {
        match self {
            Self::Docker => "docker cp",
            Self::K8s => "kubectl cp",
        }
    }

    /// Versions of both ends.
    pub(crate) fn version(self) -> Outcome<String> {
        match self {
            Self::Docker => {
                let format = "Docker engine {{.Server.Version}}, client {{.Client.Version}}";
                read(&["docker", "version", "--format", format])
            }
            Self::K8s => {
                let json: serde_json::Value =
                    serde_json::from_str(&read(&["kubectl", "version", "-o", "json"])?)?;
                let version = |key: &str| json[key]["gitVersion"].as_str().unwrap_or("unknown").to_owned();
                Ok(format!("Kubernetes {}, kubectl {}", version("serverVersion"), version("clientVersion")))
            }
        }
    }
}

/// A sandbox's container in its Pod.
pub(crate) const CONTAINER: &str = "sandbox";

/// One sandbox, and the ways into it.
pub(crate) struct Bed {
    pub(crate) engine: Engine,
    /// The sandbox's name: the Pod's, and what `oh` takes.
    pub(crate) name: String,
    /// What the tool calls it.
    pub(crate) target: String,
    pods: Option<Api<Pod>>,
}

impl Bed {
    pub(crate) async fn new(engine: Engine, name: String) -> Outcome<Self> {
        let (target, pods) = match engine {
            Engine::Docker => {
                let filter = format!("label=oh.sandbox={name}");
                (read(&["docker", "ps", "-q", "--filter", &filter])?, None)
            }
            Engine::K8s => {
                let client = kube::Client::try_default().await?;
                (name.clone(), Some(Api::default_namespaced(client)))
            }
        };
        Ok(Self { engine, name, target, pods })
    }

    /// The tool's command that runs `argv` in the sandbox; with `stdin` open, if so asked.
    pub(crate) fn exec(&self, stdin: bool, argv: &[&str]) -> Command {
        let mut command = Command::new(self.engine.tool());
        command.arg("exec");
        if stdin {
            command.arg("-i");
        }
        command.arg(&self.target);
        if self.engine == Engine::K8s {
            // Or it says which container it chose.
            command.args(["-c", CONTAINER, "--"]);
        }
        command.args(argv);
        command
    }

    /// The tool's command that copies between a file here and one in the sandbox.
    pub(crate) fn cp(&self, host: &str, inside: &str, into: bool) -> Command {
        let inside = format!("{}:{inside}", self.target);
        let mut command = Command::new(self.engine.tool());
        let (from, to) = if into { (host, inside.as_str()) } else { (inside.as_str(), host) };
        command.args(["cp", from, to]);
        command
    }

    /// The cluster's Pods, by kube.
    pub(crate) fn pods(&self) -> Outcome<&Api<Pod>> {
        Ok(self.pods.as_ref().ok_or("the engine is no Kubernetes cluster")?)
    }

    /// `argv` by the barest exec there is without writing one: of a container's client, or kube's own.
    pub(crate) async fn bare_exec(&self, argv: &[&str]) -> Outcome<Duration> {
        match self.engine {
            Engine::Docker => time(&mut self.exec(false, argv)),
            Engine::K8s => self.kube_exec(argv).await,
        }
    }

    /// `argv` by kube's own exec.
    pub(crate) async fn kube_exec(&self, argv: &[&str]) -> Outcome<Duration> {
        let started = Instant::now();
        let mut process = self.kube_process(argv, false).await?;
        let status = process.take_status().ok_or("no status")?.await.ok_or("no status came")?;
        process.join().await?;
        match status.status.as_deref() {
            Some("Success") => Ok(started.elapsed()),
            other => Err(format!("kube's exec ended with {other:?}").into()),
        }
    }

    /// `argv` by kube's own exec, for its pipes.
    pub(crate) async fn kube_process(&self, argv: &[&str], stdin: bool) -> Outcome<AttachedProcess> {
        let params = AttachParams::default().container(CONTAINER).stdin(stdin).stderr(false);
        Ok(self.pods()?.exec(&self.name, argv.iter().copied(), &params).await?)
    }
}

/// How long a command takes, which has to succeed. Nothing of it is shown.
pub(crate) fn time(command: &mut Command) -> Outcome<Duration> {
    let started = Instant::now();
    let done = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
    let took = started.elapsed();
    if done.status.success() {
        return Ok(took);
    }
    Err(failed(command.get_program(), &done))
}

/// What a command writes, without the end of line.
pub(crate) fn read(argv: &[&str]) -> Outcome<String> {
    let (program, rest) = argv.split_first().ok_or("no command")?;
    let done = Command::new(program).args(rest).stdin(Stdio::null()).output()?;
    if !done.status.success() {
        return Err(failed(OsStr::new(program), &done));
    }
    Ok(String::from_utf8(done.stdout)?.trim_end().to_owned())
}

fn failed(program: &OsStr, done: &std::process::Output) -> Box<dyn std::error::Error + Send + Sync> {
    let said = String::from_utf8_lossy(&done.stderr);
    format!("{} ended with {}: {}", program.display(), done.status, said.trim_end()).into()
}

/// The command `oh` of the same build.
pub(crate) fn oh(engine: Engine) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?.with_file_name("oh"));
    command.env("OH_RUNTIME", engine.name());
    Ok(command)
}
