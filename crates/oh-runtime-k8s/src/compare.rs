//! Whether the server kept all it was sent. An old one leaves out what it does not know, without a word.

use serde_json::Value;

/// The paths of what is in `sent` and not in `kept`.
///
/// A value that came back as another one is not listed: admission may change an image's name or add to a list, and that
/// is for the cluster's owner to decide.
pub(crate) fn dropped(sent: &Value, kept: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    walk(sent, Some(kept), String::new(), &mut paths);
    paths
}

fn walk(sent: &Value, kept: Option<&Value>, path: String, paths: &mut Vec<String>) {
    match (sent, kept) {
        // Nothing was asked for: servers leave such fields out.
        (Value::Null | Value::Bool(false), None) => {}
        (Value::String(text), None) if text.is_empty() => {}
        (Value::Array(items), None) if items.is_empty() => {}
        (Value::Object(fields), None) if fields.is_empty() => {}
        (_, None) => paths.push(path),
        (Value::Object(fields), Some(Value::Object(kept))) => {
            for (name, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                walk(value, kept.get(name), format!("{path}{dot}{name}"), paths);
            }
        }
        (Value::Array(items), Some(Value::Array(kept))) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, counterpart(item, index, kept), format!("{path}[{index}]"), paths);
            }
        }
        _ => {}
    }
}

/// The item of `kept` that stands for `item`: of the same key, because others may have been put in between.
fn counterpart<'a>(item: &Value, index: usize, kept: &'a [Value]) -> Option<&'a Value> {
    for key in ["name", "mountPath", "uid", "key"] {
        if let Some(id) = item.get(key) {
            return kept.iter().find(|other| other.get(key) == Some(id));
        }
    }
    kept.get(index)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let sent = json!({
            "spec": { "suspend": true, "containers": [{ "name": "a", "env": [{ "name": "X", "value": "1" }] }] }
        });
        let kept = json!({
            "spec": { "containers": [{ "name": "injected" }, { "name": "a", "env": [{ "name": "X" }] }] }
        });
        assert_eq!(dropped(&sent, &kept), ["spec.suspend", "spec.containers[0].env[0].value"]);
    }

    #[test]
    fn what_was_added_changed_or_empty_is_no_loss() {
        let sent = json!({
            "a": "4096Mi", "b": false, "c": [], "d": {}, "e": "", "f": null,
            "volumes": [{ "name": "v" }], "command": ["x", "y"]
        });
        let kept = json!({
            "a": "4Gi", "z": 1, "volumes": [{ "name": "w" }, { "name": "v" }], "command": ["x", "y"]
        });
        assert_eq!(dropped(&sent, &kept), Vec::<String>::new());
    }
}
