//! What can be wrong on the way from an instance to its image.

use std::fmt;

/// A result of this crate.
pub type Result<T, E = ImageError> = std::result::Result<T, E>;

/// Longest text that is quoted in full: what is wrong may be as large as a dataset's row.
const MAX_QUOTED: usize = 120;

/// Why there is no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The text is no image reference.
    #[error("invalid image {}: {why}, write one like debian:12 or registry.example.com/team/app:1.0", Quoted(.text))]
    Reference {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// The image of this instance is no image reference.
    #[error("no image for instance {}", Quoted(.instance_id))]
    Instance {
        /// Which.
        instance_id: String,
        /// What is wrong with the image the row names, or with the one the template gives.
        source: Box<Self>,
    },
    /// The instance's id cannot be part of an image's name.
    #[error("no image for instance {}: {why}, so name its image in the dataset", Quoted(.instance_id))]
    InstanceId {
        /// Which.
        instance_id: String,
        /// What is wrong with it.
        why: String,
    },
    /// The template has a placeholder nobody knows, or one that is not closed.
    #[error("invalid image template {}: {why}", Quoted(.template))]
    Template {
        /// What was given.
        template: String,
        /// What is wrong with it.
        why: String,
    },
    /// The mirror is no registry.
    #[error("invalid image mirror {}: {why}, write one like registry.example.com or localhost:5000/proxy", Quoted(.mirror))]
    Mirror {
        /// What was given.
        mirror: String,
        /// What is wrong with it.
        why: String,
    },
    /// The repository is none.
    #[error("invalid image repository {}: {why}, write one like registry.example.com/team", Quoted(.repo))]
    Repo {
        /// What was given.
        repo: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Text in quotes, without control characters, and cut where it is long.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(MAX_QUOTED) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => write!(f, "{:?}… ({} bytes)", &self.0[..end], self.0.len()),
        }
    }
}
