//! What holds, and why: for people who look at their configuration.

use std::fmt::{self, Write as _};
use std::path::PathBuf;

use figment::value::{Dict, Value};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use crate::environment::file_variables;
use crate::error::{ConfigError, Problem};
use crate::kind::{Kind, number_text};
use crate::layers::{Origin, value_in};
use crate::load::Loaded;
use crate::model::Config;
use crate::near::nearest;
use crate::options;
use crate::table::{SETTINGS, Setting, names, sections};

const HIDDEN: &str = "(hidden)";

/// A configuration, right or wrong, with where everything in it came from.
#[derive(Debug)]
pub struct Inspection(Loaded);

/// What there is to say about an option.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The option.
    pub key: String,
    /// What it means.
    pub help: String,
    /// What it may be, in words.
    pub kind: String,
    /// The value that holds; `null` when there is none. Secrets are hidden.
    pub value: Json,
    /// Where that stands, in words; `None` when there is no value.
    pub origin: Option<String>,
    /// The environment variables that set it.
    pub variables: Vec<String>,
    /// Every place that has a value for it, the one that wins first.
    pub places: Vec<Place>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// A place that has a value for an option.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Place {
    /// Where, in words.
    pub origin: String,
    /// The profile it is part of.
    pub profile: Option<String>,
    /// The value there. Secrets are hidden.
    pub value: Json,
    /// The same as TOML.
    #[serde(skip)]
    text: String,
}

impl Inspection {
    pub(crate) fn new(loaded: Loaded) -> Self {
        Self(loaded)
    }

    /// The configuration itself.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn config(&self) -> Result<Config, ConfigError> {
        self.0.config()
    }

    /// The files that were read, the one that wins last.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.0.files
    }

    /// What is no error, and probably a mistake all the same.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }

    /// Every option that has a value, as TOML, with its origin behind it. Secrets are hidden.
    #[must_use]
    pub fn toml(&self) -> String {
        let values = self.0.values();
        let mut page = match &self.0.profile {
            Some(profile) => format!("# Profile {profile}\n"),
            None => String::new(),
        };
        let mut section = "";
        for setting in SETTINGS {
            let Some(value) = value_in(&values, setting) else { continue };
            let (of, name) = setting.parts();
            if of != section {
                section = of;
                let _ = write!(page, "\n[{section}]\n");
            }
            let mut line = |name: &str, value: &Value, key: &str| {
                let text = toml_of(value, setting.kind.is_secret());
                let _ = writeln!(page, "{name} = {text}  # {}", self.0.origin(value, key));
            };
            match (setting.kind, value) {
                // Each entry may come from another place.
                (Kind::Map(..), Value::Dict(_, entries)) if !entries.is_empty() => {
                    for (entry, value) in entries {
                        let key = format!("{}.{entry}", setting.key);
                        line(&format!("{name}.{}", toml_key(entry)), value, &key);
                    }
                }
                _ => line(name, value, setting.key),
            }
        }
        page
    }

    /// The same for programs: `{"docker.pull": {"value": …, "origin": …}}`.
    #[must_use]
    pub fn json(&self) -> Json {
        let values = self.0.values();
        let entry = |setting: &Setting| {
            let value = value_in(&values, setting)?;
            let origin = self.0.origin(value, setting.key).to_string();
            Some((
                setting.key.to_owned(),
                json!({ "value": json_of(value, setting.kind.is_secret()), "origin": origin }),
            ))
        };
        let options: Map<String, Json> = SETTINGS.iter().filter_map(entry).collect();
        json!({ "profile": self.0.profile, "options": options })
    }

    /// Everything about one option, by its key or by a variable that sets it.
    ///
    /// # Errors
    /// When there is no such option: what was probably meant, in words.
    pub fn explain(&self, name: &str) -> Result<Explanation, String> {
        let setting = find(name)?;
        let secret = setting.kind.is_secret();
        let values = self.0.values();
        let value = value_in(&values, setting);
        let mut places: Vec<Place> = Vec::new();
        for layer in self.0.layers.iter().rev() {
            let Some(value) = layer.value(setting) else { continue };
            places.push(Place {
                origin: layer.origin(setting.key).to_string(),
                profile: layer.profile.clone(),
                value: json_of(value, secret),
                text: toml_of(value, secret),
            });
        }
        let problems = match self.0.config() {
            Ok(_) => Vec::new(),
            Err(error) => {
                let about = |problem: &&Problem| {
                    problem.key().starts_with(setting.key) || problem.did_you_mean() == Some(setting.key)
                };
                error.problems().iter().filter(about).cloned().collect()
            }
        };
        let files = file_variables().filter(|(of, _)| of.key == setting.key).map(|(_, name)| name);
        Ok(Explanation {
            key: setting.key.to_owned(),
            help: options::help(setting.key),
            kind: setting.kind.name(),
            value: value.map_or(Json::Null, |value| json_of(value, secret)),
            origin: value.map(|value| self.origin_of(value, setting.key)),
            variables: setting.variables.iter().map(|name| (*name).to_owned()).chain(files).collect(),
            places,
            problems,
        })
    }

    /// Tables are merged, so they can have more than one.
    fn origin_of(&self, value: &Value, key: &str) -> String {
        let Value::Dict(_, entries) = value else { return self.0.origin(value, key).to_string() };
        let mut all: Vec<Origin> =
            entries.iter().map(|(name, entry)| self.0.origin(entry, &format!("{key}.{name}"))).collect();
        all.dedup();
        if all.is_empty() {
            return self.0.origin(value, key).to_string();
        }
        all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.places.first() {
            Some(place) if self.places.len() == 1 || !self.value.is_object() => {
                writeln!(f, "{} = {}", self.key, place.text)?
            }
            Some(_) => writeln!(f, "{} = {}", self.key, self.value)?,
            None => writeln!(f, "{} is not set", self.key)?,
        }
        if let Some(origin) = &self.origin {
            writeln!(f, "  from {origin}")?;
        }
        for problem in &self.problems {
            writeln!(f, "  wrong: {problem}")?;
        }
        writeln!(f, "\n{}", self.help)?;
        writeln!(f, "\nit is:      {}", self.kind)?;
        writeln!(f, "variables:  {}", self.variables.join(", "))?;
        writeln!(f, "in a file:  {}", in_file(&self.key))?;
        if self.places.len() > 1 {
            writeln!(
                f,
                "\nset in, the first wins{}:",
                if self.value.is_object() { " for each entry" } else { "" }
            )?;
            for place in &self.places {
                let profile =
                    place.profile.as_ref().map(|name| format!(", profile {name}")).unwrap_or_default();
                writeln!(f, "  {}  ({}{profile})", place.text, place.origin)?;
            }
        }
        Ok(())
    }
}

/// How an option is written in a file.
fn in_file(key: &str) -> String {
    match key.split_once('.') {
        Some((section, name)) => format!("{name} = … below [{section}]"),
        None => format!("{key} = … above all sections"),
    }
}

/// The option of a key, of an entry in its table, or of a variable.
fn find(name: &str) -> Result<&'static Setting, String> {
    let entry = |setting: &&Setting| {
        matches!(setting.kind, Kind::Map(..))
            && name.strip_prefix(setting.key).is_some_and(|rest| rest.starts_with('.'))
    };
    let variable = |setting: &&Setting| setting.variables.contains(&name);
    let found =
        Setting::of(name).or_else(|| SETTINGS.iter().find(entry)).or_else(|| SETTINGS.iter().find(variable));
    let found = found.or_else(|| file_variables().find(|(_, file)| file == name).map(|(setting, _)| setting));
    found.ok_or_else(|| {
        if sections().contains(&name) {
            let keys: Vec<_> = names(name).into_iter().map(|option| format!("{name}.{option}")).collect();
            return format!("{name} is a section, its options are {}", keys.join(", "));
        }
        let elsewhere =
            || SETTINGS.iter().find(|setting| setting.parts().1 == name).map(|setting| setting.key);
        let variables = SETTINGS.iter().flat_map(|setting| setting.variables.iter().copied());
        let known = SETTINGS.iter().map(|setting| setting.key).chain(variables);
        match nearest(name, known).or_else(elsewhere) {
            Some(meant) => format!("there is no option {name}, did you mean {meant}?"),
            None => format!("there is no option {name}, `oh config show` shows all that have a value"),
        }
    })
}

fn json_of(value: &Value, hidden: bool) -> Json {
    match value {
        Value::Dict(_, entries) => entries
            .iter()
            .map(|(name, entry)| (name.clone(), json_of(entry, hidden)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(_, items) => items.iter().map(|item| json_of(item, hidden)).collect::<Vec<_>>().into(),
        _ if hidden => HIDDEN.into(),
        Value::String(_, text) => text.as_str().into(),
        Value::Bool(_, flag) => (*flag).into(),
        Value::Num(_, number) => match number.to_i128().and_then(|whole| i64::try_from(whole).ok()) {
            Some(whole) => whole.into(),
            None => number.to_f64().into(),
        },
        _ => Json::Null,
    }
}

fn toml_of(value: &Value, hidden: bool) -> String {
    match value {
        Value::Dict(_, entries) if entries.is_empty() => "{}".to_owned(),
        Value::Dict(_, entries) => format!("{{ {} }}", toml_entries(entries, hidden)),
        Value::Array(_, items) => {
            format!("[{}]", items.iter().map(|item| toml_of(item, hidden)).collect::<Vec<_>>().join(", "))
        }
        _ if hidden => toml_text(HIDDEN),
        Value::String(_, text) => toml_text(text),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => number_text(*number),
        _ => String::new(),
    }
}

fn toml_entries(entries: &Dict, hidden: bool) -> String {
    let entries =
        entries.iter().map(|(name, value)| format!("{} = {}", toml_key(name), toml_of(value, hidden)));
    entries.collect::<Vec<_>>().join(", ")
}

/// JSON's escapes are TOML's too.
fn toml_text(text: &str) -> String {
    Json::from(text).to_string()
}

fn toml_key(name: &str) -> String {
    let bare =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if bare { name.to_owned() } else { toml_text(name) }
}
