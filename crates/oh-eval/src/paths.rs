//! The tree of logs and reports, and names that are safe in it.
//!
//! ```text
//! <model>.<run id>.json                                   report of the run
//! logs/run_evaluation/<run id>/run.json                   what was evaluated
//! logs/run_evaluation/<run id>/<model>/<instance id>/     run_instance.log, patch.diff, eval.sh, test_output.txt, report.json
//! ```
//! In `<model>` every `/` is `__`.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use oh_runtime::RunId;

/// Longest name in bytes. File systems allow 255; the rest is for the run id and what else becomes part of a file name.
const MAX_NAME: usize = 150;
/// How much of a bad name is shown.
const SHOWN: usize = 60;

/// A name that cannot be used for a file or folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} cannot be the name of a file or folder ({rule})")]
pub struct BadName {
    /// The name, or its beginning.
    pub value: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

/// Refuses what is not exactly one component of a path, or cannot be created. Ids come from files that others wrote.
///
/// # Errors
/// With the rule that it breaks.
pub fn check_name(name: &str) -> Result<(), BadName> {
    let rule = if name.is_empty() {
        "it must not be empty"
    } else if name.len() > MAX_NAME {
        "use at most 150 bytes"
    } else if name.contains('/') {
        "it must not contain '/'"
    } else if name == "." || name == ".." {
        "it must not be '.' or '..'"
    } else if name.contains(char::is_control) {
        "it must not contain control characters"
    } else {
        return Ok(());
    };
    Err(BadName { value: name.chars().take(SHOWN).collect(), rule })
}

/// The folder of a model: its name with `__` for every `/`.
///
/// # Errors
/// When that is no name for a folder.
pub fn model_folder(model: &str) -> Result<String, BadName> {
    let folder = model.replace('/', "__");
    check_name(&folder)?;
    Ok(folder)
}

/// Where the files of one run are.
#[derive(Debug, Clone)]
pub struct RunTree {
    out: PathBuf,
    run: RunId,
}

impl RunTree {
    /// The tree of `run` under the folder `out`. Creates nothing.
    #[must_use]
    pub fn new(out: &Path, run: RunId) -> Self {
        Self { out: out.to_owned(), run }
    }

    /// The folder of everything but the run's report.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.out.join("logs/run_evaluation").join(self.run.as_str())
    }

    /// What was evaluated: [`RunMetadata`](crate::report::RunMetadata).
    #[must_use]
    pub fn metadata(&self) -> PathBuf {
        self.folder().join("run.json")
    }

    /// The report of the run; `model` is the one of its first prediction.
    ///
    /// # Errors
    /// When the model is no name for a file.
    pub fn report(&self, model: &str) -> Result<PathBuf, BadName> {
        Ok(self.out.join(format!("{}.{}.json", model_folder(model)?, self.run)))
    }

    /// The files of one instance.
    ///
    /// # Errors
    /// When the model or the instance is no name for a folder.
    pub fn instance(&self, model: &str, instance_id: &str) -> Result<InstanceFiles, BadName> {
        check_name(instance_id)?;
        Ok(InstanceFiles(self.folder().join(model_folder(model)?).join(instance_id)))
    }
}

/// Where the files of one instance of a run are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceFiles(PathBuf);

impl InstanceFiles {
    /// The folder that holds them.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// What was done, step by step.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("run_instance.log")
    }

    /// The prediction's patch.
    #[must_use]
    pub fn patch(&self) -> PathBuf {
        self.0.join("patch.diff")
    }

    /// The script that ran the tests.
    #[must_use]
    pub fn script(&self) -> PathBuf {
        self.0.join("eval.sh")
    }

    /// What that script printed, both streams in one, bytes as they were.
    #[must_use]
    pub fn test_output(&self) -> PathBuf {
        self.0.join("test_output.txt")
    }

    /// The verdict. An instance that has it is finished.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.0.join("report.json")
    }
}

/// Writes a file whole or not at all: under a temporary name in the same folder, which is made if it is not there, then
/// renamed. A reader, or a run that goes on after a crash, never sees a part of it.
///
/// # Errors
/// When the folder or the file cannot be written.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(folder)?;
    // What `File::create` would ask for; the umask applies.
    let permissions = std::fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(".new-").permissions(permissions).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> RunTree {
        RunTree::new(Path::new("out"), RunId::new("try-1").unwrap())
    }

    #[test]
    fn names_that_leave_the_tree_or_cannot_be_made_are_refused() {
        for bad in ["", ".", "..", "a/b", "/", "../a", "a\0b", "a\nb", "\u{85}", &"x".repeat(151)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
            assert!(tree().instance("m", bad).is_err(), "{bad:?}");
        }
        for good in ["a", "..a", "a..b", "django__django-1", "日本", " ", &"x".repeat(150)] {
            assert_eq!(check_name(good), Ok(()));
        }
        let long = check_name(&"x".repeat(9999)).unwrap_err().to_string();
        assert!(long.len() < 200 && long.contains("150 bytes"), "{long}");
    }

    #[test]
    fn slashes_of_a_model_become_underscores_so_it_stays_one_folder() {
        assert_eq!(model_folder("org/model/v1").unwrap(), "org__model__v1");
        assert_eq!(model_folder("../../etc").unwrap(), "..__..__etc");
        assert!(model_folder("..").is_err());
        assert!(model_folder("").is_err());
    }

    #[test]
    fn the_tree_is_the_reference_s() {
        let files = tree().instance("org/model", "a__b-1").unwrap();
        let folder = Path::new("out/logs/run_evaluation/try-1/org__model/a__b-1");
        assert_eq!(files.folder(), folder);
        for (file, name) in [
            (files.log(), "run_instance.log"),
            (files.patch(), "patch.diff"),
            (files.script(), "eval.sh"),
            (files.test_output(), "test_output.txt"),
            (files.report(), "report.json"),
        ] {
            assert_eq!(file, folder.join(name));
        }
        assert_eq!(tree().metadata(), Path::new("out/logs/run_evaluation/try-1/run.json"));
        assert_eq!(tree().report("org/model").unwrap(), Path::new("out/org__model.try-1.json"));
    }

    #[test]
    fn an_atomic_write_replaces_whole_files_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/report.json");
        write_atomic(&path, b"one, which is longer").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        // As any other file: readable by whom the umask lets read.
        let plain = folder.path().join("plain");
        std::fs::write(&plain, "").unwrap();
        let mode = |path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain));
    }

    #[test]
    fn a_failed_write_keeps_the_old_file_and_no_temporary_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        std::fs::create_dir(&path).unwrap();
        assert!(write_atomic(&path, b"x").is_err());
        assert!(write_atomic(&folder.path().join("file/x"), b"x").is_ok());
        assert!(write_atomic(&folder.path().join("file/x/y"), b"x").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
