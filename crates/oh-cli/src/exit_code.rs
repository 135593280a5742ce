//! Every exit code of `oh`, in one place. `docs/reference/exit-codes.md` is made from the tables here.
//!
//! A code keeps its meaning for ever: new meanings get new codes.

use std::fmt::{self, Write as _};

use oh_runtime::{End, ErrorKind};

use crate::failure::Cause;
use crate::signals::Signal;

/// Everything went well.
pub(crate) const OK: u8 = 0;
/// A fault of ours, or an answer nobody has seen before.
pub(crate) const UNEXPECTED: u8 = 1;
const USAGE: u8 = 2;
const LOCAL: u8 = 11;
/// The evaluation is complete, but some instances have no result.
pub(crate) const INSTANCES: u8 = 10;

/// The command ran into `--timeout`, as `timeout` reports it.
const TIMED_OUT: u8 = 124;
/// `oh` itself failed, as `docker run` reports it.
const FAILED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;
/// What a shell adds to the number of the signal that ended a program.
const SIGNAL_BASE: u8 = 128;
const SIGKILL: u8 = 9;
const SIGPIPE: u8 = 13;

/// One row of the documentation.
pub(crate) struct Row {
    /// The code, or the rule for it.
    pub(crate) code: Code,
    /// When it is returned.
    pub(crate) meaning: &'static str,
    /// The kinds of failure that lead to it.
    pub(crate) kinds: &'static [ErrorKind],
}

/// A code as the documentation has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// This number.
    Is(u8),
    /// 128 and n, the number of a signal.
    Signal,
    /// The command's own.
    Command,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(code) => code.fmt(f),
            Self::Signal => f.write_str("128 + n"),
            Self::Command => f.write_str("0 to 255"),
        }
    }
}

const fn row(code: u8, meaning: &'static str, kinds: &'static [ErrorKind]) -> Row {
    Row { code: Code::Is(code), meaning, kinds }
}

/// The codes of every command but `run`, `exec` and `shell`.
pub(crate) const OWN: &[Row] = &[
    row(OK, "Success. For `oh eval run`: every instance has a result, be it resolved or not.", &[]),
    row(UNEXPECTED, "A fault of `oh`, or an answer nobody has seen before.", &[ErrorKind::Internal]),
    row(USAGE, "The arguments are wrong.", &[]),
    row(3, "The configuration or an input file is wrong.", &[ErrorKind::Config]),
    row(
        4,
        "The backend cannot be reached, refuses, or cannot do this.",
        &[ErrorKind::Unavailable, ErrorKind::Forbidden, ErrorKind::Unsupported],
    ),
    row(5, "No sandbox has this name.", &[ErrorKind::NotFound]),
    row(6, "Another sandbox has this name.", &[ErrorKind::Conflict]),
    row(
        7,
        "The image cannot be had.",
        &[
            ErrorKind::ImageNotFound,
            ErrorKind::ImageDenied,
            ErrorKind::ImageRateLimited,
            ErrorKind::ImageInvalid,
            ErrorKind::RegistryUnavailable,
            ErrorKind::WrongPlatform,
        ],
    ),
    row(
        8,
        "The sandbox did not start, ended, or cannot be talked to.",
        &[
            ErrorKind::NoSpace,
            ErrorKind::Unschedulable,
            ErrorKind::Quota,
            ErrorKind::AdmissionRefused,
            ErrorKind::FieldDropped,
            ErrorKind::DeliveryFailed,
            ErrorKind::StartFailed,
            ErrorKind::EndedBeforeReady,
            ErrorKind::Ended,
            ErrorKind::OomKilled,
            ErrorKind::Evicted,
            ErrorKind::NodeLost,
            ErrorKind::Deleted,
            ErrorKind::Deadline,
            ErrorKind::StreamLost,
            ErrorKind::Paused,
            ErrorKind::Restarted,
            ErrorKind::Replaced,
            ErrorKind::Version,
            ErrorKind::Protocol,
            ErrorKind::ExecNotFound,
            ErrorKind::ExecNotExecutable,
            ErrorKind::ExecBadFormat,
            ErrorKind::ExecBadCwd,
            ErrorKind::ExecTooBig,
            ErrorKind::ExecNoResources,
            ErrorKind::ExecInvalid,
            ErrorKind::ExecBadUser,
            ErrorKind::CommandNotFound,
            ErrorKind::TakenOver,
            ErrorKind::ConnectRefused,
            ErrorKind::ConnectFailed,
            ErrorKind::ConnectReset,
        ],
    ),
    row(
        9,
        "Files could not be copied.",
        &[
            ErrorKind::TransferNotFound,
            ErrorKind::TransferDenied,
            ErrorKind::TransferNoSpace,
            ErrorKind::TransferUnsafe,
            ErrorKind::TransferChecksum,
            ErrorKind::TransferFailed,
        ],
    ),
    row(INSTANCES, "Every instance was tried, but some ended in an error of the infrastructure.", &[]),
    row(LOCAL, "A file or stream of this machine could not be read or written.", &[]),
    Row {
        code: Code::Signal,
        meaning: "Signal n interrupted `oh`, or is 13: its output was closed.",
        kinds: &[ErrorKind::Cancelled],
    },
];

/// The codes of `run`, `exec` and `shell`.
pub(crate) const COMMAND: &[Row] = &[
    Row { code: Code::Command, meaning: "The command exited with this code.", kinds: &[] },
    row(TIMED_OUT, "The command ran into `--timeout` and was killed.", &[]),
    row(FAILED, "`oh` itself failed; the error's kind says how.", &[]),
    row(
        NOT_EXECUTABLE,
        "The command's program exists and cannot be executed.",
        &[ErrorKind::ExecNotExecutable, ErrorKind::ExecBadFormat, ErrorKind::ExecTooBig],
    ),
    row(NOT_FOUND, "The command's program does not exist.", &[ErrorKind::ExecNotFound]),
    Row {
        code: Code::Signal,
        meaning: "Signal n killed the command or interrupted `oh`, or is 13: `oh`'s output was closed.",
        kinds: &[ErrorKind::Cancelled, ErrorKind::OomKilled],
    },
];

/// Help text: `example`, and the codes of `table`.
pub(crate) fn help(example: &str, table: &[Row]) -> String {
    let mut help = format!("{example}\n\nExit codes:");
    for row in table {
        let _ = write!(help, "\n  {:<9} {}", row.code.to_string(), row.meaning.replace('`', ""));
    }
    help
}

/// What a command's code is made of. `run`, `exec` and `shell` hand on codes of others, so their own are few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every command but `run`, `exec` and `shell`.
    Own,
    /// `run`, `exec` and `shell`.
    Command,
}

/// The code of a failure.
pub(crate) fn of_failure(scope: Scope, cause: Cause) -> u8 {
    match cause {
        Cause::Interrupted(signal) => of_signal(signal),
        Cause::OutputClosed => SIGNAL_BASE + SIGPIPE,
        Cause::Sandbox(ErrorKind::Cancelled) => of_signal(Signal::Interrupt),
        Cause::Sandbox(ErrorKind::OomKilled) if scope == Scope::Command => SIGNAL_BASE + SIGKILL,
        Cause::Sandbox(kind) => {
            let (table, otherwise) = match scope {
                Scope::Own => (OWN, UNEXPECTED),
                Scope::Command => (COMMAND, FAILED),
            };
            let found = table.iter().find(|row| row.kinds.contains(&kind));
            found.map_or(otherwise, |row| if let Code::Is(code) = row.code { code } else { otherwise })
        }
        Cause::Usage | Cause::Local if scope == Scope::Command => FAILED,
        Cause::Usage => USAGE,
        Cause::Local => LOCAL,
    }
}

/// The code of a command that ended; `interrupted` is the signal for which we cancelled it.
pub(crate) fn of_end(end: End, interrupted: Option<Signal>) -> u8 {
    match end {
        End::Exited(code) => u8::try_from(code).unwrap_or(FAILED),
        End::Signaled(signal) => {
            u8::try_from(signal).map_or(FAILED, |signal| SIGNAL_BASE.saturating_add(signal))
        }
        End::TimedOut => TIMED_OUT,
        End::Cancelled => interrupted.map_or(FAILED, of_signal),
        End::OomKilled(_) => SIGNAL_BASE + SIGKILL,
    }
}

/// The code after a signal to us.
pub(crate) const fn of_signal(signal: Signal) -> u8 {
    SIGNAL_BASE + signal.number()
}

#[cfg(test)]
mod tests {
    use oh_runtime::OomScope;

    use super::*;

    #[test]
    fn ends_of_commands_have_the_codes_of_docker_timeout_and_shells() {
        for (end, code) in [
            (End::Exited(0), 0),
            (End::Exited(255), 255),
            (End::Exited(-1), 125),
            (End::Signaled(11), 139),
            (End::Signaled(64), 192),
            (End::TimedOut, 124),
            (End::Cancelled, 143),
            (End::OomKilled(OomScope::Process), 137),
        ] {
            assert_eq!(of_end(end, Some(Signal::Terminate)), code, "{end}");
        }
    }

    #[test]
    fn failures_of_oh_are_not_mistaken_for_codes_of_commands() {
        use ErrorKind::{Cancelled, ExecNotFound, Internal, NotFound, OomKilled, StreamLost, TransferDenied};
        for (cause, own, command) in [
            (Cause::Usage, 2, 125),
            (Cause::Local, 11, 125),
            (Cause::OutputClosed, 141, 141),
            (Cause::Interrupted(Signal::Interrupt), 130, 130),
            (Cause::Interrupted(Signal::Hangup), 129, 129),
            (Cause::Sandbox(Internal), 1, 125),
            (Cause::Sandbox(NotFound), 5, 125),
            (Cause::Sandbox(StreamLost), 8, 125),
            (Cause::Sandbox(OomKilled), 8, 137),
            (Cause::Sandbox(ExecNotFound), 8, 127),
            (Cause::Sandbox(TransferDenied), 9, 125),
            (Cause::Sandbox(Cancelled), 130, 130),
        ] {
            assert_eq!(
                (of_failure(Scope::Own, cause), of_failure(Scope::Command, cause)),
                (own, command),
                "{cause:?}"
            );
        }
    }
}
