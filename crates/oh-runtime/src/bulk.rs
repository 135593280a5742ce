//! Which transfers are large.

use std::io::Cursor;

use bytes::BytesMut;
use oh_runtime_api::BoxRead;
use tokio::io::AsyncReadExt;

/// A transfer of more bytes gets a stream of its own: to open one costs more than to wait for so many.
pub(crate) const LARGE: u64 = 4 << 20;
/// Bytes read at once while a transfer is weighed.
const PIECE: usize = 64 * 1024;

/// Bytes on their way into a sandbox.
pub(crate) struct Upload {
    pub(crate) data: BoxRead,
    pub(crate) is_large: bool,
}

impl Upload {
    /// Reads as far as it takes to know.
    pub(crate) async fn weigh(mut data: BoxRead) -> Self {
        let mut start = BytesMut::new();
        let is_large = loop {
            start.reserve(PIECE);
            match data.read_buf(&mut start).await {
                Ok(0) => break false,
                Ok(_) if start.len() as u64 > LARGE => break true,
                Ok(_) => {}
                Err(error) => {
                    // Whoever sends it gets the error where it is.
                    data = Box::pin(Broken(Some(error)));
                    break false;
                }
            }
        };
        Self { data: Box::pin(Cursor::new(start.freeze()).chain(data)), is_large }
    }
}

/// Nothing but an error.
struct Broken(Option<std::io::Error>);

impl tokio::io::AsyncRead for Broken {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(self.0.take().map_or(Ok(()), Err))
    }
}
