//! A file of random bytes, into the sandbox and out of it.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncWriteExt, copy};

use crate::Outcome;
use crate::peer::{self, Bed, Engine};
use crate::table::{Row, Table, Times};

pub(crate) const BYTES: u64 = 256 << 20;
const ROUNDS: usize = 3;
const INSIDE: &str = "/testbed/bench-file";

pub(crate) async fn measure(bed: &Bed, table: &mut Table) -> Outcome {
    let folder = tempfile::tempdir()?;
    let (source, target) = (folder.path().join("in"), folder.path().join("out"));
    random(&source)?;
    let [source, target] = [&source, &target].map(|path| path.to_string_lossy().into_owned());
    let inside = format!("{}:{INSIDE}", bed.name);
    let engine = bed.engine;
    for into in [true, false] {
        let [mut ours, mut tool, mut kube, mut cat_time] = std::array::from_fn(|_| Times::default());
        for _ in 0..ROUNDS {
            let pair = if into { [&source, &inside] } else { [&inside, &target] };
            // The file is there for the way out: `cp` would ask otherwise.
            let mut oh = peer::oh(engine)?;
            ours.add(timed(oh.arg("cp").args(pair), &source, &target, into)?);
            let host = if into { &source } else { &target };
            tool.add(timed(&mut bed.cp(host, INSIDE, into), &source, &target, into)?);
            cat_time.add(cat(bed, host, into)?);
            if engine == Engine::K8s {
                kube.add(pipes(bed, host, into).await?);
            }
        }
        let mut peers = vec![(engine.cp(), tool)];
        if engine == Engine::K8s {
            peers.push(("kube-rs exec", kube));
        }
        peers.push(("cat in the tool's exec", cat_time));
        let metric = if into { "copy_in_mb_per_s" } else { "copy_out_mb_per_s" };
        for (peer, theirs) in peers {
            table.add(Row::new(engine.name(), metric, speed(&ours), peer, speed(&theirs)));
        }
    }
    Ok(())
}

/// Times a copy; one that comes out has to be the file that went in.
fn timed(command: &mut std::process::Command, source: &str, target: &str, into: bool) -> Outcome<Duration> {
    if !into && Path::new(target).exists() {
        std::fs::remove_file(target)?;
    }
    let took = peer::time(command)?;
    if !into && !same(source, target)? {
        return Err(format!("{:?} changed the file", command.get_program()).into());
    }
    Ok(took)
}

fn cat(bed: &Bed, host: &str, into: bool) -> Outcome<Duration> {
    let script = if into { format!("cat > {INSIDE}") } else { format!("cat {INSIDE}") };
    let mut command = bed.exec(into, &["sh", "-c", &script]);
    if into {
        command.stdin(File::open(host)?).stdout(Stdio::null());
    } else {
        command.stdin(Stdio::null()).stdout(File::create(host)?);
    }
    let started = Instant::now();
    let status = command.status()?;
    let took = started.elapsed();
    if status.success() { Ok(took) } else { Err(format!("cat ended with {status}").into()) }
}

/// The same through the pipes of kube's own exec.
async fn pipes(bed: &Bed, host: &str, into: bool) -> Outcome<Duration> {
    // Without an end of input, which old servers cannot be told, it has to know when it has all.
    let script = if into { format!("head -c {BYTES} > {INSIDE}") } else { format!("cat {INSIDE}") };
    let started = Instant::now();
    let mut process = bed.kube_process(&["sh", "-c", &script], into).await?;
    if into {
        let mut input = process.stdin().ok_or("no input")?;
        copy(&mut tokio::fs::File::open(host).await?, &mut input).await?;
        input.flush().await?;
        process.take_status().ok_or("no status")?.await.ok_or("no status came")?;
    } else {
        let mut output = process.stdout().ok_or("no output")?;
        let copied = copy(&mut output, &mut tokio::fs::File::create(host).await?).await?;
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
fn speed(times: &Times) -> f64 {
    BYTES as f64 / 1e6 / times.percentile(50).as_secs_f64()
}

pub(crate) fn random(path: &Path) -> Outcome {
    let mut source = File::open("/dev/urandom")?.take(BYTES);
    std::io::copy(&mut source, &mut File::create(path)?)?;
    Ok(())
}

fn same(one: &str, other: &str) -> Outcome<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let read = one.read(&mut a)?;
        if read == 0 {
            return Ok(true);
        }
        other.read_exact(&mut b[..read])?;
        if a[..read] != b[..read] {
            return Ok(false);
        }
    }
}
