//! Between the wire's types and the library's.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oh_runtime_api::{
    CommandId, CommandInfo, CommandSpec, CommandState, End, EntryKind, Error, ErrorKind, FileEntry, Finished,
    OomScope, Outcome, Owner, RlimitResource, Usage,
};

use crate::protocol::{
    self, Command, CommandEntry, EndReport, Entry, Failure, FailureKind, Kind, TerminalSize, WireEnd,
    WireOwner,
};

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
        user: spec.user.map(String::into_bytes),
        umask: spec.umask,
        rlimits: spec.rlimits.into_iter().map(rlimit).collect(),
        terminal: spec.terminal.map(size),
        background: spec.background,
    }
}

pub(super) const fn size(size: oh_runtime_api::TerminalSize) -> TerminalSize {
    TerminalSize { rows: size.rows, columns: size.columns }
}

/// The numbers are Linux's own, on every architecture the agent is built for.
fn rlimit(limit: oh_runtime_api::Rlimit) -> protocol::Rlimit {
    let resource = match limit.resource {
        RlimitResource::Cpu => 0,
        RlimitResource::FileSize => 1,
        RlimitResource::Data => 2,
        RlimitResource::Stack => 3,
        RlimitResource::Core => 4,
        RlimitResource::Processes => 6,
        RlimitResource::OpenFiles => 7,
        RlimitResource::LockedMemory => 8,
        RlimitResource::AddressSpace => 9,
    };
    let value = |value: Option<u64>| value.unwrap_or(u64::MAX);
    protocol::Rlimit { resource, soft: value(limit.soft), hard: value(limit.hard) }
}

fn end(end: WireEnd) -> End {
    match end {
        WireEnd::Exited(code) => End::Exited(code),
        WireEnd::Signaled(signal) => End::Signaled(signal),
        WireEnd::TimedOut => End::TimedOut,
        WireEnd::Cancelled => End::Cancelled,
        WireEnd::OomKilled => End::OomKilled(OomScope::Process),
    }
}

pub(super) fn finished(report: EndReport) -> Finished {
    let used = report.usage;
    let children =
        |micros: fn(protocol::ChildrenUsage) -> u64| used.children.map(micros).map(Duration::from_micros);
    let usage = Usage {
        user: children(|used| used.user_us),
        system: children(|used| used.system_us),
        max_rss: used.children.map(|used| used.max_rss),
        // An agent that can still tell was not taken with the rest.
        oom: used.oom_kills.filter(|&kills| kills > 0).map(|_| OomScope::Process),
        throttled: used.throttled_us.map(Duration::from_micros),
        blocked: Duration::from_micros(used.blocked_us),
    };
    let wall = Duration::from_micros(report.wall_us);
    Finished { end: end(report.end), wall, leaked: report.leaked, usage }
}

pub(super) fn command_info(boot: u128, entry: CommandEntry) -> CommandInfo {
    CommandInfo {
        id: CommandId { boot, sequence: entry.sequence },
        program: OsString::from_vec(entry.program),
        age: Duration::from_micros(entry.age_us),
        state: match (entry.running, entry.end) {
            (true, _) => CommandState::Running,
            (false, Some(how)) => CommandState::Ended(end(how)),
            (false, None) => CommandState::Lost,
        },
        attached: entry.attached,
        stdout: entry.stdout,
        stderr: entry.stderr,
    }
}

pub(super) fn entry(entry: Entry) -> FileEntry {
    let (seconds, nanos) = entry.mtime;
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
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
        // One that no clock can show is none.
        modified: time
            .and_then(|time| time.checked_add(Duration::from_nanos(nanos.into())))
            .unwrap_or(UNIX_EPOCH),
        uid: entry.uid,
        gid: entry.gid,
        target: entry.target.map(|target| OsString::from_vec(target).into()),
    }
}

/// Of a time since 1970.
pub(super) fn mtime(time: SystemTime) -> Option<(u64, u32)> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some((since.as_secs(), since.subsec_nanos()))
}

pub(super) fn owner(owner: &Owner) -> WireOwner {
    match owner {
        Owner::Receiver => WireOwner::Agent,
        Owner::Same => WireOwner::Archived,
        Owner::Named(name) => WireOwner::Named(name.clone().into_bytes()),
    }
}

pub(super) fn selection(wanted: &oh_runtime_api::Selection) -> protocol::Selection {
    protocol::Selection { include: wanted.include.clone(), exclude: wanted.exclude.clone() }
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
        FailureKind::ExecBadUser => ErrorKind::ExecBadUser,
        FailureKind::CommandNotFound => ErrorKind::CommandNotFound,
        FailureKind::TakenOver => ErrorKind::TakenOver,
        FailureKind::ExecLost => ErrorKind::Internal,
        FailureKind::TransferNotFound => ErrorKind::TransferNotFound,
        FailureKind::TransferDenied => ErrorKind::TransferDenied,
        FailureKind::TransferNoSpace => ErrorKind::TransferNoSpace,
        FailureKind::TransferUnsafe => ErrorKind::TransferUnsafe,
        FailureKind::TransferChecksum => ErrorKind::TransferChecksum,
        FailureKind::TransferFailed => ErrorKind::TransferFailed,
        FailureKind::Cancelled => ErrorKind::Cancelled,
        FailureKind::Protocol => ErrorKind::Protocol,
        FailureKind::ConnectRefused => ErrorKind::ConnectRefused,
        FailureKind::ConnectFailed => ErrorKind::ConnectFailed,
        FailureKind::ConnectReset => ErrorKind::ConnectReset,
    };
    let started = matches!(
        failure.kind,
        FailureKind::ExecLost
            | FailureKind::CommandNotFound
            | FailureKind::TakenOver
            | FailureKind::TransferNoSpace
            | FailureKind::TransferUnsafe
            | FailureKind::TransferChecksum
            | FailureKind::TransferFailed
            | FailureKind::Cancelled
            | FailureKind::ConnectReset
    );
    let outcome = if started { Outcome::Unknown } else { Outcome::NotStarted };
    Error::new(kind, operation, failure.message).outcome_is(outcome)
}
