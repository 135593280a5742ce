//! Where values come from. Every file, every variable and every option of the command line is a figment provider of its
//! own, so figment remembers for each value which one of them it was.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use figment::error::Error;
use figment::util::nest;
use figment::value::{Dict, Map, Num, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};

use crate::environment::{Environment, Meaning, VARIABLES};
use crate::error::Problem;
use crate::options::DEFAULT;

const FILE: &str = "file";
const ENVIRONMENT: &str = "environment variable";
const COMMAND_LINE: &str = "command line";

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// In this file.
    File(PathBuf),
    /// In this environment variable.
    Environment(String),
    /// This option of the command line.
    CommandLine(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built-in value"),
            Self::File(path) => path.display().fmt(f),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::CommandLine(option) => write!(f, "option {option}"),
        }
    }
}

impl Origin {
    /// What [`Layer::metadata`] said.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        match (&*metadata.name, &metadata.source) {
            (FILE, Some(Source::File(path))) => Self::File(path.clone()),
            (ENVIRONMENT, Some(Source::Custom(name))) => Self::Environment(name.clone()),
            (COMMAND_LINE, Some(Source::Custom(option))) => Self::CommandLine(option.clone()),
            _ => Self::Default,
        }
    }
}

/// What the command line says about the configuration. It wins over everything else.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub(crate) file: Option<PathBuf>,
    pub(crate) values: Vec<Override>,
}

#[derive(Debug, Clone)]
pub(crate) struct Override {
    key: String,
    option: String,
    text: String,
}

impl Overrides {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads this file instead of `oh.toml` and of what `OH_CONFIG` names; it has to exist.
    #[must_use]
    pub fn file(mut self, path: Option<PathBuf>) -> Self {
        self.file = path.or(self.file);
        self
    }

    /// Sets the option `key`, such as `docker.host`, if there is a value. `option` is how the user gave it, such as
    /// `--runtime`, for messages. The text is read as environment variables are.
    #[must_use]
    pub fn set(mut self, key: &str, option: &str, value: Option<impl Into<String>>) -> Self {
        self.values.extend(value.map(|text| Override {
            key: key.to_owned(),
            option: option.to_owned(),
            text: text.into(),
        }));
        self
    }
}

/// The values of one place.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) origin: Origin,
    pub(crate) values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        match &self.origin {
            Origin::Default => Metadata::named("default"),
            Origin::File(path) => Metadata::from(FILE, path.as_path()),
            Origin::Environment(name) => Metadata::from(ENVIRONMENT, name.as_str()),
            Origin::CommandLine(option) => Metadata::from(COMMAND_LINE, option.as_str()),
        }
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// The built-in values: those of `default.toml`, and those that depend on user and machine.
pub(crate) fn defaults(environment: &Environment) -> Result<Figment, Problem> {
    let fixed = parse(DEFAULT).map_err(|what| Problem::new("", what, Origin::Default))?;
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let computed = [
        ("owner", Some(format!("{}@{}", environment.user, environment.host))),
        ("docker.cert_path", environment.home_dir().map(|home| text(home.join(".docker")))),
        ("local.state_dir", Some(text(environment.state_dir()))),
        ("local.image_dir", Some(text(environment.image_dir()))),
    ];
    let layers = computed
        .into_iter()
        .filter_map(|(key, value)| Some(Layer::single(Origin::Default, key, value?.into())));
    Ok(layers.fold(Figment::from(Layer { origin: Origin::Default, values: fixed }), Figment::merge))
}

/// A file's values; `None` when there is no such file.
pub(crate) fn file(path: &Path) -> Result<Option<Layer>, Problem> {
    let origin = Origin::File(path.to_owned());
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(Problem::new("", format!("cannot be read: {error}"), origin)),
    };
    match parse(&text) {
        Ok(values) => Ok(Some(Layer { origin, values })),
        Err(what) => Err(Problem::new("", what, origin)),
    }
}

/// The values of a TOML text. An error shows its place and not the text there, which may be a secret.
fn parse(text: &str) -> Result<Dict, String> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("is no TOML at line {line}, column {column}: {}", error.message().replace('\n', ", "))
    })
}

/// The variables that set options, each a layer.
pub(crate) fn environment(environment: &Environment, defaults: &Value) -> Vec<Result<Layer, Problem>> {
    let layer = |name: &str, key: &str, value: &OsStr, flag: bool| {
        let origin = Origin::Environment(name.to_owned());
        match value.to_str() {
            Some(_) if flag => Ok(Layer::single(origin, key, true.into())),
            Some(text) => Ok(Layer::single(origin, key, typed(text, key, defaults))),
            None => Err(Problem::new(key, "is not valid UTF-8", origin)),
        }
    };
    let set = VARIABLES.iter().filter_map(|variable| Some((variable, environment.get(variable.name)?)));
    set.filter_map(|(variable, value)| match variable.meaning {
        Meaning::Option(key) => Some(layer(variable.name, key, value, false)),
        Meaning::Flag(key) => Some(layer(variable.name, key, value, true)),
        Meaning::Fact => None,
    })
    .collect()
}

/// What the command line sets, each a layer.
pub(crate) fn command_line(values: Vec<Override>, defaults: &Value) -> impl Iterator<Item = Layer> {
    values.into_iter().map(|Override { key, option, text }| {
        let value = typed(&text, &key, defaults);
        Layer::single(Origin::CommandLine(option), &key, value)
    })
}

impl Layer {
    fn single(origin: Origin, key: &str, value: Value) -> Self {
        let values = nest(key, value).into_dict().unwrap_or_default();
        Self { origin, values }
    }
}

/// Text as a value of the type the option has. What does not fit stays text: then the option itself says what it wants.
fn typed(text: &str, key: &str, defaults: &Value) -> Value {
    let value = match defaults.find_ref(key) {
        Some(Value::Bool(..)) => text.parse::<bool>().ok().map(Value::from),
        Some(Value::Num(_, Num::F64(_))) => text.parse::<f64>().ok().map(Value::from),
        Some(Value::Num(..)) => text.parse::<i64>().ok().map(Value::from),
        _ => None,
    };
    value.unwrap_or_else(|| text.into())
}
