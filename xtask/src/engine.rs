//! A Docker engine: found, or installed and started.

pub(crate) mod privileged;

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cmd::{self, Cmd};
use crate::{apt, paths, ui};

const PACKAGES: [&str; 4] = ["docker.io", "containerd", "runc", "iptables"];
/// An answer of a healthy engine takes milliseconds; a wrong DOCKER_HOST can take for ever.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
const START_LIMIT: Duration = Duration::from_secs(90);

/// Says whether an engine answers; an error if none does.
pub(crate) fn status() -> Result<()> {
    let version = answer().context("not available")?;
    ui::note(format!("Docker engine {version} answers"));
    Ok(())
}

/// Whether an engine answers now.
pub(crate) fn answers() -> bool {
    answer().is_ok()
}

/// Makes sure that an engine answers and returns its version. An error says why there is none.
pub(crate) fn up() -> Result<String> {
    ui::step("Docker engine", || {
        let version = match answer() {
            Ok(version) => version,
            Err(error) => {
                ui::note(format!("none answers: {}", cmd::tail(&format!("{error:#}"))));
                bring_up().context("not available")?
            }
        };
        ui::note(format!("Docker engine {version} answers"));
        Ok(version)
    })
}

/// The version of the engine the docker client reaches, by DOCKER_HOST or its own default.
fn answer() -> Result<String> {
    Cmd::new(&["docker", "version", "--format", "{{.Server.Version}}"]).limit(ANSWER_LIMIT).read()
}

fn bring_up() -> Result<String> {
    #[expect(clippy::disallowed_methods, reason = "the docker client's own variable, not a setting of ours")]
    if let Some(host) = std::env::var_os("DOCKER_HOST").filter(|host| !host.is_empty()) {
        bail!("DOCKER_HOST is {host:?}: start that engine, or unset it to have one set up here");
    }
    if !cmd::works(&["dockerd", "--version"]) {
        apt::install(&PACKAGES)?;
    }
    if !cmd::works(&["docker", "--version"]) {
        // A package of its own from Debian 13 on.
        apt::install(&["docker-cli"])?;
    }
    // Installing the package has started it where services are managed.
    match answer() {
        Ok(version) => Ok(version),
        Err(error) if !apt::is_root() => Err(error
            .context("not root: start the engine as root and see that you may use it, or set DOCKER_HOST")),
        Err(_) if Path::new("/run/systemd/system").exists() => {
            Cmd::new(&["systemctl", "start", "docker"]).limit(START_LIMIT).quiet()?;
            answer()
        }
        Err(_) => start(),
    }
}

/// Starts an engine that outlives us, and waits until it answers.
fn start() -> Result<String> {
    remove_stale_pid_files()?;
    let folder = paths::cache()?;
    std::fs::create_dir_all(&folder)?;
    let log = folder.join("dockerd.log");
    let file = File::create(&log).with_context(|| format!("failed to write {}", log.display()))?;
    ui::command(&format!("setsid dockerd --log-level warn > {} 2>&1 &", log.display()));
    let mut dockerd = Command::new("setsid")
        .args(["dockerd", "--log-level", "warn"])
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .context("failed to start dockerd")?;
    let started = Instant::now();
    let why = loop {
        if let Ok(version) = answer() {
            return Ok(version);
        }
        if let Some(status) = dockerd.try_wait()? {
            break format!("dockerd ended with {status}");
        }
        if started.elapsed() > START_LIMIT {
            end(&mut dockerd)?;
            break format!("dockerd did not answer within {}", ui::seconds(START_LIMIT));
        }
        std::thread::sleep(Duration::from_millis(500));
    };
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    bail!("{why}; the end of {}:\n{}", log.display(), cmd::tail(&said))
}

/// What an engine that was killed leaves behind, and what the next one would take for itself running: a pid file whose
/// process is gone, not yet reaped, or another program.
fn remove_stale_pid_files() -> Result<()> {
    for (file, program) in
        [("/var/run/docker.pid", "dockerd"), ("/var/run/docker/containerd/containerd.pid", "containerd")]
    {
        let Ok(pid) = std::fs::read_to_string(file) else { continue };
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        if runs(&stat, program) {
            continue;
        }
        ui::note(format!("{file} is of an engine that is gone: removing it"));
        std::fs::remove_file(file).with_context(|| format!("failed to remove {file}"))?;
    }
    Ok(())
}

/// Whether a line of `/proc/<pid>/stat` is of `program`, alive.
fn runs(stat: &str, program: &str) -> bool {
    let Some((name, rest)) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')) else {
        return false;
    };
    name == program && !rest.trim_start().starts_with(['Z', 'X'])
}

/// Asks it to end, so that it takes its containerd along.
fn end(dockerd: &mut Child) -> Result<()> {
    Cmd::new(&["kill", &dockerd.id().to_string()]).quiet()?;
    dockerd.wait()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn only_a_living_process_of_that_name_runs() {
        assert!(runs("42 (dockerd) S 1 42 42 0", "dockerd"));
        assert!(!runs("42 (dockerd) Z 1 42 42 0", "dockerd"));
        assert!(!runs("42 (bash) S 1 42 42 0", "dockerd"));
        assert!(!runs("", "dockerd"));
    }
}
