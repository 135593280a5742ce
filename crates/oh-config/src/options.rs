//! `default.toml` as a list of documented options.

/// Every option with its built-in value and its comment.
pub(crate) const DEFAULT: &str = include_str!("../default.toml");

/// A section of `default.toml`; the first has no name.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) help: String,
    pub(crate) options: Vec<Documented>,
}

/// An option as `default.toml` documents it.
#[derive(Debug)]
pub(crate) struct Documented {
    pub(crate) section: &'static str,
    pub(crate) name: &'static str,
    /// As TOML.
    pub(crate) value: &'static str,
    /// Whether `value` holds when nobody sets the option; otherwise it is an example.
    pub(crate) fixed: bool,
    pub(crate) help: String,
}

impl Documented {
    /// Section and name.
    pub(crate) fn key(&self) -> String {
        if self.section.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.section, self.name) }
    }
}

/// Reads `default.toml` line by line: `# ` starts a comment, `#` alone an option with an example.
pub(crate) fn sections() -> Vec<Section> {
    let mut sections = vec![Section { name: "", help: String::new(), options: Vec::new() }];
    let mut help: Vec<&str> = Vec::new();
    for line in DEFAULT.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            help.push(comment);
            continue;
        }
        let text = std::mem::take(&mut help).join(" ");
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            sections.push(Section { name, help: text, options: Vec::new() });
        } else if let (Some(section), Some((name, value))) =
            (sections.last_mut(), line.trim_start_matches('#').split_once(" = "))
        {
            let fixed = !line.starts_with('#');
            section.options.push(Documented { section: section.name, name, value, fixed, help: text });
        }
    }
    sections
}

/// The options of all sections.
pub(crate) fn all() -> Vec<Documented> {
    sections().into_iter().flat_map(|section| section.options).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use figment::error::Kind;
    use figment::value::{Dict, Value};
    use serde::Deserialize;

    use super::*;
    use crate::environment::{Meaning, VARIABLES};
    use crate::model::Config;

    /// `default.toml` with every example as if it held.
    fn examples() -> Dict {
        let option =
            |line: &'static str| line.strip_prefix('#').filter(|line| !line.starts_with(' ')).unwrap_or(line);
        let lines: Vec<_> = DEFAULT.lines().map(option).collect();
        toml::from_str(&lines.join("\n")).unwrap()
    }

    /// What serde takes in `section`, from its answer to an option that cannot be.
    fn known(section: &str) -> Vec<&'static str> {
        let mut values = examples();
        let bad = Value::from(0);
        if section.is_empty() {
            values.insert("!".into(), bad);
        } else {
            let Some(Value::Dict(_, inner)) = values.get_mut(section) else {
                panic!("{section} is no table")
            };
            inner.insert("!".into(), bad);
        }
        match Config::deserialize(&Value::from(values)).unwrap_err().kind {
            Kind::UnknownField(_, known) => known.to_vec(),
            other => panic!("{section}: {other}"),
        }
    }

    #[test]
    fn every_option_is_documented_and_every_documented_option_exists() {
        let sections = sections();
        let mut top: BTreeSet<_> =
            sections.iter().map(|section| section.name).filter(|name| !name.is_empty()).collect();
        for section in &sections {
            let documented: BTreeSet<_> = section.options.iter().map(|option| option.name).collect();
            let expected: BTreeSet<_> = known(section.name).into_iter().collect();
            if section.name.is_empty() {
                top.extend(documented);
                assert_eq!(top, expected);
            } else {
                assert_eq!(documented, expected, "[{}]", section.name);
            }
            for option in &section.options {
                assert!(option.help.ends_with('.'), "{} has no help", option.key());
            }
        }
    }

    #[test]
    fn every_variable_sets_an_option_that_exists() {
        let keys: Vec<_> = all().iter().map(Documented::key).collect();
        for variable in VARIABLES {
            if let Meaning::Option(key) | Meaning::Flag(key) = variable.meaning {
                assert!(keys.iter().any(|known| known == key), "{} sets {key}", variable.name);
            }
        }
    }

    #[test]
    fn examples_are_values_the_options_take() {
        let config = Config::deserialize(&Value::from(examples())).unwrap();
        assert_eq!(config.owner, "nightly@ci");
    }
}
