//! `true`, over and over.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use oh_runtime::{CommandSpec, End, Sandbox, SandboxExt};

use crate::Outcome;
use crate::peer::{self, Bed};
use crate::result::{Table, Times};

/// The least that is possible: a shell that is there already forks once for each line it reads.
const FLOOR: &str = "while read -r line; do /bin/true; echo; done";

pub(crate) async fn measure(bed: &Bed, sandbox: &dyn Sandbox, runs: usize, table: &mut Table) -> Outcome {
    let engine = bed.engine;
    let [mut warm, mut cold, mut tool, mut kube, mut floor] = std::array::from_fn(|_| Times::default());
    let mut bare = Bare::start(bed)?;
    // In turn, so that whatever else the machine does falls on all of them.
    for _ in 0..runs {
        warm.add(ours(sandbox).await?);
        cold.add(peer::time(peer::oh(engine)?.args(["exec", &bed.name, "--", "true"]))?);
        tool.add(peer::time(&mut bed.exec(false, &["true"]))?);
        if let Some(time) = bed.kube_exec().await {
            kube.add(time?);
        }
        floor.add(bare.round()?);
    }
    bare.end()?;
    for percent in [50, 99] {
        let mut peers = vec![(engine.exec(), tool.percentile(percent))];
        if engine == peer::Engine::K8s {
            peers.push(("kube-rs exec", kube.percentile(percent)));
        }
        table.times(engine.name(), &format!("exec_cold_p{percent}"), cold.percentile(percent), &peers[..1]);
        peers.push(("floor: sh forks", floor.percentile(percent)));
        table.times(engine.name(), &format!("exec_warm_p{percent}"), warm.percentile(percent), &peers);
    }
    Ok(())
}

async fn ours(sandbox: &dyn Sandbox) -> Outcome<Duration> {
    let started = Instant::now();
    let output = sandbox.run(CommandSpec::new(["true"])).await?;
    let took = started.elapsed();
    match output.finished.end {
        End::Exited(0) => Ok(took),
        end => Err(format!("true {end}").into()),
    }
}

/// A shell behind one open exec of the engine's tool.
struct Bare {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Bare {
    fn start(bed: &Bed) -> Outcome<Self> {
        let mut command = bed.exec(true, &["sh", "-c", FLOOR]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().ok_or("no input")?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut bare = Self { child, input, output };
        // The first answer is the connection's, too.
        bare.round()?;
        Ok(bare)
    }

    fn round(&mut self) -> Outcome<Duration> {
        let started = Instant::now();
        self.input.write_all(b"\n")?;
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("the shell of the floor ended".into());
        }
        Ok(started.elapsed())
    }

    fn end(mut self) -> Outcome {
        drop(self.input);
        self.child.wait()?;
        Ok(())
    }
}
