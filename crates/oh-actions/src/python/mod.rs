//! A Python interpreter that goes on between cells.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use oh_runtime::{BoxWrite, CommandSpec, Error, ErrorKind, Outcome, Process, Result, Sandbox};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::{Instant, timeout, timeout_at};

const DRIVER: &str = include_str!("driver.py");
/// Longest answer line that is accepted.
const MAX_LINE: u64 = 1 << 20;
/// Output of one cell that is kept, in bytes.
const MAX_OUTPUT: usize = 1 << 20;
const TRUNCATED: &str = "\n[... Observation truncated due to length ...]\n";
/// How long an interpreter may take to start, and an interrupted cell to end.
const START_LIMIT: Duration = Duration::from_secs(60);
const INTERRUPT_LIMIT: Duration = Duration::from_secs(5);
const SIGINT: i32 = 2;

/// One interpreter.
pub(crate) struct Interpreter {
    process: Process,
    stdin: BoxWrite,
    answers: Pin<Box<dyn tokio::io::AsyncBufRead + Send>>,
    /// Its executable.
    pub(crate) path: String,
    cwd: String,
    busy: bool,
}

impl std::fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interpreter").field("path", &self.path).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Request<'a> {
    code: &'a str,
    cwd: Option<&'a str>,
    env: &'a BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Python(String),
    Out(String),
    Done(serde::de::IgnoredAny),
}

/// How a cell ended.
pub(crate) enum Cell {
    /// It did; this is what it printed.
    Done(String),
    /// It took too long, and was interrupted.
    TimedOut,
    /// The interpreter is gone; this is what it printed before.
    Gone(String),
}

impl Interpreter {
    /// Starts one as `user`.
    ///
    /// # Errors
    /// [`ExecNotFound`](ErrorKind::ExecNotFound) when the image has no `python3`.
    pub(crate) async fn start(sandbox: &dyn Sandbox, user: Option<&str>) -> Result<Self> {
        let mut spec = CommandSpec::new(["python3", "-u", "-c", DRIVER]).stdin();
        spec.user = user.map(str::to_owned);
        let mut process = sandbox.start(spec).await?;
        let missing = || Error::new(ErrorKind::Protocol, "start python3", "the agent gave no streams");
        let stdin = process.stdin.take().ok_or_else(missing)?;
        let answers = Box::pin(BufReader::new(process.stdout.take().ok_or_else(missing)?));
        process.stderr = None;
        let mut new = Self { process, stdin, answers, path: String::new(), cwd: String::new(), busy: false };
        match timeout(START_LIMIT, new.answer()).await {
            Ok(Ok(Some(Answer::Python(path)))) => new.path = path,
            Ok(Err(error)) => return Err(error),
            Ok(Ok(_)) => return Err(Error::new(ErrorKind::Ended, "start python3", "it ended at once")),
            Err(_) => return Err(Error::new(ErrorKind::Deadline, "start python3", "it does not answer")),
        }
        Ok(new)
    }

    /// Whether it is amid a cell that nobody waits for any more.
    pub(crate) const fn is_busy(&self) -> bool {
        self.busy
    }

    /// Runs code in `cwd`, the variables of `env` added to its environment.
    ///
    /// # Errors
    /// When the sandbox cannot be used.
    pub(crate) async fn run(
        &mut self,
        code: &str,
        cwd: &str,
        env: &BTreeMap<String, String>,
        limit: Option<&Number>,
    ) -> Result<Cell> {
        let moved = (self.cwd != cwd).then_some(cwd);
        cwd.clone_into(&mut self.cwd);
        let mut request = serde_json::to_vec(&Request { code, cwd: moved, env })
            .map_err(|error| Error::new(ErrorKind::Internal, "run a cell", error.to_string()))?;
        request.push(b'\n');
        self.busy = true;
        if self.stdin.write_all(&request).await.is_err() || self.stdin.flush().await.is_err() {
            return Ok(Cell::Gone(String::new()));
        }
        let seconds =
            limit.and_then(Number::as_f64).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let now = Instant::now();
        let deadline =
            seconds.and_then(|limit| now.checked_add(limit)).unwrap_or(now + Duration::from_secs(1 << 30));
        let mut output = String::new();
        let cell = match timeout_at(deadline, self.collect(&mut output)).await {
            Ok(done) => Ok(if done? { Cell::Done(output) } else { Cell::Gone(output) }),
            Err(_) => {
                self.process.signal(SIGINT).await?;
                match timeout(INTERRUPT_LIMIT, self.collect(&mut output)).await {
                    Ok(done) => Ok(if done? { Cell::TimedOut } else { Cell::Gone(output) }),
                    Err(_) => {
                        self.process.cancel().await?;
                        Ok(Cell::Gone(output))
                    }
                }
            }
        };
        self.busy = false;
        cell
    }

    /// Takes output until the cell is done; false when the interpreter ended instead.
    async fn collect(&mut self, output: &mut String) -> Result<bool> {
        loop {
            match self.answer().await? {
                Some(Answer::Out(text)) if output.len() < MAX_OUTPUT => {
                    output.push_str(&text);
                    if output.len() >= MAX_OUTPUT {
                        output.push_str(TRUNCATED);
                    }
                }
                Some(Answer::Out(_) | Answer::Python(_)) => {}
                Some(Answer::Done(_)) => return Ok(true),
                None => return Ok(false),
            }
        }
    }

    /// The next answer; none when there will be none, or when it is no answer at all.
    async fn answer(&mut self) -> Result<Option<Answer>> {
        let mut line = Vec::new();
        let read = (&mut self.answers).take(MAX_LINE).read_until(b'\n', &mut line).await;
        match read {
            Ok(_) => Ok(serde_json::from_slice(&line).ok()),
            Err(error) => Err(error.downcast::<Error>().unwrap_or_else(|error| {
                Error::new(ErrorKind::StreamLost, "run a cell", error.to_string())
                    .outcome_is(Outcome::Unknown)
            })),
        }
    }

    /// Ends it.
    pub(crate) async fn close(self) -> Result<()> {
        self.process.cancel().await
    }
}
