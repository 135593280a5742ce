//! A `config.toml` of OpenHands as one of ours: every field of `[sandbox]` and `[kubernetes]`, and `[core] runtime`,
//! sets an option or has no meaning here, which is said.

use std::path::Path;

use figment::util::nest;
use figment::value::{Dict, Value};

use crate::error::Problem;
use crate::file::{Lines, Parsed, join};
use crate::kind::called;
use crate::layers::Origin;
use crate::near::nearest;
use crate::table::{names, sections};

mod fields;
#[cfg(test)]
mod tests;

pub(crate) use fields::{Does, FIELDS, Field};

/// Tables that only OpenHands has.
const OWN: [&str; 8] = ["core", "kubernetes", "llm", "security", "condenser", "mcp", "model_routing", "cli"];
/// Its tables that are read.
const READ: [&str; 3] = ["core", "sandbox", "kubernetes"];

/// A file of OpenHands, mapped.
#[derive(Debug, Default)]
pub(crate) struct Mapped {
    pub(crate) values: Dict,
    /// Of our keys, where the fields stand that set them.
    pub(crate) lines: Lines,
    /// What has no meaning here.
    pub(crate) notes: Vec<String>,
    pub(crate) problems: Vec<Problem>,
}

/// Whether a file is one of OpenHands, by its tables: it has one of OpenHands alone and none of ours alone, or a
/// `[sandbox]` of its fields only.
pub(crate) fn is_config(values: &Dict) -> bool {
    let ours = |name: &String| {
        let shared = ["sandbox", "agent"].contains(&name.as_str());
        !shared && (names("").contains(&name.as_str()) || sections().contains(&name.as_str()))
    };
    if values.keys().any(ours) {
        return false;
    }
    let theirs = |name: &String| FIELDS.iter().any(|field| field.table == "sandbox" && field.name == name);
    let sandbox = match values.get("sandbox") {
        Some(Value::Dict(_, fields)) => !fields.is_empty() && fields.keys().all(theirs),
        _ => false,
    };
    sandbox || values.keys().any(|name| OWN.contains(&name.as_str()))
}

/// Maps the file at `path`.
pub(crate) fn map(path: &Path, parsed: &Parsed) -> Mapped {
    let mut mapped = Mapped::default();
    let origin = |key: &str| Origin::File { path: path.to_owned(), line: parsed.lines.of(key) };
    let mut others: Vec<String> = Vec::new();
    for (table, value) in &parsed.values {
        if !READ.contains(&table.as_str()) {
            others.push(format!("[{table}]"));
            continue;
        }
        let Value::Dict(_, fields) = value else {
            let what = format!("expected a table, found {}", called(value));
            mapped.problems.push(Problem::new(table, what, origin(table)));
            continue;
        };
        for (name, value) in fields {
            let key = join(table, name);
            match FIELDS.iter().find(|field| field.table == table && field.name == name) {
                Some(field) => apply(field, value, fields, parsed.lines.of(&key), &origin(&key), &mut mapped),
                None if table == "core" => others.push(format!("core.{name}")),
                None => {
                    let known = FIELDS.iter().filter(|field| field.table == table).map(|field| field.name);
                    let meant = nearest(name, known).map(|name| join(table, name));
                    mapped.problems.push(
                        Problem::new(key.clone(), "is no field of OpenHands", origin(&key)).meaning(meant),
                    );
                }
            }
        }
    }
    if !others.is_empty() {
        mapped.notes.push(format!(
            "{}: not about sandboxes, left out: {}",
            path.display(),
            others.join(", ")
        ));
    }
    mapped
}

fn apply(
    field: &Field,
    value: &Value,
    table: &Dict,
    line: Option<usize>,
    origin: &Origin,
    mapped: &mut Mapped,
) {
    let key = join(field.table, field.name);
    // What is empty, or turned off, is not set.
    let off = match value {
        Value::String(_, text) => text.is_empty(),
        Value::Array(_, items) => items.is_empty(),
        Value::Dict(_, entries) => entries.is_empty(),
        _ => false,
    };
    if off {
        return;
    }
    match field.does.apply(value, table) {
        Err(what) => mapped.problems.push(Problem::new(key, what, origin.clone())),
        Ok(set) => {
            for (ours, value) in set {
                if let Some(line) = line {
                    mapped.lines.insert(ours.clone(), line);
                }
                merge(&mut mapped.values, nest(&ours, value).into_dict().unwrap_or_default());
            }
            if let Does::Nothing = field.does
                && !matches!(value, Value::Bool(_, false))
            {
                mapped.notes.push(format!("{key} has no meaning here: {} ({origin})", field.how));
            }
        }
    }
}

fn merge(into: &mut Dict, values: Dict) {
    for (name, value) in values {
        match (into.get_mut(&name), value) {
            (Some(Value::Dict(_, inner)), Value::Dict(_, values)) => merge(inner, values),
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}
