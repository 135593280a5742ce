//! Where values come from. Every file, every profile, every variable and every option of the command line is a figment
//! provider of its own, so figment remembers for each value which one of them it was.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;

use figment::error::Error;
use figment::util::nest;
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use crate::builder::{Given, Override};
use crate::environment::{DOCKER_FLAG, Environment, FILE_SUFFIX};
use crate::error::{ConfigError, Problem};
use crate::file::{Lines, parse_toml};
use crate::options::DEFAULT;
use crate::secret;
use crate::table::{SETTINGS, Setting};
use crate::text::{self, Between};

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// In this file, where known on this line.
    File {
        /// Absolute.
        path: PathBuf,
        /// From 1.
        line: Option<usize>,
    },
    /// In this environment variable.
    Environment(String),
    /// This option of the command line.
    CommandLine(String),
    /// The embedding program, by a method of [`ConfigBuilder`](crate::ConfigBuilder).
    Program,
}

impl Origin {
    pub(crate) fn file(path: impl Into<PathBuf>) -> Self {
        Self::File { path: path.into(), line: None }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built-in value"),
            Self::File { path, line: None } => path.display().fmt(f),
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::CommandLine(option) => write!(f, "option {option}"),
            Self::Program => f.write_str("the program"),
        }
    }
}

/// The values of one place.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// Its place among all, from the lowest: how figment's metadata names it.
    pub(crate) number: usize,
    /// Without a line.
    origin: Origin,
    /// The profile it is part of.
    pub(crate) profile: Option<String>,
    pub(crate) values: Dict,
    lines: Lines,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.number.to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

impl Layer {
    pub(crate) fn new(origin: Origin, values: Dict) -> Self {
        Self { number: 0, origin, profile: None, values, lines: Lines::default() }
    }

    pub(crate) fn with_lines(self, lines: Lines) -> Self {
        Self { lines, ..self }
    }

    fn single(origin: Origin, key: &str, value: Value) -> Self {
        Self::new(origin, nest(key, value).into_dict().unwrap_or_default())
    }

    /// Where the value of `key` stands in it.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        match &self.origin {
            Origin::File { path, .. } => Origin::File { path: path.clone(), line: self.lines.of(key) },
            other => other.clone(),
        }
    }

    /// Its value of an option.
    pub(crate) fn value(&self, setting: &Setting) -> Option<&Value> {
        value_in(&self.values, setting)
    }
}

/// The value of an option in a table of all.
pub(crate) fn value_in<'v>(values: &'v Dict, setting: &Setting) -> Option<&'v Value> {
    match setting.parts() {
        ("", name) => values.get(name),
        (section, name) => match values.get(section)? {
            Value::Dict(_, inner) => inner.get(name),
            _ => None,
        },
    }
}

/// As [`value_in`], to change it.
pub(crate) fn section_of<'v>(values: &'v mut Dict, setting: &Setting) -> Option<&'v mut Dict> {
    match setting.parts() {
        ("", _) => Some(values),
        (section, _) => match values.get_mut(section)? {
            Value::Dict(_, inner) => Some(inner),
            _ => None,
        },
    }
}

/// The built-in values: those of `default.toml`, and those that depend on user and machine.
pub(crate) fn defaults(environment: &Environment) -> Result<Vec<Layer>, ConfigError> {
    let fixed = parse_toml(DEFAULT)
        .map_err(|error| ConfigError::new(vec![Problem::of_file(Origin::Default, error.what)]))?;
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let computed = [
        ("owner", Some(format!("{}@{}", environment.user, environment.host))),
        ("docker.cert_path", environment.home_dir().map(|home| text(home.join(".docker")))),
        ("local.state_dir", Some(text(environment.state_dir()))),
        ("local.image_dir", Some(text(environment.image_dir()))),
    ];
    let computed = computed
        .into_iter()
        .filter_map(|(key, value)| Some(Layer::single(Origin::Default, key, value?.into())));
    Ok(std::iter::once(Layer::new(Origin::Default, fixed.values)).chain(computed).collect())
}

/// The variables that set options, each a layer.
pub(crate) fn environment(environment: &Environment, problems: &mut Vec<Problem>) -> Vec<Layer> {
    let mut layers = Vec::new();
    for setting in SETTINGS {
        // The first name wins, so it comes last.
        for name in setting.variables.iter().rev() {
            let file = format!("{name}{FILE_SUFFIX}");
            let from_file = environment.get(&file).filter(|_| setting.kind.is_secret());
            let value = match (environment.get(name), from_file) {
                (None, None) => continue,
                (Some(_), Some(_)) => Err((file, format!("{name} is set, too: keep one of the two"))),
                (Some(value), None) => {
                    from_variable(setting, name, value).map_err(|what| ((*name).to_owned(), what))
                }
                (None, Some(path)) => secret::read(&environment.current_dir.join(path))
                    .and_then(|text| text::read(&text, setting.kind, Between::Lines))
                    .map_err(|what| (file, what)),
            };
            match value {
                Ok(value) => {
                    let used =
                        if from_file.is_some() { format!("{name}{FILE_SUFFIX}") } else { (*name).to_owned() };
                    layers.push(Layer::single(Origin::Environment(used), setting.key, value));
                }
                Err((name, what)) => {
                    problems.push(Problem::new(setting.key, what, Origin::Environment(name)))
                }
            }
        }
    }
    layers
}

fn from_variable(setting: &Setting, name: &str, value: &OsStr) -> Result<Value, String> {
    if name == DOCKER_FLAG {
        return Ok(true.into());
    }
    let text = value.to_str().ok_or("is not valid UTF-8")?;
    text::read(text, setting.kind, Between::Commas)
}

/// What the command line and the program set, each a layer.
pub(crate) fn overrides(values: Vec<Override>, problems: &mut Vec<Problem>) -> Vec<Layer> {
    let layer = |Override { key, origin, value }| {
        let value = match (value, Setting::of(&key)) {
            (Given::Value(value), _) => Ok(value),
            (Given::Text(text), Some(setting)) => text::read(&text, setting.kind, Between::Commas),
            (Given::Text(text), None) => Ok(text.into()),
        };
        match value {
            Ok(value) => Some(Layer::single(origin, &key, value)),
            Err(what) => {
                problems.push(Problem::new(key, what, origin));
                None
            }
        }
    };
    values.into_iter().filter_map(layer).collect()
}
