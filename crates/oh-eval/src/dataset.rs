//! The instances: rows of SWE-bench 5, which carry all that is needed to evaluate them.

use std::fmt;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::Value;

use crate::log_parser::{self, LogParser};
use crate::rows::{self, Fault, Fields, Keyed, Many, Place, Problems, Row, RowsError};

/// Most ids that are suggested for one that is unknown.
const MAX_SUGGESTED: usize = 3;

/// One row. What evaluation does not need is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Unique in the dataset, and fit to name a folder.
    pub instance_id: String,
    /// The repository, such as `astropy/astropy`.
    pub repo: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The commit that patches apply to.
    pub base_commit: Option<String>,
    /// The image to run in; without it one is found by a template.
    pub image: Option<String>,
    /// What runs the tests, as the row has it; see [`script`](crate::script).
    pub eval_script: String,
    /// Names the parser of what the tests print; see [`Self::parser`].
    pub log_parser: String,
    /// How a test that the log does not name counts.
    pub eval_type: EvalType,
    /// The tests that a right patch repairs.
    pub fail_to_pass: Vec<String>,
    /// The tests that a right patch does not break.
    pub pass_to_pass: Vec<String>,
    /// The solution.
    pub patch: Option<String>,
    /// The tests need binary files that are not in the patch.
    pub has_assets: bool,
}

impl Instance {
    /// The parser for what this instance's tests print.
    ///
    /// # Errors
    /// When this instance cannot be evaluated here.
    pub fn parser(&self) -> Result<LogParser, Unsupported> {
        if self.has_assets {
            return Err(Unsupported::Assets);
        }
        log_parser::find(&self.log_parser)
            .ok_or_else(|| Unsupported::LogParser { name: self.log_parser.clone() })
    }
}

/// Why an instance whose row is well formed cannot be evaluated here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// Nothing here reads what its tests print.
    #[error("its log_parser {name:?} is not supported (there are {})", log_parser::names().collect::<Vec<_>>().join(", "))]
    LogParser {
        /// What the row says.
        name: String,
    },
    /// Its tests need files that cannot be put into the sandbox.
    #[error("its image_assets, binary files that the tests need, are not supported")]
    Assets,
}

/// Which tests of a row count as failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EvalType {
    /// Those that the log does not show as passed.
    #[default]
    PassAndFail,
    /// Those that the log shows as failed, for runners that print failures only.
    FailOnly,
}

/// Why a dataset cannot be used. All but [`RowsError::Read`] are for the user to correct.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The rows are of the generation before: none carries what evaluation needs.
    #[error(
        "{} has rows of SWE-bench 4, which carry no image, eval_script and log_parser (use a dataset of SWE-bench 5, \
         such as SWE-bench/SWE-bench_Verified saved as JSON lines, or add the fields eval_script and log_parser to \
         each row; an image that is not in the row is found by the image template)",
        path.display()
    )]
    OldGeneration {
        /// Which file.
        path: PathBuf,
    },
    /// Instances were asked for that are not there.
    #[error("{}", Many::all("instances that were asked for are not in the dataset", unknown))]
    UnknownIds {
        /// Which.
        unknown: Vec<UnknownId>,
    },
    /// Instances were asked for that cannot be evaluated here.
    #[error("{}", Many::all("instances cannot be evaluated", instances))]
    Unsupported {
        /// Which, and why.
        instances: Vec<UnsupportedInstance>,
    },
}

/// An id that is not in the dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownId {
    /// What was asked for.
    pub id: String,
    /// Ids of the dataset that are spelled alike, the nearest first.
    pub alike: Vec<String>,
}

impl fmt::Display for UnknownId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not in the dataset", self.id)?;
        match &*self.alike {
            [] => f.write_str(" (check its spelling)"),
            alike => write!(f, " (did you mean {}?)", alike.join(" or ")),
        }
    }
}

/// An instance that cannot be evaluated here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{instance_id:?} cannot be evaluated: {why}")]
pub struct UnsupportedInstance {
    /// Which.
    pub instance_id: String,
    /// Why.
    pub why: Unsupported,
}

/// The instances of a dataset, in its order.
#[derive(Debug, Clone)]
pub struct Dataset(IndexMap<String, Instance>);

impl Dataset {
    /// Reads all rows of a `.jsonl` or `.json` file. Fields that are not known are ignored.
    ///
    /// A row whose parser is not supported is no error here: see [`check_supported`].
    ///
    /// # Errors
    /// When the file cannot be read, or rows are wrong: all of them are reported at once.
    pub fn load(path: &Path) -> Result<Self, DatasetError> {
        let rows = rows::read(path, Keyed::Refused)?;
        let is_old = |fields: &serde_json::Map<_, _>| {
            !["image", "eval_script", "log_parser"].iter().any(|field| fields.contains_key(*field))
        };
        let mut readable = rows.iter().filter_map(Row::fields).peekable();
        if readable.peek().is_some() && readable.all(is_old) {
            return Err(DatasetError::OldGeneration { path: path.to_owned() });
        }
        let mut problems = Problems::default();
        let mut places: IndexMap<String, Place> = IndexMap::with_capacity(rows.len());
        let mut instances = IndexMap::with_capacity(rows.len());
        for row in rows {
            let Some(mut fields) = row.open(&mut problems) else { continue };
            let id = fields.instance_id();
            if let Some(id) = &id {
                match places.get(id) {
                    Some(first) => fields.problem("instance_id", Fault::Duplicate { first: first.clone() }),
                    None => drop(places.insert(id.clone(), fields.place().clone())),
                }
            }
            if let Some(instance) = instance(id, &mut fields) {
                instances.insert(instance.instance_id.clone(), instance);
            }
        }
        if !problems.is_empty() {
            return Err(RowsError::Malformed { path: path.to_owned(), problems }.into());
        }
        Ok(Self(instances))
    }

    /// The instances that were asked for, in the order of the dataset: those of `ids`; all without or with no ids.
    ///
    /// # Errors
    /// When one is not there; ids that are spelled alike are suggested.
    pub fn select(&self, ids: Option<&[String]>) -> Result<Vec<&Instance>, DatasetError> {
        let Some(ids) = ids.filter(|ids| !ids.is_empty()) else { return Ok(self.0.values().collect()) };
        let unknown: Vec<_> = ids
            .iter()
            .filter(|id| !self.0.contains_key(*id))
            .map(|id| UnknownId { id: id.clone(), alike: self.alike(id) })
            .collect();
        if !unknown.is_empty() {
            return Err(DatasetError::UnknownIds { unknown });
        }
        Ok(self.0.values().filter(|instance| ids.contains(&instance.instance_id)).collect())
    }

    fn alike(&self, id: &str) -> Vec<String> {
        let mut alike: Vec<_> = self
            .0
            .keys()
            .map(|known| (strsim::osa_distance(id, known), known))
            .filter(|(distance, known)| *distance <= known.chars().count().div_ceil(3))
            .collect();
        alike.sort();
        alike.into_iter().take(MAX_SUGGESTED).map(|(_, known)| known.clone()).collect()
    }

    /// The instance of this id.
    #[must_use]
    pub fn get(&self, instance_id: &str) -> Option<&Instance> {
        self.0.get(instance_id)
    }
}

/// Whether all `instances` can be evaluated here. Ask this about those that will run, not the whole dataset: others may
/// well need parsers that are not supported.
///
/// # Errors
/// Names each one that cannot, and why.
pub fn check_supported<'a>(instances: impl IntoIterator<Item = &'a Instance>) -> Result<(), DatasetError> {
    let unsupported = |instance: &Instance| {
        let why = instance.parser().err()?;
        Some(UnsupportedInstance { instance_id: instance.instance_id.clone(), why })
    };
    let instances: Vec<_> = instances.into_iter().filter_map(unsupported).collect();
    if instances.is_empty() { Ok(()) } else { Err(DatasetError::Unsupported { instances }) }
}

/// The instance of a row whose id is `id`. Looks at every field, so that all problems are found.
fn instance(id: Option<String>, fields: &mut Fields<'_>) -> Option<Instance> {
    let repo = fields.optional_text("repo");
    let version = fields.optional_text("version");
    let base_commit = fields.optional_text("base_commit");
    let image = fields.optional_text("image").filter(|image| !image.is_empty());
    let eval_script = fields.text("eval_script");
    let log_parser = fields.text("log_parser");
    let eval_type = eval_type(fields);
    let fail_to_pass = fields.required("FAIL_TO_PASS", TESTS, tests);
    let pass_to_pass = fields.required("PASS_TO_PASS", TESTS, tests);
    let patch = fields.optional_text("patch");
    let has_assets = has_assets(fields);
    Some(Instance {
        instance_id: id?,
        repo,
        version,
        base_commit,
        image,
        eval_script: eval_script?,
        log_parser: log_parser?,
        eval_type: eval_type?,
        fail_to_pass: fail_to_pass?,
        pass_to_pass: pass_to_pass?,
        patch,
        has_assets: has_assets?,
    })
}

const TESTS: &str = "a list of test names, or that list as JSON text";

fn tests(value: Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => serde_json::from_str(&text).ok(),
        other => serde_json::from_value(other).ok(),
    }
}

fn eval_type(fields: &mut Fields<'_>) -> Option<EvalType> {
    if !fields.has("eval_type") {
        return Some(EvalType::default());
    }
    fields.required("eval_type", "\"pass_and_fail\" or \"fail_only\"", |value| match value.as_str()? {
        "pass_and_fail" => Some(EvalType::PassAndFail),
        "fail_only" => Some(EvalType::FailOnly),
        _ => None,
    })
}

/// Whether `image_assets`, lists of files as an object or as its JSON text, has any file for the sandbox. Other lists are
/// for the model that solves the instance.
fn has_assets(fields: &mut Fields<'_>) -> Option<bool> {
    if !fields.has("image_assets") {
        return Some(false);
    }
    fields.required("image_assets", "an object of lists, that object as JSON text, or null", |value| {
        let value = match value {
            Value::String(text) if text.is_empty() => Value::Null,
            Value::String(text) => serde_json::from_str(&text).ok()?,
            other => other,
        };
        match value {
            Value::Null => Some(false),
            Value::Object(lists) => {
                let has =
                    |list| lists.get(list).and_then(Value::as_array).is_some_and(|files| !files.is_empty());
                Some(has("test_patch") || has("patch"))
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests;
