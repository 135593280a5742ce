//! Layers to [`Config`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Value};
use figment::{Figment, Profile, Provider};
use serde::Deserialize;

use crate::environment::{CONFIG_FILE, Environment};
use crate::error::{ConfigError, Problem, kind};
use crate::layers::{self, Layer, Origin, Overrides};
use crate::model::Config;

/// Name of the project's file, in the current folder.
const PROJECT_FILE: &str = "oh.toml";

/// Reads the configuration of this process, with what the command line says on top.
///
/// # Errors
/// All that is wrong, at once.
pub fn load(overrides: Overrides) -> Result<Config, ConfigError> {
    match Environment::current() {
        Ok(environment) => load_from(&environment, overrides),
        Err(error) => {
            let what = format!("the current folder cannot be found: {error}");
            Err(ConfigError::new(vec![Problem::new("", what, Origin::File(".".into()))]))
        }
    }
}

/// As [`load`], with another environment than that of this process.
///
/// # Errors
/// All that is wrong, at once.
pub fn load_from(environment: &Environment, overrides: Overrides) -> Result<Config, ConfigError> {
    let mut figment = layers::defaults(environment).map_err(|problem| ConfigError::new(vec![problem]))?;
    let defaults = merged(&figment);
    let mut problems = Vec::new();
    let mut layers = files(environment, overrides.file, &mut problems);
    for layer in layers::environment(environment, &defaults) {
        layer.map_or_else(|problem| problems.push(problem), |layer| layers.push(layer));
    }
    layers.extend(layers::command_line(overrides.values, &defaults));
    for mut layer in layers {
        keep_tables(&mut layer.values, &defaults, "", &layer.origin, &mut problems);
        figment = figment.merge(layer);
    }
    let config = check(&figment, &defaults, &mut problems).and_then(|mut config| {
        resolve_paths(&mut config, environment, &mut problems);
        problems.is_empty().then_some(config)
    });
    config.ok_or_else(|| ConfigError::new(problems))
}

/// The files, lowest first.
fn files(environment: &Environment, named: Option<PathBuf>, problems: &mut Vec<Problem>) -> Vec<Layer> {
    let by_variable = environment.get(CONFIG_FILE).map(|path| (PathBuf::from(path), CONFIG_FILE));
    let last = match named.map(|path| (path, "--config")).or(by_variable) {
        Some((path, by)) => (path, Some(by)),
        None => (PathBuf::from(PROJECT_FILE), None),
    };
    let optional = [Some(environment.system_file.clone()), environment.user_file()];
    let mut layers = Vec::new();
    for (path, named_by) in optional.into_iter().flatten().map(|path| (path, None)).chain([last]) {
        let path = environment.current_dir.join(path);
        match (layers::file(&path), named_by) {
            (Ok(Some(layer)), _) => layers.push(layer),
            (Ok(None), None) => {}
            (Ok(None), Some(by)) => {
                let what = format!("does not exist, and {by} names it");
                problems.push(Problem::new("", what, Origin::File(path)));
            }
            (Err(problem), _) => problems.push(problem),
        }
    }
    layers
}

/// Takes out what stands where a table belongs: merged, it would hide the table of the layers below.
fn keep_tables(
    values: &mut Dict,
    defaults: &Value,
    path: &str,
    origin: &Origin,
    problems: &mut Vec<Problem>,
) {
    let Value::Dict(_, defaults) = defaults else { return };
    for (name, default) in defaults.iter().filter(|(_, default)| matches!(default, Value::Dict(..))) {
        let Some(value) = values.get_mut(name) else { continue };
        let key = join(path, name);
        if let Value::Dict(_, inner) = value {
            keep_tables(inner, default, &key, origin, problems);
        } else {
            let what = format!("expected a table, found {}", kind(&value.to_actual()));
            problems.push(Problem::new(key, what, origin.clone()));
            values.remove(name);
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// All layers as one table whose values know where they came from.
fn merged(figment: &Figment) -> Value {
    let values = figment.data().ok().and_then(|mut profiles| profiles.remove(&Profile::Default));
    values.unwrap_or_default().into()
}

/// Checks every value. After a problem the built-in value takes the bad one's place, so that the next one is found.
fn check(figment: &Figment, defaults: &Value, problems: &mut Vec<Problem>) -> Option<Config> {
    let mut values = merged(figment);
    loop {
        match Config::deserialize(&values) {
            Ok(mut config) => {
                collect_origins(figment, &values, "", &mut config.origins);
                return Some(config);
            }
            Err(error) => {
                problems.push(Problem::of(&error, origin(figment, locate(&values, &error.path))));
                if !restore(&mut values, defaults, &error.path) {
                    return None;
                }
            }
        }
    }
}

fn origin(figment: &Figment, value: &Value) -> Origin {
    figment.get_metadata(value.tag()).map_or(Origin::Default, Origin::of)
}

/// The value at `path`, or the innermost one around it that exists.
fn locate<'v>(value: &'v Value, path: &[String]) -> &'v Value {
    let Some((part, rest)) = path.split_first() else { return value };
    let inner = match value {
        Value::Dict(_, values) => values.get(part),
        Value::Array(_, values) => part.parse::<usize>().ok().and_then(|index| values.get(index)),
        _ => None,
    };
    inner.map_or(value, |inner| locate(inner, rest))
}

/// Puts the built-in value back at `path`, or nothing where there is none. Says whether that changed anything.
fn restore(value: &mut Value, default: &Value, path: &[String]) -> bool {
    let (Some((part, rest)), Value::Dict(_, values), Value::Dict(_, defaults)) =
        (path.split_first(), &mut *value, default)
    else {
        let changed = value != default;
        *value = default.clone();
        return changed;
    };
    match (values.get_mut(part), defaults.get(part)) {
        (Some(value), Some(default)) => restore(value, default, rest),
        (None, _) => false,
        (Some(_), None) => values.remove(part).is_some(),
    }
}

/// Notes for every single value, and for every list, where it came from.
fn collect_origins(figment: &Figment, value: &Value, key: &str, origins: &mut BTreeMap<String, Origin>) {
    if let Value::Dict(_, values) = value {
        for (name, value) in values {
            collect_origins(figment, value, &join(key, name), origins);
        }
    } else {
        origins.insert(key.to_owned(), origin(figment, value));
    }
}

/// Makes paths absolute: one in a file starts at the file's folder, any other at the current folder.
fn resolve_paths(config: &mut Config, environment: &Environment, problems: &mut Vec<Problem>) {
    let Config { agent, sandbox, docker, local, eval, origins, .. } = config;
    let single = [
        ("agent.path", agent.path.as_mut()),
        ("docker.cert_path", docker.cert_path.as_mut()),
        ("local.state_dir", Some(&mut local.state_dir)),
        ("local.image_dir", Some(&mut local.image_dir)),
        ("eval.out_dir", Some(&mut eval.out_dir)),
    ];
    let mounts = sandbox.mounts.iter_mut().map(|mount| ("sandbox.mounts", Some(&mut mount.source)));
    for (key, path) in single.into_iter().chain(mounts) {
        let (Some(path), Some(origin)) = (path, origins.get(key)) else { continue };
        let folder = match origin {
            Origin::File(file) => file.parent().unwrap_or(Path::new("/")),
            _ => &environment.current_dir,
        };
        if path.as_os_str().is_empty() {
            problems.push(Problem::new(key, "is empty", origin.clone()));
        } else if let Ok(below_home) = path.strip_prefix("~") {
            match environment.home_dir() {
                Some(home) => *path = home.join(below_home),
                None => problems.push(Problem::new(
                    key,
                    "starts with ~, and there is no home folder",
                    origin.clone(),
                )),
            }
        } else {
            // Through its components, to drop what is as good as nothing: `/a/./b`.
            *path = folder.join(&path).components().collect();
        }
    }
}
