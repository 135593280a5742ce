//! The command line as a whole; each command's own arguments are beside what it does.

use std::ffi::OsString;
use std::path::PathBuf;

use anstream::ColorChoice;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use oh_config::{Config, ConfigBuilder};

use crate::args;
use crate::commands::{
    completions, config, cp, eval, exec, gc, kill, logs, ls, pause, port_forward, ps, rm, run, shell,
};
use crate::exit_code::{self, Scope};
use crate::failure::{Cause, Failure};
use crate::output::{Format, Ui};

const EXAMPLE: &str = "Example:\n  oh run --image debian:12 -- echo hello";

/// Runs commands in sandboxes, and evaluations in many of them.
///
/// The backend is the one of --runtime, else of OH_RUNTIME, else of the configuration file, else docker.
#[derive(Debug, Parser)]
#[command(name = "oh", version, arg_required_else_help = true, subcommand_required = true)]
#[command(after_help = EXAMPLE, after_long_help = exit_code::help(EXAMPLE, exit_code::OWN))]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Where sandboxes run: docker, k8s or local.
    #[arg(long, global = true, value_name = "BACKEND")]
    pub(crate) runtime: Option<String>,
    /// Read this configuration file instead of the project's.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Use this profile of the configuration.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated.
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = args::option)]
    pub(crate) set: Vec<(String, String)>,
    /// How to print results.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Format,
    /// When to use colours: always, never, or auto for on a terminal.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        hide_possible_values = true
    )]
    pub(crate) color: When,
    /// Say more: what is done on the side; twice: what the libraries log.
    #[arg(long, short, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub(crate) verbose: u8,
    /// Print results and errors only.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

impl Global {
    /// How much is said, and how.
    pub(crate) fn ui(&self) -> Ui {
        Ui { format: self.output, quiet: self.quiet, verbose: self.verbose > 0 }
    }

    /// The configuration to be, with what the command line says on top.
    pub(crate) fn config(&self) -> ConfigBuilder {
        let builder = Config::builder().file(self.config.clone()).profile(self.profile.clone());
        let set =
            self.set.iter().fold(builder, |builder, (key, value)| builder.set(key, "--set", Some(value)));
        set.set("runtime", "--runtime", self.runtime.as_deref()).set(
            "log.level",
            "-vv",
            (self.verbose > 1).then_some("debug"),
        )
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum When {
    /// On a terminal.
    #[default]
    Auto,
    /// Also into files and pipes.
    Always,
    /// Nowhere.
    Never,
}

impl When {
    /// Holds for all that is printed from now on.
    pub(crate) fn apply(self) {
        let choice = match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        };
        choice.write_global();
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Work(Box<Work>),
    #[command(subcommand)]
    Config(config::Command),
    Completions(completions::Args),
}

/// What needs a configuration that is right.
#[derive(Debug, Subcommand)]
pub(crate) enum Work {
    Run(run::Args),
    Exec(exec::Args),
    Shell(shell::Args),
    PortForward(port_forward::Args),
    Ps(ps::Args),
    Kill(kill::Args),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Cp(cp::Args),
    Logs(logs::Args),
    Ls(ls::Args),
    Rm(rm::Args),
    Gc(gc::Args),
    #[command(subcommand)]
    Eval(eval::Command),
}

impl Command {
    /// Which exit codes it uses.
    pub(crate) fn scope(&self) -> Scope {
        match self {
            Self::Work(work) if matches!(**work, Work::Run(_) | Work::Exec(_) | Work::Shell(_)) => {
                Scope::Command
            }
            _ => Scope::Own,
        }
    }
}

/// Reads the arguments. What cannot be read is explained to the user; then only an exit code is left.
pub(crate) fn parse(args: &[OsString]) -> Result<Cli, u8> {
    Cli::try_parse_from(args).map_err(|error| explain(&error, args))
}

fn explain(error: &clap::Error, args: &[OsString]) -> u8 {
    let (ui, color, scope) = guess(args);
    color.apply();
    if !error.use_stderr() {
        // Help or version, into a closed pipe for all we care.
        let _ = error.print();
        return exit_code::OK;
    }
    if ui.json() {
        let text = error.render().to_string();
        ui.error(&Failure::usage("read the arguments", text.trim().trim_start_matches("error: ")));
    } else {
        let _ = error.print();
    }
    exit_code::of_failure(scope, Cause::Usage)
}

/// What can be told from arguments that are wrong somewhere.
fn guess(args: &[OsString]) -> (Ui, When, Scope) {
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(args).unwrap_or_default();
    let scope = match matches.subcommand_name() {
        Some("run" | "exec" | "shell") => Scope::Command,
        _ => Scope::Own,
    };
    let ui = Ui { format: option(args, "--output").unwrap_or_default(), quiet: false, verbose: false };
    (ui, option(args, "--color").unwrap_or_default(), scope)
}

/// The value of an option, found without understanding the rest.
fn option<T: ValueEnum>(args: &[OsString], name: &str) -> Option<T> {
    let ours: Vec<&str> = args.iter().map_while(|arg| arg.to_str().filter(|arg| *arg != "--")).collect();
    let separate = ours.windows(2).find(|pair| pair[0] == name).map(|pair| pair[1]);
    let joined = ours.iter().find_map(|arg| arg.strip_prefix(name)?.strip_prefix('='));
    T::from_str(separate.or(joined)?, false).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<OsString> {
        line.split(' ').map(Into::into).collect()
    }

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_arguments_of_run_and_exec_are_not_mistaken_for_the_commands_code() {
        for (line, code) in [
            ("oh run --bogus -- true", 125),
            ("oh --output json run --bogus -- true", 125),
            ("oh exec", 125),
            ("oh shell", 125),
            ("oh port-forward box", 2),
            ("oh port-forward box 0", 2),
            ("oh exec Bad_Name -- true", 125),
            ("oh ls --bogus", 2),
            ("oh bogus", 2),
            ("oh ls --set k8s.namespace", 2),
            ("oh config init gke", 2),
            ("oh run --keep --cleanup never -- true", 125),
            ("oh rm", 2),
            ("oh --version", 0),
            ("oh run --help", 0),
        ] {
            assert_eq!(parse(&args(line)).unwrap_err(), code, "{line}");
        }
    }

    #[test]
    fn the_output_format_is_known_even_when_the_rest_is_wrong() {
        assert!(guess(&args("oh --output json ls --bogus")).0.json());
        assert!(guess(&args("oh ls --output json --bogus")).0.json());
        assert!(guess(&args("oh run --bogus --output=json -- x")).0.json());
        assert!(!guess(&args("oh run --bogus -- x --output json")).0.json());
        assert!(!guess(&args("oh ls --bogus --output")).0.json());
    }
}
