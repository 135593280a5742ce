//! Between the wire's types and the library's.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::Duration;

use oh_runtime_api::{CommandSpec, End, EntryKind, Error, ErrorKind, FileEntry, Finished, OomScope, Outcome};

use crate::protocol::{Command, EndReport, Entry, Failure, FailureKind, Kind, WireEnd};

pub(super) fn path(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

pub(super) fn command(spec: CommandSpec) -> Command {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Command {
        argv: spec.argv.into_iter().map(OsStringExt::into_vec).collect(),
        env: spec.env.into_iter().map(|(name, value)| (name.into_vec(), value.into_vec())).collect(),
        cwd: spec.cwd.map(|cwd| cwd.into_os_string().into_vec()),
        stdin: spec.stdin,
        timeout_ms: spec.timeout.map(millis),
        grace_ms: millis(spec.grace),
    }
}

pub(super) fn finished(report: EndReport) -> Finished {
    let end = match report.end {
        WireEnd::Exited(code) => End::Exited(code),
        WireEnd::Signaled(signal) => End::Signaled(signal),
        WireEnd::TimedOut => End::TimedOut,
        WireEnd::Cancelled => End::Cancelled,
        WireEnd::OomKilled => End::OomKilled(OomScope::Process),
    };
    Finished { end, wall: Duration::from_micros(report.wall_us), leaked: report.leaked }
}

pub(super) fn entry(entry: Entry) -> FileEntry {
    FileEntry {
        name: OsString::from_vec(entry.name),
        kind: match entry.kind {
            Kind::File => EntryKind::File,
            Kind::Directory => EntryKind::Directory,
            Kind::Symlink => EntryKind::Symlink,
            Kind::Other => EntryKind::Other,
        },
        size: entry.size,
        mode: entry.mode,
    }
}

pub(super) fn failure(failure: Failure, operation: &str) -> Error {
    let kind = match failure.kind {
        FailureKind::ExecNotFound => ErrorKind::ExecNotFound,
        FailureKind::ExecNotExecutable => ErrorKind::ExecNotExecutable,
        FailureKind::ExecBadFormat => ErrorKind::ExecBadFormat,
        FailureKind::ExecBadCwd => ErrorKind::ExecBadCwd,
        FailureKind::ExecTooBig => ErrorKind::ExecTooBig,
        FailureKind::ExecNoResources => ErrorKind::ExecNoResources,
        FailureKind::ExecInvalid => ErrorKind::ExecInvalid,
        FailureKind::ExecLost => ErrorKind::Internal,
        FailureKind::TransferNotFound => ErrorKind::TransferNotFound,
        FailureKind::TransferDenied => ErrorKind::TransferDenied,
        FailureKind::TransferNoSpace => ErrorKind::TransferNoSpace,
        FailureKind::TransferUnsafe => ErrorKind::TransferUnsafe,
        FailureKind::TransferFailed => ErrorKind::TransferFailed,
        FailureKind::Cancelled => ErrorKind::Cancelled,
        FailureKind::Protocol => ErrorKind::Protocol,
    };
    let started = matches!(
        failure.kind,
        FailureKind::ExecLost
            | FailureKind::TransferNoSpace
            | FailureKind::TransferUnsafe
            | FailureKind::TransferFailed
            | FailureKind::Cancelled
    );
    let outcome = if started { Outcome::Unknown } else { Outcome::NotStarted };
    Error::new(kind, operation, failure.message).outcome_is(outcome)
}
