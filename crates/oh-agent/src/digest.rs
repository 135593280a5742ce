//! What both ends say of the bytes of a transfer, so that nothing between them can change any unnoticed.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Bytes read at once.
const PIECE: usize = 128 * 1024;

/// How many bytes these are, and their SHA-256.
///
/// # Errors
/// Those of the reader.
pub fn of(mut bytes: impl Read) -> io::Result<(u64, [u8; 32])> {
    let (mut hasher, mut size) = (Hasher::default(), 0);
    let mut piece = vec![0; PIECE];
    loop {
        match bytes.read(&mut piece)? {
            0 => return Ok((size, hasher.digest())),
            count => {
                hasher.update(&piece[..count]);
                size += count as u64;
            }
        }
    }
}

/// SHA-256 of the bytes so far.
#[derive(Clone, Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}
