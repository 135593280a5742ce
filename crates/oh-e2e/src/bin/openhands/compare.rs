//! Which fields of two observations differ, and which differences are known.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::Fallible;

/// `tests/actions/differences.toml`.
#[derive(Deserialize)]
pub(crate) struct Differences {
    pub(crate) difference: Vec<Difference>,
}

/// What differs for one reason.
#[derive(Deserialize)]
pub(crate) struct Difference {
    /// What OpenHands does.
    pub(crate) theirs: String,
    /// What this runtime does.
    pub(crate) ours: String,
    /// Why.
    pub(crate) reason: String,
    /// The actions that show it.
    pub(crate) actions: Vec<String>,
}

impl Differences {
    pub(crate) fn read(path: &Path) -> Fallible<Self> {
        Ok(toml::from_str(&std::fs::read_to_string(path)?)?)
    }

    /// That each action is there, and listed once.
    pub(crate) fn check(&self, actions: &[&str]) -> Fallible<()> {
        let mut seen = BTreeSet::new();
        for id in self.ids() {
            if !actions.contains(&id) {
                return Err(format!("differences.toml names {id}, which is no action").into());
            }
            if !seen.insert(id) {
                return Err(format!("differences.toml names {id} twice").into());
            }
        }
        Ok(())
    }

    pub(crate) fn reason(&self, id: &str) -> Option<&str> {
        let known =
            self.difference.iter().find(|difference| difference.actions.iter().any(|action| action == id));
        known.map(|difference| difference.reason.as_str())
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.difference.iter().flat_map(|difference| difference.actions.iter().map(String::as_str))
    }
}

/// Whether OpenHands' server took the screen of before for the end of the command. It looks at once, and the prompt of before
/// is still there on a machine that is busy: the observation is of no command.
pub(crate) fn is_early(theirs: &Value) -> bool {
    let metadata = &theirs["extras"]["metadata"];
    let one_line =
        "[Previous command outputs are truncated. Showing the last 1 lines of the output below.]\n";
    theirs["content"] == "" && metadata["prefix"] == one_line
}

/// The fields that are not equal, with both values. Process ids are taken for equal where both sides have one.
pub(crate) fn differing(theirs: &Value, ours: &Value) -> Vec<(String, Value, Value)> {
    let (mut all, mut other) = (Vec::new(), Vec::new());
    flatten("", theirs, &mut all);
    flatten("", ours, &mut other);
    let value = |fields: &[(String, Value)], name: &str| {
        fields.iter().find(|(field, _)| field == name).map_or(Value::Null, |(_, value)| value.clone())
    };
    let names: BTreeSet<String> = all.iter().chain(&other).map(|(name, _)| name.clone()).collect();
    let rows = names.into_iter().map(|name| {
        let (theirs, ours) = (value(&all, &name), value(&other, &name));
        (name, theirs, ours)
    });
    rows.filter(|(name, theirs, ours)| plain(name, theirs) != plain(name, ours)).collect()
}

fn flatten(name: &str, value: &Value, fields: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(&name, value, fields);
            }
        }
        value => fields.push((name.to_owned(), value.clone())),
    }
}

/// Without process ids: a field of its own, and behind a job's number.
fn plain(name: &str, value: &Value) -> Value {
    match value {
        Value::Number(pid) if name == "extras.metadata.pid" => (pid.as_i64() > Some(0)).into(),
        Value::String(text) => {
            let words = text.split_inclusive(char::is_whitespace).scan(false, |after_job, word| {
                let bare = word.trim_end();
                let is_pid = *after_job && !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
                *after_job = bare.starts_with('[') && bare.ends_with(']');
                Some(if is_pid { word.replace(bare, "PID") } else { word.to_owned() })
            });
            words.collect::<String>().into()
        }
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_counts_but_process_ids() {
        let theirs =
            json!({ "content": "[1] 42\nx", "extras": { "metadata": { "pid": 42, "exit_code": 0 } } });
        let ours = json!({ "content": "[1] 7\nx", "extras": { "metadata": { "pid": 7, "exit_code": 0 } }, "more": 1 });
        let names: Vec<String> = differing(&theirs, &ours).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, ["more"]);
        let ours = json!({ "content": "[1] 7\ny", "extras": { "metadata": { "pid": -1, "exit_code": 1 } } });
        assert_eq!(differing(&theirs, &ours).len(), 3);
    }
}
