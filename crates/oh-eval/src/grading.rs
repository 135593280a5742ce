//! The log of a test run → resolved or not.

use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::dataset::{EvalType, Instance};
use crate::infra::{Tier, classify};
use crate::log_parser::{LogParser, StatusMap, TestStatus};
use crate::patch::APPLY_FAILED;
use crate::python::{regex, universal_newlines};

const START_MARKER: &str = ">>>>> Start Test Output";
pub(crate) const END_MARKER: &str = ">>>>> End Test Output";
pub(crate) const EXIT_CODE_MARKER: &str = ">>>>> Test Exit Code";
/// Any of these anywhere in the log, and nothing in it counts.
const BROKEN_MARKERS: [&str; 4] =
    [APPLY_FAILED, ">>>>> Reset Failed", ">>>>> Tests Errored", ">>>>> Tests Timed Out"];

/// The verdict on one instance, as `report.json` holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceReport {
    /// There is no patch at all.
    #[serde(rename = "patch_is_None", default)]
    pub patch_is_none: bool,
    /// There is a patch, be it empty.
    #[serde(default)]
    pub patch_exists: bool,
    /// The log could be read as a test run; that is what the reference means by it.
    #[serde(default)]
    pub patch_successfully_applied: bool,
    /// All tests that should pass do.
    pub resolved: bool,
    /// The log could not be read as a test run, and says that the environment broke. Advice only.
    #[serde(default)]
    pub infra_failure: bool,
    /// What the log of a run that cannot be read says went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infra_failure_reason: Option<String>,
    /// The tests, when the log could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests_status: Option<TestsStatus>,
}

/// The tests that decide, by what they should do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub struct TestsStatus {
    /// Failed without the right patch, must pass.
    pub fail_to_pass: Outcomes,
    /// Passed before, must still pass.
    pub pass_to_pass: Outcomes,
    /// Part of the format, always empty.
    pub fail_to_fail: Outcomes,
    /// Part of the format, always empty.
    pub pass_to_fail: Outcomes,
}

/// Tests that did as they should, and tests that did not. A test whose result is a word that is no status is in neither.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Did as it should.
    pub success: Vec<String>,
    /// Did not.
    pub failure: Vec<String>,
}

/// Grades the log of an instance's tests. `patch` is the prediction's, `parser` the one of the instance
/// ([`Instance::parser`]).
#[must_use]
pub fn grade(instance: &Instance, parser: LogParser, patch: Option<&str>, log: &str) -> InstanceReport {
    let mut report = InstanceReport {
        patch_is_none: patch.is_none(),
        patch_exists: patch.is_some(),
        patch_successfully_applied: false,
        resolved: false,
        infra_failure: false,
        infra_failure_reason: None,
        tests_status: None,
    };
    if patch.is_none() {
        return report;
    }
    if let Some(statuses) = statuses(log, parser) {
        let tests = tests_status(instance, &statuses);
        report.patch_successfully_applied = true;
        report.resolved = tests.fail_to_pass.failure.is_empty() && tests.pass_to_pass.failure.is_empty();
        report.tests_status = Some(tests);
    } else if let Some(failure) = classify(&[log]) {
        report.infra_failure = failure.tier == Tier::Environment;
        report.infra_failure_reason = Some(failure.reason.to_owned());
    }
    report
}

/// The status of each test in a log, or `None` when the log does not show a test run that can be believed.
#[must_use]
pub fn statuses(log: &str, parser: LogParser) -> Option<StatusMap> {
    let log = &*universal_newlines(log);
    if BROKEN_MARKERS.iter().any(|marker| log.contains(marker)) || !log.contains(END_MARKER) {
        return None;
    }
    let (_, after_start) = log.split_once(START_MARKER)?;
    let until = |text, marker| str::split(text, marker).next().unwrap_or_default();
    let mut map = parser(until(until(after_start, START_MARKER), END_MARKER));
    if map.is_empty() {
        // Some runners' results land outside of the markers, when their two outputs are joined in another order.
        map = parser(log);
    }
    if map.is_empty() {
        // Without results a suite that never ran looks like one that prints failures only.
        return suite_ran(log).then_some(map);
    }
    // A patch can print results of its own; it cannot as easily make the test command succeed.
    let failed = |status: &TestStatus| matches!(status, TestStatus::Failed | TestStatus::Error);
    (exit_code_is_zero(log) != Some(false) || map.values().any(failed)).then_some(map)
}

/// Whether the log shows that at least one test ran. A count of 0 does not: a runner that loses its browser at once
/// still prints its summary.
fn suite_ran(log: &str) -> bool {
    static RAN: LazyLock<Regex> = LazyLock::new(|| {
        regex(concat!(
            r"(?m)Executed [1-9]\d* of \d+",
            r"|TOTAL: [1-9]\d* (?:SUCCESS|FAILED)",
            r"|[1-9]\d* passing",
            r"|Tests:[\s\x1c-\x1f]+[1-9]\d*",
            r"|Test Suites:[\s\x1c-\x1f]+(?:\d+ \w+, )*[1-9]\d* total",
            r"|^# tests [1-9]\d*",
            r"|[1-9]\d* specs?, \d+ failures?",
            r"|': ok$",
        ))
    });
    RAN.is_match(log)
}

/// Whether the test command exited with 0, where the script recorded it.
fn exit_code_is_zero(log: &str) -> Option<bool> {
    static CODE: LazyLock<Regex> = LazyLock::new(|| regex(r"^:[\s\x1c-\x1f]*-?(\d+)"));
    let recorded = log.split(EXIT_CODE_MARKER).skip(1).find_map(|after| CODE.captures(after))?;
    Some(recorded[1].bytes().all(|digit| digit == b'0'))
}

fn tests_status(instance: &Instance, statuses: &StatusMap) -> TestsStatus {
    let sort = |tests: &[String], skipped_is_success: bool| {
        let mut outcomes = Outcomes::default();
        for test in tests {
            let list = match verdict(instance.eval_type, test, statuses, skipped_is_success) {
                Some(true) => &mut outcomes.success,
                Some(false) => &mut outcomes.failure,
                None => continue,
            };
            list.push(test.clone());
        }
        outcomes
    };
    TestsStatus {
        // Otherwise a patch that skips the tests it should repair would count as resolved.
        fail_to_pass: sort(&instance.fail_to_pass, false),
        pass_to_pass: sort(&instance.pass_to_pass, true),
        ..TestsStatus::default()
    }
}

/// Whether a test did as it should; `None` when its result is no status.
fn verdict(eval_type: EvalType, test: &str, statuses: &StatusMap, skipped_is_success: bool) -> Option<bool> {
    match eval_type {
        EvalType::FailOnly => Some(statuses.get(test) != Some(&TestStatus::Failed)),
        EvalType::PassAndFail => match find(test, statuses) {
            Some(TestStatus::Passed | TestStatus::Xfail) => Some(true),
            Some(TestStatus::Skipped) => Some(skipped_is_success),
            Some(TestStatus::Other) => None,
            Some(TestStatus::Failed | TestStatus::Error) | None => Some(false),
        },
    }
}

/// The status of a test. Hundreds of ids in SWE-bench Verified are cut in the middle of their parameter, as in
/// `test_fail[log(photon`; such an id, with more `[` than `]`, means all tests that begin with it, if they agree.
fn find(test: &str, statuses: &StatusMap) -> Option<TestStatus> {
    let exact = statuses.get(test).copied();
    if exact.is_some() || test.matches('[').count() <= test.matches(']').count() {
        return exact;
    }
    let passed = |status: TestStatus| matches!(status, TestStatus::Passed | TestStatus::Xfail);
    let mut meant = statuses.iter().filter(|(name, _)| name.starts_with(test)).map(|(_, status)| *status);
    let first = meant.next()?;
    meant.all(|status| passed(status) == passed(first)).then_some(first)
}

#[cfg(test)]
mod tests;
