//! Commands.

use std::sync::Arc;

use async_trait::async_trait;
use oh_runtime_api::{
    AttachedProcess, CommandId, CommandInfo, CommandSpec, Error, ErrorKind, Finished, Offsets, Outcome,
    Process, ProcessControl, Result, TerminalSize,
};

use super::connection::{Channel, Connection, Streams, unexpected};
use super::{convert, streams};
use crate::protocol::{Attached, FromAgent, Request, ToAgent};

pub(super) async fn start(connection: &Arc<Connection>, spec: CommandSpec) -> Result<Process> {
    // The program's name alone: arguments may be secrets.
    let program = spec.argv.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
    let operation = format!("run {program:?}");
    let stdin = spec.stdin;
    let (mut channel, streams) = connection.request(&operation, Request::Start(convert::command(spec)))?;
    channel.handle().carries_command();
    let sequence = match channel.reply(&operation).await? {
        FromAgent::Started { sequence } => sequence,
        _ => return Err(unexpected(&operation)),
    };
    let id = CommandId { boot: connection.info().boot, sequence };
    Ok(process(id, channel, streams, stdin, operation))
}

pub(super) async fn attach(
    connection: &Arc<Connection>,
    id: CommandId,
    known: Offsets,
) -> Result<AttachedProcess> {
    let operation = format!("attach to command {id}");
    same_boot(connection, id, &operation)?;
    let Offsets { stdout, stderr } = known;
    let request = Request::Attach { sequence: id.sequence, stdout, stderr };
    let (mut channel, streams) = connection.request(&operation, request)?;
    channel.handle().carries_command();
    let attached = match channel.reply(&operation).await? {
        FromAgent::Attached(attached) => attached,
        _ => return Err(unexpected(&operation)),
    };
    let Attached { stdout, stderr, stdin } = attached;
    Ok(AttachedProcess {
        process: process(id, channel, streams, stdin.is_some(), operation),
        from: Offsets { stdout, stderr },
        stdin: stdin.unwrap_or_default(),
    })
}

pub(super) async fn list(connection: &Arc<Connection>) -> Result<Vec<CommandInfo>> {
    let operation = "list the commands of the sandbox";
    let (mut channel, _streams) = connection.request(operation, Request::Commands)?;
    match channel.reply(operation).await? {
        FromAgent::Commands(entries) => {
            let boot = connection.info().boot;
            Ok(entries.into_iter().map(|entry| convert::command_info(boot, entry)).collect())
        }
        _ => Err(unexpected(operation)),
    }
}

pub(super) async fn kill(connection: &Arc<Connection>, id: CommandId, signal: Option<i32>) -> Result<()> {
    let operation = format!("end command {id}");
    same_boot(connection, id, &operation)?;
    let request = Request::Kill { sequence: id.sequence, signal };
    let (mut channel, _streams) = connection.request(&operation, request)?;
    match channel.reply(&operation).await? {
        FromAgent::Done { .. } => Ok(()),
        _ => Err(unexpected(&operation)),
    }
}

/// A number means another command under another boot.
fn same_boot(connection: &Connection, id: CommandId, operation: &str) -> Result<()> {
    if id.boot == connection.info().boot {
        return Ok(());
    }
    let message = "the sandbox's agent is another one than the command's: what became of it is unknown";
    Err(Error::new(ErrorKind::Restarted, operation, message).outcome_is(Outcome::Unknown))
}

fn process(id: CommandId, channel: Channel, streams: Streams, stdin: bool, operation: String) -> Process {
    let handle = channel.handle();
    Process {
        id,
        stdin: stdin.then(|| streams::writer(handle, streams.input)),
        stdout: Some(streams::reader(handle, streams.output, &operation)),
        stderr: Some(streams::reader(handle, streams.error, &operation)),
        control: Box::new(Control { channel, operation, finished: None }),
    }
}

struct Control {
    channel: Channel,
    operation: String,
    finished: Option<Finished>,
}

impl Control {
    fn say(&self, message: &ToAgent) -> Result<()> {
        if self.finished.is_some() {
            return Ok(());
        }
        let handle = self.channel.handle();
        handle.send(message).map_err(|_| handle.lost(&self.operation))
    }
}

#[async_trait]
impl ProcessControl for Control {
    async fn wait(&mut self) -> Result<Finished> {
        if let Some(finished) = &self.finished {
            return Ok(finished.clone());
        }
        match self.channel.reply(&self.operation).await? {
            FromAgent::Ended(report) => {
                self.channel.handle().claim();
                Ok(self.finished.insert(convert::finished(report)).clone())
            }
            _ => Err(unexpected(&self.operation)),
        }
    }

    async fn cancel(&self) -> Result<()> {
        self.say(&ToAgent::Cancel)
    }

    async fn signal(&self, signal: i32) -> Result<()> {
        self.say(&ToAgent::Signal(signal))
    }

    async fn resize(&self, size: TerminalSize) -> Result<()> {
        self.say(&ToAgent::Resize(convert::size(size)))
    }
}
