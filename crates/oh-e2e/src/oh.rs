//! Runs the real binary `oh`, as a user does.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::environment::{self, OH_BIN};
use crate::pty::Pty;

/// A command that takes longer than this is ended.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);
/// How often it is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(10);

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

/// A sandbox for one test, removed when this is dropped.
#[derive(Debug)]
pub struct Kept {
    /// The backend it is on.
    pub backend: String,
    /// Its name.
    pub name: String,
}

impl Kept {
    /// One of this image.
    ///
    /// # Errors
    /// In words, when it cannot be made.
    pub fn new(backend: &str, what: &str, image: &str) -> Result<Self, String> {
        let kept = Self { backend: backend.to_owned(), name: format!("{}-box", run_id(what)) };
        let made = kept.oh(["run", "--keep", "--name", &kept.name, "--image", image, "--", "true"])?.run()?;
        if made.code == Some(0) { Ok(kept) } else { Err(format!("{backend}: {made:?}")) }
    }

    /// An `oh` on its backend.
    ///
    /// # Errors
    /// See [`binary`].
    pub fn oh<S: Into<OsString>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Oh, String> {
        Ok(Oh::new(&self.backend)?.args(arguments))
    }

    /// Runs `oh exec` in it.
    ///
    /// # Errors
    /// See [`Oh::run`].
    pub fn exec(&self, arguments: &[&str]) -> Result<Ran, String> {
        self.oh([&["exec", &self.name], arguments].concat())?.run()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // What cannot be removed ends by itself.
        let _ = self.oh(["rm", &self.name]).and_then(Oh::run);
    }
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
    stdout: Option<Collected>,
    stderr: Option<Collected>,
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
        let (stdout, stderr) =
            (child.stdout.take().map(Collected::of), child.stderr.take().map(Collected::of));
        Ok(Running { child, stdout, stderr })
    }

    /// Starts it on a terminal, which becomes its own.
    ///
    /// # Errors
    /// In words, when it cannot be started.
    pub fn start_on(self, terminal: &Pty) -> Result<Running, String> {
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(self.command.get_program()).args(self.command.get_args()).env_clear();
        command.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let line = || terminal.line().map_err(|error| error.to_string());
        command.stdin(line()?).stdout(line()?).stderr(line()?);
        let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        Ok(Running { child, stdout: None, stderr: None })
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
    /// Waits until it has said `wanted` on either stream; returns what it has said on standard output.
    ///
    /// # Errors
    /// In words, when it does not or ends, with what it said.
    pub fn until_said(&mut self, wanted: &str) -> Result<String, String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            // Looked at first: what it said last is collected by the time one knows of its end, or soon after.
            let ended = self.child.try_wait().map_err(|error| error.to_string())?.is_some();
            let [out, err] = [&self.stdout, &self.stderr].map(|stream| {
                let bytes = stream.as_ref().map(Collected::so_far).unwrap_or_default();
                String::from_utf8_lossy(&bytes).into_owned()
            });
            if out.contains(wanted) || err.contains(wanted) {
                return Ok(out);
            }
            if ended || Instant::now() > deadline {
                return Err(format!("oh did not say {wanted:?}; it said: {out}{err}"));
            }
            thread::sleep(POLL);
        }
    }

    /// Sends it a signal, by its name.
    ///
    /// # Errors
    /// In words, when it is gone.
    pub fn signal(&self, name: &str) -> Result<(), String> {
        let kill = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        match kill {
            Ok(status) if status.success() => Ok(()),
            other => Err(format!("kill -s {name}: {other:?}")),
        }
    }

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

/// What a stream has said so far.
#[derive(Debug)]
pub(crate) struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Collected {
    pub(crate) fn of(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let kept = Arc::clone(&bytes);
        let thread = thread::spawn(move || {
            let mut piece = [0; 8192];
            while let Ok(count @ 1..) = stream.read(&mut piece) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..count]);
            }
        });
        Self { bytes, thread }
    }

    pub(crate) fn so_far(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn text(collected: Option<Collected>) -> String {
    let bytes = collected.map(|Collected { bytes, thread }| {
        let _ = thread.join();
        std::mem::take(&mut *bytes.lock().unwrap_or_else(PoisonError::into_inner))
    });
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}
