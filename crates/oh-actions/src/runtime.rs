//! One sandbox that takes actions.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oh_runtime::{
    CommandSpec, Error, ErrorKind, Result, Runtime, Sandbox, SandboxExt, SandboxSpec, WriteOptions,
};
use serde_json::Value;
use tokio::sync::{Mutex, OnceCell, RwLock};

use crate::action::{Action, ActionError, RunAction};
use crate::copy;
use crate::editor::Editor;
use crate::environment::{in_capitals, quoted, script};
use crate::observation::Observation;
use crate::options::RuntimeOptions;
use crate::python::Interpreter;
use crate::session::{Session, SessionHandle, SessionSpec};
use crate::status::RuntimeStatus;

/// The session of actions that name none.
pub const MAIN: &str = "main";
const FOLDER: u32 = 0o755;

/// Where a runtime's sandbox comes from.
#[derive(Debug)]
enum Place {
    /// Made, or found, when connecting.
    Of(Runtime, Box<SandboxSpec>),
    /// Somebody else's.
    Given(Arc<dyn Sandbox>),
}

/// One sandbox that takes actions, as OpenHands' `Runtime` does.
///
/// Actions of one session wait for each other; those of different sessions do not. Everything in the sandbox, its files
/// included, is reached over the stream to its agent.
#[derive(Debug)]
pub struct ActionRuntime {
    place: Place,
    pub(crate) options: RuntimeOptions,
    sandbox: OnceCell<Arc<dyn Sandbox>>,
    sessions: RwLock<HashMap<String, Arc<Mutex<Session>>>>,
    pub(crate) editor: Mutex<Editor>,
    pub(crate) python: Mutex<Option<Interpreter>>,
    /// What was set since connecting, for what is started later.
    env: Mutex<BTreeMap<String, String>>,
    closed: AtomicBool,
}

impl ActionRuntime {
    /// In a sandbox that [`connect`](Self::connect) makes from `spec`, or finds under its name.
    #[must_use]
    pub fn new(runtime: Runtime, spec: SandboxSpec, options: RuntimeOptions) -> Self {
        Self::at(Place::Of(runtime, Box::new(spec)), options)
    }

    /// In a sandbox of the caller's, which stays when the runtime is closed.
    #[must_use]
    pub fn over(sandbox: Arc<dyn Sandbox>, options: RuntimeOptions) -> Self {
        Self::at(Place::Given(sandbox), options)
    }

    fn at(place: Place, options: RuntimeOptions) -> Self {
        Self {
            place,
            options,
            sandbox: OnceCell::new(),
            sessions: RwLock::default(),
            editor: Mutex::default(),
            python: Mutex::default(),
            env: Mutex::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// Makes the sandbox or attaches to it, and sets up its shell. Doing it twice is fine.
    ///
    /// # Errors
    /// As [`Runtime::create`] and [`Runtime::attach`]; what was set up before the failure stays until
    /// [`close`](Self::close).
    pub async fn connect(&self) -> Result<()> {
        if self.sessions.read().await.contains_key(MAIN) {
            return Ok(());
        }
        let connected = self.set_up().await;
        match &connected {
            Ok(()) => self.tell(RuntimeStatus::Ready, ""),
            Err(error) => self.tell_error(error),
        }
        connected
    }

    async fn set_up(&self) -> Result<()> {
        self.tell(RuntimeStatus::StartingRuntime, "");
        let sandbox = self.sandbox.get_or_try_init(|| self.place()).await?;
        self.tell(RuntimeStatus::RuntimeStarted, "");
        let attach = self.options.attach_to_existing;
        if attach {
            for (name, handle) in &self.options.sessions {
                let session =
                    Session::attach(&**sandbox, handle.clone(), self.options.no_change_timeout).await?;
                self.sessions.write().await.insert(name.clone(), Arc::new(Mutex::new(session)));
            }
        } else {
            self.tell(RuntimeStatus::SettingUpWorkspace, "");
            self.make_working_dir(&**sandbox).await?;
        }
        if !self.sessions.read().await.contains_key(MAIN) {
            let spec = SessionSpec { user: self.options.user.clone(), working_dir: None };
            self.open_session(MAIN, spec).await?;
        }
        if !attach {
            self.add_env_vars(&self.options.env).await?;
            self.set_up_git().await?;
        }
        Ok(())
    }

    async fn place(&self) -> Result<Arc<dyn Sandbox>> {
        match &self.place {
            Place::Of(runtime, spec) if self.options.attach_to_existing => runtime.attach(&spec.name).await,
            Place::Of(runtime, spec) => runtime.create(spec).await,
            Place::Given(sandbox) => Ok(Arc::clone(sandbox)),
        }
    }

    async fn make_working_dir(&self, sandbox: &dyn Sandbox) -> Result<()> {
        let folder = &self.options.working_dir;
        if sandbox.list(Path::new(folder)).await.is_ok() {
            return Ok(());
        }
        sandbox.make_folder(Path::new(folder), FOLDER).await?;
        if let Some(user) = &self.options.user {
            let output = sandbox.run(CommandSpec::new(["chown", user, folder])).await?;
            if !output.finished.end.success() {
                let why = String::from_utf8_lossy(&output.stderr.bytes).trim().to_owned();
                return Err(Error::new(ErrorKind::ExecBadUser, "set up the working folder", why));
            }
        }
        Ok(())
    }

    async fn set_up_git(&self) -> Result<()> {
        let Some((name, address)) = &self.options.git else { return Ok(()) };
        let command = format!(
            "git config --global user.name {} && git config --global user.email {}",
            quoted(name),
            quoted(address)
        );
        // An image may have no git.
        self.quietly(command).await.map(drop)
    }

    /// Opens a session under another name, or as another user. One of that name is left as it is.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub async fn open_session(&self, name: &str, spec: SessionSpec) -> Result<()> {
        if self.sessions.read().await.contains_key(name) {
            return Ok(());
        }
        let session = self.new_session(spec).await?;
        self.sessions.write().await.entry(name.to_owned()).or_insert_with(|| Arc::new(Mutex::new(session)));
        Ok(())
    }

    /// A session that nobody else has.
    pub(crate) async fn new_session(&self, spec: SessionSpec) -> Result<Session> {
        let sandbox = self.sandbox()?;
        let folder = spec.working_dir.or_else(|| Some(self.options.working_dir.clone()));
        let spec = SessionSpec { working_dir: folder, ..spec };
        let mut session = Session::open(&**sandbox, spec, self.options.no_change_timeout).await?;
        let env = self.env.lock().await.clone();
        self.export(&mut session, &env).await?;
        Ok(session)
    }

    /// Ends a session and what runs in it.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) when there is none of that name, and when the sandbox cannot be used.
    pub async fn close_session(&self, name: &str) -> Result<()> {
        let session = self.sessions.write().await.remove(name).ok_or_else(|| no_session(name))?;
        match Arc::try_unwrap(session) {
            Ok(session) => session.into_inner().close(&**self.sandbox()?).await,
            Err(_) => {
                Err(Error::new(ErrorKind::Conflict, format!("close session {name}"), "an action runs in it"))
            }
        }
    }

    /// What another process needs to go on with the sessions; see [`RuntimeOptions::sessions`]. Waits for actions that are
    /// under way.
    pub async fn handles(&self) -> BTreeMap<String, SessionHandle> {
        let mut handles = BTreeMap::new();
        for (name, session) in &*self.sessions.read().await {
            handles.insert(name.clone(), session.lock().await.handle());
        }
        handles
    }

    pub(crate) async fn session(&self, name: &str) -> Result<Arc<Mutex<Session>>> {
        self.sandbox()?;
        self.sessions.read().await.get(name).cloned().ok_or_else(|| no_session(name))
    }

    /// The sandbox.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) before [`connect`](Self::connect) and after [`close`](Self::close).
    pub fn sandbox(&self) -> Result<&Arc<dyn Sandbox>> {
        let open = self.sandbox.get().filter(|_| !self.closed.load(Ordering::Relaxed));
        open.ok_or_else(|| {
            Error::new(ErrorKind::Config, "run an action", "the runtime is not connected")
                .hint("connect it first")
        })
    }

    /// Does what an action asks for, in the main session.
    ///
    /// # Errors
    /// When the sandbox cannot be used: the action may have been done, as the error's outcome says. Whatever an action can be
    /// answered with is an observation, refusals included.
    pub async fn run_action(&self, action: &Action) -> Result<Observation> {
        self.run_action_in(MAIN, action).await
    }

    /// The same in another session.
    ///
    /// # Errors
    /// As [`run_action`](Self::run_action); [`NotFound`](ErrorKind::NotFound) when there is no session of that name.
    pub async fn run_action_in(&self, session: &str, action: &Action) -> Result<Observation> {
        let observed = self.perform(session, action).await;
        if let Err(error) = &observed {
            self.tell_error(error);
        }
        observed
    }

    /// Does what OpenHands' JSON of an action asks for, and answers in its JSON. What is no action is answered too.
    ///
    /// # Errors
    /// As [`run_action`](Self::run_action).
    pub async fn run_json(&self, action: &Value) -> Result<Value> {
        let observation = match Action::from_json(action) {
            Ok(action) => self.run_action(&action).await?,
            Err(error @ (ActionError::Unknown(_) | ActionError::Malformed(_))) => {
                Observation::error(error.to_string())
            }
        };
        Ok(observation.to_json())
    }

    /// Sets variables, with their names in capitals, in every session and in the interpreter, and in shells to come.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) for a name no shell takes, and when the sandbox cannot be used.
    pub async fn add_env_vars(&self, env: &BTreeMap<String, String>) -> Result<()> {
        let env = in_capitals(env)?;
        let sessions: Vec<_> = self.sessions.read().await.values().cloned().collect();
        for session in sessions {
            self.export(&mut *session.lock().await, &env).await?;
        }
        self.env.lock().await.extend(env);
        Ok(())
    }

    /// The variables that were set.
    pub(crate) async fn env(&self) -> BTreeMap<String, String> {
        self.env.lock().await.clone()
    }

    /// Values may be secrets: a file carries them, no command line and no history.
    async fn export(&self, session: &mut Session, env: &BTreeMap<String, String>) -> Result<()> {
        if env.is_empty() {
            return Ok(());
        }
        let sandbox = self.sandbox()?;
        let path = format!("/tmp/.oh-env-{:016x}", fastrand::u64(..));
        let how = WriteOptions { owner: self.options.user.clone(), ..WriteOptions::mode(0o600) };
        let bytes = Box::pin(std::io::Cursor::new(script(env).into_bytes()));
        sandbox.write_file(Path::new(&path), how, bytes).await?;
        let command = format!(". {path}");
        let read = RunAction { command, hidden: true, ..RunAction::default() };
        let observed = session.run(&**sandbox, &read, Some(&self.options.timeout)).await;
        sandbox.remove(Path::new(&path)).await?;
        match observed? {
            Observation::Run(run) if run.metadata.exit_code == 0 => Ok(()),
            _ => {
                let names: Vec<&str> = env.keys().map(String::as_str).collect();
                let what = format!("the shell did not take {}", names.join(", "));
                Err(Error::new(ErrorKind::Internal, "add environment variables", what))
            }
        }
    }

    async fn quietly(&self, command: String) -> Result<Observation> {
        let session = self.session(MAIN).await?;
        let action = RunAction { command, hidden: true, ..RunAction::default() };
        let mut session = session.lock().await;
        session.run(&**self.sandbox()?, &action, Some(&self.options.timeout)).await
    }

    /// Copies a file of this machine into the folder `path` of the sandbox, which is made when missing. With `recursive` a
    /// tree, under its own name; a zip file otherwise is unpacked there.
    ///
    /// # Errors
    /// The `Transfer…` kinds; [`Config`](ErrorKind::Config) for a path that is not absolute.
    pub async fn copy_to(&self, host: &Path, path: &Path, recursive: bool) -> Result<()> {
        copy::copy_to(&**self.sandbox()?, host, path, recursive).await
    }

    /// The files below a folder of the sandbox, in a zip file on this machine, which is the caller's to remove. Links stand
    /// for the files they lead to; folders without files are not in it.
    ///
    /// # Errors
    /// The `Transfer…` kinds; [`Config`](ErrorKind::Config) for a path that is not absolute.
    pub async fn copy_from(&self, path: &Path) -> Result<PathBuf> {
        copy::copy_from(&**self.sandbox()?, path).await
    }

    /// The names in a folder, the working folder unless another is named: folders first, with a slash at their ends, each
    /// group in alphabetical order. Where there is no folder there are none.
    ///
    /// # Errors
    /// When the sandbox cannot be used.
    pub async fn list_files(&self, path: Option<&Path>) -> Result<Vec<String>> {
        let folder = Path::new(&self.options.working_dir).join(path.unwrap_or(Path::new("")));
        copy::list_files(&**self.sandbox()?, &folder).await
    }

    /// Stops everything in the sandbox until it is resumed. OpenHands stops the container and starts it again, and what
    /// ran is gone; here it goes on.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) where the backend cannot do that; what became of a sandbox that is gone.
    pub async fn pause(&self) -> Result<()> {
        self.sandbox()?.pause().await
    }

    /// Lets a paused sandbox go on.
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    pub async fn resume(&self) -> Result<()> {
        self.sandbox()?.resume().await
    }

    /// Ends the runtime, and removes its sandbox unless that is to stay; the interpreter ends, and the shells of a sandbox
    /// of the caller's. Doing it twice is fine.
    ///
    /// # Errors
    /// When the backend cannot be reached or refuses.
    pub async fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let done = self.end().await;
        if done.is_err() {
            // The sandbox may still be there: the next attempt must not take it for gone.
            self.closed.store(false, Ordering::Relaxed);
        }
        done
    }

    async fn end(&self) -> Result<()> {
        let Some(sandbox) = self.sandbox.get() else { return Ok(()) };
        let RuntimeOptions { keep_runtime_alive, attach_to_existing, .. } = self.options;
        let stays = keep_runtime_alive || attach_to_existing;
        if matches!(self.place, Place::Of(..)) && !stays {
            sandbox.close().await?;
        } else {
            if let Some(python) = self.python.lock().await.take() {
                python.close().await?;
            }
            let sessions = std::mem::take(&mut *self.sessions.write().await);
            for session in sessions.into_values().filter_map(Arc::into_inner).map(Mutex::into_inner) {
                // Whoever has its handle goes on with it.
                if stays {
                    let _ = session.detach();
                } else {
                    session.close(&**sandbox).await?;
                }
            }
            sandbox.disconnect().await;
        }
        self.tell(RuntimeStatus::Stopped, "");
        Ok(())
    }

    fn tell(&self, status: RuntimeStatus, message: &str) {
        tracing::debug!(%status, message, "runtime");
        if let Some(callback) = &self.options.status {
            callback.call(status, message);
        }
    }

    fn tell_error(&self, error: &Error) {
        use ErrorKind as K;
        let status = match error.kind() {
            K::StreamLost
            | K::Deleted
            | K::Replaced
            | K::Restarted
            | K::Ended
            | K::NodeLost
            | K::NotFound
            | K::Evicted
            | K::OomKilled
            | K::Unavailable => RuntimeStatus::ErrorRuntimeDisconnected,
            _ => RuntimeStatus::Error,
        };
        self.tell(status, &error.to_string());
    }
}

fn no_session(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, "run an action", format!("there is no session {name:?}"))
        .hint("open it first")
}
