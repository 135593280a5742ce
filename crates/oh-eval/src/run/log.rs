//! The log of one instance, `run_instance.log`.

use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Appends lines to an instance's log. A log that cannot be written does not stop the instance.
#[derive(Debug)]
pub(super) struct InstanceLog(Option<File>);

impl InstanceLog {
    pub(super) fn create(path: &Path) -> Self {
        let file = File::create(path);
        if let Err(error) = &file {
            tracing::warn!("failed to write {}: {error}", path.display());
        }
        Self(file.ok())
    }

    pub(super) fn line(&mut self, line: impl AsRef<str>) {
        if let Some(file) = &mut self.0 {
            let _ = writeln!(file, "{}", line.as_ref().trim_end());
        }
    }
}
