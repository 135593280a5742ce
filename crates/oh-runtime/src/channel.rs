//! Bytes between async code and a blocking thread. Whoever goes away ends the other: a thread never works on for a
//! future that was dropped.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use oh_runtime_api::BoxRead;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;

/// Bytes of one piece.
const PIECE: usize = 64 * 1024;
/// Pieces on their way.
const QUEUE: usize = 4;

/// A blocking writer whose bytes come out of an async reader.
///
/// The reader ends with an error unless the writer is [finished](Writer::finish): what stops in the middle must not
/// look whole.
pub(crate) fn writer() -> (Writer, BoxRead) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let pieces = futures::stream::unfold(Some(receiver), async |receiver| {
        let mut receiver: mpsc::Receiver<Option<Bytes>> = receiver?;
        match receiver.recv().await {
            Some(Some(bytes)) => Some((Ok(bytes), Some(receiver))),
            Some(None) => None,
            None => Some((Err(io::Error::other("what was to be sent broke off")), None)),
        }
    });
    (Writer { sender, buffer: Vec::new() }, Box::pin(StreamReader::new(Box::pin(pieces))))
}

/// See [`writer`].
pub(crate) struct Writer {
    sender: mpsc::Sender<Option<Bytes>>,
    buffer: Vec<u8>,
}

impl Writer {
    /// Says that this is all.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.sender.blocking_send(None).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.buffer).into();
        self.sender.blocking_send(Some(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// A blocking reader for what [`feed`] sends.
pub(crate) fn reader() -> (Feeder, Reader) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Feeder(sender), Reader { receiver, current: Bytes::new(), ended: false })
}

/// See [`reader`]. Ends where the stream ended; when the feeder went away before, that is an error.
pub(crate) struct Reader {
    receiver: mpsc::Receiver<Option<Bytes>>,
    current: Bytes,
    ended: bool,
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Some(bytes)) => self.current = bytes,
                Some(None) => self.ended = true,
                None => return Err(io::Error::other("what was to be received broke off")),
            }
        }
        let count = self.current.len().min(out.len());
        self.current.copy_to_slice(&mut out[..count]);
        Ok(count)
    }
}

/// See [`reader`].
pub(crate) struct Feeder(mpsc::Sender<Option<Bytes>>);

impl Feeder {
    /// Sends all of `stream`, or as much as the reader wants; calls `seen` with the number of bytes so far.
    pub(crate) async fn feed(
        self,
        mut stream: BoxRead,
        seen: &(dyn Fn(u64) + Send + Sync),
    ) -> io::Result<()> {
        let mut total = 0;
        loop {
            let mut piece = BytesMut::with_capacity(PIECE);
            let count = stream.read_buf(&mut piece).await?;
            let piece = (count > 0).then(|| piece.freeze());
            if self.0.send(piece).await.is_err() || count == 0 {
                return Ok(());
            }
            total += count as u64;
            seen(total);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::spawn_blocking;

    use super::*;

    #[tokio::test]
    async fn bytes_arrive_as_they_were_written() {
        let sent: Vec<u8> = (0..10 * PIECE).map(|i| (i % 251) as u8).collect();
        let (mut writer, mut stream) = writer();
        let bytes = sent.clone();
        let writing = spawn_blocking(move || {
            bytes.chunks(1000).try_for_each(|part| writer.write_all(part))?;
            writer.finish()
        });
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.unwrap();
        writing.await.unwrap().unwrap();
        assert_eq!(received, sent);

        let (feeder, mut reader) = reader();
        let reading = spawn_blocking(move || {
            let mut received = Vec::new();
            reader.read_to_end(&mut received).unwrap();
            assert_eq!(reader.read(&mut [0]).unwrap(), 0, "the end stays the end");
            received
        });
        feeder.feed(Box::pin(io::Cursor::new(sent.clone())), &|_| ()).await.unwrap();
        assert_eq!(reading.await.unwrap(), sent);
    }

    #[tokio::test]
    async fn a_writer_that_breaks_off_is_an_error_to_the_reader() {
        let (mut writer, mut stream) = writer();
        writer.write_all(b"half").unwrap();
        drop(writer);
        stream.read_to_end(&mut Vec::new()).await.unwrap_err();
        let (feeder, mut reader) = reader();
        drop(feeder);
        spawn_blocking(move || reader.read(&mut [0]).unwrap_err()).await.unwrap();
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_ends_the_writer() {
        let (mut writer, stream) = writer();
        drop(stream);
        let error =
            spawn_blocking(move || writer.write_all(&[0; 2 * PIECE]).and(writer.finish()).unwrap_err());
        assert_eq!(error.await.unwrap().kind(), io::ErrorKind::BrokenPipe);
        let (feeder, reader) = reader();
        drop(reader);
        feeder.feed(Box::pin(tokio::io::repeat(0)), &|_| ()).await.unwrap();
    }
}
