//! Outcomes of a run, and the parity table made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// The backend cannot do what it needs.
    Skipped,
}

/// One case on one backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Name of the backend.
    pub backend: String,
    /// `area::name` of the case.
    pub case: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed or was skipped.
    pub reason: Option<String>,
}

/// Reads the records of a run.
///
/// # Errors
/// In words, when there are none.
pub fn read(path: &Path) -> Result<Vec<Record>, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes the records of a run.
///
/// # Errors
/// In words, when the file cannot be written.
pub fn write(path: &Path, records: &[Record]) -> Result<(), String> {
    let mut text = serde_json::to_string_pretty(records).map_err(|error| error.to_string())?;
    text.push('\n');
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The table of cases and backends, in the order `cases` has them.
#[must_use]
pub fn render(cases: &[String], records: &[Record]) -> String {
    let backends: BTreeSet<&str> = records.iter().map(|record| record.backend.as_str()).collect();
    let by_case: BTreeMap<(&str, &str), &Record> =
        records.iter().map(|record| ((record.case.as_str(), record.backend.as_str()), record)).collect();
    let mut reasons: Vec<&str> = Vec::new();
    let mut text = String::from(
        "# Parity of the backends\n\n\
         One list of cases, run on every backend (`cargo xtask test`). Generated from the reports of such runs by\n\
         `cargo run -p oh-e2e --bin parity`; do not edit.\n\n",
    );
    let header: String = backends.iter().map(|backend| format!(" {backend} |")).collect();
    let _ = writeln!(text, "| case |{header}\n| --- |{}", " --- |".repeat(backends.len()));
    for case in cases {
        let _ = write!(text, "| {} |", case.replace("::", ": ").replace('_', " "));
        for backend in &backends {
            let cell = match by_case.get(&(case.as_str(), backend)) {
                None => "not run".to_owned(),
                Some(Record { outcome: Outcome::Passed, .. }) => "yes".to_owned(),
                Some(Record { outcome: Outcome::Failed, .. }) => "**no**".to_owned(),
                Some(Record { outcome: Outcome::Skipped, reason, .. }) => {
                    format!("– {}", note(&mut reasons, reason.as_deref().unwrap_or("no reason")))
                }
            };
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    let _ = write!(text, "\n{}", totals(&backends, records));
    if !reasons.is_empty() {
        text.push_str("\nNot possible there:\n\n");
        for (index, reason) in reasons.iter().enumerate() {
            let _ = writeln!(text, "{}. {reason}", index + 1);
        }
    }
    text
}

/// The number of a reason; equal ones share it.
fn note<'a>(reasons: &mut Vec<&'a str>, reason: &'a str) -> usize {
    match reasons.iter().position(|known| *known == reason) {
        Some(index) => index + 1,
        None => {
            reasons.push(reason);
            reasons.len()
        }
    }
}

fn totals(backends: &BTreeSet<&str>, records: &[Record]) -> String {
    let mut text = String::new();
    for backend in backends {
        let count = |outcome| {
            records.iter().filter(|record| record.backend == *backend && record.outcome == outcome).count()
        };
        let _ = writeln!(
            text,
            "- {backend}: {} passed, {} failed, {} not possible",
            count(Outcome::Passed),
            count(Outcome::Failed),
            count(Outcome::Skipped)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_row_per_case_and_numbers_the_reasons() {
        let record = |backend: &str, case: &str, outcome, reason: Option<&str>| Record {
            backend: backend.into(),
            case: case.into(),
            outcome,
            reason: reason.map(str::to_owned),
        };
        let records = [
            record("local", "a::x_y", Outcome::Skipped, Some("cannot")),
            record("local", "a::z", Outcome::Skipped, Some("cannot")),
            record("docker", "a::x_y", Outcome::Passed, None),
            record("docker", "a::z", Outcome::Failed, Some("secret detail")),
        ];
        let text = render(&["a::x_y".into(), "a::z".into(), "b::new".into()], &records);
        assert!(text.contains("| case | docker | local |"), "{text}");
        assert!(text.contains("| a: x y | yes | – 1 |"), "{text}");
        assert!(text.contains("| a: z | **no** | – 1 |"), "{text}");
        assert!(text.contains("| b: new | not run | not run |"), "{text}");
        assert!(text.contains("1. cannot\n") && !text.contains("2. "), "{text}");
        assert!(text.contains("- docker: 1 passed, 1 failed, 0 not possible"), "{text}");
    }
}
