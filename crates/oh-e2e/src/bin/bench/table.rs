//! What was measured, as a table and as JSON.

use std::fmt;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// One comparison, or why there is none.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Row {
    engine: &'static str,
    /// What was measured, with its unit at the end.
    metric: String,
    ours: Option<f64>,
    peer: &'static str,
    theirs: Option<f64>,
    /// Ours divided by theirs.
    ratio: Option<f64>,
    /// The target: the most the ratio may be.
    at_most: Option<f64>,
    /// The target: the least it has to be.
    at_least: Option<f64>,
    met: Option<bool>,
    skipped: Option<String>,
}

impl Row {
    pub(crate) fn new(
        engine: &'static str,
        metric: impl Into<String>,
        ours: f64,
        peer: &'static str,
        theirs: f64,
    ) -> Self {
        let (metric, ratio) = (metric.into(), Some(ours / theirs));
        Self { engine, metric, ours: Some(ours), peer, theirs: Some(theirs), ratio, ..Self::default() }
    }

    /// Times, in milliseconds.
    pub(crate) fn times(
        engine: &'static str,
        what: impl fmt::Display,
        ours: Duration,
        peer: &'static str,
        theirs: Duration,
    ) -> Self {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        Self::new(engine, format!("{what}_ms"), milliseconds(ours), peer, milliseconds(theirs))
    }

    /// What could not be measured.
    pub(crate) fn skipped(
        engine: &'static str,
        metric: impl Into<String>,
        peer: &'static str,
        why: &str,
    ) -> Self {
        Self { engine, metric: metric.into(), peer, skipped: Some(why.to_owned()), ..Self::default() }
    }

    /// Sets the target.
    pub(crate) fn at_most(mut self, most: f64) -> Self {
        self.at_most = Some(most);
        self.met = self.ratio.map(|ratio| ratio <= most);
        self
    }

    /// Sets the target.
    pub(crate) fn at_least(mut self, least: f64) -> Self {
        self.at_least = Some(least);
        self.met = self.ratio.map(|ratio| ratio >= least);
        self
    }
}

/// All comparisons of a run.
#[derive(Debug, Default)]
pub(crate) struct Table {
    conditions: Vec<String>,
    rows: Vec<Row>,
}

impl Table {
    /// What has to be known to read the rows that follow.
    pub(crate) fn conditions(&mut self, text: String) {
        self.conditions.push(text);
    }

    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// How many targets were missed.
    pub(crate) fn missed(&self) -> usize {
        self.rows.iter().filter(|row| row.met == Some(false)).count()
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(&self.rows).unwrap_or_default() + "\n"
    }
}

/// A ratio or a bound of one, as people say it: `1/40`, `1.5`.
fn ratio(value: f64) -> String {
    if value > 0.0 && value < 0.2 { format!("1/{:.1}", value.recip()) } else { format!("{value:.2}") }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.conditions {
            writeln!(f, "{line}")?;
        }
        let widest = self.rows.iter().map(|row| row.metric.len()).max().unwrap_or_default();
        let widest_peer = self.rows.iter().map(|row| row.peer.len()).max().unwrap_or_default();
        let head = ["engine", "what", "ours", "peer", "theirs", "ratio", "target"];
        let [engine, what, ours, peer, theirs, of, target] = head;
        writeln!(
            f,
            "{engine:<7} {what:<widest$} {ours:>10}  {peer:<widest_peer$} {theirs:>10} {of:>8} {target:>8}  met?"
        )?;
        for row in &self.rows {
            let Row { engine, metric, peer, .. } = row;
            write!(f, "{engine:<7} {metric:<widest$} ")?;
            let (Some(ours), Some(theirs), Some(of)) = (row.ours, row.theirs, row.ratio) else {
                let why = row.skipped.as_deref().unwrap_or_default();
                writeln!(f, "{:>10}  {peer:<widest_peer$} {DIM}skipped, because {why}{DIM:#}", "")?;
                continue;
            };
            let of = ratio(of);
            write!(f, "{ours:>10.2}  {peer:<widest_peer$} {theirs:>10.2} {of:>8}")?;
            let target = match (row.at_most, row.at_least) {
                (Some(most), _) => Some(format!("≤ {}", ratio(most))),
                (None, Some(least)) => Some(format!("≥ {}", ratio(least))),
                (None, None) => None,
            };
            match (target, row.met) {
                (Some(target), Some(met)) => {
                    let (style, word) = if met { (GOOD, "met") } else { (BAD, "missed") };
                    writeln!(f, " {target:>8}  {style}{word}{style:#}")?;
                }
                _ => writeln!(f)?,
            }
        }
        Ok(())
    }
}

/// Times of one command, in order.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        let at = self.0.partition_point(|other| *other <= time);
        self.0.insert(at, time);
    }

    /// The time that `percent` of all runs do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn extend(&mut self, other: Self) {
        other.0.into_iter().for_each(|time| self.add(time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_runs() {
        let mut times = Times::default();
        for milliseconds in (1..=200).rev() {
            times.add(Duration::from_millis(milliseconds));
        }
        assert_eq!(times.percentile(50), Duration::from_millis(100));
        assert_eq!(times.percentile(99), Duration::from_millis(198));
        let mut one = Times::default();
        one.add(Duration::from_millis(7));
        assert_eq!(
            (one.percentile(50), one.percentile(99)),
            (Duration::from_millis(7), Duration::from_millis(7))
        );
    }

    #[test]
    fn a_missed_target_is_seen_and_counted() {
        let mut table = Table::default();
        let row =
            || Row::times("docker", "exec", Duration::from_millis(2), "other", Duration::from_millis(100));
        table.add(row().at_most(1.0 / 50.0));
        assert_eq!(table.missed(), 0);
        table.add(row().at_most(1.0 / 51.0));
        table.add(Row::skipped("docker", "exec_ms", "absent", "it is not there"));
        assert_eq!(table.missed(), 1);
        let shown = table.to_string();
        for part in ["1/50.0", "≤ 1/51.0", "missed", "skipped, because it is not there"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(table.json().contains(r#""metric": "exec_ms""#));
    }
}
