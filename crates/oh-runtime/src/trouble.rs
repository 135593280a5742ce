//! What became of a sandbox whose stream broke. The backend knows, the stream does not.

use std::time::Duration;

use oh_agent::client::Client;
use oh_runtime_api::{Backend, Error, ErrorKind, Evidence, Incarnation, SandboxState, Selector};
use tokio::time::{Instant, sleep, timeout};

/// Before the second look; each pause after is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// A backend learns of a removal a little after the end.
const ENDED: Duration = Duration::from_secs(1);
/// A cluster takes this long to notice that a machine does not answer, and a control plane to be there again.
const LIMIT: Duration = Duration::from_secs(90);
/// How long the agent may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Most bytes of a log that go into an error.
const LAST_WORDS: usize = 2048;

/// What became of a sandbox.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// It runs, as far as the backend knows.
    Runs,
    /// It is paused.
    Paused,
    /// Nothing has its name any more.
    Deleted,
    /// Another sandbox has its name.
    Replaced,
    /// The machine it runs on does not answer.
    Unreachable,
    /// Its first process ended.
    Ended(Option<Evidence>),
    /// The backend cannot tell.
    Unknown(String),
}

/// Looks once.
pub(crate) async fn look(backend: &dyn Backend, id: &Incarnation) -> Fate {
    let found = match backend.list(&Selector::name(id.name.clone())).await {
        Ok(found) => found,
        Err(error) => return Fate::Unknown(error.to_string()),
    };
    match found.iter().find(|info| info.incarnation.uid == id.uid) {
        Some(info) if info.state == SandboxState::Exited => match backend.evidence(id).await {
            Ok(evidence) => Fate::Ended(Some(evidence)),
            Err(error) if error.kind() == ErrorKind::NotFound => Fate::Deleted,
            Err(_) => Fate::Ended(None),
        },
        Some(info) if info.state == SandboxState::Unreachable => Fate::Unreachable,
        Some(info) if info.state == SandboxState::Paused => Fate::Paused,
        Some(_) => Fate::Runs,
        None if found.is_empty() => Fate::Deleted,
        None => Fate::Replaced,
    }
}

/// Looks until it is certain, or nothing new can be expected. What the backend says may be old: only an agent that
/// answers is certain to run.
pub(crate) async fn settled(backend: &dyn Backend, id: &Incarnation) -> Fate {
    let started = Instant::now();
    let mut ended_since = None;
    let mut pause = FIRST_PAUSE;
    loop {
        let fate = look(backend, id).await;
        let certain = match &fate {
            Fate::Deleted | Fate::Replaced | Fate::Unreachable | Fate::Paused => true,
            Fate::Ended(_) => ended_since.get_or_insert_with(Instant::now).elapsed() >= ENDED,
            Fate::Runs => answers(backend, id).await,
            Fate::Unknown(_) => false,
        };
        if certain || started.elapsed() >= LIMIT {
            return fate;
        }
        sleep(pause).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

async fn answers(backend: &dyn Backend, id: &Incarnation) -> bool {
    let connect = async { Client::connect(backend.open_stream(id).await?).await };
    matches!(timeout(ANSWER, connect).await, Ok(Ok(_)))
}

impl Fate {
    /// The error that says what `lost`, a broken stream, was a sign of. `ended` is the kind for a sandbox that ended.
    pub(crate) fn explain(&self, lost: Error, ended: ErrorKind) -> Error {
        let because =
            |kind, message: String| Error::new(kind, lost.operation(), message).outcome_is(lost.outcome());
        let error = match self {
            Self::Runs => return lost.hint("the sandbox is still there: what ran in it may still run"),
            Self::Unknown(why) => return lost.context("backend", why.as_str()),
            Self::Paused => because(ErrorKind::Paused, "the sandbox is paused".into())
                .hint("resume it: what ran in it goes on then"),
            Self::Deleted => because(ErrorKind::Deleted, "the sandbox was removed".into()),
            Self::Replaced => because(ErrorKind::Replaced, "another sandbox has its name now".into()),
            Self::Unreachable => because(
                ErrorKind::NodeLost,
                "the machine the sandbox runs on does not answer: what ran in it may still run".into(),
            ),
            Self::Ended(None) => because(ended, "the sandbox ended".into()),
            Self::Ended(Some(evidence)) if evidence.oom_killed => {
                let message = "the sandbox was killed: it used more memory than it may";
                witnessed(because(ErrorKind::OomKilled, message.into()), evidence)
                    .hint("give it more memory, or let it do less at once")
            }
            Self::Ended(Some(evidence)) => {
                let mut message = "the sandbox ended".to_owned();
                if let Some(code) = evidence.exit_code {
                    message += &format!(" with code {code}");
                }
                if let Some(why) = &evidence.message {
                    message += &format!(": {why}");
                }
                if let Some(line) = last_line(&evidence.log_tail) {
                    message += &format!("; its last words: {line}");
                }
                witnessed(because(ended, message), evidence)
            }
        };
        error.caused_by(lost)
    }
}

/// `error` with what was seen of the sandbox.
pub(crate) fn witnessed(error: Error, evidence: &Evidence) -> Error {
    let error = error.context("state", evidence.state.to_string());
    let error = match evidence.exit_code {
        Some(code) => error.context("exit_code", code.to_string()),
        None => error,
    };
    match tail(&evidence.log_tail) {
        "" => error,
        log => error.context("log", log),
    }
}

/// The end of a log: it was written from inside, so it may be long.
fn tail(log: &str) -> &str {
    let log = log.trim_end();
    &log[log.ceil_char_boundary(log.len().saturating_sub(LAST_WORDS))..]
}

/// The last line of a log, without what would confuse a terminal.
fn last_line(log: &str) -> Option<String> {
    let line = tail(log).lines().next_back()?;
    Some(line.chars().filter(|c| !c.is_control()).collect())
}
