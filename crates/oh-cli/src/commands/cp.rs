//! `oh cp`: files in and out.

use std::path::PathBuf;

use indicatif::ProgressBar;
use oh_runtime::{CopyOptions, Owner, Runtime, SandboxExt, SandboxName, Selection, WriteOptions};
use serde_json::json;

use super::Context;
use crate::args::{self, Place};
use crate::failure::{Failure, Result};
use crate::output::{bytes_bar, show};
use crate::{exit_code, relay};

/// Permission bits of a file made from standard input.
const STREAM_MODE: u32 = 0o644;

/// Copy a file or folder into a sandbox or out of it.
///
/// One side is NAME:/path, the other a path of this machine, or - for standard input or output of a single file. As with
/// cp, a target that is a folder takes the source's name inside it. A path of this machine with a colon in its name is
/// written ./a:b.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  oh cp ./repo box:/testbed -x .git\n  oh cp box:/tmp/report.json -")]
pub(crate) struct Args {
    /// What to copy.
    #[arg(value_parser = place())]
    source: Place,
    /// Where to.
    #[arg(value_parser = place())]
    target: Place,
    /// Copy of a folder only what matches this pattern, like '*.py' or 'src/**'; can be repeated.
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Leave out what matches this pattern, like .git or 'build/*'; can be repeated.
    #[arg(long, short = 'x', value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Whom the copy belongs to in the sandbox: user or user:group, by name or number.
    #[arg(long, value_name = "USER", conflicts_with = "same_owner")]
    owner: Option<String>,
    /// Keep the numbers of users and groups.
    #[arg(long)]
    same_owner: bool,
}

impl Args {
    fn options(&mut self) -> CopyOptions {
        let owner = match (self.owner.take(), self.same_owner) {
            (Some(name), _) => Owner::Named(name),
            (None, true) => Owner::Same,
            (None, false) => Owner::Receiver,
        };
        let wanted = Selection {
            include: std::mem::take(&mut self.include),
            exclude: std::mem::take(&mut self.exclude),
        };
        CopyOptions { owner, wanted, ..CopyOptions::default() }
    }
}

fn place() -> impl clap::builder::TypedValueParser<Value = Place> {
    use clap::builder::{OsStringValueParser, TypedValueParser};
    OsStringValueParser::new().try_map(|text| args::place(&text))
}

pub(super) async fn cp(context: &Context, args: Args) -> Result<u8> {
    let sides = json!({"source": args.source.to_string(), "target": args.target.to_string()});
    let plan = plan(args, context.ui.json())?;
    let runtime = context.runtime().await?;
    let (entries, bytes) =
        context.unless_interrupted("copy files", plan.carry_out(context, &runtime)).await?;
    if context.ui.json() {
        let mut document = sides;
        document["entries"] = entries.into();
        document["bytes"] = bytes.into();
        context.ui.document(&document)?;
    } else {
        context.ui.detail(&format!("copied {entries} entries, {bytes} bytes"));
    }
    Ok(exit_code::OK)
}

/// A copy that makes sense: exactly one side is in a sandbox.
#[derive(Debug)]
struct Plan {
    sandbox: SandboxName,
    path: PathBuf,
    way: Way,
    options: CopyOptions,
}

/// The other side, and the direction.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    FromHost(PathBuf),
    ToHost(PathBuf),
    FromStdin,
    ToStdout,
}

fn plan(mut args: Args, json: bool) -> Result<Plan> {
    let options = args.options();
    let wrong = |message: &str| Failure::usage("copy files", message);
    let (way, sandbox, path) = match (args.source, args.target) {
        (Place::Host(from), Place::Sandbox(name, path)) => (Way::FromHost(from), name, path),
        (Place::Stream, Place::Sandbox(name, path)) => (Way::FromStdin, name, path),
        (Place::Sandbox(name, path), Place::Host(to)) => (Way::ToHost(to), name, path),
        (Place::Sandbox(..), Place::Stream) if json => {
            return Err(wrong("standard output cannot be both the file and a JSON document")
                .hint("leave out --output json, or copy to a file"));
        }
        (Place::Sandbox(name, path), Place::Stream) => (Way::ToStdout, name, path),
        (Place::Sandbox(from, _), Place::Sandbox(to, _)) => {
            return Err(wrong("both sides are in sandboxes")
                .hint(format!("for a single file: oh cp {from}:/file - | oh cp - {to}:/file")));
        }
        _ => return Err(wrong("neither side is in a sandbox").hint("write one of them as NAME:/path")),
    };
    let owner_means_nothing = match way {
        Way::FromStdin => options.owner == Owner::Same,
        Way::ToStdout => options.owner != Owner::Receiver,
        Way::FromHost(_) | Way::ToHost(_) => false,
    };
    let is_stream = matches!(way, Way::FromStdin | Way::ToStdout);
    if owner_means_nothing || (is_stream && options.wanted != Selection::default()) {
        return Err(wrong("a stream has no such owner, and nothing in it can be left out"));
    }
    Ok(Plan { sandbox, path, way, options })
}

impl Plan {
    /// Copies, and says how many entries and bytes it were.
    async fn carry_out(&self, context: &Context, runtime: &Runtime) -> Result<(u64, u64)> {
        let sandbox = runtime.attach(&self.sandbox).await?;
        // A file that goes to a terminal is its own progress.
        let bar = match &self.way {
            Way::ToStdout => ProgressBar::hidden(),
            _ => bytes_bar(context.ui, format!("copying {}", self.path.display())),
        };
        let progress = |progress| show(&bar, progress);
        Ok(match &self.way {
            Way::FromHost(from) => {
                sandbox.copy_to_with(from, &self.path, &self.options, &progress).await?.into()
            }
            Way::ToHost(to) => sandbox.copy_from_with(&self.path, to, &self.options, &progress).await?.into(),
            Way::FromStdin => {
                let data = bar.wrap_async_read(tokio::io::stdin());
                let owner = match &self.options.owner {
                    Owner::Named(name) => Some(name.clone()),
                    _ => None,
                };
                let how = WriteOptions { owner, ..WriteOptions::mode(STREAM_MODE) };
                (1, sandbox.write_file(&self.path, how, Box::pin(data)).await?)
            }
            Way::ToStdout => {
                (1, relay::copy(sandbox.read_file(&self.path, 0, None).await?, tokio::io::stdout()).await?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn of(source: &str, target: &str, json: bool) -> Result<Plan> {
        let place = |text| args::place(OsStr::new(text)).unwrap();
        let (source, target) = (place(source), place(target));
        let args =
            Args { source, target, include: Vec::new(), exclude: Vec::new(), owner: None, same_owner: false };
        plan(args, json)
    }

    #[test]
    fn one_side_is_in_a_sandbox_and_the_other_is_not() {
        let check = |source, target, way| {
            let plan = of(source, target, false).unwrap();
            assert_eq!((plan.sandbox.as_str(), plan.path.to_str(), plan.way), ("box", Some("/x"), way));
        };
        check("a", "box:/x", Way::FromHost("a".into()));
        check("box:/x", "a", Way::ToHost("a".into()));
        check("-", "box:/x", Way::FromStdin);
        check("box:/x", "-", Way::ToStdout);
        for (source, target, says) in
            [("a", "b", "neither"), ("-", "b", "neither"), ("aa:/x", "bb:/x", "both sides are in sandboxes")]
        {
            let failure = of(source, target, false).unwrap_err();
            assert!(failure.text(false).contains(says), "{}", failure.text(false));
        }
        assert!(of("box:/x", "-", true).unwrap_err().text(false).contains("--output json"));
    }
}
