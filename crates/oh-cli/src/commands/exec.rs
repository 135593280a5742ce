//! `oh exec`: a command in a sandbox that exists.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use oh_runtime::{CommandSpec, SandboxName};

use super::Context;
use crate::args;
use crate::exit_code;
use crate::failure::Result;
use crate::ran::Ran;

const EXAMPLE: &str = "Example:\n  oh exec box --cwd /testbed -- git status";

/// Run a command in an existing sandbox.
///
/// Exits with the command's code. Ctrl-C ends the command with all its children; a second Ctrl-C leaves at once.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE, after_long_help = exit_code::help(EXAMPLE, exit_code::COMMAND))]
pub(crate) struct Args {
    /// The sandbox.
    #[arg(value_parser = args::sandbox_name)]
    name: SandboxName,
    /// Set an environment variable of the command; can be repeated.
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = args::env)]
    env: Vec<(String, String)>,
    #[command(flatten)]
    command: CommandArgs,
}

/// What `run` and `exec` take for their command.
#[derive(Debug, clap::Args)]
pub(crate) struct CommandArgs {
    /// Run the command in this folder.
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Kill the command after this time, like 90s or 5m.
    #[arg(long, value_name = "TIME", value_parser = args::duration)]
    timeout: Option<Duration>,
    /// Pass standard input on to the command.
    #[arg(long, short = 'i')]
    stdin: bool,
    /// The command and its arguments, after `--`. No shell is involved.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    argv: Vec<OsString>,
}

impl CommandArgs {
    /// The command they ask for.
    pub(super) fn spec(self, context: &Context) -> CommandSpec {
        let grace = context.config.sandbox.grace;
        let spec = CommandSpec::new(self.argv);
        CommandSpec { cwd: self.cwd, timeout: self.timeout, stdin: self.stdin, grace, ..spec }
    }
}

pub(super) async fn exec(context: &Context, args: Args) -> Result<u8> {
    let runtime = context.runtime().await?;
    let operation = format!("reach sandbox {}", args.name);
    let sandbox = context.unless_interrupted(&operation, runtime.attach(&args.name)).await?;
    let spec =
        args.env.into_iter().fold(args.command.spec(context), |spec, (name, value)| spec.env(name, value));
    Ran::run(&*sandbox, spec, context.ui, &context.interrupt).await?.report(context.ui)
}
