//! What the editor shows of a file or folder.

use std::collections::BTreeSet;
use std::path::Path;

use oh_runtime::EntryKind;

use super::{CONVERTED, Outcome, invalid, read, said};
use crate::files::{Files, Found, suffix};
use crate::text::lines;

/// Longest text shown, in characters.
const MAX: usize = 16_000;
const FILE_CLIPPED: &str = "<response clipped><NOTE>Due to the max output limit, only part of this file has been shown to you. \
    You should retry this tool after you have searched inside the file with `grep -n` in order to find the line numbers of \
    what you are looking for.</NOTE>";
const FOLDER_CLIPPED: &str = "<response clipped><NOTE>Due to the max output limit, only part of this directory has been shown \
    to you. You should use `ls -la` instead to view large directories incrementally.</NOTE>";

/// A file with line numbers, all of it or a range of lines, or a folder.
pub(super) async fn view(
    files: Files<'_>,
    path: &Path,
    found: Option<Found>,
    range: Option<&[i64]>,
) -> Outcome<String> {
    let Some(found) = found else { return said(format!("{} is gone", path.display())) };
    let range = range.filter(|range| !range.is_empty());
    if found.is_folder() {
        if let Some(range) = range {
            let hint = "The `view_range` parameter is not allowed when `path` points to a directory.";
            return invalid("view_range", format!("{range:?}"), hint);
        }
        return folder(files, path).await;
    }
    if CONVERTED.contains(&suffix(path).as_str()) {
        return said(format!(
            "Error in converting file to Markdown: this runtime does not convert files. Please use Python code to read {}",
            path.display()
        ));
    }
    let text = read(files, path, &found).await?.content;
    let name = path.display().to_string();
    let Some(range) = range else { return Ok(numbered(&text, &name, 1)) };
    let all = lines(&text);
    let shown = format!("{range:?}");
    let &[start, end] = range else {
        return invalid("view_range", shown, "It should be a list of two integers.");
    };
    let count = i64::try_from(all.len()).unwrap_or(i64::MAX);
    if start < 1 || start > count {
        let hint = format!(
            "Its first element `{start}` should be within the range of lines of the file: [1, {count}]."
        );
        return invalid("view_range", shown, &hint);
    }
    let last = if end == -1 { count } else { end.min(count) };
    if last < start {
        let hint = format!(
            "Its second element `{last}` should be greater than or equal to the first element `{start}`."
        );
        return invalid("view_range", shown, &hint);
    }
    let part: String = all.iter().take(index(last)).skip(index(start - 1)).copied().collect();
    let part = part.strip_suffix('\n').unwrap_or(&part);
    let view = numbered(part, &name, index(start));
    Ok(if end > count {
        format!("NOTE: We only show up to {count} since there're only {count} lines in this file.\n{view}")
    } else {
        view
    })
}

fn index(line: i64) -> usize {
    usize::try_from(line).unwrap_or(0)
}

/// `text` as `cat -n` shows it.
pub(super) fn numbered(text: &str, what: &str, first: usize) -> String {
    let text = clipped(text, FILE_CLIPPED);
    let mut view = format!("Here's the result of running `cat -n` on {what}:\n");
    for (line, number) in text.split('\n').zip(first..) {
        view += &format!("{number:6}\t{line}\n");
    }
    view
}

fn clipped(text: &str, notice: &str) -> String {
    match text.char_indices().nth(MAX) {
        Some((at, _)) => format!("{}{notice}", &text[..at]),
        None => text.to_owned(),
    }
}

/// Two levels of a folder, without what is hidden; links are followed.
async fn folder(files: Files<'_>, path: &Path) -> Outcome<String> {
    let name = path.display();
    // Name, and whether it is a folder.
    let mut all = vec![(path.to_string_lossy().into_owned(), true)];
    let mut hidden = 0;
    for (entry, is_folder) in entries(files, path).await? {
        if entry.starts_with('.') {
            hidden += 1;
            continue;
        }
        let below = path.join(&entry);
        all.push((below.to_string_lossy().into_owned(), is_folder));
        if is_folder {
            for (entry, is_folder) in
                entries(files, &below).await?.into_iter().filter(|(name, _)| !name.starts_with('.'))
            {
                all.push((below.join(entry).to_string_lossy().into_owned(), is_folder));
            }
        }
    }
    all.sort_unstable();
    let folders: BTreeSet<&str> = all.iter().filter(|(_, is)| *is).map(|(name, _)| name.as_str()).collect();
    let listing: String = all.iter().map(|(name, _)| format!("{name}\n")).collect();
    let listing = clipped(&listing, FOLDER_CLIPPED);
    let shown: Vec<String> = listing
        .trim()
        .split('\n')
        .map(|line| if folders.contains(line) { format!("{line}/") } else { line.to_owned() })
        .collect();
    let mut view = format!(
        "Here's the files and directories up to 2 levels deep in {name}, excluding hidden items:\n{}",
        shown.join("\n")
    );
    if hidden > 0 {
        view += &format!(
            "\n\n{hidden} hidden files/directories in this directory are excluded. You can use 'ls -la {name}' to see them."
        );
    }
    Ok(view)
}

/// The names in a folder, and whether each is one itself.
async fn entries(files: Files<'_>, path: &Path) -> Outcome<Vec<(String, bool)>> {
    let mut entries = Vec::new();
    for entry in files.sandbox.list(path).await? {
        let is_folder = match entry.kind {
            EntryKind::Symlink => {
                files.find(&path.join(&entry.name)).await?.is_some_and(|found| found.is_folder())
            }
            kind => kind == EntryKind::Directory,
        };
        entries.push((entry.name.to_string_lossy().into_owned(), is_folder));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_in_six_columns() {
        assert_eq!(
            numbered("a\nb\n", "f", 9),
            "Here's the result of running `cat -n` on f:\n     9\ta\n    10\tb\n    11\t\n"
        );
    }

    #[test]
    fn what_is_too_long_is_clipped_after_so_many_characters() {
        let view = numbered(&"ü".repeat(MAX + 1), "f", 1);
        assert!(view.ends_with(&format!("ü{FILE_CLIPPED}\n")) && view.matches('ü').count() == MAX);
    }
}
