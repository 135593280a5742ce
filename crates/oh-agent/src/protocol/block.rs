//! The bytes of a transfer, in blocks: `offset: u64, size: u32, stored: u32`, little endian, then `stored` bytes. These
//! are the `size` bytes from `offset` on, as LZ4 when they are fewer, as they are otherwise.
//!
//! Each block is compressed alone and says where it belongs, so blocks of one transfer may take different streams.

use std::ops::RangeInclusive;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::frame::MAX_PAYLOAD;

/// Bytes of a header.
pub const HEADER: usize = 16;
/// Most bytes of a transfer in one block: with the header, one that cannot be compressed fills its frames.
pub const BLOCK: usize = 8 * MAX_PAYLOAD - HEADER;

/// Compressed, a block has to have less than this share of its size: else its receiver works for nothing.
const WORTH_IT: (usize, usize) = (7, 8);
/// So many blocks are not tried after one that was not worth it; each further one makes it twice as many.
const SKIPPED: RangeInclusive<u32> = 1..=64;

/// A block as it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Where in the transfer it begins.
    pub offset: u64,
    /// Its bytes, as long as they are not [opened](Self::open).
    stored: Bytes,
    size: usize,
}

/// The other end sent a block that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadBlock;

impl std::fmt::Display for BadBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a block of a transfer makes no sense")
    }
}

impl std::error::Error for BadBlock {}

impl Block {
    /// How many bytes of the transfer it holds.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The bytes of the transfer.
    ///
    /// # Errors
    /// When they cannot be what its sender put in.
    pub fn open(self) -> Result<Bytes, BadBlock> {
        if self.stored.len() == self.size {
            return Ok(self.stored);
        }
        let mut bytes = vec![0; self.size];
        match lz4_flex::block::decompress_into(&self.stored, &mut bytes) {
            Ok(size) if size == self.size => Ok(bytes.into()),
            _ => Err(BadBlock),
        }
    }

    /// Takes a block off the beginning of `buffer`, when all of it is there; says otherwise how long it is, as far as
    /// that is known.
    ///
    /// # Errors
    /// When there cannot be such a block.
    pub fn take(buffer: &mut BytesMut) -> Result<Result<Self, Option<usize>>, BadBlock> {
        let Some(mut header) = buffer.get(..HEADER) else { return Ok(Err(None)) };
        let offset = header.get_u64_le();
        let [size, stored] = [header.get_u32_le(), header.get_u32_le()].map(|field| field as usize);
        if size == 0 || size > BLOCK || stored > size {
            return Err(BadBlock);
        }
        if buffer.len() < HEADER + stored {
            return Ok(Err(Some(HEADER + stored)));
        }
        buffer.advance(HEADER);
        Ok(Ok(Self { offset, stored: buffer.split_to(stored).freeze(), size }))
    }
}

/// Where the next block of a transfer begins that is on top of `buffer`; `None` when that is not known yet.
pub(crate) fn offset(buffer: &BytesMut) -> Option<u64> {
    buffer.get(..HEADER).map(|mut header| header.get_u64_le())
}

/// Makes the blocks of one transfer.
#[derive(Debug)]
pub struct Packer {
    offset: u64,
    block: BytesMut,
    compresses: bool,
    /// Where it is compressed.
    scratch: Vec<u8>,
    skip: u32,
    skips: u32,
}

impl Packer {
    /// Whether it compresses what is worth it: between two ends on one machine nothing is.
    #[must_use]
    pub fn new(compresses: bool) -> Self {
        let (block, scratch) = (BytesMut::new(), Vec::new());
        let mut packer = Self { offset: 0, block, compresses, scratch, skip: 0, skips: *SKIPPED.start() };
        packer.begin();
        packer
    }

    fn begin(&mut self) {
        self.block.reserve(HEADER + BLOCK);
        self.block.put_bytes(0, HEADER);
    }

    /// Takes as many of `bytes` as the block has room for; returns how many these are.
    pub fn fill(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room());
        self.block.put_slice(&bytes[..count]);
        count
    }

    /// How many bytes the block still takes.
    #[must_use]
    pub fn room(&self) -> usize {
        HEADER + BLOCK - self.block.len()
    }

    /// Where the block's next bytes go: at most [`room`](Self::room).
    #[cfg(feature = "client")]
    pub(crate) fn buffer(&mut self) -> bytes::buf::Limit<&mut BytesMut> {
        let room = self.room();
        (&mut self.block).limit(room)
    }

    /// The bytes in the block so far.
    pub(crate) fn content(&self) -> &[u8] {
        &self.block[HEADER..]
    }

    /// Bytes of all blocks so far, also of the one that is not sealed.
    pub(crate) fn size(&self) -> u64 {
        self.offset + self.content().len() as u64
    }

    /// The block as it is sent; `None` when there is nothing in it.
    pub fn seal(&mut self) -> Option<Bytes> {
        let size = self.content().len();
        if size == 0 {
            return None;
        }
        let mut block = self.compressed().unwrap_or_else(|| self.block.split());
        let stored = block.len() - HEADER;
        let mut header = &mut block[..HEADER];
        header.put_u64_le(self.offset);
        for field in [size, stored] {
            // No block is larger than BLOCK.
            header.put_u32_le(field as u32);
        }
        self.offset += size as u64;
        self.block.clear();
        self.begin();
        Some(block.freeze())
    }

    /// The block compressed, behind room for its header, if that is worth it.
    fn compressed(&mut self) -> Option<BytesMut> {
        if !self.compresses {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        let content = &self.block[HEADER..];
        let most = content.len() * WORTH_IT.0 / WORTH_IT.1;
        self.scratch.resize(lz4_flex::block::get_maximum_output_size(content.len()), 0);
        match lz4_flex::block::compress_into(content, &mut self.scratch) {
            Ok(stored) if stored < most => {
                let mut block = BytesMut::with_capacity(HEADER + stored);
                block.put_bytes(0, HEADER);
                block.put_slice(&self.scratch[..stored]);
                self.skips = *SKIPPED.start();
                Some(block)
            }
            _ => {
                self.skip = self.skips;
                self.skips = (2 * self.skips).min(*SKIPPED.end());
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<Bytes> {
        let (mut packer, mut blocks, mut rest) = (Packer::new(true), Vec::new(), bytes);
        while !rest.is_empty() {
            rest = &rest[packer.fill(rest)..];
            if packer.room() == 0 {
                blocks.extend(packer.seal());
            }
        }
        blocks.extend(packer.seal());
        assert_eq!(packer.size(), bytes.len() as u64);
        blocks
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        };
        std::iter::repeat_with(&mut next).take(length).collect()
    }

    #[test]
    fn what_can_be_compressed_is_and_what_cannot_fills_its_frames() {
        let text = b"let there = sandbox.stat(&part).await?;\n".repeat(20_000);
        let sent: usize = packed(&text).iter().map(Bytes::len).sum();
        assert!(sent * 10 < text.len(), "{sent} bytes of {}", text.len());
        let noise = packed(&noise(3 * BLOCK));
        assert_eq!(noise.iter().map(Bytes::len).collect::<Vec<_>>(), [8 * MAX_PAYLOAD; 3]);
    }

    #[test]
    fn after_noise_text_is_found_again() {
        let bytes = [noise(4 * BLOCK), vec![b'a'; 8 * BLOCK]].concat();
        let blocks = packed(&bytes);
        assert!(blocks[11].len() < 10_000, "{} bytes", blocks[11].len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn what_is_packed_comes_out(
            pieces in prop::collection::vec((any::<u8>(), any::<bool>(), 1..100_000_usize), 0..12),
            step in 1..50_000_usize,
        ) {
            let bytes: Vec<u8> = pieces
                .into_iter()
                .flat_map(|(byte, noisy, length)| if noisy { noise(length) } else { vec![byte; length] })
                .collect();
            let (mut buffer, mut got) = (BytesMut::new(), Vec::new());
            for part in packed(&bytes).concat().chunks(step) {
                buffer.extend_from_slice(part);
                while let Ok(block) = Block::take(&mut buffer).unwrap() {
                    prop_assert_eq!(block.offset, got.len() as u64);
                    got.extend_from_slice(&block.open().unwrap());
                }
            }
            prop_assert!(got == bytes && buffer.is_empty());
        }

        #[test]
        fn hostile_bytes_cost_a_block_and_no_panic(
            mut bytes in prop::collection::vec(any::<u8>(), HEADER..2_000),
            size in 0..2 * BLOCK as u32,
            stored in 0..2_000_u32,
        ) {
            bytes[8..12].copy_from_slice(&size.to_le_bytes());
            bytes[12..16].copy_from_slice(&stored.to_le_bytes());
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Ok(block)) = Block::take(&mut buffer) {
                prop_assert!(block.size() <= BLOCK);
                if let Ok(bytes) = block.clone().open() {
                    prop_assert_eq!(bytes.len(), block.size());
                }
            }
        }
    }
}
