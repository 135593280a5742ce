//! Any bytes as the blocks of a transfer: refused, or blocks of the size they say, for no more memory than they take.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use oh_agent::protocol::block::{BLOCK, Block};

fuzz_target!(|bytes: &[u8]| {
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Ok(block)) = Block::take(&mut buffer) {
        let size = block.size();
        assert!(size <= BLOCK);
        if let Ok(bytes) = block.open() {
            assert_eq!(bytes.len(), size);
        }
    }
});
