//! `oh eval`: many instances, graded.

mod progress;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use comfy_table::{Cell, Color};
use oh_config::CleanupPolicy;
use oh_eval::run::{EvalErrorKind, EvalOptions, ImageOptions, InstanceOutcome, InstanceSummary, RunSummary};
use oh_runtime::RunId;
use serde_json::{Value, json};

use super::Context;
use crate::failure::{Cause, Failure, Result};
use crate::output::{cell, elapsed, table};
use crate::{args, exit_code};
use progress::Progress;

/// Evaluate predictions for the instances of a dataset.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Run(Args),
}

/// Run the tests of each instance with its prediction applied, and grade them.
///
/// Progress goes to standard error, the table of results to standard output, logs and reports to the folder of --out.
/// An instance that has its report already is not run again, so the same command goes on where it was interrupted.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  oh eval run --dataset instances.jsonl --predictions gold --run-id try-1")]
pub(crate) struct Args {
    /// Instances: SWE-bench rows as .jsonl or .json.
    #[arg(long, value_name = "FILE")]
    dataset: PathBuf,
    /// Predictions: a file, `gold` for the solutions of the dataset, or `empty`.
    #[arg(long, value_name = "FILE|gold|empty")]
    predictions: String,
    /// Name of the run, for its sandboxes and its folder.
    #[arg(long, value_name = "ID", value_parser = args::run_id)]
    run_id: RunId,
    /// How many instances run at the same time.
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// Folder for logs and reports.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only these instances.
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    instance_ids: Option<Vec<String>>,
    /// Longest time for the tests of one instance, like 30m.
    #[arg(long, value_name = "TIME", value_parser = args::duration)]
    timeout: Option<Duration>,
    /// What becomes of each sandbox: always removed, never, or on_success, which keeps those of instances without a
    /// result. Otherwise as `sandbox.cleanup` says.
    #[arg(long, value_name = "always|on_success|never")]
    cleanup: Option<CleanupPolicy>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    let options = options(context, args);
    let runtime = context.runtime().await?;
    let progress = Progress::new(context.ui);
    let evaluation =
        oh_eval::run::run(&runtime, &options, |event| progress.show(event), context.interrupt.token());
    let (summary, ()) = tokio::join!(evaluation, context.reap(&runtime));
    drop(progress);
    let summary = summary.map_err(|error| match context.interrupt.signal() {
        Some(signal) if error.kind() == EvalErrorKind::Interrupted => {
            Failure::new(Cause::Interrupted(signal), error.operation(), error.to_string())
        }
        _ => error.into(),
    })?;

    if context.ui.json() {
        let instances: Vec<Value> = summary.instances.iter().map(document).collect();
        context.ui.document(&json!({
            "instances": instances,
            "report_path": summary.report_path,
            "report": summary.report,
        }))?;
    } else {
        context
            .ui
            .line(&table(["instance", "outcome", "time", "detail"], summary.instances.iter().map(row)))?;
        context.ui.line(&format!("\n{}\nreport: {}", totals(&summary), summary.report_path.display()))?;
    }
    let failed = summary.instances.iter().any(|instance| instance.outcome == Some(InstanceOutcome::Error));
    Ok(if failed { exit_code::INSTANCES } else { exit_code::OK })
}

fn options(context: &Context, args: Args) -> EvalOptions {
    let defaults = &context.config.eval;
    EvalOptions {
        dataset: args.dataset,
        predictions: args.predictions,
        run_id: args.run_id.to_string(),
        instance_ids: args.instance_ids,
        workers: args.workers.unwrap_or(defaults.workers).get(),
        timeout: args.timeout.unwrap_or(defaults.timeout),
        out_dir: args.out.unwrap_or_else(|| defaults.out_dir.clone()),
        images: ImageOptions {
            template: context.config.image.template.clone(),
            mirror: context.config.image.mirror.clone(),
            repo: context.config.image.repo.clone(),
        },
        cleanup: args.cleanup.unwrap_or(context.config.sandbox.cleanup),
    }
}

/// Every outcome, in the order people read them.
const OUTCOMES: [InstanceOutcome; 4] = [
    InstanceOutcome::Resolved,
    InstanceOutcome::Unresolved,
    InstanceOutcome::EmptyPatch,
    InstanceOutcome::Error,
];

/// The word for an outcome.
const fn word(outcome: InstanceOutcome) -> &'static str {
    match outcome {
        InstanceOutcome::Resolved => "resolved",
        InstanceOutcome::Unresolved => "unresolved",
        InstanceOutcome::EmptyPatch => "empty patch",
        InstanceOutcome::Error => "error",
    }
}

const fn color(outcome: InstanceOutcome) -> Color {
    match outcome {
        InstanceOutcome::Resolved => Color::Green,
        InstanceOutcome::Unresolved => Color::Yellow,
        InstanceOutcome::EmptyPatch => Color::DarkGrey,
        InstanceOutcome::Error => Color::Red,
    }
}

fn row(instance: &InstanceSummary) -> [Cell; 4] {
    [
        cell(&instance.instance_id),
        match instance.outcome {
            Some(outcome) => cell(word(outcome)).fg(color(outcome)),
            None => cell("no prediction"),
        },
        cell(&instance.wall.map_or_else(|| "-".to_owned(), elapsed)),
        cell(instance.detail.as_deref().unwrap_or_default()),
    ]
}

fn document(instance: &InstanceSummary) -> Value {
    json!({
        "instance_id": instance.instance_id,
        "outcome": instance.outcome,
        "wall_seconds": instance.wall.map(|wall| wall.as_secs_f64()),
        "detail": instance.detail,
    })
}

fn totals(summary: &RunSummary) -> String {
    let count = |outcome| summary.instances.iter().filter(|instance| instance.outcome == outcome).count();
    let mut parts: Vec<String> =
        OUTCOMES.iter().map(|&outcome| format!("{} {}", word(outcome), count(Some(outcome)))).collect();
    match count(None) {
        0 => {}
        missing => parts.push(format!("no prediction {missing}")),
    }
    format!("instances: {} ({})", summary.instances.len(), parts.join(", "))
}
