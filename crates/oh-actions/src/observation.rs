//! What came of an action: OpenHands' observations, as types and as JSON.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::action::{EditSource, ReadSource};

/// The `error_id` of what this runtime does not do.
pub const BAD_ACTION: &str = "AGENT_ERROR$BAD_ACTION";
/// Longest output of a command a model is shown, in characters.
const MAX_OUTPUT: usize = 30_000;
const TRUNCATED: &str = "\n[... Observation truncated due to length ...]\n";

/// What came of an action.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    /// A command's output so far, and what is known of it.
    Run(RunObservation),
    /// What Python printed.
    RunIpython {
        /// The output.
        content: String,
        /// The code.
        code: String,
    },
    /// What a file holds.
    Read {
        /// The lines, a data URI, or the editor's view.
        content: String,
        /// The file.
        path: String,
        /// Who read it.
        source: ReadSource,
    },
    /// A file was written.
    Write {
        /// The file.
        path: String,
    },
    /// The editor's answer, also when it refused.
    Edit(Box<EditObservation>),
    /// A thought was noted.
    Think,
    /// Somebody did not agree to the action.
    Rejected,
    /// Nothing was to be done.
    Null,
    /// It was not done.
    Error {
        /// Why, for a model to read.
        content: String,
        /// OpenHands' name of the kind of error; often empty.
        error_id: &'static str,
    },
}

/// A command's output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunObservation {
    /// The output, without what was said of it before.
    pub content: String,
    /// The command.
    pub command: String,
    /// What is known of it.
    pub metadata: Metadata,
    /// No model sees it.
    pub hidden: bool,
}

/// What is known of a command and its shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// Its exit code; -1 while it runs.
    pub exit_code: i64,
    /// The last process the shell started in the background; -1 when there is none.
    pub pid: i64,
    /// The shell's user.
    pub username: Option<String>,
    /// The sandbox's host name, up to the first dot.
    pub hostname: Option<String>,
    /// Where the shell is.
    pub working_dir: Option<String>,
    /// The `python` the shell would run; empty when there is none.
    pub py_interpreter_path: Option<String>,
    /// What is to be read before the output.
    pub prefix: String,
    /// What is to be read after it.
    pub suffix: String,
}

impl Default for Metadata {
    /// Of a command that runs.
    fn default() -> Self {
        Self {
            exit_code: -1,
            pid: -1,
            username: None,
            hostname: None,
            working_dir: None,
            py_interpreter_path: None,
            prefix: String::new(),
            suffix: String::new(),
        }
    }
}

/// The editor's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EditObservation {
    /// What it says.
    pub content: String,
    /// The file.
    pub path: String,
    /// The text that was to be replaced.
    pub old_content: Option<String>,
    /// The text that was to take its place.
    pub new_content: Option<String>,
    /// Who edited.
    pub source: EditSource,
    /// What changed in the file, as a diff without context.
    pub diff: String,
}

impl Observation {
    /// A refusal or failure, for a model to read.
    pub fn error(content: impl Into<String>) -> Self {
        Self::Error { content: content.into(), error_id: "" }
    }

    /// What this runtime does not do.
    #[must_use]
    pub fn unsupported(action: &str) -> Self {
        let content = format!("Action {action} is not supported in the current runtime.");
        Self::Error { content, error_id: BAD_ACTION }
    }

    /// Its text, as the JSON has it.
    #[must_use]
    pub fn content(&self) -> &str {
        match self {
            Self::Run(run) => &run.content,
            Self::Edit(edit) => &edit.content,
            Self::RunIpython { content, .. } | Self::Read { content, .. } | Self::Error { content, .. } => {
                content
            }
            Self::Think => "Your thought has been logged.",
            Self::Rejected => "Action has been rejected by the user! Waiting for further user input.",
            Self::Write { .. } | Self::Null => "",
        }
    }

    /// OpenHands' JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (name, message, extras) = match self {
            Self::Run(run) => {
                let (command, code) = (&run.command, run.metadata.exit_code);
                let message = format!("Command `{command}` executed with exit code {code}.");
                let extras = json!({ "command": command, "metadata": run.metadata, "hidden": run.hidden });
                ("run", message, extras)
            }
            Self::RunIpython { code, .. } => {
                let extras = json!({ "code": code, "image_urls": null });
                ("run_ipython", "Code executed in IPython cell.".to_owned(), extras)
            }
            Self::Read { path, source, .. } => {
                ("read", format!("I read the file {path}."), json!({ "path": path, "impl_source": source }))
            }
            Self::Write { path } => {
                ("write", format!("I wrote to the file {path}."), json!({ "path": path }))
            }
            Self::Edit(edit) => ("edit", format!("I edited the file {}.", edit.path), edit.extras()),
            Self::Think => ("think", self.content().to_owned(), json!({})),
            Self::Rejected => ("user_rejected", self.content().to_owned(), json!({})),
            Self::Null => ("null", "No observation".to_owned(), json!({})),
            Self::Error { content, error_id } => ("error", content.clone(), json!({ "error_id": error_id })),
        };
        let mut all = Map::new();
        all.insert("message".to_owned(), message.into());
        all.insert("observation".to_owned(), name.into());
        all.insert("content".to_owned(), self.content().into());
        all.insert("extras".to_owned(), extras);
        match self {
            Self::Run(run) => drop(all.insert("success".to_owned(), (run.metadata.exit_code == 0).into())),
            Self::RunIpython { .. } => drop(all.insert("success".to_owned(), true.into())),
            _ => {}
        }
        Value::Object(all)
    }

    /// What a model is shown.
    #[must_use]
    pub fn for_model(&self) -> String {
        let Self::Run(run) = self else { return self.content().to_owned() };
        let Metadata { prefix, suffix, working_dir, py_interpreter_path, exit_code, .. } = &run.metadata;
        let mut text = format!("{prefix}{}{suffix}", run.content);
        let some = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        if let Some(folder) = some(working_dir) {
            text += &format!("\n[Current working directory: {folder}]");
        }
        if let Some(python) = some(py_interpreter_path) {
            text += &format!("\n[Python interpreter: {python}]");
        }
        if *exit_code != -1 {
            text += &format!("\n[Command finished with exit code {exit_code}]");
        }
        text
    }
}

impl RunObservation {
    /// With the middle left out where the output is too long for a model.
    #[must_use]
    pub(crate) fn truncated(mut self) -> Self {
        let length = self.content.chars().count();
        if self.hidden || length <= MAX_OUTPUT {
            return self;
        }
        let at = |index| self.content.char_indices().nth(index).map_or(self.content.len(), |(at, _)| at);
        let (head, tail) = (at(MAX_OUTPUT / 2), at(length - MAX_OUTPUT / 2));
        self.content.replace_range(head..tail, TRUNCATED);
        self
    }
}

impl EditObservation {
    fn extras(&self) -> Value {
        json!({
            "path": self.path,
            "prev_exist": false,
            "old_content": self.old_content,
            "new_content": self.new_content,
            "impl_source": self.source,
            "diff": self.diff,
            "_diff_cache": null,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_long_output_is_left_out() {
        let run = |content: String, hidden| RunObservation { content, hidden, ..RunObservation::default() };
        let long = format!("{}{}", "ä".repeat(20_000), "b".repeat(20_000));
        let cut = run(long.clone(), false).truncated().content;
        assert_eq!(cut, format!("{}{TRUNCATED}{}", "ä".repeat(15_000), "b".repeat(15_000)));
        assert_eq!(run(long.clone(), true).truncated().content, long);
        assert_eq!(run("x".repeat(MAX_OUTPUT), false).truncated().content.len(), MAX_OUTPUT);
    }

    #[test]
    fn a_model_sees_the_notes_around_the_output() {
        let metadata = Metadata {
            exit_code: 3,
            working_dir: Some("/w".to_owned()),
            py_interpreter_path: Some(String::new()),
            prefix: "before\n".to_owned(),
            suffix: "\nafter".to_owned(),
            ..Metadata::default()
        };
        let run = RunObservation { content: "out".to_owned(), metadata, ..RunObservation::default() };
        let expected =
            "before\nout\nafter\n[Current working directory: /w]\n[Command finished with exit code 3]";
        assert_eq!(Observation::Run(run).for_model(), expected);
    }

    #[test]
    fn the_wire_form_is_openhands() {
        let run =
            RunObservation { content: "x".to_owned(), command: "c".to_owned(), ..RunObservation::default() };
        assert_eq!(
            Observation::Run(run).to_json(),
            json!({
                "message": "Command `c` executed with exit code -1.",
                "observation": "run",
                "content": "x",
                "extras": {
                    "command": "c",
                    "metadata": {
                        "exit_code": -1, "pid": -1, "username": null, "hostname": null, "working_dir": null,
                        "py_interpreter_path": null, "prefix": "", "suffix": ""
                    },
                    "hidden": false
                },
                "success": false
            })
        );
    }
}
