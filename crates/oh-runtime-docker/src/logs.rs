//! The log of a sandbox's first process.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures::StreamExt;
use oh_runtime_api::{Incarnation, LogOptions, LogStream, Result};

use crate::client::Client;
use crate::evidence;

/// See [`Backend::logs`](oh_runtime_api::Backend::logs). Standard output and error in the order they were written.
pub(crate) async fn open(client: &Client, id: &Incarnation, options: LogOptions) -> Result<LogStream> {
    let operation = format!("read the log of sandbox {}", id.name);
    // A missing container would only show in the stream.
    evidence::inspect(client, id, &operation).await?;
    let tail = options.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
    let query =
        LogsOptionsBuilder::default().stdout(true).stderr(true).follow(options.follow).tail(&tail).build();
    let client = client.clone();
    let pieces = client.calls.logs(&id.uid, Some(query));
    Ok(pieces
        .map(move |piece| match piece {
            Ok(piece) => Ok(LogOutput::into_bytes(piece)),
            Err(error) => Err(client.error(operation.as_str(), error)),
        })
        .boxed())
}
