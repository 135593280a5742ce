//! Cuts, stalls and restarts while commands run and files are copied: nothing is lost, nothing happens twice.
//! `cargo xtask faults` brings up what it needs; `docs/faults.md` says what is proven.

mod bed;
mod command;
mod copies;
mod engine;
mod leaks;
mod phases;
mod plan;
mod proxy;
mod report;
mod scenarios;
mod tally;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use oh_runtime::{RunId, Runtime, Selector};

use bed::{Bed, Line};
use engine::Engine;
use phases::Phase;
use plan::{Plan, Scenarios};
use report::Report;
use scenarios::{InFlight, Seen, cluster, disturbed, live_restore::Dockerd};
use tally::Tally;

const USAGE: &str = "usage: faults full|short|control SEED JSON-FILE|- BACKEND…";
/// Sandboxes at once, each behind a proxy of its own.
const BEDS: usize = 4;
/// Sandboxes that are made or removed at once.
const AT_ONCE: usize = 8;
/// Commands of each kind in each sandbox when a server is restarted.
const IN_FLIGHT: InFlight = InFlight { printing: 3, waiting: 3 };
/// The same where there are many sandboxes, most of which wait for their agents' models most of the time.
const IN_FLIGHT_OF_MANY: InFlight = InFlight { printing: 0, waiting: 1 };
/// Many sandboxes that lost their streams together have to answer this soon after the server is there again.
const ALL_BACK: Duration = Duration::from_secs(30);

/// What cannot be tried, and why.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [plan, seed, json, backends @ ..] = arguments.as_slice() else { return fail(USAGE) };
    let (Some(plan), Ok(seed)) = (Plan::named(plan), seed.parse()) else { return fail(USAGE) };
    let engines: Option<Vec<Engine>> = backends.iter().map(|name| Engine::named(name)).collect();
    let Some(engines) = engines.filter(|engines| !engines.is_empty()) else { return fail(USAGE) };
    let mut report = Report::new(seed, plan.commands);
    for engine in &engines {
        // What was found before is worth having.
        if let Err(error) = cut(*engine, &plan, engines.len(), seed, &mut report).await {
            report.broken(format!("{}: {error}", engine.name()));
        }
        if plan.scenarios != Scenarios::None
            && let Err(error) = disturb(*engine, &plan, seed, &mut report).await
        {
            report.broken(format!("{}: {error}", engine.name()));
        }
    }
    println!("\n{report}");
    if json != "-"
        && let Err(error) = std::fs::write(json, format!("{:#}\n", report.json()))
    {
        return fail(&format!("failed to write {json}: {error}"));
    }
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}

/// A run's sandboxes on one engine.
struct Stand {
    engine: Engine,
    run: RunId,
    runtime: Runtime,
    folder: tempfile::TempDir,
    seed: u64,
}

impl Stand {
    async fn new(engine: Engine, what: &str, seed: u64, options: &[(&str, &str)]) -> Outcome<Self> {
        let run = RunId::new(format!("faults-{what}-{}", std::process::id()))?;
        let (runtime, folder) = (engine.runtime(options).await?, tempfile::tempdir()?);
        Ok(Self { engine, run, runtime, folder, seed })
    }

    async fn line(&self, seed: u64) -> Outcome<Line> {
        Line::open(self.engine, self.engine.upstream()?, self.folder.path(), seed).await
    }

    /// Sandboxes with a proxy each.
    async fn beds(&self, count: usize) -> Outcome<Vec<Bed>> {
        let mut lines = Vec::new();
        for seed in (self.seed..).take(count) {
            lines.push(self.line(seed).await?);
        }
        self.beds_on(lines).await
    }

    async fn beds_on(&self, lines: Vec<Line>) -> Outcome<Vec<Bed>> {
        let made = stream::iter(lines.into_iter().enumerate())
            .map(|(number, line)| async move {
                Bed::make(&self.runtime, line, &self.run, &format!("bed-{number}")).await
            })
            .buffered(AT_ONCE)
            .try_collect();
        made.await
    }

    async fn clean_up(&self) -> Outcome {
        let ours = Selector { run: Some(self.run.clone()), ..Selector::default() };
        let left = self.runtime.list(&ours).await?;
        let removed = stream::iter(&left).map(|info| self.runtime.remove(&info.incarnation));
        removed.buffer_unordered(AT_ONCE).try_for_each(async |_| Ok(())).await?;
        Ok(())
    }
}

/// Says what begins, and how long it took.
async fn step<T>(what: &str, work: impl Future<Output = T>) -> T {
    println!("    {what}");
    let started = Instant::now();
    let done = work.await;
    println!("      {:.1} s", started.elapsed().as_secs_f64());
    done
}

/// The phases and the copies.
async fn cut(engine: Engine, plan: &Plan, engines: usize, seed: u64, report: &mut Report) -> Outcome {
    let stand = Stand::new(engine, "cuts", seed, &[]).await?;
    let tried = async {
        let beds = step(&format!("{}: sandboxes", engine.name()), stand.beds(BEDS)).await?;
        let tally = Tally::default();
        for bed in &beds {
            bed.warm_up(&tally).await;
        }
        let before = leaks::before(&beds).await?;
        let wanted = plan.cuts.div_ceil(engines);
        for phase in Phase::ALL {
            let tally = Tally::default();
            let what = format!("{}: {wanted} cuts, {}", engine.name(), phase.name());
            let done = step(&what, phases::run(phase, &beds, wanted, seed, &tally)).await;
            report.phase(engine.name(), phase.name(), tally.counts(), wanted);
            done?;
        }
        if plan.copies > 0 {
            let (tally, wanted) = (Tally::default(), plan.copies.div_ceil(engines));
            let what = format!("{}: {wanted} copies", engine.name());
            let done = step(&what, copies::run(&beds, wanted, seed, &tally)).await;
            report.phase(engine.name(), "copies", tally.counts(), 1);
            done?;
        }
        if plan.leaks {
            let what = format!("{}: what is left", engine.name());
            report.leaks(step(&what, leaks::after(engine.name(), &beds, before)).await?);
        }
        Ok(())
    };
    let tried = tried.await;
    stand.clean_up().await?;
    tried
}

/// The scenarios.
async fn disturb(engine: Engine, plan: &Plan, seed: u64, report: &mut Report) -> Outcome {
    match engine {
        Engine::Docker if plan.scenarios == Scenarios::Short => Ok(()),
        Engine::Docker => {
            let folder = tempfile::tempdir()?;
            live_restore(folder.path(), seed, report).await
        }
        Engine::K8s => {
            if let Some(why) = cluster::untouchable().await {
                report.left_out(format!("k8s: restarts: {why}"));
                return Ok(());
            }
            restarts(plan, seed, report).await?;
            match plan.scenarios {
                Scenarios::All(count) => many(count, seed, report).await,
                _ => Ok(()),
            }
        }
    }
}

/// One harm to sandboxes with commands in flight.
async fn scenario(
    what: &str,
    beds: &[Bed],
    in_flight: InFlight,
    harm: impl Future<Output = Outcome>,
    report: &mut Report,
    engine: Engine,
) -> Outcome<Seen> {
    let tally = Tally::default();
    let seen = step(&format!("{}: {what}", engine.name()), disturbed(beds, in_flight, harm, &tally)).await;
    let figures = match &seen {
        Ok(seen) => seen.words(beds.len()),
        Err(error) => error.to_string(),
    };
    report.scenario(engine.name(), what, tally.counts(), figures);
    seen
}

async fn restarts(plan: &Plan, seed: u64, report: &mut Report) -> Outcome {
    let engine = Engine::K8s;
    let stand = Stand::new(engine, "restarts", seed, &[]).await?;
    let tried = async {
        let beds = stand.beds(BEDS).await?;
        scenario("API server killed", &beds, IN_FLIGHT, cluster::kill_api_server(), report, engine).await?;
        scenario("kubelet restarted", &beds, IN_FLIGHT, cluster::restart("kubelet"), report, engine).await?;
        if plan.scenarios != Scenarios::Short {
            let harm = cluster::restart("containerd");
            scenario("containerd restarted", &beds, IN_FLIGHT, harm, report, engine).await?;
        }
        Ok(())
    };
    let tried = tried.await;
    stand.clean_up().await?;
    tried
}

/// Sandboxes that lose their streams together, and share one client.
async fn many(count: usize, seed: u64, report: &mut Report) -> Outcome {
    let engine = Engine::K8s;
    let room = cluster::room().await?;
    if room < count + BEDS {
        return Err(format!("the node has room for {room} Pods: `cargo xtask cluster down` and `up`").into());
    }
    let options = [("resources.cpu", "0.001"), ("resources.memory", "32Mi")];
    let stand = Stand::new(engine, "many", seed, &options).await?;
    let tried = async {
        let line = stand.line(seed).await?;
        let what = format!("k8s: {count} sandboxes");
        let beds = step(&what, stand.beds_on(vec![line; count])).await?;
        let what = format!("API server killed under {count} sandboxes");
        let harm = cluster::kill_api_server();
        let seen = scenario(&what, &beds, IN_FLIGHT_OF_MANY, harm, report, engine).await?;
        if seen.back > ALL_BACK {
            report.broken(format!("{what}: they were not all back within {} s", ALL_BACK.as_secs()));
        }
        Ok(())
    };
    let tried = tried.await;
    step("k8s: removing them", stand.clean_up()).await?;
    tried
}

/// An engine of our own, restarted.
async fn live_restore(folder: &Path, seed: u64, report: &mut Report) -> Outcome {
    let mut dockerd = match Dockerd::start(folder).await {
        Ok(dockerd) => dockerd,
        Err(error) => {
            report.left_out(format!("docker: engine restarted: no second engine can be started: {error}"));
            return Ok(());
        }
    };
    let tried = async {
        dockerd.load(bed::IMAGE).await?;
        let host = format!("unix://{}", dockerd.socket().display());
        let options = [("docker.host", host.as_str()), ("docker.network", "none")];
        let stand = Stand::new(Engine::Docker, "restore", seed, &options).await?;
        let tried = async {
            let upstream = proxy::Upstream::Unix(dockerd.socket());
            let mut lines = Vec::new();
            for seed in (seed..).take(BEDS) {
                lines.push(Line::open(Engine::Docker, upstream.clone(), folder, seed).await?);
            }
            let beds = stand.beds_on(lines).await?;
            let what = "engine restarted with live-restore";
            scenario(what, &beds, IN_FLIGHT, dockerd.restart(), report, Engine::Docker).await.map(drop)
        };
        let tried = tried.await;
        stand.clean_up().await?;
        tried
    };
    let tried: Outcome = tried.await;
    dockerd.end().await?;
    tried
}
