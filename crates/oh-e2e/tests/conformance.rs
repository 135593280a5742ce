//! The one suite for all backends. `OH_E2E_BACKENDS=docker cargo test -p oh-e2e --test conformance exec::` runs a part.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    match oh_e2e::suite::run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
