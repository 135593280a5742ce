//! Variables for the shells of a sandbox.

use std::collections::BTreeMap;

use oh_runtime::{Error, ErrorKind, Result};

/// Names in capitals, as OpenHands writes them.
///
/// # Errors
/// [`Config`](ErrorKind::Config) for a name no shell takes.
pub(crate) fn in_capitals(env: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let plain = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if let Some(name) = env.keys().find(|name| !plain(name)) {
        let what = format!("{name:?} is no name of a variable");
        return Err(Error::new(ErrorKind::Config, "add environment variables", what));
    }
    Ok(env.iter().map(|(name, value)| (name.to_ascii_uppercase(), value.clone())).collect())
}

/// A script that sets variables in the shell that reads it, and in those to come.
pub(crate) fn script(env: &BTreeMap<String, String>) -> String {
    let mut script = String::new();
    for (name, value) in env {
        let line = quoted(&format!("export {name}={}", quoted(value)));
        script += &format!(
            "export {name}={}\ngrep -q '^export {name}=' ~/.bashrc 2>/dev/null || printf '%s\\n' {line} >>~/.bashrc\n",
            quoted(value)
        );
    }
    script
}

/// `text` as one word of a shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_value_whatever_it_holds() {
        let env = BTreeMap::from([("a".to_owned(), "it's $HOME `x`\n\"y\"".to_owned())]);
        let env = in_capitals(&env).unwrap();
        assert!(script(&env).starts_with("export A='it'\\''s $HOME `x`\n\"y\"'\n"));
        for name in ["1a", "a-b", "", "a b", "a=b", "a;b"] {
            assert!(in_capitals(&BTreeMap::from([(name.to_owned(), String::new())])).is_err(), "{name}");
        }
    }
}
