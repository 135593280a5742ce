//! From the engine's errors to kinds a caller can act on.

use std::error::Error as StdError;

use bollard::errors::Error as EngineError;
use oh_runtime_api::{Error, ErrorKind, Outcome};

/// The HTTP status of a refusal.
pub(crate) fn status(error: &EngineError) -> Option<u16> {
    match error {
        EngineError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// What the engine says, on one line: its own words where it answered, the innermost cause where it did not.
pub(crate) fn words(error: &EngineError) -> String {
    match error {
        EngineError::DockerResponseServerError { message, .. } => one_line(message),
        EngineError::DockerStreamError { error } => one_line(error),
        EngineError::SocketNotFoundError(_) => "there is no such socket".to_owned(),
        EngineError::RequestTimeoutError => "no answer in time".to_owned(),
        other => {
            let mut cause: &dyn StdError = other;
            while let Some(source) = cause.source() {
                cause = source;
            }
            one_line(&cause.to_string())
        }
    }
}

/// `text` without line breaks and what else would confuse a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.trim().to_owned()
}

/// What an engine at `address` means by `error` when nothing more is known about the request.
pub(crate) fn translate(address: &str, operation: impl Into<String>, error: EngineError) -> Error {
    let said = words(&error);
    let (kind, message) = match &error {
        EngineError::DockerResponseServerError { status_code, .. } => {
            (refusal(*status_code, &said), format!("the Docker engine refuses: {said}"))
        }
        EngineError::DockerStreamError { .. } => (refusal(500, &said), said.clone()),
        EngineError::SocketNotFoundError(_)
        | EngineError::HyperLegacyError { .. }
        | EngineError::HyperResponseError { .. }
        | EngineError::IOError { .. }
        | EngineError::RequestTimeoutError => {
            (ErrorKind::Unavailable, format!("no Docker engine answers at {address}: {said}"))
        }
        EngineError::CertPathError { .. }
        | EngineError::CertMultipleKeys { .. }
        | EngineError::CertParseError { .. }
        | EngineError::NoNativeCertsError { .. }
        | EngineError::LoadNativeCertsErrors { .. } => (ErrorKind::Config, error.to_string()),
        _ => (ErrorKind::Internal, format!("the Docker engine at {address} is not understood: {said}")),
    };
    let mut translated = Error::new(kind, operation, message);
    if kind == ErrorKind::Unavailable {
        translated = translated.hint(if said.contains("ermission denied") {
            "join the group docker, set DOCKER_HOST, or use OH_RUNTIME=local"
        } else {
            "start the engine, set DOCKER_HOST, or use OH_RUNTIME=local"
        });
        if !never_sent(&error) {
            translated = translated.outcome_is(Outcome::Unknown);
        }
    }
    translated.caused_by(error)
}

/// Whether the request cannot have reached an engine.
fn never_sent(error: &EngineError) -> bool {
    match error {
        EngineError::SocketNotFoundError(_) => true,
        EngineError::HyperLegacyError { err } => err.is_connect(),
        _ => false,
    }
}

/// The kind of a refusal by its HTTP status, or by words that mean the same at every status.
pub(crate) fn refusal(status: u16, words: &str) -> ErrorKind {
    if words.contains("no space left on device") || words.contains("disk quota exceeded") {
        return ErrorKind::NoSpace;
    }
    match status {
        400 => ErrorKind::Config,
        401 | 403 => ErrorKind::Forbidden,
        404 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        501 => ErrorKind::Unsupported,
        502..=504 => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status_code: u16, message: &str) -> EngineError {
        EngineError::DockerResponseServerError { status_code, message: message.to_owned() }
    }

    #[test]
    fn refusals_are_kinds() {
        let check = |status, message: &str, kind| {
            let error = translate("unix:///x", "remove sandbox a", refused(status, message));
            assert_eq!(error.kind(), kind, "{status} {message}");
            assert_eq!(error.outcome(), Outcome::NotStarted);
        };
        check(400, "invalid something", ErrorKind::Config);
        check(403, "authorization denied by plugin", ErrorKind::Forbidden);
        check(404, "No such container: a", ErrorKind::NotFound);
        check(409, "in use", ErrorKind::Conflict);
        check(500, "oops", ErrorKind::Internal);
        check(500, "write /var/lib/docker/x: no space left on device", ErrorKind::NoSpace);
    }

    #[test]
    fn silence_says_where_and_what_to_do() {
        let error = translate("unix:///x", "list", EngineError::SocketNotFoundError("/x".into()));
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(
            error.to_string(),
            "list: no Docker engine answers at unix:///x: there is no such socket \
             (start the engine, set DOCKER_HOST, or use OH_RUNTIME=local)"
        );
        let error = translate("unix:///x", "create", EngineError::RequestTimeoutError);
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.outcome(), Outcome::Unknown, "the engine may have done it");
    }

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(words(&refused(500, "first\r\nsecond\x1b[31m\n")), "first  second [31m");
    }
}
