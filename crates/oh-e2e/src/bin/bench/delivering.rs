//! From the start of a sandbox's container to the end of a first command, in images and under restrictions of all kinds.

use std::collections::HashMap;
use std::process::{Command as Tool, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher;
use oh_runtime::{CommandSpec, Restrictions, Runtime, Sandbox, SandboxExt, SandboxSpec, Selector, label};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::peer::{Bed, CONTAINER, Engine};
use crate::table::{Row, Table, Times};
use crate::{Outcome, Specs};

/// Sandboxes of each kind, and bare execs in each of them.
const ROUNDS: usize = 5;
/// How long a start may take to be seen.
const SEEN: Duration = Duration::from_secs(10);
const TARGET: f64 = 1.5;
/// A user no image knows.
const STRANGER: &str = "10001";

/// How the table calls an image, its name, and `true` in it.
const IMAGES: [(&str, &str, &[&str]); 3] = [
    ("debian", "oh-test:1", &["true"]),
    ("busybox", "oh-test-busybox:1", &["true"]),
    ("static", "oh-test-static:1", &["/bin/busybox", "true"]),
];

/// How the table calls it, whether as a stranger, and what else.
const RESTRICTIONS: [(&str, bool, Restrictions); 3] = [
    ("read_only_root", false, Restrictions { read_only_root: true, restricted: false }),
    ("uid_10001", true, Restrictions { read_only_root: false, restricted: false }),
    ("restricted", true, Restrictions { read_only_root: true, restricted: true }),
];

pub(crate) async fn measure(
    engine: Engine,
    runtime: &Runtime,
    spec: Specs<'_>,
    table: &mut Table,
) -> Outcome {
    let starts = Starts::watch(engine).await?;
    for (image_name, image, command) in IMAGES {
        for (restriction, stranger, restrictions) in RESTRICTIONS {
            let (mut ours, mut bare, mut delivery) = (Times::default(), Times::default(), String::new());
            for round in 0..ROUNDS {
                let id = format!("{image_name}-{}-{round}", restriction.replace('_', "-"));
                let spec = SandboxSpec {
                    image: image.to_owned(),
                    user: stranger.then(|| STRANGER.to_owned()),
                    restrictions,
                    ..spec(&id)
                };
                let sandbox = runtime.create(&spec).await?;
                let done = first_command(&*sandbox, command).await;
                let measured = async {
                    ours.add(done?.duration_since(starts.of(spec.name.as_str()).await?));
                    let bed = Bed::new(engine, spec.name.to_string()).await?;
                    bare.add(bed.bare_exec(command).await?);
                    let found = runtime.list(&Selector::name(spec.name.clone())).await?;
                    delivery = found
                        .first()
                        .and_then(|info| info.labels.get(label::DELIVERY))
                        .cloned()
                        .unwrap_or_default();
                    copies(&*sandbox).await
                };
                let measured = measured.await;
                sandbox.close().await?;
                measured?;
            }
            let what = format!("start_to_first_command_{image_name}_{restriction}_{delivery}");
            let row =
                Row::times(engine.name(), what, ours.percentile(50), engine.bare(), bare.percentile(50));
            table.add(row.at_most(TARGET));
        }
    }
    Ok(())
}

async fn first_command(sandbox: &dyn Sandbox, command: &[&str]) -> Outcome<Instant> {
    let output = sandbox.run(CommandSpec::new(command.iter().copied())).await?;
    let done = Instant::now();
    if output.finished.end.success() { Ok(done) } else { Err(format!("it {}", output.finished.end).into()) }
}

/// A file goes in and comes out again.
async fn copies(sandbox: &dyn Sandbox) -> Outcome {
    let (path, bytes) = (std::path::Path::new("/dev/shm/file"), vec![7; 1 << 20]);
    sandbox.write(path, bytes.clone(), 0o644).await?;
    if sandbox.read(path).await? == bytes { Ok(()) } else { Err("another file came back".into()) }
}

type Seen = Arc<Mutex<HashMap<String, Instant>>>;

/// When containers started, as whoever watches the engine sees it.
struct Starts {
    seen: Seen,
    watching: JoinHandle<()>,
}

impl Drop for Starts {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Starts {
    async fn watch(engine: Engine) -> Outcome<Self> {
        let seen = Seen::default();
        let watching = match engine {
            Engine::Docker => docker_events(Arc::clone(&seen))?,
            Engine::K8s => {
                let client = kube::Client::try_default().await?;
                tokio::spawn(pods(kube::Api::default_namespaced(client), Arc::clone(&seen)))
            }
        };
        Ok(Self { seen, watching })
    }

    /// When the sandbox's container was seen to start.
    async fn of(&self, sandbox: &str) -> Outcome<Instant> {
        let deadline = Instant::now() + SEEN;
        loop {
            if let Some(at) = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(sandbox) {
                return Ok(*at);
            }
            if Instant::now() > deadline {
                return Err(format!("the start of {sandbox} was not seen").into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn note(seen: &Seen, sandbox: String) {
    seen.lock().unwrap_or_else(PoisonError::into_inner).entry(sandbox).or_insert_with(Instant::now);
}

async fn pods(pods: kube::Api<Pod>, seen: Seen) {
    let config = watcher::Config::default().labels(label::SANDBOX);
    let mut events = std::pin::pin!(watcher::watcher(pods, config));
    while let Some(event) = events.next().await {
        if let Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) = event
            && runs(&pod)
        {
            note(&seen, pod.metadata.name.unwrap_or_default());
        }
    }
}

fn runs(pod: &Pod) -> bool {
    let all = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let mut ours = all.filter(|container| container.name == CONTAINER);
    ours.any(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()))
}

fn docker_events(seen: Seen) -> Outcome<JoinHandle<()>> {
    let mut tool = Tool::new("docker");
    tool.args(["events", "--filter", "type=container", "--filter", "event=start"]);
    tool.args(["--format", "{{index .Actor.Attributes \"oh.sandbox\"}}"]);
    let mut child =
        Command::from(tool).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let stdout = child.stdout.take().ok_or("no output of docker events")?;
    Ok(tokio::spawn(async move {
        let _child = child;
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(name)) = lines.next_line().await {
            note(&seen, name);
        }
    }))
}
