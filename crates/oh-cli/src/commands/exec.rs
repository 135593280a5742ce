//! `oh exec`: a command in a sandbox that exists.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use oh_runtime::{CommandSpec, Offsets, Rlimit, Sandbox, SandboxName};
use serde_json::json;

use super::Context;
use super::ps::find_command;
use crate::failure::Result;
use crate::ran::Ran;
use crate::{args, exit_code, terminal};

const EXAMPLE: &str = "Example:
  oh exec box --cwd /testbed -- git status
  oh exec box --detach -- make test     # prints the command's id
  oh exec box --attach 1f0a9c3e-7       # its output so far, the rest, and its code";

/// Run a command in an existing sandbox, or go on with one that runs there.
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
    /// Run as this user, or user:group, by name or number.
    #[arg(long, short)]
    user: Option<String>,
    /// Start the command, print its id and leave it running; the last MiB of each of its streams is kept.
    #[arg(long, short, conflicts_with_all = ["stdin", "tty"])]
    detach: bool,
    /// Go on with this command instead, as `oh ps` names it; whoever had its streams loses them.
    #[arg(long, value_name = "ID", conflicts_with_all = ["argv", "env", "user", "detach", "cwd", "timeout", "tty"])]
    attach: Option<String>,
    /// With --attach: so many bytes of standard output are known already.
    #[arg(long, value_name = "BYTES", default_value_t, requires = "attach")]
    stdout_from: u64,
    /// With --attach: so many bytes of standard error are known already.
    #[arg(long, value_name = "BYTES", default_value_t, requires = "attach")]
    stderr_from: u64,
    #[command(flatten)]
    command: CommandArgs,
    /// The command and its arguments, after `--`. No shell is involved.
    #[arg(last = true, required_unless_present = "attach", value_name = "COMMAND")]
    argv: Vec<OsString>,
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
    /// Give the command a terminal; with -i for interactive programs.
    #[arg(long, short = 't')]
    tty: bool,
    /// File mode creation mask of the command, in octal.
    #[arg(long, value_name = "MASK", value_parser = args::umask)]
    umask: Option<u32>,
    /// Limit a resource of the command, like nofile=1024:4096 or cpu=60; can be repeated.
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = args::ulimit)]
    ulimit: Vec<Rlimit>,
}

impl CommandArgs {
    /// The command they ask for.
    pub(super) fn spec(self, context: &Context, argv: Vec<OsString>) -> CommandSpec {
        CommandSpec {
            cwd: self.cwd,
            timeout: self.timeout,
            stdin: self.stdin,
            grace: context.config.sandbox.grace,
            terminal: self.tty.then(terminal::size),
            umask: self.umask,
            rlimits: self.ulimit,
            ..CommandSpec::new(argv)
        }
    }
}

pub(super) async fn exec(context: &Context, args: Args) -> Result<u8> {
    let runtime = context.runtime().await?;
    let operation = format!("reach sandbox {}", args.name);
    let sandbox = context.unless_interrupted(&operation, runtime.attach(&args.name)).await?;
    if let Some(id) = &args.attach {
        let known = Offsets { stdout: args.stdout_from, stderr: args.stderr_from };
        return attach(context, &*sandbox, id, known).await;
    }
    let spec =
        CommandSpec { user: args.user, background: args.detach, ..args.command.spec(context, args.argv) };
    let spec = args.env.into_iter().fold(spec, |spec, (name, value)| spec.env(name, value));
    if args.detach {
        let id = sandbox.start(spec).await?.id.to_string();
        sandbox.disconnect().await;
        if context.ui.json() {
            let name = args.name.as_str();
            context.ui.document(&json!({ "name": name, "id": sandbox.incarnation().uid, "command": id }))?;
        } else {
            context.ui.line(&id)?;
        }
        return Ok(exit_code::OK);
    }
    let ran = Ran::run(&*sandbox, spec, context.ui, &context.interrupt).await;
    sandbox.disconnect().await;
    ran?.report(context.ui)
}

async fn attach(context: &Context, sandbox: &dyn Sandbox, id: &str, known: Offsets) -> Result<u8> {
    let id = find_command(sandbox, id).await?.id;
    let attached = sandbox.attach(id, known).await?;
    for (stream, from, known) in
        [("output", attached.from.stdout, known.stdout), ("error output", attached.from.stderr, known.stderr)]
    {
        if from > known {
            context.ui.note(&format!("oh: {} bytes of its {stream} are gone", from - known));
        }
    }
    let grace = context.config.sandbox.grace;
    let ran = Ran::follow(sandbox, attached.process, grace, context.ui, &context.interrupt).await;
    sandbox.disconnect().await;
    ran?.report(context.ui)
}
