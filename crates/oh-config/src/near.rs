//! Which of the names we know was meant.

/// The one of `known` that is spelled most alike, if one is.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_ascii_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&folded, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().div_ceil(3).min(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_is_found_and_what_is_not_is_not() {
        let words = ["docker", "k8s", "local"];
        for (word, meant) in [
            ("dcoker", Some("docker")),
            ("Docker", Some("docker")),
            ("K8S", Some("k8s")),
            ("k8", Some("k8s")),
            ("podman", None),
            ("vm", None),
        ] {
            assert_eq!(nearest(word, words), meant, "{word}");
        }
    }
}
