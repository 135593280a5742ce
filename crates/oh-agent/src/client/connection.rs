//! One connection: handshake, reader task, writer task, open channels.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oh_runtime_api::{AgentInfo, Duplex, Error, ErrorKind, Outcome, Result};
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::convert;
use crate::flow::{self, Feed, Gate, Inlet, Outlet};
use crate::protocol::frame::{Frame, MAX_MESSAGE};
use crate::protocol::{
    self, ERROR, FromAgent, HEARTBEAT, Hello, INPUT, OUTPUT, Request, SILENCE, ToAgent, VERSION,
};
use crate::wire::{self, Closed, Incoming, ReadError, Sender};

const HANDSHAKE: Duration = Duration::from_secs(20);

/// How the client acknowledges.
#[derive(Debug)]
pub(super) struct ClientDialect;

impl flow::Dialect for ClientDialect {
    fn ack(sender: &Sender, channel: u32, stream: u8, offset: u64) -> Result<(), Closed> {
        sender.message(channel, &ToAgent::Ack { stream, offset })
    }

    fn discard(sender: &Sender, channel: u32, stream: u8) -> Result<(), Closed> {
        sender.message(channel, &ToAgent::Discard { stream })
    }
}

pub(super) type Input = Inlet<ClientDialect>;

/// The reader task's side of an open channel.
struct Slot {
    replies: mpsc::UnboundedSender<FromAgent>,
    gate: Gate,
    output: Feed,
    error: Feed,
}

#[derive(Default)]
struct Shared {
    closed: AtomicBool,
    /// Why it closed, for everybody who asks later.
    reason: Mutex<Option<String>>,
    slots: Mutex<HashMap<u32, Slot>>,
}

impl Shared {
    fn slots(&self) -> MutexGuard<'_, HashMap<u32, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing new can be asked for.
    fn close(&self, reason: String) {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.closed.store(true, Ordering::Release);
    }

    /// Nothing more comes either.
    fn end(&self, reason: String) {
        self.close(reason);
        self.slots().clear();
    }
}

pub(super) struct Connection {
    info: AgentInfo,
    sender: Sender,
    shared: Arc<Shared>,
    next_channel: AtomicU32,
    tasks: [JoinHandle<()>; 2],
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// An open channel, as the one who opened it sees it.
pub(super) struct Channel {
    replies: mpsc::UnboundedReceiver<FromAgent>,
    handle: Arc<Handle>,
}

/// Keeps a channel, and the connection with it, for as long as anybody reads or writes one of its streams.
pub(super) struct Handle {
    id: u32,
    connection: Arc<Connection>,
}

impl Handle {
    pub(super) fn send(&self, message: &ToAgent) -> Result<(), Closed> {
        self.connection.sender.message(self.id, message)
    }

    /// The error for whoever finds the connection closed.
    pub(super) fn lost(&self, operation: &str) -> Error {
        self.connection.lost(operation, Outcome::Unknown)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.connection.shared.slots().remove(&self.id);
    }
}

/// The streams of a channel.
pub(super) struct Streams {
    pub(super) input: Outlet,
    pub(super) output: Input,
    pub(super) error: Input,
}

impl Connection {
    pub(super) async fn open(stream: Box<dyn Duplex>) -> Result<Self> {
        let lost = |message: String| Error::new(ErrorKind::StreamLost, "connect to the agent", message);
        let (read_half, mut write_half) = tokio::io::split(stream);
        let mut incoming = Incoming::new(read_half);
        let handshake = async {
            // A failed write means that the other side said why, or ended; reading tells which.
            let written = write_half.write_all(&protocol::encode_preamble(VERSION)).await;
            let written = match written {
                Ok(()) => write_half.flush().await,
                error => error,
            };
            let theirs = incoming.preamble().await.map_err(|e| stream_error(&lost, e))?;
            written.map_err(|e| stream_error(&lost, e))?;
            match theirs {
                Some(VERSION) => {}
                Some(theirs) => return Err(version_error(theirs)),
                None => {
                    return Err(Error::new(
                        ErrorKind::Protocol,
                        "connect to the agent",
                        "something other than an agent answers in the sandbox",
                    ));
                }
            }
            match incoming.next().await {
                Ok(Some(Frame::Message { channel: 0, body })) => match protocol::decode(&body) {
                    Ok(FromAgent::Hello(hello)) => Ok(hello),
                    _ => Err(protocol_error("its first message is no greeting")),
                },
                Ok(Some(_)) => Err(protocol_error("its first message is no greeting")),
                Ok(None) => Err(lost("the stream ended during the greeting".into())),
                Err(ReadError::Io(error)) => Err(stream_error(&lost, error)),
                Err(ReadError::Protocol(error)) => Err(protocol_error(&error.to_string())),
            }
        };
        let Hello { boot, version } = timeout(HANDSHAKE, handshake)
            .await
            .map_err(|_| lost(format!("the agent did not answer within {} s", HANDSHAKE.as_secs())))??;
        let (sender, outgoing) = wire::outgoing();
        let shared = Arc::new(Shared::default());
        let tasks = [
            tokio::spawn(write_task(outgoing, write_half, Arc::clone(&shared))),
            tokio::spawn(read_task(incoming, sender.clone(), Arc::clone(&shared))),
        ];
        Ok(Self { info: AgentInfo { boot, version }, sender, shared, next_channel: AtomicU32::new(1), tasks })
    }

    pub(super) fn info(&self) -> &AgentInfo {
        &self.info
    }

    pub(super) fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    fn lost(&self, operation: &str, outcome: Outcome) -> Error {
        let reason = self.shared.reason.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = reason.as_deref().unwrap_or("the stream to the sandbox ended");
        Error::new(ErrorKind::StreamLost, operation, reason).outcome_is(outcome)
    }

    /// Opens a channel for a request.
    pub(super) fn request(self: &Arc<Self>, operation: &str, request: Request) -> Result<(Channel, Streams)> {
        let message = ToAgent::Open(request);
        let encoded = protocol::encode(&message).map(|bytes| bytes.len());
        if encoded.is_ok_and(|length| length > MAX_MESSAGE) {
            return Err(Error::new(
                ErrorKind::ExecTooBig,
                operation,
                format!("arguments and environment are over {} MiB together", MAX_MESSAGE >> 20),
            ));
        }
        let (reply_sender, replies) = mpsc::unbounded_channel();
        // Numbers have to reach the agent in order, so one is taken and sent under one lock.
        let mut slots = self.shared.slots();
        let id = self.next_channel.fetch_add(1, Ordering::Relaxed);
        let (input, gate) = flow::outlet(id, INPUT, self.sender.clone());
        let (output, output_feed) = flow::inlet(id, OUTPUT, self.sender.clone());
        let (error, error_feed) = flow::inlet(id, ERROR, self.sender.clone());
        slots.insert(id, Slot { replies: reply_sender, gate, output: output_feed, error: error_feed });
        let sent = self.sender.message(id, &message);
        drop(slots);
        let channel = Channel { replies, handle: Arc::new(Handle { id, connection: Arc::clone(self) }) };
        if sent.is_err() {
            return Err(self.lost(operation, Outcome::NotStarted));
        }
        // Closed meanwhile: the slot just made would never be cleared, and the message may have been sent.
        if self.is_closed() {
            return Err(self.lost(operation, Outcome::Unknown));
        }
        Ok((channel, Streams { input, output, error }))
    }
}

impl Channel {
    /// The next reply.
    pub(super) async fn reply(&mut self, operation: &str) -> Result<FromAgent> {
        match self.replies.recv().await {
            Some(FromAgent::Failed(failure)) => Err(convert::failure(failure, operation)),
            Some(reply) => Ok(reply),
            None => Err(self.handle.lost(operation)),
        }
    }

    pub(super) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }
}

/// The agent answered something it may not answer here.
pub(super) fn unexpected(operation: &str) -> Error {
    protocol_error("an answer does not fit the question").in_operation(operation)
}

fn stream_error(lost: &impl Fn(String) -> Error, error: io::Error) -> Error {
    // A backend says what it knows about a broken stream in an error of its own.
    match error.downcast::<Error>() {
        Ok(error) => error.in_operation("connect to the agent"),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            lost("the stream ended during the greeting".into())
        }
        Err(error) => lost(error.to_string()),
    }
}

fn version_error(theirs: u16) -> Error {
    Error::new(
        ErrorKind::Version,
        "connect to the agent",
        format!("the sandbox's agent speaks protocol version {theirs}, this program speaks {VERSION}"),
    )
    .hint("use the version of this program that made the sandbox, or remove it and make it again")
}

fn protocol_error(message: &str) -> Error {
    Error::new(ErrorKind::Protocol, "talk to the agent", format!("the agent broke the protocol: {message}"))
        .outcome_is(Outcome::Unknown)
}

async fn write_task(outgoing: wire::Outgoing, out: WriteHalf<Box<dyn Duplex>>, shared: Arc<Shared>) {
    if let Err(error) = outgoing.write_to(out).await {
        // What the agent said before is still to be read: the reader ends the connection.
        shared.close(format!("the stream to the sandbox broke: {error}"));
    }
}

async fn read_task(mut incoming: Incoming<ReadHalf<Box<dyn Duplex>>>, sender: Sender, shared: Arc<Shared>) {
    let mut heard = Instant::now();
    let mut beat = tokio::time::interval(HEARTBEAT);
    let mut pings = 0;
    let reason = loop {
        tokio::select! {
            frame = incoming.next() => {
                heard = Instant::now();
                match frame {
                    Ok(Some(frame)) => match dispatch(&shared, frame) {
                        Ok(()) => {}
                        Err(broken) => break format!("the agent broke the protocol: {broken}"),
                    },
                    Ok(None) => break "the stream to the sandbox ended".to_owned(),
                    Err(ReadError::Io(error)) => break format!("the stream to the sandbox broke: {error}"),
                    Err(ReadError::Protocol(error)) => break format!("the agent broke the protocol: {error}"),
                }
            }
            _ = beat.tick() => {
                if heard.elapsed() > SILENCE {
                    break format!("the agent has been silent for {} s", SILENCE.as_secs());
                }
                pings += 1;
                let _ = sender.message(0, &ToAgent::Ping(pings));
            }
        }
    };
    shared.end(reason);
}

fn dispatch(shared: &Shared, frame: Frame) -> Result<(), &'static str> {
    let mut slots = shared.slots();
    match frame {
        Frame::Message { channel, body } => {
            let message: FromAgent = protocol::decode(&body).map_err(|_| "a message makes no sense")?;
            // A channel that was given up may still have something on its way.
            let Some(slot) = slots.get(&channel) else { return Ok(()) };
            match message {
                FromAgent::Ack { stream: INPUT, offset } => slot.gate.ack(offset),
                FromAgent::Discard { stream: INPUT } => slot.gate.discard(),
                FromAgent::Failed(failure) => {
                    slot.output.fail(failure.clone());
                    slot.error.fail(failure.clone());
                    slot.gate.discard();
                    let _ = slot.replies.send(FromAgent::Failed(failure));
                    slots.remove(&channel);
                }
                reply => {
                    let _ = slot.replies.send(reply);
                }
            }
        }
        Frame::Data { channel, stream, bytes } => {
            let Some(slot) = slots.get_mut(&channel) else { return Ok(()) };
            let feed = if stream == ERROR { &mut slot.error } else { &mut slot.output };
            feed.data(bytes).map_err(|_| "it sent more than was allowed")?;
        }
        Frame::Eof { channel, stream } => {
            let Some(slot) = slots.get(&channel) else { return Ok(()) };
            let feed = if stream == ERROR { &slot.error } else { &slot.output };
            feed.eof();
        }
    }
    Ok(())
}
