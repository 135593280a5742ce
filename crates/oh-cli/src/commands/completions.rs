//! `oh completions`: what a shell needs to complete our arguments.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit_code;
use crate::failure::Result;
use crate::output::Ui;

/// Print a script that lets a shell complete commands and options of `oh`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  oh completions bash > ~/.local/share/bash-completion/completions/oh")]
pub(crate) struct Args {
    /// Which shell.
    shell: Shell,
}

pub(crate) fn completions(ui: Ui, args: Args) -> Result<u8> {
    ui.line(script(args.shell).trim_end())?;
    Ok(exit_code::OK)
}

/// The script for `shell`.
pub(crate) fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "oh", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
