//! The reports of an instance and of a run: written as the reference writes them, read to go on with a run.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

use crate::dataset::Instance;
use crate::grading::InstanceReport;
use crate::infra::{InfraFailure, Tier, classify};
use crate::json::dumps;
use crate::paths::{BadName, InstanceFiles, RunTree, write_atomic};
use crate::predictions::Predictions;

/// The shape of [`RunReport`].
const SCHEMA_VERSION: u32 = 2;

/// Why a report cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file cannot be written.
    #[error("{} cannot be written (check the folder's permissions and free space)", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is there but cannot be read.
    #[error("{} cannot be read (check its permissions)", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A model or an instance cannot name its file.
    #[error(transparent)]
    Name(#[from] BadName),
}

/// The report of an instance that an earlier run may have left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// It has not been evaluated.
    Absent,
    /// There is a file, but not a whole report; why. As good as absent, but worth telling.
    Damaged(String),
    /// It is finished.
    Finished(Box<InstanceReport>),
}

/// Reads `report.json` of an instance.
///
/// # Errors
/// When the file is there but cannot be read.
pub fn read_instance(files: &InstanceFiles, instance_id: &str) -> Result<Stored, ReportError> {
    let Some(bytes) = read_if_there(&files.report())? else { return Ok(Stored::Absent) };
    Ok(match serde_json::from_slice::<BTreeMap<String, InstanceReport>>(&bytes) {
        Ok(mut reports) => match reports.remove(instance_id) {
            Some(report) => Stored::Finished(Box::new(report)),
            None => Stored::Damaged("it is the report of another instance".to_owned()),
        },
        Err(error) => Stored::Damaged(error.to_string()),
    })
}

/// Writes `report.json` of an instance, which makes it finished.
///
/// # Errors
/// When it cannot be written.
pub fn write_instance(
    files: &InstanceFiles,
    instance_id: &str,
    report: &InstanceReport,
) -> Result<(), ReportError> {
    write(&files.report(), &BTreeMap::from([(instance_id, report)]), "    ", "")
}

/// What tests printed, with a replacement character for what is no UTF-8.
///
/// # Errors
/// When the file cannot be read.
pub fn read_log(path: &Path) -> Result<String, ReportError> {
    let bytes = std::fs::read(path).map_err(|source| ReportError::Read { path: path.to_owned(), source })?;
    Ok(decode(bytes))
}

fn decode(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, ReportError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        // A path through a file is no report either; writing there will say what is wrong.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(ReportError::Read { path: path.to_owned(), source }),
    }
}

fn write(path: &Path, value: &impl Serialize, indent: &'static str, end: &str) -> Result<(), ReportError> {
    let written = dumps(value, indent).map_err(io::Error::from).and_then(|mut bytes| {
        bytes.extend_from_slice(end.as_bytes());
        write_atomic(path, &bytes)
    });
    written.map_err(|source| ReportError::Write { path: path.to_owned(), source })
}

/// What a run evaluates, as `run.json` keeps it, so that its logs can be graded again later.
#[derive(Debug, Clone, Serialize)]
pub struct RunMetadata {
    dataset: String,
    split: String,
    task_repo: Option<String>,
    created_at: String,
}

impl RunMetadata {
    /// A run on `dataset`, made at `now`. A file is one split, which the reference calls `test` unless told otherwise.
    #[must_use]
    pub fn new(dataset: &str, now: SystemTime) -> Self {
        let created_at = humantime::format_rfc3339_seconds(now).to_string().replace('Z', "+00:00");
        Self { dataset: dataset.to_owned(), split: "test".to_owned(), task_repo: None, created_at }
    }

    /// Writes `run.json`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, tree: &RunTree) -> Result<(), ReportError> {
        write(&tree.metadata(), self, "  ", "\n")
    }
}

/// The report of a run. Every instance that was asked for is in exactly one of `completed_ids`, `incomplete_ids`,
/// `empty_patch_ids` and `error_ids`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunReport {
    /// Instances that were asked for.
    pub total_instances: usize,
    /// Predictions, also those for other instances.
    pub submitted_instances: usize,
    /// Length of `completed_ids`.
    pub completed_instances: usize,
    /// Length of `resolved_ids`.
    pub resolved_instances: usize,
    /// Length of `unresolved_ids`.
    pub unresolved_instances: usize,
    /// Length of `infra_failure_ids`.
    pub infra_failure_instances: usize,
    /// Length of `ambiguous_failure_ids`.
    pub ambiguous_failure_instances: usize,
    /// Length of `empty_patch_ids`.
    pub empty_patch_instances: usize,
    /// Length of `error_ids`.
    pub error_instances: usize,
    /// Have a verdict.
    pub completed_ids: BTreeSet<String>,
    /// Have no prediction.
    pub incomplete_ids: BTreeSet<String>,
    /// Have an empty prediction.
    pub empty_patch_ids: BTreeSet<String>,
    /// Have a prediction, also those that were not asked for.
    pub submitted_ids: BTreeSet<String>,
    /// Completed and solved.
    pub resolved_ids: BTreeSet<String>,
    /// Completed and not solved.
    pub unresolved_ids: BTreeSet<String>,
    /// Unresolved or errors whose logs say that the environment broke.
    pub infra_failure_ids: BTreeSet<String>,
    /// Unresolved or errors whose logs say that the environment or the patch broke something.
    pub ambiguous_failure_ids: BTreeSet<String>,
    /// What the logs say, for the two before.
    pub failure_reasons: BTreeMap<String, &'static str>,
    /// Could not be evaluated.
    pub error_ids: BTreeSet<String>,
    /// Of this format.
    pub schema_version: u32,
    /// What the run left behind; absent when nobody looked.
    #[serde(flatten)]
    pub leftovers: Option<Leftovers>,
}

/// What a run left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leftovers {
    unstopped_instances: usize,
    unstopped_containers: BTreeSet<String>,
    unremoved_images: BTreeSet<String>,
}

impl Leftovers {
    /// Sandboxes that still exist, and images that were kept.
    #[must_use]
    pub fn new(sandboxes: BTreeSet<String>, images: BTreeSet<String>) -> Self {
        Self {
            unstopped_instances: sandboxes.len(),
            unstopped_containers: sandboxes,
            unremoved_images: images,
        }
    }
}

impl RunReport {
    /// Reads what a run has left in its tree about the instances that were asked for, `selected`.
    ///
    /// A damaged report makes its instance an error.
    ///
    /// # Errors
    /// When a report or log is there but cannot be read.
    pub fn collect(
        tree: &RunTree,
        selected: &[&Instance],
        predictions: &Predictions,
    ) -> Result<Self, ReportError> {
        let mut report = Self {
            total_instances: selected.len(),
            submitted_instances: predictions.iter().len(),
            submitted_ids: predictions.iter().map(|prediction| prediction.instance_id.clone()).collect(),
            schema_version: SCHEMA_VERSION,
            ..Self::default()
        };
        for instance in selected {
            let id = &instance.instance_id;
            let Some(prediction) = predictions.get(id) else {
                report.incomplete_ids.insert(id.clone());
                continue;
            };
            if prediction.is_empty() {
                report.empty_patch_ids.insert(id.clone());
                continue;
            }
            let files = tree.instance(&prediction.model_name_or_path, id)?;
            match read_instance(&files, id)? {
                Stored::Finished(finished) => {
                    report.completed_ids.insert(id.clone());
                    if finished.resolved {
                        report.resolved_ids.insert(id.clone());
                        continue;
                    }
                    report.unresolved_ids.insert(id.clone());
                }
                Stored::Damaged(_) | Stored::Absent => drop(report.error_ids.insert(id.clone())),
            }
            report.explain(id, &files)?;
        }
        report.count();
        Ok(report)
    }

    /// Looks for signs of a broken environment in an instance's logs.
    fn explain(&mut self, id: &str, files: &InstanceFiles) -> Result<(), ReportError> {
        let log = |path| Ok::<_, ReportError>(read_if_there(path)?.map(decode).unwrap_or_default());
        let Some(InfraFailure { reason, tier }) =
            classify(&[&log(&files.test_output())?, &log(&files.log())?])
        else {
            return Ok(());
        };
        self.failure_reasons.insert(id.to_owned(), reason);
        match tier {
            Tier::Environment => &mut self.infra_failure_ids,
            Tier::Ambiguous => &mut self.ambiguous_failure_ids,
        }
        .insert(id.to_owned());
        Ok(())
    }

    fn count(&mut self) {
        self.completed_instances = self.completed_ids.len();
        self.resolved_instances = self.resolved_ids.len();
        self.unresolved_instances = self.unresolved_ids.len();
        self.infra_failure_instances = self.infra_failure_ids.len();
        self.ambiguous_failure_instances = self.ambiguous_failure_ids.len();
        self.empty_patch_instances = self.empty_patch_ids.len();
        self.error_instances = self.error_ids.len();
    }

    /// Writes the report to `path`; see [`RunTree::report`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        write(path, self, "    ", "\n")
    }
}

#[cfg(test)]
mod tests;
