//! `oh port-forward`: ports of this machine that lead into a sandbox.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use oh_runtime::{Error, SandboxName, forward};
use serde_json::json;
use tokio::net::TcpListener;

use super::Context;
use crate::args::Ports;
use crate::failure::{Cause, Failure, Result};
use crate::{args, exit_code};

/// How long the sandbox may take to answer at first.
const ANSWER: Duration = Duration::from_secs(60);
/// In the sandbox: what listens on either loopback address is found.
const HOST: &str = "localhost";

/// Forward ports of this machine to ports in a sandbox, until Ctrl-C or until the sandbox is gone.
///
/// The bytes take the stream that everything takes: the sandbox needs no published port and no network, and a connection
/// survives when that stream breaks and is opened again. A connection that goes wrong ends no other.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  oh port-forward box 8080          # http://127.0.0.1:8080 is port 8080 in the sandbox
  oh port-forward box 8000:80 :5432 # port 8000 for 80, and any free port for 5432")]
pub(crate) struct Args {
    /// The sandbox.
    #[arg(value_parser = args::sandbox_name)]
    name: SandboxName,
    /// A port of this machine and one in the sandbox; alone it is both, and `:REMOTE` takes any free one.
    #[arg(required = true, value_name = "[LOCAL:]REMOTE", value_parser = args::ports)]
    ports: Vec<Ports>,
    /// Listen on this address of this machine. Whoever can reach it can use the ports.
    #[arg(long, default_value = "127.0.0.1")]
    address: IpAddr,
}

pub(super) async fn port_forward(context: &Context, args: Args) -> Result<u8> {
    let mut listeners = Vec::new();
    for ports in &args.ports {
        listeners.push((listen(SocketAddr::new(args.address, ports.local), *ports).await?, ports.remote));
    }
    let runtime = context.runtime().await?;
    let operation = format!("reach sandbox {}", args.name);
    let reach = async {
        let sandbox = runtime.attach(&args.name).await?;
        sandbox.connect(ANSWER).await?;
        Ok::<_, Error>(sandbox)
    };
    let sandbox = context.unless_interrupted(&operation, reach).await?;
    let mut forwards = Vec::new();
    for (listener, remote) in listeners {
        let local = listener.local_addr().map_err(|error| unusable("listen", &error))?;
        if context.ui.json() {
            let line = json!({ "local": local.to_string(), "name": args.name.as_str(), "remote": remote });
            context.ui.line(&line.to_string())?;
        } else {
            context.ui.line(&format!("forwarding {local} -> {}:{remote}", args.name))?;
        }
        let failed = |_, error: Error| context.ui.warning(&error.into());
        forwards.push(forward(Arc::clone(&sandbox), listener, HOST, remote, failed));
    }
    let gone = tokio::select! {
        error = sandbox.gone() => Some(error),
        _ = join_all(forwards) => None,
        _ = context.interrupt.wait() => None,
    };
    sandbox.disconnect().await;
    gone.map_or(Ok(exit_code::OK), |error| Err(error.into()))
}

async fn listen(address: SocketAddr, ports: Ports) -> Result<TcpListener> {
    let failed = |error: io::Error| {
        let failure = unusable(&format!("listen on {address}"), &error);
        match error.kind() {
            io::ErrorKind::AddrInUse => failure.hint(format!(
                "another program, or another pair, has port {}; `:{}` takes any free one",
                ports.local, ports.remote
            )),
            io::ErrorKind::PermissionDenied => {
                failure.hint(format!("`:{}` takes any free port", ports.remote))
            }
            io::ErrorKind::AddrNotAvailable => failure.hint("--address has to be one of this machine"),
            _ => failure,
        }
    };
    TcpListener::bind(address).await.map_err(failed)
}

fn unusable(operation: &str, error: &io::Error) -> Failure {
    Failure::new(Cause::Local, operation, error.to_string())
}
