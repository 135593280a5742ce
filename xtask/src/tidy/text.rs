//! What must not stand in a file.

use anyhow::Result;

use super::{Violation, text_of};
use crate::paths;

/// A Rust file longer than this has more than one purpose.
const MAX_LINES: usize = 500;
/// Files people write; generated data and recorded output may hold anything.
const WRITTEN: [&str; 8] = [".rs", ".toml", ".md", ".sh", ".py", ".yml", ".yaml", "Dockerfile"];

/// What to look for and what to do about it. Built from halves, so that this file does not find itself.
const WORDS: [(&str, &str); 5] = [
    (concat!("TO", "DO"), "do it, or open an issue"),
    (concat!("FIX", "ME"), "mend it, or open an issue"),
    (concat!("to", "do!("), "write it"),
    (concat!("unimpl", "emented!("), "write it"),
    (concat!("#[", "allow("), "use #[expect(…, reason = \"…\")]"),
];
/// Folders of one machine's users.
const HOMES: [&str; 2] = [concat!("/ho", "me/"), concat!("/Us", "ers/")];

pub(super) fn check(files: &[String]) -> Result<Vec<Violation>> {
    let root = paths::root().to_string_lossy();
    let mut violations = Vec::new();
    for path in files {
        let Some(text) = text_of(path)? else { continue };
        let written = WRITTEN.iter().any(|end| path.ends_with(end)) || path.starts_with(".ci/");
        violations.extend(check_text(path, &text, written, &root));
    }
    Ok(violations)
}

fn check_text(path: &str, text: &str, written: bool, root: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    let lines = text.lines().count();
    if path.ends_with(".rs") && lines > MAX_LINES {
        violations.push(Violation::new(
            path,
            format!("has {lines} lines, more than {MAX_LINES}: split it by purpose"),
        ));
    }
    for (index, line) in text.lines().enumerate() {
        if line.contains(root) || (written && HOMES.iter().any(|home| names_a_user(line, home))) {
            violations.push(Violation::at(path, index + 1, "names a path of one machine: make it relative"));
        }
        if let Some((word, advice)) = WORDS.iter().find(|(word, _)| written && line.contains(word)) {
            violations.push(Violation::at(path, index + 1, format!("{word} is left: {advice}")));
        }
    }
    violations
}

/// Whether a folder of a user stands in `line`; `/home/<user>/` or a bare `/home/` is no machine's.
fn names_a_user(line: &str, home: &str) -> bool {
    let starts = |at: usize| !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "._-".contains(c));
    line.match_indices(home)
        .any(|(at, _)| starts(at) && line[at + home.len()..].starts_with(|c: char| c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(path: &str, text: &str) -> Vec<String> {
        check_text(path, text, true, "/the/checkout").into_iter().map(|v| v.place).collect()
    }

    #[test]
    fn finds_what_is_left_with_its_line() {
        let text = format!("fine\n// {}: later\n    {})\n", WORDS[0].0, WORDS[2].0);
        assert_eq!(places("a.rs", &text), ["a.rs:2", "a.rs:3"]);
    }

    #[test]
    fn finds_paths_of_a_machine() {
        let text = format!(
            "in /the/checkout/x\nin {}ada/x\nin {}<name>\nin repo{}x\n",
            HOMES[0], HOMES[0], HOMES[0]
        );
        assert_eq!(places("a.md", &text), ["a.md:1", "a.md:2"]);
    }

    #[test]
    fn finds_long_files() {
        assert_eq!(places("a.rs", &"x\n".repeat(MAX_LINES)), Vec::<String>::new());
        assert_eq!(places("a.rs", &"x\n".repeat(MAX_LINES + 1)), ["a.rs"]);
    }
}
