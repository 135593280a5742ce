//! What the client holds in memory while it copies.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::Outcome;
use crate::copied;
use crate::peer::{self, Bed};
use crate::table::{Row, Table};

const INSIDE: &str = "/testbed/bench-memory";
const SMALL: u64 = 1 << 20;
const LARGE: u64 = 2 << 30;
/// How often the client is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// What a file 2,048 times as large may cost: windows and buffers that a small one does not fill.
const FLAT: f64 = 2.0;

pub(crate) async fn measure(bed: &Bed, table: &mut Table) -> Outcome {
    let folder = tempfile::tempdir()?;
    let (source, target) = (folder.path().join("in"), folder.path().join("out"));
    let mut peaks = Vec::new();
    for size in [SMALL, LARGE] {
        copied::random(&source, size)?;
        let inside = format!("{}:{INSIDE}-{size}", bed.name);
        peaks.push([copy(bed, &source, &inside).await?, copy(bed, &inside, &target).await?]);
        if !copied::same(&source, &target)? {
            return Err("a copy changed its bytes".into());
        }
    }
    for (index, way) in ["in", "out"].into_iter().enumerate() {
        let row = Row::new(
            bed.engine.name(),
            format!("client_copy_{way}_2_gib_mb"),
            peaks[1][index],
            "1 MiB",
            peaks[0][index],
        );
        table.add(row.at_most(FLAT));
    }
    Ok(())
}

/// Copies with `oh cp`; returns the most memory it had resident, in 10⁶ bytes.
async fn copy(bed: &Bed, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Outcome<f64> {
    let mut command = peer::oh(bed.engine)?;
    command.arg("cp").args([from.as_ref(), to.as_ref()]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut peak = 0.0_f64;
    let status = loop {
        peak = peak.max(highest(&child).unwrap_or(0.0));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        tokio::time::sleep(LOOK).await;
    };
    if status.success() { Ok(peak) } else { Err(format!("oh cp ended with {status}").into()) }
}

/// The most a process has had resident so far; `None` once it ended.
fn highest(child: &Child) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0 / 1e6)
}
