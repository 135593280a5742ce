//! How a runtime behaves.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::Number;

use crate::session::SessionHandle;
use crate::status::StatusCallback;

/// Settings of a runtime, with OpenHands' defaults.
#[derive(Clone)]
pub struct RuntimeOptions {
    /// Where the shell starts, and where relative paths do until it goes elsewhere. Made when it is not there.
    pub working_dir: String,
    /// Whose the shell and the interpreter are; `None` is the sandbox's own user. Another one needs a sandbox that runs as
    /// root.
    pub user: Option<String>,
    /// Environment of shells and interpreter, set when connecting to a sandbox that is new. Names are written in capitals.
    pub env: BTreeMap<String, String>,
    /// Name and address for git's commits; `None` leaves git alone.
    pub git: Option<(String, String)>,
    /// Seconds after which an action without a timeout comes back.
    pub timeout: Number,
    /// How long a command may say nothing before its action comes back.
    pub no_change_timeout: Duration,
    /// The sandbox stays when the runtime is closed.
    pub keep_runtime_alive: bool,
    /// The sandbox has to be there already, nothing is set up in it, and it stays.
    pub attach_to_existing: bool,
    /// Sessions of another process to go on with, by name, when attaching.
    pub sessions: BTreeMap<String, SessionHandle>,
    /// Gets every change of the status.
    pub status: Option<StatusCallback>,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            working_dir: "/workspace".to_owned(),
            user: None,
            env: BTreeMap::new(),
            git: Some(("openhands".to_owned(), "openhands@all-hands.dev".to_owned())),
            timeout: Number::from(120),
            no_change_timeout: Duration::from_secs(10),
            keep_runtime_alive: false,
            attach_to_existing: false,
            sessions: BTreeMap::new(),
            status: None,
        }
    }
}

/// Shows the names of environment variables, never their values: they may be secrets.
impl fmt::Debug for RuntimeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeOptions")
            .field("working_dir", &self.working_dir)
            .field("user", &self.user)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("git", &self.git)
            .field("timeout", &self.timeout)
            .field("no_change_timeout", &self.no_change_timeout)
            .field("keep_runtime_alive", &self.keep_runtime_alive)
            .field("attach_to_existing", &self.attach_to_existing)
            .field("sessions", &self.sessions.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
