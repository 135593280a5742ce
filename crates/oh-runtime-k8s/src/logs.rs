//! The log of a sandbox's first process.

use bytes::Bytes;
use futures::{AsyncReadExt, StreamExt, stream};
use kube::api::LogParams;
use oh_runtime_api::{Error, ErrorKind, Incarnation, LogOptions, LogStream, Result};

use crate::client::{Client, Unanswered};
use crate::evidence;
use crate::pod::SANDBOX;

/// Bytes read at once.
const BUFFER: usize = 16 * 1024;

/// See [`Backend::logs`](oh_runtime_api::Backend::logs). Standard output and error in the order they were written.
pub(crate) async fn open(client: &Client, id: &Incarnation, options: LogOptions) -> Result<LogStream> {
    let operation = format!("read the log of sandbox {}", id.name);
    // The log is had by name, and another one may have taken it.
    evidence::get(client, id, &operation).await?;
    let params = LogParams {
        container: Some(SANDBOX.to_owned()),
        follow: options.follow,
        tail_lines: options.tail.and_then(|lines| i64::try_from(lines).ok()),
        ..LogParams::default()
    };
    let pods = client.pods();
    let opened = client.answer(|| pods.log_stream(id.name.as_str(), &params)).await;
    let log = match opened {
        Ok(log) => log,
        Err(error) if says(&error, "is waiting to start") => return Ok(stream::empty().boxed()),
        Err(error) => return Err(client.error(operation, error)),
    };
    let pieces = stream::try_unfold((Box::pin(log), operation), |(mut log, operation)| async move {
        let mut buffer = vec![0; BUFFER];
        match log.read(&mut buffer).await {
            Ok(0) => Ok(None),
            Ok(count) => {
                buffer.truncate(count);
                Ok(Some((Bytes::from(buffer), (log, operation))))
            }
            Err(error) => {
                let message = format!("the connection to the Kubernetes API server broke: {error}");
                Err(Error::new(ErrorKind::Unavailable, operation, message).caused_by(error))
            }
        }
    });
    Ok(pieces.boxed())
}

fn says(error: &Unanswered, words: &str) -> bool {
    matches!(error, Unanswered::Error(kube::Error::Api(status)) if status.message.contains(words))
}
