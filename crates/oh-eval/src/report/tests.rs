use std::time::Duration;

use oh_runtime::RunId;
use serde_json::json;

use super::*;
use crate::dataset::Dataset;
use crate::grading::{Outcomes, TestsStatus};

fn report(resolved: bool) -> InstanceReport {
    InstanceReport {
        patch_is_none: false,
        patch_exists: true,
        patch_successfully_applied: true,
        resolved,
        infra_failure: false,
        infra_failure_reason: None,
        tests_status: Some(TestsStatus {
            fail_to_pass: Outcomes { success: vec!["a[é]".to_owned()], failure: vec![] },
            ..TestsStatus::default()
        }),
    }
}

fn tree(folder: &Path) -> RunTree {
    RunTree::new(folder, RunId::new("r").unwrap())
}

#[test]
fn the_report_of_an_instance_is_the_reference_s_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let files = tree(folder.path()).instance("m", "i").unwrap();
    write_instance(&files, "i", &report(true)).unwrap();
    let expected = r#"{
    "i": {
        "patch_is_None": false,
        "patch_exists": true,
        "patch_successfully_applied": true,
        "resolved": true,
        "infra_failure": false,
        "tests_status": {
            "FAIL_TO_PASS": {
                "success": [
                    "a[\u00e9]"
                ],
                "failure": []
            },
            "PASS_TO_PASS": {
                "success": [],
                "failure": []
            },
            "FAIL_TO_FAIL": {
                "success": [],
                "failure": []
            },
            "PASS_TO_FAIL": {
                "success": [],
                "failure": []
            }
        }
    }
}"#;
    assert_eq!(std::fs::read_to_string(files.report()).unwrap(), expected);
    assert_eq!(read_instance(&files, "i").unwrap(), Stored::Finished(Box::new(report(true))));

    let broken = InstanceReport {
        patch_successfully_applied: false,
        resolved: false,
        infra_failure: true,
        infra_failure_reason: Some("out_of_memory".to_owned()),
        tests_status: None,
        ..report(false)
    };
    write_instance(&files, "i", &broken).unwrap();
    let text = std::fs::read_to_string(files.report()).unwrap();
    assert!(text.ends_with(
        "\"infra_failure\": true,\n        \"infra_failure_reason\": \"out_of_memory\"\n    }\n}"
    ));
    assert_eq!(read_instance(&files, "i").unwrap(), Stored::Finished(Box::new(broken)));
}

#[test]
fn a_report_that_is_not_whole_is_damaged_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let files = tree(folder.path()).instance("m", "i").unwrap();
    assert_eq!(read_instance(&files, "i").unwrap(), Stored::Absent);
    let damaged = |content: &[u8]| {
        write_atomic(&files.report(), content).unwrap();
        match read_instance(&files, "i").unwrap() {
            Stored::Damaged(why) => why,
            other => panic!("{other:?}"),
        }
    };
    assert!(damaged(b"").contains("EOF"));
    assert!(damaged(b"{\"i\": {\"patch_exists\": tr").contains("line 1"));
    assert!(damaged(b"{\"i\": {}}").contains("resolved"));
    assert!(damaged(b"{\"i\": {\"resolved\": \"yes\"}}").contains("expected a boolean"));
    assert!(damaged(b"\xff").contains("line 1"));
    assert!(damaged(b"{\"other\": {\"resolved\": true}}").contains("another instance"));
}

/// Reports of older versions lack fields; newer ones may have more.
#[test]
fn a_report_needs_only_its_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let files = tree(folder.path()).instance("m", "i").unwrap();
    write_atomic(&files.report(), br#"{"i": {"resolved": true, "new": 1}}"#).unwrap();
    assert!(matches!(read_instance(&files, "i").unwrap(), Stored::Finished(report) if report.resolved));
}

#[test]
fn the_report_of_a_run_sorts_every_instance_and_has_the_reference_s_shape() {
    let folder = tempfile::tempdir().unwrap();
    let row = |id| {
        let row = json!({"instance_id": id, "eval_script": "x", "log_parser": "parse_log_pytest",
            "FAIL_TO_PASS": [], "PASS_TO_PASS": []});
        format!("{row}\n")
    };
    let all = ["resolved", "unresolved", "oom", "broken", "half", "none", "empty", "null", "other"];
    let dataset = folder.path().join("d.jsonl");
    std::fs::write(&dataset, all.map(row).concat()).unwrap();
    let dataset = Dataset::load(&dataset).unwrap();
    let selected: Vec<_> =
        dataset.select(None).unwrap().into_iter().filter(|i| i.instance_id != "other").collect();

    let prediction = |id| {
        let patch = match id {
            "empty" => json!(""),
            "null" => json!(null),
            _ => json!("diff"),
        };
        format!("{}\n", json!({"instance_id": id, "model_name_or_path": "org/m", "model_patch": patch}))
    };
    let predictions = folder.path().join("p.jsonl");
    let predicted: String = all.into_iter().filter(|id| *id != "none").map(prediction).collect();
    std::fs::write(&predictions, predicted).unwrap();
    let predictions = Predictions::load(predictions.to_str().unwrap(), &dataset, &selected).unwrap();

    let tree = tree(folder.path());
    let files = |id| tree.instance("org/m", id).unwrap();
    write_instance(&files("resolved"), "resolved", &report(true)).unwrap();
    write_atomic(&files("resolved").test_output(), b"Cannot allocate memory").unwrap();
    write_instance(&files("unresolved"), "unresolved", &report(false)).unwrap();
    write_instance(&files("oom"), "oom", &report(false)).unwrap();
    write_atomic(&files("oom").test_output(), b"\xff\r\nKilled\r\n").unwrap();
    write_atomic(&files("broken").log(), b"ModuleNotFoundError: x").unwrap();
    write_atomic(&files("half").report(), b"{\"half\"").unwrap();

    let mut run = RunReport::collect(&tree, &selected, &predictions).unwrap();
    let path = tree.report(predictions.model()).unwrap();
    run.write(&path).unwrap();
    let expected = json!({
        "total_instances": 8,
        "submitted_instances": 8,
        "completed_instances": 3,
        "resolved_instances": 1,
        "unresolved_instances": 2,
        "infra_failure_instances": 1,
        "ambiguous_failure_instances": 1,
        "empty_patch_instances": 2,
        "error_instances": 2,
        "completed_ids": ["oom", "resolved", "unresolved"],
        "incomplete_ids": ["none"],
        "empty_patch_ids": ["empty", "null"],
        "submitted_ids": ["broken", "empty", "half", "null", "oom", "other", "resolved", "unresolved"],
        "resolved_ids": ["resolved"],
        "unresolved_ids": ["oom", "unresolved"],
        "infra_failure_ids": ["oom"],
        "ambiguous_failure_ids": ["broken"],
        "failure_reasons": {"broken": "missing_module", "oom": "out_of_memory"},
        "error_ids": ["broken", "half"],
        "schema_version": 2,
    });
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("{}\n", String::from_utf8(dumps(&expected, "    ").unwrap()).unwrap()));
    assert_eq!(path.file_name().unwrap(), "org__m.r.json");

    run.leftovers = Some(Leftovers::new(BTreeSet::from(["oh-x".to_owned()]), BTreeSet::new()));
    run.write(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let end = "    \"schema_version\": 2,\n    \"unstopped_instances\": 1,\n    \"unstopped_containers\": [\n        \
               \"oh-x\"\n    ],\n    \"unremoved_images\": []\n}\n";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn what_was_evaluated_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let tree = tree(folder.path());
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_999);
    RunMetadata::new("x/d.jsonl", now).write(&tree).unwrap();
    let expected = "{\n  \"dataset\": \"x/d.jsonl\",\n  \"split\": \"test\",\n  \"task_repo\": null,\n  \
                    \"created_at\": \"2023-11-14T22:13:20+00:00\"\n}\n";
    assert_eq!(std::fs::read_to_string(tree.metadata()).unwrap(), expected);
}

#[test]
fn a_log_is_read_with_replacement_characters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, b"a\xffb").unwrap();
    assert_eq!(read_log(&path).unwrap(), "a\u{fffd}b");
    assert!(matches!(read_log(&folder.path().join("x")), Err(ReportError::Read { .. })));
}
