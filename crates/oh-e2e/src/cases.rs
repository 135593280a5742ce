//! The list of cases. One file for each part of the contract.

mod archive;
mod attach;
mod attacks;
mod concurrency;
mod exec;
mod failures;
mod files;
mod hostile;
mod lifecycle;
mod logs;
mod processes;
mod removal;
mod resume;
mod stdin;
mod streams;
mod terminals;
mod timeouts;
mod usage;
mod users;

use crate::case::Case;

/// Every case, for every backend.
#[must_use]
pub fn all() -> Vec<Case> {
    let areas: [(&'static str, Vec<Case>); 19] = [
        ("exec", exec::cases()),
        ("process", processes::cases()),
        ("stdin", stdin::cases()),
        ("streams", streams::cases()),
        ("timeouts", timeouts::cases()),
        ("files", files::cases()),
        ("archive", archive::cases()),
        ("hostile", hostile::cases()),
        ("lifecycle", lifecycle::cases()),
        ("removal", removal::cases()),
        ("logs", logs::cases()),
        ("failures", failures::cases()),
        ("attacks", attacks::cases()),
        ("concurrency", concurrency::cases()),
        ("resume", resume::cases()),
        ("user", users::cases()),
        ("terminal", terminals::cases()),
        ("attach", attach::cases()),
        ("usage", usage::cases()),
    ];
    let in_area = |(area, cases): (_, Vec<Case>)| cases.into_iter().map(move |case| Case { area, ..case });
    areas.into_iter().flat_map(in_area).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for case in super::all() {
            assert!(seen.insert(case.id()), "{} is there twice", case.id());
        }
        assert!(seen.len() >= 100, "only {} cases", seen.len());
    }
}
