//! A diff without context, line for line as Python's `difflib.unified_diff` finds it.

use std::collections::HashMap;

/// From this many lines on, what stands in more than one in a hundred of them is no anchor.
const POPULAR_FROM: usize = 200;

/// A run of lines: from, to, in the old and in the new text.
type Block = (usize, usize, usize, usize);

/// What changed between two texts.
pub(crate) fn diff(old: &str, new: &str, name: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    let mut lines = Vec::new();
    for (a_from, a_to, b_from, b_to) in changes(&a, &b) {
        if lines.is_empty() {
            lines.push(format!("--- {name}"));
            lines.push(format!("+++ {name}"));
        }
        lines.push(format!("@@ -{} +{} @@", range(a_from, a_to), range(b_from, b_to)));
        lines.extend(a[a_from..a_to].iter().map(|line| format!("-{line}").trim_end().to_owned()));
        lines.extend(b[b_from..b_to].iter().map(|line| format!("+{line}").trim_end().to_owned()));
    }
    lines.join("\n")
}

fn range(from: usize, to: usize) -> String {
    match to - from {
        1 => format!("{}", from + 1),
        0 => format!("{from},0"),
        length => format!("{},{length}", from + 1),
    }
}

/// Where the texts differ.
fn changes(a: &[&str], b: &[&str]) -> Vec<Block> {
    let mut changes = Vec::new();
    let (mut i, mut j) = (0, 0);
    let end = (a.len(), b.len(), 0);
    for (a_at, b_at, length) in matches(a, b).into_iter().chain([end]) {
        if i < a_at || j < b_at {
            changes.push((i, a_at, j, b_at));
        }
        (i, j) = (a_at + length, b_at + length);
    }
    changes
}

/// The longest run both have, then the same on both sides of it.
fn matches(a: &[&str], b: &[&str]) -> Vec<(usize, usize, usize)> {
    let mut at: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, line) in b.iter().enumerate() {
        at.entry(line).or_default().push(index);
    }
    if b.len() >= POPULAR_FROM {
        at.retain(|_, indices| indices.len() <= b.len() / 100 + 1);
    }
    let mut found = Vec::new();
    let mut open = vec![(0, a.len(), 0, b.len())];
    while let Some((a_from, a_to, b_from, b_to)) = open.pop() {
        let (i, j, length) = longest(a, b, &at, (a_from, a_to, b_from, b_to));
        if length > 0 {
            found.push((i, j, length));
            open.push((a_from, i, b_from, j));
            open.push((i + length, a_to, j + length, b_to));
        }
    }
    found.sort_unstable();
    found
}

fn longest(
    a: &[&str],
    b: &[&str],
    at: &HashMap<&str, Vec<usize>>,
    (a_from, a_to, b_from, b_to): Block,
) -> (usize, usize, usize) {
    let (mut best_i, mut best_j, mut best) = (a_from, b_from, 0);
    let mut lengths: HashMap<usize, usize> = HashMap::new();
    for (i, line) in a.iter().enumerate().take(a_to).skip(a_from) {
        let mut next = HashMap::new();
        for &j in at.get(line).map(Vec::as_slice).unwrap_or_default() {
            if j < b_from {
                continue;
            }
            if j >= b_to {
                break;
            }
            let length = j.checked_sub(1).and_then(|j| lengths.get(&j)).unwrap_or(&0) + 1;
            next.insert(j, length);
            if length > best {
                (best_i, best_j, best) = (i + 1 - length, j + 1 - length, length);
            }
        }
        lengths = next;
    }
    // Lines that are no anchors still belong to what they touch.
    while best_i > a_from && best_j > b_from && a[best_i - 1] == b[best_j - 1] {
        (best_i, best_j, best) = (best_i - 1, best_j - 1, best + 1);
    }
    while best_i + best < a_to && best_j + best < b_to && a[best_i + best] == b[best_j + best] {
        best += 1;
    }
    (best_i, best_j, best)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right-hand sides are what Python 3.12 prints.
    #[test]
    fn it_says_what_difflib_says() {
        for (old, new, expected) in [
            ("a\nb\nc\n", "a\nB\nc\n", "--- f\n+++ f\n@@ -2 +2 @@\n-b\n+B"),
            ("", "a\nb\nc\n", "--- f\n+++ f\n@@ -0,0 +1,3 @@\n+a\n+b\n+c"),
            ("a\nb\nc", "a\nc", "--- f\n+++ f\n@@ -2 +1,0 @@\n-b"),
            ("same", "same", ""),
            (
                "x\na\nb\ny",
                "a\nb\nz\ny\nw  ",
                "--- f\n+++ f\n@@ -1 +0,0 @@\n-x\n@@ -3,0 +3 @@\n+z\n@@ -4,0 +5 @@\n+w",
            ),
        ] {
            assert_eq!(diff(old, new, "f"), expected, "{old:?} {new:?}");
        }
    }

    #[test]
    fn frequent_lines_are_no_anchors() {
        let old: String = (0..300)
            .map(|i| format!("{}\n", if i % 2 == 0 { "}".to_owned() } else { i.to_string() }))
            .collect();
        let new = old.replace("151\n", "changed\n");
        assert_eq!(diff(&old, &new, "f"), "--- f\n+++ f\n@@ -152 +152 @@\n-151\n+changed");
    }
}
