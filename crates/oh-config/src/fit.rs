//! What one layer says, made to fit: unknown names are told, files of secrets are read, paths become absolute.

use std::path::Path;

use figment::value::{Dict, Value};

use crate::environment::Environment;
use crate::error::Problem;
use crate::file::join;
use crate::kind::{Field, Kind, called};
use crate::layers::{Layer, Origin, section_of};
use crate::near::nearest;
use crate::secret;
use crate::table::{SETTINGS, Setting, names, sections};

/// What people write when they mean something of ours.
const MEANT: [(&str, &str); 4] =
    [("kubernetes", "k8s"), ("profiles", "profile"), ("logging", "log"), ("images", "image")];

/// Takes out of `layer` what cannot be merged, and says what that is.
pub(crate) fn fit(layer: &mut Layer, environment: &Environment, problems: &mut Vec<Problem>) {
    let mut found = structure(layer);
    let mut values = std::mem::take(&mut layer.values);
    for setting in SETTINGS {
        let origin = layer.origin(setting.key);
        let Some(section) = section_of(&mut values, setting) else { continue };
        let (_, name) = setting.parts();
        let Some(value) = section.get_mut(name) else { continue };
        let is_table = matches!(setting.kind, Kind::Map(..));
        if is_table && !matches!(value, Value::Dict(..)) {
            // Merged, it would hide the table of the layers below.
            let what = format!("expected a table, found {}", called(value));
            found.push(Problem::new(setting.key, what, origin));
            section.remove(name);
            continue;
        }
        let places = Places { environment, folder: folder(&origin, environment) };
        if let Err((below, what)) = places.resolve(value, setting.kind, "") {
            let key = format!("{}{below}", setting.key);
            found.push(Problem::new(&*key, what, layer.origin(&key)));
            section.remove(name);
        }
    }
    layer.values = values;
    problems.append(&mut found);
}

/// Where relative paths of a layer start.
fn folder<'a>(origin: &'a Origin, environment: &'a Environment) -> &'a Path {
    match origin {
        Origin::File { path, .. } => path.parent().unwrap_or(Path::new("/")),
        _ => &environment.current_dir,
    }
}

struct Places<'a> {
    environment: &'a Environment,
    folder: &'a Path,
}

impl Places<'_> {
    /// Puts in place what stands in a file, and makes paths absolute. An error says where below the option it is.
    fn resolve(&self, value: &mut Value, kind: Kind, path: &str) -> Result<(), (String, String)> {
        match (kind, value) {
            (Kind::Secret, value) => {
                if let Some(file) = secret::file_of(value) {
                    let text = self.absolute(file).and_then(|file| secret::read(Path::new(&file)));
                    *value = text.map_err(|what| (path.to_owned(), what))?.into();
                }
            }
            (Kind::Path, Value::String(_, text)) if !text.is_empty() => {
                *text = self.absolute(text).map_err(|what| (path.to_owned(), what))?;
            }
            (Kind::Map(_, _, of), Value::Dict(_, entries)) => {
                for (name, entry) in entries {
                    self.resolve(entry, *of, &format!("{path}.{name}"))?;
                }
            }
            (Kind::Tables(fields), Value::Array(_, tables)) => {
                for (index, table) in tables.iter_mut().enumerate() {
                    let Value::Dict(_, entries) = table else { continue };
                    for Field { name, kind, .. } in fields {
                        if let Some(entry) = entries.get_mut(*name) {
                            self.resolve(entry, *kind, &format!("{path}[{index}].{name}"))?;
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn absolute(&self, text: &str) -> Result<String, String> {
        let path = match Path::new(text).strip_prefix("~") {
            Ok(below) => {
                self.environment.home_dir().ok_or("starts with ~, and there is no home folder")?.join(below)
            }
            // Through its components, to drop what is as good as nothing: `/a/./b`.
            Err(_) => self.folder.join(text).components().collect(),
        };
        Ok(path.to_string_lossy().into_owned())
    }
}

/// Takes out the sections and names nobody knows.
fn structure(layer: &mut Layer) -> Vec<Problem> {
    let (sections, top) = (sections(), names(""));
    let mut problems = Vec::new();
    let mut values = Dict::new();
    for (name, value) in std::mem::take(&mut layer.values) {
        if top.contains(&name.as_str()) {
            values.insert(name, value);
        } else if !sections.contains(&name.as_str()) {
            problems.push(unknown("", &name, layer));
        } else if let Value::Dict(tag, inner) = value {
            let known = names(&name);
            let (good, bad): (Dict, Dict) =
                inner.into_iter().partition(|(inner, _)| known.contains(&inner.as_str()));
            problems.extend(bad.keys().map(|inner| unknown(&name, inner, layer)));
            values.insert(name, Value::Dict(tag, good));
        } else {
            let what = format!("expected a table, found {}", called(&value));
            let origin = layer.origin(&name);
            problems.push(Problem::new(name, what, origin));
        }
    }
    layer.values = values;
    problems
}

/// Names the option that was probably meant: one of the same section that is spelled alike, or one of this name in
/// another section.
fn unknown(section: &str, name: &str, layer: &Layer) -> Problem {
    let known: Vec<&str> =
        if section.is_empty() { names("").into_iter().chain(sections()).collect() } else { names(section) };
    let usual =
        || MEANT.iter().find(|(written, _)| section.is_empty() && *written == name).map(|(_, meant)| *meant);
    let elsewhere = || SETTINGS.iter().map(Setting::parts).find(|(_, other)| *other == name);
    let suggestion = match nearest(name, known.iter().copied()).or_else(usual) {
        Some(meant) => Some(join(section, meant)),
        None => elsewhere().map(|(section, name)| join(section, name)),
    };
    let what = match suggestion {
        Some(_) => "unknown option".to_owned(),
        None => format!("unknown option, there are {}", known.join(", ")),
    };
    let key = join(section, name);
    let origin = layer.origin(&key);
    Problem::new(key, what, origin).meaning(suggestion)
}
