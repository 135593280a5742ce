//! What is wrong with the configuration, in the user's words.

use std::fmt;

use serde::Serialize;

use crate::layers::Origin;

/// Everything that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// Sorted by key, so that the same mistakes are always told alike.
    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| (&a.key, &a.what).cmp(&(&b.key, &b.what)));
        problems.dedup();
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    key: String,
    value: Option<String>,
    what: String,
    did_you_mean: Option<String>,
    #[serde(serialize_with = "as_text")]
    origin: Origin,
}

fn as_text<S: serde::Serializer>(origin: &Origin, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(origin)
}

impl Problem {
    pub(crate) fn new(key: impl Into<String>, what: impl Into<String>, origin: Origin) -> Self {
        Self { key: key.into(), value: None, what: what.into(), did_you_mean: None, origin }
    }

    /// A whole file is wrong.
    pub(crate) fn of_file(origin: Origin, what: impl Into<String>) -> Self {
        Self::new("", what, origin)
    }

    /// With the value, as it is to be shown.
    pub(crate) fn valued(self, value: Option<String>) -> Self {
        Self { value, ..self }
    }

    /// With what was probably meant.
    pub(crate) fn meaning(self, did_you_mean: Option<String>) -> Self {
        Self { did_you_mean, ..self }
    }

    /// Found with this profile only.
    pub(crate) fn of_profile(self, profile: &str) -> Self {
        let key = if self.key.is_empty() { self.key } else { format!("profile.{profile}.{}", self.key) };
        Self { key, ..self }
    }

    /// The option, such as `docker.host`; empty when a whole file is wrong.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value, quoted as in TOML. `None` for a secret, for more than a single value, and where the key is wrong.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// What is wrong, and what is allowed.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The name or word that was probably meant.
    #[must_use]
    pub fn did_you_mean(&self) -> Option<&str> {
        self.did_you_mean.as_deref()
    }

    /// Where it stands.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, what, did_you_mean, origin } = self;
        if key.is_empty() {
            write!(f, "{origin}: {what}")?;
        } else {
            f.write_str(key)?;
            if let Some(value) = value {
                write!(f, " = {value}")?;
            }
            write!(f, ": {what}")?;
        }
        if let Some(meant) = did_you_mean {
            write!(f, "; did you mean {meant}?")?;
        }
        if key.is_empty() { Ok(()) } else { write!(f, " ({origin})") }
    }
}
