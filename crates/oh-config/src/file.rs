//! Files in TOML and YAML as values that know their lines.

use std::collections::BTreeMap;
use std::path::Path;

use figment::value::{Dict, Value};

mod toml;
mod yaml;

/// The values of a file, and the line of each key, such as `sandbox.mounts[0].source`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) values: Dict,
    pub(crate) lines: Lines,
}

/// What is wrong with a whole file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) line: Option<usize>,
    /// Shows the place and not the text there, which may be a secret.
    pub(crate) what: String,
}

/// Where keys stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lines(BTreeMap<String, usize>);

impl Lines {
    pub(crate) fn insert(&mut self, key: String, line: usize) {
        self.0.entry(key).or_insert(line);
    }

    /// The line of `key`, or of the innermost thing around it that has one.
    pub(crate) fn of(&self, key: &str) -> Option<usize> {
        let mut key = key;
        loop {
            if let Some(line) = self.0.get(key) {
                return Some(*line);
            }
            key = &key[..key.rfind(['.', '['])?];
        }
    }

    /// Those below `table`, with their keys from there.
    pub(crate) fn below(&self, table: &str) -> Self {
        let inner = self
            .0
            .iter()
            .filter_map(|(key, line)| Some((key.strip_prefix(table)?.strip_prefix('.')?.to_owned(), *line)));
        Self(inner.collect())
    }
}

/// The values of `text`; the name of the file says whether it is YAML. Everything else is TOML.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Parsed, Unreadable> {
    let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    if yaml { yaml::parse(text) } else { toml::parse(text) }
}

/// The values of TOML text.
pub(crate) fn parse_toml(text: &str) -> Result<Parsed, Unreadable> {
    toml::parse(text)
}

/// A single value of YAML text.
pub(crate) fn parse_yaml_value(text: &str) -> Result<Value, Unreadable> {
    yaml::parse_value(text)
}

/// The key of `name` in the table `table`.
pub(crate) fn join(table: &str, name: &str) -> String {
    if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOML: &str = "owner = 'a'\n\n[sandbox]\nenv = { A = '1',\n  B = '2' }\n[[sandbox.mounts]]\nsource = '/a'\n[k8s]\nnode_selector.\"x.io/y\" = 'z'\n";
    const YAML: &str = "owner: a\n\nsandbox:\n  env: {A: '1',\n    B: '2'}\n  mounts:\n  - source: /a\nk8s:\n  node_selector:\n    x.io/y: z\n";

    #[test]
    fn both_languages_say_the_same() {
        let toml = parse(Path::new("oh.toml"), TOML).unwrap();
        let yaml = parse(Path::new("oh.yaml"), YAML).unwrap();
        assert_eq!(toml.values, yaml.values);
        for (key, in_toml, in_yaml) in [
            ("owner", 1, 1),
            ("sandbox", 3, 3),
            ("sandbox.env.A", 4, 4),
            ("sandbox.env.B", 5, 5),
            ("sandbox.mounts[0].source", 7, 7),
            ("sandbox.mounts[0].target", 6, 7),
            ("k8s.node_selector.x.io/y", 9, 10),
        ] {
            assert_eq!(toml.lines.of(key), Some(in_toml), "{key} in TOML");
            assert_eq!(yaml.lines.of(key), Some(in_yaml), "{key} in YAML");
        }
        assert_eq!(toml.lines.of("nothing"), None);
        assert_eq!(toml.lines.below("sandbox").of("env.B"), Some(5));
    }

    #[test]
    fn types_are_what_is_written() {
        let toml = parse_toml("a = 1.30\nb = '1.30'\nc = 0x10\nd = true\ne = 1e3").unwrap().values;
        let yaml = parse(Path::new("x.yml"), "a: 1.30\nb: '1.30'\nc: 0x10\nd: true\ne: 1e3").unwrap().values;
        assert_eq!(toml, yaml);
        assert_eq!(toml["b"], Value::from("1.30"));
        assert_eq!(toml["c"], Value::from(16_i64));
    }

    #[test]
    fn yaml_has_nothing_and_no_words_for_true() {
        let yaml = |text| parse(Path::new("x.yaml"), text).unwrap().values;
        assert_eq!(yaml("a:\nb: yes\n")["b"], Value::from("yes"));
        assert!(!yaml("a:\nb: yes\n").contains_key("a"));
        assert!(yaml("").is_empty() && yaml("# nothing\n").is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_located_and_not_quoted() {
        for (path, text, line) in [
            ("a.toml", "a = 1\nb = s3cret", 2),
            ("a.toml", "a = 's3cret", 1),
            ("a.toml", "a = 's3cret'\na = 's3cret'", 2),
            ("a.yaml", "a: 1\nb: [s3cret", 2),
            ("a.yaml", "a: s3cret\na: s3cret", 2),
            ("a.yaml", "a: *s3cret", 1),
            ("a.yaml", "- s3cret", 1),
            ("a.yaml", "s3cret", 1),
        ] {
            let error = parse(Path::new(path), text).unwrap_err();
            assert!(!error.what.contains("s3cret") && !error.what.contains('\n'), "{text}: {}", error.what);
            assert!(error.line.is_some_and(|found| found >= line), "{text}: {error:?}");
        }
    }
}
