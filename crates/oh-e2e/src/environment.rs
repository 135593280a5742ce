//! The variables that steer the tests, and paths of the checkout.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Which backends to run on, separated by commas.
pub const BACKENDS: &str = "OH_E2E_BACKENDS";
/// Where the outcomes are written as JSON.
pub const REPORT: &str = "OH_E2E_REPORT";
/// The binary `oh`, when it is not in the build folder.
pub const OH_BIN: &str = "OH_BIN";

/// A variable that steers the tests.
#[must_use]
pub fn variable(name: &str) -> Option<OsString> {
    #[expect(clippy::disallowed_methods, reason = "these steer the tests and are no settings of the product")]
    let value = std::env::var_os(name);
    value.filter(|value| !value.is_empty())
}

/// The backends to run on: those [`BACKENDS`] names, else all.
#[must_use]
pub fn backends() -> Vec<String> {
    let named = variable(BACKENDS).map(|value| value.to_string_lossy().into_owned());
    let named = named.as_deref().unwrap_or("local,docker");
    named.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The root of the checkout.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The folder of the committed lists of the conformance suite.
#[must_use]
pub fn conformance() -> PathBuf {
    root().join("tests/conformance")
}
