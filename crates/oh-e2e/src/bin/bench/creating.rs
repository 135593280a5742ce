//! From nothing to the end of a first command.

use std::process::Command;
use std::time::{Duration, Instant};

use oh_runtime::{CommandSpec, Runtime, SandboxExt, SandboxSpec};

use crate::peer::{self, Engine};
use crate::table::{Row, Table, Times};
use crate::{IMAGE, Outcome, Specs};

const ROUNDS: usize = 5;

pub(crate) async fn measure(
    engine: Engine,
    runtime: &Runtime,
    spec: Specs<'_>,
    table: &mut Table,
) -> Outcome {
    let (mut ours, mut theirs) = (Times::default(), Times::default());
    for round in 0..ROUNDS {
        ours.add(our_way(runtime, &spec(&format!("create-{round}"))).await?);
        theirs.add(their_way(engine, &format!("bench-{}-{round}", std::process::id()))?);
    }
    let peer = match engine {
        Engine::Docker => "docker run, exec",
        Engine::K8s => "kubectl run, wait, exec",
    };
    let what = "create_to_first_command";
    table.add(Row::times(engine.name(), what, ours.percentile(50), peer, theirs.percentile(50)));
    Ok(())
}

async fn our_way(runtime: &Runtime, spec: &SandboxSpec) -> Outcome<Duration> {
    let started = Instant::now();
    let sandbox = runtime.create(spec).await?;
    let output = sandbox.run(CommandSpec::new(["true"])).await;
    let took = started.elapsed();
    sandbox.close().await?;
    output?;
    Ok(took)
}

fn their_way(engine: Engine, name: &str) -> Outcome<Duration> {
    let started = Instant::now();
    let done = match engine {
        Engine::Docker => {
            let run = ["run", "-d", "--name", name, IMAGE, "sleep", "600"];
            peer::time(Command::new("docker").args(run))
                .and_then(|_| peer::time(Command::new("docker").args(["exec", name, "true"])))
        }
        Engine::K8s => {
            let image = format!("--image={IMAGE}");
            let run = ["run", name, &image, "--restart=Never", "--command", "--", "sleep", "600"];
            let pod = format!("pod/{name}");
            let wait = ["wait", "--for=condition=Ready", &pod, "--timeout=120s"];
            peer::time(Command::new("kubectl").args(run))
                .and_then(|_| peer::time(Command::new("kubectl").args(wait)))
                .and_then(|_| peer::time(Command::new("kubectl").args(["exec", name, "--", "true"])))
        }
    };
    let took = started.elapsed();
    let removed = match engine {
        Engine::Docker => peer::time(Command::new("docker").args(["rm", "-f", name])),
        Engine::K8s => peer::time(Command::new("kubectl").args([
            "delete",
            "pod",
            name,
            "--grace-period=1",
            "--wait=false",
        ])),
    };
    done.and(removed)?;
    Ok(took)
}
