//! From an action to its observation.

use std::path::{Path, PathBuf};

use oh_runtime::{ErrorKind, Result};
use serde_json::Number;

use crate::action::{
    Action, ActionKind, Confirmation, EditAction, EditSource, IpythonAction, ReadAction, ReadSource,
    RunAction, WriteAction,
};
use crate::files::Files;
use crate::observation::Observation;
use crate::python::{Cell, Interpreter};
use crate::runtime::ActionRuntime;
use crate::session::{SessionSpec, seconds};
use crate::text::{Text, is_binary, lines, universal};

/// Largest file that is read or written as an action.
const MAX_FILE: u64 = 256 << 20;
/// Permission bits of a new file.
const NEW: u32 = 0o664;
const FOLDER: u32 = 0o755;

impl ActionRuntime {
    pub(crate) async fn perform(&self, session: &str, action: &Action) -> Result<Observation> {
        match &action.kind {
            ActionKind::Think(_) => return Ok(Observation::Think),
            ActionKind::Other(other) if !other.runnable => return Ok(Observation::Null),
            ActionKind::Other(other) if other.name.starts_with("browse") => {
                return Ok(Observation::error("Browser functionality is not supported or disabled."));
            }
            ActionKind::Other(other) => return Ok(Observation::unsupported(&other.name)),
            _ => {}
        }
        match action.confirmation() {
            Confirmation::AwaitingConfirmation => return Ok(Observation::Null),
            Confirmation::Rejected => return Ok(Observation::Rejected),
            Confirmation::Confirmed => {}
        }
        let limit = action.timeout.as_ref();
        match &action.kind {
            ActionKind::Run(run) => self.run(session, run, limit).await,
            ActionKind::RunIpython(cell) => self.run_ipython(session, cell, limit).await,
            ActionKind::Read(read) => self.read(session, read).await,
            ActionKind::Write(write) => self.write(session, write).await,
            ActionKind::Edit(edit) => self.edit(edit).await,
            ActionKind::Think(_) | ActionKind::Other(_) => Ok(Observation::Null),
        }
    }

    async fn run(&self, session: &str, run: &RunAction, limit: Option<&Number>) -> Result<Observation> {
        if run.blocking && limit.is_none() {
            return Ok(Observation::error("Blocking command with no timeout set"));
        }
        let limit = limit.or(Some(&self.options.timeout));
        let sandbox = self.sandbox()?;
        if run.is_static {
            let spec = SessionSpec { user: self.options.user.clone(), working_dir: run.cwd.clone() };
            let mut alone = match self.new_session(spec).await {
                Err(error) if error.kind() == ErrorKind::ExecBadCwd => {
                    return Ok(Observation::error(error.message()));
                }
                opened => opened?,
            };
            let observed = alone.run(&**sandbox, run, limit).await;
            alone.close(&**sandbox).await?;
            return observed;
        }
        let session = self.session(session).await?;
        let mut session = session.lock().await;
        session.run(&**sandbox, run, limit).await
    }

    async fn run_ipython(
        &self,
        session: &str,
        cell: &IpythonAction,
        limit: Option<&Number>,
    ) -> Result<Observation> {
        let limit = limit.unwrap_or(&self.options.timeout);
        let cwd = self.cwd(session).await?;
        let mut python = self.python.lock().await;
        if let Some(busy) = python.take_if(|python| python.is_busy()) {
            busy.close().await?;
        }
        let interpreter = match &mut *python {
            Some(interpreter) => interpreter,
            None => match Interpreter::start(&**self.sandbox()?, self.options.user.as_deref()).await {
                Ok(started) => python.insert(started),
                Err(error) if error.kind() == ErrorKind::ExecNotFound => {
                    return Ok(Observation::unsupported("run_ipython (the image has no python3)"));
                }
                Err(error) => return Err(error),
            },
        };
        let path = interpreter.path.clone();
        let mut content = match interpreter.run(&cell.code, &cwd, &self.env().await, Some(limit)).await? {
            Cell::Done(output) => output,
            Cell::TimedOut => format!("[Execution timed out ({} seconds).]", seconds(limit)),
            Cell::Gone(output) => {
                *python = None;
                format!("{output}\n[The interpreter ended. The next cell starts a new one.]")
            }
        };
        content.truncate(content.trim_end().len());
        if cell.include_extra {
            content += &format!(
                "\n[Jupyter current working directory: {cwd}]\n[Jupyter Python interpreter: {path}]"
            );
        }
        Ok(Observation::RunIpython { content, code: cell.code.clone() })
    }

    /// Where a session's shell is.
    async fn cwd(&self, session: &str) -> Result<String> {
        Ok(self.session(session).await?.lock().await.cwd().to_owned())
    }

    pub(crate) fn files(&self) -> Result<Files<'_>> {
        Ok(Files { sandbox: &**self.sandbox()?, owner: self.options.user.as_deref() })
    }

    async fn read(&self, session: &str, read: &ReadAction) -> Result<Observation> {
        let cwd = self.cwd(session).await?;
        let path = absolute(&cwd, &read.path);
        let files = self.files()?;
        let name = path.display().to_string();
        let found = files.find(&path).await?;
        let is_file = found.as_ref().is_some_and(|found| found.is_file());
        let bytes = match &found {
            Some(found) if is_file => files.read(&found.path, MAX_FILE).await?,
            _ => Vec::new(),
        };
        if is_binary(Path::new(&read.path), &bytes) {
            return Ok(Observation::error("ERROR_BINARY_FILE"));
        }
        if read.impl_source == ReadSource::OhAci {
            let editor = self.editor.lock().await;
            let root = Path::new(&self.options.working_dir);
            let content = editor.view(files, root, &read.path, read.view_range.as_deref()).await?;
            return Ok(Observation::Read { content, path: read.path.clone(), source: ReadSource::OhAci });
        }
        Ok(match found {
            None => Observation::error(format!(
                "File not found: {name}. Your current working directory is {cwd}."
            )),
            Some(found) if found.is_folder() => {
                Observation::error(format!("Path is a directory: {name}. You can only read files"))
            }
            Some(_) => match String::from_utf8(bytes) {
                Ok(text) => {
                    let text = universal(&text);
                    let content = lines_between(&lines(&text), read.start, read.end).concat();
                    Observation::Read { content, path: name, source: ReadSource::Default }
                }
                Err(_) => Observation::error(format!("File could not be decoded as utf-8: {name}.")),
            },
        })
    }

    async fn write(&self, session: &str, write: &WriteAction) -> Result<Observation> {
        let path = absolute(&self.cwd(session).await?, &write.path);
        let (files, name) = (self.files()?, path.display().to_string());
        let found = files.find(&path).await?;
        if found.as_ref().is_some_and(|found| found.is_folder()) {
            let why = format!("Path is a directory: {name}. You can only write to files");
            return Ok(Observation::error(why));
        }
        let new = format!("{}\n", write.content);
        let bytes = match &found {
            None => new.into_bytes(),
            Some(found) => {
                let bytes = files.read(&found.path, MAX_FILE).await?;
                if std::str::from_utf8(&bytes).is_err() {
                    return Ok(Observation::error(format!("File could not be decoded as utf-8: {name}")));
                }
                let old = Text::decode(&bytes);
                let lines = lines(&old.content);
                let before =
                    if write.start == 0 { &[][..] } else { &lines[..index(write.start, lines.len())] };
                let after = if write.end == -1 { &[][..] } else { &lines[index(write.end, lines.len())..] };
                old.encode(&universal(&format!("{}{new}{}", before.concat(), after.concat())))
            }
        };
        let written = async {
            if let (None, Some(folder)) = (&found, path.parent()) {
                files.sandbox.make_folder(folder, FOLDER).await?;
            }
            files.write(&path, found.as_ref(), bytes, NEW).await
        };
        match written.await {
            Ok(()) => Ok(Observation::Write { path: name }),
            Err(error) if [ErrorKind::TransferDenied, ErrorKind::TransferNoSpace].contains(&error.kind()) => {
                Ok(Observation::error(format!("{name} could not be written: {}", error.message())))
            }
            Err(error) if error.kind() == ErrorKind::TransferNotFound => {
                Ok(Observation::error(format!("File not found: {name}")))
            }
            Err(error) => Err(error),
        }
    }

    async fn edit(&self, edit: &EditAction) -> Result<Observation> {
        if edit.impl_source == EditSource::LlmBasedEdit {
            return Ok(Observation::unsupported("edit (llm_based_edit)"));
        }
        let root = Path::new(&self.options.working_dir);
        let edited = self.editor.lock().await.edit(self.files()?, root, edit).await?;
        Ok(Observation::Edit(Box::new(edited)))
    }
}

fn absolute(cwd: &str, path: &str) -> PathBuf {
    Path::new(cwd).join(path)
}

/// An index as Python's slices take it.
fn index(index: i64, length: usize) -> usize {
    let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    if index < 0 {
        length.saturating_sub(size(index.unsigned_abs()))
    } else {
        size(index.unsigned_abs()).min(length)
    }
}

/// The lines an action reads. The last one is always there: OpenHands never reads nothing.
fn lines_between<'a>(lines: &'a [&'a str], start: i64, end: i64) -> &'a [&'a str] {
    let count = lines.len();
    let start = index(start.max(0), count);
    if end == -1 {
        return &lines[start..];
    }
    let end = index(end.max(0), count);
    let begin = start.min(count.saturating_sub(2));
    &lines[begin..end.max(begin + 1).min(count)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right-hand sides are what OpenHands' `read_lines` returns.
    #[test]
    fn lines_are_read_as_openhands_reads_them() {
        let lines = ["a", "b", "c", "d"];
        for (start, end, expected) in [
            (0, -1, "abcd"),
            (2, -1, "cd"),
            (-3, -1, "abcd"),
            (9, -1, ""),
            (0, 0, "a"),
            (1, 3, "bc"),
            (3, 9, "cd"),
            (2, 1, "c"),
            (9, 9, "cd"),
        ] {
            assert_eq!(lines_between(&lines, start, end).concat(), expected, "{start} {end}");
        }
        assert_eq!(lines_between(&[], 0, 5).len(), 0);
    }
}
