//! What the kernel counts for the whole sandbox, as a container sees its own control group: v2, then v1.

use std::fs::File;
use std::os::unix::fs::FileExt;

const MEMORY: [&str; 2] = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];
const CPU: [&str; 2] = ["/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpu/cpu.stat"];
/// More than such a file has.
const SIZE: usize = 4096;

/// The kernel's files, open: each command reads them twice.
#[derive(Debug, Default)]
pub(super) struct Counters {
    memory: Option<File>,
    cpu: Option<File>,
}

impl Counters {
    pub(super) fn open() -> Self {
        let open = |files: [&str; 2]| files.iter().find_map(|file| File::open(file).ok());
        Self { memory: open(MEMORY), cpu: open(CPU) }
    }

    pub(super) fn now(&self) -> Counts {
        let count = |file: &Option<File>, parse: fn(&str) -> Option<u64>| {
            let mut text = [0; SIZE];
            let size = file.as_ref()?.read_at(&mut text, 0).ok()?;
            parse(std::str::from_utf8(&text[..size]).ok()?)
        };
        Counts { oom_kills: count(&self.memory, oom_kills), throttled_us: count(&self.cpu, throttled_us) }
    }
}

/// Counts at one moment; `None` where they cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// Processes killed for want of memory.
    pub(super) oom_kills: Option<u64>,
    /// Microseconds in which processes were held back by the CPU limit.
    pub(super) throttled_us: Option<u64>,
}

impl Counts {
    /// What came since `before`.
    pub(super) fn since(self, before: Self) -> Self {
        let difference =
            |now: Option<u64>, before: Option<u64>| Some(now?.saturating_sub(before.unwrap_or_default()));
        Self {
            oom_kills: difference(self.oom_kills, before.oom_kills),
            throttled_us: difference(self.throttled_us, before.throttled_us),
        }
    }
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.trim().parse().ok()
}

fn oom_kills(text: &str) -> Option<u64> {
    field(text, "oom_kill")
}

fn throttled_us(text: &str) -> Option<u64> {
    field(text, "throttled_usec").or_else(|| Some(field(text, "throttled_time")? / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_read() {
        assert_eq!(oom_kills("low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"), Some(5));
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\n"), None);
        assert_eq!(throttled_us("usage_usec 9\nnr_throttled 1\nthrottled_usec 70\n"), Some(70));
        assert_eq!(throttled_us("nr_periods 4\nnr_throttled 1\nthrottled_time 70000\n"), Some(70));
        assert_eq!(throttled_us("usage_usec 9\n"), None);
    }

    #[test]
    fn a_difference_needs_a_count_now() {
        let (none, two) = (
            Counts { oom_kills: None, throttled_us: None },
            Counts { oom_kills: Some(2), throttled_us: Some(5) },
        );
        assert_eq!(two.since(two), Counts { oom_kills: Some(0), throttled_us: Some(0) });
        assert_eq!(none.since(two), none);
    }
}
