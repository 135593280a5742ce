//! The command `oh`: arguments, output, exit codes. What it does is in the libraries below.

mod args;
mod cli;
mod commands;
mod exit_code;
mod failure;
mod output;
mod ran;
#[cfg(test)]
mod reference;
mod relay;
mod signals;
mod terminal;

use std::ffi::OsString;
use std::process::ExitCode;

use cli::{Cli, Command, Global, Work};
use commands::{Context, completions, config};
use failure::{Cause, Failure, Result};
use output::Ui;
use signals::Interrupt;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let code = match cli::parse(&args) {
        Ok(cli) => end_to_end(cli),
        Err(code) => code,
    };
    ExitCode::from(code)
}

/// Carries out what was asked for, says what went wrong, and returns the exit code.
fn end_to_end(cli: Cli) -> u8 {
    let ui = cli.global.ui();
    cli.global.color.apply();
    let scope = cli.command.scope();
    run(cli, ui).unwrap_or_else(|failure| {
        if failure.cause() != Cause::OutputClosed {
            ui.error(&failure);
        }
        exit_code::of_failure(scope, failure.cause())
    })
}

fn run(cli: Cli, ui: Ui) -> Result<u8> {
    match cli.command {
        Command::Work(work) => with_sandboxes(&cli.global, *work, ui),
        Command::Config(command) => config::config(ui, &cli.global, command),
        Command::Completions(args) => completions::completions(ui, args),
    }
}

fn with_sandboxes(global: &Global, work: Work, ui: Ui) -> Result<u8> {
    let config = global.config().load()?;
    config.warnings().iter().for_each(|warning| ui.caution(warning));
    output::start_log(ui, config.log);
    let local = |operation: &'static str| {
        move |error: std::io::Error| Failure::new(Cause::Local, operation, error.to_string())
    };
    let runtime = tokio::runtime::Runtime::new().map_err(local("start the asynchronous runtime"))?;
    let result = runtime.block_on(async {
        let interrupt = Interrupt::listen(ui).map_err(local("listen for signals"))?;
        commands::dispatch(&Context { ui, config, interrupt }, work).await
    });
    // A read of standard input cannot be called off: it must not hold up the end.
    runtime.shutdown_background();
    result
}
