//! Any bytes as what a client may say: refused, or a message that is encoded and decoded to itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oh_agent::protocol::{ToAgent, decode, encode};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = decode::<ToAgent>(bytes) {
        let again = encode(&message).expect("a message that can be encoded");
        assert_eq!(decode::<ToAgent>(&again).expect("a message that can be decoded"), message);
    }
});
