//! What Python does with text, where the reference's rules depend on it.

use std::borrow::Cow;

use regex::Regex;

/// Compiles a pattern of ours. Its classes are Unicode's, as in `re` on text.
#[expect(clippy::expect_used, reason = "the patterns are constants, and each is used by a test")]
pub(crate) fn regex(pattern: &'static str) -> Regex {
    Regex::new(pattern).expect("a constant pattern")
}

/// White space of `str.split()` and `str.strip()`: Unicode's, and the four ASCII separators.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// `str.split()`.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// `str.strip()`.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// What reading a text file gives: every line ends with `\n`, whether it ended with that, `\r\n` or `\r`.
pub(crate) fn universal_newlines(text: &str) -> Cow<'_, str> {
    if !text.contains('\r') {
        return Cow::Borrowed(text);
    }
    let mut converted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\r') {
        converted.push_str(line);
        converted.push('\n');
        rest = after.strip_prefix('\n').unwrap_or(after);
    }
    converted.push_str(rest);
    Cow::Owned(converted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_at_every_kind_of_space() {
        let found: Vec<_> = words(" a\tb\u{1c}c\u{a0}d\u{2003}e  \u{85}").collect();
        assert_eq!(found, ["a", "b", "c", "d", "e"]);
        assert_eq!(words(" \u{1f}\n").count(), 0);
    }

    #[test]
    fn strip_takes_the_separators_too() {
        assert_eq!(strip("\u{1d}\n a b\u{1e} "), "a b");
    }

    #[test]
    fn every_line_end_becomes_a_line_feed() {
        assert_eq!(universal_newlines("a\r\nb\rc\n\rd\r\r\ne\r"), "a\nb\nc\n\nd\n\ne\n");
        assert!(matches!(universal_newlines("a\nb"), Cow::Borrowed("a\nb")));
    }
}
