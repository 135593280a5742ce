//! Text nobody may see, and the files it may come from.

use std::fmt;
use std::io::Read;
use std::path::Path;

use figment::value::Value;
use serde::Deserialize;

/// Most bytes of a file with a secret.
const MOST: u64 = 1 << 20;

/// Text that is never shown: neither [`Debug`](fmt::Debug) nor any command prints it.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being shown.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whom it is meant.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// The file of `{ file = "PATH" }`.
pub(crate) fn file_of(value: &Value) -> Option<&str> {
    match value {
        Value::Dict(_, fields) if fields.len() == 1 => fields.get("file")?.as_str(),
        _ => None,
    }
}

/// What the file holds, without the end of its last line.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let wrong = |what: &dyn fmt::Display| format!("the file {} {what}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_string(&mut text));
    match file {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(wrong(&"is not UTF-8")),
        Err(error) => Err(wrong(&format_args!("cannot be read: {error}"))),
        Ok(read) if read as u64 > MOST => Err(wrong(&"is larger than 1 MiB")),
        Ok(_) => {
            let end = text.trim_end_matches(['\r', '\n']).len();
            text.truncate(end);
            Ok(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new("s3cret");
        assert_eq!(secret.expose(), "s3cret");
        assert_eq!(format!("{secret:?} {:#?}", Some(&secret)), "(hidden) Some(\n    (hidden),\n)");
    }

    #[test]
    fn files_are_read_without_their_last_end_of_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "a\nb\r\n").unwrap();
        assert_eq!(read(&path).unwrap(), "a\nb");
        std::fs::write(&path, b"\xff").unwrap();
        assert!(read(&path).unwrap_err().ends_with("is not UTF-8"));
        assert!(read(&folder.path().join("none")).unwrap_err().contains("cannot be read"));
        std::fs::write(&path, vec![b'a'; (1 << 20) + 1]).unwrap();
        assert!(read(&path).unwrap_err().ends_with("is larger than 1 MiB"));
    }
}
