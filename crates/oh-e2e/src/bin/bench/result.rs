//! What was measured, as a table and as JSON.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// One comparison.
#[derive(Debug, Serialize)]
struct Row {
    engine: &'static str,
    /// What was measured, with its unit at the end.
    metric: String,
    ours: f64,
    peer: &'static str,
    theirs: f64,
    /// Above 1 we are better, whether more or less of the unit is good.
    times_better: f64,
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

    /// Times of which less is better, in milliseconds.
    pub(crate) fn times(
        &mut self,
        engine: &'static str,
        what: &str,
        ours: Duration,
        peers: &[(&'static str, Duration)],
    ) {
        for (peer, theirs) in peers {
            let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
            let (ours, theirs) = (milliseconds(ours), milliseconds(*theirs));
            let metric = format!("{what}_ms");
            self.rows.push(Row { engine, metric, ours, peer, theirs, times_better: theirs / ours });
        }
    }

    /// Speeds of which more is better, in 10⁶ bytes a second, of the time `bytes` took.
    pub(crate) fn speeds(
        &mut self,
        engine: &'static str,
        what: &str,
        bytes: u64,
        ours: Duration,
        peers: &[(&'static str, Duration)],
    ) {
        #[expect(clippy::cast_precision_loss, reason = "a speed of three digits")]
        let speed = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
        for (peer, theirs) in peers {
            let (ours, theirs) = (speed(ours), speed(*theirs));
            let metric = format!("{what}_mb_per_s");
            self.rows.push(Row { engine, metric, ours, peer, theirs, times_better: ours / theirs });
        }
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(&self.rows).unwrap_or_default() + "\n"
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.conditions {
            writeln!(f, "{line}")?;
        }
        let widest = self.rows.iter().map(|row| row.metric.len()).max().unwrap_or_default();
        writeln!(
            f,
            "{:<7} {:<widest$} {:>10}  {:<22} {:>10} {:>13}",
            "engine", "metric", "ours", "peer", "theirs", "times better"
        )?;
        for Row { engine, metric, ours, peer, theirs, times_better } in &self.rows {
            writeln!(
                f,
                "{engine:<7} {metric:<widest$} {ours:>10.2}  {peer:<22} {theirs:>10.2} {times_better:>12.2}×"
            )?;
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
    fn better_is_more_of_a_speed_and_less_of_a_time() {
        let mut table = Table::default();
        let second = Duration::from_secs(1);
        table.times("docker", "exec", second, &[("other", 2 * second)]);
        table.speeds("docker", "copy", 1_000_000, second, &[("other", 2 * second)]);
        let better: Vec<f64> = table.rows.iter().map(|row| row.times_better).collect();
        assert!(better.iter().all(|times| (times - 2.0).abs() < 1e-9), "{better:?}");
        assert!(table.json().contains(r#""metric": "copy_mb_per_s""#));
    }
}
