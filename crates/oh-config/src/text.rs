//! Text of a variable, or of the command line, as a value of the kind an option has.

use figment::value::{Dict, Value};
use serde_json::Value as Json;

use crate::kind::{Field, Kind};

/// What stands between the entries of a list or a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Between {
    /// In a variable.
    Commas,
    /// In a file that stands for one.
    Lines,
}

/// Text stays text unless the option is something else. What does not fit stays text, too: then the check says what
/// the option wants. Lists and tables are JSON, or `a,b` and `a=b,c=d`.
pub(crate) fn read(text: &str, kind: Kind, between: Between) -> Result<Value, String> {
    Ok(match kind {
        Kind::Flag => flag(text).map_or_else(|| text.into(), Value::from),
        Kind::Count { .. } => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
        Kind::List(of) => {
            if let Some(value) = json(text, '[')? {
                return Ok(value);
            }
            entries(text, between)
                .map(|entry| read(entry, *of, between))
                .collect::<Result<Vec<_>, _>>()?
                .into()
        }
        Kind::Map(_, _, of) => match json(text, '{')? {
            Some(value) => value,
            None => table(text, between, |_| Some(*of))?,
        },
        Kind::Tables(fields) => match json(text, '[')? {
            Some(value) => value,
            None => match json(text, '{')? {
                Some(one) => vec![one].into(),
                None if text.is_empty() => Vec::<Value>::new().into(),
                None => vec![table(text, between, |name| field(fields, name))?].into(),
            },
        },
        _ => text.into(),
    })
}

fn field(fields: &[Field], name: &str) -> Option<Kind> {
    fields.iter().find(|field| field.name == name).map(|field| field.kind)
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// `a=b,c=d`, each value of the kind that `kind` has for its name.
fn table(text: &str, between: Between, kind: impl Fn(&str) -> Option<Kind>) -> Result<Value, String> {
    let mut table = Dict::new();
    for (number, entry) in entries(text, between).enumerate() {
        let Some((name, value)) = entry.split_once('=') else {
            return Err(format!("entry {} has no '=', write a=b,c=d or a JSON object", number + 1));
        };
        let name = name.trim();
        let value = match kind(name) {
            Some(kind) => read(value, kind, between)?,
            None => value.into(),
        };
        if table.insert(name.to_owned(), value).is_some() {
            return Err(format!("{name:?} is there twice"));
        }
    }
    Ok(table.into())
}

fn entries(text: &str, between: Between) -> impl Iterator<Item = &str> {
    let separator = match between {
        Between::Commas => ',',
        Between::Lines => '\n',
    };
    text.split(separator)
        .map(str::trim)
        .filter(move |entry| !entry.is_empty() && (between == Between::Commas || !entry.starts_with('#')))
}

/// The value when the text begins as JSON does. An error says where it is and nothing of the text.
fn json(text: &str, opening: char) -> Result<Option<Value>, String> {
    if !text.trim_start().starts_with(opening) {
        return Ok(None);
    }
    let read: Json = serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))?;
    Ok(value(read))
}

/// `null` is nothing.
fn value(json: Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(flag) => flag.into(),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64()?.into(),
        },
        Json::String(text) => text.into(),
        Json::Array(items) => items.into_iter().filter_map(value).collect::<Vec<_>>().into(),
        Json::Object(entries) => {
            let entries = entries.into_iter().filter_map(|(key, entry)| Some((key, value(entry)?)));
            entries.collect::<Dict>().into()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Setting;

    fn of(key: &str, text: &str) -> Result<Value, String> {
        read(text, Setting::of(key).unwrap().kind, Between::Commas)
    }

    fn dict(entries: &[(&str, &str)]) -> Value {
        entries.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect::<Dict>().into()
    }

    #[test]
    fn text_is_text_unless_the_option_is_something_else() {
        for text in ["1.30", "007", "true", "[a]", "{a=b}", " x ", "\"quoted\""] {
            assert_eq!(of("owner", text), Ok(text.into()), "{text}");
        }
        assert_eq!(of("resources.pids", "12"), Ok(12_i64.into()));
        assert_eq!(of("resources.pids", "many"), Ok("many".into()));
        assert_eq!(of("source.mount", "1"), Ok(true.into()));
        assert_eq!(of("source.mount", "maybe"), Ok("maybe".into()));
    }

    #[test]
    fn lists_and_tables_are_json_or_short() {
        let pair: Value = vec![Value::from("a"), "1.30".into()].into();
        assert_eq!(of("k8s.image_pull_secrets", "a, 1.30,"), Ok(pair.clone()));
        assert_eq!(of("k8s.image_pull_secrets", r#"["a", "1.30"]"#), Ok(pair));
        assert_eq!(of("k8s.node_selector", "a=b, c=1.30"), Ok(dict(&[("a", "b"), ("c", "1.30")])));
        assert_eq!(of("k8s.node_selector", r#"{"a": "b,c=d"}"#), Ok(dict(&[("a", "b,c=d")])));
        assert_eq!(of("k8s.node_selector", "a=b=c"), Ok(dict(&[("a", "b=c")])));
        let toleration: Value = vec![dict(&[("key", "pool"), ("operator", "Exists")])].into();
        assert_eq!(of("k8s.tolerations", "key=pool,operator=Exists"), Ok(toleration.clone()));
        assert_eq!(of("k8s.tolerations", r#"{"key": "pool", "operator": "Exists"}"#), Ok(toleration.clone()));
        assert_eq!(of("k8s.tolerations", r#"[{"key": "pool", "operator": "Exists"}]"#), Ok(toleration));
        assert_eq!(of("k8s.tolerations", "[]"), Ok(Vec::<Value>::new().into()));
    }

    #[test]
    fn what_is_neither_says_where_and_shows_nothing() {
        assert_eq!(
            of("sandbox.env", "A=1,s3cret"),
            Err("entry 2 has no '=', write a=b,c=d or a JSON object".into())
        );
        assert_eq!(of("sandbox.env", "A=1,A=2"), Err("\"A\" is there twice".into()));
        let error = of("sandbox.env", r#"{"A": s3cret}"#).unwrap_err();
        assert!(error.starts_with("is no JSON") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn a_file_has_an_entry_a_line() {
        let kind = Setting::of("sandbox.env").unwrap().kind;
        let read = read("# tokens\nA=1,2\n\nB=x\n", kind, Between::Lines);
        assert_eq!(read, Ok(dict(&[("A", "1,2"), ("B", "x")])));
    }
}
