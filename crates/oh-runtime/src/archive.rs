//! Our side of a tar stream: `oh_agent::archive`, with errors that say what they mean here.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use oh_agent::archive::{self, Filter, Limits, Owner, Stopped, Target};
use oh_runtime_api::{Error, ErrorKind, Result, Selection};

use crate::channel::Writer;
use crate::copy::{CopyReport, host_error};
use crate::ext::stream_error;

/// How much is accepted of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyLimits {
    /// Most files, folders and links.
    pub entries: u64,
    /// Most bytes, counting what describes the entries.
    pub bytes: u64,
}

impl Default for CopyLimits {
    /// A million entries, 64 GiB.
    fn default() -> Self {
        Self { entries: 1_000_000, bytes: 64 << 30 }
    }
}

/// Unpacks an archive of the one file or folder `name`, which becomes `target`. Its folder has to exist. A target
/// folder that exists is filled, a target file replaced.
pub(crate) fn unpack(
    stream: impl Read,
    name: &OsStr,
    target: &Path,
    owner: Owner,
    limits: CopyLimits,
) -> Result<CopyReport> {
    let limits = Limits { entries: limits.entries, bytes: limits.bytes };
    let report = archive::unpack(stream, Target::As { top: name, path: target }, owner, limits)
        .map_err(|stopped| told(stopped, "the sandbox sent"))?;
    if report.entries == 0 {
        return Err(Error::new(ErrorKind::Protocol, "copy", "the agent sent an empty archive"));
    }
    Ok(report.into())
}

/// Packs a file or folder as `name`; links are not followed. `None` when nobody reads it any more.
pub(crate) fn pack(
    source: &Path,
    name: PathBuf,
    filter: &Filter,
    writer: Writer,
) -> Result<Option<CopyReport>> {
    match archive::pack(source, name, filter, writer) {
        Ok((report, writer)) => Ok(writer.finish().is_ok().then(|| report.into())),
        Err(Stopped::Stream(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(None),
        Err(stopped) => Err(told(stopped, "there are")),
    }
}

/// The patterns as they are used.
pub(crate) fn filter(wanted: &Selection) -> Result<Filter> {
    Filter::new(&wanted.include, &wanted.exclude).map_err(|bad| {
        let message = format!("the pattern {:?} cannot be used: {}", bad.pattern, bad.reason);
        Error::new(ErrorKind::Config, "copy", message)
    })
}

fn told(stopped: Stopped, who: &str) -> Error {
    match stopped {
        Stopped::Path(path, error) => host_error(&path, error),
        Stopped::Stream(error) => stream_error("copy", error),
        Stopped::Unsafe(name, why) => {
            let name = String::from_utf8_lossy(&name);
            let message = format!("{name:?} was sent, which must not be unpacked: {why}");
            Error::new(ErrorKind::TransferUnsafe, "copy", message)
        }
        Stopped::TooMuch(what, limit) => {
            Error::new(ErrorKind::TransferUnsafe, "copy", format!("{who} more than {limit} {what}"))
        }
    }
}

impl From<archive::Report> for CopyReport {
    fn from(report: archive::Report) -> Self {
        Self { entries: report.entries, bytes: report.bytes }
    }
}
