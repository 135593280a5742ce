//! All that was found, as tables and as JSON.

use std::fmt;

use serde::Serialize;
use serde_json::json;

use crate::leaks::Leaks;
use crate::tally::Counts;

/// One part of the run.
#[derive(Debug, Serialize)]
struct Row {
    engine: &'static str,
    part: String,
    #[serde(flatten)]
    counts: Counts,
    /// How many cuts it needs to prove anything.
    wanted: usize,
    /// What was measured, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    figures: String,
}

#[derive(Debug, Default)]
pub(crate) struct Report {
    seed: u64,
    /// How many commands it needs to prove anything.
    commands: usize,
    rows: Vec<Row>,
    leaks: Vec<Leaks>,
    /// Parts that could not be finished.
    broken: Vec<String>,
    /// Parts that cannot be had here.
    left_out: Vec<String>,
}

impl Report {
    pub(crate) fn new(seed: u64, commands: usize) -> Self {
        Self { seed, commands, ..Self::default() }
    }

    pub(crate) fn phase(&mut self, engine: &'static str, part: &str, counts: Counts, wanted: usize) {
        let (part, figures) = (part.to_owned(), String::new());
        self.rows.push(Row { engine, part, counts, wanted, figures });
    }

    pub(crate) fn scenario(&mut self, engine: &'static str, part: &str, counts: Counts, figures: String) {
        self.rows.push(Row { engine, part: part.to_owned(), counts, wanted: 0, figures });
    }

    pub(crate) fn leaks(&mut self, leaks: Leaks) {
        self.leaks.push(leaks);
    }

    pub(crate) fn broken(&mut self, what: String) {
        eprintln!("    broken: {what}");
        self.broken.push(what);
    }

    pub(crate) fn left_out(&mut self, what: String) {
        eprintln!("    left out: {what}");
        self.left_out.push(what);
    }

    fn total(&self) -> Counts {
        self.rows.iter().fold(Counts::default(), |mut sum, row| {
            sum.add(row.counts);
            sum
        })
    }

    fn leaked(&self) -> usize {
        self.leaks.iter().map(Leaks::total).sum()
    }

    /// Whether everything was tried and nothing is wrong.
    pub(crate) fn is_good(&self) -> bool {
        let total = self.total();
        let enough = self.rows.iter().all(|row| row.counts.cuts >= row.wanted);
        let enough = enough && total.commands >= self.commands;
        enough && self.broken.is_empty() && total.mistakes() == 0 && self.leaked() == 0
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        let Counts { cuts, commands, copies, duplicates, losses, wrong_codes, wrong_digests } = self.total();
        json!({
            "seed": self.seed,
            "cuts": cuts,
            "commands": commands,
            "copies": copies,
            "duplicates": duplicates,
            "losses": losses,
            "wrong_codes": wrong_codes,
            "wrong_digests": wrong_digests,
            "leaks": self.leaked(),
            "parts": self.rows,
            "leaked": self.leaks,
            "broken": self.broken,
            "left_out": self.left_out,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = self.rows.iter().map(|row| row.part.len()).max().unwrap_or_default().max(5);
        let header = ["cuts", "commands", "copies", "duplicates", "losses", "wrong codes", "wrong digests"];
        write!(f, "{:<7} {:<widest$}", "engine", "part")?;
        for name in header {
            write!(f, "  {name}")?;
        }
        writeln!(f)?;
        let all = ("", "all", self.total());
        let rows = self.rows.iter().map(|row| (row.engine, row.part.as_str(), row.counts));
        for (engine, part, counts) in rows.chain([all]) {
            write!(f, "{engine:<7} {part:<widest$}")?;
            let Counts { cuts, commands, copies, duplicates, losses, wrong_codes, wrong_digests } = counts;
            let numbers = [cuts, commands, copies, duplicates, losses, wrong_codes, wrong_digests];
            for (name, number) in header.iter().zip(numbers) {
                write!(f, "  {number:>width$}", width = name.len())?;
            }
            writeln!(f)?;
        }
        writeln!(f, "\n{:<7} {:<9}  before  after", "engine", "leaks")?;
        for leaks in &self.leaks {
            for (what, before, after) in leaks.rows() {
                writeln!(f, "{:<7} {what:<9}  {before:>6}  {after:>5}", leaks.engine)?;
            }
        }
        writeln!(f)?;
        for Row { engine, part, figures, .. } in self.rows.iter().filter(|row| !row.figures.is_empty()) {
            writeln!(f, "{engine:<7} {part}: {figures}")?;
        }
        for Row { engine, part, counts, wanted, .. } in
            self.rows.iter().filter(|row| row.counts.cuts < row.wanted)
        {
            writeln!(f, "{engine:<7} {part}: only {} of {wanted} cuts landed", counts.cuts)?;
        }
        if self.total().commands < self.commands {
            writeln!(f, "only {} of {} commands", self.total().commands, self.commands)?;
        }
        for what in &self.broken {
            writeln!(f, "broken: {what}")?;
        }
        for what in &self.left_out {
            writeln!(f, "left out: {what}")?;
        }
        write!(
            f,
            "seed {}, leaks {}: {}",
            self.seed,
            self.leaked(),
            if self.is_good() { "good" } else { "BAD" }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mistake_or_too_few_cuts_are_bad() {
        let good = Counts { cuts: 5, commands: 10, ..Counts::default() };
        let mut report = Report::new(1, 10);
        report.phase("docker", "mid-output", good, 5);
        assert!(report.is_good());
        assert!(!Report { commands: 11, ..report }.is_good());
        let mut report = Report::new(1, 10);
        report.phase("docker", "exit", Counts { cuts: 4, ..good }, 5);
        assert!(!report.is_good());
        let mut report = Report::new(1, 10);
        report.phase("docker", "exit", Counts { duplicates: 1, ..good }, 5);
        assert!(!report.is_good());
        let json = report.json();
        assert_eq!((json["cuts"].as_u64(), json["duplicates"].as_u64()), (Some(5), Some(1)));
        assert_eq!(json["parts"][0]["duplicates"].as_u64(), Some(1));
    }
}
