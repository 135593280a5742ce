//! Ports of this machine that lead into a sandbox.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join;
use oh_runtime_api::{Dialed, Error, Result, Sandbox};
use tokio::io::{AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Before another connection is taken when one could not be: out of descriptors, let some be closed first.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections from `listener` and joins each with one to `port` of `host` in the sandbox, as [`Sandbox::dial`] opens
/// it. Each has a task of its own, and each direction of it ends alone.
///
/// What goes wrong with one of them is told to `failed`, with the address it came from, and ends no other: nothing listens
/// in the sandbox yet, the peer reset the connection, the sandbox is gone. Whoever connected sees a reset then and never a
/// mere end. It goes on for ever; dropping the future resets what is open and closes the listener.
pub async fn forward(
    sandbox: Arc<dyn Sandbox>,
    listener: TcpListener,
    host: &str,
    port: u16,
    mut failed: impl FnMut(SocketAddr, Error),
) -> Infallible {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    let (sandbox, host) = (Arc::clone(&sandbox), host.to_owned());
                    open.spawn(async move { (from, carry(&*sandbox, stream, &host, port).await) });
                }
                Err(error) => {
                    tracing::warn!(%sandbox, %error, "cannot take a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(done) = open.join_next(), if !open.is_empty() => {
                // A task is neither aborted nor does it panic.
                if let Ok((from, Err(error))) = done {
                    failed(from, error);
                }
            }
        }
    }
}

/// The end of a connection that is on this machine. What is not whole is reset.
struct Local {
    stream: TcpStream,
    whole: bool,
}

impl Drop for Local {
    fn drop(&mut self) {
        if !self.whole {
            // It is closed in any case.
            let _ = self.stream.set_zero_linger();
        }
    }
}

async fn carry(sandbox: &dyn Sandbox, stream: TcpStream, host: &str, port: u16) -> Result<()> {
    let mut local = Local { stream, whole: false };
    // Small pieces must not wait for more. Without it everything works, only slower.
    let _ = local.stream.set_nodelay(true);
    let Dialed { mut read, mut write } = sandbox.dial(host, port).await?;
    let (mut from, mut to) = local.stream.split();
    let there = async {
        match copy(&mut from, &mut write).await {
            Ok(_) => drop(write.shutdown().await),
            // The peer takes no more; the other direction tells whether all is well.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => return Err(error),
        }
        Ok(())
    };
    let back = async {
        copy(&mut read, &mut to).await?;
        // Whoever is gone needs no end.
        let _ = to.shutdown().await;
        Ok(())
    };
    match try_join(there, back).await {
        Ok(_) => local.whole = true,
        Err(error) => match error.downcast::<Error>() {
            Ok(error) => return Err(error),
            Err(error) => tracing::debug!(%sandbox, %error, "whoever connected is gone"),
        },
    }
    Ok(())
}
