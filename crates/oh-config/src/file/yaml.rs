//! YAML, with the line of every key. Text is text unless it is a number, `true` or `false`.

use std::fmt;

use figment::value::{Dict, Value};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::{Lines, Parsed, Unreadable, join};

pub(super) fn parse(text: &str) -> Result<Parsed, Unreadable> {
    let Some(node) = read(text)? else { return Ok(Parsed::default()) };
    let (mut lines, first) = (Lines::default(), line(&node));
    match node.value.value(&mut lines, "") {
        Some(Value::Dict(_, values)) => Ok(Parsed { values, lines }),
        None => Ok(Parsed::default()),
        Some(_) => Err(Unreadable { line: Some(first), what: "is YAML, but no table of options".to_owned() }),
    }
}

pub(super) fn parse_value(text: &str) -> Result<Value, Unreadable> {
    let value = read(text)?.and_then(|node| node.value.value(&mut Lines::default(), ""));
    value.ok_or_else(|| Unreadable { line: None, what: "is empty".to_owned() })
}

fn read(text: &str) -> Result<Option<Spanned<Node>>, Unreadable> {
    // An error must not show what stands beside its place.
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(None);
    }
    serde_saphyr::from_str_with_options(text, options).map(Some).map_err(|error| {
        let place = error.location();
        let column = place.map_or(0, |place| place.column());
        Unreadable {
            line: place.and_then(|place| usize::try_from(place.line()).ok()),
            what: format!("is no YAML at column {column}: {}", cause(&error)),
        }
    })
}

/// What is probably wrong, without the text that stands there.
fn cause(error: &serde_saphyr::Error) -> &'static str {
    match error.without_snippet() {
        serde_saphyr::Error::DuplicateMappingKey { .. } => "duplicate key",
        serde_saphyr::Error::UnknownAnchor { .. } => "an alias (`*name`) without its anchor (`&name`)",
        serde_saphyr::Error::MultipleDocuments { .. } => "more than one document (`---`)",
        serde_saphyr::Error::Eof { .. } => "the file ends too early",
        _ => "look for tabs, and for quotes and brackets that are not closed",
    }
}

fn line<T>(node: &Spanned<T>) -> usize {
    usize::try_from(node.defined.line()).unwrap_or_default()
}

/// A value with the places of what is in it.
enum Node {
    Single(Option<Value>),
    List(Vec<Spanned<Self>>),
    Table(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl Node {
    /// What is empty in YAML is as if it were not there.
    fn value(self, lines: &mut Lines, key: &str) -> Option<Value> {
        match self {
            Self::Single(value) => value,
            Self::List(items) => {
                let mut values = Vec::new();
                for (index, item) in items.into_iter().enumerate() {
                    let key = format!("{key}[{index}]");
                    lines.insert(key.clone(), line(&item));
                    values.extend(item.value.value(lines, &key));
                }
                Some(values.into())
            }
            Self::Table(entries) => {
                let mut values = Dict::new();
                for (name, entry) in entries {
                    let key = join(key, &name.value);
                    lines.insert(key.clone(), line(&name));
                    if let Some(value) = entry.value.value(lines, &key) {
                        values.insert(name.value, value);
                    }
                }
                Some(values.into())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Node, E> {
                Ok(Node::Single(Some(flag.into())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
                Ok(Node::Single(Some(number.into())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
                let value = i64::try_from(number).map_or_else(|_| number.to_string().into(), Value::from);
                Ok(Node::Single(Some(value)))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
                Ok(Node::Single(Some(number.into())))
            }

            fn visit_str<E>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Single(Some(text.into())))
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Single(None))
            }

            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Single(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Node::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
                let mut table = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    table.push(entry);
                }
                Ok(Node::Table(table))
            }
        }

        deserializer.deserialize_any(Any)
    }
}
