//! Children of the agent itself: supervisors, and orphans of supervisors that were killed from inside.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use tokio::sync::watch;

use super::control::Status;
use super::tree;

/// A command whose supervisor may be killed: then its end arrives here.
#[derive(Debug)]
struct Expected {
    pid: u32,
    status: watch::Sender<Option<Status>>,
}

/// Waits for every child of the agent.
#[derive(Debug, Default)]
pub(super) struct Reaper {
    supervisors: RefCell<HashSet<u32>>,
    expected: RefCell<HashMap<u64, Expected>>,
    /// Commands that may run already without being in `expected`.
    starting: Cell<usize>,
    /// A supervisor was killed, and its orphans were not looked at yet.
    disorder: Cell<bool>,
}

/// Until it is dropped, a command may run that nobody expects yet. See [`Reaper::starting`].
pub(super) struct Starting<'a>(&'a Reaper);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.0.starting.set(self.0.starting.get() - 1);
        self.0.kill_strays();
    }
}

impl Reaper {
    /// A command is being started: as long as nobody knows its number, no orphan is a stray.
    pub(super) fn starting(&self) -> Starting<'_> {
        self.starting.set(self.starting.get() + 1);
        Starting(self)
    }

    /// A supervisor was started.
    pub(super) fn supervisor(&self, pid: u32) {
        self.supervisors.borrow_mut().insert(pid);
    }

    /// The command `sequence` runs as `pid`. The receiver gets its end if its supervisor does not live to see it.
    pub(super) fn expect(&self, sequence: u64, pid: u32) -> watch::Receiver<Option<Status>> {
        let (status, receiver) = watch::channel(None);
        self.expected.borrow_mut().insert(sequence, Expected { pid, status });
        receiver
    }

    /// The command is over.
    pub(super) fn forget(&self, sequence: u64) {
        self.expected.borrow_mut().remove(&sequence);
    }

    /// Takes every child that ended. A supervisor that ends by itself leaves nothing behind; when anything else ended,
    /// a supervisor was killed from inside, and orphans that belong to no command are killed too.
    pub(super) fn reap(&self) {
        loop {
            let (pid, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, Status::Exited(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Status::Signaled(signal as i32)),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => break,
                Ok(_) | Err(_) => continue,
            };
            let pid = pid.as_raw().cast_unsigned();
            let supervised = self.supervisors.borrow_mut().remove(&pid);
            if !(supervised && status == Status::Exited(0)) {
                self.disorder.set(true);
            }
            if let Some(expected) = self.expected.borrow().values().find(|expected| expected.pid == pid) {
                expected.status.send_replace(Some(status));
            }
        }
        self.kill_strays();
    }

    fn kill_strays(&self) {
        if self.starting.get() > 0 || !self.disorder.take() {
            return;
        }
        let (supervisors, expected) = (self.supervisors.borrow(), self.expected.borrow());
        let strays: Vec<u32> = tree::children(std::process::id())
            .into_iter()
            .filter(|pid| !supervisors.contains(pid) && !expected.values().any(|command| command.pid == *pid))
            .collect();
        tree::signal(&strays, Signal::SIGKILL);
    }
}
