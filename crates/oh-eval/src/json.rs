//! JSON as the reference writes it, byte for byte: Python's `json.dumps`, which escapes all that is not printable ASCII.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

/// `json.dumps(value, indent=…)`, without a last line end.
///
/// # Errors
/// When `value` cannot be JSON, such as a map whose keys are no strings.
pub(crate) fn dumps(value: &impl Serialize, indent: &'static str) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let formatter = Ascii(PrettyFormatter::with_indent(indent.as_bytes()));
    value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter))?;
    Ok(bytes)
}

struct Ascii(PrettyFormatter<'static>);

/// Everything but text is left to the pretty formatter.
impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c| c > '~') {
            let (plain, other) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut chars = other.chars();
            let mut units = [0; 2];
            for unit in chars.next().map(|c| &*c.encode_utf16(&mut units)).unwrap_or_default() {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn looks_as_python_writes_it() {
        let value = json!({"a": [], "b": {}, "c": [1, true, null], "d": "\"\\\n\t\u{8}\u{1b}\u{7f}é日😀~"});
        let text = String::from_utf8(dumps(&value, "    ").unwrap()).unwrap();
        let expected = r#"{
    "a": [],
    "b": {},
    "c": [
        1,
        true,
        null
    ],
    "d": "\"\\\n\t\b\u001b\u007f\u00e9\u65e5\ud83d\ude00~"
}"#;
        assert_eq!(text, expected);
    }
}
