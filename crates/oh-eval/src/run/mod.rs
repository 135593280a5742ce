//! A run: predictions in, graded instances out, on whatever backend the runtime has.
//!
//! | file | is |
//! | --- | --- |
//! | `plan` | what is to be done: rows, predictions, what an earlier run has finished |
//! | `instance` | one instance: sandbox, patch, tests, grade |
//! | `script` | running the tests and keeping what they print |
//! | `log` | the instance's own log file |

mod error;
mod instance;
mod log;
mod plan;
mod script;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use futures::StreamExt;
use oh_runtime::oh_config::CleanupPolicy;
use oh_runtime::{Incarnation, Runtime, Selector};
use tokio_util::sync::CancellationToken;

use crate::report::{Leftovers, RunReport};

pub use error::{EvalError, EvalErrorKind};
pub use instance::InstanceOutcome;

/// What to evaluate, and how.
#[derive(Debug, Clone)]
pub struct EvalOptions {
    /// SWE-bench 5.x rows, `.jsonl` or `.json`.
    pub dataset: PathBuf,
    /// A file of predictions, or the words `gold` and `empty`.
    pub predictions: String,
    /// Names the run: its log folder, its sandboxes' label. Running the same id again goes on where it ended.
    pub run_id: String,
    /// Only these instances.
    pub instance_ids: Option<Vec<String>>,
    /// Most instances at once.
    pub workers: usize,
    /// Longest time for one instance's tests.
    pub timeout: Duration,
    /// Where `logs/` and the report go.
    pub out_dir: PathBuf,
    /// How the image of a row that names none is found.
    pub images: ImageOptions,
    /// What becomes of sandboxes; an instance without a result counts as failed.
    pub cleanup: CleanupPolicy,
}

/// How the image of an instance is found.
#[derive(Debug, Clone)]
pub struct ImageOptions {
    /// For rows that name no image; see [`oh_builder::Template`].
    pub template: String,
    /// Registry and path to use instead of docker.io.
    pub mirror: Option<String>,
    /// Repository that has all of them; not together with a mirror.
    pub repo: Option<String>,
}

/// What happens during a run, as it happens.
#[derive(Debug, Clone)]
pub enum Event {
    /// The first event.
    Planned {
        /// Instances of the dataset that were asked for.
        total: usize,
        /// Those that are run now.
        todo: usize,
        /// Those an earlier run of this id has finished.
        done: usize,
        /// Those whose prediction is empty.
        empty: usize,
    },
    /// Work on an instance begins.
    Started {
        /// Which.
        instance_id: String,
    },
    /// An instance comes to its next step.
    Step {
        /// Which.
        instance_id: String,
        /// What is done now, in two or three words.
        step: &'static str,
    },
    /// An instance is over.
    Finished {
        /// Which.
        instance_id: String,
        /// How.
        outcome: InstanceOutcome,
        /// Time it took.
        wall: Duration,
        /// Why, when it is an error.
        detail: Option<String>,
    },
}

/// What a run gives.
#[derive(Debug)]
pub struct RunSummary {
    /// The reference's report.
    pub report: RunReport,
    /// Where it was written.
    pub report_path: PathBuf,
    /// Every instance that was asked for, by id, with how it went and, for an error of this run, why.
    pub instances: Vec<InstanceSummary>,
}

/// One instance of a [`RunSummary`].
#[derive(Debug, Clone)]
pub struct InstanceSummary {
    /// Which.
    pub instance_id: String,
    /// How it went; `None` when no prediction was made for it.
    pub outcome: Option<InstanceOutcome>,
    /// Time it took, when it ran now.
    pub wall: Option<Duration>,
    /// Why, when it is an error.
    pub detail: Option<String>,
}

/// Evaluates. Instances that an earlier run of the same id finished are not run again.
///
/// # Errors
/// When the input is wrong, nothing can be written, or `cancel` ended it; every instance that was finished until then
/// keeps its report. A failed instance is no error of the run: it is in the summary.
pub async fn run(
    runtime: &Runtime,
    options: &EvalOptions,
    events: impl Fn(Event) + Send + Sync,
    cancel: CancellationToken,
) -> Result<RunSummary, EvalError> {
    let plan = plan::Plan::make(options)?;
    let _lock = plan.lock()?;
    plan.write_metadata()?;
    events(Event::Planned { total: plan.total(), todo: plan.todo.len(), done: plan.done, empty: plan.empty });
    if !plan.todo.is_empty() {
        remove_leftovers(runtime, &plan).await?;
    }
    let finished = Mutex::new(Vec::new());
    futures::stream::iter(&plan.todo)
        .for_each_concurrent(options.workers.max(1), |job| {
            let (plan, events, cancel, finished) = (&plan, &events, &cancel, &finished);
            async move {
                if cancel.is_cancelled() {
                    return;
                }
                let instance_id = job.instance.instance_id.clone();
                events(Event::Started { instance_id: instance_id.clone() });
                let begun = Instant::now();
                let step = |step| events(Event::Step { instance_id: instance_id.clone(), step });
                let Some(result) = instance::evaluate(runtime, plan, job, &step, cancel).await else {
                    return;
                };
                let (outcome, detail) = match result {
                    Ok(outcome) => (outcome, None),
                    Err(why) => (InstanceOutcome::Error, Some(why)),
                };
                let wall = begun.elapsed();
                finished.lock().unwrap_or_else(PoisonError::into_inner).push(InstanceSummary {
                    instance_id: instance_id.clone(),
                    outcome: Some(outcome),
                    wall: Some(wall),
                    detail: detail.clone(),
                });
                events(Event::Finished { instance_id, outcome, wall, detail });
            }
        })
        .await;
    let finished = finished.into_inner().unwrap_or_else(PoisonError::into_inner);
    if cancel.is_cancelled() {
        return Err(EvalError::Interrupted { finished: finished.len(), todo: plan.todo.len() });
    }
    let left = sandboxes(runtime, &plan).await?.into_iter().map(|id| id.name.to_string()).collect();
    // Images are the backend's to keep: they were there before, and the next run needs them.
    plan.summarise(finished, Leftovers::new(left, BTreeSet::new()))
}

/// Sandboxes that an earlier run of this id left behind: their state is unknown, so nothing may be graded in them.
async fn remove_leftovers(runtime: &Runtime, plan: &plan::Plan) -> Result<(), EvalError> {
    for sandbox in sandboxes(runtime, plan).await? {
        tracing::info!(sandbox = %sandbox.name, "removing what an earlier run left");
        runtime.remove(&sandbox).await.map_err(EvalError::Runtime)?;
    }
    Ok(())
}

/// Our own sandboxes of this run.
async fn sandboxes(runtime: &Runtime, plan: &plan::Plan) -> Result<Vec<Incarnation>, EvalError> {
    let own = Selector {
        run: Some(plan.run.clone()),
        owner: Some(runtime.owner().to_owned()),
        ..Selector::default()
    };
    let found = runtime.list(&own).await.map_err(EvalError::Runtime)?;
    Ok(found.into_iter().map(|info| info.incarnation).collect())
}
