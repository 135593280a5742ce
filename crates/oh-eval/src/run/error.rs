//! Why a run did not come to its end.

use std::io;
use std::path::PathBuf;

use oh_builder::ImageError;
use oh_runtime::{Error, InvalidName};

use crate::dataset::DatasetError;
use crate::paths::BadName;
use crate::predictions::PredictionsError;
use crate::report::ReportError;

/// Why a run did not come to its end. What was finished until then keeps its report.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The dataset cannot be used.
    #[error(transparent)]
    Dataset(DatasetError),
    /// The predictions cannot be used.
    #[error(transparent)]
    Predictions(PredictionsError),
    /// The run id cannot be used.
    #[error(transparent)]
    RunId(#[from] InvalidName),
    /// An image cannot be named.
    #[error("the image of {instance_id:?} is not known")]
    Image {
        /// For which instance.
        instance_id: String,
        /// Why.
        source: ImageError,
    },
    /// An instance or model cannot name a folder.
    #[error(transparent)]
    Name(#[from] BadName),
    /// Another process evaluates the same run in the same folder.
    #[error("run {run_id} is being evaluated here by another process (wait for it, or use another run id)")]
    Busy {
        /// Which.
        run_id: String,
    },
    /// The folder for logs and reports cannot be written.
    #[error("{} cannot be written (use another folder with --out)", path.display())]
    Output {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A report cannot be read or written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The backend failed for the run as a whole.
    #[error(transparent)]
    Runtime(Error),
    /// The run was interrupted.
    #[error("interrupted after {finished} of {todo} instances (the same command goes on from there)")]
    Interrupted {
        /// Instances finished by this run.
        finished: usize,
        /// Instances it had to do.
        todo: usize,
    },
}

/// What a caller can do about an [`EvalError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvalErrorKind {
    /// Change the input or the options.
    Input,
    /// See what is wrong with the folder or file.
    Files,
    /// See what is wrong with the backend: the source is an [`Error`].
    Backend,
    /// Run it again.
    Interrupted,
}

impl EvalError {
    /// What was being done, to go before the message.
    #[must_use]
    pub fn operation(&self) -> &str {
        match self {
            Self::Dataset(_) => "read the dataset",
            Self::Predictions(_) => "read the predictions",
            Self::RunId(_) | Self::Busy { .. } => "start the run",
            Self::Image { .. } => "find the image",
            Self::Name(_) => "lay out the logs",
            Self::Output { .. } => "write logs and reports",
            Self::Report(_) => "keep the reports",
            Self::Runtime(error) => error.operation(),
            Self::Interrupted { .. } => "finish the run",
        }
    }

    /// What a caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> EvalErrorKind {
        match self {
            Self::Dataset(_)
            | Self::Predictions(_)
            | Self::RunId(_)
            | Self::Image { .. }
            | Self::Name(_)
            | Self::Busy { .. } => EvalErrorKind::Input,
            Self::Output { .. } | Self::Report(_) => EvalErrorKind::Files,
            Self::Runtime(_) => EvalErrorKind::Backend,
            Self::Interrupted { .. } => EvalErrorKind::Interrupted,
        }
    }
}
