//! `oh config`: what the configuration is, where it came from, and whether it is right.

use std::io::Write;
use std::path::PathBuf;

use oh_config::{Checked, ConfigError, Environment, Flavor};
use oh_runtime::ErrorKind;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::exit_code::{self, Scope};
use crate::failure::{Cause, Failure, Result};
use crate::output::Ui;

/// Look at the configuration, check it, or begin one.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Show(ShowArgs),
    Explain(ExplainArgs),
    Check(CheckArgs),
    Init(InitArgs),
    Schema(SchemaArgs),
}

/// Print every option that has a value, and where it came from.
///
/// What is printed is a configuration file, but for secrets, which are hidden.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  oh config show\n  oh config show --profile ack --output json")]
pub(crate) struct ShowArgs {}

/// Print all about one option: its value, where that came from, every place that has one, and what it means.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  oh config explain k8s.namespace\n  oh config explain OH_RUNTIME")]
pub(crate) struct ExplainArgs {
    /// The option, or a variable that sets it.
    key: String,
}

/// Say all that is wrong with a configuration file, or with the configuration that holds here.
///
/// A file is checked by itself, with each of its profiles. It may be a config.toml of OpenHands: then also what of it has
/// no meaning here is said.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  oh config check\n  oh config check oh.toml")]
pub(crate) struct CheckArgs {
    /// The file; without one, all files and variables together.
    file: Option<PathBuf>,
}

/// Write a commented file to begin with.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  oh config init kind\n  oh config init eks --file -")]
pub(crate) struct InitArgs {
    /// Where sandboxes will run: docker, kind, ack (Alibaba Cloud), eks (Amazon) or aks (Azure).
    #[arg(default_value = "docker", value_name = "docker|kind|ack|eks|aks")]
    flavor: Flavor,
    /// What to write, which must not be there yet; `-` is standard output.
    #[arg(long, value_name = "FILE", default_value = "oh.toml")]
    file: PathBuf,
}

/// Print the JSON Schema of configuration files, for editors.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  oh config schema > oh.schema.json")]
pub(crate) struct SchemaArgs {}

pub(crate) fn config(ui: Ui, global: &Global, command: Command) -> Result<u8> {
    match command {
        Command::Show(ShowArgs {}) => show(ui, global),
        Command::Explain(args) => explain(ui, global, &args),
        Command::Check(args) => check(ui, global, args),
        Command::Init(args) => init(ui, &args),
        Command::Schema(SchemaArgs {}) => {
            ui.document(&oh_config::schema())?;
            Ok(exit_code::OK)
        }
    }
}

fn show(ui: Ui, global: &Global) -> Result<u8> {
    let inspection = global.config().inspect()?;
    inspection.warnings().iter().for_each(|warning| ui.caution(warning));
    if ui.json() {
        ui.document(&inspection.json())?;
    } else {
        ui.line(inspection.toml().trim_end())?;
    }
    // What is wrong holds no less when it is shown.
    inspection.config()?;
    Ok(exit_code::OK)
}

fn explain(ui: Ui, global: &Global, args: &ExplainArgs) -> Result<u8> {
    let inspection = global.config().inspect()?;
    inspection.warnings().iter().for_each(|warning| ui.caution(warning));
    let explanation =
        inspection.explain(&args.key).map_err(|what| Failure::usage("explain an option", what))?;
    if ui.json() {
        let document = serde_json::to_value(&explanation)
            .map_err(|error| Failure::new(Cause::Local, "explain an option", error.to_string()))?;
        ui.document(&document)?;
    } else {
        ui.line(explanation.to_string().trim_end())?;
    }
    Ok(exit_code::OK)
}

fn check(ui: Ui, global: &Global, args: CheckArgs) -> Result<u8> {
    let (what, checked) = match &args.file {
        Some(file) => {
            let environment = Environment::current().map_err(|error| {
                Failure::new(
                    Cause::Local,
                    "check a configuration",
                    format!("the current folder is gone: {error}"),
                )
            })?;
            (file.display().to_string(), oh_config::check(&environment, file))
        }
        None => {
            let inspection = global.config().inspect()?;
            let files: Vec<_> = inspection.files().iter().map(|file| file.display().to_string()).collect();
            let what = match &*files {
                [] => "the configuration, without any file (`oh config init` writes one),".to_owned(),
                files => format!("the configuration, of {} and variables,", files.join(", ")),
            };
            let warnings = inspection.warnings().to_vec();
            (what, inspection.config().map(|_| Checked { profiles: Vec::new(), warnings }))
        }
    };
    if ui.json() {
        ui.document(&report(&checked))?;
        let wrong = exit_code::of_failure(Scope::Own, Cause::Sandbox(ErrorKind::Config));
        return Ok(if checked.is_ok() { exit_code::OK } else { wrong });
    }
    let Checked { profiles, warnings } = checked?;
    warnings.iter().for_each(|warning| ui.caution(warning));
    let with = match &*profiles {
        [] => String::new(),
        [one] => format!(", also with its profile {one}"),
        more => format!(", also with each of its profiles {}", more.join(", ")),
    };
    ui.line(&format!("{what} is right{with}"))?;
    Ok(exit_code::OK)
}

fn report(checked: &Result<Checked, ConfigError>) -> Value {
    match checked {
        Ok(Checked { profiles, warnings }) => {
            json!({ "ok": true, "problems": [], "warnings": warnings, "profiles": profiles })
        }
        Err(error) => json!({ "ok": false, "problems": error.problems(), "warnings": [], "profiles": [] }),
    }
}

fn init(ui: Ui, args: &InitArgs) -> Result<u8> {
    let text = args.flavor.file();
    if args.file.as_os_str() == "-" {
        ui.line(text.trim_end())?;
        return Ok(exit_code::OK);
    }
    let name = args.file.display();
    let failed = |error: std::io::Error| {
        let failure = Failure::new(Cause::Local, format!("write {name}"), error.to_string());
        match error.kind() {
            std::io::ErrorKind::AlreadyExists => failure.hint("remove it, or name another with --file"),
            _ => failure,
        }
    };
    let file = std::fs::File::options().write(true).create_new(true).open(&args.file);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)?;
    if ui.json() {
        ui.document(&json!({ "written": args.file }))?;
    } else {
        ui.line(&format!("wrote {name}: look through it, then `oh config check {name}`"))?;
    }
    Ok(exit_code::OK)
}
