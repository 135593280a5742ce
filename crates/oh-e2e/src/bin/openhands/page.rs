//! `docs/reference/actions.md`.

use std::fmt;
use std::time::Duration;

use crate::compare::Differences;

/// How many times faster than OpenHands' server an action has to be.
pub(crate) const FASTER: f64 = 20.0;
/// What stands before the figures, which change from run to run.
const RECORDED: &str = "## A recorded run";

/// What a run counted.
pub(crate) struct Measured {
    pub(crate) actions: usize,
    pub(crate) different: usize,
    pub(crate) early: usize,
    pub(crate) theirs: Duration,
    pub(crate) ours: Duration,
    pub(crate) runs: usize,
}

impl Measured {
    pub(crate) fn ratio(&self) -> f64 {
        self.theirs.as_secs_f64() / self.ours.as_secs_f64()
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        write!(
            f,
            "{} actions: {} with equal observations, {} different, {} that OpenHands' server answered too early; `run` of `true`, median of {}: {:.1} ms in OpenHands' \
             server, {:.1} ms here, {:.0} times faster",
            self.actions,
            self.actions - self.different - self.early,
            self.different,
            self.early,
            self.runs,
            ms(self.theirs),
            ms(self.ours),
            self.ratio()
        )
    }
}

/// The part of the page that does not change from run to run.
pub(crate) fn lasting(page: &str) -> &str {
    page.split(RECORDED).next().unwrap_or(page)
}

pub(crate) fn render(known: &Differences, measured: &Measured) -> String {
    let mut page = include_str!("actions.md").to_owned();
    page += "| OpenHands | here | because | shown by |\n| --- | --- | --- | --- |\n";
    for difference in &known.difference {
        let actions: Vec<String> = difference.actions.iter().map(|id| format!("`{id}`")).collect();
        let row = [&difference.theirs, &difference.ours, &difference.reason, &actions.join(", ")];
        page += &format!("| {} |\n", row.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    page += &format!(
        "\n{RECORDED}\n`openhands-ai` 0.62.0 on Python 3.12, backend `local`, this program unoptimized: {measured}.\n"
    );
    page
}
