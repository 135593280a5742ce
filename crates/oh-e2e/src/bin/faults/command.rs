//! Commands that are told apart by their number: what they print, how they end, and the line they leave behind.

use std::collections::HashMap;
use std::path::Path;

use oh_runtime::CommandSpec;

/// Every command appends its number to this file of its sandbox.
pub(crate) const LEDGER: &str = "/testbed/ledger";
/// Exit codes are below this: what is above has meanings in a shell.
const CODES: u64 = 120;
/// Makes the request longer than anything else a client says unasked.
const PADDING: usize = 400;
/// Modulus and factor of the "minimal standard" random numbers of Park and Miller, which awk can count exactly.
const MODULUS: u64 = 2_147_483_647;
const FACTOR: u64 = 16_807;

/// The same as [`Command::expected`]. With pauses its output takes as many halves of a second. It may wait for the
/// end of its input.
const PROGRAM: &str = r#"BEGIN {
    print number >> ledger
    close(ledger)
    if (waits == "first") getline < "-"
    value = number
    every = pauses ? int((lines + pauses - 1) / pauses) : lines + 1
    for (line = 0; line < lines; line++) {
        if (pauses && line % every == 0) system("sleep 0.5")
        value = (value * 16807) % 2147483647
        if (value % 3 == 0) printf "%d\n", value > "/dev/stderr"; else printf "%d\n", value
    }
    fflush()
    fflush("/dev/stderr")
    if (waits == "last") getline < "-"
    exit number % codes
}"#;

/// One command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command {
    /// No other of its sandbox has it.
    pub(crate) number: u64,
    /// Lines of output, on both streams together.
    pub(crate) lines: usize,
    /// Pauses of half a second between the lines.
    pub(crate) pauses: usize,
    pub(crate) waits: Waits,
}

/// When a command waits for the end of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    Never,
    /// Before it prints anything.
    First,
    /// When it has printed everything.
    Last,
}

impl Command {
    pub(crate) fn spec(&self) -> CommandSpec {
        let mut argv = vec!["awk".to_owned()];
        let variables = [
            ("number", self.number.to_string()),
            ("lines", self.lines.to_string()),
            ("pauses", self.pauses.to_string()),
            ("waits", format!("{:?}", self.waits).to_lowercase()),
            ("codes", CODES.to_string()),
            ("ledger", LEDGER.to_owned()),
        ];
        for (name, value) in variables {
            argv.extend(["-v".to_owned(), format!("{name}={value}")]);
        }
        argv.push(PROGRAM.to_owned());
        let spec = CommandSpec::new(argv).env("PADDING", "x".repeat(PADDING));
        if self.waits == Waits::Never { spec } else { spec.stdin() }
    }

    pub(crate) fn code(&self) -> i32 {
        i32::try_from(self.number % CODES).unwrap_or_default()
    }

    /// What it prints: standard output and standard error.
    pub(crate) fn expected(&self) -> [Vec<u8>; 2] {
        let mut streams = [Vec::new(), Vec::new()];
        let mut value = self.number;
        for _ in 0..self.lines {
            value = value * FACTOR % MODULUS;
            streams[usize::from(value.is_multiple_of(3))].extend(format!("{value}\n").bytes());
        }
        streams
    }
}

/// How often each number is in a ledger.
pub(crate) fn entries(ledger: &[u8]) -> HashMap<u64, usize> {
    let mut entries = HashMap::new();
    for line in String::from_utf8_lossy(ledger).lines() {
        // A line that is no number belongs to no command: 0 is nobody's.
        *entries.entry(line.parse().unwrap_or(0)).or_default() += 1;
    }
    entries
}

/// The folder commands work in.
pub(crate) fn folder() -> &'static Path {
    Path::new(LEDGER).parent().unwrap_or(Path::new("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awk_prints_what_is_expected() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger");
        let command = Command { number: 130, lines: 1000, pauses: 2, waits: Waits::Never };
        let mut argv: Vec<String> =
            command.spec().argv.into_iter().map(|word| word.into_string().unwrap()).collect();
        for word in &mut argv {
            *word = word.replace(LEDGER, ledger.to_str().unwrap());
        }
        let Ok(ran) = std::process::Command::new(&argv[0]).args(&argv[1..]).output() else {
            return eprintln!("there is no awk here");
        };
        assert_eq!([ran.stdout, ran.stderr], command.expected());
        assert_eq!(ran.status.code(), Some(command.code()));
        assert_eq!(entries(&std::fs::read(ledger).unwrap()), HashMap::from([(130, 1)]));
    }

    #[test]
    fn a_ledger_counts_numbers() {
        let entries = entries(b"1\n2\n2\nhalf a li");
        assert_eq!((entries[&1], entries[&2], entries[&0]), (1, 2, 1));
    }
}
