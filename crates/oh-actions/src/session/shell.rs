//! How a session talks to its shell: over the terminal alone, so that an image needs nothing but a shell.

use std::fmt::Write as _;

/// Longest line that is typed: busybox takes no longer ones.
const LINE: usize = 900;

/// Starts the image's shell, bash where there is one, on a terminal that does not repeat what is typed into it.
pub(super) const START: &str =
    "stty -echo 2>/dev/null; command -v bash >/dev/null 2>&1 && exec bash --noediting -i; exec sh -i";

/// What is typed when it has started.
pub(super) fn setup() -> String {
    let lines = include_str!("shell.sh").lines().filter(|line| !line.trim_start().starts_with('#'));
    // A blank before it keeps a line out of the history.
    lines.fold(String::new(), |all, line| all + " " + line + "\n")
}

/// What is typed to run `command`, whose end will carry `nonce`.
///
/// The shell reads the command from the lines after the first one, so it may hold anything and have any size, and is
/// evaluated as if it had been typed.
pub(super) fn typed(command: &str, nonce: &str) -> String {
    let mut text = format!(" __oh_r {nonce}; __oh_p; eval \"$__oh_c\"; __oh_p\n");
    let mut line = 0;
    for byte in command.bytes() {
        let start = text.len();
        match byte {
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => drop(write!(text, "\\0{byte:03o}")),
        }
        line += text.len() - start;
        if line >= LINE {
            text.push('\n');
            line = 0;
        }
    }
    text.push_str(if line == 0 { "\n" } else { "\n\n" });
    text
}

/// A number that nothing can know before.
///
/// # Errors
/// When this machine has no random numbers.
pub(super) fn nonce() -> oh_runtime::Result<String> {
    let number = getrandom::u64().map_err(|error| {
        let what = format!("no random numbers: {error}");
        oh_runtime::Error::new(oh_runtime::ErrorKind::Internal, "run an action", what)
    })?;
    Ok(format!("{number:016x}"))
}

/// The key that `C-<x>` names, as a terminal sends it.
pub(super) fn key(command: &str) -> Option<u8> {
    match command.strip_prefix("C-")?.as_bytes() {
        [letter] if letter.is_ascii() => Some(letter & 0x1f),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_short_whatever_the_command() {
        let commands = ["echo a".to_owned(), String::new(), "\\ü\n\u{1}".repeat(2000), "x".repeat(LINE)];
        for command in commands {
            let text = typed(&command, "n");
            assert!(
                text.lines()
                    .all(|line| line.len() < 1000 && line.bytes().all(|b| (b' '..=b'~').contains(&b)))
            );
            assert_eq!(text.find("\n\n"), Some(text.len() - 2), "{command:?}: one empty line, at the end");
        }
        assert!(setup().lines().all(|line| line.len() < 1000 && line.starts_with(' ')));
    }

    #[test]
    fn keys_have_the_codes_of_a_terminal() {
        assert_eq!(key("C-c"), Some(3));
        assert_eq!(key("C-Z"), Some(26));
        assert_eq!(key("C-d"), Some(4));
        assert_eq!(key("C-cc"), None);
        assert_eq!(key("ls"), None);
    }
}
