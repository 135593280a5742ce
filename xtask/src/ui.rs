//! What the user sees. Colours appear on a terminal only (anstream).

use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use anyhow::Result;

const STEP: Style = AnsiColor::Cyan.on_default().bold();
const DIM: Style = Style::new().dimmed();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();

/// Says what begins, does it, and says how long it took.
pub(crate) fn step<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    anstream::println!("{STEP}==> {title}{STEP:#}");
    let started = Instant::now();
    let result = work();
    let word = if result.is_ok() { "done" } else { "failed" };
    anstream::println!("    {DIM}{word} in {}: {title}{DIM:#}", seconds(started.elapsed()));
    result
}

/// A remark within a step.
pub(crate) fn note(text: impl AsRef<str>) {
    for line in text.as_ref().lines() {
        anstream::println!("    {line}");
    }
}

/// The command line about to run.
pub(crate) fn command(line: &str) {
    anstream::println!("    {DIM}$ {line}{DIM:#}");
}

/// The error that ends the program, with its causes.
pub(crate) fn error(error: &anyhow::Error) {
    anstream::eprintln!("{BAD}error:{BAD:#} {error:#}");
}

/// A duration for people: `0.4 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
