//! `oh rm`: remove sandboxes.

use futures::{StreamExt, stream};
use oh_runtime::{DeleteReport, Error, ErrorKind, Incarnation, RunId, Runtime, SandboxName, Selector, label};
use serde_json::json;

use super::Context;
use crate::failure::{Failure, Result};
use crate::{args, exit_code};

/// How many are removed at the same time.
const AT_ONCE: usize = 8;

/// Remove sandboxes: by name, those of a run, or those past their time; print the name of each.
///
/// Of a run, and of those past their time, only what the configured owner made is removed. When one sandbox cannot be
/// removed the others still are, and the exit code is that of a failure.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  oh rm box other-box\n  oh rm --run-id nightly-1\n  oh rm --expired")]
#[group(required = true)]
pub(crate) struct Args {
    /// The sandboxes.
    #[arg(value_name = "NAME", value_parser = args::sandbox_name)]
    names: Vec<SandboxName>,
    /// All of this run.
    #[arg(long, value_name = "ID", value_parser = args::run_id, conflicts_with = "names")]
    run_id: Option<RunId>,
    /// All that are past their time.
    #[arg(long, conflicts_with_all = ["names", "run_id"])]
    expired: bool,
}

pub(super) async fn rm(context: &Context, args: Args) -> Result<u8> {
    let runtime = context.runtime().await?;
    context.unless_interrupted("remove sandboxes", remove(context, &runtime, args)).await
}

async fn remove(context: &Context, runtime: &Runtime, args: Args) -> Result<u8> {
    let mut removed = Vec::new();
    let mut code = exit_code::OK;
    if args.expired {
        removed = runtime.reap_expired().await?;
        for name in &removed {
            said(context, name)?;
        }
    } else {
        let (targets, mut failures) = match &args.run_id {
            Some(run) => (of_run(context, runtime, run).await?, Vec::new()),
            None => by_name(runtime, args.names).await?,
        };
        let mut results = stream::iter(&targets)
            .map(async |target| (target, runtime.remove(target).await))
            .buffered(AT_ONCE);
        while let Some((target, result)) = results.next().await {
            match result {
                Ok(DeleteReport::Deleted) => {
                    said(context, &target.name)?;
                    removed.push(target.name.clone());
                }
                Ok(DeleteReport::AlreadyGone) => {
                    context.ui.detail(&format!("sandbox {} was gone already", target.name));
                }
                Err(error) => failures.push(error.into()),
            }
        }
        for failure in &failures {
            context.ui.error(failure);
        }
        if let Some(first) = failures.first() {
            code = exit_code::of_failure(exit_code::Scope::Own, first.cause());
        }
    }
    if context.ui.json() {
        let names: Vec<&str> = removed.iter().map(SandboxName::as_str).collect();
        context.ui.document(&json!({ "removed": names }))?;
    }
    Ok(code)
}

fn said(context: &Context, name: &SandboxName) -> Result<()> {
    if context.ui.json() { Ok(()) } else { context.ui.line(name.as_str()) }
}

/// What has these names, and a failure for each name that nothing has.
async fn by_name(runtime: &Runtime, names: Vec<SandboxName>) -> Result<(Vec<Incarnation>, Vec<Failure>)> {
    let mut targets = Vec::new();
    let mut failures = Vec::new();
    for name in names {
        match super::find(runtime, &name).await? {
            Some(info) if targets.contains(&info.incarnation) => {}
            Some(info) => targets.push(info.incarnation),
            None => {
                let operation = format!("remove sandbox {name}");
                let error = Error::new(ErrorKind::NotFound, operation, "no sandbox has this name");
                failures.push(error.hint("`oh ls` shows those there are").into());
            }
        }
    }
    Ok((targets, failures))
}

/// The sandboxes of a run that are ours. Run ids are picked by people, so another owner's may be the same.
async fn of_run(context: &Context, runtime: &Runtime, run: &RunId) -> Result<Vec<Incarnation>> {
    let all = runtime.list(&Selector { run: Some(run.clone()), ..Selector::default() }).await?;
    let (ours, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|info| info.labels.get(label::OWNER) == Some(&context.config.owner));
    if !others.is_empty() {
        let names: Vec<&str> = others.iter().map(|info| info.incarnation.name.as_str()).collect();
        context.ui.note(&format!(
            "left alone, because somebody else made them (remove them by name if you have to): {}",
            names.join(" ")
        ));
    }
    if ours.is_empty() {
        context.ui.note(&format!("no sandboxes of run {run} and owner {}", context.config.owner));
    }
    Ok(ours.into_iter().map(|info| info.incarnation).collect())
}
