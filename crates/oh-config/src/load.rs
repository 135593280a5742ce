//! Layers to [`Config`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use figment::value::{Dict, Value};
use figment::{Figment, Profile, Provider};
use serde::Deserialize;

use crate::builder::ConfigBuilder;
use crate::environment::{Environment, PROFILE};
use crate::error::{ConfigError, Problem};
use crate::file::join;
use crate::files::{self, Contents, Named};
use crate::fit::fit;
use crate::foreign;
use crate::layers::{self, Layer, Origin, section_of, value_in};
use crate::model::Config;
use crate::near::nearest;
use crate::rules;
use crate::table::SETTINGS;

/// All layers, and what they come to.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Lowest first.
    pub(crate) layers: Vec<Layer>,
    /// The profile that was chosen.
    pub(crate) profile: Option<String>,
    /// The files that were read, lowest first.
    pub(crate) files: Vec<PathBuf>,
    /// The names of all profiles of the files.
    pub(crate) profiles: BTreeSet<String>,
    pub(crate) warnings: Vec<String>,
    merged: Figment,
    problems: Vec<Problem>,
}

impl Loaded {
    /// From all places.
    pub(crate) fn new(mut builder: ConfigBuilder) -> Result<Self, ConfigError> {
        let environment = builder.take_environment()?;
        let mut problems = Vec::new();
        let files = files::all(&environment, builder.file, &mut problems);
        let by_variable = environment
            .get(PROFILE)
            .map(|name| (name.to_string_lossy().into_owned(), Origin::Environment(PROFILE.to_owned())));
        let by_option = builder.profile.map(|name| (name, Origin::CommandLine("--profile".to_owned())));
        let mut above = layers::environment(&environment, &mut problems);
        above.extend(layers::overrides(builder.values, &mut problems));
        let mut loaded = Self::assemble(&environment, files, by_option.or(by_variable), above, problems)?;
        loaded.warnings.extend(foreign::near_misses(&environment));
        Ok(loaded)
    }

    /// From one file alone, with one of its profiles or without.
    pub(crate) fn of_file(
        environment: &Environment,
        file: &Named,
        profile: Option<String>,
    ) -> Result<Self, ConfigError> {
        let contents = files::read_named(file).map_err(ConfigError::new)?;
        let profile = profile.map(|name| (name, Origin::file(&file.path)));
        Self::assemble(environment, vec![contents], profile, Vec::new(), Vec::new())
    }

    fn assemble(
        environment: &Environment,
        files: Vec<Contents>,
        profile: Option<(String, Origin)>,
        above: Vec<Layer>,
        mut problems: Vec<Problem>,
    ) -> Result<Self, ConfigError> {
        let mut layers = layers::defaults(environment)?;
        let profiles: BTreeSet<String> =
            files.iter().flat_map(|file| file.profiles.keys().cloned()).collect();
        if let Some((name, origin)) = &profile
            && !profiles.contains(name)
        {
            problems.push(no_profile(name, &profiles, origin.clone()));
        }
        let paths = files.iter().map(|file| file.path.clone()).collect();
        let mut warnings = Vec::new();
        let mut chosen = Vec::new();
        for mut file in files {
            warnings.extend(file.notes);
            layers.push(file.plain);
            chosen.extend(profile.as_ref().and_then(|(name, _)| file.profiles.remove(name)));
        }
        // A profile says more than what holds without one, whichever file it is in.
        layers.extend(chosen);
        layers.extend(above);
        let mut merged = Figment::new();
        for (number, layer) in layers.iter_mut().enumerate() {
            layer.number = number;
            fit(layer, environment, &mut problems);
            merged = merged.merge(&*layer);
        }
        let profile = profile.map(|(name, _)| name);
        Ok(Self { layers, profile, files: paths, profiles, warnings, merged, problems })
    }

    /// All layers as one table whose values know where they came from.
    pub(crate) fn values(&self) -> Dict {
        self.merged
            .data()
            .ok()
            .and_then(|mut profiles| profiles.remove(&Profile::Default))
            .unwrap_or_default()
    }

    /// Where a value of [`values`](Self::values) came from; `key` is its own.
    pub(crate) fn origin(&self, value: &Value, key: &str) -> Origin {
        let number =
            self.merged.get_metadata(value.tag()).and_then(|metadata| metadata.name.parse::<usize>().ok());
        number.and_then(|number| self.layers.get(number)).map_or(Origin::Default, |layer| layer.origin(key))
    }

    /// Checks every value, and then what they have to do with each other.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        let mut problems = self.problems.clone();
        let mut values = self.values();
        let mut origins = BTreeMap::new();
        // What an option is when its value is no good, so that the others can still be looked at.
        let built_in = self.layers[..].iter().take_while(|layer| layer.origin("") == Origin::Default);
        let built_in: Vec<&Layer> = built_in.collect();
        for setting in SETTINGS {
            let Some(value) = value_in(&values, setting) else { continue };
            self.collect_origins(value, setting.key, &mut origins);
            // A test checks what `default.toml` says. Every command loads the configuration, and the check of an image alone
            // takes longer than all the rest.
            if self.layers.first().and_then(|file| file.value(setting)) == Some(value) {
                continue;
            }
            let findings = setting.kind.check(value);
            let bad = !findings.is_empty();
            for finding in findings {
                let key = format!("{}{}", setting.key, finding.path);
                let origin = origins.get(&key).cloned().unwrap_or_else(|| self.origin(value, &key));
                problems.push(
                    Problem::new(key, finding.what, origin).valued(finding.shown).meaning(finding.suggestion),
                );
            }
            if bad {
                let default = built_in.iter().rev().find_map(|layer| layer.value(setting)).cloned();
                let (_, name) = setting.parts();
                let section = section_of(&mut values, setting);
                section.map(|section| match default {
                    Some(default) => section.insert(name.to_owned(), default),
                    None => section.remove(name),
                });
            }
        }
        let mut config = Config::deserialize(&Value::from(values)).map_err(|error| {
            problems.push(Problem::new(error.path.join("."), error.kind.to_string(), Origin::Default));
            ConfigError::new(problems.clone())
        })?;
        config.origins = origins;
        config.warnings.clone_from(&self.warnings);
        rules::check(&config, &mut problems);
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::new(problems)) }
    }

    /// Notes for every single value, and for every list and what is in it, where it came from.
    fn collect_origins(&self, value: &Value, key: &str, origins: &mut BTreeMap<String, Origin>) {
        match value {
            Value::Dict(_, values) => {
                for (name, value) in values {
                    self.collect_origins(value, &join(key, name), origins);
                }
            }
            Value::Array(_, values) => {
                origins.insert(key.to_owned(), self.origin(value, key));
                for (index, value) in values.iter().enumerate() {
                    self.collect_origins(value, &format!("{key}[{index}]"), origins);
                }
            }
            _ => {
                origins.insert(key.to_owned(), self.origin(value, key));
            }
        }
    }
}

fn no_profile(name: &str, known: &BTreeSet<String>, origin: Origin) -> Problem {
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let what = if names.is_empty() {
        format!("there is no profile {name:?}, and no file has any")
    } else {
        format!("there is no profile {name:?}, there are {}", names.join(", "))
    };
    Problem::of_file(origin, what).meaning(nearest(name, names).map(str::to_owned))
}
