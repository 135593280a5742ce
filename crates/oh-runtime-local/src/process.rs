//! A process that cannot be mistaken for a later one of the same number.

use std::fs;
use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

/// How long the kernel may take to end a process that was killed.
const DEATH: Duration = Duration::from_secs(10);

/// A process by its number and start time: the kernel uses a number again, but not for the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Clock ticks since the machine started.
    started: u64,
}

impl Process {
    /// The living process of this number.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let Stat { state, threads, started } = parse(&stat)?;
        // A zombie has ended, and everything of its PID namespace before it; unless threads of it are still ending.
        let ended = matches!(state, 'Z' | 'X') && threads <= 1;
        (!ended).then_some(Self { pid, started })
    }

    /// The process that had this number and start time, alive or not.
    pub(crate) const fn known(pid: i32, started: u64) -> Self {
        Self { pid, started }
    }

    pub(crate) const fn started(self) -> u64 {
        self.started
    }

    /// This program.
    pub(crate) fn own() -> io::Result<Self> {
        i32::try_from(std::process::id())
            .ok()
            .and_then(Self::of)
            .ok_or_else(|| io::Error::other("/proc does not show the processes of this machine"))
    }

    pub(crate) fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Kills it and waits until it is gone.
    pub(crate) async fn end(self) -> io::Result<()> {
        let deadline = Instant::now() + DEATH;
        let mut pause = Duration::from_millis(2);
        while self.is_alive() {
            match kill(Pid::from_raw(self.pid), Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error.into()),
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("process {} does not end", self.pid)));
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
        Ok(())
    }
}

/// Fields 3, 20 and 22 of `/proc/<pid>/stat`, see proc_pid_stat(5).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    threads: u64,
    started: u64,
}

fn parse(stat: &str) -> Option<Stat> {
    // The name before them is in parentheses, and may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse().ok();
    Some(Stat { state: fields.first()?.chars().next()?, threads: number(20)?, started: number(22)? })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn names_do_not_confuse() {
        let tail = "S 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 3 0 12345 2867200 1 18446744073709551615";
        let stat = || Some(Stat { state: 'S', threads: 3, started: 12345 });
        for name in ["cat", "a) R 1 2", "((", ") S 1"] {
            assert_eq!(parse(&format!("42 ({name}) {tail}")), stat(), "{name}");
        }
        assert_eq!(parse("42 (cut"), None);
        assert_eq!(parse("42 (cut) S 1 2"), None);
    }

    #[tokio::test]
    async fn a_process_is_ended_and_a_zombie_counts_as_ended() {
        let mut child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        let process = Process::of(child.id() as i32).unwrap();
        assert!(process.is_alive());
        assert!(!Process { started: process.started + 1, ..process }.is_alive());
        process.end().await.unwrap();
        assert!(!process.is_alive());
        assert!(!child.wait().unwrap().success());
        process.end().await.unwrap();
    }

    #[tokio::test]
    async fn another_process_of_the_same_number_is_left_alone() {
        let own = Process::own().unwrap();
        Process { started: own.started + 1, ..own }.end().await.unwrap();
        assert!(own.is_alive());
    }
}
