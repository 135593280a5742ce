//! The agent: first process of a sandbox, bridge into it, supervisor of its commands.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use oh_agent::server::{self, ServeOptions};

const USAGE: &str = "usage: oh-agent serve NAME TTL_SECONDS [--socket PATH] | bridge NAME | --version";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(|argument| argument.to_str().unwrap_or_default()).collect();
    let result = match words.as_slice() {
        ["serve", name, ttl, rest @ ..] => match (ttl.parse(), rest) {
            (Ok(seconds), []) => serve(name, seconds, None),
            (Ok(seconds), ["--socket", _]) => serve(name, seconds, arguments.last().map(PathBuf::from)),
            _ => Err(USAGE.to_owned()),
        },
        ["bridge", name] => server::bridge(name),
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

fn serve(name: &str, ttl_seconds: u64, socket: Option<PathBuf>) -> Result<(), String> {
    server::serve(&ServeOptions { name: name.to_owned(), ttl: Duration::from_secs(ttl_seconds), socket })
}
