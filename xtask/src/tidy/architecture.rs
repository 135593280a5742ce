//! ARCHITECTURE.md names every crate, and the paths that documents name exist.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Violation, text_of};
use crate::paths;

const MAP: &str = "ARCHITECTURE.md";
const DOCUMENTS: [&str; 2] = [MAP, "README.md"];

pub(super) fn check(files: &[String]) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for document in DOCUMENTS {
        if !files.iter().any(|file| file == document) {
            violations.push(Violation::new(document, "is missing: write it"));
            continue;
        }
        let text = text_of(document)?.unwrap_or_default();
        violations.extend(missing_paths(document, &text, files));
        if document == MAP {
            violations.extend(missing_crates(&text, files));
        }
    }
    Ok(violations)
}

fn missing_crates(text: &str, files: &[String]) -> Vec<Violation> {
    let folder = |file: &String| Some(file.strip_prefix("crates/")?.split_once('/')?.0.to_owned());
    let crates: BTreeSet<String> = files.iter().filter_map(folder).chain(["xtask".to_owned()]).collect();
    let unnamed = crates
        .iter()
        .filter(|name| !text.contains(&format!("`{name}`")) && !text.contains(&format!("crates/{name}")));
    unnamed
        .map(|name| Violation::new(MAP, format!("does not name the crate `{name}`: say what it is for")))
        .collect()
}

fn missing_paths(document: &str, text: &str, files: &[String]) -> Vec<Violation> {
    let tops: BTreeSet<&str> = files.iter().filter_map(|file| Some(file.split_once('/')?.0)).collect();
    let mut violations = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for path in quoted(line).filter(|path| is_repo_path(path, &tops)) {
            if !paths::root().join(path).exists() {
                let what = format!("names `{path}`, which does not exist: correct or remove it");
                violations.push(Violation::at(document, index + 1, what));
            }
        }
    }
    violations
}

/// What stands between backticks on one line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    let parts: Vec<&str> = line.split('`').collect();
    // An odd part is closed by the backtick that begins the next one.
    let closed = parts.len().saturating_sub(1);
    parts.into_iter().take(closed).skip(1).step_by(2)
}

/// Whether `text` can only mean a file of the checkout: it begins with one of its top-level folders.
fn is_repo_path(text: &str, tops: &BTreeSet<&str>) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    plain && text.split_once('/').is_some_and(|(top, _)| tops.contains(top))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backticks_pair_up() {
        let all = |line| quoted(line).collect::<Vec<_>>();
        assert_eq!(all("a `b` c `d/e`"), ["b", "d/e"]);
        assert_eq!(all("an open `one"), Vec::<&str>::new());
        assert_eq!(all("``"), [""]);
    }

    #[test]
    fn only_paths_below_a_folder_of_ours_count() {
        let tops = BTreeSet::from(["crates", ".ci"]);
        for (text, expected) in [
            ("crates/oh-eval", true),
            (".ci/run", true),
            ("crates/<name>/src", false),
            ("crates", false),
            ("/testbed", false),
            ("swebench/harness", false),
        ] {
            assert_eq!(is_repo_path(text, &tops), expected, "{text}");
        }
    }

    #[test]
    fn what_a_document_misses_is_found_with_its_line() {
        let files = ["crates/oh-a/Cargo.toml".to_owned()];
        let paths = missing_paths(MAP, "one\n`crates/oh-a` `crates/oh-gone/x.rs`\n", &files);
        let places: Vec<&str> = paths.iter().map(|v| v.place.as_str()).collect();
        assert_eq!(places, ["ARCHITECTURE.md:2", "ARCHITECTURE.md:2"]);
        assert_eq!(missing_crates("`xtask`", &files).len(), 1);
        assert_eq!(missing_crates("`xtask` and `oh-a`", &files).len(), 0);
    }
}
