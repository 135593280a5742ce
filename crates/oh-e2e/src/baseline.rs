//! What passed when the baseline was taken has to pass now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::environment;
use crate::report::{Outcome, Record};

/// The committed outcome of one backend: names and outcomes, no times and no words, so that it changes only when
/// something changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Baseline(BTreeMap<String, Outcome>);

/// What is different now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Passed then, and does not now, or is not there any more.
    pub regressions: Vec<String>,
    /// Not in the baseline.
    pub unknown: Vec<String>,
}

impl Baseline {
    /// Where the baseline of `backend` is.
    #[must_use]
    pub fn path(backend: &str) -> PathBuf {
        environment::conformance().join(format!("baseline-{backend}.json"))
    }

    /// The outcomes of `backend` among `records`.
    #[must_use]
    pub fn of(backend: &str, records: &[Record]) -> Self {
        let of_backend = records.iter().filter(|record| record.backend == backend);
        Self(of_backend.map(|record| (record.case.clone(), record.outcome)).collect())
    }

    /// Reads a baseline; `None` when there is no such file.
    ///
    /// # Errors
    /// In words, when it cannot be read or is malformed.
    pub fn read(path: &Path) -> Result<Option<Self>, String> {
        let named = |error: String| format!("{}: {error}", path.display());
        match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| named(error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(named(error.to_string())),
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// In words, when it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let mut text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        text.push('\n');
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// What is different in `now`. A run of a part of the cases is not `complete`: what it left out is not missed.
    #[must_use]
    pub fn compare(&self, now: &Self, complete: bool) -> Difference {
        let mut difference = Difference::default();
        for case in self.0.iter().filter(|(_, outcome)| **outcome == Outcome::Passed).map(|(case, _)| case) {
            match now.0.get(case) {
                Some(Outcome::Passed) => {}
                Some(Outcome::Failed) => difference.regressions.push(format!("{case} fails")),
                Some(Outcome::Skipped) => difference.regressions.push(format!("{case} is skipped")),
                None if complete => difference.regressions.push(format!("{case} is gone")),
                None => {}
            }
        }
        difference.unknown = now.0.keys().filter(|case| !self.0.contains_key(*case)).cloned().collect();
        difference
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passed_can_regress() {
        use Outcome::{Failed, Passed, Skipped};
        let then = Baseline(
            [("a", Passed), ("b", Passed), ("c", Passed), ("d", Passed), ("e", Skipped)]
                .map(|(case, outcome)| (case.to_owned(), outcome))
                .into(),
        );
        let now = Baseline(
            [("a", Passed), ("b", Failed), ("c", Skipped), ("e", Failed), ("f", Passed)]
                .map(|(case, outcome)| (case.to_owned(), outcome))
                .into(),
        );
        let complete = then.compare(&now, true);
        assert_eq!(complete.regressions, ["b fails", "c is skipped", "d is gone"]);
        assert_eq!(complete.unknown, ["f"]);
        assert_eq!(then.compare(&now, false).regressions, ["b fails", "c is skipped"]);
    }
}
