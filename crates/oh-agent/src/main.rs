//! The agent: first process of a sandbox, bridge into it, supervisor of its commands.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use oh_agent::server::{self, ServeOptions};

const USAGE: &str = "usage: oh-agent serve NAME TTL_SECONDS [--lease SECONDS] [--socket PATH] [-- COMMAND…] | \
                     bridge NAME | place copy|link SHA256 | --version";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(|argument| argument.to_str().unwrap_or_default()).collect();
    let result = match words.as_slice() {
        ["serve", name, ttl, ..] => options(name, ttl, &arguments[3..]).and_then(|o| server::serve(&o)),
        ["bridge", name] => server::bridge(name),
        ["place", how @ ("copy" | "link"), digest] => server::place(how, digest),
        ["supervise"] => server::supervise(),
        ["--version"] => {
            println!("oh-agent {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("oh-agent: {message}");
            ExitCode::FAILURE
        }
    }
}

fn options(name: &str, ttl: &str, rest: &[OsString]) -> Result<ServeOptions, String> {
    let seconds = |text: &str| text.parse().map(Duration::from_secs).map_err(|_| USAGE.to_owned());
    let mut options = ServeOptions {
        name: name.to_owned(),
        ttl: seconds(ttl)?,
        lease: None,
        socket: None,
        beside: Vec::new(),
    };
    let end = rest.iter().position(|word| word == "--").unwrap_or(rest.len());
    options.beside.extend_from_slice(rest.get(end + 1..).unwrap_or_default());
    for option in rest[..end].chunks(2) {
        match option {
            [name, value] if name == "--lease" => {
                options.lease = Some(seconds(value.to_str().unwrap_or_default())?);
            }
            [name, value] if name == "--socket" => options.socket = Some(PathBuf::from(value)),
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(options)
}
