//! Running programs, with the command line shown.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::ui;

/// How many lines of a failed program's output an error repeats.
const TAIL_LINES: usize = 25;

/// How the variables begin that describe the package a program belongs to.
const OF_OUR_PACKAGE: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];

/// One program to run.
pub(crate) struct Cmd {
    command: Command,
    shown: String,
    limit: Option<Duration>,
}

impl Cmd {
    /// The program `argv[0]` with the rest as its arguments.
    pub(crate) fn new<S: AsRef<str>>(argv: &[S]) -> Self {
        let mut words = argv.iter().map(AsRef::as_ref);
        let program = words.next().unwrap_or_default();
        let mut command = Command::new(program);
        command.args(words);
        // What cargo told us of ourselves is not for a cargo below: ring and all that uses it would be built again.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| OF_OUR_PACKAGE.iter().any(|prefix| name.starts_with(prefix)))
            {
                command.env_remove(name);
            }
        }
        let shown = argv.iter().map(|word| shell_word(word.as_ref())).collect::<Vec<_>>().join(" ");
        Self { command, shown, limit: None }
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let value = value.as_ref();
        self.shown = format!("{name}={} {}", shell_word(&value.to_string_lossy()), self.shown);
        self.command.env(name, value);
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Kill it after this long.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Shows the command line and lets its output through.
    pub(crate) fn run(mut self) -> Result<()> {
        ui::command(&self.shown);
        let status = self.status()?;
        if !status.success() {
            bail!("`{}` ended with {status}", self.shown);
        }
        Ok(())
    }

    /// Shows the command line; the output is seen only when it fails.
    pub(crate) fn quiet(self) -> Result<()> {
        ui::command(&self.shown);
        self.read().map(drop)
    }

    /// Its standard output, without the end of line. Nothing is shown.
    pub(crate) fn read(mut self) -> Result<String> {
        // Files, not pipes: a program that leaves a child behind cannot keep us waiting for the end of a pipe.
        let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
        self.command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?);
        let status = self.status()?;
        let out = text(&mut out)?;
        if !status.success() {
            let all = out + &text(&mut err)?;
            bail!("`{}` ended with {status}:\n{}", self.shown, tail(&all));
        }
        Ok(out.trim_end().to_owned())
    }

    /// Shows the command line and returns its standard error, without the end of line.
    pub(crate) fn read_error(mut self) -> Result<String> {
        ui::command(&self.shown);
        let mut err = tempfile::tempfile()?;
        self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(err.try_clone()?);
        let status = self.status()?;
        let err = text(&mut err)?;
        if !status.success() {
            bail!("`{}` ended with {status}:\n{}", self.shown, tail(&err));
        }
        Ok(err.trim_end().to_owned())
    }

    fn status(&mut self) -> Result<ExitStatus> {
        let mut child = self.command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow::anyhow!("`{}` is not installed", self.program()),
            _ => anyhow::Error::from(error).context(format!("failed to start `{}`", self.shown)),
        })?;
        let Some(limit) = self.limit else {
            return child.wait().with_context(|| format!("failed to wait for `{}`", self.shown));
        };
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if started.elapsed() > limit {
                child.kill().and_then(|()| child.wait())?;
                bail!("`{}` took longer than {}", self.shown, ui::seconds(limit));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn program(&self) -> String {
        self.command.get_program().to_string_lossy().into_owned()
    }
}

/// Whether a program is there and `argv` ends well. Nothing is shown.
pub(crate) fn works(argv: &[&str]) -> bool {
    Cmd::new(argv).read().is_ok()
}

/// The last lines of `text`.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

fn text(file: &mut File) -> Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `word` so that a shell would read it back as it is.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_command_and_what_it_said() {
        let error = Cmd::new(&["sh", "-c", "echo out; echo why >&2; exit 3"]).read().unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("out\nwhy"), "{error}");
        let error = Cmd::new(&["no-such-program-here"]).read().unwrap_err().to_string();
        assert_eq!(error, "`no-such-program-here` is not installed");
    }

    #[test]
    fn a_limit_ends_it() {
        let started = Instant::now();
        let error = Cmd::new(&["sleep", "60"]).limit(Duration::from_millis(100)).read().unwrap_err();
        assert!(error.to_string().contains("took longer"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn shown_words_are_quoted_for_a_shell() {
        assert_eq!(shell_word("a-b=c/d"), "a-b=c/d");
        assert_eq!(shell_word("it's $1"), r"'it'\''s $1'");
        assert_eq!(shell_word(""), "''");
    }
}
