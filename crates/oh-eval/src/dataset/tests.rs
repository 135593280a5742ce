use serde_json::json;

use super::*;

fn row(id: &str) -> Value {
    json!({
        "instance_id": id,
        "repo": "o/r",
        "version": "1.0",
        "base_commit": "abc",
        "image": "o/image:1",
        "eval_script": "#!/bin/bash\npytest",
        "log_parser": "parse_log_pytest",
        "eval_type": "pass_and_fail",
        "FAIL_TO_PASS": ["a", "b"],
        "PASS_TO_PASS": "[\"c\"]",
        "patch": "diff",
        "problem_statement": "ignored",
    })
}

fn with(id: &str, field: &str, value: Value) -> Value {
    let mut row = row(id);
    row[field] = value;
    row
}

fn without(id: &str, fields: &[&str]) -> Value {
    let mut row = row(id);
    for field in fields {
        row.as_object_mut().unwrap().remove(*field);
    }
    row
}

fn load(rows: &[Value]) -> Result<Dataset, DatasetError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    std::fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    Dataset::load(&path)
}

/// What is wrong, as users see it, without the name of the file.
fn refused(rows: &[Value]) -> String {
    let text = load(rows).unwrap_err().to_string();
    text.split_once("rows.jsonl ").unwrap().1.to_owned()
}

#[test]
fn a_row_is_read_whole() {
    let dataset = load(&[row("o__r-1")]).unwrap();
    let expected = Instance {
        instance_id: "o__r-1".to_owned(),
        repo: Some("o/r".to_owned()),
        version: Some("1.0".to_owned()),
        base_commit: Some("abc".to_owned()),
        image: Some("o/image:1".to_owned()),
        eval_script: "#!/bin/bash\npytest".to_owned(),
        log_parser: "parse_log_pytest".to_owned(),
        eval_type: EvalType::PassAndFail,
        fail_to_pass: vec!["a".to_owned(), "b".to_owned()],
        pass_to_pass: vec!["c".to_owned()],
        patch: Some("diff".to_owned()),
        has_assets: false,
    };
    assert_eq!(dataset.get("o__r-1"), Some(&expected));
}

#[test]
fn a_list_in_a_json_file_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.json");
    std::fs::write(&path, json!([row("a"), row("b")]).to_string()).unwrap();
    let dataset = Dataset::load(&path).unwrap();
    assert_eq!(dataset.select(None).unwrap().len(), 2);
}

#[test]
fn what_may_be_missing_may_also_be_null() {
    let row = without("a", &["repo", "version", "base_commit", "image", "eval_type", "patch"]);
    let bare = load(&[row]).unwrap().get("a").unwrap().clone();
    assert_eq!((bare.image, bare.patch, bare.eval_type), (None, None, EvalType::PassAndFail));
    assert_eq!(load(&[with("a", "image", Value::Null)]).unwrap().get("a").unwrap().image, None);
    assert_eq!(
        load(&[with("a", "eval_type", json!("fail_only"))]).unwrap().get("a").unwrap().eval_type,
        EvalType::FailOnly
    );
}

#[test]
fn every_malformed_row_is_reported_with_its_line_and_field() {
    let rows = [
        row("a"),
        with("b", "FAIL_TO_PASS", json!(7)),
        with("c", "PASS_TO_PASS", json!("[1]")),
        with("", "eval_type", json!("both")),
        with("../up", "repo", json!(["x"])),
        without("d", &["eval_script", "PASS_TO_PASS"]),
        row("a"),
    ];
    assert_eq!(
        refused(&rows),
        "cannot be used: 9 problems in its rows\n\
         - line 2 (\"b\"): FAIL_TO_PASS should be a list of test names, or that list as JSON text, but is a number\n\
         - line 3 (\"c\"): PASS_TO_PASS should be a list of test names, or that list as JSON text, but is other text\n\
         - line 4: instance_id should be text that is not empty, but is other text\n\
         - line 4: eval_type should be \"pass_and_fail\" or \"fail_only\", but is other text\n\
         - line 5: instance_id \"../up\" cannot be the name of a file or folder (it must not contain '/')\n\
         - line 5: repo should be text or null, but is a list\n\
         - line 6 (\"d\"): eval_script is missing (expected text that is not empty)\n\
         - line 6 (\"d\"): PASS_TO_PASS is missing (expected a list of test names, or that list as JSON text)\n\
         - line 7: instance_id is the same as in line 1 (keep one of them)"
            .replace("line 7:", "line 7 (\"a\"):")
    );
}

#[test]
fn problems_can_be_acted_on_by_programs() {
    let error = load(&[row("a"), without("b", &["eval_script"])]).unwrap_err();
    let DatasetError::Rows(RowsError::Malformed { problems, .. }) = error else { panic!("{error}") };
    let [problem] = problems.listed() else { panic!("{problems}") };
    assert_eq!((&problem.place, problem.field), (&Place::Line(2), Some("eval_script")));
    assert_eq!(problem.instance_id.as_deref(), Some("b"));
    assert!(matches!(problem.fault, Fault::Missing { .. }));
}

#[test]
fn rows_of_the_old_generation_are_told_apart_from_broken_ones() {
    let old = |id| without(id, &["image", "eval_script", "log_parser", "eval_type"]);
    let error = load(&[old("a"), old("b")]).unwrap_err();
    assert!(matches!(error, DatasetError::OldGeneration { .. }));
    assert!(error.to_string().contains("SWE-bench 4"), "{error}");
    assert!(refused(&[row("a"), old("b")]).contains("line 2 (\"b\"): log_parser is missing"));
}

#[test]
fn selection_keeps_the_order_of_the_dataset() {
    let dataset = load(&[row("a"), row("b"), row("c")]).unwrap();
    let ids = |chosen: Option<&[&str]>| {
        let chosen: Option<Vec<String>> = chosen.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
        let selected = dataset.select(chosen.as_deref()).unwrap();
        selected.iter().map(|instance| instance.instance_id.clone()).collect::<String>()
    };
    assert_eq!(ids(None), "abc");
    assert_eq!(ids(Some(&[])), "abc");
    assert_eq!(ids(Some(&["c", "a", "c"])), "ac");
}

#[test]
fn unknown_ids_come_with_near_ones() {
    let dataset =
        load(&[row("django__django-11099"), row("django__django-11090"), row("sympy__sympy-1")]).unwrap();
    let error = dataset.select(Some(&["django_django-11099".to_owned()])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"django_django-11099\" is not in the dataset (did you mean django__django-11099 or django__django-11090?)"
    );
    let error =
        dataset.select(Some(&["x".to_owned(), "sympy__sympy-1".to_owned(), "y".to_owned()])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "2 instances that were asked for are not in the dataset\n\
         - \"x\" is not in the dataset (check its spelling)\n- \"y\" is not in the dataset (check its spelling)"
    );
}

#[test]
fn what_is_not_supported_is_an_error_only_when_it_is_to_run() {
    let dataset = load(&[
        row("a"),
        with("b", "log_parser", json!("parse_log_cobol")),
        with(
            "c",
            "image_assets",
            json!("{\"test_patch\": [{\"path\": \"x.png\", \"url\": \"u\"}], \"patch\": []}"),
        ),
        with("d", "image_assets", json!("{\"problem_statement\": [\"u\"], \"test_patch\": []}")),
        with("e", "image_assets", Value::Null),
        with("f", "image_assets", json!("")),
    ])
    .unwrap();
    for good in ["a", "d", "e", "f"] {
        assert!(check_supported(dataset.get(good)).is_ok(), "{good}");
    }
    let text = check_supported(dataset.get("b")).unwrap_err().to_string();
    assert!(
        text.starts_with("\"b\" cannot be evaluated: its log_parser \"parse_log_cobol\" is not supported"),
        "{text}"
    );
    assert!(text.contains("parse_log_pytest_v2"), "{text}");
    let error = check_supported(dataset.select(None).unwrap()).unwrap_err();
    let DatasetError::Unsupported { instances } = error else { panic!("{error}") };
    assert_eq!(instances.len(), 2);
    assert_eq!(instances[1].why, Unsupported::Assets);
}
