//! `oh shell`: a person in a sandbox.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use oh_config::Environment;
use oh_runtime::{CommandSpec, Error, ErrorKind, Sandbox, SandboxExt, SandboxName};

use super::Context;
use crate::failure::{Cause, Failure, Result};
use crate::ran::Ran;
use crate::{args, exit_code, terminal};

const EXAMPLE: &str = "Example:
  oh shell box
  oh shell box --user nobody --cwd /tmp -- python3";

/// What is tried when the user's own shell is not known, or not there.
const SHELLS: [&str; 2] = ["bash", "sh"];
/// What stands for a shell where nobody is to log in.
const NO_SHELLS: [&[u8]; 2] = [b"nologin", b"false"];

/// Open an interactive shell in an existing sandbox: the user's own as its /etc/passwd has it, else bash, else sh.
///
/// Every key goes to the shell, Ctrl-C, Ctrl-Z and Ctrl-D too. It survives when the stream to the sandbox breaks and is
/// opened again. Exits with the shell's code.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE, after_long_help = exit_code::help(EXAMPLE, exit_code::COMMAND))]
pub(crate) struct Args {
    /// The sandbox.
    #[arg(value_parser = args::sandbox_name)]
    name: SandboxName,
    /// Be this user, or user:group, by name or number.
    #[arg(long, short)]
    user: Option<String>,
    /// Start in this folder.
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Another interactive program and its arguments, after `--`.
    #[arg(last = true, value_name = "COMMAND")]
    argv: Vec<OsString>,
}

pub(super) async fn shell(context: &Context, args: Args) -> Result<u8> {
    let operation = format!("open a shell in sandbox {}", args.name);
    if context.ui.json() {
        return Err(Failure::usage(operation, "a shell has no result that a JSON document could hold")
            .hint("leave out --output json, or use `oh exec`"));
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(operation, "standard input is no terminal")
            .hint("use `oh exec -i`, which passes any input on"));
    }
    let runtime = context.runtime().await?;
    let reach = async {
        let sandbox = runtime.attach(&args.name).await?;
        let programs = if args.argv.is_empty() {
            shells(&*sandbox, args.user.as_deref()).await?.into_iter().map(|shell| vec![shell]).collect()
        } else {
            vec![args.argv]
        };
        Ok::<_, Error>((sandbox, programs))
    };
    let (sandbox, programs) = context.unless_interrupted(&operation, reach).await?;
    let spec = CommandSpec { user: args.user, cwd: args.cwd, stdin: true, ..CommandSpec::new([""]) };
    let spec = CommandSpec { grace: context.config.sandbox.grace, ..spec };
    let spec = match Environment::current().ok().as_ref().and_then(Environment::terminal) {
        Some(kind) => spec.env("TERM", kind),
        None => spec,
    };
    let mut ran = None;
    for argv in programs {
        let spec = CommandSpec { argv, terminal: Some(terminal::size()), ..spec.clone() };
        let this = Ran::run(&*sandbox, spec, context.ui, &context.interrupt).await;
        let missing = Cause::Sandbox(ErrorKind::ExecNotFound);
        let there = !matches!(&this, Err(failure) if failure.cause() == missing);
        ran = Some(this);
        if there {
            break;
        }
    }
    sandbox.disconnect().await;
    ran.transpose()?.map_or(Ok(exit_code::OK), |ran| ran.report(context.ui))
}

/// The shells to try, in this order.
async fn shells(sandbox: &dyn Sandbox, user: Option<&str>) -> Result<Vec<OsString>, Error> {
    let own = match text(sandbox, "/etc/passwd").await? {
        Some(passwd) => match user {
            Some(user) => login_shell(&passwd, user.split(':').next().unwrap_or_default().as_bytes()),
            // The agent is who commands are unless they are told otherwise, and it is the agent who reads this.
            None => {
                let status = text(sandbox, "/proc/self/status").await?.unwrap_or_default();
                own_uid(&status).and_then(|uid| login_shell(&passwd, uid))
            }
        },
        None => None,
    };
    Ok(own.into_iter().chain(SHELLS.map(OsString::from)).collect())
}

/// A file of the sandbox; `None` when it cannot be had from there.
async fn text(sandbox: &dyn Sandbox, path: &str) -> Result<Option<Vec<u8>>, Error> {
    match sandbox.read(Path::new(path)).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => match error.kind() {
            ErrorKind::TransferNotFound | ErrorKind::TransferDenied | ErrorKind::TransferFailed => Ok(None),
            _ => Err(error),
        },
    }
}

/// The effective user of `/proc/<pid>/status`.
fn own_uid(status: &[u8]) -> Option<&[u8]> {
    let line = status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).nth(1)
}

/// The shell of a user, by name or number, unless nobody is to log in as them.
fn login_shell(passwd: &[u8], user: &[u8]) -> Option<OsString> {
    let shell = passwd.split(|&byte| byte == b'\n').find_map(|line| {
        let fields: Vec<&[u8]> = line.split(|&byte| byte == b':').collect();
        match fields[..] {
            [name, _, uid, _, _, _, shell] if name == user || uid == user => Some(shell),
            _ => None,
        }
    })?;
    let program = Path::new(OsStr::from_bytes(shell)).file_name()?;
    (!NO_SHELLS.contains(&program.as_bytes())).then(|| OsString::from_vec(shell.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/zsh\nbroken\n\
        nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\nann:x:1000:1000::/var/ann:\n\
        bob:x:1001:1001::/var/bob:/bin/ash\n";

    #[test]
    fn the_login_shell_is_found_by_name_and_number() {
        for (user, shell) in [
            ("root", Some("/bin/zsh")),
            ("0", Some("/bin/zsh")),
            ("1001", Some("/bin/ash")),
            ("nobody", None),
            ("ann", None),
            ("eve", None),
            ("", None),
        ] {
            assert_eq!(login_shell(PASSWD, user.as_bytes()), shell.map(OsString::from), "{user}");
        }
    }

    #[test]
    fn the_agents_user_is_the_effective_one() {
        assert_eq!(own_uid(b"Name:\tx\nUid:\t1\t1000\t2\t3\nGid:\t5\t6\t7\t8\n"), Some(&b"1000"[..]));
        assert_eq!(own_uid(b"Name:\tx\n"), None);
    }
}
