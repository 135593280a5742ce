//! Why a case failed, and where.

use std::error::Error;
use std::fmt::{self, Debug, Display};
use std::panic::Location;

use oh_runtime::ErrorKind;

/// What a case returns.
pub type CaseResult<T = ()> = Result<T, Failure>;

/// Longest part of a value shown in a failure: outputs of megabytes are compared.
const SHOWN: usize = 600;

/// A failed expectation, with the line that had it.
pub struct Failure {
    message: String,
    at: &'static Location<'static>,
}

impl Failure {
    /// A failure at the caller's line.
    #[track_caller]
    pub fn new(message: impl Into<String>) -> Self {
        Self::new_at(message, Location::caller())
    }

    /// A failure of somebody else's line.
    pub fn new_at(message: impl Into<String>, at: &'static Location<'static>) -> Self {
        Self { message: message.into(), at }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}:{})", self.message, self.at.file(), self.at.line())
    }
}

impl Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// Any error fails a case that did not expect it.
impl<E: Error + 'static> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::new_at(describe(&error), Location::caller())
    }
}

/// An error with its kind and everything that caused it.
pub fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = match error.downcast_ref::<oh_runtime::Error>() {
        Some(error) => format!("{}: {error} [{:?}]", error.kind().name(), error.outcome()),
        None => error.to_string(),
    };
    if let Some(source) = error.source() {
        text = format!("{text}: {}", describe(source));
    }
    text
}

/// Fails unless both are equal.
///
/// # Errors
/// When they differ, with what they are.
#[track_caller]
pub fn equal<A: PartialEq<B> + Debug, B: Debug>(what: &str, got: &A, wanted: &B) -> CaseResult {
    if got == wanted {
        return Ok(());
    }
    Err(Failure::new(format!("{what}: got {}, wanted {}", shown(got), shown(wanted))))
}

/// Fails unless there is nothing.
///
/// # Errors
/// When there is something, with what it is.
#[track_caller]
pub fn empty<T: Debug>(what: &str, got: &[T]) -> CaseResult {
    if got.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!("{what}: got {}, wanted none", shown(&got))))
    }
}

/// Fails with all of `mistakes`, if there are any.
///
/// # Errors
/// When there are some.
#[track_caller]
pub fn none(mistakes: &[String]) -> CaseResult {
    check(mistakes.is_empty(), mistakes.join("\n"))
}

/// Fails unless the condition holds.
///
/// # Errors
/// When it does not, with `message`.
#[track_caller]
pub fn check(condition: bool, message: impl Into<String>) -> CaseResult {
    if condition { Ok(()) } else { Err(Failure::new(message)) }
}

/// Fails unless `result` is an error of one of `kinds`, which is returned.
///
/// # Errors
/// When it is a success or another error.
#[track_caller]
pub fn refused<T>(result: oh_runtime::Result<T>, kinds: &[ErrorKind]) -> CaseResult<oh_runtime::Error> {
    let wanted = || kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" or ");
    match result {
        Ok(_) => Err(Failure::new(format!("got success, wanted {}", wanted()))),
        Err(error) if kinds.contains(&error.kind()) => Ok(error),
        Err(error) => Err(Failure::new(format!("got {}, wanted {}", describe(&error), wanted()))),
    }
}

/// The value for people, shortened in the middle.
fn shown(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    let count = text.chars().count();
    if count <= SHOWN {
        return text;
    }
    let head: String = text.chars().take(SHOWN / 2).collect();
    let tail: String = text.chars().skip(count - SHOWN / 2).collect();
    format!("{head} … {tail} ({count} characters)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_line_of_the_question_mark() {
        fn fails() -> CaseResult {
            Err(std::io::Error::other(oh_runtime::Error::new(ErrorKind::Deleted, "read a", "it is gone")))?;
            Ok(())
        }
        let failure = fails().unwrap_err().to_string();
        assert!(failure.contains("failure.rs:"), "{failure}");
        assert!(failure.contains("it is gone"), "{failure}");
    }

    #[test]
    fn long_values_are_shortened() {
        let failure = equal("output", &"x".repeat(100_000), &"y").unwrap_err().to_string();
        assert!(failure.len() < 2 * SHOWN, "{}", failure.len());
    }
}
