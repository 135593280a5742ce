//! Any bytes, in pieces of any size: the decoder gives the same frames for every cut, within its limits, and what it
//! gives is encoded and decoded to itself.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use oh_agent::protocol::frame::{
    Decoder, Frame, FrameError, HEADER, MAX_MESSAGE, MAX_PAYLOAD, put_data, put_eof, put_message,
};

/// The frames, and why there are no more of them, if it is not for want of bytes.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<FrameError>) {
    let (mut decoder, mut buffer, mut frames) = (Decoder::default(), BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.next(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(buffer.len() < HEADER + MAX_PAYLOAD, "a whole frame is left");
    }
    (frames, None)
}

fn encode(frame: &Frame, out: &mut BytesMut) {
    match frame {
        Frame::Message { channel, body } => {
            assert!(body.len() <= MAX_MESSAGE);
            put_message(out, *channel, body).expect("a message within the limit");
        }
        Frame::Data { channel, stream, bytes } => {
            assert!(bytes.len() <= MAX_PAYLOAD);
            put_data(out, *channel, *stream, bytes);
        }
        Frame::Eof { channel, stream } => put_eof(out, *channel, *stream),
    }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    let (frames, error) = decode(std::iter::once(bytes));
    let in_pieces = decode(bytes.chunks(usize::from(step) + 1));
    assert_eq!((&frames, &error), (&in_pieces.0, &in_pieces.1));
    let mut again = BytesMut::new();
    for frame in &frames {
        encode(frame, &mut again);
    }
    // A frame of data without any is not sent.
    let sent =
        frames.into_iter().filter(|frame| !matches!(frame, Frame::Data { bytes, .. } if bytes.is_empty()));
    assert_eq!(decode(std::iter::once(&again[..])), (sent.collect(), None));
});
