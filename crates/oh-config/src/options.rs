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

/// What an option means; empty when there is none.
pub(crate) fn help(key: &str) -> String {
    let all = sections().into_iter().flat_map(|section| section.options);
    all.into_iter().find(|option| option.key() == key).map(|option| option.help).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use figment::value::Value;

    use super::*;
    use crate::file::parse_toml;
    use crate::layers::value_in;
    use crate::table::{SETTINGS, Setting};

    #[test]
    fn every_option_is_documented_in_the_order_of_the_table() {
        let documented: Vec<_> =
            sections().iter().flat_map(|section| &section.options).map(Documented::key).collect();
        let known: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
        assert_eq!(documented, known);
        for option in sections().iter().flat_map(|section| &section.options) {
            assert!(option.help.ends_with('.'), "{} has no help", option.key());
        }
    }

    #[test]
    fn built_in_values_and_examples_are_values_the_options_take() {
        // Every example as if it held.
        let option =
            |line: &'static str| line.strip_prefix('#').filter(|line| !line.starts_with(' ')).unwrap_or(line);
        let lines: Vec<_> = DEFAULT.lines().map(option).collect();
        let values = parse_toml(&lines.join("\n")).unwrap().values;
        for setting in SETTINGS {
            let value =
                value_in(&values, setting).unwrap_or_else(|| panic!("{} has no example", setting.key));
            if crate::secret::file_of(value).is_none() {
                assert_eq!(setting.kind.check(value), [], "{}", setting.key);
            }
        }
    }

    #[test]
    fn wrong_values_are_found_whatever_the_kind() {
        for setting in SETTINGS {
            // None of them takes a list of a list.
            let bad: Value = vec![Value::from(vec![0_i64])].into();
            assert_ne!(Setting::of(setting.key).unwrap().kind.check(&bad), [], "{}", setting.key);
        }
    }
}
