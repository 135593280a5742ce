//! The example dataset: `examples/quickstart/*.jsonl`, written from files a reader can open.
//!
//! `repos/<id>/` is the repository with its bug, `tasks/<id>/` holds `problem_statement.md`, `gold.patch`,
//! `test.patch`, `wrong.patch` and `tests.json` (names as SWE-bench's task repositories have them), `eval.sh` is
//! the script of all of them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::cmd::Cmd;
use crate::{paths, ui};

/// The dataset.
pub(crate) const INSTANCES: &str = "instances.jsonl";
/// Predictions that apply and do not solve.
pub(crate) const WRONG: &str = "wrong.jsonl";

/// Everything a commit's hash depends on besides the files.
const COMMIT_ENV: [(&str, &str); 8] = [
    ("GIT_AUTHOR_NAME", "oh-quickstart"),
    ("GIT_AUTHOR_EMAIL", "oh-quickstart@example.org"),
    ("GIT_AUTHOR_DATE", "2025-01-01T00:00:00Z"),
    ("GIT_COMMITTER_NAME", "oh-quickstart"),
    ("GIT_COMMITTER_EMAIL", "oh-quickstart@example.org"),
    ("GIT_COMMITTER_DATE", "2025-01-01T00:00:00Z"),
    // The user's own settings could rewrite line ends, sign, or name another object format.
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
];

/// One example.
pub(crate) struct Instance {
    /// As the dataset names it: `oh-quickstart__memo-1`.
    pub(crate) id: String,
}

/// A row of a SWE-bench 5.x dataset.
#[derive(Serialize)]
struct Row<'a> {
    instance_id: &'a str,
    repo: &'a str,
    version: &'a str,
    base_commit: &'a str,
    image: &'a str,
    eval_script: &'a str,
    log_parser: &'a str,
    eval_type: &'a str,
    #[serde(flatten)]
    tests: Tests,
    problem_statement: &'a str,
    patch: &'a str,
    test_patch: &'a str,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
struct Tests {
    fail_to_pass: Vec<String>,
    pass_to_pass: Vec<String>,
}

#[derive(Serialize)]
struct Prediction<'a> {
    instance_id: &'a str,
    model_name_or_path: &'a str,
    model_patch: &'a str,
}

impl Instance {
    /// All of them, sorted.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let folder = folder().join("tasks");
        let entries =
            std::fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))?;
        let mut ids = Vec::new();
        for entry in entries {
            ids.push(entry?.file_name().to_string_lossy().into_owned());
        }
        ids.sort();
        Ok(ids.into_iter().map(|id| Self { id }).collect())
    }

    /// The image it runs in.
    pub(crate) fn image(&self) -> String {
        format!("{}:1", self.id.replace("__", "/"))
    }

    /// Makes its repository at `testbed`, which must not exist, and returns the commit. The same files give the
    /// same commit on every machine.
    pub(crate) fn make_repository(&self, testbed: &Path) -> Result<String> {
        copy_tree(&folder().join("repos").join(&self.id), testbed)?;
        let git = |words: &[&str]| {
            let argv: Vec<&str> = ["git"].iter().chain(words).copied().collect();
            COMMIT_ENV
                .iter()
                .fold(Cmd::new(&argv).dir(testbed), |cmd, (name, value)| cmd.env(name, value))
                .read()
        };
        git(&["init", "-q", "--template=", "--initial-branch=main"])?;
        git(&["add", "--all"])?;
        git(&["commit", "-q", "-m", &self.id])?;
        // What somebody's own test run has left in the checkout does not belong into an image.
        git(&["clean", "-fdxq"])?;
        git(&["rev-parse", "HEAD"])
    }

    fn row(&self) -> Result<String> {
        let scratch = tempfile::tempdir()?;
        let base_commit = self.make_repository(&scratch.path().join("testbed"))?;
        let test_patch = self.part("test.patch")?;
        let eval_script = read(&folder().join("eval.sh"))?
            .replace("@BASE@", &base_commit)
            .replace("@TEST_FILES@", &patched_files(&test_patch).join(" "))
            // Only the last line's end: a patch may close with an empty line of context, which is a space.
            .replace("@TEST_PATCH@", test_patch.strip_suffix('\n').unwrap_or(&test_patch));
        let (repo, number) = self.id.rsplit_once('-').context("an instance id ends in -<number>")?;
        let tests: Tests = serde_json::from_str(&self.part("tests.json")?)
            .with_context(|| format!("bad tests.json of {}", self.id))?;
        ensure!(!tests.fail_to_pass.is_empty(), "{} has no FAIL_TO_PASS", self.id);
        Ok(serde_json::to_string(&Row {
            instance_id: &self.id,
            repo: &repo.replace("__", "/"),
            version: number,
            base_commit: &base_commit,
            image: &self.image(),
            eval_script: &eval_script,
            log_parser: "parse_log_pytest",
            eval_type: "pass_and_fail",
            tests,
            problem_statement: &self.part("problem_statement.md")?,
            patch: &self.part("gold.patch")?,
            test_patch: &test_patch,
        })?)
    }

    fn wrong_prediction(&self) -> Result<String> {
        Ok(serde_json::to_string(&Prediction {
            instance_id: &self.id,
            model_name_or_path: "wrong",
            model_patch: &self.part("wrong.patch")?,
        })?)
    }

    fn part(&self, name: &str) -> Result<String> {
        read(&folder().join("tasks").join(&self.id).join(name))
    }
}

/// Writes the generated files.
pub(crate) fn write() -> Result<()> {
    for (path, text) in generated()? {
        std::fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
        ui::note(format!("wrote {}", path.display()));
    }
    Ok(())
}

/// Fails if a generated file is not what its pieces give.
pub(crate) fn check() -> Result<()> {
    for (path, text) in generated()? {
        if std::fs::read_to_string(&path).ok().as_deref() != Some(&text) {
            bail!("{} is out of date: run `cargo xtask examples`", path.display());
        }
    }
    Ok(())
}

/// The folder of the example.
pub(crate) fn folder() -> PathBuf {
    paths::root().join("examples/quickstart")
}

fn generated() -> Result<[(PathBuf, String); 2]> {
    let (mut rows, mut wrong) = (String::new(), String::new());
    for instance in Instance::all()? {
        rows += &(instance.row()? + "\n");
        wrong += &(instance.wrong_prediction()? + "\n");
    }
    Ok([(folder().join(INSTANCES), rows), (folder().join(WRONG), wrong)])
}

/// The files a patch changes, by the reference's rule for test files.
fn patched_files(patch: &str) -> Vec<&str> {
    patch
        .lines()
        .filter_map(|line| line.strip_prefix("diff --git a/"))
        .filter_map(|names| names.rsplit_once(" b/"))
        .map(|(_, new)| new)
        .collect()
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir(to).with_context(|| format!("failed to make {}", to.display()))?;
    let entries = std::fs::read_dir(from).with_context(|| format!("failed to read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)
                .with_context(|| format!("failed to copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patched_files_are_the_new_names() {
        let patch =
            "diff --git a/tests/a.py b/tests/b.py\n--- a/tests/a.py\n+++ b/tests/b.py\n-diff --git a/x b/y\n";
        assert_eq!(patched_files(patch), ["tests/b.py"]);
    }

    #[test]
    fn a_repository_does_not_depend_on_where_it_is_made() {
        let instance = Instance { id: "oh-quickstart__memo-1".into() };
        let scratch = tempfile::tempdir().unwrap();
        let commits = ["a", "b"].map(|name| instance.make_repository(&scratch.path().join(name)).unwrap());
        assert_eq!(commits[0], commits[1]);
        assert!(check().is_ok(), "run `cargo xtask examples`");
    }
}
