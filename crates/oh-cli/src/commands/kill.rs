//! `oh kill`: the end of a command.

use oh_runtime::SandboxName;

use super::Context;
use super::ps::find_command;
use crate::failure::Result;
use crate::{args, exit_code};

/// End a command of a sandbox with all its children, or send it a signal.
///
/// Without --signal: SIGTERM, the grace, SIGKILL, and it returns when nothing of the command is left. Whoever has the
/// command's streams sees its end.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  oh kill box 1f0a9c3e-7\n  oh kill box 1f0a9c3e-7 --signal HUP")]
pub(crate) struct Args {
    /// The sandbox.
    #[arg(value_parser = args::sandbox_name)]
    name: SandboxName,
    /// The command, as `oh ps` names it.
    #[arg(value_name = "ID")]
    command: String,
    /// Only send this signal to the command's process group, a name or a number.
    #[arg(long, short, value_parser = args::signal)]
    signal: Option<i32>,
}

pub(super) async fn kill(context: &Context, args: Args) -> Result<u8> {
    let runtime = context.runtime().await?;
    let operation = format!("end command {}", args.command);
    let killing = async {
        let sandbox = runtime.attach(&args.name).await?;
        let id = find_command(&*sandbox, &args.command).await?.id;
        Ok::<_, crate::failure::Failure>(sandbox.kill(id, args.signal).await?)
    };
    context.unless_interrupted(&operation, killing).await?;
    Ok(exit_code::OK)
}
