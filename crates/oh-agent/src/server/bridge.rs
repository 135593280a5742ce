//! What a container runtime executes in a running sandbox: its standard input and output become a connection to the
//! agent. It interprets nothing, and its exit code says nothing about any command.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{identity, transport};

/// Bytes passed on at once.
const BUFFER: usize = 256 * 1024;
/// Bytes a pipe may hold; what the kernel allows anybody.
const PIPE: i32 = 1024 * 1024;
/// How long the agent's last bytes may take to be taken after it closed the connection. A container runtime whose
/// client broke off takes nothing any more, and keeps the pipe open.
const LAST_BYTES: Duration = Duration::from_secs(3);

/// The abstract address a sandbox's agent listens on.
pub(super) fn address(name: &str) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("oh-agent/{name}"))
}

/// Runs the bridge until the agent closes the connection.
///
/// # Errors
/// In words, when no agent can be reached.
pub fn bridge(name: &str) -> Result<(), String> {
    nix::sys::prctl::set_dumpable(false).map_err(|e| e.to_string())?;
    let socket = address(name)
        .and_then(|address| UnixStream::connect_addr(&address))
        .map_err(|e| format!("no agent is listening: {e}"))?;
    identity::check_listener(&socket)?;
    // Files, not the standard handles: those buffer lines.
    let standard = || -> io::Result<(File, File)> {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        Ok((input.into(), io::stdout().as_fd().try_clone_to_owned()?.into()))
    };
    let joined = standard().and_then(|(input, output)| join(&socket, input, output));
    joined.map_err(|e| format!("the bridge broke: {e}"))
}

fn join(socket: &UnixStream, input: File, output: File) -> io::Result<()> {
    for pipe in [&input, &output] {
        // Fewer turns between us and the container runtime. Where it is refused, or no pipe, it goes on as it is.
        let _ = nix::fcntl::fcntl(pipe, nix::fcntl::FcntlArg::F_SETPIPE_SZ(PIPE));
    }
    if is_pipe(&input)? && is_pipe(&output)? {
        transport::hand_over(socket, &input, &output)?;
        // Until the agent has no more use for them.
        return copy(socket, io::sink());
    }
    splice(socket, input, output)
}

fn splice(socket: &UnixStream, input: File, output: File) -> io::Result<()> {
    let (to_agent, from_agent, watched) = (socket.try_clone()?, socket.try_clone()?, socket.try_clone()?);
    let (over, first) = mpsc::channel();
    let late = over.clone();
    thread::spawn(move || {
        let _ = copy(input, &to_agent);
        let _ = to_agent.shutdown(Shutdown::Write);
    });
    thread::spawn(move || over.send(copy(from_agent, output)));
    thread::spawn(move || {
        wait_for_close(&watched);
        thread::sleep(LAST_BYTES);
        late.send(Ok(()))
    });
    first.recv().unwrap_or(Ok(()))
}

/// Waits until the other end has closed its socket, whatever of it is still to be read.
fn wait_for_close(socket: &UnixStream) {
    // A hang-up needs not be asked for.
    let mut sockets = [PollFd::new(socket.as_fd(), PollFlags::empty())];
    while poll(&mut sockets, PollTimeout::NONE) == Err(nix::errno::Errno::EINTR) {}
}

fn is_pipe(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.file_type().is_fifo())
}

/// Passes bytes on as they come. Not `io::copy`: between a pipe and a socket it asks the kernel for a `splice` of
/// gigabytes, which sits on small pieces until the pipe is full.
fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            count => to.write_all(&buffer[..count])?,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::time::Instant;

    use super::*;

    fn pipe() -> (File, File) {
        let (read, write) = io::pipe().unwrap();
        (OwnedFd::from(read).into(), OwnedFd::from(write).into())
    }

    #[test]
    fn what_the_agent_said_last_is_passed_on() {
        let (ours, mut agent) = UnixStream::pair().unwrap();
        let ((input, _client), (mut out, output)) = (pipe(), pipe());
        agent.write_all(b"last words").unwrap();
        drop(agent);
        splice(&ours, input, output).unwrap();
        let mut said = [0; 10];
        out.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"last words");
    }

    #[test]
    fn it_ends_with_the_agent_though_nobody_takes_its_output() {
        let (ours, agent) = UnixStream::pair().unwrap();
        let ((input, _client), (_out, output)) = (pipe(), pipe());
        let full = thread::spawn(move || {
            agent.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
            (&agent).write_all(&vec![0; 4 * BUFFER + PIPE as usize]).unwrap_err();
        });
        let started = Instant::now();
        splice(&ours, input, output).unwrap();
        full.join().unwrap();
        assert!(started.elapsed() >= LAST_BYTES);
    }
}
