//! What people and programs get to see. Results go to standard output, everything else to standard error.

mod log;
mod progress;
mod table;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

pub(crate) use log::start_log;
pub(crate) use progress::{bars, bytes_bar, counting_bar, show, spinner};
pub(crate) use table::{cell, table};

use crate::failure::{Failure, Result};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON document on standard output, and JSON lines on standard error.
    Json,
}

/// How much is said, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ui {
    /// How results are written.
    pub(crate) format: Format,
    /// Only results and errors.
    pub(crate) quiet: bool,
    /// Also what is done on the side.
    pub(crate) verbose: bool,
}

impl Ui {
    /// Whether results are JSON.
    pub(crate) fn json(self) -> bool {
        self.format == Format::Json
    }

    /// Whether somebody watches: only then anything moves on the screen.
    pub(crate) fn animated(self) -> bool {
        !self.quiet && !self.json() && std::io::stderr().is_terminal()
    }

    /// Writes the one JSON document of a command.
    pub(crate) fn document(self, value: &Value) -> Result<()> {
        self.line(&format!("{value:#}"))
    }

    /// Writes a line of the result.
    pub(crate) fn line(self, text: &str) -> Result<()> {
        let mut out = anstream::stdout().lock();
        writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| Failure::output(&error))
    }

    /// Says what happens, when asked for with `-v`.
    pub(crate) fn detail(self, text: &str) {
        if self.verbose {
            self.note(text);
        }
    }

    /// Says what people should know, unless they asked for quiet.
    pub(crate) fn note(self, text: &str) {
        match self.format {
            _ if self.quiet => {}
            Format::Human => self.stderr(text),
            Format::Json => self.stderr(&json!({ "note": text }).to_string()),
        }
    }

    /// Says what is probably a mistake, unless they asked for quiet.
    pub(crate) fn caution(self, text: &str) {
        match self.format {
            _ if self.quiet => {}
            Format::Human => self.stderr(&format!("{WARNING}warning:{WARNING:#} {}", printable(text))),
            Format::Json => self.stderr(&json!({ "note": text }).to_string()),
        }
    }

    /// Says what ended the command.
    pub(crate) fn error(self, failure: &Failure) {
        self.failure("error", ERROR, failure);
    }

    /// Says what went wrong beside the command's own result.
    pub(crate) fn warning(self, failure: &Failure) {
        self.failure("warning", WARNING, failure);
    }

    fn failure(self, label: &str, style: Style, failure: &Failure) {
        if self.json() {
            return self.stderr(&json!({ label: failure.json() }).to_string());
        }
        let mut text = format!("{style}{label}:{style:#} ");
        for (number, line) in failure.text(self.verbose).lines().enumerate() {
            let end = if number == 0 { "" } else { "\n" };
            let _ = match line.strip_prefix("hint:") {
                Some(hint) => write!(text, "{end}{HINT}hint:{HINT:#}{hint}"),
                None => write!(text, "{end}{line}"),
            };
        }
        self.stderr(&text);
    }

    /// Writes a line beside the result. When standard error is closed there is nobody to tell.
    fn stderr(self, text: &str) {
        bars().suspend(|| {
            let _ = writeln!(anstream::stderr().lock(), "{text}");
        });
    }
}

/// Text of others without anything a terminal would obey: control characters become escapes.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(obeyed) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if obeyed(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe.into()
}

/// Bytes in JSON: a string when they are UTF-8, else `{"base64": …}`.
pub(crate) fn bytes_json(bytes: &[u8]) -> Value {
    match str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({"base64": BASE64_STANDARD.encode(bytes)}),
    }
}

/// A time span in at most two units: `45s`, `3m 20s`, `2h 5m`, `3d 4h`.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// How long something took: `0.4s`, else as [`span`].
pub(crate) fn elapsed(duration: Duration) -> String {
    if duration.as_secs() < 60 { format!("{:.1}s", duration.as_secs_f64()) } else { span(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_visible() {
        assert_eq!(printable("a\tb\nc é"), "a\tb\nc é");
        assert_eq!(printable("\u{1b}[2Jx\r\u{9b}"), "\\u{1b}[2Jx\\r\\u{9b}");
    }

    #[test]
    fn bytes_are_text_when_they_can_be() {
        assert_eq!(bytes_json("é\n".as_bytes()), json!("é\n"));
        assert_eq!(bytes_json(b"\xff\x00"), json!({"base64": "/wA="}));
    }

    #[test]
    fn spans_have_two_units_at_most() {
        for (seconds, text) in [(0, "0s"), (200, "3m 20s"), (7500, "2h 5m"), (90061, "1d 1h")] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }
}
