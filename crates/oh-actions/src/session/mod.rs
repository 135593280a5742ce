//! A shell that goes on between commands, with OpenHands' rules for commands that take long.
//!
//! | file | is |
//! | --- | --- |
//! | `terminal` | the shell's process and its terminal |
//! | `screen` | what the terminal shows, as text |
//! | `shell` | what is typed into the shell |
//! | `split` | finds several commands in one |
//! | `notes` | the texts around an output |

mod notes;
mod screen;
mod shell;
mod split;
mod terminal;

use std::time::Duration;

use oh_runtime::{CommandId, CommandSpec, End, Error, ErrorKind, Result, Sandbox};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use tokio::time::{Instant, timeout_at};

use crate::action::RunAction;
use crate::observation::{Metadata, Observation, RunObservation};
pub(crate) use notes::seconds;
use screen::{Ended, Shown};
use terminal::Terminal;

/// How long a shell may take to start, its user's start-up files included.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long it may take until it is known that a shell ended which takes no more input.
const EXIT_LIMIT: Duration = Duration::from_secs(5);

/// Which shell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSpec {
    /// Its user, by name or number; `None` is the sandbox's own. Only a sandbox that runs as root can change users.
    pub user: Option<String>,
    /// Where it starts; `None` is the sandbox's own working folder.
    pub working_dir: Option<String>,
}

/// A shell in a sandbox, bash or at least sh, and the command that runs in it.
///
/// Folder, variables, functions, aliases and jobs stay from one command to the next. One that exits is started again for
/// the next command.
#[derive(Debug)]
pub struct Session {
    spec: SessionSpec,
    no_change: Duration,
    terminal: Terminal,
    state: State,
    cwd: String,
}

/// What the shell does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// Nothing.
    #[default]
    Ready,
    /// A command, whose observation came back before it had ended.
    Running {
        /// What was shown of it in the last observation, if there was one.
        seen: Option<String>,
        /// What its end will carry.
        nonce: String,
    },
}

/// What another process needs to go on with a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionHandle {
    spec: SessionSpec,
    command: CommandId,
    offset: u64,
    state: State,
    cwd: String,
}

impl Session {
    /// Starts a shell.
    ///
    /// # Errors
    /// The `Exec…` kinds, for a user or folder that is not there or an image without any shell;
    /// [`Deadline`](ErrorKind::Deadline) when it does not come up.
    pub async fn open(sandbox: &dyn Sandbox, spec: SessionSpec, no_change: Duration) -> Result<Self> {
        let mut terminal = Self::shell(sandbox, &spec).await?;
        let limit = Instant::now() + START_LIMIT;
        terminal.write(shell::setup().as_bytes()).await?;
        let mut session = Self { spec, no_change, terminal, state: State::Ready, cwd: String::new() };
        session.send("").await?;
        match session.wait(limit, None).await {
            Wait::Ended(ended) => session.cwd = ended.fields[5].clone(),
            Wait::Over(over) => return Err(session.exited(over)),
            Wait::HardTimeout | Wait::NoChange => {
                let shown = session.terminal.screen().shown().text;
                let last = shown.lines().last().unwrap_or_default();
                let what = format!(
                    "the shell did not come up in {} s; last it said {last:?}",
                    START_LIMIT.as_secs()
                );
                return Err(Error::new(ErrorKind::Deadline, "open a session", what)
                    .hint("look at the start-up files of its user"));
            }
        }
        session.state = State::Ready;
        Ok(session)
    }

    async fn shell(sandbox: &dyn Sandbox, spec: &SessionSpec) -> Result<Terminal> {
        let mut command = CommandSpec::shell(shell::START);
        command.user.clone_from(&spec.user);
        command.cwd = spec.working_dir.as_ref().map(Into::into);
        Terminal::start(sandbox, command).await
    }

    /// Goes on with a session that another process had, also amid a command.
    ///
    /// # Errors
    /// As [`Sandbox::attach`].
    pub async fn attach(sandbox: &dyn Sandbox, handle: SessionHandle, no_change: Duration) -> Result<Self> {
        let SessionHandle { spec, command, offset, state, cwd } = handle;
        let terminal = Terminal::attach(sandbox, command, offset).await?;
        if let State::Running { nonce, .. } = &state {
            terminal.screen().expect(nonce.clone(), true);
        }
        // What was shown before is not known any more.
        let state = match state {
            State::Running { nonce, .. } => State::Running { seen: Some(String::new()), nonce },
            State::Ready => State::Ready,
        };
        Ok(Self { spec, no_change, terminal, state, cwd })
    }

    /// What another process needs to go on with it.
    #[must_use]
    pub fn handle(&self) -> SessionHandle {
        let (command, offset) = self.terminal.position();
        SessionHandle {
            spec: self.spec.clone(),
            command,
            offset,
            state: self.state.clone(),
            cwd: self.cwd.clone(),
        }
    }

    /// Where the shell was when its last command ended.
    #[must_use]
    pub fn cwd(&self) -> &str {
        &self.cwd
    }

    /// Runs a command, types into the one that runs, or looks at it again. `limit` is the action's timeout in seconds.
    ///
    /// # Errors
    /// When the sandbox cannot be used. A command that fails, takes too long or is refused is an observation.
    pub async fn run(
        &mut self,
        sandbox: &dyn Sandbox,
        action: &RunAction,
        limit: Option<&Number>,
    ) -> Result<Observation> {
        let command = notes::strip(&action.command);
        let key = shell::key(command);
        let observed = match (&self.state, command, action.is_input) {
            (State::Ready, "", _) => notes::nothing_to("retrieve logs from"),
            (State::Ready, _, true) => notes::nothing_to("interact with"),
            (state, ..) => {
                let commands = split::commands(command);
                if commands.len() > 1 {
                    return Ok(notes::several(&commands));
                }
                let running = *state != State::Ready && !self.terminal.screen().has_ended();
                if running && !action.is_input && !command.is_empty() {
                    self.refused(command)
                } else {
                    self.go_on(sandbox, command, key, action, limit).await?
                }
            }
        };
        let hidden = action.hidden && observed.metadata.exit_code != -1;
        Ok(Observation::Run(RunObservation { hidden, ..observed }.truncated()))
    }

    /// Sends what is to be sent, and waits.
    async fn go_on(
        &mut self,
        sandbox: &dyn Sandbox,
        command: &str,
        key: Option<u8>,
        action: &RunAction,
        limit: Option<&Number>,
    ) -> Result<RunObservation> {
        let now = Instant::now();
        let seconds = limit.and_then(Number::as_f64).filter(|seconds| *seconds > 0.0);
        let after =
            |seconds| Duration::try_from_secs_f64(seconds).ok().and_then(|limit| now.checked_add(limit));
        let hard = seconds.and_then(after).unwrap_or(now + Duration::from_secs(1 << 30));
        let mut before = None;
        match (&self.state, key) {
            // It ended since it was looked at: what it said comes before what is new.
            (State::Running { .. }, _) if self.terminal.screen().has_ended() => {
                if command.is_empty() || action.is_input {
                    return self.ended(sandbox, command, key, None, hard, action.blocking, limit).await;
                }
                before = self.rest();
                self.start(command, key).await?;
            }
            (State::Running { .. }, _) if command.is_empty() => {}
            (State::Running { .. }, Some(key)) => self.terminal.write(&[key]).await?,
            (State::Running { .. }, None) => self.terminal.write(format!("{command}\r").as_bytes()).await?,
            (State::Ready, _) => {
                if let Err(error) = self.start(command, key).await {
                    // Something else than a command may have ended the shell.
                    let Some(Ok(_)) = self.terminal.over(EXIT_LIMIT).await else { return Err(error) };
                    self.terminal = self.restarted(sandbox).await?;
                    self.start(command, key).await?;
                }
            }
        }
        self.ended(sandbox, command, key, before, hard, action.blocking, limit).await
    }

    /// Types a command into a shell that has none.
    async fn start(&mut self, command: &str, key: Option<u8>) -> Result<()> {
        match key {
            // At a prompt the key interrupts nothing, and says so in the exit code.
            Some(3) => self.send("echo ^C; (exit 130)").await,
            Some(4) => self.send("exit").await,
            Some(_) => self.send("").await,
            None => self.send(command).await,
        }
    }

    async fn send(&mut self, command: &str) -> Result<()> {
        let nonce = shell::nonce()?;
        self.terminal.screen().expect(nonce.clone(), false);
        let mut typed = shell::typed(command, &nonce);
        if split::is_open(command) {
            // bash shows no prompt where an eval ended in a quote, until another line comes.
            typed.push('\n');
        }
        self.state = State::Running { seen: None, nonce };
        self.terminal.write(typed.as_bytes()).await
    }

    /// Waits for the end of the command or of our patience.
    #[expect(clippy::too_many_arguments, reason = "what an observation says depends on all of it")]
    async fn ended(
        &mut self,
        sandbox: &dyn Sandbox,
        command: &str,
        key: Option<u8>,
        before: Option<String>,
        hard: Instant,
        blocking: bool,
        limit: Option<&Number>,
    ) -> Result<RunObservation> {
        let no_change = (!blocking).then_some(self.no_change);
        let mut waited = self.wait(hard, no_change).await;
        if matches!(waited, Wait::Over(Ok(_))) && !self.terminal.screen().has_begun() {
            // Something else ended the shell before it read the command, which is given to another one, once.
            self.terminal = self.restarted(sandbox).await?;
            self.start(command, key).await?;
            waited = self.wait(hard, no_change).await;
        }
        let observed = match waited {
            Wait::Ended(Ended { shown, fields }) => {
                let seen = self.seen();
                self.state = State::Ready;
                if !fields[5].is_empty() {
                    self.cwd.clone_from(&fields[5]);
                }
                let mut observed = notes::completed(&shown, seen.as_deref(), command, fields, key.is_some());
                if let Some(before) = before.filter(|before| !before.is_empty()) {
                    observed.content = notes::strip(&format!("{before}\n{}", observed.content)).to_owned();
                }
                observed
            }
            Wait::NoChange => {
                let suffix = notes::no_change(self.no_change);
                self.unfinished(command, suffix)
            }
            Wait::HardTimeout => {
                let suffix = notes::timed_out(limit);
                self.unfinished(command, suffix)
            }
            Wait::Over(Ok(end)) if self.terminal.screen().has_begun() => {
                let (shown, seen) = (self.terminal.screen().shown(), self.seen());
                self.terminal = self.restarted(sandbox).await?;
                notes::shell_exited(&shown, seen.as_deref(), command, end)
            }
            Wait::Over(over) => return Err(self.exited(over)),
        };
        Ok(observed)
    }

    /// A shell in place of one that exited.
    async fn restarted(&mut self, sandbox: &dyn Sandbox) -> Result<Terminal> {
        let again = Box::pin(Self::open(sandbox, self.spec.clone(), self.no_change)).await?;
        self.state = State::Ready;
        self.cwd = again.cwd;
        Ok(again.terminal)
    }

    /// What is to be said of a command that runs on.
    fn unfinished(&mut self, command: &str, suffix: String) -> RunObservation {
        let shown = self.terminal.screen().shown();
        let observed = notes::running(&shown, self.seen().as_deref(), command, suffix);
        if let State::Running { seen, .. } = &mut self.state {
            *seen = Some(shown.text);
        }
        observed
    }

    fn refused(&mut self, command: &str) -> RunObservation {
        let suffix = notes::not_executed(command);
        self.unfinished(command, suffix)
    }

    /// What a command that has ended said since it was looked at.
    fn rest(&mut self) -> Option<String> {
        let ended = self.terminal.screen().take_ended()?;
        let seen = self.seen();
        Some(notes::strip(notes::new_of(&ended.shown.text, seen.as_deref().unwrap_or_default())).to_owned())
    }

    fn seen(&self) -> Option<String> {
        match &self.state {
            State::Running { seen, .. } => seen.clone(),
            State::Ready => None,
        }
    }

    async fn wait(&mut self, hard: Instant, no_change: Option<Duration>) -> Wait {
        let mut changed = Instant::now();
        loop {
            if let Some(ended) = self.terminal.screen().take_ended() {
                return Wait::Ended(ended);
            }
            if let Some(over) = self.terminal.ended() {
                return Wait::Over(over);
            }
            let patience = no_change.map_or(hard, |no_change| changed + no_change);
            if timeout_at(patience.min(hard), self.terminal.changed()).await.is_ok() {
                changed = Instant::now();
            } else if patience <= Instant::now() && no_change.is_some() {
                return Wait::NoChange;
            } else {
                return Wait::HardTimeout;
            }
        }
    }

    fn exited(&self, over: terminal::Over) -> Error {
        match over {
            Ok(end) => Error::new(ErrorKind::Ended, "use a session", format!("its shell {end}")),
            Err(error) => Error::new(error.kind(), "use a session", error.message())
                .outcome_is(error.outcome())
                .caused_by(std::io::Error::other(error)),
        }
    }

    /// Leaves the shell and what runs in it to another process, which goes on with [`attach`](Self::attach); a session
    /// that is dropped ends its shell.
    #[must_use]
    pub fn detach(self) -> SessionHandle {
        let handle = self.handle();
        self.terminal.leave();
        handle
    }

    /// Ends the shell and all that it started.
    ///
    /// # Errors
    /// When the sandbox cannot be used.
    pub async fn close(self, sandbox: &dyn Sandbox) -> Result<()> {
        match sandbox.kill(self.terminal.position().0, None).await {
            Err(error) if error.kind() == ErrorKind::CommandNotFound => Ok(()),
            done => done,
        }
    }
}

/// What ended a wait.
enum Wait {
    Ended(Ended),
    NoChange,
    HardTimeout,
    Over(terminal::Over),
}

/// Metadata as the shell said it.
fn metadata([code, pid, user, host, python, folder]: [String; 6]) -> Metadata {
    Metadata {
        exit_code: code.parse().unwrap_or(-1),
        pid: pid.parse().unwrap_or(-1),
        username: Some(user),
        hostname: Some(host),
        working_dir: Some(folder),
        py_interpreter_path: Some(python),
        ..Metadata::default()
    }
}

/// The exit code a shell would give to this end.
const fn code_of(end: End) -> i64 {
    match end {
        End::Exited(code) => code as i64,
        End::Signaled(signal) => 128 + signal as i64,
        End::TimedOut | End::Cancelled | End::OomKilled(_) => 137,
    }
}
