//! Reaching the agent's socket.

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use tokio::net::UnixStream;

use crate::launch::SOCKET;
use crate::process::Process;

/// Connects to the socket in `folder`, at the other end of which has to be `agent`: whoever is in the sandbox can put
/// something else there.
pub(crate) async fn connect(folder: &Path, agent: Process) -> io::Result<UnixStream> {
    // The address of a socket has 108 bytes, too few for some paths.
    let folder = open(folder, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let stream = UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd())).await?;
    if stream.peer_cred()?.pid() == Some(agent.pid) {
        Ok(stream)
    } else {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "another process listens in the agent's place"))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn long_paths_are_reached_and_impostors_are_not_talked_to() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("long".repeat(60));
        std::fs::create_dir(&folder).unwrap();
        let own = Process::own().unwrap();
        let missing = connect(&folder, own).await.unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let short = root.path().join(SOCKET);
        let _listener = UnixListener::bind(&short).unwrap();
        std::fs::rename(short, folder.join(SOCKET)).unwrap();
        connect(&folder, own).await.unwrap();
        let error = connect(&folder, Process::known(1, 0)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}
