//! What is made from code in `docs/reference` is what the code makes: the tests of its makers say so, and write anew what
//! is not.

use super::Violation;
use crate::cmd::Cmd;
use crate::paths;

/// The crates that make pages. Each has a test with this word in its name.
const MAKERS: [&str; 2] = ["oh-config", "oh-cli"];
const TESTS: &str = "fresh";

pub(super) fn check() -> Vec<Violation> {
    let stale = MAKERS.iter().filter_map(|maker| {
        let tests =
            Cmd::new(&["cargo", "test", "--quiet", "--package", maker, "--", TESTS]).dir(paths::root());
        let error = tests.quiet().err()?;
        let what =
            format!("what {maker} makes was out of date: look at the change and commit it ({error:#})");
        Some(Violation::new("docs/reference", what))
    });
    stale.collect()
}
