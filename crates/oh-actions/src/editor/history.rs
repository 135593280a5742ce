//! What files held before their edits.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};

/// Edits of one file that can be undone.
const PER_FILE: usize = 10;
/// Bytes kept of all files together; the file edited longest ago is forgotten first.
const MAX_BYTES: usize = 64 << 20;

/// Former contents of files.
#[derive(Debug, Default)]
pub(super) struct History {
    files: HashMap<PathBuf, VecDeque<String>>,
    /// In the order of their last edits.
    order: VecDeque<PathBuf>,
    bytes: usize,
}

impl History {
    /// Keeps what a file held.
    pub(super) fn push(&mut self, path: &Path, content: String) {
        self.bytes += content.len();
        let file = self.files.entry(path.to_owned()).or_default();
        file.push_back(content);
        if file.len() > PER_FILE {
            self.bytes -= file.pop_front().map_or(0, |old| old.len());
        }
        self.order.retain(|other| other != path);
        self.order.push_back(path.to_owned());
        while self.bytes > MAX_BYTES && self.order.len() > 1 {
            if let Some(path) = self.order.pop_front() {
                let file = self.files.remove(&path).unwrap_or_default();
                self.bytes -= file.iter().map(String::len).sum::<usize>();
            }
        }
    }

    /// What a file held last, which is forgotten.
    pub(super) fn pop(&mut self, path: &Path) -> Option<String> {
        let content = self.files.get_mut(path)?.pop_back()?;
        self.bytes -= content.len();
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ten_come_back_in_reverse() {
        let (mut history, path) = (History::default(), Path::new("/a"));
        (0..12).for_each(|number| history.push(path, number.to_string()));
        let back: Vec<String> = std::iter::from_fn(|| history.pop(path)).collect();
        assert_eq!(back, ["11", "10", "9", "8", "7", "6", "5", "4", "3", "2"]);
        assert_eq!(history.bytes, 0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut history = History::default();
        for number in 0..10 {
            history.push(Path::new(&format!("/{number}")), "x".repeat(10 << 20));
        }
        assert!(history.bytes <= MAX_BYTES);
        assert!(history.pop(Path::new("/0")).is_none() && history.pop(Path::new("/9")).is_some());
    }
}
