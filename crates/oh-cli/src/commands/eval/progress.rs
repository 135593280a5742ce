//! What is shown while an evaluation runs: a bar on a terminal, lines elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;
use oh_eval::run::{Event, InstanceOutcome};

use super::{OUTCOMES, word};
use crate::output::{Ui, counting_bar, elapsed, printable};

pub(super) struct Progress {
    ui: Ui,
    bar: ProgressBar,
    state: Mutex<State>,
}

impl Progress {
    pub(super) fn new(ui: Ui) -> Self {
        Self { ui, bar: counting_bar(ui), state: Mutex::default() }
    }

    /// Takes in an event and shows what changed.
    pub(super) fn show(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A bar needs no lines, but an error is worth one at once.
        let is_error = matches!(event, Event::Finished { outcome: InstanceOutcome::Error, .. });
        let is_step = matches!(event, Event::Step { .. });
        match state.take_in(event) {
            Some(line) if is_step => self.ui.detail(&line),
            Some(line) if is_error || !self.ui.animated() => self.ui.note(&line),
            _ => {}
        }
        self.bar.set_length(state.todo as u64);
        self.bar.set_position(state.over as u64);
        self.bar.set_prefix(state.counts());
        self.bar.set_message(state.running());
    }
}

/// Where a run stands.
#[derive(Debug, Default)]
struct State {
    todo: usize,
    over: usize,
    outcomes: Vec<InstanceOutcome>,
    running: BTreeMap<String, &'static str>,
}

impl State {
    /// Takes in an event and puts it into words, when it is worth any.
    fn take_in(&mut self, event: Event) -> Option<String> {
        match event {
            Event::Planned { total, todo, done, empty } => {
                self.todo = todo;
                Some(format!("instances: {total} ({todo} to run, {done} done before, {empty} empty patches)"))
            }
            Event::Started { instance_id } => {
                self.running.insert(instance_id, "start");
                None
            }
            Event::Step { instance_id, step } => {
                let line = format!("{}: {step}", printable(&instance_id));
                self.running.insert(instance_id, step);
                Some(line)
            }
            Event::Finished { instance_id, outcome, wall, detail } => {
                self.running.remove(&instance_id);
                self.over += 1;
                self.outcomes.push(outcome);
                let mut line = format!(
                    "[{}/{}] {}: {}, {}",
                    self.over,
                    self.todo,
                    printable(&instance_id),
                    word(outcome),
                    elapsed(wall)
                );
                if let Some(detail) = detail {
                    let _ = write!(line, ": {}", printable(&detail));
                }
                Some(line)
            }
        }
    }

    /// `resolved 2  error 1`: what there is of each.
    fn counts(&self) -> String {
        let count = |outcome| self.outcomes.iter().filter(|&&one| one == outcome).count();
        let counts = OUTCOMES.iter().map(|&outcome| (word(outcome), count(outcome)));
        counts
            .filter(|(_, count)| *count > 0)
            .map(|(word, count)| format!("{word} {count}"))
            .collect::<Vec<_>>()
            .join("  ")
    }

    /// `a (run tests), b (start)`: the instances that run.
    fn running(&self) -> String {
        let running = self.running.iter().map(|(id, step)| format!("{} ({step})", printable(id)));
        running.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn events_add_up() {
        let mut state = State::default();
        let id = |id: &str| id.to_owned();
        state.take_in(Event::Planned { total: 5, todo: 3, done: 1, empty: 1 });
        state.take_in(Event::Started { instance_id: id("a") });
        state.take_in(Event::Started { instance_id: id("b") });
        state.take_in(Event::Step { instance_id: id("b"), step: "run tests" });
        assert_eq!(state.running(), "a (start), b (run tests)");
        let finished = Event::Finished {
            instance_id: id("a"),
            outcome: InstanceOutcome::Error,
            wall: Duration::from_secs(65),
            detail: Some("no\u{1b}[2J room".into()),
        };
        assert_eq!(state.take_in(finished).unwrap(), "[1/3] a: error, 1m 5s: no\\u{1b}[2J room");
        assert_eq!(state.counts(), "error 1");
        assert_eq!(state.running(), "b (run tests)");
    }
}
