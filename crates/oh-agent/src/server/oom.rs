//! The kernel's count of processes it killed for want of memory in this sandbox.

use std::fs;

/// Where the count is: cgroup v2, then v1, as a container sees its own group.
const FILES: [&str; 2] = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];

/// The count so far; `None` where it cannot be read.
pub(super) fn kills() -> Option<u64> {
    FILES.iter().find_map(|file| parse(&fs::read_to_string(file).ok()?))
}

fn parse(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_formats_are_read() {
        assert_eq!(super::parse("low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(super::parse("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"), Some(5));
        assert_eq!(super::parse("oom_kill_disable 0\nunder_oom 0\n"), None);
    }
}
