//! Privileged containers, which the nodes of a cluster are, on a machine whose root has not every capability: the engine
//! asks for all of them, and the kernel refuses. A wrapper of runc asks only for those there are.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::cmd::{self, Cmd};
use crate::{apt, ui};

const SETTINGS: &str = "/etc/docker/daemon.json";
const WRAPPER: &str = "/usr/local/sbin/runc-capable";
const NAME: &str = "capable";
/// What engines ask for since Linux 5.9: 41 capabilities.
const ALL: u64 = 0x1ff_ffff_ffff;
const NAMES: &str = "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable \
    net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace \
    sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control \
    setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore";
const RELOAD_LIMIT: Duration = Duration::from_secs(20);

/// Sees to it that the engine can run privileged containers. Nothing is changed where it can already.
pub(crate) fn allow() -> Result<()> {
    let missing = missing()?;
    if missing.is_empty() || default_runtime()? == NAME {
        return Ok(());
    }
    ui::step("Privileged containers", || {
        ui::note(format!(
            "this machine's root lacks {}: runc gets a wrapper that does without",
            missing.join(", ")
        ));
        if !cmd::works(&["jq", "--version"]) {
            apt::install(&["jq"])?;
        }
        write(Path::new(WRAPPER), &wrapper(&missing), 0o755)?;
        let mut settings: Value = match std::fs::read(SETTINGS) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| format!("{SETTINGS} is no JSON"))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => json!({}),
            Err(error) => return Err(error).with_context(|| format!("failed to read {SETTINGS}")),
        };
        let all = settings.as_object_mut().with_context(|| format!("{SETTINGS} holds no object"))?;
        let runtimes = all.entry("runtimes").or_insert_with(|| json!({}));
        let runtimes =
            runtimes.as_object_mut().with_context(|| format!("runtimes in {SETTINGS} is no object"))?;
        runtimes.insert(NAME.to_owned(), json!({ "path": WRAPPER }));
        all.insert("default-runtime".to_owned(), json!(NAME));
        write(Path::new(SETTINGS), &format!("{settings:#}\n"), 0o644)?;
        let pid = std::fs::read_to_string("/var/run/docker.pid").context("where the engine's process is")?;
        // It reads the settings again; containers go on.
        Cmd::new(&["kill", "-HUP", pid.trim()]).quiet()?;
        let asked = Instant::now();
        while default_runtime()? != NAME {
            if asked.elapsed() > RELOAD_LIMIT {
                bail!("the engine did not take the runtime of {SETTINGS}: restart it");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    })
}

fn default_runtime() -> Result<String> {
    Cmd::new(&["docker", "info", "--format", "{{.DefaultRuntime}}"]).read()
}

/// The capabilities this machine's root has not, as a container's specification names them.
fn missing() -> Result<Vec<String>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).context("no CapBnd in /proc")?;
    let held = u64::from_str_radix(line.trim(), 16).context("CapBnd in /proc")?;
    Ok(not_in(held))
}

fn not_in(held: u64) -> Vec<String> {
    let lacks = |bit: usize| ALL & !held & (1 << bit) != 0;
    let names = NAMES.split_whitespace().enumerate().filter(|(bit, _)| lacks(*bit));
    names.map(|(_, name)| format!("CAP_{}", name.to_uppercase())).collect()
}

fn wrapper(missing: &[String]) -> String {
    format!(
        r#"#!/bin/bash
# Written by `cargo xtask cluster up`: runc for a machine that lacks some capabilities.
set -eu
without() {{
    jq --arg missing '{}' '(.. | .capabilities? // empty | .[]?) |= map(select(. as $c | $missing | split(" ") | index($c) | not))' \
        "$1" > "$1.new"
    mv "$1.new" "$1"
}}
previous=
for word in "$@"; do
    if [ "$previous" = --bundle ] && [ -f "$word/config.json" ]; then without "$word/config.json"; fi
    if [ "$previous" = --process ]; then without "$word"; fi
    previous=$word
done
exec runc "$@"
"#,
        missing.join(" ")
    )
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let write = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, text)?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode))
    };
    write().with_context(|| format!("failed to write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_capabilities_are_named() {
        assert_eq!(not_in(ALL), Vec::<String>::new());
        assert_eq!(not_in(0x1ff_feff_ffff), ["CAP_SYS_RESOURCE"]);
        assert_eq!(not_in(0x1ff_ffff_fffe), ["CAP_CHOWN"]);
        assert_eq!(not_in(0).len(), NAMES.split_whitespace().count());
    }
}
