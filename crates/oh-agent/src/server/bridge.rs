//! What a container runtime executes in a running sandbox: its standard input and output become a connection to the
//! agent. It interprets nothing, and its exit code says nothing about any command.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::thread;

use super::{identity, transport};

/// Bytes passed on at once.
const BUFFER: usize = 256 * 1024;
/// Bytes a pipe may hold; what the kernel allows anybody.
const PIPE: i32 = 1024 * 1024;

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
    join(&socket).map_err(|e| format!("the bridge broke: {e}"))
}

fn join(socket: &UnixStream) -> io::Result<()> {
    // Files, not the standard handles: those buffer lines.
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    for pipe in [&input, &output] {
        // Fewer turns between us and the container runtime. Where it is refused, or no pipe, it goes on as it is.
        let _ = nix::fcntl::fcntl(pipe, nix::fcntl::FcntlArg::F_SETPIPE_SZ(PIPE));
    }
    if is_pipe(&input)? && is_pipe(&output)? {
        transport::hand_over(socket, &input, &output)?;
        // Until the agent has no more use for them.
        return copy(socket, io::sink());
    }
    let to_agent = socket.try_clone()?;
    thread::spawn(move || {
        let _ = copy(input, &to_agent);
        let _ = to_agent.shutdown(Shutdown::Write);
    });
    copy(socket, output)
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
