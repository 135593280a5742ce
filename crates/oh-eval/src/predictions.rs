//! The patches to evaluate.

use std::path::Path;

use indexmap::IndexMap;
use indexmap::map::Entry;
use serde_json::Value;

use crate::dataset::{Dataset, Instance};
use crate::paths::model_folder;
use crate::rows::{self, Fault, Fields, Keyed, Many, Place, Problems, RowsError};

/// One patch for one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prediction {
    /// For which instance.
    pub instance_id: String,
    /// Who made it. Fit to name a folder, once each `/` is replaced.
    pub model_name_or_path: String,
    /// The patch; `None` when the model gave none.
    pub model_patch: Option<String>,
}

impl Prediction {
    /// Whether there is nothing to apply. Such an instance is not run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.model_patch.as_deref().is_none_or(str::is_empty)
    }
}

/// Why predictions cannot be used. All but [`RowsError::Read`] are for the user to correct.
#[derive(Debug, thiserror::Error)]
pub enum PredictionsError {
    /// The file.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// Predictions are for instances that the dataset does not have.
    #[error(
        "{} (use the dataset that they were made for)",
        Many::all("predictions are for instances that are not in the dataset", ids)
    )]
    NotInDataset {
        /// Which.
        ids: Vec<UnknownInstance>,
    },
    /// Solutions were asked for that the dataset does not have.
    #[error(
        "{} (use a dataset whose rows have the field patch)",
        Many::all("instances have no solution in the dataset", ids)
    )]
    NoSolution {
        /// Which.
        ids: Vec<WithoutSolution>,
    },
}

/// An instance that a prediction is for, but that is not in the dataset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} has a prediction but is not in the dataset")]
pub struct UnknownInstance(pub String);

/// An instance without a solution in its row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} has no solution in the dataset")]
pub struct WithoutSolution(pub String);

/// One prediction for each instance, in the order of their file. There is at least one.
#[derive(Debug, Clone)]
pub struct Predictions(IndexMap<String, Prediction>);

impl Predictions {
    /// The predictions that `source` means: `gold` for the solutions of the `selected` instances, `empty` for an empty
    /// patch for each of them, else the name of a `.jsonl` file, or of a `.json` file with a list or an object by id.
    ///
    /// # Errors
    /// When the file cannot be read, rows are wrong (all are reported at once), or instances are not in the dataset.
    pub fn load(source: &str, dataset: &Dataset, selected: &[&Instance]) -> Result<Self, PredictionsError> {
        match source {
            "gold" => Self::gold(selected),
            "empty" => Ok(Self::made_up("empty", selected, |_| Some(String::new()))),
            file => Self::read(Path::new(file), dataset),
        }
    }

    fn gold(selected: &[&Instance]) -> Result<Self, PredictionsError> {
        let without = selected.iter().filter(|instance| instance.patch.is_none());
        let ids: Vec<_> = without.map(|instance| WithoutSolution(instance.instance_id.clone())).collect();
        if !ids.is_empty() {
            return Err(PredictionsError::NoSolution { ids });
        }
        Ok(Self::made_up("gold", selected, |instance| instance.patch.clone()))
    }

    fn made_up(model: &str, selected: &[&Instance], patch: impl Fn(&Instance) -> Option<String>) -> Self {
        let prediction = |instance: &&Instance| Prediction {
            instance_id: instance.instance_id.clone(),
            model_name_or_path: model.to_owned(),
            model_patch: patch(instance),
        };
        Self(selected.iter().map(prediction).map(|made| (made.instance_id.clone(), made)).collect())
    }

    fn read(path: &Path, dataset: &Dataset) -> Result<Self, PredictionsError> {
        let mut problems = Problems::default();
        let mut predictions: IndexMap<String, (Place, Prediction)> = IndexMap::new();
        for row in rows::read(path, Keyed::Allowed)? {
            let Some(mut fields) = row.open(&mut problems) else { continue };
            let Some(prediction) = prediction(&mut fields) else { continue };
            match predictions.entry(prediction.instance_id.clone()) {
                Entry::Occupied(first) => {
                    let first = first.get().0.clone();
                    fields.problem("instance_id", Fault::Duplicate { first });
                }
                Entry::Vacant(entry) => drop(entry.insert((fields.place().clone(), prediction))),
            }
        }
        if !problems.is_empty() {
            return Err(RowsError::Malformed { path: path.to_owned(), problems }.into());
        }
        let unknown = predictions.keys().filter(|id| dataset.get(id).is_none());
        let ids: Vec<_> = unknown.cloned().map(UnknownInstance).collect();
        if !ids.is_empty() {
            return Err(PredictionsError::NotInDataset { ids });
        }
        Ok(Self(predictions.into_iter().map(|(id, (_, prediction))| (id, prediction)).collect()))
    }

    /// The prediction for this instance.
    #[must_use]
    pub fn get(&self, instance_id: &str) -> Option<&Prediction> {
        self.0.get(instance_id)
    }

    /// The model of the first one, which names the report of the run.
    #[must_use]
    pub fn model(&self) -> &str {
        self.0.values().next().map_or("", |first| &first.model_name_or_path)
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Prediction> {
        self.0.values()
    }
}

/// The prediction of a row. Looks at every field, so that all problems are found.
fn prediction(fields: &mut Fields<'_>) -> Option<Prediction> {
    let instance_id = fields.instance_id();
    if let (Place::Key(key), Some(id)) = (fields.place(), &instance_id)
        && key != id
    {
        fields.problem("instance_id", Fault::OtherKey);
    }
    let model = fields.text("model_name_or_path");
    if let Some(bad) = model.as_deref().and_then(|model| model_folder(model).err()) {
        fields.problem("model_name_or_path", bad.into());
    }
    let model_patch = fields.required("model_patch", "text or null", |value| match value {
        Value::String(patch) => Some(Some(patch)),
        Value::Null => Some(None),
        _ => None,
    });
    Some(Prediction { instance_id: instance_id?, model_name_or_path: model?, model_patch: model_patch? })
}

#[cfg(test)]
mod tests;
