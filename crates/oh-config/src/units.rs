//! Durations and sizes, from the text people write.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, Error, Visitor};

/// Suffixes of sizes and their bytes, as Kubernetes writes quantities.
const SIZES: [(&str, u64); 10] = [
    ("", 1),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
];
/// Most digits after the point of a size, so that nothing overflows on the way.
const MAX_FRACTION: usize = 9;

/// What is wrong with text that is no duration, size or number of cores, and what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUnit(String);

impl InvalidUnit {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Reads a duration such as `90s`, `10m`, `1h30m`, `2d` or `500ms`. A number needs its unit, because tools differ in
/// what `90` alone means.
///
/// # Errors
/// When it is none, or longer than can be counted.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidUnit> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidUnit(format!("has no unit, write \"{text}s\" for seconds")));
    }
    // humantime reads `M` as months, and nobody who writes 10M means those.
    if text.contains('M') {
        return Err(InvalidUnit::new("is no duration, minutes are written like \"10m\""));
    }
    humantime::parse_duration(text).map_err(|error| {
        InvalidUnit::new(match error {
            humantime::DurationError::NumberOverflow => "is not a duration that can be counted",
            _ => "is no duration, write one like \"90s\", \"10m\" or \"1h30m\"",
        })
    })
}

/// Reads a size such as `4Gi`, `512Mi`, `10G`, `1.5Gi`, or bytes without a suffix. `Ki` is 1024, `k` is 1000.
/// A fraction of a byte is rounded up.
///
/// # Errors
/// When it is none, or larger than 64 bits.
pub fn parse_size(text: &str) -> Result<u64, InvalidUnit> {
    let invalid = |why: &str| InvalidUnit(format!("is no size, {why}"));
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(unit_at);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(invalid("write one like \"4Gi\", \"512Mi\" or \"10G\""));
    }
    let Some((_, unit)) = SIZES.iter().find(|(known, _)| *known == suffix) else {
        return Err(invalid(&format!("its unit {suffix:?} is none of Ki, Mi, Gi, Ti, Pi, k, M, G, T")));
    };
    if fraction.len() > MAX_FRACTION {
        return Err(invalid("it has too many digits after the point"));
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or_default());
    let bytes =
        format!("{whole}{fraction}").parse::<u128>().ok().and_then(|n| n.checked_mul(u128::from(*unit)));
    let bytes = bytes.and_then(|bytes| u64::try_from(bytes.div_ceil(scale)).ok());
    bytes.ok_or_else(|| invalid("it is too large"))
}

/// Reads an amount of CPU: cores such as `2` or `0.5`, or thousandths of one such as `500m`.
///
/// # Errors
/// When it is none, or nothing.
pub fn parse_cores(text: &str) -> Result<f64, InvalidUnit> {
    let (number, scale) = text.strip_suffix('m').map_or((text, 1.0), |number| (number, 1000.0));
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match number.parse::<f64>().ok().filter(|_| plain) {
        Some(cores) if cores > 0.0 && cores.is_finite() => Ok(cores / scale),
        Some(_) => Err(InvalidUnit::new("has to be more than 0")),
        None => Err(InvalidUnit::new("is no amount of CPU, write cores like 2, 0.5 or \"500m\"")),
    }
}

pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse_duration(&deserializer.deserialize_any(Text)?).map_err(D::Error::custom)
}

pub(crate) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    parse_size(&deserializer.deserialize_any(Text)?).map_err(D::Error::custom)
}

pub(crate) fn cores<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    parse_cores(&deserializer.deserialize_any(Text)?).map_err(D::Error::custom)
}

/// Text, or a number that is as good as its text.
struct Text;

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("90s", 90_000),
            ("10m", 600_000),
            ("24h", 86_400_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("500ms", 500),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn durations_that_are_none_say_what_would_be_one() {
        for (text, message) in [
            ("90", "has no unit, write \"90s\" for seconds"),
            ("", "is no duration, write one like \"90s\", \"10m\" or \"1h30m\""),
            ("-5s", "is no duration, write one like \"90s\", \"10m\" or \"1h30m\""),
            ("5 parsecs", "is no duration, write one like \"90s\", \"10m\" or \"1h30m\""),
            ("10M", "is no duration, minutes are written like \"10m\""),
            ("99999999999999999999s", "is not a duration that can be counted"),
        ] {
            assert_eq!(parse_duration(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("4Gi", 4 << 30),
            ("512Mi", 512 << 20),
            ("10G", 10_000_000_000),
            ("1.5Gi", 3 << 29),
            ("0.0001k", 1),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn sizes_that_are_none_say_why() {
        let units = |unit| format!("its unit {unit:?} is none of Ki, Mi, Gi, Ti, Pi, k, M, G, T");
        let rule = "write one like \"4Gi\", \"512Mi\" or \"10G\"".to_owned();
        for (text, why) in [
            ("4GB", units("GB")),
            ("4gi", units("gi")),
            ("4 Gi", units(" Gi")),
            ("500m", units("m")),
            ("1e3", units("e3")),
            ("", rule.clone()),
            ("Gi", rule.clone()),
            ("-1", rule.clone()),
            ("1.", rule.clone()),
            (".5Gi", rule.clone()),
            ("1.2.3", rule),
            ("1.0123456789Gi", "it has too many digits after the point".into()),
            ("16384Pi", "it is too large".into()),
            ("99999999999999999999999999999999999999999", "it is too large".into()),
        ] {
            assert_eq!(parse_size(text).unwrap_err().to_string(), format!("is no size, {why}"));
        }
    }

    #[test]
    fn cores_are_whole_parts_or_thousandths() {
        for (text, cores) in [("2", 2.0), ("0.5", 0.5), ("500m", 0.5), ("1500m", 1.5)] {
            assert_eq!(parse_cores(text), Ok(cores), "{text}");
        }
        for text in ["0", "0m", "-1", "", "m", "nan", "inf", "1e3", "two", "1.2.3"] {
            assert!(parse_cores(text).is_err(), "{text}");
        }
    }
}
