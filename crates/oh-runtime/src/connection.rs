//! One connection to a sandbox's agent, and what became of the sandbox when it broke.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use futures::future::BoxFuture;
use oh_agent::client::{Client, Outlook, Reconnect};
use oh_runtime_api::{
    Backend, BoxRead, Duplex, Error, ErrorKind, Finished, Incarnation, Process, ProcessControl, Result,
    TerminalSize,
};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::OnceCell;

use crate::trouble::{self, Fate};

/// A connected client. When its session is lost, the backend is asked once what became of the sandbox, however many
/// requests fail.
#[derive(Debug)]
pub(crate) struct Connection {
    backend: Arc<dyn Backend>,
    id: Incarnation,
    client: Client,
    fate: OnceCell<Fate>,
}

impl Connection {
    pub(crate) async fn open(backend: &Arc<dyn Backend>, id: &Incarnation) -> Result<Arc<Self>> {
        let again = Arc::new(Again { backend: Arc::clone(backend), id: id.clone() });
        let client = Client::connect_for_good(backend.open_stream(id).await?, again).await?;
        Ok(Arc::new(Self { backend: Arc::clone(backend), id: id.clone(), client, fate: OnceCell::new() }))
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// `result`, with an error that says what a broken stream was a sign of.
    pub(crate) async fn explained<T>(&self, result: Result<T>) -> Result<T> {
        match result {
            Err(error) => Err(self.explain(error).await),
            done => done,
        }
    }

    async fn explain(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::StreamLost {
            return error;
        }
        let fate = self.fate.get_or_init(|| trouble::settled(&*self.backend, &self.id)).await;
        fate.explain(error, ErrorKind::Ended)
    }

    /// The same process with errors that are explained.
    pub(crate) fn process(self: &Arc<Self>, process: Process) -> Process {
        Process {
            id: process.id,
            stdin: process.stdin,
            stdout: process.stdout.map(|stream| self.reader(stream)),
            stderr: process.stderr.map(|stream| self.reader(stream)),
            control: Box::new(Control { inner: process.control, connection: Arc::clone(self) }),
        }
    }

    /// The same stream with errors that are explained.
    pub(crate) fn reader(self: &Arc<Self>, stream: BoxRead) -> BoxRead {
        Box::pin(Reader { state: State::Reads(stream), connection: Arc::clone(self) })
    }
}

/// Another stream to the same sandbox.
#[derive(Debug)]
struct Again {
    backend: Arc<dyn Backend>,
    id: Incarnation,
}

#[async_trait]
impl Reconnect for Again {
    async fn open(&self) -> Result<Box<dyn Duplex>> {
        self.backend.open_stream(&self.id).await
    }

    fn remote(&self) -> bool {
        self.backend.capabilities().remote
    }

    async fn outlook(&self) -> Outlook {
        match trouble::look(&*self.backend, &self.id).await {
            Fate::Runs | Fate::Unknown(_) => Outlook::Hopeful,
            Fate::Paused => Outlook::Paused,
            _ => Outlook::Hopeless,
        }
    }
}

struct Control {
    inner: Box<dyn ProcessControl>,
    connection: Arc<Connection>,
}

#[async_trait]
impl ProcessControl for Control {
    async fn wait(&mut self) -> Result<Finished> {
        let finished = self.inner.wait().await;
        self.connection.explained(finished).await
    }

    async fn cancel(&self) -> Result<()> {
        let done = self.inner.cancel().await;
        self.connection.explained(done).await
    }

    async fn signal(&self, signal: i32) -> Result<()> {
        let done = self.inner.signal(signal).await;
        self.connection.explained(done).await
    }

    async fn resize(&self, size: TerminalSize) -> Result<()> {
        let done = self.inner.resize(size).await;
        self.connection.explained(done).await
    }
}

struct Reader {
    state: State,
    connection: Arc<Connection>,
}

enum State {
    Reads(BoxRead),
    Asks(BoxFuture<'static, Error>),
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let error = match &mut self.state {
                State::Reads(stream) => match ready!(stream.as_mut().poll_read(cx, out)) {
                    Ok(()) => return Poll::Ready(Ok(())),
                    Err(error) => error.downcast::<Error>()?,
                },
                State::Asks(answer) => {
                    return Poll::Ready(Err(io::Error::other(ready!(answer.as_mut().poll(cx)))));
                }
            };
            let connection = Arc::clone(&self.connection);
            self.state = State::Asks(Box::pin(async move { connection.explain(error).await }));
        }
    }
}
