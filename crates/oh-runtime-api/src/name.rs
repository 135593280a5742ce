//! Names of sandboxes and runs.

use std::fmt;

use sha2::{Digest, Sha256};

/// Shortest sandbox name: Docker takes no shorter one.
const MIN_NAME: usize = 2;
/// Longest sandbox name: a DNS-1123 label, the strictest rule of any backend (a Kubernetes Pod's host name).
const MAX_NAME: usize = 63;
/// Hex digits of the hash that keeps shortened or rewritten names apart.
const HASH_DIGITS: usize = 10;
/// Longest run id: it is a Kubernetes label value and a folder name.
const MAX_RUN_ID: usize = 63;

/// A name that cannot be used, with the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} {value:?}: {rule}")]
pub struct InvalidName {
    what: &'static str,
    value: String,
    rule: &'static str,
}

/// The name of one sandbox: a DNS-1123 label of 2 to 63 characters, unique on its backend.
///
/// Creating the same name twice is one sandbox, so whoever wants another one needs another name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SandboxName(String);

impl SandboxName {
    /// Takes a name as it is.
    ///
    /// # Errors
    /// When it is no DNS-1123 label.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        let rule = if !(MIN_NAME..=MAX_NAME).contains(&name.len()) {
            "use 2 to 63 characters"
        } else if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            "use only a-z, 0-9 and '-'"
        } else if name.starts_with('-') || name.ends_with('-') {
            "start and end with a letter or a digit"
        } else {
            return Ok(Self(name));
        };
        Err(InvalidName { what: "sandbox name", value: name, rule })
    }

    /// The name for one instance of a run: the same for the same pair, different for different pairs, whatever
    /// characters and length they have.
    #[must_use]
    pub fn derive(run: &RunId, instance: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(run.as_str());
        hash.update([0]);
        hash.update(instance);
        let digest: String =
            hash.finalize().iter().flat_map(|b| [b >> 4, b & 15]).take(HASH_DIGITS).map(hex_digit).collect();
        let readable: String = instance
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        let room = MAX_NAME - "oh--".len() - HASH_DIGITS;
        // The end of an instance id tells more than its beginning: `astropy__astropy-12907`.
        let tail = &readable[readable.len().saturating_sub(room)..];
        let tail = tail.trim_matches('-');
        if tail.is_empty() { Self(format!("oh-{digest}")) } else { Self(format!("oh-{tail}-{digest}")) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0')
}

impl fmt::Display for SandboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of one run of many instances: a label on everything the run makes, and the name of its log folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(String);

impl RunId {
    /// Takes an id as it is.
    ///
    /// # Errors
    /// When it cannot be a Kubernetes label value, which is also safe as a folder name.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidName> {
        let id = id.into();
        let alphanumeric = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let rule = if id.is_empty() || id.len() > MAX_RUN_ID {
            "use 1 to 63 characters"
        } else if !id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
            "use only letters, digits, '-', '_' and '.'"
        } else if !alphanumeric(id.chars().next()) || !alphanumeric(id.chars().last()) {
            "start and end with a letter or a digit"
        } else {
            return Ok(Self(id));
        };
        Err(InvalidName { what: "run id", value: id, rule })
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_names_are_valid_stable_and_distinct() {
        let run = RunId::new("nightly-1").unwrap();
        let ids = ["astropy__astropy-12907", "ASTROPY__astropy-12907", "a/b", "a_b", "", "--", "日本語", "é"];
        let long = "x".repeat(300);
        let mut seen = std::collections::BTreeSet::new();
        for id in ids.iter().copied().chain([long.as_str()]) {
            let name = SandboxName::derive(&run, id);
            SandboxName::new(name.as_str()).unwrap_or_else(|e| panic!("{id:?}: {e}"));
            assert_eq!(name, SandboxName::derive(&run, id));
            assert!(seen.insert(name), "{id:?} collides");
        }
        let other = RunId::new("nightly-2").unwrap();
        assert_ne!(SandboxName::derive(&run, "a"), SandboxName::derive(&other, "a"));
    }

    #[test]
    fn bad_names_say_which_rule_they_break() {
        for (name, rule) in [
            ("", "2 to 63"),
            ("a", "2 to 63"),
            ("Ab", "only a-z"),
            ("-a", "start and end"),
            ("a-", "start and end"),
            ("a.b", "only a-z"),
        ] {
            let error = SandboxName::new(name).unwrap_err().to_string();
            assert!(error.contains(rule), "{error}");
        }
        assert!(SandboxName::new("a".repeat(64)).is_err());
        assert!(RunId::new("../x").is_err());
        assert!(RunId::new("ok_1.2-3").is_ok());
    }
}
