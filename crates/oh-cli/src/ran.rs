//! One command of `oh run`, `oh exec` or `oh shell`, from its start to its report.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use oh_runtime::{CommandId, CommandSpec, End, Finished, Incarnation, Process, Sandbox};
use serde_json::json;
use tokio::io::AsyncWrite;

use crate::exit_code;
use crate::failure::{Cause, Failure, Result, end_json};
use crate::output::{Ui, bytes_json, elapsed};
use crate::relay::relay;
use crate::signals::{Interrupt, Signal};
use crate::terminal::Terminal;

/// Most bytes of one stream a JSON document holds.
const CAPTURE_LIMIT: usize = 16 << 20;

/// A command that ended.
#[derive(Debug)]
pub(crate) struct Ran {
    sandbox: Incarnation,
    id: CommandId,
    finished: Finished,
    interrupted: Option<Signal>,
    stdout: Capture,
    stderr: Capture,
}

impl Ran {
    /// Runs it with its streams joined to ours, or with its output kept when results are JSON.
    pub(crate) async fn run(
        sandbox: &dyn Sandbox,
        spec: CommandSpec,
        ui: Ui,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let (grace, keys, size) = (spec.grace, spec.stdin, spec.terminal);
        let process = sandbox.start(spec).await?;
        let terminal = size.map(|size| Terminal::lend(keys, size)).transpose();
        let terminal =
            terminal.map_err(|error| Failure::new(Cause::Local, "use the terminal", error.to_string()))?;
        Self::join(sandbox, process, grace, terminal, ui, interrupt).await
    }

    /// The same with a command that runs already.
    pub(crate) async fn follow(
        sandbox: &dyn Sandbox,
        process: Process,
        grace: Duration,
        ui: Ui,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        Self::join(sandbox, process, grace, None, ui, interrupt).await
    }

    async fn join(
        sandbox: &dyn Sandbox,
        process: Process,
        grace: Duration,
        terminal: Option<Terminal>,
        ui: Ui,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let id = process.id;
        let (mut stdout, mut stderr) = (Capture::default(), Capture::default());
        let stdin = tokio::io::stdin();
        let finished = if ui.json() {
            relay(process, grace, terminal, stdin, &mut stdout, &mut stderr, interrupt).await?
        } else {
            relay(process, grace, terminal, stdin, tokio::io::stdout(), tokio::io::stderr(), interrupt)
                .await?
        };
        let sandbox = sandbox.incarnation().clone();
        Ok(Self { sandbox, id, finished, interrupted: interrupt.signal(), stdout, stderr })
    }

    /// Whether it exited with code 0, without being interrupted.
    pub(crate) fn succeeded(&self) -> bool {
        self.interrupted.is_none() && self.finished.end.success()
    }

    /// Says what is not in the output itself, and which exit code it is.
    pub(crate) fn report(&self, ui: Ui) -> Result<u8> {
        let Finished { end, wall, leaked, usage } = &self.finished;
        let code = exit_code::of_end(*end, self.interrupted);
        if ui.json() {
            ui.document(&json!({
                "name": self.sandbox.name.as_str(),
                "id": self.sandbox.uid,
                "command": self.id.to_string(),
                "end": end_json(*end),
                "exit_code": code,
                "wall_seconds": wall.as_secs_f64(),
                "stdout": bytes_json(&self.stdout.bytes),
                "stdout_dropped": self.stdout.dropped,
                "stderr": bytes_json(&self.stderr.bytes),
                "stderr_dropped": self.stderr.dropped,
                "leaked": leaked,
                "usage": {
                    "user_seconds": usage.user.map(|time| time.as_secs_f64()),
                    "system_seconds": usage.system.map(|time| time.as_secs_f64()),
                    "max_rss_bytes": usage.max_rss,
                    "oom_killed": usage.oom,
                    "throttled_seconds": usage.throttled.map(|time| time.as_secs_f64()),
                    "blocked_seconds": usage.blocked.as_secs_f64(),
                },
            }))?;
            return Ok(code);
        }
        // A code speaks for itself.
        if !matches!(end, End::Exited(_)) {
            ui.note(&format!("oh: command {end} after {}", elapsed(*wall)));
        }
        Ok(code)
    }
}

/// The first bytes of a stream, and how many more there were.
#[derive(Debug, Default)]
struct Capture {
    bytes: Vec<u8>,
    dropped: u64,
}

impl AsyncWrite for Capture {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let kept = data.len().min(CAPTURE_LIMIT - self.bytes.len());
        self.bytes.extend_from_slice(&data[..kept]);
        self.dropped += (data.len() - kept) as u64;
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
