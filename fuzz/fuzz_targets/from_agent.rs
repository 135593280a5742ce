//! Any bytes as what an agent may say: refused, or a message that is encoded and decoded to itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oh_agent::protocol::{FromAgent, decode, encode};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = decode::<FromAgent>(bytes) {
        let again = encode(&message).expect("a message that can be encoded");
        assert_eq!(decode::<FromAgent>(&again).expect("a message that can be decoded"), message);
    }
});
