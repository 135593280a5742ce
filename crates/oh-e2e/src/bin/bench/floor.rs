//! The least that is possible: what a command costs without us.
//!
//! One open exec stream of the engine, spoken to without its tool or a library's pipes, and behind it a shell that forks,
//! executes and waits for `true` once for each byte it receives, and answers with one byte.

use std::time::{Duration, Instant};

use futures::{Sink, SinkExt, Stream, StreamExt};
use kube::api::{AttachParams, Request};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::Outcome;
use crate::peer::{self, Bed, Engine};

/// How the rows call it.
pub(crate) const NAME: &str = "floor";
/// `read` takes a byte at a time, and a line is one byte here.
const LOOP: &str = "while read -r line; do /bin/true; echo; done";
/// The first byte of a WebSocket frame, and of a frame of Docker's.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
/// Bytes before the payload of a frame of Docker's; the last four are its length.
const HEADER: usize = 8;

pub(crate) trait WebSocket:
    Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Unpin
{
}

impl<T: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Unpin> WebSocket for T {}

/// A shell behind one open exec.
pub(crate) enum Floor {
    Docker(UnixStream),
    K8s(Box<dyn WebSocket>),
}

impl Floor {
    pub(crate) async fn open(bed: &Bed) -> Outcome<Self> {
        let mut floor = match bed.engine {
            Engine::Docker => Self::Docker(docker(&bed.target).await?),
            Engine::K8s => Self::K8s(kubernetes(bed).await?),
        };
        // The first answer is the connection's, too.
        floor.round().await?;
        Ok(floor)
    }

    /// One `true`.
    pub(crate) async fn round(&mut self) -> Outcome<Duration> {
        let started = Instant::now();
        match self {
            Self::Docker(socket) => {
                socket.write_all(b"\n").await?;
                let mut frame = [0; HEADER + 1];
                socket.read_exact(&mut frame).await?;
                if frame[0] != STDOUT {
                    return Err("the shell of the floor failed".into());
                }
            }
            Self::K8s(socket) => {
                socket.send(Message::Binary([STDIN, b'\n'].to_vec().into())).await?;
                loop {
                    match socket.next().await.ok_or("the shell of the floor ended")?? {
                        Message::Binary(frame) if *frame == [STDOUT, b'\n'] => break,
                        // The server opens each channel with an empty frame.
                        Message::Binary(frame) if frame.len() == 1 => {}
                        other => return Err(format!("the shell of the floor answered {other}").into()),
                    }
                }
            }
        }
        Ok(started.elapsed())
    }
}

async fn kubernetes(bed: &Bed) -> Outcome<Box<dyn WebSocket>> {
    let client = bed.pods()?.clone().into_client();
    let path = format!("/api/v1/namespaces/{}/pods", client.default_namespace());
    let params = AttachParams::default().container(peer::CONTAINER).stdin(true).stderr(false);
    let request = Request::new(path).exec(&bed.name, ["sh", "-c", LOOP], &params)?;
    Ok(Box::new(client.connect(request).await?.into_stream()))
}

/// An exec over the engine's socket, by hand: the same bytes its tool sends.
async fn docker(container: &str) -> Outcome<UnixStream> {
    let host = peer::read(&["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"])?;
    let path = host.strip_prefix("unix://").ok_or_else(|| format!("{host} is no socket of this machine"))?;
    let body = json!({ "AttachStdin": true, "AttachStdout": true, "Cmd": ["sh", "-c", LOOP] }).to_string();
    let mut socket = UnixStream::connect(path).await?;
    let request = post("1.0", &format!("/containers/{container}/exec"), "", &body);
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    let (_, made) = answer.split_once("\r\n\r\n").ok_or("the engine's answer is cut short")?;
    let made: Value = serde_json::from_str(made)?;
    let id = made["Id"].as_str().ok_or_else(|| format!("the engine makes no exec: {made}"))?;

    let mut socket = UnixStream::connect(path).await?;
    let upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
    let request = post("1.1", &format!("/exec/{id}/start"), upgrade, r#"{"Detach":false,"Tty":false}"#);
    socket.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    if head.starts_with(b"HTTP/1.1 101 ") {
        return Ok(socket);
    }
    Err(format!("the engine opens no stream: {}", String::from_utf8_lossy(&head)).into())
}

fn post(version: &str, path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/{version}\r\nHost: docker\r\n{headers}Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
