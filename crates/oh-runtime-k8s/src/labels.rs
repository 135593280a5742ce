//! Labels as Kubernetes takes them: short words of few characters. What is no such word is selected by its hash, and
//! stands in full in the annotation of the same key.

use std::collections::BTreeMap;

use oh_runtime_api::{Labels, Selector, label};
use sha2::{Digest, Sha256};

/// Longest value of a label.
const MAX: usize = 63;
/// What a hash begins with.
const HASH: &str = "sha256.";
/// Hex digits of a hash.
const DIGITS: usize = 40;

type Map = BTreeMap<String, String>;

/// What `value` is as the value of a label.
fn encoded(value: &str) -> String {
    let end = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    let plain = value.len() <= MAX
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && end(value.chars().next())
        && end(value.chars().last())
        // Or a value could be taken for another one's hash.
        && !value.starts_with(HASH);
    if plain {
        return value.to_owned();
    }
    let hex = Sha256::digest(value);
    let digits = hex.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(DIGITS);
    HASH.chars().chain(digits.filter_map(|nibble| char::from_digit(u32::from(nibble), 16))).collect()
}

/// The labels and the annotations that stand for `labels`.
pub(crate) fn store(labels: &Labels) -> (Map, Map) {
    let stored: Map = labels.iter().map(|(key, value)| (key.clone(), encoded(value))).collect();
    let full = labels.iter().filter(|(key, value)| stored.get(*key) != Some(*value));
    let annotations = full.map(|(key, value)| (key.clone(), value.clone())).collect();
    (stored, annotations)
}

/// The labels that `store` made `stored` and `annotations` from. Annotations of others are left out.
pub(crate) fn load(stored: Option<&Map>, annotations: Option<&Map>) -> Labels {
    let mut labels = stored.cloned().unwrap_or_default();
    for (key, value) in annotations.into_iter().flatten() {
        if let Some(label) = labels.get_mut(key)
            && *label == encoded(value)
        {
            label.clone_from(value);
        }
    }
    labels
}

/// The label selector for `which`.
pub(crate) fn selector(which: &Selector) -> String {
    let selected = which.labels().into_iter().map(|(key, value)| format!("{key}={}", encoded(&value)));
    std::iter::once(label::SANDBOX.to_owned()).chain(selected).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_comes_back() {
        let long = "x".repeat(64);
        let values =
            ["plain", "1", "", "me@here", "owner__repo-1", "__a", "image:1", "日本", &long, "sha256.abc"];
        let labels: Labels =
            values.iter().enumerate().map(|(i, value)| (format!("oh.{i}"), (*value).to_owned())).collect();
        let (stored, annotations) = store(&labels);
        for value in stored.values() {
            assert!(value.len() <= MAX && encoded(value).len() <= MAX, "{value}");
            let bytes = value.as_bytes();
            assert!(bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b)), "{value}");
            assert!(bytes.first().is_none_or(u8::is_ascii_alphanumeric), "{value}");
        }
        assert_eq!(annotations.len(), 6, "{annotations:?}");
        assert_eq!(load(Some(&stored), Some(&annotations)), labels);
        let distinct: std::collections::BTreeSet<_> = stored.values().collect();
        assert_eq!(distinct.len(), values.len());
    }

    #[test]
    fn an_annotation_that_is_not_the_labels_is_no_label() {
        let (stored, _) = store(&[("oh.owner".to_owned(), "me@here".to_owned())].into());
        let forged = Map::from([
            ("oh.owner".to_owned(), "you@there".to_owned()),
            ("other".to_owned(), "1".to_owned()),
        ]);
        assert_eq!(load(Some(&stored), Some(&forged)), stored);
    }

    #[test]
    fn what_is_selected_is_what_is_stored() {
        let which = Selector { owner: Some("me@here".to_owned()), ..Selector::default() };
        let (stored, _) = store(&which.labels());
        assert_eq!(selector(&which), format!("oh.sandbox,oh.owner={}", stored["oh.owner"]));
        assert_eq!(selector(&Selector::default()), "oh.sandbox");
    }
}
