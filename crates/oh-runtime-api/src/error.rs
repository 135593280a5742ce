//! What went wrong.

use std::fmt;

use crate::Outcome;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong, as a decision a caller can take. A backend's own detail is in the message and the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The image, or its tag, does not exist.
    ImageNotFound,
    /// The registry refuses the image to us.
    ImageDenied,
    /// The registry allows no more pulls for now.
    ImageRateLimited,
    /// The registry cannot be reached.
    RegistryUnavailable,
    /// The image is for another platform.
    WrongPlatform,
    /// The image's name is malformed.
    ImageInvalid,
    /// No room left where the sandbox or its image is stored.
    NoSpace,
    /// No node has room for the sandbox, or may take it.
    Unschedulable,
    /// More was asked for than may be used.
    Quota,
    /// A rule of the backend's forbids such a sandbox.
    AdmissionRefused,
    /// The backend ignored a part of what it was asked for.
    FieldDropped,
    /// The agent could not be put into the sandbox this way, or not be executed there, or is another one.
    DeliveryFailed,
    /// The backend could not start the sandbox.
    StartFailed,
    /// The sandbox ended before it could be used.
    EndedBeforeReady,
    /// The sandbox ended while it was in use.
    Ended,
    /// The sandbox was killed for want of memory.
    OomKilled,
    /// The sandbox was thrown off its node, for instance for want of disk.
    Evicted,
    /// The node the sandbox is on does not answer any more.
    NodeLost,
    /// The sandbox was removed by somebody.
    Deleted,
    /// No sandbox of this name exists.
    NotFound,
    /// Another sandbox of this name exists.
    Conflict,
    /// The time allowed for it is over.
    Deadline,
    /// The command's program does not exist.
    ExecNotFound,
    /// The command's program may not be executed.
    ExecNotExecutable,
    /// The command's program is in a format the kernel does not know.
    ExecBadFormat,
    /// The command's working folder does not exist or may not be entered.
    ExecBadCwd,
    /// The command's arguments and environment are larger than the kernel takes.
    ExecTooBig,
    /// No process can be started: the limit of processes or memory is reached.
    ExecNoResources,
    /// The command is malformed, for instance has no program.
    ExecInvalid,
    /// A command cannot run as the user it asks for: the image has no such user, or the sandbox may not change users.
    ExecBadUser,
    /// The sandbox has no such command: it never had, its end was fetched, or it was forgotten.
    CommandNotFound,
    /// Somebody else attached to the command. It goes on.
    TakenOver,
    /// The byte stream to the sandbox broke. What ran may still run.
    StreamLost,
    /// The sandbox is paused: nothing in it goes on until it is resumed.
    Paused,
    /// The sandbox's agent is not the one the request was meant for.
    Restarted,
    /// The sandbox was replaced by another of the same name.
    Replaced,
    /// Agent and harness speak different versions of the protocol.
    Version,
    /// The other side of the stream broke the protocol.
    Protocol,
    /// A path to read or copy does not exist.
    TransferNotFound,
    /// A path may not be read or written.
    TransferDenied,
    /// No room left where a file is written.
    TransferNoSpace,
    /// An archive holds what must not be unpacked.
    TransferUnsafe,
    /// What arrived of a file or tree is not what was sent.
    TransferChecksum,
    /// A file could not be read or written for another reason.
    TransferFailed,
    /// Nothing listens where a connection in the sandbox was to lead.
    ConnectRefused,
    /// There can be no such connection in the sandbox, for another reason.
    ConnectFailed,
    /// A connection in the sandbox broke: its peer reset it.
    ConnectReset,
    /// The configuration or the request cannot be right.
    Config,
    /// We may not do this.
    Forbidden,
    /// The backend itself cannot be reached.
    Unavailable,
    /// The backend cannot do this.
    Unsupported,
    /// The caller gave up.
    Cancelled,
    /// A fault of ours, or an answer nobody has seen before.
    Internal,
}

/// Whether doing the same again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// It fails again until something is changed.
    Never,
    /// It may work later.
    Later,
}

impl ErrorKind {
    /// Snake-case name, as JSON output has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ImageNotFound => "image_not_found",
            Self::ImageDenied => "image_denied",
            Self::ImageRateLimited => "image_rate_limited",
            Self::RegistryUnavailable => "registry_unavailable",
            Self::WrongPlatform => "wrong_platform",
            Self::ImageInvalid => "image_invalid",
            Self::NoSpace => "no_space",
            Self::Unschedulable => "unschedulable",
            Self::Quota => "quota",
            Self::AdmissionRefused => "admission_refused",
            Self::FieldDropped => "field_dropped",
            Self::DeliveryFailed => "delivery_failed",
            Self::StartFailed => "start_failed",
            Self::EndedBeforeReady => "ended_before_ready",
            Self::Ended => "ended",
            Self::OomKilled => "oom_killed",
            Self::Evicted => "evicted",
            Self::NodeLost => "node_lost",
            Self::Deleted => "deleted",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Deadline => "deadline",
            Self::ExecNotFound => "exec_not_found",
            Self::ExecNotExecutable => "exec_not_executable",
            Self::ExecBadFormat => "exec_bad_format",
            Self::ExecBadCwd => "exec_bad_cwd",
            Self::ExecTooBig => "exec_too_big",
            Self::ExecNoResources => "exec_no_resources",
            Self::ExecInvalid => "exec_invalid",
            Self::ExecBadUser => "exec_bad_user",
            Self::CommandNotFound => "command_not_found",
            Self::TakenOver => "taken_over",
            Self::StreamLost => "stream_lost",
            Self::Paused => "paused",
            Self::Restarted => "restarted",
            Self::Replaced => "replaced",
            Self::Version => "version",
            Self::Protocol => "protocol",
            Self::TransferNotFound => "transfer_not_found",
            Self::TransferDenied => "transfer_denied",
            Self::TransferNoSpace => "transfer_no_space",
            Self::TransferUnsafe => "transfer_unsafe",
            Self::TransferChecksum => "transfer_checksum",
            Self::TransferFailed => "transfer_failed",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectReset => "connect_reset",
            Self::Config => "config",
            Self::Forbidden => "forbidden",
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }

    /// Whether the same request may work later without anybody changing anything.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self {
            Self::ImageRateLimited
            | Self::RegistryUnavailable
            | Self::NoSpace
            | Self::Unschedulable
            | Self::Quota
            | Self::Evicted
            | Self::NodeLost
            | Self::Ended
            | Self::Deleted
            | Self::Deadline
            | Self::ExecNoResources
            | Self::StreamLost
            | Self::Restarted
            | Self::Replaced
            | Self::TransferNoSpace
            | Self::TransferChecksum
            | Self::ConnectRefused
            | Self::ConnectReset
            | Self::Unavailable => Retry::Later,
            _ => Retry::Never,
        }
    }
}

/// An error: what failed, why, whether it happened all the same, and what to do.
///
/// `Display` is one line that fits behind "failed to": the operation, the cause, and the hint in parentheses. `Debug`
/// shows everything. The [source](std::error::Error::source) is not part of `Display`.
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    operation: String,
    message: String,
    hint: Option<String>,
    context: Vec<(&'static str, String)>,
    outcome: Outcome,
    source: Option<Source>,
}

impl Error {
    /// An error of `kind` in `operation` ("create sandbox a"), caused by `message`; its outcome is
    /// [`Outcome::NotStarted`] until said otherwise.
    pub fn new(kind: ErrorKind, operation: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            operation: operation.into(),
            message: message.into(),
            hint: None,
            context: Vec::new(),
            outcome: Outcome::NotStarted,
            source: None,
        }))
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds a fact, shown by `Debug` and in JSON output.
    #[must_use]
    pub fn context(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.0.context.push((key, value.into()));
        self
    }

    /// Says whether it happened all the same.
    #[must_use]
    pub fn outcome_is(mut self, outcome: Outcome) -> Self {
        self.0.outcome = outcome;
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error, seen from the operation the caller asked for.
    #[must_use]
    pub fn in_operation(mut self, operation: impl Into<String>) -> Self {
        self.0.operation = operation.into();
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What is known of the operation that failed.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// Whether doing the same again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.0.kind.retry()
    }

    /// What was being done.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// The cause, without operation and hint.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do about it.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The facts added to it, in order.
    pub fn facts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(key, value)| (*key, value.as_str()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.operation, self.0.message)?;
        match &self.0.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_one_line_that_fits_behind_failed_to() {
        let error = Error::new(ErrorKind::ImageNotFound, "create sandbox a", "image x:1 does not exist")
            .hint("build it with `cargo xtask images`")
            .caused_by(std::io::Error::other("404"));
        assert_eq!(
            error.to_string(),
            "create sandbox a: image x:1 does not exist (build it with `cargo xtask images`)"
        );
        assert!(std::error::Error::source(&error).is_some());
        assert_eq!(error.retry(), Retry::Never);
    }
}
