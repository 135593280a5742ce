//! An API server in this process, with one Pod. A test plays the container its commands are executed in.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

pub(crate) const V4: &str = "v4.channel.k8s.io";
pub(crate) const V5: &str = "v5.channel.k8s.io";
pub(crate) const POD: &str = "box";
pub(crate) const UID: &str = "0d8a1f6e-0000-4000-8000-000000000001";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) mod channel {
    pub(crate) const STDIN: u8 = 0;
    pub(crate) const STDOUT: u8 = 1;
    pub(crate) const STDERR: u8 = 2;
    pub(crate) const STATUS: u8 = 3;
    pub(crate) const CLOSE: u8 = 255;
}

/// What an exec is answered with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// The first of these that is offered; none where none is, as proxies do that know nothing of it.
    Choose(&'static [&'static str]),
    /// What Kubernetes answers when it knows none of those offered: no protocol, no words.
    Forbid,
}

/// Listens on the loopback until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    execs: mpsc::UnboundedReceiver<Exec>,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, execs) = mpsc::unbounded_channel();
        let requests = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sender, counter) = (sender.clone(), Arc::clone(&counter));
                let service = service_fn(move |request| {
                    counter.fetch_add(1, Ordering::SeqCst);
                    let response = respond(request, answer, &sender);
                    async move { Ok::<_, Infallible>(response) }
                });
                let serving = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades();
                // A client may go at any time.
                tokio::spawn(async move { drop(serving.await) });
            }
        });
        Self { address, execs, requests, task }
    }

    /// How many requests it has had.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// The next exec somebody asked for.
    pub(crate) async fn exec(&mut self) -> Exec {
        let next = tokio::time::timeout(PATIENCE, self.execs.recv());
        next.await.expect("nobody asks for an exec").unwrap()
    }
}

fn respond(
    mut request: Request<Incoming>,
    answer: Answer,
    execs: &mpsc::UnboundedSender<Exec>,
) -> Response<Full<Bytes>> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let path = request.uri().path();
    if !path.ends_with("/exec") {
        return object(path);
    }
    let offered: Vec<String> =
        header(SEC_WEBSOCKET_PROTOCOL).split(',').map(|name| name.trim().to_owned()).collect();
    let Answer::Choose(known) = answer else {
        return response(StatusCode::FORBIDDEN).body(Full::default()).unwrap();
    };
    let chosen = known.iter().find(|known| offered.iter().any(|name| name == *known)).copied();
    let mut switching = response(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, derive_accept_key(header(SEC_WEBSOCKET_KEY).as_bytes()));
    if let Some(chosen) = chosen {
        switching = switching.header(SEC_WEBSOCKET_PROTOCOL, chosen);
    }
    let uri = request.uri().to_string();
    let (upgrade, execs) = (hyper::upgrade::on(&mut request), execs.clone());
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            let _ = execs.send(Exec { uri, offered, socket });
        }
    });
    switching.body(Full::default()).unwrap()
}

fn response(status: StatusCode) -> hyper::http::response::Builder {
    Response::builder().status(status)
}

/// What kubectl asks for before it executes anything.
fn object(path: &str) -> Response<Full<Bytes>> {
    let object = match path {
        "/version" => json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.0" }),
        "/api" => json!({ "kind": "APIVersions", "versions": ["v1"] }),
        "/apis" => json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [] }),
        "/api/v1" => json!({
            "kind": "APIResourceList", "groupVersion": "v1",
            "resources": [{
                "name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod", "verbs": ["get"]
            }],
        }),
        "/api/v1/namespaces/default/pods/box" => json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": { "name": POD, "namespace": "default", "uid": UID },
            "spec": { "containers": [{ "name": "sandbox", "image": "x" }] },
            "status": { "phase": "Running" },
        }),
        _ => {
            let status = failure(json!({ "message": format!("{path} not found"), "code": 404 }));
            return json_body(StatusCode::NOT_FOUND, &status);
        }
    };
    json_body(StatusCode::OK, &object)
}

fn json_body(status: StatusCode, object: &Value) -> Response<Full<Bytes>> {
    let body = Full::from(object.to_string());
    response(status).header(CONTENT_TYPE, "application/json").body(body).unwrap()
}

/// A `Status` that says what went wrong.
pub(crate) fn failure(mut about: Value) -> Value {
    about["kind"] = "Status".into();
    about["apiVersion"] = "v1".into();
    about["metadata"] = json!({});
    about["status"] = "Failure".into();
    about
}

/// As Kubernetes says it of a command that exits with this code.
pub(crate) fn exited(code: i32) -> Value {
    if code == 0 {
        return json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" });
    }
    failure(json!({
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "reason": "NonZeroExitCode",
        "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
    }))
}

/// How a container's standard input ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InputEnd {
    /// It alone was closed.
    HalfClosed,
    /// It ended with the connection.
    Disconnected,
}

/// One exec, seen from the container.
#[derive(Debug)]
pub(crate) struct Exec {
    /// Path and query of the request.
    pub(crate) uri: String,
    /// The protocols offered, in order.
    pub(crate) offered: Vec<String>,
    socket: WebSocketStream<TokioIo<Upgraded>>,
}

impl Exec {
    /// Sends a frame; a client that is gone does not get it.
    pub(crate) async fn send(&mut self, channel: u8, bytes: &[u8]) {
        let _ = self.socket.send(Message::Binary([&[channel], bytes].concat().into())).await;
    }

    /// Plays `cat` up to the end of standard input.
    pub(crate) async fn cat(&mut self) -> InputEnd {
        let copying = async {
            while let Some(Ok(message)) = self.socket.next().await {
                let Message::Binary(frame) = message else { continue };
                match frame[..] {
                    [channel::STDIN, ref bytes @ ..] => {
                        let bytes = bytes.to_vec();
                        self.send(channel::STDOUT, &bytes).await;
                    }
                    [channel::CLOSE, channel::STDIN] => return InputEnd::HalfClosed,
                    // Size of a terminal there is none of.
                    _ => {}
                }
            }
            InputEnd::Disconnected
        };
        tokio::time::timeout(PATIENCE, copying).await.expect("standard input does not end")
    }

    /// Says how the command ended, and closes.
    pub(crate) async fn end(mut self, status: Value) {
        self.send(channel::STATUS, status.to_string().as_bytes()).await;
        let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let _ = self.socket.close(Some(normal)).await;
        // The connection is the client's to end.
        let _ = tokio::time::timeout(PATIENCE, async { while let Some(Ok(_)) = self.socket.next().await {} })
            .await;
    }

    /// Plays a whole command: `cat`, then something on both streams, then this exit code. What a client hears of it
    /// after its input has ended depends on how that was said.
    pub(crate) async fn play(mut self, code: i32) -> InputEnd {
        let end = self.cat().await;
        self.send(channel::STDOUT, b" and after").await;
        self.send(channel::STDERR, b"said").await;
        self.end(exited(code)).await;
        end
    }
}
