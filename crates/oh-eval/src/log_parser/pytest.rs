//! pytest's lines `STATUS id` of `-rA`, and for old versions `id STATUS`.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::{StatusMap, TestStatus};
use crate::python::{regex, words};

/// `STATUS id …`: the id ends at the first space.
pub(super) fn parse(log: &str) -> StatusMap {
    parse_lines(log, str::to_owned)
}

/// As [`parse`], and a parameter that is a path is cut to its last part: `t[/opt/x]` → `t[/x]`.
pub(super) fn parse_options(log: &str) -> StatusMap {
    parse_lines(log, shorten_option)
}

fn parse_lines(log: &str, name: fn(&str) -> String) -> StatusMap {
    let mut map = StatusMap::new();
    for line in log.split('\n').filter(|line| TestStatus::starts(line)) {
        let line: Cow<'_, str> =
            if line.starts_with("FAILED") { line.replace(" - ", " ").into() } else { line.into() };
        let mut words = words(&line);
        if let (Some(status), Some(id)) = (words.next(), words.next())
            && !is_skip_summary(status, id)
        {
            map.insert(name(id), TestStatus::of(status));
        }
    }
    map
}

/// `main[option]…` → `main[option]`, with only the last part of an option that is a plain absolute path.
fn shorten_option(id: &str) -> String {
    let Some((main, rest)) = id.split_once('[') else { return id.to_owned() };
    let Some((option, _)) = rest.rsplit_once(']') else { return id.to_owned() };
    match option.rsplit_once('/') {
        Some((_, last)) if option.starts_with('/') && !option.starts_with("//") && !option.contains('*') => {
            format!("{main}[/{last}]")
        }
        _ => format!("{main}[{option}]"),
    }
}

/// Ids may hold spaces, colours and control characters are removed, and `id STATUS` counts as well.
pub(super) fn parse_v2(log: &str) -> StatusMap {
    let mut map = StatusMap::new();
    for line in log.split('\n') {
        let line = without_controls(line);
        if TestStatus::starts(&line) {
            // What follows is the message of the failed assertion.
            let line =
                if line.starts_with("FAILED") { line.split(" - ").next().unwrap_or(&line) } else { &line };
            let words: Vec<_> = words(line).collect();
            if let [status, first, ..] = *words
                && !is_skip_summary(status, first)
            {
                map.insert(words[1..].join(" "), TestStatus::of(status));
            }
        } else if TestStatus::ends(&line) {
            let words: Vec<_> = words(&line).collect();
            if let [id @ .., status] = &*words
                && !id.is_empty()
            {
                map.insert(id.join(" "), TestStatus::of(status));
            }
        }
    }
    map
}

/// `SKIPPED [3] file:line: reason` counts skipped tests; the count is no test. Only for SKIPPED: two instances of the
/// dataset really expect a "test" that is a progress display, `PASSED [100%]`.
fn is_skip_summary(status: &str, id: &str) -> bool {
    static COUNT: LazyLock<Regex> = LazyLock::new(|| regex(r"^\[\d+\]$"));
    status == "SKIPPED" && COUNT.is_match(id)
}

/// Removes `[31m` and its like, then every control character but NUL, so also the escape that was before it.
fn without_controls(line: &str) -> Cow<'_, str> {
    static COLOUR: LazyLock<Regex> = LazyLock::new(|| regex(r"\[\d+m"));
    let is_control = |c: char| ('\x01'..='\x1f').contains(&c);
    let mut line = COLOUR.replace_all(line, "");
    if line.contains(is_control) {
        line.to_mut().retain(|c| !is_control(c));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::TestStatus::{Error, Failed, Other, Passed, Skipped, Xfail};
    use super::*;

    fn check(parser: fn(&str) -> StatusMap, log: &str, expected: &[(&str, TestStatus)]) {
        let map = parser(log);
        let found: Vec<_> = map.iter().map(|(id, status)| (id.as_str(), *status)).collect();
        assert_eq!(found, expected, "{log:?}");
    }

    #[test]
    fn summary_lines_give_statuses_in_order_and_the_last_one_counts() {
        let log = "tests/a.py ..F [100%]\n\
                   PASSED tests/a.py::one\nFAILED tests/a.py::two - assert 1 == 2\nERROR tests/b.py - ImportError: x\n\
                   XFAIL tests/a.py::three\nXPASS tests/a.py::four\nFAILED tests/a.py::one\n  PASSED tests/a.py::five\n";
        check(
            parse,
            log,
            &[
                ("tests/a.py::one", Failed),
                ("tests/a.py::two", Failed),
                ("tests/b.py", Error),
                ("tests/a.py::three", Xfail),
            ],
        );
    }

    #[test]
    fn a_count_of_skipped_tests_is_no_test_but_a_progress_display_is() {
        check(
            parse,
            "SKIPPED [12] a.py:3: no net\nSKIPPED a.py::t\nPASSED [100%]\nSKIPPED [x] y",
            &[("a.py::t", Skipped), ("[100%]", Passed), ("[x]", Skipped)],
        );
        check(parse_v2, "SKIPPED [12] a.py:3: no net\nSKIPPED [1][2] b", &[("[1][2] b", Skipped)]);
    }

    #[test]
    fn words_that_only_begin_like_a_status_are_results_all_the_same() {
        check(
            parse,
            "ERROR: file not found\nPASSED\nFAILED - x\nFAILED - - x",
            &[("file", Other), ("x", Failed), ("-", Failed)],
        );
    }

    #[test]
    fn an_id_ends_at_its_first_space_but_not_in_v2() {
        let log = "PASSED a.py::t[x y - z]\nFAILED a.py::u[p q - r] - boom - bang";
        check(parse, log, &[("a.py::t[x", Passed), ("a.py::u[p", Failed)]);
        check(parse_v2, log, &[("a.py::t[x y - z]", Passed), ("a.py::u[p q", Failed)]);
    }

    #[test]
    fn an_option_that_is_a_path_is_cut_to_its_last_part() {
        for (id, expected) in [
            ("t[/opt/u/x.dcm]", "t[/x.dcm]"),
            ("t[//opt/x]", "t[//opt/x]"),
            ("t[/a/*]", "t[/a/*]"),
            ("t[a/b]", "t[a/b]"),
            ("t[/a]tail", "t[/a]"),
            ("t[[/a/b]", "t[[/a/b]"),
            ("t[/a/b][/c/d]", "t[/d]"),
            ("t[/a/", "t[/a/"),
            ("t]a[", "t]a["),
            ("t", "t"),
        ] {
            assert_eq!(shorten_option(id), expected, "{id}");
        }
        check(parse_options, "FAILED t[/a/b] - x", &[("t[/b]", Failed)]);
    }

    #[test]
    fn v2_reads_colours_and_the_old_order() {
        let log = "\u{1b}[32mPASSED\u{1b}[0m a.py::\u{1b}[1mt\u{1b}[0m\na.py::u c FAILED\na.py::w\tERROR\n\
                   SKIPPED\nXFAIL \nx.py::y xPASSED\n[1;31mPASSED z";
        check(parse_v2, log, &[("a.py::t", Passed), ("a.py::u c", Failed), ("x.py::y", Other)]);
    }
}
