//! `oh ls`: the sandboxes there are.

use std::time::{SystemTime, UNIX_EPOCH};

use oh_runtime::{RunId, SandboxInfo, Selector, label};
use serde_json::{Value, json};

use super::Context;
use crate::failure::Result;
use crate::output::{cell, span, table};
use crate::{args, exit_code};

/// List the sandboxes of the backend, whoever made them.
///
/// With --quiet only their names, with --output json all their labels; times are seconds since 1970 there.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  oh ls --run-id nightly-1")]
pub(crate) struct Args {
    /// Only those of this run.
    #[arg(long, value_name = "ID", value_parser = args::run_id)]
    run_id: Option<RunId>,
    /// Only those made by this owner: the one the configuration names.
    #[arg(long)]
    mine: bool,
}

pub(super) async fn ls(context: &Context, args: Args) -> Result<u8> {
    let runtime = context.runtime().await?;
    let owner = args.mine.then(|| context.config.owner.clone());
    let which = Selector { run: args.run_id, owner, ..Selector::default() };
    let mut found = context.unless_interrupted("list sandboxes", runtime.list(&which)).await?;
    found.sort_by(|a, b| (a.created, &a.incarnation.name).cmp(&(b.created, &b.incarnation.name)));

    if context.ui.json() {
        let sandboxes: Vec<Value> = found.iter().map(document).collect();
        context.ui.document(&json!({ "sandboxes": sandboxes }))?;
    } else if context.ui.quiet {
        for info in &found {
            context.ui.line(info.incarnation.name.as_str())?;
        }
    } else if found.is_empty() {
        context.ui.note("no sandboxes");
    } else {
        let now = SystemTime::now();
        let header = ["name", "state", "run", "instance", "image", "owner", "age", "expires"];
        context.ui.line(&table(header, found.iter().map(|info| row(info, now).map(|text| cell(&text)))))?;
    }
    Ok(exit_code::OK)
}

fn row(info: &SandboxInfo, now: SystemTime) -> [String; 8] {
    let of = |key| info.labels.get(key).cloned().unwrap_or_else(|| "-".to_owned());
    let age = info.created.and_then(|created| now.duration_since(created).ok());
    let expires = info.expires().map(|at| match at.duration_since(now) {
        Ok(left) => format!("in {}", span(left)),
        Err(_) => "expired".to_owned(),
    });
    [
        info.incarnation.name.to_string(),
        info.state.to_string(),
        of(label::RUN),
        of(label::INSTANCE),
        of(label::IMAGE),
        of(label::OWNER),
        age.map_or_else(|| "-".to_owned(), span),
        expires.unwrap_or_else(|| "-".to_owned()),
    ]
}

fn document(info: &SandboxInfo) -> Value {
    let seconds = |at: Option<SystemTime>| Some(at?.duration_since(UNIX_EPOCH).ok()?.as_secs());
    let of = |key| info.labels.get(key);
    json!({
        "name": info.incarnation.name.as_str(),
        "id": info.incarnation.uid,
        "state": info.state.to_string(),
        "run": of(label::RUN),
        "instance": of(label::INSTANCE),
        "image": of(label::IMAGE),
        "owner": of(label::OWNER),
        "delivery": of(label::DELIVERY),
        "created": seconds(info.created),
        "expires": seconds(info.expires()),
        "labels": info.labels,
    })
}
