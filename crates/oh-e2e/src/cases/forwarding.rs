//! Connections to what listens in a sandbox.

use std::io::ErrorKind as IoErrorKind;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use oh_runtime::{BoxRead, BoxWrite, CommandSpec, Dialed, Error, ErrorKind, Process, Sandbox, forward};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::resume::{cut, often_cut};
use crate::case::{Case, case};
use crate::context::Context;
use crate::data::{noise, numbers, sha256};
use crate::failure::{CaseResult, Failure, check, equal, refused};
use crate::probe::{read_all, script, soon, within};

const MEBIBYTE: usize = 1 << 20;
const AT_ONCE: usize = 64;
/// Far more than any window and the kernel's buffers together.
const FLOOD: usize = 64 * MEBIBYTE;
/// A window, and more than the kernel keeps for two sockets.
const HELD_BACK: usize = 32 * MEBIBYTE;
/// Memory of an agent with one full window.
const AGENT_KIB: u64 = 48 * 1024;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(a_mebibyte_goes_both_ways),
        case!(the_client_can_end_first),
        case!(the_peer_can_end_first),
        case!(sixty_four_connections_at_once),
        case!(what_nobody_listens_to_is_refused),
        case!(a_name_is_not_looked_up),
        case!(localhost_is_either_address),
        case!(a_reset_is_no_end),
        case!(a_peer_that_hears_no_more_is_still_heard),
        case!(a_dropped_reader_holds_nothing_up),
        case!(a_dropped_connection_is_closed),
        case!(cut_streams_lose_no_byte).seconds(180),
        case!(a_flood_that_nobody_reads_is_held_back),
        case!(a_local_port_leads_into_the_sandbox),
        case!(a_sandbox_that_is_gone_is_said_to_be),
    ]
}

/// A program that listens in the sandbox, as long as it is not dropped.
struct Server {
    process: Process,
    said: BufReader<BoxRead>,
    port: u16,
}

impl Server {
    /// `script` is Python, in which `listener` listens, on a free port: on some backends ports are the machine's.
    async fn start(sandbox: &dyn Sandbox, script: &str) -> CaseResult<Self> {
        let begin = "import hashlib, socket, struct, sys, threading\n\
                     listener = socket.create_server(('127.0.0.1', 0), backlog=128)\n\
                     print(listener.getsockname()[1], flush=True)\n";
        let spec = CommandSpec::new(["python3".to_owned(), "-c".to_owned(), format!("{begin}{script}")]);
        let mut process = sandbox.start(spec.timeout(Duration::from_secs(300))).await?;
        let said = process.stdout.take().ok_or_else(|| Failure::new("it has no standard output"))?;
        let mut server = Self { process, said: BufReader::new(said), port: 0 };
        server.port = server.line().await?.parse()?;
        Ok(server)
    }

    /// The next line it prints.
    async fn line(&mut self) -> CaseResult<String> {
        let mut line = String::new();
        soon("a line of the server", self.said.read_line(&mut line)).await??;
        Ok(line.trim_end().to_owned())
    }

    async fn end(self) -> CaseResult {
        Ok(self.process.cancel().await?)
    }
}

async fn dial(sandbox: &dyn Sandbox, port: u16) -> CaseResult<Dialed> {
    Ok(soon("connecting", sandbox.dial("127.0.0.1", port)).await??)
}

/// Gives back what it gets.
const ECHO: &str = "
def echo(peer):
    while data := peer.recv(65536):
        peer.sendall(data)
    peer.close()
while True:
    threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()
";

async fn send(mut write: BoxWrite, bytes: &[u8]) -> CaseResult {
    write.write_all(bytes).await?;
    Ok(write.shutdown().await?)
}

/// What comes back while `bytes` are sent.
async fn exchange(dialed: Dialed, bytes: &[u8]) -> CaseResult<Vec<u8>> {
    let (sent, received) = tokio::join!(send(dialed.write, bytes), read_all(Some(dialed.read)));
    sent?;
    received
}

async fn a_mebibyte_goes_both_ways(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let server = Server::start(&*sandbox, ECHO).await?;
    let bytes = noise(30, MEBIBYTE);
    let back = soon("the echo", exchange(dial(&*sandbox, server.port).await?, &bytes)).await??;
    equal("sha256", &sha256(&back), &sha256(&bytes))?;
    server.end().await
}

async fn the_client_can_end_first(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let answer = "
peer = listener.accept()[0]
got = b''
while data := peer.recv(65536):
    got += data
peer.sendall(hashlib.sha256(got).hexdigest().encode())
peer.sendall(b''.join(b'%d\\n' % n for n in range(1, 100000)))
peer.close()
";
    let server = Server::start(&*sandbox, answer).await?;
    let bytes = noise(31, MEBIBYTE);
    let back = soon("the answer", exchange(dial(&*sandbox, server.port).await?, &bytes)).await??;
    equal("what the peer got", &String::from_utf8_lossy(&back[..64]).as_ref(), &sha256(&bytes))?;
    equal("the rest", &sha256(&back[64..]), &sha256(&numbers(1, back.len() - 64)))?;
    equal("its length", &(back.len() - 64), &588_888)?;
    server.end().await
}

async fn the_peer_can_end_first(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let answer = "
peer = listener.accept()[0]
peer.sendall(b'that is all')
peer.shutdown(socket.SHUT_WR)
got = b''
while data := peer.recv(65536):
    got += data
print(hashlib.sha256(got).hexdigest(), flush=True)
";
    let mut server = Server::start(&*sandbox, answer).await?;
    let Dialed { read, write } = dial(&*sandbox, server.port).await?;
    equal("what the peer says", &soon("its end", read_all(Some(read))).await??, &b"that is all")?;
    let bytes = noise(32, MEBIBYTE);
    soon("sending", send(write, &bytes)).await??;
    equal("what the peer got", &server.line().await?, &sha256(&bytes))
}

async fn sixty_four_connections_at_once(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    // It answers nobody before all are there.
    let answer = format!(
        "
peers = [listener.accept()[0] for _ in range({AT_ONCE})]
def echo(peer):
    while data := peer.recv(65536):
        peer.sendall(data)
    peer.close()
threads = [threading.Thread(target=echo, args=(peer,)) for peer in peers]
for thread in threads: thread.start()
"
    );
    let server = Server::start(&*sandbox, &answer).await?;
    let one = async |number: usize| -> CaseResult {
        let bytes = noise(100 + number as u64, 50_000 + number);
        let back = exchange(dial(&*sandbox, server.port).await?, &bytes).await?;
        equal(&format!("sha256 of {number}"), &sha256(&back), &sha256(&bytes))
    };
    soon("all of them", try_join_all((0..AT_ONCE).map(one))).await?.map(drop)
}

/// A port that was free just now.
async fn unused_port(sandbox: &dyn Sandbox) -> CaseResult<u16> {
    let find = "import socket; print(socket.create_server(('127.0.0.1', 0)).getsockname()[1])";
    Ok(script(sandbox, format!("python3 -c \"{find}\"")).await?.trim().parse()?)
}

async fn what_nobody_listens_to_is_refused(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let port = unused_port(&*sandbox).await?;
    for host in ["127.0.0.1", "localhost"] {
        let dialed = soon("the refusal", sandbox.dial(host, port)).await?;
        let error = refused(dialed, &[ErrorKind::ConnectRefused])?;
        let hint = format!("nothing listens on port {port} in the sandbox");
        equal("hint", &error.hint_text(), &Some(hint.as_str()))?;
        equal("outcome", &error.outcome(), &oh_runtime::Outcome::NotStarted)?;
    }
    // The sandbox is none the worse for it.
    equal("a command", &script(&*sandbox, "echo on").await?, &"on\n")
}

async fn a_name_is_not_looked_up(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    for host in ["example.org", "", "127.0.0.1:80", "300.1.1.1"] {
        let error = refused(sandbox.dial(host, 80).await, &[ErrorKind::ConnectFailed])?;
        check(error.message().contains(host), format!("it does not name {host:?}: {error}"))?;
    }
    Ok(())
}

async fn localhost_is_either_address(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let other = "
try:
    six = socket.create_server(('::1', 0), family=socket.AF_INET6)
    print(six.getsockname()[1], flush=True)
    six.accept()[0].sendall(b'six')
except OSError:
    print(0, flush=True)
";
    let mut server = Server::start(&*sandbox, other).await?;
    let port = server.line().await?.parse()?;
    if port == 0 {
        // A sandbox without IPv6 has one address.
        return Ok(());
    }
    let dialed = soon("connecting", sandbox.dial("localhost", port)).await??;
    equal("what it says", &soon("its end", read_all(Some(dialed.read))).await??, &b"six")
}

async fn a_reset_is_no_end(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let answer = "
peer = listener.accept()[0]
peer.sendall(b'x' * 100000)
peer.recv(1)
peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
peer.close()
";
    let server = Server::start(&*sandbox, answer).await?;
    let Dialed { mut read, mut write } = dial(&*sandbox, server.port).await?;
    let mut first = vec![0; 100_000];
    soon("what comes first", read.read_exact(&mut first)).await??;
    write.write_all(b"!").await?;
    let error = match soon("the reset", read.read(&mut [0; 10])).await? {
        Ok(count) => return Err(Failure::new(format!("it read {count} bytes, and no error"))),
        Err(error) => error.downcast::<Error>()?,
    };
    let error = refused::<()>(Err(error), &[ErrorKind::ConnectReset])?;
    equal("outcome", &error.outcome(), &oh_runtime::Outcome::Unknown)?;
    soon("the writer's error", until_refused(&mut write)).await?
}

/// Writes until nothing more is taken.
async fn until_refused(write: &mut BoxWrite) -> CaseResult {
    let piece = vec![0; 64 * 1024];
    loop {
        if let Err(error) = write.write_all(&piece).await {
            return equal("error", &error.kind(), &IoErrorKind::BrokenPipe);
        }
    }
}

async fn a_peer_that_hears_no_more_is_still_heard(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let answer = "
peer = listener.accept()[0]
peer.sendall(b''.join(b'%d\\n' % n for n in range(1, 100000)))
peer.close()
";
    let server = Server::start(&*sandbox, answer).await?;
    let Dialed { read, mut write } = dial(&*sandbox, server.port).await?;
    let said = soon("its end", read_all(Some(read))).await??;
    equal("sha256", &sha256(&said), &sha256(&numbers(1, 588_888)))?;
    soon("the writer's error", until_refused(&mut write)).await??;
    server.end().await
}

async fn a_dropped_reader_holds_nothing_up(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let answer = format!(
        "
peer = listener.accept()[0]
peer.sendall(b'x' * {FLOOD})
peer.shutdown(socket.SHUT_WR)
print(peer.recv(100).decode(), flush=True)
"
    );
    let mut server = Server::start(&*sandbox, &answer).await?;
    let Dialed { read, mut write } = dial(&*sandbox, server.port).await?;
    drop(read);
    write.write_all(b"heard").await?;
    equal("what the peer got", &server.line().await?, &"heard")
}

async fn a_dropped_connection_is_closed(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    // It talks on until there is nobody to talk to.
    let answer = "
peer = listener.accept()[0]
print(peer.recv(100).decode(), flush=True)
try:
    while True: peer.sendall(b'x' * 65536)
except OSError as error:
    print(type(error).__name__, flush=True)
";
    let mut server = Server::start(&*sandbox, answer).await?;
    let mut dialed = dial(&*sandbox, server.port).await?;
    dialed.write.write_all(b"last words").await?;
    drop(dialed);
    equal("what the peer got", &server.line().await?, &"last words")?;
    let end = server.line().await?;
    check(["BrokenPipeError", "ConnectionResetError"].contains(&end.as_str()), format!("it ended by {end:?}"))
}

async fn cut_streams_lose_no_byte(cx: &Context) -> CaseResult {
    let whole = cx.shared().await?;
    let server = Server::start(&*whole, ECHO).await?;
    let (sandbox, cutting) = cut(cx, &*whole, 200_000, 5).await?;
    let one = async |number: u64| -> CaseResult {
        let bytes = noise(40 + number, MEBIBYTE / 2);
        let back = exchange(dial(&*sandbox, server.port).await?, &bytes).await?;
        equal(&format!("sha256 of {number}"), &sha256(&back), &sha256(&bytes))
    };
    within(Duration::from_secs(150), "the echo", try_join_all((0..2).map(one))).await??;
    often_cut(&cutting, 10)?;
    server.end().await
}

async fn a_flood_that_nobody_reads_is_held_back(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    // It says how much was taken when a second passed in which nothing was.
    let answer = format!(
        "
import select
peer = listener.accept()[0]
peer.setblocking(False)
left, sent = memoryview(b'0123456789abcdef' * ({FLOOD} // 16)), 0
while sent < {FLOOD} and select.select([], [peer], [], 1)[1]:
    sent += peer.send(left[sent:sent + 65536])
print(sent, flush=True)
peer.setblocking(True)
peer.sendall(left[sent:])
peer.close()
"
    );
    let mut server = Server::start(&*sandbox, &answer).await?;
    let dialed = dial(&*sandbox, server.port).await?;
    let taken: usize = server.line().await?.parse()?;
    check(taken < HELD_BACK, format!("{taken} bytes were taken that nobody reads"))?;
    equal("a command", &soon("a command", script(&*sandbox, "echo on")).await??, &"on\n")?;
    let memory = script(&*sandbox, "grep VmHWM /proc/1/status").await?;
    let memory = memory.split_whitespace().nth(1).and_then(|kib| kib.parse().ok());
    check(memory.is_some_and(|kib: u64| kib < AGENT_KIB), format!("the agent has taken {memory:?} KiB"))?;
    let all = soon("the rest", read_all(Some(dialed.read))).await??;
    equal("length", &all.len(), &FLOOD)?;
    check(all.chunks(16).all(|part| part == b"0123456789abcdef"), "something else came")
}

async fn a_local_port_leads_into_the_sandbox(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let server = Server::start(&*sandbox, ECHO).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let forwarding = forward(Arc::clone(&sandbox), listener, "localhost", server.port, |_, _| ());
    let unused = TcpListener::bind("127.0.0.1:0").await?;
    let nowhere = unused.local_addr()?;
    let (report, mut reports) = mpsc::unbounded_channel();
    let port = unused_port(&*sandbox).await?;
    let failed = move |from, error: Error| drop(report.send((from, error)));
    let into_nothing = forward(Arc::clone(&sandbox), unused, "localhost", port, failed);
    let using = async {
        let one = async |number: u64| -> CaseResult {
            let bytes = noise(50 + number, 300_000);
            let (read, write) = TcpStream::connect(address).await?.into_split();
            let dialed = Dialed { read: Box::pin(read), write: Box::pin(write) };
            let back = exchange(dialed, &bytes).await?;
            equal(&format!("sha256 of {number}"), &sha256(&back), &sha256(&bytes))
        };
        for _ in 0..20 {
            // Given up with much on its way, in both directions.
            TcpStream::connect(address).await?.write_all(&[0; 100_000]).await?;
        }
        try_join_all((0..8).map(one)).await?;
        for _ in 0..2 {
            let mut lost = TcpStream::connect(nowhere).await?;
            let local = lost.local_addr()?;
            let error = lost.read(&mut [0]).await.map_err(|error| error.kind());
            equal("what a refused one sees", &error, &Err(IoErrorKind::ConnectionReset))?;
            let (from, error) = reports.recv().await.ok_or_else(|| Failure::new("nothing was reported"))?;
            equal("whose it is", &from, &local)?;
            refused::<()>(Err(error), &[ErrorKind::ConnectRefused])?;
        }
        let mut open = TcpStream::connect(address).await?;
        open.write_all(b"still there").await?;
        open.read_exact(&mut [0; 11]).await?;
        Ok::<_, Failure>(open)
    };
    let mut open = tokio::select! {
        _ = forwarding => return Err(Failure::new("it ended by itself")),
        _ = into_nothing => return Err(Failure::new("it ended by itself")),
        open = soon("using the port", using) => open??,
    };
    let end = soon("the end of what was open", open.read(&mut [0])).await?.map_err(|error| error.kind());
    equal("what is still open sees", &end, &Err(IoErrorKind::ConnectionReset))?;
    let again = TcpStream::connect(address).await.map(drop).map_err(|error| error.kind());
    equal("a new one", &again, &Err(IoErrorKind::ConnectionRefused))?;
    server.end().await
}

async fn a_sandbox_that_is_gone_is_said_to_be(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    let server = Server::start(&*sandbox, ECHO).await?;
    let Dialed { mut read, write: _write } = dial(&*sandbox, server.port).await?;
    let mut rest = [0];
    let (removed, gone, end) = tokio::join!(
        cx.runtime()?.remove(sandbox.incarnation()),
        soon("the news", sandbox.gone()),
        soon("the end", read.read(&mut rest)),
    );
    removed?;
    let kinds = [ErrorKind::Deleted, ErrorKind::NotFound];
    refused::<()>(Err(gone?), &kinds)?;
    match end? {
        Ok(count) => Err(Failure::new(format!("it read {count} bytes, and no error"))),
        Err(error) => refused::<()>(Err(error.downcast::<Error>()?), &kinds).map(drop),
    }
}
