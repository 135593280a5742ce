//! Runs the real binary `oh`, as a user does.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::environment::{self, OH_BIN};

/// A command that takes longer than this is ended.
const LIMIT: Duration = Duration::from_secs(180);
/// How often it is looked at.
const POLL: Duration = Duration::from_millis(10);

/// Where the binary is: `OH_BIN`, else the build folder of the running test.
///
/// # Errors
/// In words, when it is in neither place.
pub fn binary() -> Result<PathBuf, String> {
    if let Some(named) = environment::variable(OH_BIN) {
        return Ok(PathBuf::from(named));
    }
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    // target/debug/deps/test-0123 → target/debug/oh
    let built = test.ancestors().nth(2).map(|folder| folder.join("oh"));
    built.filter(|path| path.is_file()).ok_or_else(|| {
        format!("there is no `oh` beside {}: `cargo build -p oh-cli`, or set {OH_BIN}", test.display())
    })
}

/// A run id no other test has.
#[must_use]
pub fn run_id(what: &str) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("e2e-{what}-{}-{}", std::process::id(), since.as_micros())
}

/// What a finished `oh` left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// An `oh` to run.
#[derive(Debug)]
pub struct Oh {
    command: Command,
    stdin: Vec<u8>,
}

/// An `oh` that runs.
#[derive(Debug)]
pub struct Running {
    /// Its process, for signals.
    pub child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Oh {
    /// `oh` on this backend, with the settings of the test's own environment that name the agent, the engine, the
    /// cluster and the home folder, and the configuration of the tests.
    ///
    /// # Errors
    /// See [`binary`].
    pub fn new(backend: &str) -> Result<Self, String> {
        let mut command = Command::new(binary()?);
        command.env_clear().env("OH_RUNTIME", backend);
        command.env("OH_CONFIG", environment::root().join("tests/oh.toml"));
        for name in ["PATH", "HOME", "XDG_DATA_HOME", "DOCKER_HOST", "KUBECONFIG", "OH_AGENT"] {
            if let Some(value) = environment::variable(name) {
                command.env(name, value);
            }
        }
        Ok(Self { command, stdin: Vec::new() })
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// Sets the working folder.
    #[must_use]
    pub fn cwd(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// What it gets on standard input, which is empty otherwise.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// In words, when it cannot be started.
    pub fn start(mut self) -> Result<Running, String> {
        let command = self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // It may end without having read everything.
            thread::spawn(move || stdin.write_all(&self.stdin));
        }
        let (stdout, stderr) = (child.stdout.take().map(collect), child.stderr.take().map(collect));
        Ok(Running { child, stdout, stderr })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// In words, when it cannot be started or does not end.
    pub fn run(self) -> Result<Ran, String> {
        self.start()?.finish()
    }
}

impl Running {
    /// Waits for its end, but not for ever.
    ///
    /// # Errors
    /// In words, when it did not end and was killed.
    pub fn finish(mut self) -> Result<Ran, String> {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            match self.child.try_wait().map_err(|error| error.to_string())? {
                Some(status) => break Some(status),
                None if Instant::now() > deadline => break None,
                None => thread::sleep(POLL),
            }
        };
        if status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let (stdout, stderr) = (text(self.stdout.take()), text(self.stderr.take()));
        match status {
            Some(status) => Ok(Ran { code: status.code(), stdout, stderr }),
            None => Err(format!("oh did not end in {} s; it said: {stdout}{stderr}", LIMIT.as_secs())),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed leaves nothing running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}

fn text(collected: Option<JoinHandle<Vec<u8>>>) -> String {
    let bytes = collected.and_then(|thread| thread.join().ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
