//! What an API server's refusals and silences mean.

use std::error::Error as StdError;

use kube::client::UpgradeConnectionError;
use kube::core::Status;
use oh_runtime_api::{Error, ErrorKind, Outcome};

/// `text` without line breaks and what else would confuse a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.trim().to_owned()
}

/// What went wrong, in the words of whoever knows best.
pub(crate) fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => one_line(&status.message),
        other => {
            let mut cause: &dyn StdError = other;
            while let Some(source) = cause.source() {
                cause = source;
            }
            one_line(&cause.to_string())
        }
    }
}

/// What the server at `address` means by `error` when nothing more is known about the request.
pub(crate) fn translate(
    address: &str,
    namespace: &str,
    operation: impl Into<String>,
    error: kube::Error,
) -> Error {
    let said = words(&error);
    let (kind, message) = match &error {
        kube::Error::Api(status) => (refusal(status), format!("the Kubernetes API server refuses: {said}")),
        kube::Error::UpgradeConnection(UpgradeConnectionError::SecWebSocketProtocolMismatch) => (
            ErrorKind::Unsupported,
            format!("the Kubernetes API server at {address} speaks neither v5 nor v4 of the exec protocol"),
        ),
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::UpgradeConnection(_) => (
            ErrorKind::Unavailable,
            format!("the Kubernetes API server at {address} cannot be reached: {said}"),
        ),
        kube::Error::Auth(_) => (ErrorKind::Forbidden, format!("the credentials cannot be had: {said}")),
        _ => {
            (ErrorKind::Internal, format!("the Kubernetes API server at {address} is not understood: {said}"))
        }
    };
    let translated = Error::new(kind, operation, message);
    let translated = match kind {
        ErrorKind::Unavailable if !matches!(error, kube::Error::Api(_)) => {
            translated.outcome_is(Outcome::Unknown).hint("check the kubeconfig and the network to the server")
        }
        ErrorKind::Forbidden if said.contains("cannot ") => {
            translated.hint(format!("ask for a Role in the namespace {namespace} that allows it"))
        }
        ErrorKind::Forbidden => translated.hint("check the credentials of the kubeconfig"),
        ErrorKind::Quota => translated.hint("remove sandboxes, ask for less, or have the quota raised"),
        ErrorKind::NotFound if said.contains("namespaces") => {
            return Error::new(ErrorKind::Config, translated.operation(), translated.message())
                .hint("make the namespace, or set OH_K8S_NAMESPACE")
                .caused_by(error);
        }
        _ => translated,
    };
    translated.caused_by(error)
}

/// Whether the server, or what stands before it, is not there for now.
pub(crate) fn away(error: &kube::Error) -> bool {
    match error {
        kube::Error::HyperError(_) | kube::Error::Service(_) => true,
        kube::Error::Api(status) => matches!(status.code, 429 | 502..=504),
        _ => false,
    }
}

/// The kind of a refusal. The server has few statuses; the words tell them apart.
pub(crate) fn refusal(status: &Status) -> ErrorKind {
    let said = status.message.as_str();
    let denied = said.contains("denied the request") || said.contains("PodSecurity");
    match status.code {
        _ if said.contains("exceeded quota") => ErrorKind::Quota,
        _ if denied => ErrorKind::AdmissionRefused,
        // `pods is forbidden: User "x" cannot create resource "pods" …`; every other 403 is a rule about the object.
        403 if said.contains("cannot ") || !said.contains("is forbidden") => ErrorKind::Forbidden,
        403 => ErrorKind::AdmissionRefused,
        401 => ErrorKind::Forbidden,
        400 | 422 => ErrorKind::Config,
        404 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        429 | 502..=504 => ErrorKind::Unavailable,
        500 if said.contains("etcdserver") || said.contains("failed calling webhook") => {
            ErrorKind::Unavailable
        }
        _ => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, message: &str) -> Error {
        let status = Status { code, message: message.to_owned(), ..Status::default() };
        translate("https://one:6443/", "ours", "create sandbox a", kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn refusals_are_kinds() {
        for (code, kind, said) in [
            (
                403,
                ErrorKind::Forbidden,
                r#"pods is forbidden: User "u" cannot create resource "pods" in API group "" in the namespace "ours""#,
            ),
            (
                403,
                ErrorKind::Quota,
                r#"pods "a" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"#,
            ),
            (
                403,
                ErrorKind::AdmissionRefused,
                r#"pods "a" is forbidden: maximum memory usage per Container is 1Gi, but limit is 4Gi"#,
            ),
            (
                403,
                ErrorKind::AdmissionRefused,
                r#"pods "a" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true"#,
            ),
            (400, ErrorKind::AdmissionRefused, r#"admission webhook "x" denied the request: no"#),
            (401, ErrorKind::Forbidden, "Unauthorized"),
            (404, ErrorKind::Config, r#"namespaces "ours" not found"#),
            (404, ErrorKind::NotFound, r#"pods "a" not found"#),
            (422, ErrorKind::Config, r#"Pod "a" is invalid: spec.x: Invalid value"#),
            (500, ErrorKind::Unavailable, "etcdserver: request timed out"),
            (503, ErrorKind::Unavailable, "apiserver is shutting down"),
            (500, ErrorKind::Internal, "oops"),
        ] {
            let error = refused(code, said);
            assert_eq!(error.kind(), kind, "{said}");
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn a_forbidden_verb_says_what_to_ask_for() {
        let error = refused(403, r#"User "u" cannot create resource "pods/exec""#);
        assert!(error.to_string().contains("Role in the namespace ours"), "{error}");
    }
}
