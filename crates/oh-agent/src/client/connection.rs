//! One session: the task that carries it, open channels.

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use oh_runtime_api::{AgentInfo, Duplex, Error, ErrorKind, Outcome, Result};
use tokio::io::ReadHalf;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::watch;
use tokio::time::Instant;

use super::convert;
use super::rejoin::{self, Lost, Reconnect, protocol_error};
use crate::flow::{self, Feed, Gate, Inlet, Outlet};
use crate::protocol::frame::{Frame, MAX_MESSAGE};
use crate::protocol::{
    self, ERROR, FromAgent, HEARTBEAT, INPUT, Join, OUTPUT, Request, SILENCE, ToAgent, Transfer,
};
use crate::wire::{self, Closed, Incoming, Outgoing, ReadError, Receipts, Sender, WeakSender};

/// Answers on a channel that wait to be taken: that it began, that it ended, that it failed all the same.
const REPLIES: usize = 4;

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
    replies: mpsc::Sender<FromAgent>,
    gate: Gate,
    output: Feed,
    error: Feed,
}

#[derive(Default)]
struct State {
    slots: HashMap<u32, Slot>,
    over: Option<Over>,
}

/// The session is over.
struct Over {
    /// Why, for everybody who asks later.
    lost: Lost,
    /// Channels whose request never left.
    unsent: HashSet<u32>,
}

#[derive(Default)]
struct Shared(Mutex<State>);

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing more comes, and nothing can be asked for.
    fn end(&self, lost: Lost, outgoing: &mut Outgoing) {
        // A request is sent under this lock: it is among the unsent ones, or fails to be sent.
        let mut state = self.state();
        let requests = outgoing.unsent().into_iter().filter_map(|(channel, body)| {
            matches!(protocol::decode(&body), Ok(ToAgent::Open(_))).then_some(channel)
        });
        state.over = Some(Over { lost, unsent: requests.collect() });
        state.slots.clear();
    }
}

pub(super) struct Connection {
    info: AgentInfo,
    sender: Sender,
    shared: Arc<Shared>,
    /// Closes when nothing carries the session any more.
    over: watch::Receiver<()>,
    next_channel: AtomicU32,
    again: Option<Arc<dyn Reconnect>>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("info", &self.info).finish_non_exhaustive()
    }
}

/// An open channel, as the one who opened it sees it.
pub(super) struct Channel {
    replies: mpsc::Receiver<FromAgent>,
    handle: Arc<Handle>,
}

/// Keeps a channel, and the connection with it, for as long as anybody reads or writes one of its streams.
pub(super) struct Handle {
    id: u32,
    connection: Arc<Connection>,
    /// Of a command or a connection, the agent wants to know when nobody uses its channel any more.
    lasting: AtomicBool,
    /// Its end has arrived where it was wanted.
    claimed: AtomicBool,
}

impl Handle {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    pub(super) fn send(&self, message: &ToAgent) -> Result<(), Closed> {
        self.connection.sender.message(self.id, message)
    }

    pub(super) fn carries_command(&self) {
        self.lasting.store(true, Ordering::Relaxed);
    }

    pub(super) fn carries_connection(&self) {
        self.lasting.store(true, Ordering::Relaxed);
    }

    pub(super) fn claim(&self) {
        self.claimed.store(true, Ordering::Relaxed);
    }

    /// The error for whoever finds the connection closed.
    pub(super) fn lost(&self, operation: &str) -> Error {
        let connection = &self.connection;
        let unsent =
            connection.shared.state().over.as_ref().is_some_and(|over| over.unsent.contains(&self.id));
        connection.lost(operation, if unsent { Outcome::NotStarted } else { Outcome::Unknown })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.connection.shared.state().slots.remove(&self.id);
        if *self.lasting.get_mut() {
            let claimed = *self.claimed.get_mut();
            // A connection that is gone takes the channel with it.
            let _ = self.send(&ToAgent::Close { claimed });
        }
    }
}

/// The streams of a channel.
pub(super) struct Streams {
    pub(super) input: Outlet,
    pub(super) output: Input,
    pub(super) error: Input,
}

impl Connection {
    pub(super) async fn open(mut stream: Box<dyn Duplex>, again: Option<Arc<dyn Reconnect>>) -> Result<Self> {
        let session = random()?;
        let hello = rejoin::greet(&mut stream, Join { session, fresh: true, received: 0 }).await?;
        if hello.received != Some(0) {
            return Err(protocol_error("it knows a session that has just begun"));
        }
        let (sender, outgoing, receipts) = wire::outgoing();
        let shared = Arc::new(Shared::default());
        let driver = Driver {
            again: again.clone(),
            session,
            boot: hello.boot,
            outgoing,
            reader: Reader {
                incoming: Incoming::default(),
                users: sender.downgrade(),
                receipts,
                shared: Arc::clone(&shared),
            },
        };
        let (carried, over) = watch::channel(());
        tokio::spawn(async move {
            driver.run(stream).await;
            drop(carried);
        });
        let info = AgentInfo { boot: hello.boot, version: hello.version };
        Ok(Self { info, sender, shared, over, next_channel: AtomicU32::new(1), again })
    }

    /// What names another transfer, and says whether it leaves this machine.
    pub(super) fn transfer(&self) -> Result<Transfer> {
        let remote = self.again.as_ref().is_some_and(|again| again.remote());
        Ok(Transfer { id: random()?, remote })
    }

    /// Another session with the same agent.
    pub(super) async fn beside(&self) -> Result<Self> {
        let operation = "connect to the agent once more";
        let Some(again) = &self.again else {
            let message = "there is one stream to the sandbox, and no way to get another";
            return Err(Error::new(ErrorKind::Unsupported, operation, message));
        };
        let beside = Self::open(again.open().await?, Some(Arc::clone(again))).await?;
        if beside.info.boot == self.info.boot {
            return Ok(beside);
        }
        Err(Error::new(ErrorKind::Restarted, operation, "its agent was started again meanwhile"))
    }

    pub(super) fn info(&self) -> &AgentInfo {
        &self.info
    }

    pub(super) fn over(&self) -> watch::Receiver<()> {
        self.over.clone()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.shared.state().over.is_some()
    }

    fn lost(&self, operation: &str, outcome: Outcome) -> Error {
        match &self.shared.state().over {
            Some(over) => over.lost.error(operation, outcome),
            None => Lost::stream("the stream to the sandbox ended").error(operation, outcome),
        }
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
        let (reply_sender, replies) = mpsc::channel(REPLIES);
        // Numbers have to reach the agent in order, so one is taken and sent under one lock.
        let mut state = self.shared.state();
        let id = self.next_channel.fetch_add(1, Ordering::Relaxed);
        let (input, gate) = flow::outlet(id, INPUT, self.sender.clone());
        let (output, output_feed) = flow::inlet(id, OUTPUT, self.sender.clone());
        let (error, error_feed) = flow::inlet(id, ERROR, self.sender.clone());
        state.slots.insert(id, Slot { replies: reply_sender, gate, output: output_feed, error: error_feed });
        let sent = self.sender.message(id, &message);
        drop(state);
        let channel = Channel {
            replies,
            handle: Arc::new(Handle {
                id,
                connection: Arc::clone(self),
                lasting: AtomicBool::new(false),
                claimed: AtomicBool::new(false),
            }),
        };
        if sent.is_err() {
            return Err(self.lost(operation, Outcome::NotStarted));
        }
        Ok((channel, Streams { input, output, error }))
    }
}

impl Channel {
    /// The next reply.
    pub(super) async fn reply(&mut self, operation: &str) -> Result<FromAgent> {
        poll_fn(|cx| self.poll_reply(cx, operation)).await
    }

    /// See [`reply`](Self::reply).
    pub(super) fn poll_reply(&mut self, cx: &mut Context<'_>, operation: &str) -> Poll<Result<FromAgent>> {
        Poll::Ready(match ready!(self.replies.poll_recv(cx)) {
            Some(FromAgent::Failed(failure)) => Err(convert::failure(failure, operation)),
            Some(reply) => Ok(reply),
            None => Err(self.handle.lost(operation)),
        })
    }

    /// The next reply, when it has come already.
    pub(super) fn reply_now(&mut self) -> Option<FromAgent> {
        self.replies.try_recv().ok()
    }

    pub(super) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }
}

/// The agent answered something it may not answer here.
pub(super) fn unexpected(operation: &str) -> Error {
    protocol_error("an answer does not fit the question").in_operation(operation)
}

/// A number nobody else has.
fn random() -> Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Internal, "connect to the agent", format!("no randomness: {error}"))
    })?;
    Ok(u128::from_le_bytes(bytes))
}

/// Carries a session over one stream after the other.
struct Driver {
    again: Option<Arc<dyn Reconnect>>,
    session: u128,
    boot: u128,
    outgoing: Outgoing,
    reader: Reader,
}

impl Driver {
    async fn run(mut self, stream: Box<dyn Duplex>) {
        if let Err(lost) = self.carry(stream).await {
            self.reader.shared.end(lost, &mut self.outgoing);
        }
    }

    /// Until nobody uses the session any more.
    async fn carry(&mut self, mut stream: Box<dyn Duplex>) -> Result<(), Lost> {
        let bye = protocol::encode(&ToAgent::Bye).map_err(|error| Lost::stream(error.to_string()))?;
        loop {
            let (mut read, mut write) = tokio::io::split(stream);
            let stop = tokio::select! {
                stop = self.reader.read(&mut read) => stop,
                written = self.outgoing.write_to(&mut write, Some(&bye)) => match written {
                    Ok(()) => return Ok(()),
                    Err(error) => Stop::Broke(format!("the stream to the sandbox broke: {error}")),
                },
            };
            drop((read, write));
            let broke = match stop {
                Stop::Broke(reason) => reason,
                Stop::Nonsense(what) => {
                    return Err(Lost::stream(format!("the agent broke the protocol: {what}")));
                }
            };
            let Some(again) = &self.again else { return Err(Lost::stream(broke)) };
            let known = (self.session, self.reader.incoming.received());
            let (next, received) = rejoin::rejoin(again, known, self.boot, &self.reader.users, broke).await?;
            if !self.outgoing.rewind(received) {
                return Err(Lost::stream("the agent broke the protocol: it has what was not sent"));
            }
            stream = next;
        }
    }
}

/// Why a stream is read no more.
enum Stop {
    /// It broke: there may be another one.
    Broke(String),
    /// The agent broke the protocol.
    Nonsense(String),
}

struct Reader {
    incoming: Incoming,
    users: WeakSender,
    receipts: Receipts,
    shared: Arc<Shared>,
}

impl Reader {
    /// Reads one of the session's streams. May be dropped and called again.
    async fn read(&mut self, stream: &mut ReadHalf<Box<dyn Duplex>>) -> Stop {
        let mut heard = Instant::now();
        let mut beat = tokio::time::interval(HEARTBEAT);
        let mut pings = 0;
        loop {
            tokio::select! {
                frame = self.incoming.next(stream) => {
                    heard = Instant::now();
                    match frame {
                        Ok(Some(frame)) => {
                            if let Err(broken) = dispatch(&self.shared, &self.receipts, frame) {
                                return Stop::Nonsense(broken.to_owned());
                            }
                        }
                        Ok(None) => return Stop::Broke("the stream to the sandbox ended".to_owned()),
                        Err(ReadError::Io(error)) => {
                            return Stop::Broke(format!("the stream to the sandbox broke: {error}"));
                        }
                        Err(ReadError::Protocol(error)) => return Stop::Nonsense(error.to_string()),
                    }
                    if let Some(received) = self.incoming.receipt() {
                        self.say(&ToAgent::Received(received));
                    }
                }
                _ = beat.tick() => {
                    if heard.elapsed() > SILENCE {
                        return Stop::Broke(format!("the agent has been silent for {} s", SILENCE.as_secs()));
                    }
                    pings += 1;
                    self.say(&ToAgent::Ping(pings));
                }
            }
        }
    }

    fn say(&self, message: &ToAgent) {
        if let Some(sender) = self.users.upgrade() {
            let _ = sender.message(0, message);
        }
    }
}

/// Hands on an answer; one that nobody waits for any more is dropped.
fn answer(slot: &Slot, reply: FromAgent) -> Result<(), &'static str> {
    match slot.replies.try_send(reply) {
        Err(TrySendError::Full(_)) => Err("it gives more answers than there are questions"),
        _ => Ok(()),
    }
}

fn dispatch(shared: &Shared, receipts: &Receipts, frame: Frame) -> Result<(), &'static str> {
    let slots = &mut shared.state().slots;
    match frame {
        Frame::Message { channel, body } => {
            let message: FromAgent = protocol::decode(&body).map_err(|_| "a message makes no sense")?;
            if let FromAgent::Received(offset) = message {
                receipts.received(offset);
                return Ok(());
            }
            // A channel that was given up may still have something on its way.
            let Some(slot) = slots.get(&channel) else { return Ok(()) };
            match message {
                FromAgent::Ack { stream: INPUT, offset } => slot.gate.ack(offset),
                FromAgent::Discard { stream: INPUT } => slot.gate.discard(),
                FromAgent::Failed(failure) => {
                    slot.output.fail(failure.clone());
                    slot.error.fail(failure.clone());
                    slot.gate.discard();
                    answer(slot, FromAgent::Failed(failure))?;
                    slots.remove(&channel);
                }
                reply => answer(slot, reply)?,
            }
        }
        Frame::Data { channel, stream, bytes } => {
            let Some(slot) = slots.get(&channel) else { return Ok(()) };
            let feed = if stream == ERROR { &slot.error } else { &slot.output };
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
