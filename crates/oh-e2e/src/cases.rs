//! The list of cases. One file for each part of the contract.

mod actions;
mod archive;
mod attach;
mod attacks;
mod concurrency;
mod delivery;
mod exec;
mod failures;
mod file_tree;
mod files;
mod forwarding;
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
    let areas: [(&'static str, Vec<Case>); 23] = [
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
        ("file_tree", file_tree::cases()),
        ("forward", forwarding::cases()),
        ("delivery", delivery::cases()),
        ("actions", actions::cases()),
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

    /// A row says what shows it, or why it cannot be.
    #[test]
    fn the_page_of_known_failures_names_what_is_there() {
        let root = crate::environment::root();
        let page = std::fs::read_to_string(root.join("docs/reference/known-failures.md")).unwrap();
        let cases: std::collections::BTreeSet<String> = super::all().iter().map(super::Case::id).collect();
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
        assert!(rows.len() > 20, "only {} rows", rows.len());
        for row in rows {
            let shown = row.trim_end_matches([' ', '|']).rsplit_once(" | ").unwrap().1;
            let mut count = 0;
            for name in shown.split('`').skip(1).step_by(2).filter(|quoted| quoted.contains("::")) {
                count += 1;
                let there = match name.split_once(".rs::") {
                    None => cases.contains(name),
                    Some((file, test)) => {
                        let text =
                            std::fs::read_to_string(root.join(format!("{file}.rs"))).unwrap_or_default();
                        text.contains(&format!("fn {test}(")) || text.contains(&format!("{test:?}"))
                    }
                };
                assert!(there, "{name} does not exist");
            }
            let reason = ["Cannot happen: ", "Does not apply: "].iter().any(|start| shown.starts_with(start));
            assert!(count > 0 || reason, "nothing shows this: {row}");
        }
    }
}
