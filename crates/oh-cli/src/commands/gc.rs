//! `oh gc`: remove what is kept for later and not used.

use serde_json::json;

use super::Context;
use crate::exit_code;
use crate::failure::Result;

/// Remove what the backend keeps for sandboxes to come and none uses; print the name of each.
///
/// An agent is kept for each version of oh: a volume of the Docker engine, a ConfigMap of the namespace. The next sandbox
/// that needs one puts it there again. What a sandbox uses stays, whoever made it, even when the sandbox has ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  oh gc --agents --dry-run\n  oh gc --agents")]
pub(crate) struct Args {
    /// Agents that no sandbox uses.
    #[arg(long, required = true)]
    agents: bool,
    /// Only say what would be removed.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn gc(context: &Context, args: Args) -> Result<u8> {
    // Without `--agents` the arguments were refused.
    let Args { agents: _, dry_run } = args;
    let runtime = context.runtime().await?;
    let collecting = runtime.collect_agents(dry_run);
    let names = context.unless_interrupted("remove unused agents", collecting).await?;
    if context.ui.json() {
        let done = if dry_run { "would_remove" } else { "removed" };
        context.ui.document(&json!({ done: names }))?;
        return Ok(exit_code::OK);
    }
    for name in &names {
        context.ui.line(name)?;
    }
    if names.is_empty() {
        context.ui.note("no unused agents");
    }
    Ok(exit_code::OK)
}
