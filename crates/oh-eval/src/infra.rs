//! Signs in the logs that the environment broke, and not the patch.
//!
//! Advice for people who look at a run: no verdict and no count of the reference changes because of it.

use std::sync::LazyLock;

use regex::Regex;

use crate::python::{regex, universal_newlines};

/// How sure a sign is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// A patch of the source code cannot have caused it.
    Environment,
    /// A broken environment or a bad patch.
    Ambiguous,
}

/// What the logs say went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InfraFailure {
    /// A word for reports, such as `out_of_memory`.
    pub reason: &'static str,
    /// How sure it is.
    pub tier: Tier,
}

struct Signature {
    failure: InfraFailure,
    pattern: Regex,
}

/// Tried in this order.
static SIGNATURES: LazyLock<[Signature; 8]> = LazyLock::new(|| {
    use Tier::{Ambiguous, Environment};
    let signature =
        |reason, tier, pattern| Signature { failure: InfraFailure { reason, tier }, pattern: regex(pattern) };
    [
        signature("browser_launch_failed", Environment, "Failed to launch|Failed to connect to the bus"),
        signature(
            "display_unavailable",
            Environment,
            "cannot open display|Missing X server|unable to open X display",
        ),
        signature("out_of_memory", Environment, "(?m)Cannot allocate memory|OutOfMemoryError|^Killed$"),
        signature(
            "container_unavailable",
            Environment,
            "Error response from daemon|Cannot connect to the Docker daemon",
        ),
        signature(
            "network_unreachable",
            Environment,
            "Could not resolve host|Temporary failure in name resolution",
        ),
        signature("missing_module", Ambiguous, "Cannot find module|MODULE_NOT_FOUND|ModuleNotFoundError"),
        signature("no_tests_collected", Ambiguous, "no tests ran|collected 0 items"),
        signature("tests_timed_out", Ambiguous, r"Timeout error: \d+ seconds exceeded"),
    ]
});

/// The first sign of failure in any of the logs.
#[must_use]
pub fn classify(logs: &[&str]) -> Option<InfraFailure> {
    let logs: Vec<_> = logs.iter().map(|log| universal_newlines(log)).collect();
    let found = |signature: &&Signature| logs.iter().any(|log| signature.pattern.is_match(log));
    SIGNATURES.iter().find(found).map(|signature| signature.failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signature_is_found() {
        for (log, reason, tier) in [
            ("x Failed to launch y", "browser_launch_failed", Tier::Environment),
            ("Missing X server", "display_unavailable", Tier::Environment),
            ("a\nKilled\nb", "out_of_memory", Tier::Environment),
            ("a\r\nKilled\r\n", "out_of_memory", Tier::Environment),
            ("Cannot connect to the Docker daemon", "container_unavailable", Tier::Environment),
            ("curl: Could not resolve host: x", "network_unreachable", Tier::Environment),
            ("ModuleNotFoundError: No module", "missing_module", Tier::Ambiguous),
            ("== no tests ran in 0.1s ==", "no_tests_collected", Tier::Ambiguous),
            ("\n\nTimeout error: 1800 seconds exceeded.", "tests_timed_out", Tier::Ambiguous),
        ] {
            assert_eq!(classify(&[log]), Some(InfraFailure { reason, tier }), "{log}");
        }
    }

    #[test]
    fn order_of_signatures_comes_before_order_of_logs() {
        let found =
            classify(&["ModuleNotFoundError", "Cannot allocate memory"]).map(|failure| failure.reason);
        assert_eq!(found, Some("out_of_memory"));
    }

    #[test]
    fn ordinary_failures_are_no_sign() {
        assert_eq!(classify(&["FAILED a.py::t - assert 'Killed' == 1", "xKilled\nKilled by y"]), None);
        assert_eq!(classify(&["", ""]), None);
        assert_eq!(classify(&[]), None);
    }
}
