use serde_json::json;

use super::*;

fn dataset() -> (tempfile::TempDir, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dataset.jsonl");
    let row = |id: &str, patch: Value| {
        let row = json!({"instance_id": id, "eval_script": "x", "log_parser": "parse_log_pytest",
            "FAIL_TO_PASS": [], "PASS_TO_PASS": [], "patch": patch});
        format!("{row}\n")
    };
    std::fs::write(&path, row("a", json!("diff a")) + &row("b", json!("diff b")) + &row("c", Value::Null))
        .unwrap();
    let dataset = Dataset::load(&path).unwrap();
    (folder, dataset)
}

fn load(name: &str, content: &str) -> Result<Predictions, PredictionsError> {
    let (folder, dataset) = dataset();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    Predictions::load(path.to_str().unwrap(), &dataset, &dataset.select(None).unwrap())
}

fn row(id: &str, model: &str, patch: Value) -> Value {
    json!({"instance_id": id, "model_name_or_path": model, "model_patch": patch, "cost": 1})
}

#[test]
fn lines_lists_and_objects_are_the_same() {
    let (a, b) = (row("a", "org/m", json!("diff")), row("b", "org/m", Value::Null));
    for (name, content) in [
        ("p.jsonl", format!("{a}\n{b}\n")),
        ("p.json", json!([a, b]).to_string()),
        ("p.json", json!({"a": a, "b": b}).to_string()),
    ] {
        let predictions = load(name, &content).unwrap();
        assert_eq!(predictions.iter().len(), 2);
        assert_eq!(predictions.model(), "org/m");
        let a = predictions.get("a").unwrap();
        assert_eq!((a.model_patch.as_deref(), a.is_empty()), (Some("diff"), false));
        assert!(predictions.get("b").unwrap().is_empty());
        assert!(predictions.get("c").is_none());
    }
    assert!(load("p.jsonl", &row("a", "m", json!("")).to_string()).unwrap().get("a").unwrap().is_empty());
}

#[test]
fn every_malformed_row_is_reported_with_its_place_and_field() {
    let rows = [
        row("a", "m", json!("diff")),
        json!({"instance_id": "b"}),
        row("c", "m", json!(["diff"])),
        row("a", "m", json!("diff")),
        row("x/y", "..", json!("diff")),
        row("b", "", json!("diff")),
    ];
    let error = load("p.jsonl", &rows.map(|row| format!("{row}\n")).concat()).unwrap_err();
    assert_eq!(
        error.to_string().split_once("p.jsonl ").unwrap().1,
        "cannot be used: 7 problems in its rows\n\
         - line 2 (\"b\"): model_name_or_path is missing (expected text that is not empty)\n\
         - line 2 (\"b\"): model_patch is missing (expected text or null)\n\
         - line 3 (\"c\"): model_patch should be text or null, but is a list\n\
         - line 4 (\"a\"): instance_id is the same as in line 1 (keep one of them)\n\
         - line 5: instance_id \"x/y\" cannot be the name of a file or folder (it must not contain '/')\n\
         - line 5: model_name_or_path \"..\" cannot be the name of a file or folder (it must not be '.' or '..')\n\
         - line 6 (\"b\"): model_name_or_path should be text that is not empty, but is other text"
    );
    let error = load("p.json", &json!({"b": row("a", "m", Value::Null)}).to_string()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("key \"b\" (\"a\"): instance_id is not the key it is stored under (make them equal)"),
        "{error}"
    );
}

#[test]
fn predictions_for_other_instances_are_refused() {
    let error = load("p.jsonl", &row("z", "m", json!("diff")).to_string()).unwrap_err();
    assert!(
        matches!(&error, PredictionsError::NotInDataset { ids } if *ids == [UnknownInstance("z".to_owned())])
    );
    assert_eq!(
        error.to_string(),
        "\"z\" has a prediction but is not in the dataset (use the dataset that they were made for)"
    );
}

#[test]
fn the_solutions_are_predictions() {
    let (_folder, dataset) = dataset();
    let selected = dataset.select(Some(&["b".to_owned(), "a".to_owned()])).unwrap();
    let gold = Predictions::load("gold", &dataset, &selected).unwrap();
    assert_eq!(gold.model(), "gold");
    assert_eq!(gold.iter().len(), 2);
    assert_eq!(gold.get("b").unwrap().model_patch.as_deref(), Some("diff b"));
    let error = Predictions::load("gold", &dataset, &dataset.select(None).unwrap()).unwrap_err();
    assert!(
        matches!(&error, PredictionsError::NoSolution { ids } if *ids == [WithoutSolution("c".to_owned())])
    );
}

#[test]
fn empty_is_an_empty_patch_for_each() {
    let (_folder, dataset) = dataset();
    let empty = Predictions::load("empty", &dataset, &dataset.select(None).unwrap()).unwrap();
    assert_eq!((empty.model(), empty.iter().len()), ("empty", 3));
    assert!(empty.iter().all(|prediction| prediction.is_empty() && prediction.model_patch.is_some()));
}
