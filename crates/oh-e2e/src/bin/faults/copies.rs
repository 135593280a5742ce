//! Files and trees that are copied both ways while the connection is cut again and again.

use std::path::Path;
use std::time::Duration;

use fastrand::Rng;
use oh_e2e::data::{noise, sha256};
use oh_e2e::failure::describe;
use oh_e2e::probe::script;
use oh_e2e::tree;
use oh_runtime::SandboxExt;
use tokio::time::{sleep, timeout};

use crate::Outcome;
use crate::bed::{Bed, PATIENCE};
use crate::command;
use crate::proxy::{Cut, Gate};
use crate::tally::Tally;

/// A file's size, at most.
const LARGEST: usize = 3 << 20;
/// Between two cuts this many bytes pass in either direction, at most.
const BETWEEN: usize = 512 << 10;
/// After a cut the session gets at least this long to come back: what is in the buffers of a long way when it breaks is
/// lost every time, and otherwise nothing large would ever arrive.
const RESPITE: Duration = Duration::from_millis(100);

/// Copies on all beds together, `wanted` of them or a few more.
pub(crate) async fn run(beds: &[Bed], wanted: usize, seed: u64, tally: &Tally) -> Outcome {
    // In and out are two copies.
    let rounds = wanted.div_ceil(2 * beds.len());
    let work = beds.iter().zip(seed..).map(async |(bed, seed)| {
        let mut rng = Rng::with_seed(seed);
        let mut cuts = Rng::with_seed(!seed);
        tokio::select! {
            never = harm(bed, &mut cuts, tally) => never,
            done = async {
                for round in 0..rounds {
                    let copied = match round % 2 {
                        0 => file(bed, &mut rng, tally).await,
                        _ => folder(bed, tally).await,
                    };
                    if let Err(error) = copied {
                        tally.complain(error, |counts| counts.losses += 1);
                    }
                }
                Ok(())
            } => done,
        }
    });
    let done = futures::future::try_join_all(work).await;
    for bed in beds {
        bed.proxy.up(Gate::Open);
        bed.proxy.down(Gate::Open);
    }
    done.map(drop)
}

async fn harm(bed: &Bed, rng: &mut Rng, tally: &Tally) -> Outcome {
    loop {
        let era = bed.proxy.state().era;
        let gate = Gate::Only(rng.usize(1..BETWEEN), Cut::random(rng));
        if rng.bool() {
            bed.proxy.up(gate)
        } else {
            bed.proxy.down(gate)
        }
        // The other direction may be the one in use.
        if timeout(Duration::from_secs(1), bed.proxy.until(|state| state.era > era)).await.is_ok() {
            tally.count(|counts| counts.cuts += 1);
            sleep(RESPITE).await;
        }
        bed.proxy.up(Gate::Open);
        bed.proxy.down(Gate::Open);
    }
}

async fn within<T>(what: &str, copy: impl Future<Output = oh_runtime::Result<T>>) -> Outcome<T> {
    match timeout(PATIENCE, copy).await {
        Ok(done) => done.map_err(|error| format!("{what}: {}", describe(&error)).into()),
        Err(_) => Err(format!("{what} took longer than {} s", PATIENCE.as_secs()).into()),
    }
}

/// In, looked at by somebody else, and out.
async fn file(bed: &Bed, rng: &mut Rng, tally: &Tally) -> Outcome {
    let path = command::folder().join("copied");
    let bytes = noise(rng.u64(..), rng.usize(..LARGEST));
    let wanted = sha256(&bytes);
    within("the file in", bed.sandbox.write(&path, bytes, 0o644)).await?;
    let sum = script(&*bed.direct, format!("sha256sum < {}", path.display())).await;
    let there = sum.map_err(|error| error.to_string())?;
    digest(there.starts_with(&wanted), "the file in", tally);
    let back = within("the file out", bed.sandbox.read(&path)).await?;
    digest(sha256(&back) == wanted, "the file out", tally);
    Ok(())
}

async fn folder(bed: &Bed, tally: &Tally) -> Outcome {
    let here = tempfile::tempdir()?;
    let (source, target) = (here.path().join("tree"), here.path().join("back"));
    tree::make(&source)?;
    let inside = command::folder().join("tree");
    script(&*bed.direct, format!("rm -rf {}", inside.display())).await.map_err(|error| error.to_string())?;
    within("the tree in", bed.sandbox.copy_to(&source, &inside, &|_| ())).await?;
    // What is compared is what comes out past the proxy.
    let past = here.path().join("past");
    within("the tree past the proxy", bed.direct.copy_from(&inside, &past, &|_| ())).await?;
    digest(same(&source, &past)?, "the tree in", tally);
    within("the tree out", bed.sandbox.copy_from(&inside, &target, &|_| ())).await?;
    digest(same(&source, &target)?, "the tree out", tally);
    Ok(())
}

fn same(one: &Path, other: &Path) -> Outcome<bool> {
    Ok(tree::differences(&tree::snapshot(one)?, &tree::snapshot(other)?).is_empty())
}

fn digest(right: bool, what: &str, tally: &Tally) {
    tally.count(|counts| counts.copies += 1);
    if !right {
        tally.complain(format!("{what} is another"), |counts| counts.wrong_digests += 1);
    }
}
