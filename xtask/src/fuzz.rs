//! Fuzzing of what both ends of the wire decode: the targets in `fuzz/`, each for a while.

use std::path::Path;

use anyhow::{Context, Result};

use crate::cmd::{self, Cmd};
use crate::{paths, ui};

/// The version that is installed where there is none.
const CARGO_FUZZ: &str = "0.13.1";
/// Longest input: some frames.
const MAX_LENGTH: &str = "-max_len=100000";
/// A target that needs more memory than this, in MiB, for an input of that length has a fault.
const MEMORY: &str = "-rss_limit_mb=512";
/// The line that says how often a target was run.
const EXECUTIONS: &str = "stat::number_of_executed_units:";

/// Runs every target for so many seconds; fails when one of them does.
pub(crate) fn run(seconds: u32) -> Result<()> {
    if !cmd::works(&["cargo", "fuzz", "--version"]) {
        ui::step("cargo-fuzz: some minutes", || {
            Cmd::new(&["cargo", "install", "--quiet", "--locked", "--version", CARGO_FUZZ, "cargo-fuzz"])
                .run()
        })?;
    }
    let folder = paths::root().join("fuzz");
    // What the programs are made of is what the project was tested with.
    std::fs::copy(paths::root().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    let targets = cargo_fuzz(&folder, &["list"]).read()?;
    let mut counts = Vec::new();
    for target in targets.lines() {
        counts.push((target, one(&folder, target, seconds)?));
    }
    for (target, executions) in counts {
        anstream::println!("{target:<14} {executions:>12} executions");
    }
    Ok(())
}

/// Runs one target and returns how often.
fn one(folder: &Path, target: &str, seconds: u32) -> Result<u64> {
    ui::step(&format!("Fuzzing {target}"), || {
        // Sanitizers need a nightly toolchain. What they find, unsafe code does, and what is decoded here has none.
        cargo_fuzz(folder, &["build", "--sanitizer", "none", target]).run()?;
        let time = format!("-max_total_time={seconds}");
        let words =
            ["run", "--sanitizer", "none", target, "--", MAX_LENGTH, MEMORY, "-print_final_stats=1", &time];
        let said = cargo_fuzz(folder, &words).read_error()?;
        executions(&said).with_context(|| format!("{target} does not say how often it ran"))
    })
}

fn cargo_fuzz(folder: &Path, words: &[&str]) -> Cmd {
    Cmd::new(&[&["cargo", "fuzz"], words].concat()).dir(folder)
}

fn executions(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.strip_prefix(EXECUTIONS)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executions_are_read_from_the_statistics() {
        let said = "Done 265223 runs in 11 second(s)\nstat::number_of_executed_units: 265223\nstat::new: 1\n";
        assert_eq!(executions(said), Some(265_223));
        assert_eq!(executions("INFO: Seed: 1"), None);
    }
}
