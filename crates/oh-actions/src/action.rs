//! What is asked for: OpenHands' actions, as types and as JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

/// An action, with what OpenHands keeps beside its arguments.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Action {
    /// What to do.
    #[serde(flatten)]
    pub kind: ActionKind,
    /// After this many seconds the observation comes back, finished or not. Kept as it was written, because messages
    /// repeat it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Number>,
}

/// What to do, and with what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", content = "args", rename_all = "snake_case")]
pub enum ActionKind {
    /// Run a command in a shell.
    Run(RunAction),
    /// Run Python in an interpreter that goes on.
    RunIpython(IpythonAction),
    /// Read a file.
    Read(ReadAction),
    /// Write a file, or lines of it.
    Write(WriteAction),
    /// View or edit a file.
    Edit(EditAction),
    /// A thought: nothing is done.
    Think(ThinkAction),
    /// One of OpenHands' own that is known, and not for a sandbox or not supported here.
    #[serde(skip_deserializing)]
    Other(OtherAction),
}

/// A known action without arguments that matter here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherAction {
    /// Its name.
    pub name: String,
    /// Whether OpenHands would give it to a runtime.
    pub runnable: bool,
}

/// A command for a shell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunAction {
    /// The command; empty looks again at the one that runs. With `is_input`, what is typed: text and Enter, or one of
    /// the keys `C-c`, `C-z`, `C-d`, ….
    pub command: String,
    /// It is typed into the command that runs.
    pub is_input: bool,
    /// Why.
    pub thought: String,
    /// Wait for its end or its timeout, however long it says nothing.
    pub blocking: bool,
    /// Run it in a shell of its own, in `cwd`.
    pub is_static: bool,
    /// The working folder of a static one.
    pub cwd: Option<String>,
    /// No model sees it: its output is not cut.
    pub hidden: bool,
    /// Whether somebody has agreed.
    pub confirmation_state: Confirmation,
    /// OpenHands' estimate; carried along.
    pub security_risk: Option<i64>,
}

/// Whether somebody has agreed to an action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirmation {
    /// Yes, or nobody has to.
    #[default]
    Confirmed,
    /// No.
    Rejected,
    /// Not yet.
    AwaitingConfirmation,
}

/// Code for the Python interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IpythonAction {
    /// The code.
    pub code: String,
    /// Why.
    #[serde(default)]
    pub thought: String,
    /// Say the working folder and the interpreter below the output.
    #[serde(default = "yes")]
    pub include_extra: bool,
    /// Code for an interpreter that had to be started again; carried along.
    #[serde(default)]
    pub kernel_init_code: String,
    /// Whether somebody has agreed.
    #[serde(default)]
    pub confirmation_state: Confirmation,
    /// OpenHands' estimate; carried along.
    #[serde(default)]
    pub security_risk: Option<i64>,
}

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadAction {
    /// Where it is; a relative path starts at the shell's working folder.
    pub path: String,
    /// First line, from 0.
    #[serde(default)]
    pub start: i64,
    /// The line after the last one; -1 is the end.
    #[serde(default = "minus_one")]
    pub end: i64,
    /// Why.
    #[serde(default)]
    pub thought: String,
    /// `oh_aci` reads it as the editor's `view` does.
    #[serde(default)]
    pub impl_source: ReadSource,
    /// First and last line for `oh_aci`, from 1.
    #[serde(default)]
    pub view_range: Option<Vec<i64>>,
    /// OpenHands' estimate; carried along.
    #[serde(default)]
    pub security_risk: Option<i64>,
}

/// Who reads a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadSource {
    /// The runtime.
    #[default]
    Default,
    /// The editor.
    OhAci,
}

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteAction {
    /// Where it is; a relative path starts at the shell's working folder.
    pub path: String,
    /// Its lines.
    pub content: String,
    /// First line that is replaced, from 0, when the file is there.
    #[serde(default)]
    pub start: i64,
    /// The line after the last one that is replaced; -1 is the end.
    #[serde(default = "minus_one")]
    pub end: i64,
    /// Why.
    #[serde(default)]
    pub thought: String,
    /// OpenHands' estimate; carried along.
    #[serde(default)]
    pub security_risk: Option<i64>,
}

/// An edit of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditAction {
    /// Its absolute path.
    pub path: String,
    /// `view`, `create`, `str_replace`, `insert` or `undo_edit`.
    #[serde(default)]
    pub command: String,
    /// Content of a file to create.
    #[serde(default)]
    pub file_text: Option<String>,
    /// What is replaced; it has to be there once.
    #[serde(default)]
    pub old_str: Option<String>,
    /// What takes its place, or is inserted.
    #[serde(default)]
    pub new_str: Option<String>,
    /// The line after which it is inserted: a number, or digits in a string.
    #[serde(default)]
    pub insert_line: Option<Value>,
    /// For edits by a model, which are not supported.
    #[serde(default)]
    pub content: String,
    /// For edits by a model.
    #[serde(default = "one")]
    pub start: i64,
    /// For edits by a model.
    #[serde(default = "minus_one")]
    pub end: i64,
    /// Why.
    #[serde(default)]
    pub thought: String,
    /// Who edits.
    #[serde(default)]
    pub impl_source: EditSource,
    /// OpenHands' estimate; carried along.
    #[serde(default)]
    pub security_risk: Option<i64>,
}

/// Who edits a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EditSource {
    /// The editor.
    #[default]
    OhAci,
    /// A model, outside the runtime.
    LlmBasedEdit,
}

/// A thought.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThinkAction {
    /// What was thought.
    pub thought: String,
}

const fn yes() -> bool {
    true
}

const fn one() -> i64 {
    1
}

const fn minus_one() -> i64 {
    -1
}

/// OpenHands' other actions: those it never gives to a runtime, then those it does.
const NOT_RUNNABLE: [&str; 14] = [
    "message",
    "system",
    "finish",
    "reject",
    "delegate",
    "null",
    "recall",
    "change_agent_state",
    "condensation",
    "condensation_request",
    "loop_recovery",
    "start",
    "pause",
    "resume",
];
const NOT_SUPPORTED: [&str; 4] = ["browse", "browse_interactive", "call_tool_mcp", "task_tracking"];

/// Arguments of older event streams that mean nothing any more.
const DROPPED: [&str; 4] = ["keep_prompt", "task_completed", "timestamp", "translated_ipython_code"];

/// Why something is no action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// OpenHands has no action of this name.
    #[error("Action {0} does not exist.")]
    Unknown(String),
    /// It is no action at all, or its arguments are not the action's.
    #[error("{0}")]
    Malformed(String),
}

impl Action {
    /// An action without a timeout of its own.
    #[must_use]
    pub const fn new(kind: ActionKind) -> Self {
        Self { kind, timeout: None }
    }

    /// A command for the shell.
    pub fn run(command: impl Into<String>) -> Self {
        Self::new(ActionKind::Run(RunAction { command: command.into(), ..RunAction::default() }))
    }

    /// What is typed into the command that runs: text, or a key as `C-c`.
    pub fn input(text: impl Into<String>) -> Self {
        let run = RunAction { command: text.into(), is_input: true, ..RunAction::default() };
        Self::new(ActionKind::Run(run))
    }

    /// Returns after this many seconds at the latest.
    #[must_use]
    pub fn timeout(mut self, seconds: impl Into<Number>) -> Self {
        self.timeout = Some(seconds.into());
        self
    }

    /// Reads OpenHands' JSON.
    ///
    /// # Errors
    /// When it is no action, or none that OpenHands has.
    pub fn from_json(json: &Value) -> Result<Self, ActionError> {
        let malformed = |what: &str| ActionError::Malformed(format!("malformed action: {what}"));
        let Value::Object(object) = json else { return Err(malformed("it is no object")) };
        let name = object.get("action").ok_or_else(|| malformed("it has no `action`"))?;
        let name = name.as_str().ok_or_else(|| malformed("`action` is no string"))?;
        let timeout = match object.get("timeout") {
            None | Some(Value::Null) => None,
            Some(Value::Number(seconds)) => Some(seconds.clone()),
            Some(_) => return Err(malformed("`timeout` is no number")),
        };
        let other = |runnable| ActionKind::Other(OtherAction { name: name.to_owned(), runnable });
        let kind = if NOT_RUNNABLE.contains(&name) {
            other(false)
        } else if NOT_SUPPORTED.contains(&name) {
            other(true)
        } else {
            let args = match object.get("args") {
                None | Some(Value::Null) => Map::new(),
                Some(Value::Object(args)) => current(args),
                Some(_) => return Err(malformed("`args` is no object")),
            };
            let tagged = serde_json::json!({ "action": name, "args": args });
            if !["run", "run_ipython", "read", "write", "edit", "think"].contains(&name) {
                return Err(ActionError::Unknown(name.to_owned()));
            }
            serde_json::from_value(tagged).map_err(|error| malformed(&format!("{name}: {error}")))?
        };
        Ok(Self { kind, timeout })
    }

    /// Whether somebody has agreed.
    #[must_use]
    pub const fn confirmation(&self) -> Confirmation {
        match &self.kind {
            ActionKind::Run(run) => run.confirmation_state,
            ActionKind::RunIpython(cell) => cell.confirmation_state,
            _ => Confirmation::Confirmed,
        }
    }
}

/// Arguments as today's OpenHands names them.
fn current(args: &Map<String, Value>) -> Map<String, Value> {
    let mut args = args.clone();
    for name in DROPPED {
        args.remove(name);
    }
    if let Some(old) = args.remove("is_confirmed") {
        args.insert("confirmation_state".to_owned(), old);
    }
    args
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn openhands_json_is_read_with_its_defaults() {
        let json =
            json!({ "action": "run", "args": { "command": "ls", "keep_prompt": true }, "timeout": 2.5 });
        let action = Action::from_json(&json).unwrap();
        let run = RunAction { command: "ls".to_owned(), ..RunAction::default() };
        assert_eq!(action.kind, ActionKind::Run(run));
        assert_eq!(action.timeout.unwrap().to_string(), "2.5");

        let json = json!({ "action": "read", "args": { "path": "a" } });
        let ActionKind::Read(read) = Action::from_json(&json).unwrap().kind else { panic!("no read") };
        assert_eq!((read.start, read.end, read.impl_source), (0, -1, ReadSource::Default));
    }

    #[test]
    fn what_is_no_action_is_an_error_of_its_kind() {
        let unknown = Action::from_json(&json!({ "action": "dance", "args": {} }));
        assert_eq!(unknown.unwrap_err().to_string(), "Action dance does not exist.");
        for json in [
            json!("run"),
            json!({ "args": {} }),
            json!({ "action": 1 }),
            json!({ "action": "run", "args": [] }),
            json!({ "action": "run", "args": { "comand": "ls" } }),
            json!({ "action": "run", "args": { "command": 1 } }),
            json!({ "action": "read", "args": {} }),
            json!({ "action": "run", "args": { "command": "ls" }, "timeout": "soon" }),
        ] {
            let error = Action::from_json(&json).unwrap_err();
            assert!(matches!(error, ActionError::Malformed(_)), "{json}: {error}");
        }
    }

    #[test]
    fn an_old_name_of_an_argument_is_taken() {
        let json = json!({ "action": "run", "args": { "command": "ls", "is_confirmed": "rejected" } });
        assert_eq!(Action::from_json(&json).unwrap().confirmation(), Confirmation::Rejected);
    }
}
