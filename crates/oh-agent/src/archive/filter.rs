//! Which parts of a tree are copied.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use fast_glob::glob_match;

/// A pattern that cannot mean anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPattern {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Patterns for paths below the top of a tree: `*`, `?`, `[a-z]`, `{a,b}` within a name, `**` for any folders. A pattern
/// with a slash in it, not counting one at its end, is meant from the top; another one matches a name at any depth. What
/// matches a folder matches all that is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    include: Vec<String>,
    exclude: Vec<String>,
}

impl Filter {
    /// Takes what matches one of `include`, or everything when that is empty, but for what matches one of `exclude`.
    ///
    /// # Errors
    /// A pattern that is empty, or leads out of the tree.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, BadPattern> {
        let checked = |patterns: &[String]| -> Result<Vec<String>, BadPattern> {
            patterns.iter().map(|pattern| checked(pattern)).collect()
        };
        Ok(Self { include: checked(include)?, exclude: checked(exclude)? })
    }

    /// The patterns: included, excluded.
    #[must_use]
    pub fn patterns(&self) -> (&[String], &[String]) {
        (&self.include, &self.exclude)
    }

    /// Whether everything is copied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Whether nothing at or below `path`, counted from the top, is copied.
    pub(super) fn excludes(&self, path: &Path) -> bool {
        matches_any(&self.exclude, path)
    }

    /// Whether a file, or a folder for its own sake, is copied.
    pub(super) fn includes(&self, path: &Path) -> bool {
        self.include.is_empty() || matches_any(&self.include, path)
    }
}

fn checked(pattern: &str) -> Result<String, BadPattern> {
    let bad = |reason| BadPattern { pattern: pattern.to_owned(), reason };
    let meant = pattern.trim_end_matches('/');
    if meant.is_empty() {
        return Err(bad("it is empty"));
    }
    if Path::new(meant).components().any(|part| part == Component::ParentDir) {
        return Err(bad("it leads out of the tree"));
    }
    Ok(match meant.strip_prefix('/') {
        Some(from_the_top) => from_the_top.to_owned(),
        None if meant.contains('/') => meant.to_owned(),
        None => format!("**/{meant}"),
    })
}

/// Whether the path or a folder it is in matches.
fn matches_any(patterns: &[String], path: &Path) -> bool {
    patterns.iter().any(|pattern| {
        path.ancestors()
            .take_while(|part| !part.as_os_str().is_empty())
            .any(|part| glob_match(pattern.as_bytes(), part.as_os_str().as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(include: &[&str], exclude: &[&str]) -> Filter {
        let owned =
            |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>();
        Filter::new(&owned(include), &owned(exclude)).unwrap()
    }

    #[test]
    fn a_name_matches_at_any_depth_and_a_path_from_the_top() {
        let names = filter(&[], &["*.pyc", ".git", "/build", "docs/**/draft?.md", "[ab].{txt,md}"]);
        for out in [
            "x.pyc",
            "a/b/x.pyc",
            ".git",
            "sub/.git/config",
            "build/x",
            "docs/a/b/draft1.md",
            "a.md",
            "x/b.txt",
        ] {
            assert!(names.excludes(Path::new(out)), "{out}");
        }
        for kept in ["x.py", "git", "sub/build", "docs/draft.md", "c.md", "x.pyc2"] {
            assert!(!names.excludes(Path::new(kept)), "{kept}");
        }
        let only = filter(&["src", "*.toml"], &[]);
        assert!(only.includes(Path::new("src/a/b.rs")) && only.includes(Path::new("x/Cargo.toml")));
        assert!(!only.includes(Path::new("README.md")));
        assert!(Filter::default().includes(Path::new("anything")));
    }

    #[test]
    fn what_cannot_mean_anything_is_refused() {
        for (pattern, reason) in
            [("", "it is empty"), ("//", "it is empty"), ("a/../b", "it leads out of the tree")]
        {
            let bad = BadPattern { pattern: pattern.to_owned(), reason };
            assert_eq!(Filter::new(&[pattern.to_owned()], &[]), Err(bad));
        }
    }
}
