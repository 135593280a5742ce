//! Commands.

use std::sync::Arc;

use async_trait::async_trait;
use oh_runtime_api::{CommandId, CommandSpec, Finished, Process, ProcessControl, Result};

use super::connection::{Channel, Connection, unexpected};
use super::{convert, streams};
use crate::protocol::{FromAgent, Request, ToAgent};

pub(super) async fn start(connection: &Arc<Connection>, spec: CommandSpec) -> Result<Process> {
    // The program's name alone: arguments may be secrets.
    let program = spec.argv.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
    let operation = format!("run {program:?}");
    let stdin = spec.stdin;
    let (mut channel, streams) = connection.request(&operation, Request::Start(convert::command(spec)))?;
    let sequence = match channel.reply(&operation).await? {
        FromAgent::Started { sequence } => sequence,
        _ => return Err(unexpected(&operation)),
    };
    let handle = channel.handle();
    Ok(Process {
        id: CommandId { boot: connection.info().boot, sequence },
        stdin: stdin.then(|| streams::writer(handle, streams.input)),
        stdout: Some(streams::reader(handle, streams.output, &operation)),
        stderr: Some(streams::reader(handle, streams.error, &operation)),
        control: Box::new(Control { channel, operation, finished: None }),
    })
}

struct Control {
    channel: Channel,
    operation: String,
    finished: Option<Finished>,
}

#[async_trait]
impl ProcessControl for Control {
    async fn wait(&mut self) -> Result<Finished> {
        if let Some(finished) = &self.finished {
            return Ok(finished.clone());
        }
        match self.channel.reply(&self.operation).await? {
            FromAgent::Ended(report) => Ok(self.finished.insert(convert::finished(report)).clone()),
            _ => Err(unexpected(&self.operation)),
        }
    }

    async fn cancel(&self) -> Result<()> {
        if self.finished.is_some() {
            return Ok(());
        }
        let handle = self.channel.handle();
        handle.send(&ToAgent::Cancel).map_err(|_| handle.lost(&self.operation))
    }
}
