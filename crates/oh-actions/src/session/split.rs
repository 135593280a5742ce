//! Finds several commands in one, where OpenHands refuses to run them.
//!
//! OpenHands asks bashlex, and runs what bashlex cannot read as it is. So does this: what bashlex cannot read is one command.

use brush_parser::ast::SourceLocation as _;
use brush_parser::{ParserOptions, Token, parse_tokens, tokenize_str};

/// Words that bashlex knows nothing of.
const UNREAD: [&str; 5] = ["[[", "case", "select", "coproc", "time"];
/// What it does not read within a word.
const UNREAD_IN_WORD: [&str; 2] = ["$((", "$["];

/// The top-level commands of `text`, which stand on lines of their own.
pub(super) fn commands(text: &str) -> Vec<&str> {
    let whole = || vec![text];
    if !text.contains('\n') {
        return whole();
    }
    let Ok(tokens) = tokenize_str(text) else { return whole() };
    if tokens.iter().any(is_unread) || tokens.windows(2).any(is_array) {
        return whole();
    }
    let Ok(program) = parse_tokens(&tokens, &ParserOptions::default()) else { return whole() };
    let starts: Option<Vec<usize>> =
        program.complete_commands.iter().map(|command| Some(command.location()?.start.index)).collect();
    let Some(starts) = starts.filter(|starts| starts.len() > 1) else { return whole() };
    let at = |start| text.char_indices().nth(start).map_or(text.len(), |(at, _)| at);
    // A comment before the first one is no command.
    let ends = starts.iter().skip(1).copied().map(at).chain([text.len()]);
    starts.iter().copied().map(at).zip(ends).map(|(start, end)| text[start..end].trim_end()).collect()
}

/// Whether `text` ends amid something.
pub(super) fn is_open(text: &str) -> bool {
    tokenize_str(text).is_err_and(|error| error.is_incomplete())
}

fn is_unread(token: &Token) -> bool {
    let Token::Word(word, _) = token else { return false };
    UNREAD.contains(&word.as_str()) || UNREAD_IN_WORD.iter().any(|part| word.contains(part))
}

/// `name=(…)`.
fn is_array(pair: &[Token]) -> bool {
    matches!(pair, [Token::Word(word, _), Token::Operator(operator, _)] if word.ends_with('=') && operator == "(")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_where_bashlex_splits_them() {
        for (text, expected) in [
            ("a\nb", &["a", "b"][..]),
            ("for i in 1; do\n echo\ndone\necho x", &["for i in 1; do\n echo\ndone", "echo x"]),
            ("cat <<E\na\nE\necho b", &["cat <<E\na\nE", "echo b"]),
            ("cat <<A <<B\n1\nA\n2\nB\necho c", &["cat <<A <<B\n1\nA\n2\nB", "echo c"]),
            ("f() {\n echo a\n}\nf", &["f() {\n echo a\n}", "f"]),
            ("echo 'a\nb'\necho c", &["echo 'a\nb'", "echo c"]),
            ("echo a # c\necho b", &["echo a # c", "echo b"]),
            ("(\necho a\n)\necho b", &["(\necho a\n)", "echo b"]),
            ("echo a\n\n\necho b", &["echo a", "echo b"]),
            ("x=$(\nls\n)\necho $x", &["x=$(\nls\n)", "echo $x"]),
            ("echo grüße\necho ü", &["echo grüße", "echo ü"]),
            ("echo a &\necho b;", &["echo a &", "echo b;"]),
            ("if true; then\n echo\nfi && echo b\necho c", &["if true; then\n echo\nfi && echo b", "echo c"]),
        ] {
            assert_eq!(commands(text), expected, "{text:?}");
        }
    }

    #[test]
    fn one_command_is_one_and_so_is_what_bashlex_cannot_read() {
        for text in [
            "",
            "a; b && c",
            "for i in 1 2\ndo echo $i\ndone",
            "echo a \\\n  b",
            "echo a &&\necho b",
            "echo a |\ncat",
            "cat <<EOF\na\nEOF",
            "python3 -c \"\nprint(1)\n\"",
            "# a comment\necho a",
            "echo a\n# a comment",
            "case x in\nx) echo;;\nesac\necho y",
            "echo $((1+2))\necho b",
            "[[ -f x ]] && echo\necho b",
            "a=(1 2)\necho b",
            "echo \"a\necho b",
            "echo a)\necho b",
        ] {
            assert_eq!(commands(text), [text], "{text:?}");
        }
    }

    #[test]
    fn an_open_quote_is_seen() {
        for (text, open) in [("echo 'a", true), ("echo \"a", true), ("echo $(a", true), ("echo a", false)] {
            assert_eq!(is_open(text), open, "{text:?}");
        }
    }
}
