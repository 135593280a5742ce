//! Frames: `channel: u32, length: u16, kind: u8, stream: u8`, little endian, then `length` bytes.
//!
//! A message may span frames; its parts are not mixed with those of another message, but frames of data may come
//! between them. Everything has a limit, because either end may be hostile.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Most bytes behind a header, so that a large transfer delays a small one by no more than this. With its header a frame
/// has 32 KiB: what passes it on works in pieces of that size, and a few bytes more cost as much as another piece.
pub const MAX_PAYLOAD: usize = 32 * 1024 - HEADER;
/// Most bytes of one message, all its parts together: room for the largest command line Linux takes.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// Bytes of a header.
pub const HEADER: usize = 8;

const MESSAGE_END: u8 = 0;
const MESSAGE_PART: u8 = 1;
const DATA: u8 = 2;
const EOF: u8 = 3;

/// What arrives on a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A whole message, still encoded.
    Message {
        /// Its channel.
        channel: u32,
        /// The encoded message.
        body: Bytes,
    },
    /// The next bytes of a stream.
    Data {
        /// Its channel.
        channel: u32,
        /// Which stream of the channel.
        stream: u8,
        /// The bytes.
        bytes: Bytes,
    },
    /// The stream ends here.
    Eof {
        /// Its channel.
        channel: u32,
        /// Which stream of the channel.
        stream: u8,
    },
}

/// The other end broke the protocol. The connection is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// A frame longer than [`MAX_PAYLOAD`].
    FrameTooLong,
    /// A message longer than [`MAX_MESSAGE`].
    MessageTooLong,
    /// A frame of a kind nobody defined.
    UnknownKind(u8),
    /// A part of one message amid another.
    MixedMessages,
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::FrameTooLong => write!(f, "a frame is longer than {MAX_PAYLOAD} bytes"),
            Self::MessageTooLong => write!(f, "a message is longer than {MAX_MESSAGE} bytes"),
            Self::UnknownKind(kind) => write!(f, "a frame is of unknown kind {kind}"),
            Self::MixedMessages => f.write_str("parts of two messages are mixed"),
        }
    }
}

impl std::error::Error for FrameError {}

/// Puts frames together from bytes as they come.
#[derive(Debug, Default)]
pub struct Decoder {
    partial: BytesMut,
    partial_channel: Option<u32>,
}

impl Decoder {
    /// Takes the next frame off `buffer`; `None` when more bytes are needed.
    ///
    /// # Errors
    /// When the other end broke the protocol.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        while buffer.len() >= HEADER {
            let mut header = &buffer[..HEADER];
            let channel = header.get_u32_le();
            let length = usize::from(header.get_u16_le());
            let kind = header.get_u8();
            let stream = header.get_u8();
            if length > MAX_PAYLOAD {
                return Err(FrameError::FrameTooLong);
            }
            if buffer.len() < HEADER + length {
                return Ok(None);
            }
            buffer.advance(HEADER);
            let payload = buffer.split_to(length).freeze();
            match kind {
                DATA => return Ok(Some(Frame::Data { channel, stream, bytes: payload })),
                EOF => return Ok(Some(Frame::Eof { channel, stream })),
                MESSAGE_END if self.partial_channel.is_none() => {
                    return Ok(Some(Frame::Message { channel, body: payload }));
                }
                MESSAGE_END | MESSAGE_PART => {
                    if self.partial_channel.is_some_and(|partial| partial != channel) {
                        return Err(FrameError::MixedMessages);
                    }
                    if self.partial.len() + payload.len() > MAX_MESSAGE {
                        return Err(FrameError::MessageTooLong);
                    }
                    self.partial.extend_from_slice(&payload);
                    self.partial_channel = Some(channel);
                    if kind == MESSAGE_END {
                        self.partial_channel = None;
                        return Ok(Some(Frame::Message { channel, body: self.partial.split().freeze() }));
                    }
                }
                other => return Err(FrameError::UnknownKind(other)),
            }
        }
        Ok(None)
    }
}

fn put_header(out: &mut BytesMut, channel: u32, length: usize, kind: u8, stream: u8) {
    out.put_u32_le(channel);
    // Every caller splits at MAX_PAYLOAD, which fits.
    out.put_u16_le(length as u16);
    out.put_u8(kind);
    out.put_u8(stream);
}

/// Appends a message, in as many frames as it needs.
///
/// # Errors
/// When it is longer than [`MAX_MESSAGE`].
pub fn put_message(out: &mut BytesMut, channel: u32, body: &[u8]) -> Result<(), FrameError> {
    if body.len() > MAX_MESSAGE {
        return Err(FrameError::MessageTooLong);
    }
    let mut rest = body;
    loop {
        let (part, after) = rest.split_at(rest.len().min(MAX_PAYLOAD));
        put_header(out, channel, part.len(), if after.is_empty() { MESSAGE_END } else { MESSAGE_PART }, 0);
        out.put_slice(part);
        rest = after;
        if rest.is_empty() {
            return Ok(());
        }
    }
}

/// Appends bytes of a stream, in as many frames as they need.
pub fn put_data(out: &mut BytesMut, channel: u32, stream: u8, bytes: &[u8]) {
    for part in bytes.chunks(MAX_PAYLOAD) {
        put_header(out, channel, part.len(), DATA, stream);
        out.put_slice(part);
    }
}

/// Appends the end of a stream.
pub fn put_eof(out: &mut BytesMut, channel: u32, stream: u8) {
    put_header(out, channel, 0, EOF, stream);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode_all(bytes: &[u8], step: usize) -> Result<Vec<Frame>, FrameError> {
        let (mut decoder, mut buffer, mut frames) = (Decoder::default(), BytesMut::new(), Vec::new());
        for part in bytes.chunks(step.max(1)) {
            buffer.extend_from_slice(part);
            while let Some(frame) = decoder.next(&mut buffer)? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_put_comes_out(body in prop::collection::vec(any::<u8>(), 0..80_000), step in 500usize..9000) {
            let mut out = BytesMut::new();
            put_message(&mut out, 7, &body).unwrap();
            put_data(&mut out, 9, OUTPUT, &body);
            put_eof(&mut out, 9, OUTPUT);
            let frames = decode_all(&out, step).unwrap();
            prop_assert_eq!(&frames[0], &Frame::Message { channel: 7, body: body.clone().into() });
            let data: Vec<u8> = frames.iter().flat_map(|f| match f {
                Frame::Data { bytes, .. } => bytes.to_vec(),
                _ => Vec::new(),
            }).collect();
            prop_assert_eq!(data, body);
            prop_assert_eq!(frames.last().unwrap(), &Frame::Eof { channel: 9, stream: OUTPUT });
        }

        #[test]
        fn any_bytes_end_in_frames_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
            let _ = decode_all(&bytes, 100);
        }
    }

    use crate::protocol::OUTPUT;

    #[test]
    fn limits_hold() {
        assert_eq!(decode_all(&[1, 0, 0, 0, 0xff, 0xff, DATA, 1], 8), Err(FrameError::FrameTooLong));
        assert_eq!(decode_all(&[1, 0, 0, 0, 0, 0, 9, 1], 8), Err(FrameError::UnknownKind(9)));
        let mut parts = BytesMut::new();
        for _ in 0..=MAX_MESSAGE / MAX_PAYLOAD {
            put_header(&mut parts, 1, MAX_PAYLOAD, MESSAGE_PART, 0);
            parts.put_bytes(0, MAX_PAYLOAD);
        }
        assert_eq!(decode_all(&parts, 1 << 20), Err(FrameError::MessageTooLong));
        let mut mixed = BytesMut::new();
        put_header(&mut mixed, 1, 0, MESSAGE_PART, 0);
        put_header(&mut mixed, 2, 0, MESSAGE_PART, 0);
        assert_eq!(decode_all(&mixed, 100), Err(FrameError::MixedMessages));
        assert_eq!(
            put_message(&mut BytesMut::new(), 1, &vec![0; MAX_MESSAGE + 1]),
            Err(FrameError::MessageTooLong)
        );
    }
}
