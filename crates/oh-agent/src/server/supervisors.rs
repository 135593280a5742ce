//! Supervisors as the agent has them. One whose command left nothing behind takes the next command: starting a
//! supervisor costs as much as starting a command.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use tokio::net::UnixStream;

use super::control::{FromSupervisor, Inbox};
use super::reaper::Reaper;
use super::tree;
use crate::protocol::ChildrenUsage;

/// How many wait for commands.
const IDLE: usize = 4;

/// The agent's end of a supervisor.
pub(super) struct Supervisor {
    pub(super) pid: u32,
    pub(super) socket: UnixStream,
    pub(super) inbox: Inbox,
}

impl Supervisor {
    fn start(reaper: &Reaper) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let socket = UnixStream::from_std(ours)?;
        let pid = Command::new("/proc/self/exe")
            .arg("supervise")
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()?
            .id();
        reaper.supervisor(pid);
        Ok(Self { pid, socket, inbox: Inbox::default() })
    }

    /// Sends the beginning of a message and a command's streams. Returns how much of the message that was.
    fn send(&self, message: &[u8], streams: &[OwnedFd; 3]) -> io::Result<usize> {
        let fds = streams.each_ref().map(AsRawFd::as_raw_fd);
        let rights = [ControlMessage::ScmRights(&fds)];
        let parts = [IoSlice::new(message)];
        Ok(sendmsg::<()>(self.socket.as_raw_fd(), &parts, &rights, MsgFlags::MSG_NOSIGNAL, None)?)
    }

    /// Waits until nothing of its command is left but these, which it could not kill.
    pub(super) async fn drained(&mut self) -> io::Result<(Vec<u32>, ChildrenUsage)> {
        loop {
            if let FromSupervisor::Drained { leaked, children } = self.inbox.next(&mut self.socket).await? {
                return Ok((leaked, children));
            }
        }
    }
}

/// Supervisors without a command.
#[derive(Default)]
pub(super) struct Idle(RefCell<Vec<Supervisor>>);

impl Idle {
    /// Its command and everything of it has ended.
    pub(super) fn add(&self, supervisor: Supervisor) {
        let mut idle = self.0.borrow_mut();
        if idle.len() < IDLE {
            idle.push(supervisor);
        }
    }

    /// Gives a command to one of them, or to a new one. Returns it, and how much of the message it was sent.
    pub(super) fn employ(
        &self,
        reaper: &Reaper,
        message: &[u8],
        streams: &[OwnedFd; 3],
    ) -> io::Result<(Supervisor, usize)> {
        while let Some(supervisor) = self.take() {
            // One that was killed from inside meanwhile takes nothing, one that was stopped goes on.
            if let Ok(sent) = supervisor.send(message, streams) {
                tree::signal(&[supervisor.pid], Signal::SIGCONT);
                return Ok((supervisor, sent));
            }
        }
        let supervisor = Supervisor::start(reaper)?;
        let sent = supervisor.send(message, streams)?;
        Ok((supervisor, sent))
    }

    fn take(&self) -> Option<Supervisor> {
        self.0.borrow_mut().pop()
    }
}
