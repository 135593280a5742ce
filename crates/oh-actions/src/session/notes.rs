//! OpenHands' texts around the output of a command, word for word.

use std::time::Duration;

use oh_runtime::End;
use serde_json::Number;

use super::{Shown, code_of, metadata};
use crate::observation::{Metadata, Observation, RunObservation};

const WHAT_NOW: &str = "You may wait longer to see additional output by sending empty command '', \
    send other commands to interact with the current process, \
    send keys (\"C-c\", \"C-z\", \"C-d\") to interrupt/kill the previous command before sending your new command, \
    or use the timeout parameter in execute_bash for future commands.";
const BELOW: &str = "[Below is the output of the previous command.]\n";

/// Without blanks around it, by Python's idea of a blank.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c))
}

/// What is on the screen and was not `seen`.
pub(super) fn new_of<'a>(text: &'a str, seen: &str) -> &'a str {
    text.strip_prefix(seen).unwrap_or(text)
}

/// The answer to a look or to input where no command runs.
pub(super) fn nothing_to(what: &str) -> RunObservation {
    RunObservation {
        content: format!("ERROR: No previous running command to {what}."),
        ..RunObservation::default()
    }
}

/// The answer to several commands.
pub(super) fn several(commands: &[&str]) -> Observation {
    let list: Vec<String> =
        (1..).zip(commands).map(|(number, command)| format!("({number}) {command}")).collect();
    Observation::error(format!(
        "ERROR: Cannot execute multiple commands at once.\n\
         Please run each command separately OR chain them into a single command via && or ;\n\
         Provided commands:\n{}",
        list.join("\n")
    ))
}

/// The answer to a command while another one runs.
pub(super) fn not_executed(command: &str) -> String {
    format!(
        "\n[Your command \"{command}\" is NOT executed. The previous command is still running - You CANNOT send new \
         commands until the previous command is completed. By setting `is_input` to `true`, you can interact with the \
         current process: {WHAT_NOW}]"
    )
}

/// Behind a command that has said nothing for so long.
pub(super) fn no_change(after: Duration) -> String {
    format!("\n[The command has no new output after {} seconds. {WHAT_NOW}]", after.as_secs_f64())
}

/// Behind a command that took longer than its action allowed.
pub(super) fn timed_out(limit: Option<&Number>) -> String {
    format!("\n[The command timed out after {} seconds. {WHAT_NOW}]", limit.map(seconds).unwrap_or_default())
}

/// A time as Python writes a float.
pub(crate) fn seconds(limit: &Number) -> String {
    limit.as_f64().map(|seconds| format!("{seconds:?}")).unwrap_or_default()
}

/// A command that runs on.
pub(super) fn running(shown: &Shown, seen: Option<&str>, command: &str, suffix: String) -> RunObservation {
    let prefix = if seen.is_some() { BELOW } else { "" };
    RunObservation {
        content: output(&shown.text, seen, command),
        command: command.to_owned(),
        metadata: Metadata { prefix: prefix.to_owned(), suffix, ..Metadata::default() },
        hidden: false,
    }
}

/// A command that has ended.
pub(super) fn completed(
    shown: &Shown,
    seen: Option<&str>,
    command: &str,
    fields: [String; 6],
    is_key: bool,
) -> RunObservation {
    let mut metadata = metadata(fields);
    if shown.truncated && seen.is_none() {
        // The empty line before the next prompt counts.
        let lines = shown.text.lines().count() + 1;
        metadata.prefix = format!(
            "[Previous command outputs are truncated. Showing the last {lines} lines of the output below.]\n"
        );
    }
    let key = match command.chars().last() {
        Some(letter) if is_key => format!(" CTRL+{} was sent.", letter.to_uppercase()),
        _ => String::new(),
    };
    metadata.suffix = format!("\n[The command completed with exit code {}.{key}]", metadata.exit_code);
    let content = output(&shown.text, seen, command);
    RunObservation { content, command: command.to_owned(), metadata, hidden: false }
}

/// A command that ended its shell.
pub(super) fn shell_exited(shown: &Shown, seen: Option<&str>, command: &str, end: End) -> RunObservation {
    let exit_code = code_of(end);
    let suffix = format!(
        "\n[The command completed with exit code {exit_code}. It ended the shell: a new one was started, with nothing of \
         what was set in the old one.]"
    );
    RunObservation {
        content: output(&shown.text, seen, command),
        command: command.to_owned(),
        metadata: Metadata { exit_code, suffix, ..Metadata::default() },
        hidden: false,
    }
}

/// What is new, without what was typed into a command that ran already: its terminal repeats it.
fn output(text: &str, seen: Option<&str>, command: &str) -> String {
    let new = strip(new_of(text, seen.unwrap_or_default()));
    let new = if seen.is_some() { new.strip_prefix(command).unwrap_or(new) } else { new };
    strip(new).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Shown {
        Shown { text: text.to_owned(), truncated: false }
    }

    #[test]
    fn what_was_seen_and_typed_is_left_out() {
        assert_eq!(output("  name:\n", None, "read x"), "name:");
        assert_eq!(output("name: Bob\nhello Bob", Some("name:"), "Bob"), "hello Bob");
        assert_eq!(output("other", Some("name:"), "Bob"), "other");
        assert_eq!(output("ls is here", None, "ls"), "ls is here");
    }

    #[test]
    fn times_are_said_as_python_says_them() {
        assert!(
            no_change(Duration::from_secs(10))
                .starts_with("\n[The command has no new output after 10 seconds. You")
        );
        assert!(timed_out(Some(&Number::from(5))).contains(" after 5.0 seconds. "));
        assert!(timed_out(Number::from_f64(1.5).as_ref()).contains(" after 1.5 seconds. "));
    }

    #[test]
    fn a_key_is_named_behind_the_exit_code() {
        let fields = ["130", "", "u", "h", "", "/"].map(str::to_owned);
        let done = completed(&shown("^C"), Some("x"), "C-c", fields, true);
        assert_eq!(done.metadata.suffix, "\n[The command completed with exit code 130. CTRL+C was sent.]");
        assert_eq!((done.metadata.exit_code, done.metadata.pid), (130, -1));
    }
}
