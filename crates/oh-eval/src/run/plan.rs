//! What is to be done: rows, predictions, and what an earlier run has finished.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use oh_builder::Template;
use oh_runtime::RunId;
use oh_runtime::oh_config::CleanupPolicy;

use super::error::EvalError;
use super::{EvalOptions, ImageOptions, InstanceOutcome, InstanceSummary, RunSummary};
use crate::dataset::{Dataset, Instance, check_supported};
use crate::log_parser::LogParser;
use crate::paths::{InstanceFiles, RunTree};
use crate::predictions::Predictions;
use crate::report::{self, Leftovers, RunMetadata, RunReport, Stored};
use crate::script;

/// One instance to evaluate.
pub(super) struct Job {
    pub(super) instance: Instance,
    pub(super) parser: LogParser,
    pub(super) patch: String,
    pub(super) script: String,
    pub(super) image: String,
    pub(super) files: InstanceFiles,
}

/// A run, ready to begin. Making it writes nothing.
pub(super) struct Plan {
    pub(super) run: RunId,
    pub(super) todo: Vec<Job>,
    pub(super) done: usize,
    pub(super) empty: usize,
    pub(super) timeout: Duration,
    pub(super) cleanup: CleanupPolicy,
    dataset_name: String,
    dataset: Dataset,
    selected: Option<Vec<String>>,
    predictions: Predictions,
    tree: RunTree,
    out_dir: PathBuf,
}

impl Plan {
    pub(super) fn make(options: &EvalOptions) -> Result<Self, EvalError> {
        let run = RunId::new(&options.run_id)?;
        let dataset = Dataset::load(&options.dataset).map_err(EvalError::Dataset)?;
        let selected = dataset.select(options.instance_ids.as_deref()).map_err(EvalError::Dataset)?;
        let predictions =
            Predictions::load(&options.predictions, &dataset, &selected).map_err(EvalError::Predictions)?;
        let tree = RunTree::new(&options.out_dir, run.clone());
        let template = template(&options.images)?;
        let (mut to_run, mut done, mut empty) = (Vec::new(), 0, 0);
        for instance in &selected {
            let Some(prediction) = predictions.get(&instance.instance_id) else { continue };
            let files = tree.instance(&prediction.model_name_or_path, &instance.instance_id)?;
            let Some(patch) = prediction.model_patch.clone().filter(|patch| !patch.is_empty()) else {
                empty += 1;
                continue;
            };
            match report::read_instance(&files, &instance.instance_id)? {
                Stored::Finished(_) => {
                    done += 1;
                    continue;
                }
                Stored::Damaged(why) => {
                    tracing::warn!(report = %files.report().display(), why, "a damaged report: evaluating again");
                }
                Stored::Absent => {}
            }
            to_run.push((*instance, patch, files));
        }
        check_supported(to_run.iter().map(|(instance, ..)| *instance)).map_err(EvalError::Dataset)?;
        let mut todo = Vec::with_capacity(to_run.len());
        for (instance, patch, files) in to_run {
            let Ok(parser) = instance.parser() else { continue };
            todo.push(Job {
                image: image(instance, &template)?,
                script: script::build(&instance.eval_script),
                instance: instance.clone(),
                parser,
                patch,
                files,
            });
        }
        Ok(Self {
            run,
            todo,
            done,
            empty,
            timeout: options.timeout,
            cleanup: options.cleanup,
            dataset_name: options.dataset.display().to_string(),
            selected: options.instance_ids.clone(),
            dataset,
            predictions,
            tree,
            out_dir: options.out_dir.clone(),
        })
    }

    fn selected(&self) -> Result<Vec<&Instance>, EvalError> {
        self.dataset.select(self.selected.as_deref()).map_err(EvalError::Dataset)
    }

    pub(super) fn total(&self) -> usize {
        self.selected().map_or(0, |selected| selected.len())
    }

    /// Makes the run's folder and takes it for this process: two that evaluate the same run would remove each other's
    /// sandboxes. The lock ends with the file's last handle, whatever becomes of the process.
    pub(super) fn lock(&self) -> Result<File, EvalError> {
        let folder = self.tree.folder();
        let output = |path: &Path, source| EvalError::Output { path: path.to_owned(), source };
        std::fs::create_dir_all(&folder).map_err(|source| output(&folder, source))?;
        let path = folder.join(".lock");
        let file = File::create(&path).map_err(|source| output(&path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(EvalError::Busy { run_id: self.run.to_string() }),
            Err(TryLockError::Error(source)) => Err(output(&path, source)),
        }
    }

    pub(super) fn write_metadata(&self) -> Result<(), EvalError> {
        Ok(RunMetadata::new(&self.dataset_name, SystemTime::now()).write(&self.tree)?)
    }

    /// Writes the run's report and tells how every instance went.
    pub(super) fn summarise(
        &self,
        finished: Vec<InstanceSummary>,
        leftovers: Leftovers,
    ) -> Result<RunSummary, EvalError> {
        let selected = self.selected()?;
        let mut report = RunReport::collect(&self.tree, &selected, &self.predictions)?;
        report.leftovers = Some(leftovers);
        let report_path = self.tree.report(self.predictions.model())?;
        std::fs::create_dir_all(&self.out_dir)
            .map_err(|source| EvalError::Output { path: self.out_dir.clone(), source })?;
        report.write(&report_path)?;
        let mut finished: HashMap<String, InstanceSummary> =
            finished.into_iter().map(|summary| (summary.instance_id.clone(), summary)).collect();
        let instances = selected
            .iter()
            .map(|instance| {
                let id = &instance.instance_id;
                finished.remove(id).unwrap_or_else(|| InstanceSummary {
                    instance_id: id.clone(),
                    outcome: outcome(&report, id),
                    wall: None,
                    detail: None,
                })
            })
            .collect();
        Ok(RunSummary { report, report_path, instances })
    }
}

fn outcome(report: &RunReport, id: &str) -> Option<InstanceOutcome> {
    [
        (&report.resolved_ids, InstanceOutcome::Resolved),
        (&report.unresolved_ids, InstanceOutcome::Unresolved),
        (&report.empty_patch_ids, InstanceOutcome::EmptyPatch),
        (&report.error_ids, InstanceOutcome::Error),
    ]
    .into_iter()
    .find(|(ids, _)| ids.contains(id))
    .map(|(_, outcome)| outcome)
}

fn template(options: &ImageOptions) -> Result<Template, EvalError> {
    let unusable = |source| EvalError::Image { instance_id: "every instance".to_owned(), source };
    let template = Template::new(&options.template).map_err(unusable)?;
    let template = match &options.repo {
        Some(repo) => template.with_repo(repo).map_err(unusable)?,
        None => template,
    };
    match &options.mirror {
        Some(mirror) => template.with_mirror(mirror).map_err(unusable),
        None => Ok(template),
    }
}

fn image(instance: &Instance, template: &Template) -> Result<String, EvalError> {
    oh_builder::resolve(&instance.instance_id, instance.image.as_deref(), template)
        .map(|image| image.familiar())
        .map_err(|source| EvalError::Image { instance_id: instance.instance_id.clone(), source })
}
