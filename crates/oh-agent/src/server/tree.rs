//! Processes as `/proc` shows them.

use std::collections::HashMap;
use std::fs;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The parent of a process; `None` when the process is gone.
pub(super) fn parent(pid: u32) -> Option<u32> {
    // "pid (name) state ppid …": the name may hold spaces and parentheses, so count from the last one.
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let fields = std::str::from_utf8(&stat[after_name..]).ok()?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Who is whose child, now.
fn children_by_parent() -> HashMap<u32, Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let Ok(entries) = fs::read_dir("/proc") else { return children };
    for entry in entries.flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && let Some(parent) = parent(pid)
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    children
}

/// The children of `pid`.
pub(super) fn children(pid: u32) -> Vec<u32> {
    children_by_parent().remove(&pid).unwrap_or_default()
}

/// Every descendant of `root`, without it.
pub(super) fn descendants(root: u32) -> Vec<u32> {
    let mut children = children_by_parent();
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(next) = open.pop() {
        if let Some(pids) = children.remove(&next) {
            open.extend(&pids);
            found.extend(pids);
        }
    }
    found
}

/// Signals each; returns those we may not signal.
pub(super) fn signal(pids: &[u32], signal: Signal) -> Vec<u32> {
    pids.iter().copied().filter(|&pid| send(pid, signal) == Err(Errno::EPERM)).collect()
}

fn send(pid: u32, signal: Signal) -> nix::Result<()> {
    let pid = i32::try_from(pid).map_err(|_| Errno::ESRCH)?;
    // 0 and 1 would mean "my group" and "the agent".
    if pid < 2 { Err(Errno::ESRCH) } else { kill(Pid::from_raw(pid), signal) }
}
