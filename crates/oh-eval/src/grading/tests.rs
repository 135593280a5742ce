use super::*;
use crate::log_parser::find as find_parser;

fn instance(eval_type: EvalType, fail_to_pass: &[&str], pass_to_pass: &[&str]) -> Instance {
    let owned = |tests: &[&str]| tests.iter().map(|test| (*test).to_owned()).collect();
    Instance {
        instance_id: "o__r-1".to_owned(),
        repo: None,
        version: None,
        base_commit: None,
        image: None,
        eval_script: "pytest".to_owned(),
        log_parser: "parse_log_pytest".to_owned(),
        eval_type,
        fail_to_pass: owned(fail_to_pass),
        pass_to_pass: owned(pass_to_pass),
        patch: None,
        has_assets: false,
    }
}

/// A log with these results between the markers, whose test command exited with `code`.
fn log(results: &str, code: i32) -> String {
    format!(
        "+ : '>>>>> Start Test Output'\n{results}\n+ : '>>>>> End Test Output'\n\
         + echo '>>>>> Test Exit Code: {code}'\n>>>>> Test Exit Code: {code}\n"
    )
}

fn read(log: &str) -> Option<Vec<String>> {
    statuses(log, find_parser("parse_log_pytest").unwrap()).map(|map| map.into_keys().collect())
}

fn graded(instance: &Instance, log: &str) -> InstanceReport {
    grade(instance, instance.parser().unwrap(), Some("patch"), log)
}

#[test]
fn a_log_needs_both_markers_and_none_of_failure() {
    assert_eq!(read(&log("PASSED a", 0)), Some(vec!["a".to_owned()]));
    assert_eq!(read("PASSED a"), None);
    assert_eq!(read(">>>>> Start Test Output\nPASSED a"), None);
    assert_eq!(read("PASSED a\n>>>>> End Test Output"), None);
    for marker in
        [">>>>> Patch Apply Failed", ">>>>> Reset Failed", ">>>>> Tests Errored", ">>>>> Tests Timed Out"]
    {
        assert_eq!(read(&(log("PASSED a", 0) + marker)), None, "{marker}");
    }
}

#[test]
fn only_what_is_between_the_first_markers_counts_unless_nothing_is_there() {
    let between = ">>>>> Start Test Output\nPASSED a\n>>>>> Start Test Output\nPASSED b\n>>>>> End Test Output\nPASSED c";
    assert_eq!(read(between), Some(vec!["a".to_owned()]));
    let outside = "PASSED a\n>>>>> Start Test Output\n>>>>> End Test Output\nPASSED b";
    assert_eq!(read(outside), Some(vec!["a".to_owned(), "b".to_owned()]));
    let reversed = ">>>>> End Test Output\n>>>>> Start Test Output\nPASSED a";
    assert_eq!(read(reversed), Some(vec!["a".to_owned()]));
}

#[test]
fn without_results_the_log_must_show_that_tests_ran() {
    assert_eq!(read(&log("nothing", 0)), None);
    assert_eq!(read(&log("Executed 0 of 0", 0)), None);
    for sign in [
        "Executed 3 of 3",
        "TOTAL: 12 SUCCESS",
        "  7 passing (1s)",
        "Tests:   \u{1c} 5 total",
        "Test Suites: 1 failed, 2 total",
        "# tests 4",
        "3 specs, 0 failures",
        "case 'x': ok",
    ] {
        assert_eq!(read(&log(sign, 0)), Some(vec![]), "{sign}");
    }
    assert_eq!(read(&log(" # tests 4", 0)), None);
}

#[test]
fn a_failed_command_without_a_failed_test_is_not_believed() {
    assert_eq!(read(&log("PASSED a", 1)), None);
    assert_eq!(read(&log("PASSED a", -9)), None);
    assert!(read(&log("PASSED a\nFAILED b", 1)).is_some());
    assert!(read(&log("PASSED a\nERROR b", 2)).is_some());
    // Not recorded, or not the number that would matter.
    assert!(read(">>>>> Start Test Output\nPASSED a\n>>>>> End Test Output\n").is_some());
    assert!(read(&(log("PASSED a", 0) + ">>>>> Test Exit Code: 1")).is_some());
    assert!(
        read(">>>>> Start Test Output\nPASSED a\n>>>>> End Test Output\n>>>>> Test Exit Code: x\n").is_some()
    );
    // No result, but a suite that ran: there is nothing that could be forged.
    assert!(read(&log("3 passing", 1)).is_some());
}

#[test]
fn the_built_script_prints_what_is_read_here() {
    let script = crate::script::build("echo '>>>>> Start Test Output'\nfalse\necho '>>>>> End Test Output'");
    let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(exit_code_is_zero(&String::from_utf8(output.stdout).unwrap()), Some(false));
}

#[test]
fn a_test_passes_by_the_rules_of_its_list() {
    let statuses = "PASSED p\nFAILED f\nSKIPPED s\nERROR e\nXFAIL x\nERROR: o";
    let all = ["p", "f", "s", "e", "x", "o", "missing"];
    let report = graded(&instance(EvalType::PassAndFail, &all, &all), &log(statuses, 1));
    let tests = report.tests_status.unwrap();
    assert_eq!(tests.fail_to_pass.success, ["p", "x"]);
    assert_eq!(tests.fail_to_pass.failure, ["f", "s", "e", "missing"]);
    assert_eq!(tests.pass_to_pass.success, ["p", "s", "x"]);
    assert_eq!(tests.pass_to_pass.failure, ["f", "e", "missing"]);
    assert!(!report.resolved && report.patch_successfully_applied);

    let report = graded(&instance(EvalType::FailOnly, &all, &["f"]), &log(statuses, 1));
    let tests = report.tests_status.unwrap();
    assert_eq!(tests.fail_to_pass.success, ["p", "s", "e", "x", "o", "missing"]);
    assert_eq!(tests.fail_to_pass.failure, ["f"]);
    assert_eq!(tests.pass_to_pass.failure, ["f"]);
}

#[test]
fn resolved_means_that_nothing_failed() {
    let resolved = |f2p: &[&str], p2p: &[&str]| {
        graded(&instance(EvalType::PassAndFail, f2p, p2p), &log("PASSED p\nFAILED f", 1)).resolved
    };
    assert!(resolved(&["p"], &["p"]));
    assert!(resolved(&[], &[]));
    assert!(!resolved(&["p", "f"], &["p"]));
    assert!(!resolved(&["p"], &["f"]));
}

#[test]
fn an_id_cut_in_its_parameter_means_all_that_begin_with_it_if_they_agree() {
    let statuses =
        "PASSED t[log(a]\nXFAIL t[log(b]\nSKIPPED u[1\nFAILED u[12\nPASSED v[1]\nFAILED v[2]\nPASSED w";
    let ids = ["t[log(", "u[", "v[", "w", "w[", "v"];
    let tests = graded(&instance(EvalType::PassAndFail, &ids, &ids), &log(statuses, 1)).tests_status.unwrap();
    assert_eq!(tests.fail_to_pass.success, ["t[log(", "w"]);
    // Of those that agree the first one counts, here a skipped test.
    assert_eq!(tests.pass_to_pass.success, ["t[log(", "u[", "w"]);
    let tests = graded(&instance(EvalType::FailOnly, &["u["], &[]), &log(statuses, 1)).tests_status.unwrap();
    assert_eq!(tests.fail_to_pass.success, ["u["]);
}

#[test]
fn line_ends_do_not_matter() {
    let text = log("PASSED a\nFAILED b - x\nSKIPPED c", 1);
    let all = ["a", "b", "c"];
    let instance = instance(EvalType::PassAndFail, &all, &all);
    for end in ["\r\n", "\r"] {
        assert_eq!(graded(&instance, &text.replace('\n', end)), graded(&instance, &text));
    }
}

#[test]
fn a_log_that_cannot_be_read_says_what_broke() {
    let instance = instance(EvalType::PassAndFail, &["a"], &[]);
    let report = graded(&instance, "fork: Cannot allocate memory");
    assert!(report.infra_failure && !report.patch_successfully_applied && !report.resolved);
    assert_eq!(report.infra_failure_reason.as_deref(), Some("out_of_memory"));
    let report = graded(&instance, "no tests ran");
    assert!(!report.infra_failure);
    assert_eq!(report.infra_failure_reason.as_deref(), Some("no_tests_collected"));
    assert_eq!(graded(&instance, "").infra_failure_reason, None);
    // A log that can be read is not searched.
    let report = graded(&instance, &log("FAILED a\nCannot allocate memory", 1));
    assert_eq!((report.infra_failure, report.infra_failure_reason), (false, None));
}

#[test]
fn no_patch_is_no_verdict() {
    let instance = instance(EvalType::PassAndFail, &["a"], &[]);
    let report = grade(&instance, instance.parser().unwrap(), None, &log("PASSED a", 0));
    assert!(report.patch_is_none && !report.patch_exists && !report.resolved);
    assert_eq!(report.tests_status, None);
}
