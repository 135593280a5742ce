//! Which files are read, and what they hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Value};

use crate::environment::{CONFIG_FILE, Environment};
use crate::error::Problem;
use crate::file::{self, Parsed};
use crate::layers::{Layer, Origin};
use crate::openhands;

/// The table of profiles in a file.
const PROFILES: &str = "profile";
const ENDINGS: [&str; 3] = ["toml", "yaml", "yml"];

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) path: PathBuf,
    pub(crate) plain: Layer,
    pub(crate) profiles: BTreeMap<String, Layer>,
    /// What of a file of OpenHands has no meaning here.
    pub(crate) notes: Vec<String>,
}

/// A file that was named has to exist.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) path: PathBuf,
    /// Who named it.
    pub(crate) by: Option<String>,
}

impl Named {
    pub(crate) fn new(environment: &Environment, path: &Path, by: Option<&str>) -> Self {
        let path = environment.current_dir.join(path);
        // Without `..`, which would be in every message.
        Self { path: path.canonicalize().unwrap_or(path), by: by.map(str::to_owned) }
    }
}

/// All files there are, lowest first.
pub(crate) fn all(
    environment: &Environment,
    named: Option<PathBuf>,
    problems: &mut Vec<Problem>,
) -> Vec<Contents> {
    let shared = [Some(environment.system_dir.clone()), environment.user_dir()];
    let mut found: Vec<_> =
        shared.into_iter().flatten().filter_map(|folder| one_of(&folder, "config", problems)).collect();
    let by_variable = environment.get(CONFIG_FILE).map(|path| (PathBuf::from(path), CONFIG_FILE));
    let mut contents = Vec::new();
    let last = match named.map(|path| (path, "--config")).or(by_variable) {
        Some((path, by)) => Some(Named::new(environment, &path, Some(by))),
        None => {
            found.extend(
                environment.current_dir.ancestors().find_map(|folder| one_of(folder, "oh", problems)),
            );
            None
        }
    };
    contents.extend(found.iter().filter_map(|path| keep(read(path), problems)));
    contents.extend(last.and_then(|named| keep(read_named(&named), problems)));
    contents
}

fn keep(read: Result<Contents, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<Contents> {
    read.map_err(|found| problems.extend(found)).ok()
}

/// The file of this name in `folder`, in either language; two of them are one too many.
fn one_of(folder: &Path, name: &str, problems: &mut Vec<Problem>) -> Option<PathBuf> {
    let all = ENDINGS.map(|ending| folder.join(format!("{name}.{ending}")));
    let mut there = all.into_iter().filter(|path| path.symlink_metadata().is_ok());
    let first = there.next()?;
    if let Some(second) = there.next() {
        let what = format!("is there, and {} too: keep one of the two", second.display());
        problems.push(Problem::of_file(Origin::file(&first), what));
    }
    Some(first)
}

/// A file somebody named: one of ours, or one of OpenHands.
pub(crate) fn read_named(named: &Named) -> Result<Contents, Vec<Problem>> {
    let path = &named.path;
    let parsed = parse(path).map_err(|problems| match (&named.by, path.symlink_metadata()) {
        (Some(by), Err(_)) => {
            vec![Problem::of_file(Origin::file(path), format!("does not exist, and {by} names it"))]
        }
        (None, Err(_)) => vec![Problem::of_file(Origin::file(path), "does not exist")],
        _ => problems,
    })?;
    if !openhands::is_config(&parsed.values) {
        return split(path, parsed);
    }
    let mapped = openhands::map(path, &parsed);
    if !mapped.problems.is_empty() {
        return Err(mapped.problems);
    }
    let plain = Layer::new(Origin::file(path), mapped.values).with_lines(mapped.lines);
    Ok(Contents { path: path.clone(), plain, profiles: BTreeMap::new(), notes: mapped.notes })
}

fn read(path: &Path) -> Result<Contents, Vec<Problem>> {
    split(path, parse(path)?)
}

fn parse(path: &Path) -> Result<Parsed, Vec<Problem>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![Problem::of_file(Origin::file(path), format!("cannot be read: {error}"))])?;
    file::parse(path, &text).map_err(|error| {
        let origin = Origin::File { path: path.to_owned(), line: error.line };
        vec![Problem::of_file(origin, error.what)]
    })
}

/// What holds always, and what holds for a profile only.
fn split(path: &Path, parsed: Parsed) -> Result<Contents, Vec<Problem>> {
    let Parsed { mut values, lines } = parsed;
    let mut problems = Vec::new();
    let mut table = |key: &str, value: Value| match value {
        Value::Dict(_, inner) => Some(inner),
        other => {
            let what = format!("expected a table, found {}", crate::kind::called(&other));
            let origin = Origin::File { path: path.to_owned(), line: lines.of(key) };
            problems.push(Problem::new(key, what, origin));
            None
        }
    };
    let all: Dict = values.remove(PROFILES).and_then(|value| table(PROFILES, value)).unwrap_or_default();
    let mut profiles = BTreeMap::new();
    for (name, value) in all {
        let key = file::join(PROFILES, &name);
        let Some(values) = table(&key, value) else { continue };
        let mut layer = Layer::new(Origin::file(path), values).with_lines(lines.below(&key));
        layer.profile = Some(name.clone());
        profiles.insert(name, layer);
    }
    if problems.is_empty() {
        let plain = Layer::new(Origin::file(path), values).with_lines(lines);
        Ok(Contents { path: path.to_owned(), plain, profiles, notes: Vec::new() })
    } else {
        Err(problems)
    }
}
