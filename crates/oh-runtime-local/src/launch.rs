//! Starting the agent in namespaces.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Stdio;

use nix::unistd::geteuid;
use oh_runtime_api::{AGENT_DIR, Entrypoint, Error, ErrorKind, Result, SandboxSpec, serve_argv};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

use crate::instance::Instance;
use crate::logs;
use crate::process::Process;

const ENTER: &str = include_str!("enter.sh");
/// Where the programs that are used here are, and what a sandbox's `PATH` is unless its specification has one.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const HINT: &str = "it needs util-linux, and has to run as root or where unprivileged user namespaces are allowed \
                    (sysctl kernel.unprivileged_userns_clone or kernel.apparmor_restrict_unprivileged_userns)";

/// The socket in the agent's folder.
pub(crate) const SOCKET: &str = "agent.sock";

/// The program and arguments that start the agent of a sandbox whose folder is, or is going to be, `instance`.
/// `script` is where `enter.sh` is for now.
pub(crate) fn argv(instance: &Instance, script: &Path, spec: &SandboxSpec) -> Vec<OsString> {
    let mut argv: Vec<OsString> =
        ["setsid", "unshare", "--mount", "--pid", "--fork", "--kill-child=KILL"].map(Into::into).into();
    argv.extend(["--propagation", "private"].map(Into::into));
    if !geteuid().is_root() {
        argv.extend(["--user", "--map-root-user"].map(Into::into));
    }
    argv.extend(["--".into(), "sh".into(), script.into(), instance.root().into()]);
    argv.push(spec.mounts.len().to_string().into());
    for mount in &spec.mounts {
        let access = if mount.read_only { "ro" } else { "rw" };
        argv.extend([mount.source.clone().into(), mount.target.clone().into(), access.into()]);
    }
    argv.extend(serve_argv(spec.name.as_str(), spec.ttl, spec.lease, &[]));
    argv.extend(["--socket".into(), format!("{AGENT_DIR}/{SOCKET}").into()]);
    if let Some(Entrypoint::Command(command)) = &spec.entrypoint {
        argv.push("--".into());
        argv.extend(command.iter().map(OsString::from));
    }
    argv
}

/// The environment of every command.
pub(crate) fn environment(spec: &SandboxSpec) -> BTreeMap<&str, &str> {
    let mut environment = BTreeMap::from([("PATH", PATH), ("HOME", "/root"), ("LANG", "C.UTF-8")]);
    environment.extend(spec.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    environment
}

/// Whether a variable of this name can be given to a sandbox: a shell passes it on.
pub(crate) fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A first process that waits to be let go. When this is dropped before, it ends.
pub(crate) struct Waiting {
    pub(crate) process: Process,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

/// Starts the first process of a sandbox in `here`, which is going to be moved to `target`.
pub(crate) async fn start(
    here: &Instance,
    target: &Instance,
    spec: &SandboxSpec,
    operation: &str,
) -> Result<Waiting> {
    let failed = |error: io::Error| {
        Error::new(ErrorKind::StartFailed, operation, format!("its first process cannot be started: {error}"))
            .hint(HINT)
    };
    let script = here.path.join("enter.sh");
    fs::write(&script, ENTER).map_err(failed)?;
    let log = File::options().append(true).create(true).open(here.log()).map_err(failed)?;
    let variables = environment(spec);
    let argv = argv(target, &script, spec);
    let mut child = Command::new(&argv[0])
        .args(&argv[1..])
        .current_dir("/")
        .env_clear()
        .env("PATH", PATH)
        .env("OH_VARS", variables.keys().copied().collect::<Vec<_>>().join(" "))
        .envs(variables.iter().map(|(name, value)| (format!("OH_VAR_{name}"), value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(failed)?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed(io::Error::other("it has no pipes")));
    };
    let mut stdout = BufReader::new(stdout).lines();
    let pid = stdout.next_line().await.map_err(failed)?.and_then(|line| line.parse().ok());
    let process = pid.and_then(Process::of).ok_or_else(|| failed(last_words(here)))?;
    Ok(Waiting { process, stdin, stdout })
}

impl Waiting {
    /// Lets it become the agent.
    pub(crate) async fn go(mut self, instance: &Instance, operation: &str) -> Result<()> {
        // A failed write means that it ended, and reading tells so too.
        let _ = self.stdin.write_all(b"\n").await;
        match self.stdout.next_line().await {
            Ok(Some(line)) if line == "ready" => Ok(()),
            _ => {
                let message = format!("what it sees cannot be set up: {}", last_words(instance));
                Err(Error::new(ErrorKind::StartFailed, operation, message))
            }
        }
    }
}

/// Why a first process ended.
fn last_words(instance: &Instance) -> io::Error {
    let log = logs::last(instance, logs::LAST_WORDS).unwrap_or_default();
    io::Error::other(log.lines().next_back().unwrap_or("it does not say why").to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use oh_runtime_api::{Mount, SandboxName};

    use super::*;

    #[test]
    fn the_command_line_has_what_the_script_expects() {
        let mut spec = SandboxSpec::new(SandboxName::new("box").unwrap(), "i", "me", Duration::from_secs(60));
        spec.mounts.push(Mount { source: "/data".into(), target: "/testbed/data".into(), read_only: true });
        let instance = Instance { path: PathBuf::from("/state/box") };
        let argv = argv(&instance, Path::new("/state/.new/enter.sh"), &spec);
        let line: Vec<_> = argv.iter().map(|word| word.to_str().unwrap()).collect();
        let (_, line) = line.split_at(line.iter().position(|word| *word == "--").unwrap());
        assert_eq!(
            line.join(" "),
            "-- sh /state/.new/enter.sh /state/box/root 1 /data /testbed/data ro \
             /.oh/oh-agent serve box 60 --socket /.oh/agent.sock"
        );
    }

    #[test]
    fn the_specification_has_the_last_word_on_variables() {
        let mut spec = SandboxSpec::new(SandboxName::new("box").unwrap(), "i", "me", Duration::from_secs(60));
        spec.env = [("HOME".to_owned(), "/elsewhere".to_owned()), ("A".to_owned(), "1".to_owned())].into();
        let environment = environment(&spec);
        assert_eq!((environment["HOME"], environment["A"], environment["PATH"]), ("/elsewhere", "1", PATH));
    }

    #[test]
    fn only_names_a_shell_passes_on_are_variables() {
        for (name, good) in [
            ("A", true),
            ("_a1", true),
            ("", false),
            ("1A", false),
            ("a.b", false),
            ("a b", false),
            ("ä", false),
        ] {
            assert_eq!(is_variable(name), good, "{name:?}");
        }
    }
}
