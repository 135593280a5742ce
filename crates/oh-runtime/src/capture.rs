//! A command's output, whole or within a limit.

use std::collections::VecDeque;
use std::io;

use oh_runtime_api::{BoxRead, Finished};
use tokio::io::AsyncReadExt;

const MIB: usize = 1 << 20;
/// Bytes asked for at once.
const PIECE: usize = 64 * 1024;

/// How much of a stream is kept. What is between head and tail is read and dropped, so that the command goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes kept of the beginning.
    pub head: usize,
    /// Bytes kept of the end.
    pub tail: usize,
}

impl OutputLimit {
    /// At most `bytes`, half of them of the beginning.
    #[must_use]
    pub const fn bytes(bytes: usize) -> Self {
        Self { head: bytes / 2, tail: bytes - bytes / 2 }
    }
}

impl Default for OutputLimit {
    /// 16 MiB a stream.
    fn default() -> Self {
        Self::bytes(16 * MIB)
    }
}

/// What was kept of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// The bytes: the first [`head`](OutputLimit::head) ones, then the last [`tail`](OutputLimit::tail) ones.
    pub bytes: Vec<u8>,
    /// How many bytes between head and tail are missing.
    pub dropped: u64,
}

/// A finished command and what it wrote, also when it was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub finished: Finished,
    /// Its standard output.
    pub stdout: Captured,
    /// Its standard error.
    pub stderr: Captured,
}

/// Reads a stream to its end.
pub(crate) async fn capture(stream: Option<BoxRead>, limit: OutputLimit) -> io::Result<Captured> {
    let Some(mut stream) = stream else { return Ok(Captured::default()) };
    let mut head = Vec::new();
    let mut tail = VecDeque::<u8>::new();
    let mut dropped = 0;
    let mut piece = Vec::with_capacity(PIECE);
    while stream.read_buf(&mut piece).await? > 0 {
        let (first, rest) = piece.split_at(piece.len().min(limit.head - head.len()));
        head.extend_from_slice(first);
        tail.extend(rest);
        let excess = tail.len().saturating_sub(limit.tail);
        tail.drain(..excess);
        dropped += excess as u64;
        piece.clear();
    }
    head.extend(tail);
    Ok(Captured { bytes: head, dropped })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(input: &[u8], limit: OutputLimit, bytes: &[u8], dropped: u64) {
        let stream: BoxRead = Box::pin(std::io::Cursor::new(input.to_vec()));
        let captured = capture(Some(stream), limit).await.unwrap();
        assert_eq!(captured, Captured { bytes: bytes.to_vec(), dropped }, "{input:?} {limit:?}");
    }

    #[tokio::test]
    async fn head_and_tail_are_kept_and_the_rest_is_counted() {
        let limit = OutputLimit { head: 3, tail: 2 };
        check(b"", limit, b"", 0).await;
        check(b"abc", limit, b"abc", 0).await;
        check(b"abcde", limit, b"abcde", 0).await;
        check(b"abcdef", limit, b"abcef", 1).await;
        check(b"abcdefghij", limit, b"abcij", 5).await;
        check(b"abc", OutputLimit::bytes(0), b"", 3).await;
        check(b"abc", OutputLimit::bytes(1), b"c", 2).await;
    }

    #[tokio::test]
    async fn pieces_do_not_matter() {
        let input: Vec<u8> = (0..5 * PIECE).map(|i| (i / 7) as u8).collect();
        let limit = OutputLimit { head: PIECE + 1, tail: PIECE + 3 };
        let kept = [&input[..limit.head], &input[input.len() - limit.tail..]].concat();
        check(&input, limit, &kept, (input.len() - kept.len()) as u64).await;
    }

    #[tokio::test]
    async fn nothing_is_captured_of_no_stream() {
        assert_eq!(capture(None, OutputLimit::default()).await.unwrap(), Captured::default());
    }
}
