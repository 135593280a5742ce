//! What the tests printed → the status of each test. One file for each family of parsers; a row names its parser.

mod pytest;

use indexmap::IndexMap;

/// How a test ended, as its runner printed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestStatus {
    /// `FAILED`
    Failed,
    /// `PASSED`
    Passed,
    /// `SKIPPED`
    Skipped,
    /// `ERROR`
    Error,
    /// `XFAIL`
    Xfail,
    /// A word that only begins or ends like a status, such as the `ERROR:` of a message. The reference keeps these as
    /// results too, and grading counts such a test neither as passed nor as failed.
    Other,
}

impl TestStatus {
    const WORDS: [(&str, Self); 5] = [
        ("FAILED", Self::Failed),
        ("PASSED", Self::Passed),
        ("SKIPPED", Self::Skipped),
        ("ERROR", Self::Error),
        ("XFAIL", Self::Xfail),
    ];

    fn of(word: &str) -> Self {
        Self::WORDS.iter().find(|(name, _)| *name == word).map_or(Self::Other, |(_, status)| *status)
    }

    fn starts(line: &str) -> bool {
        Self::WORDS.iter().any(|(name, _)| line.starts_with(name))
    }

    fn ends(line: &str) -> bool {
        Self::WORDS.iter().any(|(name, _)| line.ends_with(name))
    }
}

/// The last status of each test, in the order in which the tests first appeared: grading of shortened names depends on it.
pub type StatusMap = IndexMap<String, TestStatus>;

/// Reads a log whose lines end with `\n`. Takes time linear in its length, whatever it holds.
pub type LogParser = fn(&str) -> StatusMap;

/// Every name a row may use. The reference has one name for each repository, most of them for the same parser.
const PARSERS: &[(&str, LogParser)] = &[
    ("parse_log_pytest", pytest::parse),
    ("parse_log_astroid", pytest::parse),
    ("parse_log_flask", pytest::parse),
    ("parse_log_marshmallow", pytest::parse),
    ("parse_log_pvlib", pytest::parse),
    ("parse_log_pyvista", pytest::parse),
    ("parse_log_sqlfluff", pytest::parse),
    ("parse_log_xarray", pytest::parse),
    ("parse_log_pytest_options", pytest::parse_options),
    ("parse_log_pydicom", pytest::parse_options),
    ("parse_log_requests", pytest::parse_options),
    ("parse_log_pylint", pytest::parse_options),
    ("parse_log_pytest_v2", pytest::parse_v2),
    ("parse_log_astropy", pytest::parse_v2),
    ("parse_log_scikit", pytest::parse_v2),
    ("parse_log_sphinx", pytest::parse_v2),
];

/// The parser of this name.
#[must_use]
pub fn find(name: &str) -> Option<LogParser> {
    PARSERS.iter().find(|(known, _)| *known == name).map(|(_, parser)| *parser)
}

/// The names of all parsers.
pub fn names() -> impl Iterator<Item = &'static str> {
    PARSERS.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_one_parser() {
        let mut sorted: Vec<_> = names().collect();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), PARSERS.len());
        assert!(names().all(|name| find(name).is_some()));
        assert!(find("parse_log_cobol").is_none());
    }

    /// The names differ in what they do with an id that has a path as its parameter, and with spaces.
    #[test]
    fn names_of_repositories_mean_the_parser_of_their_family() {
        let log = "PASSED a[/x/y] b";
        for (name, expected) in [
            ("parse_log_xarray", "a[/x/y]"),
            ("parse_log_flask", "a[/x/y]"),
            ("parse_log_requests", "a[/y]"),
            ("parse_log_pylint", "a[/y]"),
            ("parse_log_sphinx", "a[/x/y] b"),
            ("parse_log_astropy", "a[/x/y] b"),
        ] {
            let map = find(name).unwrap()(log);
            assert_eq!(map.keys().collect::<Vec<_>>(), [expected], "{name}");
        }
    }
}
