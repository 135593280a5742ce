//! What an option may hold: from one description come its check, how its text is read, its help and its schema.

use figment::value::{Num, Value};

use crate::units;

/// Says what is wrong with text.
pub(crate) type Format = fn(&str) -> Result<(), String>;

/// What an option may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Text of some form, with a word for it.
    Text(&'static str, Format),
    /// One of a few words, each followed by its other spellings.
    Word(&'static [&'static [&'static str]]),
    /// True or false.
    Flag,
    /// A whole number from 1.
    Count { most: u64 },
    /// Cores: a number, or text such as `500m`.
    Cores,
    /// Bytes: text such as `4Gi`, or a number.
    Size,
    /// A time; `zero` says whether no time is one.
    Duration { zero: bool },
    /// A path of this machine.
    Path,
    /// Text nobody may see.
    Secret,
    /// A list.
    List(&'static Self),
    /// A table of the user's own names, with a word for a name.
    Map(&'static str, Format, &'static Self),
    /// A list of tables.
    Tables(&'static [Field]),
}

/// A field of [`Kind::Tables`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
}

/// What is wrong with a value, or with a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Below the option, such as `[0].target`; empty for the option itself.
    pub(crate) path: String,
    pub(crate) what: String,
    /// Which of the allowed words was probably meant.
    pub(crate) suggestion: Option<String>,
    /// The value, unless it is a secret or no single value.
    pub(crate) shown: Option<String>,
}

impl Kind {
    /// How it is called in documents and messages.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Text(name, _) => name.to_owned(),
            Self::Word(words) => one_of(words.iter().map(|word| word[0])),
            Self::Flag => "true or false".to_owned(),
            Self::Count { .. } => "a whole number from 1".to_owned(),
            Self::Cores => "cores".to_owned(),
            Self::Size => "a size".to_owned(),
            Self::Duration { .. } => "a duration".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Secret => "a secret".to_owned(),
            Self::List(of) => format!("a list: {}", of.name()),
            Self::Map(name, _, of) => format!("a table: {name} = {}", of.name()),
            Self::Tables(fields) => {
                let names: Vec<_> = fields.iter().map(|field| field.name).collect();
                format!("a list of tables: {}", names.join(", "))
            }
        }
    }

    /// Whether any of it is a secret.
    pub(crate) fn is_secret(self) -> bool {
        match self {
            Self::Secret => true,
            Self::List(of) | Self::Map(_, _, of) => of.is_secret(),
            _ => false,
        }
    }

    /// What is wrong with `value`, all of it.
    pub(crate) fn check(self, value: &Value) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.look(value, "", &mut findings);
        findings
    }

    fn look(self, value: &Value, path: &str, findings: &mut Vec<Finding>) {
        let shown = (!self.is_secret()).then(|| single(value)).flatten();
        let mut wrong = |what: String, suggestion| {
            findings.push(Finding { path: path.to_owned(), what, suggestion, shown: shown.clone() });
        };
        let mut text = |check: &dyn Fn(&str) -> Result<(), String>, wanted: &str| match value {
            Value::String(_, text) => check(text).err().into_iter().for_each(|what| wrong(what, None)),
            other => wrong(expected(wanted, other), None),
        };
        match self {
            Self::Text(_, format) => text(&|text| format(text), "text"),
            Self::Secret => text(&|_| Ok(()), "text, or { file = \"PATH\" }"),
            Self::Path => {
                text(&|path| if path.is_empty() { Err("is empty".to_owned()) } else { Ok(()) }, "text")
            }
            Self::Word(words) => match value {
                Value::String(_, text) if words.iter().any(|word| word.contains(&text.as_str())) => {}
                Value::String(_, text) => {
                    let known = words.iter().flat_map(|word| word.iter().copied());
                    let meant = crate::near::nearest(text, known);
                    let what = format!("unknown value, use {}", one_of(words.iter().map(|word| word[0])));
                    wrong(what, meant.map(str::to_owned));
                }
                other => wrong(expected("text", other), None),
            },
            Self::Flag => {
                if !matches!(value, Value::Bool(..)) {
                    wrong(expected("true or false", value), None);
                }
            }
            Self::Count { most } => {
                let number = value.to_i128().filter(|_| matches!(value, Value::Num(..)));
                if !number.is_some_and(|number| (1..=i128::from(most)).contains(&number)) {
                    let wanted = format!("a whole number from 1 to {most}");
                    let what = match value {
                        Value::Num(..) => format!("has to be {wanted}"),
                        other => expected(&wanted, other),
                    };
                    wrong(what, None);
                }
            }
            Self::Cores => amount(
                value,
                "cores like 2, 0.5 or \"500m\"",
                |text| units::parse_cores(text).map(|_| ()),
                &mut wrong,
            ),
            Self::Size => amount(
                value,
                "a size like \"4Gi\" or \"512Mi\", or a number of bytes",
                |text| match units::parse_size(text) {
                    Ok(0) => Err(units::InvalidUnit::new("has to be more than 0")),
                    parsed => parsed.map(|_| ()),
                },
                &mut wrong,
            ),
            Self::Duration { zero } => amount(
                value,
                "a duration like \"90s\", \"10m\" or \"1h30m\"",
                |text| match units::parse_duration(text) {
                    Ok(time) if time.is_zero() && !zero => {
                        Err(units::InvalidUnit::new("has to be more than nothing"))
                    }
                    parsed => parsed.map(|_| ()),
                },
                &mut wrong,
            ),
            Self::List(of) => match value {
                Value::Array(_, items) => {
                    for (index, item) in items.iter().enumerate() {
                        of.look(item, &format!("{path}[{index}]"), findings);
                    }
                }
                other => wrong(expected("a list", other), None),
            },
            Self::Map(_, name, of) => match value {
                Value::Dict(_, entries) => {
                    for (key, entry) in entries {
                        let path = format!("{path}.{key}");
                        if let Err(what) = name(key) {
                            findings.push(Finding {
                                path: path.clone(),
                                what,
                                suggestion: None,
                                shown: None,
                            });
                        }
                        of.look(entry, &path, findings);
                    }
                }
                other => wrong(expected("a table", other), None),
            },
            Self::Tables(fields) => match value {
                Value::Array(_, tables) => {
                    for (index, table) in tables.iter().enumerate() {
                        look_at_table(fields, table, &format!("{path}[{index}]"), findings);
                    }
                }
                other => wrong(expected("a list", other), None),
            },
        }
    }
}

fn look_at_table(fields: &[Field], value: &Value, path: &str, findings: &mut Vec<Finding>) {
    let mut found = |path: String, what: String, suggestion: Option<&str>, shown| {
        findings.push(Finding { path, what, suggestion: suggestion.map(str::to_owned), shown });
    };
    let Value::Dict(_, entries) = value else {
        return found(path.to_owned(), expected("a table", value), None, single(value));
    };
    let names = || fields.iter().map(|field| field.name);
    for key in entries.keys().filter(|key| names().all(|name| name != key.as_str())) {
        let known: Vec<_> = names().collect();
        let what = format!("unknown field, there are {}", known.join(", "));
        found(format!("{path}.{key}"), what, crate::near::nearest(key, names()), None);
    }
    for field in fields.iter().filter(|field| field.required && !entries.contains_key(field.name)) {
        found(path.to_owned(), format!("{:?} is missing", field.name), None, None);
    }
    for field in fields {
        if let Some(value) = entries.get(field.name) {
            field.kind.look(value, &format!("{path}.{}", field.name), findings);
        }
    }
}

/// Text, or a number that is as good as its text.
fn amount(
    value: &Value,
    wanted: &str,
    read: impl Fn(&str) -> Result<(), units::InvalidUnit>,
    wrong: &mut impl FnMut(String, Option<String>),
) {
    let text = match value {
        Value::String(_, text) => text.clone(),
        Value::Num(_, number) => number_text(*number),
        other => return wrong(expected(wanted, other), None),
    };
    if let Err(error) = read(&text) {
        wrong(error.to_string(), None);
    }
}

fn expected(wanted: &str, found: &Value) -> String {
    let quotes = wanted.starts_with("text") && matches!(found, Value::Num(..) | Value::Bool(..));
    let advice = if quotes { ": write it in quotes" } else { "" };
    format!("expected {wanted}, found {}{advice}", called(found))
}

/// What a value is, without the value.
pub(crate) fn called(value: &Value) -> &'static str {
    match value {
        Value::Bool(..) => "true or false",
        Value::Num(..) => "a number",
        Value::String(..) | Value::Char(..) => "text",
        Value::Array(..) => "a list",
        Value::Dict(..) => "a table",
        Value::Empty(..) => "nothing",
    }
}

/// A single value as TOML writes it, cut where it is long. `None` for tables and lists.
fn single(value: &Value) -> Option<String> {
    /// Most characters that are shown.
    const MOST: usize = 80;
    let text = match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => number_text(*number),
        _ => return None,
    };
    Some(match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    })
}

pub(crate) fn number_text(number: Num) -> String {
    match (number.to_i128(), number.to_f64()) {
        (Some(whole), _) => whole.to_string(),
        (None, Some(float)) => float.to_string(),
        (None, None) => String::new(),
    }
}

/// `docker or local`; `missing, never or always`.
pub(crate) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    match &*words {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        words => words.concat(),
    }
}
