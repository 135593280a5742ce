//! One file by itself: what is wrong with it, with each of its profiles.

use std::path::Path;

use crate::environment::Environment;
use crate::error::{ConfigError, Problem};
use crate::files::Named;
use crate::load::Loaded;

/// What became of checking a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The names of its profiles; each was checked.
    pub profiles: Vec<String>,
    /// What is no error; of a file of OpenHands, what has no meaning here.
    pub warnings: Vec<String>,
}

/// Checks the file at `path` on top of the built-in values alone, without any other file or variable: as it is, and
/// with each of its profiles. It may be one of OpenHands.
///
/// # Errors
/// All that is wrong, at once.
pub fn check(environment: &Environment, path: &Path) -> Result<Checked, ConfigError> {
    let file = Named::new(environment, path, None);
    let plain = Loaded::of_file(environment, &file, None)?;
    let mut problems: Vec<Problem> = found(&plain);
    for profile in &plain.profiles {
        let with = Loaded::of_file(environment, &file, Some(profile.clone()))?;
        let new = found(&with).into_iter().filter(|problem| !problems.contains(problem));
        let new: Vec<_> = new.map(|problem| problem.of_profile(profile)).collect();
        problems.extend(new);
    }
    if problems.is_empty() {
        let profiles = plain.profiles.iter().cloned().collect();
        return Ok(Checked { profiles, warnings: plain.warnings });
    }
    Err(ConfigError::new(problems))
}

fn found(loaded: &Loaded) -> Vec<Problem> {
    loaded.config().err().map(|error| error.problems().to_vec()).unwrap_or_default()
}
