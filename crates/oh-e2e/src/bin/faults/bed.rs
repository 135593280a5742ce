//! One sandbox with a proxy of its own in front of it, and the commands that run there.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use oh_e2e::failure::describe;
use oh_runtime::{
    BoxRead, End, Finished, Process, RunId, Runtime, Sandbox, SandboxExt, SandboxName, SandboxSpec,
};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::Outcome;
use crate::command::{self, Command, LEDGER, Waits};
use crate::engine::Engine;
use crate::proxy::{Proxy, Upstream};
use crate::tally::Tally;

pub(crate) const IMAGE: &str = "oh-test:1";
/// A sandbox ends by itself after this long when the run was killed.
pub(crate) const TTL: Duration = Duration::from_secs(60 * 60);
/// Longer than a session tries to come back.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);

pub(crate) fn spec(runtime: &Runtime, run: &RunId, what: &str) -> SandboxSpec {
    let name = SandboxName::derive(run, what);
    SandboxSpec { run: Some(run.clone()), ttl: TTL, ..runtime.spec(name, IMAGE) }
}

/// An engine behind a proxy.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) proxy: Arc<Proxy>,
    runtime: Runtime,
}

impl Line {
    /// `folder` is for files.
    pub(crate) async fn open(engine: Engine, upstream: Upstream, folder: &Path, seed: u64) -> Outcome<Self> {
        let proxy = Proxy::start(upstream, seed).await?;
        let runtime = engine.behind(proxy.address(), folder).await?;
        Ok(Self { proxy: Arc::new(proxy), runtime })
    }
}

pub(crate) struct Bed {
    pub(crate) proxy: Arc<Proxy>,
    /// Through the proxy.
    pub(crate) sandbox: Arc<dyn Sandbox>,
    /// Past it.
    pub(crate) direct: Arc<dyn Sandbox>,
    /// The number of the next command.
    next: AtomicU64,
    /// What of the ledger was looked at before.
    checked: AtomicU64,
}

impl Bed {
    /// Makes a sandbox.
    pub(crate) async fn make(runtime: &Runtime, line: Line, run: &RunId, what: &str) -> Outcome<Self> {
        let direct = runtime.create(&spec(runtime, run, what)).await?;
        let sandbox = line.runtime.attach(&direct.incarnation().name).await?;
        Ok(Self { proxy: line.proxy, sandbox, direct, next: AtomicU64::new(1), checked: AtomicU64::new(1) })
    }

    /// A new one that ends by itself.
    pub(crate) fn command(&self, lines: usize) -> Command {
        Command { number: self.next.fetch_add(1, Ordering::Relaxed), lines, pauses: 0, waits: Waits::Never }
    }

    /// Starts a command of this bed.
    pub(crate) async fn start(&self, command: Command) -> Result<Running, String> {
        match timeout(PATIENCE, self.sandbox.start(command.spec())).await {
            Ok(Ok(process)) => Ok(Running::new(command, process)),
            Ok(Err(error)) => Err(describe(&error)),
            Err(_) => Err(late()),
        }
    }

    /// Starts ordinary commands that run beside what is tried.
    pub(crate) async fn companions(
        &self,
        count: usize,
        rng: &mut Rng,
    ) -> Vec<(Command, Result<Running, String>)> {
        let commands: Vec<Command> = (0..count).map(|_| self.command(rng.usize(1..300))).collect();
        let started = commands.into_iter().map(async |command| (command, self.start(command).await));
        futures::future::join_all(started).await
    }

    /// Runs some to see that the session is there.
    pub(crate) async fn warm_up(&self, tally: &Tally) {
        let command = self.command(1);
        judge(command, self.start(command).await, tally).await;
    }

    /// Compares all commands since the last time with what the ledger says.
    pub(crate) async fn audit(&self, tally: &Tally) -> Outcome {
        let ledger = self.direct.read(Path::new(LEDGER)).await?;
        let entries = command::entries(&ledger);
        let next = self.next.load(Ordering::Relaxed);
        for number in self.checked.swap(next, Ordering::Relaxed)..next {
            match entries.get(&number).copied().unwrap_or_default() {
                0 => tally.complain(format!("command {number} did not run"), |counts| counts.losses += 1),
                1 => {}
                times => tally.complain(format!("command {number} ran {times} times"), |counts| {
                    counts.duplicates += times - 1;
                }),
            }
        }
        if let Some((number, _)) = entries.iter().find(|(number, _)| !(1..next).contains(*number)) {
            tally.complain(format!("the ledger names {number}"), |counts| counts.losses += 1);
        }
        Ok(())
    }
}

fn late() -> String {
    format!("nothing came within {} s", PATIENCE.as_secs())
}

/// A command whose output is read as it comes.
pub(crate) struct Running {
    process: Process,
    outputs: [JoinHandle<io::Result<Vec<u8>>>; 2],
    expected: [Vec<u8>; 2],
    read: watch::Receiver<usize>,
}

impl Running {
    fn new(command: Command, mut process: Process) -> Self {
        let (sender, read) = watch::channel(0);
        let sender = Arc::new(sender);
        let outputs = [process.stdout.take(), process.stderr.take()]
            .map(|stream| tokio::spawn(collect(stream, Arc::clone(&sender))));
        Self { process, outputs, expected: command.expected(), read }
    }

    /// Bytes of output it has in all.
    pub(crate) fn total(&self) -> usize {
        self.expected.iter().map(Vec::len).sum()
    }

    /// Bytes of output that have come.
    pub(crate) fn read(&self) -> usize {
        *self.read.borrow()
    }

    /// Waits until so many bytes of output have come, or no more do.
    pub(crate) async fn until_read(&mut self, count: usize) {
        let _ = timeout(PATIENCE, self.read.wait_for(|read| *read >= count)).await;
    }

    /// Ends its input.
    pub(crate) fn release(&mut self) {
        self.process.stdin = None;
    }

    async fn end(mut self) -> Result<([Vec<u8>; 2], [Vec<u8>; 2], Finished), String> {
        self.release();
        let finished = self.process.wait().await.map_err(|error| describe(&error))?;
        let [stdout, stderr] = self.outputs;
        let output = async |output: JoinHandle<io::Result<Vec<u8>>>| {
            let bytes = output.await.map_err(|error| error.to_string())?;
            bytes.map_err(|error| error.to_string())
        };
        Ok((self.expected, [output(stdout).await?, output(stderr).await?], finished))
    }
}

async fn collect(stream: Option<BoxRead>, read: Arc<watch::Sender<usize>>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let Some(mut stream) = stream else { return Ok(bytes) };
    loop {
        let before = bytes.len();
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(bytes);
        }
        read.send_modify(|read| *read += bytes.len() - before);
    }
}

/// Waits for a command's end and compares all that came of it.
pub(crate) async fn judge(command: Command, running: Result<Running, String>, tally: &Tally) {
    tally.count(|counts| counts.commands += 1);
    let number = command.number;
    let ended = match running {
        Ok(running) => timeout(PATIENCE, running.end()).await.unwrap_or_else(|_| Err(late())),
        Err(error) => Err(error),
    };
    let (expected, got, finished) = match ended {
        Ok(ended) => ended,
        Err(error) => {
            return tally.complain(format!("command {number}: {error}"), |counts| counts.losses += 1);
        }
    };
    for (expected, got) in expected.iter().zip(&got) {
        let what = || format!("command {number} printed {} bytes, not its {}", got.len(), expected.len());
        if got.len() > expected.len() {
            tally.complain(what(), |counts| counts.duplicates += 1);
        } else if got != expected {
            tally.complain(what(), |counts| counts.losses += 1);
        }
    }
    if finished.end != End::Exited(command.code()) {
        let what = format!("command {number} {}, not with code {}", finished.end, command.code());
        tally.complain(what, |counts| counts.wrong_codes += 1);
    }
}
