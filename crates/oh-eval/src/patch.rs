//! How a prediction's patch is applied in the sandbox: what to execute, and what to log.
//!
//! Each of [`ATTEMPTS`] runs in [`WORKDIR`] until one exits with 0; before every one but the first, [`RESET`] runs,
//! whatever it says. When all failed, the patch counts as applied if [`REVERSE_CHECK`] exits with 0: an attempt can
//! apply all of it and still complain.

/// Where the repository is in the sandbox.
pub const WORKDIR: &str = "/testbed";
/// Where the patch is put in the sandbox.
pub const PATCH_PATH: &str = "/tmp/patch.diff";

/// The ways to apply it, strictest first.
pub const ATTEMPTS: [&[&str]; 4] = [
    &["git", "apply", "--verbose", PATCH_PATH],
    &["git", "apply", "--verbose", "--3way", PATCH_PATH],
    &["git", "apply", "--verbose", "--reject", PATCH_PATH],
    &["patch", "--batch", "--forward", "--fuzz=5", "-p1", "-i", PATCH_PATH],
];

/// Takes back what a failed attempt left, above all `--reject`, or no later one could succeed.
pub const RESET: &[&str] = &["/bin/bash", "-c", "git checkout -- . ; git clean -fd"];

/// Succeeds if the whole patch is applied.
pub const REVERSE_CHECK: &[&str] = &["git", "apply", "--check", "--reverse", PATCH_PATH];

/// What is different from the repository's commit, for the log. Run before and after the tests.
pub const DIFF: &[&str] = &["git", "-c", "core.fileMode=false", "diff"];

const APPLIED: &str = ">>>>> Applied Patch";
pub(crate) const APPLY_FAILED: &str = ">>>>> Patch Apply Failed";

/// For the log: an attempt succeeded and printed `output`.
#[must_use]
pub fn applied(output: &str) -> String {
    format!("{APPLIED}:\n{output}")
}

/// For the log: the attempt `argv` failed; others follow.
#[must_use]
pub fn attempt_failed(argv: &[&str]) -> String {
    let command = argv.strip_suffix(&[PATCH_PATH]).unwrap_or(argv).join(" ");
    format!("Failed to apply patch to container: {command}")
}

/// For the log: all attempts failed, and yet [`REVERSE_CHECK`] succeeded.
#[must_use]
pub fn applied_already() -> String {
    format!("{APPLIED}: verified already applied")
}

/// For the log, and the reason why the instance is an error: all failed, the last one with `output`.
#[must_use]
pub fn failed(output: &str) -> String {
    format!("{APPLY_FAILED}:\n{output}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attempt_and_the_check_take_the_patch_file_last() {
        for argv in ATTEMPTS.iter().chain([&REVERSE_CHECK]) {
            assert_eq!(argv.last(), Some(&PATCH_PATH));
        }
    }

    #[test]
    fn messages_are_those_that_readers_of_the_logs_know() {
        assert_eq!(applied("ok"), ">>>>> Applied Patch:\nok");
        assert_eq!(applied_already(), ">>>>> Applied Patch: verified already applied");
        assert_eq!(failed("no"), ">>>>> Patch Apply Failed:\nno");
        assert_eq!(
            attempt_failed(ATTEMPTS[3]),
            "Failed to apply patch to container: patch --batch --forward --fuzz=5 -p1 -i"
        );
    }
}
