//! The editor of OpenHands' agents: view, create, str_replace, insert, undo_edit, with its messages word for word.

mod diff;
mod history;
mod view;

use std::path::Path;

use oh_runtime::{Error, ErrorKind};
use serde_json::Value;

use crate::action::EditAction;
use crate::files::{Files, Found, suffix};
use crate::observation::EditObservation;
use crate::text::{Text, is_binary, lines};
use history::History;
use view::numbered;

/// Lines shown before and after an edit.
const CONTEXT: usize = 4;
const MIB: u64 = 1 << 20;
/// Largest file.
const MAX_MIB: u64 = 10;
/// Permission bits of a new file.
const NEW: u32 = 0o644;
/// What OpenHands turns into Markdown to view it.
const CONVERTED: [&str; 8] = [".docx", ".xlsx", ".pptx", ".pdf", ".mp3", ".wav", ".m4a", ".flac"];

/// The editor of one sandbox. What it can undo lives as long as it.
#[derive(Debug, Default)]
pub(crate) struct Editor {
    history: History,
}

/// Why the editor did nothing: for a model to read, or because the sandbox cannot be used.
#[derive(Debug)]
enum Stop {
    Said(String),
    Broken(Error),
}

type Outcome<T> = Result<T, Stop>;

/// What an edit changed.
struct Edited {
    said: String,
    old: String,
    new: String,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

fn said<T>(what: impl Into<String>) -> Outcome<T> {
    Err(Stop::Said(what.into()))
}

fn invalid<T>(parameter: &str, value: impl std::fmt::Display, hint: &str) -> Outcome<T> {
    said(format!("Invalid `{parameter}` parameter: {value}. {hint}"))
}

fn missing<T>(command: &str, parameter: &str) -> Outcome<T> {
    said(format!("Parameter `{parameter}` is required for command: {command}."))
}

impl Editor {
    /// Does what an action asks for; what the editor refuses is an answer too.
    pub(crate) async fn edit(
        &mut self,
        files: Files<'_>,
        root: &Path,
        action: &EditAction,
    ) -> oh_runtime::Result<EditObservation> {
        let observation = EditObservation {
            path: action.path.clone(),
            old_content: action.old_str.clone(),
            new_content: action.new_str.clone(),
            source: action.impl_source,
            ..EditObservation::default()
        };
        let (content, diff) = match self.command(files, root, action).await {
            Ok(Edited { said, old, new }) => (said, diff::diff(&old, &new, &action.path)),
            Err(Stop::Said(why)) => (format!("ERROR:\n{why}"), String::new()),
            Err(Stop::Broken(error)) => return Err(error),
        };
        Ok(EditObservation { content, diff, ..observation })
    }

    /// What `view` shows, for a read.
    pub(crate) async fn view(
        &self,
        files: Files<'_>,
        root: &Path,
        path: &str,
        range: Option<&[i64]>,
    ) -> oh_runtime::Result<String> {
        let seen = async {
            let found = valid(files, root, "view", path).await?;
            view::view(files, Path::new(path), found, range).await
        };
        match seen.await {
            Ok(text) => Ok(text),
            Err(Stop::Said(why)) => Ok(format!("ERROR:\n{why}")),
            Err(Stop::Broken(error)) => Err(error),
        }
    }

    async fn command(&mut self, files: Files<'_>, root: &Path, action: &EditAction) -> Outcome<Edited> {
        let line = line_number(action.insert_line.as_ref())?;
        let (command, path) = (action.command.as_str(), Path::new(&action.path));
        let found = valid(files, root, command, &action.path).await?;
        match (command, found) {
            ("view", found) => {
                let said = view::view(files, path, found, None).await?;
                Ok(Edited { said, old: String::new(), new: String::new() })
            }
            ("create", _) => {
                let Some(text) = &action.file_text else { return missing(command, "file_text") };
                write(files, path, None, text.clone().into_bytes()).await?;
                self.history.push(path, text.clone());
                let said = format!("File created successfully at: {}", path.display());
                Ok(Edited { said, old: String::new(), new: text.clone() })
            }
            ("str_replace", Some(found)) => {
                let Some(old) = &action.old_str else { return missing(command, "old_str") };
                if action.new_str.as_ref() == Some(old) {
                    return invalid(
                        "new_str",
                        old,
                        "No replacement was performed. `new_str` and `old_str` must be different.",
                    );
                }
                self.replace(files, path, &found, old, action.new_str.as_deref().unwrap_or_default()).await
            }
            ("insert", Some(found)) => {
                let Some(line) = line else { return missing(command, "insert_line") };
                let Some(new) = &action.new_str else { return missing(command, "new_str") };
                self.insert(files, path, &found, line, new).await
            }
            ("undo_edit", Some(found)) => self.undo(files, path, &found).await,
            _ => said(format!(
                "Unrecognized command {command}. The allowed commands for the oh_editor tool are: view, create, \
                 str_replace, insert, undo_edit"
            )),
        }
    }

    async fn replace(
        &mut self,
        files: Files<'_>,
        path: &Path,
        found: &Found,
        old: &str,
        new: &str,
    ) -> Outcome<Edited> {
        let text = read(files, path, found).await?;
        let content = &text.content;
        let places = |what: &str| -> Vec<usize> { content.match_indices(what).map(|(at, _)| at).collect() };
        let (mut old, mut new) = (old, new);
        // In an empty string there is something to find everywhere.
        let mut at = if old.is_empty() {
            content.char_indices().map(|(at, _)| at).chain([content.len()]).collect()
        } else {
            places(old)
        };
        if at.is_empty() {
            (old, new) = (old.trim(), new.trim());
            at = places(old);
        }
        let name = path.display();
        let line_of = |at: usize| content[..at].matches('\n').count() + 1;
        let at = match at[..] {
            [] => {
                return said(format!(
                    "No replacement was performed, old_str `{old}` did not appear verbatim in {name}."
                ));
            }
            [at] => at,
            ref many => {
                let mut numbers: Vec<usize> = many.iter().copied().map(line_of).collect();
                numbers.dedup();
                return said(format!(
                    "No replacement was performed. Multiple occurrences of old_str `{old}` in lines {numbers:?}. Please \
                     ensure it is unique."
                ));
            }
        };
        let changed = format!("{}{new}{}", &content[..at], &content[at + old.len()..]);
        write(files, path, Some(found), text.encode(&changed)).await?;
        self.history.push(path, content.clone());
        let line = line_of(at);
        let start = line.saturating_sub(CONTEXT);
        let end = line + CONTEXT + new.matches('\n').count();
        let snippet: String = lines(&changed).into_iter().take(end).skip(start).collect();
        let said = format!(
            "The file {name} has been edited. {}Review the changes and make sure they are as expected. Edit the file \
             again if necessary.",
            numbered(&snippet, &format!("a snippet of {name}"), start + 1)
        );
        Ok(Edited { said, old: content.clone(), new: changed })
    }

    async fn insert(
        &mut self,
        files: Files<'_>,
        path: &Path,
        found: &Found,
        line: i64,
        new: &str,
    ) -> Outcome<Edited> {
        let text = read(files, path, found).await?;
        let old = lines(&text.content);
        let Some(at) = usize::try_from(line).ok().filter(|at| *at <= old.len()) else {
            let hint = format!("It should be within the range of allowed values: [0, {}]", old.len());
            return invalid("insert_line", line, &hint);
        };
        let inserted = new.split('\n').count();
        let changed = format!("{}{new}\n{}", old[..at].concat(), old[at..].concat());
        write(files, path, Some(found), text.encode(&changed)).await?;
        let start = at.saturating_sub(CONTEXT);
        let end = (old.len() + inserted).min(at + CONTEXT + inserted);
        let snippet: String = lines(&changed).into_iter().take(end).skip(start).collect();
        self.history.push(path, text.content.clone());
        let said = format!(
            "The file {} has been edited. {}Review the changes and make sure they are as expected (correct indentation, no \
             duplicate lines, etc). Edit the file again if necessary.",
            path.display(),
            numbered(&snippet, "a snippet of the edited file", start + 1)
        );
        Ok(Edited { said, old: text.content, new: changed })
    }

    async fn undo(&mut self, files: Files<'_>, path: &Path, found: &Found) -> Outcome<Edited> {
        let text = read(files, path, found).await?;
        let Some(old) = self.history.pop(path) else {
            return said(format!("No edit history found for {}.", path.display()));
        };
        write(files, path, Some(found), text.encode(&old)).await?;
        let name = path.display();
        let said =
            format!("Last edit to {name} undone successfully. {}", numbered(&old, &name.to_string(), 1));
        Ok(Edited { said, old: text.content, new: old })
    }
}

/// A line number, which may come as digits in a string.
fn line_number(value: Option<&Value>) -> Outcome<Option<i64>> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(digits)) => match digits.trim().parse() {
            Ok(line) => Ok(Some(line)),
            Err(_) => said(format!("Invalid insert_line value: '{digits}'. Expected an integer.")),
        },
        Some(value) => match value.as_i64() {
            Some(line) => Ok(Some(line)),
            None => said(format!("Invalid insert_line value: '{value}'. Expected an integer.")),
        },
    }
}

/// What is at a path, if a command may use it.
async fn valid(files: Files<'_>, root: &Path, command: &str, path: &str) -> Outcome<Option<Found>> {
    let (name, path) = (path, Path::new(path));
    if !path.is_absolute() {
        let mut hint = "The path should be an absolute path, starting with `/`.".to_owned();
        let suggested = root.join(path);
        if files.find(&suggested).await?.is_some() {
            hint += &format!(" Maybe you meant {}?", suggested.display());
        }
        return invalid("path", name, &hint);
    }
    let found = files.find(path).await?;
    match (&found, command) {
        (Some(_), "create") => {
            let hint =
                format!("File already exists at: {name}. Cannot overwrite files using command `create`.");
            return invalid("path", name, &hint);
        }
        (None, command) if command != "create" => {
            return invalid(
                "path",
                name,
                &format!("The path {name} does not exist. Please provide a valid path."),
            );
        }
        _ => {}
    }
    if command != "view" {
        if found.as_ref().is_some_and(Found::is_folder) {
            let hint = format!(
                "The path {name} is a directory and only the `view` command can be used on directories."
            );
            return invalid("path", name, &hint);
        }
        let suffix = suffix(path);
        if CONVERTED.contains(&suffix.as_str()) {
            let hint = format!(
                "The path {name} points to a binary file ({suffix}) and only the `view` command can be used on supported \
                 binary files."
            );
            return invalid("path", name, &hint);
        }
    }
    Ok(found)
}

/// A text file of a size that can be shown.
async fn read(files: Files<'_>, path: &Path, found: &Found) -> Outcome<Text> {
    let failed = |reason: String| said(format!("File validation failed for {}: {reason}", path.display()));
    let size = found.entry.size;
    let bytes = if found.is_file() && size <= MAX_MIB * MIB {
        files.read(path, MAX_MIB * MIB + 1).await?
    } else {
        Vec::new()
    };
    if size.max(bytes.len() as u64) > MAX_MIB * MIB {
        let mib = size as f64 / MIB as f64;
        return failed(format!("File is too large ({mib:.1}MB). Maximum allowed size is {MAX_MIB}MB."));
    }
    if !found.is_file() || is_binary(path, &bytes) {
        return failed(
            "File appears to be binary and this file type cannot be read or edited by this tool.".to_owned(),
        );
    }
    Ok(Text::decode(&bytes))
}

/// Writes a file, or says in Python's words why it cannot be.
async fn write(files: Files<'_>, path: &Path, old: Option<&Found>, bytes: Vec<u8>) -> Outcome<()> {
    let Err(error) = files.write(path, old, bytes, NEW).await else { return Ok(()) };
    let why = match error.kind() {
        ErrorKind::TransferNotFound => "[Errno 2] No such file or directory",
        ErrorKind::TransferDenied => "[Errno 13] Permission denied",
        ErrorKind::TransferNoSpace => "[Errno 28] No space left on device",
        ErrorKind::TransferFailed => error.message(),
        _ => return Err(error.into()),
    };
    let name = path.display();
    said(format!("Ran into {why}: '{name}' while trying to write to {name}"))
}
