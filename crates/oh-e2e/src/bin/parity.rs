//! Turns reports of conformance runs into the parity table and into baselines.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use oh_e2e::baseline::Baseline;
use oh_e2e::report::{self, Outcome, Record};
use oh_e2e::{cases, environment};

const USAGE: &str = "usage: parity write REPORT…            write docs/reference/parity.md
       parity check REPORT…            fail when that file says something else
       parity baseline BACKEND REPORT  write tests/conformance/baseline-BACKEND.json";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["write", reports @ ..] if !reports.is_empty() => write(reports),
        ["check", reports @ ..] if !reports.is_empty() => check(reports),
        ["baseline", backend, report] => baseline(backend, report),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn table() -> PathBuf {
    environment::root().join("docs/reference/parity.md")
}

fn render(reports: &[&str]) -> Result<String, String> {
    let mut records: Vec<Record> = Vec::new();
    for path in reports {
        records.extend(report::read(Path::new(path))?);
    }
    let cases: Vec<String> = cases::all().iter().map(oh_e2e::case::Case::id).collect();
    Ok(report::render(&cases, &records))
}

fn write(reports: &[&str]) -> Result<(), String> {
    let (path, text) = (table(), render(reports)?);
    let named = |error: std::io::Error| format!("{}: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(named)?;
    }
    std::fs::write(&path, text).map_err(named)
}

fn check(reports: &[&str]) -> Result<(), String> {
    let (path, text) = (table(), render(reports)?);
    let there = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    if there == text {
        return Ok(());
    }
    Err(format!("{} is out of date: `cargo run -p oh-e2e --bin parity -- write REPORT…`", path.display()))
}

fn baseline(backend: &str, report: &str) -> Result<(), String> {
    let records = report::read(Path::new(report))?;
    let of_backend = |record: &&Record| record.backend == backend;
    let failed: Vec<&str> = records
        .iter()
        .filter(of_backend)
        .filter(|record| record.outcome == Outcome::Failed)
        .map(|record| record.case.as_str())
        .collect();
    if !failed.is_empty() {
        return Err(format!("a baseline holds no failures: {}", failed.join(", ")));
    }
    let missing: Vec<String> = cases::all()
        .iter()
        .map(oh_e2e::case::Case::id)
        .filter(|id| !records.iter().filter(of_backend).any(|record| record.case == *id))
        .collect();
    if !missing.is_empty() {
        return Err(format!("{report} is of a part of the cases only; not there: {}", missing.join(", ")));
    }
    Baseline::of(backend, &records).write(&Baseline::path(backend))
}
