//! Files and a tree, into the sandbox and out of it.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncWriteExt, copy};

use crate::Outcome;
use crate::copied::{self, BYTES};
use crate::peer::{self, Bed, Engine};
use crate::table::{Row, Table, Times};

const ROUNDS: usize = 3;
const INSIDE: &str = "/testbed/bench-copy";
/// How much faster than `kubectl cp` copies in and out have to be.
const RANDOM: [f64; 2] = [0.9, 1.0];
const TEXT: [f64; 2] = [2.5, 2.5];
const TREE: [f64; 2] = [3.0, 3.0];
/// How fast they have to be beside the least that is possible on Docker.
const PIPE: f64 = 0.9;

/// What is copied.
struct Subject<'a> {
    name: &'static str,
    path: &'a Path,
    bytes: u64,
    targets: [f64; 2],
}

pub(crate) async fn measure(bed: &Bed, table: &mut Table) -> Outcome {
    let folder = tempfile::tempdir()?;
    let [random, text, tree] = ["random", "text", "tree"].map(|name| folder.path().join(name));
    copied::random(&random, BYTES)?;
    copied::text(&text)?;
    let tree_bytes = copied::tree(&tree)?;
    let subjects = [
        Subject { name: "random", path: &random, bytes: BYTES, targets: RANDOM },
        Subject { name: "text", path: &text, bytes: BYTES, targets: TEXT },
        Subject { name: "tree", path: &tree, bytes: tree_bytes, targets: TREE },
    ];
    for subject in &subjects {
        for into in [true, false] {
            compare(bed, subject, into, &folder.path().join("back"), table).await?;
        }
    }
    Ok(())
}

async fn compare(bed: &Bed, subject: &Subject<'_>, into: bool, back: &Path, table: &mut Table) -> Outcome {
    let engine = bed.engine;
    let [mut ours, mut tool, mut kube, mut cat] = std::array::from_fn(|_| Times::default());
    let here = if into { subject.path } else { back };
    let inside = format!("{}:{INSIDE}", bed.name);
    let name = here.to_str().ok_or("the folder's name is no UTF-8")?;
    let pair = if into { [name, &inside] } else { [&inside, name] };
    let single = subject.path.is_file();
    for _ in 0..ROUNDS {
        // What is there on the way out came in before.
        let mut oh = peer::oh(engine)?;
        ours.add(timed(bed, oh.arg("cp").args(pair), subject, into, back)?);
        tool.add(timed(bed, &mut bed.cp(name, INSIDE, into), subject, into, back)?);
        if single {
            cat.add(piped(bed, here, into)?);
        }
        if single && engine == Engine::K8s {
            kube.add(pipes(bed, name, into).await?);
        }
    }
    let metric = format!("copy_{}_{}_mb_per_s", subject.name, if into { "in" } else { "out" });
    let row = |peer, theirs: &Times| {
        let speed = |times: &Times| speed(subject.bytes, times.percentile(50));
        Row::new(engine.name(), metric.as_str(), speed(&ours), peer, speed(theirs))
    };
    let beside_tool = row(engine.cp(), &tool);
    table.add(match engine {
        Engine::K8s => beside_tool.at_least(subject.targets[usize::from(!into)]),
        Engine::Docker => beside_tool,
    });
    if single && engine == Engine::K8s {
        table.add(row("kube-rs exec", &kube));
    }
    if single {
        let beside_cat = row("cat in the tool's exec", &cat);
        table.add(if engine == Engine::Docker && subject.name == "random" {
            beside_cat.at_least(PIPE)
        } else {
            beside_cat
        });
    }
    Ok(())
}

/// Times a copy to where nothing is; what comes out has to be what went in.
fn timed(
    bed: &Bed,
    command: &mut Command,
    subject: &Subject<'_>,
    into: bool,
    back: &Path,
) -> Outcome<Duration> {
    if into {
        peer::time(&mut bed.exec(false, &["rm", "-rf", INSIDE]))?;
    } else if back.is_dir() {
        fs::remove_dir_all(back)?;
    } else if back.exists() {
        fs::remove_file(back)?;
    }
    let took = peer::time(command)?;
    if !into && !copied::same(subject.path, back)? {
        return Err(format!("{:?} changed {}", command.get_program(), subject.name).into());
    }
    Ok(took)
}

fn piped(bed: &Bed, here: &Path, into: bool) -> Outcome<Duration> {
    let script = if into { format!("cat > {INSIDE}") } else { format!("cat {INSIDE}") };
    let mut command = bed.exec(into, &["sh", "-c", &script]);
    if into {
        command.stdin(File::open(here)?).stdout(Stdio::null());
    } else {
        command.stdin(Stdio::null()).stdout(File::create(here)?);
    }
    let started = Instant::now();
    let status = command.status()?;
    let took = started.elapsed();
    if status.success() { Ok(took) } else { Err(format!("cat ended with {status}").into()) }
}

/// The same through the pipes of kube's own exec.
async fn pipes(bed: &Bed, here: &str, into: bool) -> Outcome<Duration> {
    // Without an end of input, which old servers cannot be told, it has to know when it has all.
    let script = if into { format!("head -c {BYTES} > {INSIDE}") } else { format!("cat {INSIDE}") };
    let started = Instant::now();
    let mut process = bed.kube_process(&["sh", "-c", &script], into).await?;
    if into {
        let mut input = process.stdin().ok_or("no input")?;
        copy(&mut tokio::fs::File::open(here).await?, &mut input).await?;
        input.flush().await?;
        process.take_status().ok_or("no status")?.await.ok_or("no status came")?;
    } else {
        let mut output = process.stdout().ok_or("no output")?;
        let copied = copy(&mut output, &mut tokio::fs::File::create(here).await?).await?;
        if copied != BYTES {
            return Err(format!("kube's exec copied {copied} bytes").into());
        }
    }
    let took = started.elapsed();
    process.abort();
    Ok(took)
}

/// In 10⁶ bytes a second.
#[expect(clippy::cast_precision_loss, reason = "a speed of three digits")]
fn speed(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64()
}
