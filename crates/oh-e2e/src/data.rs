//! Bytes to send and compare.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use oh_runtime::BoxRead;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// `length` bytes that look random, always the same for one `seed`.
#[must_use]
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    // xorshift64*, by Marsaglia and Vigna.
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Lower-case hex sha256, as `sha256sum` prints it.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first `length` bytes that `seq FIRST …` prints: every line is another, so nothing can be lost or swapped unseen.
#[must_use]
pub fn numbers(first: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 24);
    let mut next = first;
    while bytes.len() < length {
        bytes.extend(format!("{next}\n").bytes());
        next += 1;
    }
    bytes.truncate(length);
    bytes
}

/// Bytes as something to send.
#[must_use]
pub fn reader(bytes: impl Into<Vec<u8>>) -> BoxRead {
    Box::pin(io::Cursor::new(bytes.into()))
}

/// `bytes`, then an error: a source that breaks.
#[must_use]
pub fn breaking_reader(bytes: impl Into<Vec<u8>>) -> BoxRead {
    struct Breaks;
    impl AsyncRead for Breaks {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::Error::other("the source broke on purpose")))
        }
    }
    Box::pin(io::Cursor::new(bytes.into()).chain(Breaks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_reproducible_and_differs_by_seed() {
        assert_eq!(noise(1, 1001), noise(1, 1001));
        assert_ne!(noise(1, 1001), noise(2, 1001));
        assert_eq!(numbers(9, 5), b"9\n10\n");
        assert_eq!(&sha256(b"")[..8], "e3b0c442");
    }
}
