//! What went wrong, as the user sees it: one value for every library's errors, shown for people or as JSON.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;

use oh_config::ConfigError;
use oh_eval::run::{EvalError, EvalErrorKind};
use oh_runtime::{End, Error, ErrorKind, Outcome, Retry};
use serde_json::{Value, json};

use crate::output::printable;
use crate::signals::Signal;

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Where a failure comes from; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// What the libraries below say.
    Sandbox(ErrorKind),
    /// The arguments are wrong.
    Usage,
    /// A file or stream of this machine.
    Local,
    /// Whoever read our output closed it: nobody is left to be told.
    OutputClosed,
    /// We were asked to end.
    Interrupted(Signal),
}

impl Cause {
    fn name(self) -> &'static str {
        match self {
            Self::Sandbox(kind) => kind.name(),
            Self::Usage => "usage",
            Self::Local => "local_io",
            Self::OutputClosed => "output_closed",
            Self::Interrupted(_) => "interrupted",
        }
    }
}

/// A failure of `oh`. Boxed, because it is large and rare.
#[derive(Debug)]
pub(crate) struct Failure(Box<Inner>);

#[derive(Debug)]
struct Inner {
    cause: Cause,
    operation: String,
    message: String,
    hint: Option<String>,
    sources: Vec<String>,
    facts: Vec<(&'static str, String)>,
    outcome: Outcome,
    retry: Retry,
}

impl Failure {
    /// A failure of ours in `operation` ("copy files"), caused by `message`.
    pub(crate) fn new(cause: Cause, operation: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            cause,
            operation: operation.into(),
            message: message.into(),
            hint: None,
            sources: Vec::new(),
            facts: Vec::new(),
            outcome: Outcome::NotStarted,
            retry: Retry::Never,
        }))
    }

    /// The arguments are wrong.
    pub(crate) fn usage(operation: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Cause::Usage, operation, message)
    }

    /// Standard output could not be written.
    pub(crate) fn output(error: &io::Error) -> Self {
        let cause =
            if error.kind() == io::ErrorKind::BrokenPipe { Cause::OutputClosed } else { Cause::Local };
        Self::new(cause, "write to standard output", error.to_string())
    }

    /// We were asked to end, in the middle of `operation`.
    pub(crate) fn interrupted(operation: impl Into<String>, signal: Signal) -> Self {
        Self::new(Cause::Interrupted(signal), operation, format!("interrupted by {signal}"))
    }

    /// Says what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Keeps the chain of errors that led to this one.
    pub(crate) fn caused_by(mut self, error: Option<&(dyn StdError + 'static)>) -> Self {
        self.0.sources =
            std::iter::successors(error, |error| StdError::source(*error)).map(ToString::to_string).collect();
        self
    }

    /// Where it comes from.
    pub(crate) fn cause(&self) -> Cause {
        self.0.cause
    }

    /// For people; `facts` adds every detail known. Several lines, without the last line's end.
    pub(crate) fn text(&self, facts: bool) -> String {
        let inner = &self.0;
        let mut text = format!("failed to {}: {}", inner.operation, inner.message);
        for source in &inner.sources {
            // Messages often end with their cause.
            if !text.contains(source) {
                let _ = write!(text, "\n  caused by: {source}");
            }
        }
        for (name, value) in inner.facts.iter().filter(|_| facts) {
            let _ = write!(text, "\n  {name}: {value}");
        }
        if inner.outcome == Outcome::Unknown {
            text.push_str("\nnote: it may have happened all the same, in part or whole");
        }
        if let Some(hint) = &inner.hint {
            let _ = write!(text, "\nhint: {hint}");
        }
        printable(&text).into_owned()
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let inner = &self.0;
        let facts: serde_json::Map<_, _> =
            inner.facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        json!({
            "kind": inner.cause.name(),
            "operation": inner.operation,
            "message": inner.message,
            "hint": inner.hint,
            "causes": inner.sources,
            "context": facts,
            "outcome": match inner.outcome {
                Outcome::NotStarted => json!("not_started"),
                Outcome::Unknown => json!("unknown"),
                Outcome::Finished(end) => end_json(end),
            },
            "retry": match inner.retry {
                Retry::Never => "never",
                Retry::Later => "later",
            },
        })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let facts = error.facts().map(|(name, value)| (name, value.to_owned())).collect();
        let mut this = Self::new(Cause::Sandbox(error.kind()), error.operation(), error.message())
            .caused_by(StdError::source(&error));
        this.0.hint = error.hint_text().map(ToOwned::to_owned);
        this.0.facts = facts;
        this.0.outcome = error.outcome();
        this.0.retry = error.retry();
        this
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Cause::Sandbox(ErrorKind::Config), "read the configuration", error.to_string())
    }
}

impl From<EvalError> for Failure {
    fn from(error: EvalError) -> Self {
        let error = match error {
            EvalError::Runtime(error) => return error.into(),
            error => error,
        };
        let cause = match error.kind() {
            EvalErrorKind::Input => Cause::Sandbox(ErrorKind::Config),
            EvalErrorKind::Files => Cause::Local,
            EvalErrorKind::Interrupted => Cause::Sandbox(ErrorKind::Cancelled),
            EvalErrorKind::Backend => Cause::Sandbox(ErrorKind::Internal),
        };
        Self::new(cause, error.operation(), error.to_string()).caused_by(error.source())
    }
}

/// How a command ended, for programs.
pub(crate) fn end_json(end: End) -> Value {
    match end {
        End::Exited(code) => json!({"kind": "exited", "code": code}),
        End::Signaled(signal) => json!({"kind": "signaled", "signal": signal}),
        End::TimedOut => json!({"kind": "timed_out"}),
        End::Cancelled => json!({"kind": "cancelled"}),
        End::OomKilled(scope) => json!({"kind": "oom_killed", "scope": scope}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> Failure {
        Error::new(ErrorKind::StreamLost, "run a command in sandbox a", "the stream broke")
            .hint("look at `oh logs a`")
            .context("backend", "docker")
            .outcome_is(Outcome::Unknown)
            .caused_by(io::Error::other("bad \u{1b}[31mfd"))
            .into()
    }

    #[test]
    fn text_has_the_cause_the_outcome_and_the_hint_on_lines_of_their_own() {
        assert_eq!(
            lost().text(true),
            "failed to run a command in sandbox a: the stream broke\n  caused by: bad \\u{1b}[31mfd\n  \
             backend: docker\nnote: it may have happened all the same, in part or whole\nhint: look at `oh logs a`"
        );
        assert!(!lost().text(false).contains("docker"));
    }

    #[test]
    fn json_has_every_field() {
        let json = lost().json();
        assert_eq!(json["kind"], "stream_lost");
        assert_eq!(json["outcome"], "unknown");
        assert_eq!(json["retry"], "later");
        assert_eq!(json["context"]["backend"], "docker");
        let failure = Failure::usage("copy files", "both are files of this machine");
        assert_eq!(failure.json()["hint"], Value::Null);
        assert_eq!(failure.json()["kind"], "usage");
    }
}
