//! A zlib stream of any length in little memory.

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_COMPUTE_ADLER32, TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_PARSE_ZLIB_HEADER,
};
use miniz_oxide::inflate::core::{DecompressorOxide, TINFL_LZ_DICT_SIZE, decompress};

/// Bytes read at once.
const INPUT: usize = 16 * 1024;

/// Reads until `read` returns 0, and writes what the bytes mean. Checks that the stream is whole.
pub(crate) fn inflate(
    mut read: impl FnMut(&mut [u8]) -> Result<usize, &'static str>,
    mut write: impl FnMut(&[u8]) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    let mut state = DecompressorOxide::new();
    let mut input = [0; INPUT];
    // The decompressor reads back what it wrote, a window of this size; it is written to round and round.
    let mut window = [0; TINFL_LZ_DICT_SIZE];
    let (mut start, mut end, mut at) = (0, 0, 0);
    let mut ended = false;
    loop {
        if start == end && !ended {
            end = read(&mut input)?;
            start = 0;
            ended = end == 0;
        }
        let more = if ended { 0 } else { TINFL_FLAG_HAS_MORE_INPUT };
        let flags = TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_COMPUTE_ADLER32 | more;
        let (status, taken, made) = decompress(&mut state, &input[start..end], &mut window, at, flags);
        start += taken;
        write(&window[at..at + made])?;
        at = (at + made) % TINFL_LZ_DICT_SIZE;
        match status {
            TINFLStatus::Done => return Ok(()),
            TINFLStatus::NeedsMoreInput if !ended => {}
            TINFLStatus::HasMoreOutput => {}
            _ => return Err("the packed agent is damaged"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inflated(mut packed: &[u8]) -> Result<Vec<u8>, &'static str> {
        let mut out = Vec::new();
        let read = |buffer: &mut [u8]| {
            // Odd pieces, so that nothing ends where a block does.
            let count = packed.len().min(buffer.len()).min(997);
            buffer[..count].copy_from_slice(&packed[..count]);
            packed = &packed[count..];
            Ok(count)
        };
        inflate(read, |bytes| {
            out.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(out)
    }

    /// Bytes that compress, but not to nothing.
    fn sample(length: usize) -> Vec<u8> {
        (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 27) as u8).collect()
    }

    #[test]
    fn what_was_packed_comes_out() {
        for length in [0, 1, TINFL_LZ_DICT_SIZE - 1, TINFL_LZ_DICT_SIZE, 5 * TINFL_LZ_DICT_SIZE + 3] {
            let bytes = sample(length);
            let packed = miniz_oxide::deflate::compress_to_vec_zlib(&bytes, 9);
            assert!(inflated(&packed) == Ok(bytes), "{length}");
        }
    }

    #[test]
    fn damage_is_an_error() {
        let packed = miniz_oxide::deflate::compress_to_vec_zlib(&sample(100_000), 6);
        let half = &packed[..packed.len() / 2];
        let mut wrong_sum = packed.clone();
        *wrong_sum.last_mut().unwrap() ^= 1;
        for damaged in [half, &[], b"no zlib stream", &wrong_sum] {
            assert_eq!(inflated(damaged), Err("the packed agent is damaged"));
        }
    }
}
