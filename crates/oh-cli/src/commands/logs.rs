//! `oh logs`: what a sandbox's first process wrote.

use futures::TryStreamExt;
use oh_runtime::{LogOptions, SandboxName};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::Context;
use crate::failure::{Failure, Result};
use crate::output::bytes_json;
use crate::{args, exit_code};

/// Print the log of a sandbox: what its first process, the agent, has to say.
///
/// The output of commands is not part of it: whoever runs a command gets that.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  oh logs box --tail 20 --follow")]
pub(crate) struct Args {
    /// The sandbox.
    #[arg(value_parser = args::sandbox_name)]
    name: SandboxName,
    /// Go on with new lines until the sandbox ends.
    #[arg(long, short)]
    follow: bool,
    /// Only this many of the last lines.
    #[arg(long, value_name = "LINES")]
    tail: Option<u64>,
}

pub(super) async fn logs(context: &Context, args: Args) -> Result<u8> {
    let operation = format!("read the log of sandbox {}", args.name);
    if args.follow && context.ui.json() {
        return Err(Failure::usage(operation, "--follow has no end a JSON document could wait for")
            .hint("leave out --follow or --output json"));
    }
    let runtime = context.runtime().await?;
    let print = async {
        let mut log = runtime.logs(&args.name, LogOptions { follow: args.follow, tail: args.tail }).await?;
        let mut stdout = tokio::io::stdout();
        let mut text = Vec::new();
        while let Some(bytes) = log.try_next().await? {
            if context.ui.json() {
                text.extend_from_slice(&bytes);
                continue;
            }
            stdout.write_all(&bytes).await.map_err(|error| Failure::output(&error))?;
            stdout.flush().await.map_err(|error| Failure::output(&error))?;
        }
        if context.ui.json() {
            context.ui.document(&json!({"name": args.name.as_str(), "log": bytes_json(&text)}))?;
        }
        Ok::<_, Failure>(exit_code::OK)
    };
    context.unless_interrupted(&operation, print).await
}
