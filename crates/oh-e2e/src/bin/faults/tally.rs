//! What was counted: in a table, and as JSON.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// Most complaints that are shown of one row.
const SHOWN: usize = 5;

/// What happened, and what must not.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Counts {
    /// Cuts that are proven to have landed where they were meant to.
    pub(crate) cuts: usize,
    pub(crate) commands: usize,
    pub(crate) copies: usize,
    /// Commands that ran twice, and outputs with too much in them.
    pub(crate) duplicates: usize,
    /// Commands that did not run or whose end never came, and outputs that are not whole.
    pub(crate) losses: usize,
    pub(crate) wrong_codes: usize,
    pub(crate) wrong_digests: usize,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Self) {
        self.cuts += other.cuts;
        self.commands += other.commands;
        self.copies += other.copies;
        self.duplicates += other.duplicates;
        self.losses += other.losses;
        self.wrong_codes += other.wrong_codes;
        self.wrong_digests += other.wrong_digests;
    }

    pub(crate) fn mistakes(&self) -> usize {
        self.duplicates + self.losses + self.wrong_codes + self.wrong_digests
    }
}

/// Counts of one part of the run, from many tasks.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<(Counts, usize)>);

impl Tally {
    fn lock(&self) -> MutexGuard<'_, (Counts, usize)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.lock().0);
    }

    /// Counts a mistake, and says what it is.
    pub(crate) fn complain(&self, what: impl fmt::Display, count: impl FnOnce(&mut Counts)) {
        let mut guard = self.lock();
        count(&mut guard.0);
        guard.1 += 1;
        match guard.1.cmp(&(SHOWN + 1)) {
            std::cmp::Ordering::Less => eprintln!("    wrong: {what}"),
            std::cmp::Ordering::Equal => eprintln!("    wrong: more like these"),
            std::cmp::Ordering::Greater => {}
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().0
    }
}
