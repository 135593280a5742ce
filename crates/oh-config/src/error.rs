//! What is wrong with the configuration, in the user's words.

use std::fmt;

use figment::error::{Actual, Error, Kind};

use crate::layers::Origin;
use crate::options;

/// Everything that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// One by one; there is at least one.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl std::error::Error for ConfigError {}

/// One line for one problem, a list for more.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [problem] = &*self.problems {
            return problem.fmt(f);
        }
        write!(f, "{} problems", self.problems.len())?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n- {problem}"))
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    key: String,
    what: String,
    origin: Origin,
}

impl Problem {
    pub(crate) fn new(key: impl Into<String>, what: impl Into<String>, origin: Origin) -> Self {
        Self { key: key.into(), what: what.into(), origin }
    }

    /// figment's error about the value at its path, which came from `origin`.
    pub(crate) fn of(error: &Error, origin: Origin) -> Self {
        Self { key: key(&error.path), what: what(error), origin }
    }

    /// The option, such as `docker.host`; empty when a whole file is wrong.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where it stands.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, what, origin } = self;
        if key.is_empty() { write!(f, "{origin}: {what}") } else { write!(f, "{key}: {what} ({origin})") }
    }
}

/// `sandbox.mounts[0].source`
fn key(path: &[String]) -> String {
    path.iter().fold(String::new(), |key, part| match part.parse::<usize>() {
        Ok(index) => format!("{key}[{index}]"),
        Err(_) if key.is_empty() => part.clone(),
        Err(_) => format!("{key}.{part}"),
    })
}

/// Never shows a value but those that our own types quote: it may be a secret.
fn what(error: &Error) -> String {
    match &error.kind {
        Kind::Message(text) => text.clone(),
        Kind::UnknownField(field, known) => {
            let section = error.path.split_last().map(|(_, section)| key(section)).unwrap_or_default();
            unknown(field, &section, known)
        }
        Kind::MissingField(field) => format!("{field:?} is missing"),
        Kind::InvalidType(found, expected) => format!("expected {}, found {}", wanted(expected), kind(found)),
        Kind::InvalidValue(_, expected) => format!("expected {}", wanted(expected)),
        other => other.to_string(),
    }
}

/// What serde expects, as users know it.
fn wanted(expected: &str) -> &str {
    match expected {
        "a string" | "path string" => "text",
        "a boolean" => "true or false",
        "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "a table",
        "u32" | "a nonzero u32" => "a whole number from 1 to 4294967295",
        "usize" | "a nonzero usize" => "a whole number of 1 or more",
        own if own.starts_with("struct ") => "a table",
        own => own,
    }
}

/// What was found, without its value.
pub(crate) fn kind(found: &Actual) -> &'static str {
    match found {
        Actual::Bool(_) => "true or false",
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) => "a number",
        Actual::Str(_) | Actual::Char(_) => "text",
        Actual::Seq => "a list",
        Actual::Map => "a table",
        _ => "something else",
    }
}

/// Names the option that was probably meant: one of the same section that is spelled alike, or one of this name in
/// another section.
fn unknown(field: &str, section: &str, known: &[&str]) -> String {
    let alike = known
        .iter()
        .map(|candidate| (strsim::osa_distance(field, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().div_ceil(3))
        .min();
    let elsewhere =
        || options::all().into_iter().find(|option| option.name == field).map(|option| option.key());
    let meant = match alike {
        Some((_, name)) if section.is_empty() => Some((*name).to_owned()),
        Some((_, name)) => Some(format!("{section}.{name}")),
        None => elsewhere(),
    };
    match meant {
        Some(meant) => format!("unknown option, did you mean {meant}?"),
        None => format!("unknown option, there are {}", known.join(", ")),
    }
}
