//! `oh ps`: the commands of a sandbox.

use oh_runtime::{CommandInfo, CommandState, Error, ErrorKind, Sandbox, SandboxName};
use serde_json::{Value, json};

use super::Context;
use crate::failure::{Result, end_json};
use crate::output::{cell, span, table};
use crate::{args, exit_code};

/// List the commands of a sandbox: those that run, and those whose end nobody has fetched.
///
/// With --quiet only their ids, for `oh exec --attach` and `oh kill`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  oh ps box")]
pub(crate) struct Args {
    /// The sandbox.
    #[arg(value_parser = args::sandbox_name)]
    name: SandboxName,
}

pub(super) async fn ps(context: &Context, args: Args) -> Result<u8> {
    let runtime = context.runtime().await?;
    let operation = format!("list the commands of sandbox {}", args.name);
    let listing = async { runtime.attach(&args.name).await?.commands().await };
    let commands = context.unless_interrupted(&operation, listing).await?;
    if context.ui.json() {
        let commands: Vec<Value> = commands.iter().map(document).collect();
        context.ui.document(&json!({ "name": args.name.as_str(), "commands": commands }))?;
    } else if context.ui.quiet {
        for command in &commands {
            context.ui.line(&command.id.to_string())?;
        }
    } else if commands.is_empty() {
        context.ui.note("no commands");
    } else {
        let header = ["id", "program", "state", "age", "stdout", "stderr", "attached"];
        context.ui.line(&table(header, commands.iter().map(|info| row(info).map(|text| cell(&text)))))?;
    }
    Ok(exit_code::OK)
}

fn row(info: &CommandInfo) -> [String; 7] {
    [
        info.id.to_string(),
        info.program.to_string_lossy().into_owned(),
        info.state.to_string(),
        span(info.age),
        info.stdout.to_string(),
        info.stderr.to_string(),
        if info.attached { "yes" } else { "no" }.to_owned(),
    ]
}

fn document(info: &CommandInfo) -> Value {
    let (state, end) = match info.state {
        CommandState::Running => ("running", None),
        CommandState::Ended(end) => ("ended", Some(end_json(end))),
        CommandState::Lost => ("lost", None),
    };
    json!({
        "id": info.id.to_string(),
        "program": info.program.to_string_lossy(),
        "state": state,
        "end": end,
        "age_seconds": info.age.as_secs_f64(),
        "attached": info.attached,
        "stdout_bytes": info.stdout,
        "stderr_bytes": info.stderr,
    })
}

/// The command of this id in the sandbox.
pub(super) async fn find_command(sandbox: &dyn Sandbox, id: &str) -> Result<CommandInfo> {
    let commands = sandbox.commands().await?;
    commands.into_iter().find(|command| command.id.to_string() == id).ok_or_else(|| {
        let name = &sandbox.incarnation().name;
        let operation = format!("find command {id} of sandbox {name}");
        Error::new(ErrorKind::CommandNotFound, operation, "there is none, or its end was fetched")
            .hint(format!("`oh ps {name}` shows those there are"))
            .into()
    })
}
