//! What is text, and in which encoding.

use std::path::Path;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8};

use crate::files::suffix;

/// How much of a file decides whether it is text.
const SAMPLE: usize = 512;

/// Names of files that are never text.
const BINARY: &str = "7z a aac avi bin bmp bz2 class db dll dmg doc docx dylib eot exe flac flv gif gz ico iso jar jpeg jpg lib lz4 \
    m4a m4v mkv mov mp3 mp4 mpeg mpg npy npz o obj odt ogg otf parquet pdf pickle pkl png ppt pptx psd pyc pyd pyo rar \
    so sqlite sqlite3 tar tgz tif tiff ttf wasm wav webm webp whl wmv woff woff2 xls xlsx xz zip zst";

/// Whether a file of this name, with these bytes at its beginning, is something else than text.
pub(crate) fn is_binary(path: &Path, bytes: &[u8]) -> bool {
    let suffix = suffix(path);
    if BINARY.split_ascii_whitespace().any(|extension| suffix.strip_prefix('.') == Some(extension)) {
        return true;
    }
    let sample = &bytes[..bytes.len().min(SAMPLE)];
    let control = |byte: &&u8| **byte < b' ' && !b"\t\n\r\x0c\x1b\x08".contains(byte);
    sample.contains(&0) || sample.iter().filter(control).count() * 10 > sample.len()
}

/// A text file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    /// Its content; lines end with `\n`.
    pub(crate) content: String,
    encoding: &'static Encoding,
    crlf: bool,
}

impl Text {
    /// UTF-8 where it is that, else what it most likely is.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let encoding = if std::str::from_utf8(bytes).is_ok() {
            UTF_8
        } else {
            let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
            detector.feed(bytes, true);
            detector.guess(None, Utf8Detection::Deny)
        };
        let (text, _) = encoding.decode_without_bom_handling(bytes);
        let lines = text.matches('\n').count();
        let crlf = lines > 0 && text.matches("\r\n").count() == lines;
        Self { content: universal(&text), encoding, crlf }
    }

    /// Other content in the encoding and with the ends of lines this one has.
    pub(crate) fn encode(&self, content: &str) -> Vec<u8> {
        let content = if self.crlf { content.replace('\n', "\r\n") } else { content.to_owned() };
        self.encoding.encode(&content).0.into_owned()
    }
}

/// With every end of a line as `\n`, as Python reads text.
pub(crate) fn universal(text: &str) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_owned() }
}

/// The lines of a text, each with its `\n`.
pub(crate) fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_keeps_encoding_and_line_ends() {
        for bytes in
            [&b"a\nb\n"[..], b"a\r\nb\r\n", "grüße\n".as_bytes(), b"gr\xfc\xdfe und sch\xf6ne Tage\r\n"]
        {
            let text = Text::decode(bytes);
            assert!(!text.content.contains('\r'), "{bytes:?}");
            assert_eq!(text.encode(&text.content), bytes);
        }
        assert_eq!(Text::decode(b"gr\xfc\xdfe und sch\xf6ne Tage").content, "grüße und schöne Tage");
        assert_eq!(Text::decode(b"mixed\r\nends\n").encode("a\nb\n"), b"a\nb\n");
    }

    #[test]
    fn binary_is_known_by_name_or_content() {
        for (name, bytes, binary) in [
            ("a.py", &b"print(1)\n"[..], false),
            ("a.PNG", b"", true),
            ("a", b"\x7fELF\x02\x01\x01\0", true),
            ("a", "grüße".as_bytes(), false),
            ("a", b"\x1b[31mred\x1b[0m\n", false),
            ("a", b"\x01\x02\x03\x04", true),
            ("a", b"", false),
        ] {
            assert_eq!(is_binary(Path::new(name), bytes), binary, "{name} {bytes:?}");
        }
    }
}
