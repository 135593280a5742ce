//! TCP connections to what listens in the sandbox, each joined with a channel.
//!
//! A direction that ends well ends alone, as TCP has it. One that breaks off is never taken for an end: the client gets a
//! failure behind the last byte, the peer a reset.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::{AgentDialect, Channel, Order};
use crate::flow::{Chunk, Inlet, Outlet};
use crate::protocol::frame::MAX_PAYLOAD;
use crate::protocol::{Failure, FailureKind, FromAgent};

/// How long connecting may take, all addresses together.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the peer may take for what was sent, after the client has closed the connection.
const LINGER: Duration = Duration::from_secs(30);

/// Opens a connection and carries its bytes until both directions have ended, or the client is gone.
pub(super) async fn connect(channel: Channel, host: &[u8], port: u16) {
    let Channel { replies, input, output, mut orders, .. } = channel;
    let opened = tokio::select! {
        opened = open(host, port) => opened,
        _ = left(&mut orders) => return,
    };
    let mut socket = match opened {
        Ok(stream) => Socket { stream, whole: false },
        Err(failure) => return replies.fail(failure),
    };
    replies.say(&FromAgent::Opened);
    let (read, write) = socket.stream.split();
    socket.whole = {
        let mut sending = std::pin::pin!(send(input, write));
        let mut receiving = std::pin::pin!(receive(read, output));
        let (mut sent, mut received, mut closed) = (None, false, None);
        loop {
            tokio::select! {
                how = &mut sending, if sent.is_none() => match how {
                    Sent::Cut => break false,
                    how => sent = Some(how),
                },
                (mut output, how) = &mut receiving, if !received => {
                    received = true;
                    // A reset is told once, to whoever asks first: to the writer it may have been.
                    let reset = sent.take_if(|sent| matches!(sent, Sent::Reset(_)));
                    let broke = match (how, reset) {
                        (Err(error), _) | (Ok(()), Some(Sent::Reset(error))) => Some(error),
                        _ => None,
                    };
                    if let Some(error) = &broke {
                        let message = error.to_string();
                        replies.say(&FromAgent::Broke(Failure { kind: FailureKind::ConnectReset, message }));
                    }
                    // Refused only when the connection to the client is gone.
                    let _ = output.eof().await;
                    if broke.is_some() {
                        break false;
                    }
                }
                closes = left(&mut orders) => {
                    if !closes {
                        break false;
                    }
                    closed = Some(Instant::now() + LINGER);
                }
                () = sleep_until(closed.unwrap_or_else(Instant::now)), if closed.is_some() => break false,
            }
            if sent.is_some() && (received || closed.is_some()) {
                break true;
            }
        }
    };
}

/// Waits until the client leaves; whether it closed the connection in good order.
async fn left(orders: &mut mpsc::Receiver<Order>) -> bool {
    loop {
        match orders.recv().await {
            Some(Order::Signal(_) | Order::Resize(_) | Order::Sent(_)) => {}
            Some(Order::Close { .. }) => return true,
            Some(Order::Cancel) | None => return false,
        }
    }
}

/// Our end of the connection. What is not whole is reset: half of something must not look like all of it.
struct Socket {
    stream: TcpStream,
    whole: bool,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if !self.whole {
            // It is closed in any case.
            let _ = self.stream.set_zero_linger();
        }
    }
}

async fn open(host: &[u8], port: u16) -> Result<TcpStream, Failure> {
    let failed = |kind, message| Failure { kind, message };
    let addresses = addresses(host);
    if addresses.is_empty() {
        let message = format!("{:?} is no IP address and not localhost", String::from_utf8_lossy(host));
        return Err(failed(FailureKind::ConnectFailed, message));
    }
    let attempts = async {
        let mut first = None;
        for address in addresses {
            match reach(SocketAddr::new(address, port)).await {
                Ok(stream) => return Ok(stream),
                // The first address is the one people mean.
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
    };
    match timeout(CONNECT, attempts).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err(failed(FailureKind::ConnectRefused, "connection refused".to_owned()))
        }
        Ok(Err(error)) => Err(failed(FailureKind::ConnectFailed, error.to_string())),
        Err(_) => {
            Err(failed(FailureKind::ConnectFailed, format!("no answer within {} s", CONNECT.as_secs())))
        }
    }
}

/// Names are not looked up: a static program cannot do it as the image would.
fn addresses(host: &[u8]) -> Vec<IpAddr> {
    if host.eq_ignore_ascii_case(b"localhost") {
        return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    let address = std::str::from_utf8(host).ok().and_then(|host| host.parse().ok());
    address.into_iter().collect()
}

async fn reach(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // The kernel can choose the port asked for as our own: then we talk to ourselves, and nobody listens.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    // Small answers must not wait for more. Without it everything works, only slower.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// How sending to the peer came to its end.
enum Sent {
    /// The client ended it, or the peer takes no more.
    Ended,
    /// The connection broke.
    Reset(io::Error),
    /// The client is gone in the middle.
    Cut,
}

/// Sends the peer what arrives; its end is the end for the peer.
async fn send(mut input: Inlet<AgentDialect>, mut write: WriteHalf<'_>) -> Sent {
    let sent = loop {
        match input.next().await {
            Some(Chunk::Data(bytes)) => {
                if let Err(error) = write.write_all(&bytes).await {
                    break Err(error);
                }
            }
            Some(Chunk::Eof) => break write.shutdown().await,
            Some(Chunk::Failed(_)) | None => return Sent::Cut,
        }
    };
    match sent {
        // The peer has closed, and what it said before that is whole.
        Ok(()) => Sent::Ended,
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected) => {
            Sent::Ended
        }
        Err(error) => Sent::Reset(error),
    }
}

/// Takes what the peer sends until its end; what the client does not want goes nowhere.
async fn receive(read: ReadHalf<'_>, mut output: Outlet) -> (Outlet, io::Result<()>) {
    let mut wanted = true;
    loop {
        let room = if wanted { output.room().await } else { Ok(MAX_PAYLOAD) };
        wanted &= room.is_ok();
        if let Err(error) = read.readable().await {
            return (output, Err(error));
        }
        let room = room.unwrap_or(MAX_PAYLOAD).min(MAX_PAYLOAD);
        // Only now: a connection on which nothing is said needs no memory.
        let mut buffer = BytesMut::with_capacity(room);
        match read.try_read_buf(&mut (&mut buffer).limit(room)) {
            Ok(0) => return (output, Ok(())),
            Ok(_) if wanted => wanted = output.send(buffer.freeze()).await.is_ok(),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return (output, Err(error)),
        }
    }
}
