//! Files of JSON objects, one a line (`.jsonl`) or in one list (`.json`), and all that is wrong with them.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// Most problems that are listed; the others are counted.
pub const MAX_LISTED: usize = 20;

/// Why a file of rows cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The file cannot be read.
    #[error("{} cannot be read (check the path and its permissions)", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The name of the file does not say what it holds.
    #[error("{} is of no known format (use a .jsonl file with one JSON object a line, or a .json file)", path.display())]
    Format {
        /// Which.
        path: PathBuf,
    },
    /// The file has no rows.
    #[error("{} has no rows (expected at least one JSON object)", path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// Rows are wrong.
    #[error("{} cannot be used: {problems}", path.display())]
    Malformed {
        /// In which file.
        path: PathBuf,
        /// What is wrong.
        problems: Problems,
    },
}

/// All that is wrong with the rows of a file: at least one problem, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems {
    listed: Vec<Problem>,
    total: usize,
}

impl Problems {
    pub(crate) fn push(&mut self, problem: Problem) {
        self.total += 1;
        if self.listed.len() < MAX_LISTED {
            self.listed.push(problem);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The first [`MAX_LISTED`].
    #[must_use]
    pub fn listed(&self) -> &[Problem] {
        &self.listed
    }

    /// How many there are.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Many { what: "problems in its rows", items: &self.listed, total: self.total }.fmt(f)
    }
}

/// One item as it is; for more of them their number, `what` they are, and the first [`MAX_LISTED`].
pub(crate) struct Many<'a, T> {
    pub(crate) what: &'static str,
    pub(crate) items: &'a [T],
    pub(crate) total: usize,
}

impl<'a, T> Many<'a, T> {
    pub(crate) fn all(what: &'static str, items: &'a [T]) -> Self {
        Self { what, items, total: items.len() }
    }
}

impl<T: fmt::Display> fmt::Display for Many<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ([item], 1) = (self.items, self.total) {
            return item.fmt(f);
        }
        write!(f, "{} {}", self.total, self.what)?;
        let listed = &self.items[..self.items.len().min(MAX_LISTED)];
        listed.iter().try_for_each(|item| write!(f, "\n- {item}"))?;
        match self.total - listed.len() {
            0 => Ok(()),
            more => write!(f, "\n- … and {more} more"),
        }
    }
}

/// One thing that is wrong with one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the row is.
    pub place: Place,
    /// The row's `instance_id`, when it has one.
    pub instance_id: Option<String>,
    /// Which of its fields; `None` for the row as a whole.
    pub field: Option<&'static str>,
    /// What is wrong, and what is expected.
    pub fault: Fault,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        if let Some(id) = &self.instance_id {
            write!(f, " ({id:?})")?;
        }
        f.write_str(": ")?;
        if let Some(field) = self.field {
            write!(f, "{field} ")?;
        }
        self.fault.fmt(f)
    }
}

/// Where a row is in its file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// The line, from 1.
    Line(usize),
    /// The element of a list, from 1.
    Element(usize),
    /// The value of a key.
    Key(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Element(number) => write!(f, "element {number}"),
            Self::Key(key) => write!(f, "key {key:?}"),
        }
    }
}

/// What is wrong with a row or a field of it. Never shows a value: it may be long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is no JSON.
    #[error("is not valid JSON: {0}")]
    Syntax(String),
    /// A field is not there.
    #[error("is missing (expected {expected})")]
    Missing {
        /// What it should be.
        expected: &'static str,
    },
    /// It is something else.
    #[error("should be {expected}, but is {found}")]
    Type {
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// It cannot be used as the name of a file or folder.
    #[error("{0}")]
    Name(#[from] crate::paths::BadName),
    /// An earlier row is about the same instance.
    #[error("is the same as in {first} (keep one of them)")]
    Duplicate {
        /// The earlier row.
        first: Place,
    },
    /// A row is stored under another id than its own.
    #[error("is not the key it is stored under (make them equal)")]
    OtherKey,
}

/// Which files may be objects whose values are rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyed {
    Allowed,
    Refused,
}

/// One row, or why it is none.
pub(crate) struct Row {
    place: Place,
    fields: Result<Map<String, Value>, Fault>,
}

impl Row {
    fn new(place: Place, value: Result<Value, Fault>) -> Self {
        let fields = value.and_then(|value| match value {
            Value::Object(fields) => Ok(fields),
            other => Err(wrong("a JSON object", &other)),
        });
        Self { place, fields }
    }

    /// Its fields, unless it is malformed.
    pub(crate) fn fields(&self) -> Option<&Map<String, Value>> {
        self.fields.as_ref().ok()
    }

    /// The row, to take its fields out; `None` when it is malformed, which is then among the `problems`.
    pub(crate) fn open(self, problems: &mut Problems) -> Option<Fields<'_>> {
        let Self { place, fields } = self;
        match fields {
            Ok(fields) => Some(Fields { place, instance_id: None, fields, problems }),
            Err(fault) => {
                problems.push(Problem { place, instance_id: None, field: None, fault });
                None
            }
        }
    }
}

/// The rows of the file at `path`: at least one.
pub(crate) fn read(path: &Path, keyed: Keyed) -> Result<Vec<Row>, RowsError> {
    let is = |extension| path.extension().is_some_and(|found| found == extension);
    if !is("jsonl") && !is("json") {
        return Err(RowsError::Format { path: path.to_owned() });
    }
    let bytes = std::fs::read(path).map_err(|source| RowsError::Read { path: path.to_owned(), source })?;
    let rows = if is("jsonl") { lines(&bytes) } else { document(&bytes, keyed) };
    if rows.is_empty() { Err(RowsError::Empty { path: path.to_owned() }) } else { Ok(rows) }
}

fn lines(bytes: &[u8]) -> Vec<Row> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let rows = lines.filter(|(_, line)| !line.trim_ascii().is_empty()).map(|(index, line)| {
        let value = serde_json::from_slice(line).map_err(|error| {
            // It counts lines too, but has seen only this one.
            let text = error.to_string();
            let what = text.rsplit_once(" at line ").map_or(&*text, |(what, _)| what);
            Fault::Syntax(format!("{what} at column {}", error.column()))
        });
        Row::new(Place::Line(index + 1), value)
    });
    rows.collect()
}

fn document(bytes: &[u8], keyed: Keyed) -> Vec<Row> {
    let whole = |line, fault| vec![Row { place: Place::Line(line), fields: Err(fault) }];
    match serde_json::from_slice(bytes) {
        Ok(Value::Array(elements)) => {
            let elements = elements.into_iter().enumerate();
            elements.map(|(index, value)| Row::new(Place::Element(index + 1), Ok(value))).collect()
        }
        Ok(Value::Object(entries)) if keyed == Keyed::Allowed => {
            entries.into_iter().map(|(key, value)| Row::new(Place::Key(key), Ok(value))).collect()
        }
        Ok(other) => {
            let expected = match keyed {
                Keyed::Allowed => "a list of JSON objects, or an object of them by instance_id",
                Keyed::Refused => "a list of JSON objects",
            };
            whole(1, wrong(expected, &other))
        }
        Err(error) => whole(error.line(), Fault::Syntax(error.to_string())),
    }
}

pub(crate) fn wrong(expected: &'static str, found: &Value) -> Fault {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "other text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Fault::Type { expected, found }
}

/// Takes the fields out of one row, and collects what is wrong with them.
pub(crate) struct Fields<'a> {
    place: Place,
    instance_id: Option<String>,
    fields: Map<String, Value>,
    problems: &'a mut Problems,
}

impl Fields<'_> {
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// Says what is wrong with a field of this row.
    pub(crate) fn problem(&mut self, field: &'static str, fault: Fault) {
        let (place, instance_id) = (self.place.clone(), self.instance_id.clone());
        self.problems.push(Problem { place, instance_id, field: Some(field), fault });
    }

    /// The id of the row's instance, fit to name a folder. Take it first: later problems then name it.
    pub(crate) fn instance_id(&mut self) -> Option<String> {
        let id = self.text("instance_id")?;
        match crate::paths::check_name(&id) {
            Ok(()) => {
                self.instance_id = Some(id.clone());
                Some(id)
            }
            Err(bad) => {
                self.problem("instance_id", bad.into());
                None
            }
        }
    }

    /// A text that must be there and not be empty.
    pub(crate) fn text(&mut self, field: &'static str) -> Option<String> {
        self.required(field, "text that is not empty", |value| match value {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => None,
        })
    }

    /// A text that may be missing or null, which is the same.
    pub(crate) fn optional_text(&mut self, field: &'static str) -> Option<String> {
        match self.fields.get(field) {
            None | Some(Value::Null) => None,
            Some(_) => self.required(field, "text or null", |value| match value {
                Value::String(text) => Some(text),
                _ => None,
            }),
        }
    }

    /// A field that must be there and be `expected`, which `convert` knows.
    pub(crate) fn required<T>(
        &mut self,
        field: &'static str,
        expected: &'static str,
        convert: impl FnOnce(Value) -> Option<T>,
    ) -> Option<T> {
        let Some(value) = self.fields.remove(field) else {
            self.problem(field, Fault::Missing { expected });
            return None;
        };
        let fault = wrong(expected, &value);
        let converted = convert(value);
        if converted.is_none() {
            self.problem(field, fault);
        }
        converted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of this name and content, read; what is wrong, as users see it.
    fn faults(name: &str, content: &[u8], keyed: Keyed) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let mut problems = Problems::default();
        match read(&path, keyed) {
            Ok(rows) => {
                let good = rows.into_iter().filter_map(|row| row.open(&mut problems).map(drop)).count();
                format!("{good} rows, {problems}")
            }
            Err(error) => error.to_string().replace(path.to_str().unwrap(), "FILE"),
        }
    }

    #[test]
    fn each_broken_line_is_named_and_the_others_are_read() {
        let content = b"{\"a\": 1}\r\n\n{\"a\": }\n[1]\n{\"b\": \"\xff\"}\n  \n{}";
        let expected = "2 rows, 3 problems in its rows\n\
                        - line 3: is not valid JSON: expected value at column 7\n\
                        - line 4: should be a JSON object, but is a list\n\
                        - line 5: is not valid JSON: invalid unicode code point at column 8";
        assert_eq!(faults("x.jsonl", content, Keyed::Refused), expected);
    }

    #[test]
    fn a_list_or_where_allowed_an_object_has_rows() {
        assert_eq!(
            faults("x.json", b"[{}, 1, {}]", Keyed::Refused),
            "2 rows, element 2: should be a JSON object, but is a number"
        );
        assert_eq!(
            faults("x.json", br#"{"a": {}, "b": null}"#, Keyed::Allowed),
            "1 rows, key \"b\": should be a JSON object, but is null"
        );
        assert_eq!(
            faults("x.json", b"{}", Keyed::Refused),
            "0 rows, line 1: should be a list of JSON objects, but is an object"
        );
        let broken = faults("x.json", b"[{},\n{},\n", Keyed::Refused);
        assert_eq!(broken, "0 rows, line 3: is not valid JSON: EOF while parsing a value at line 3 column 0");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_an_error_with_what_to_do() {
        assert_eq!(
            faults("x.jsonl", b"\n\n", Keyed::Refused),
            "FILE has no rows (expected at least one JSON object)"
        );
        assert_eq!(
            faults("x.json", b"[]", Keyed::Refused),
            "FILE has no rows (expected at least one JSON object)"
        );
        assert!(
            faults("x.parquet", b"", Keyed::Refused).starts_with("FILE is of no known format (use a .jsonl")
        );
        let missing = read(Path::new("/nowhere/x.json"), Keyed::Refused).err().unwrap();
        assert!(
            matches!(&missing, RowsError::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
        );
    }

    #[test]
    fn only_the_first_problems_are_listed() {
        let content = b"1\n".repeat(MAX_LISTED + 3);
        let text = faults("x.jsonl", &content, Keyed::Refused);
        assert!(text.starts_with("0 rows, 23 problems"), "{text}");
        assert!(
            text.ends_with("- line 20: should be a JSON object, but is a number\n- … and 3 more"),
            "{text}"
        );
    }
}
