//! One client's session: handshake, frames, open channels, over one stream after the other.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::agent::Agent;
use super::awake::unbroken;
use super::{archive, commands, files, forward, log, transfer, transport};
use crate::flow::{self, Dialect, Feed, Gate, Inlet, Outlet};
use crate::protocol::frame::Frame;
use crate::protocol::{
    self, ERROR, Failure, FailureKind, FromAgent, Hello, INPUT, Join, MAX_CHANNELS, OUTPUT, PARK, Request,
    SILENCE, TerminalSize, ToAgent, VERSION, Whole,
};
use crate::wire::{self, Closed, Incoming, ReadError, Receipts, Sender};

/// Orders on a channel that wait to be obeyed.
const ORDERS: usize = 64;
/// Whether what is sent again is not done again. Only a build for `cargo xtask faults` does it again.
const DEDUPLICATES: bool = cfg!(any(test, not(feature = "without-deduplication")));

/// How the agent acknowledges.
#[derive(Debug)]
pub(super) struct AgentDialect;

impl Dialect for AgentDialect {
    fn ack(sender: &Sender, channel: u32, stream: u8, offset: u64) -> Result<(), Closed> {
        sender.message(channel, &FromAgent::Ack { stream, offset })
    }

    fn discard(sender: &Sender, channel: u32, stream: u8) -> Result<(), Closed> {
        sender.message(channel, &FromAgent::Discard { stream })
    }
}

/// An open channel as the one who serves it sees it.
pub(super) struct Channel {
    pub(super) replies: Replies,
    pub(super) input: Inlet<AgentDialect>,
    pub(super) output: Outlet,
    pub(super) error: Outlet,
    /// What the client wants done; closes when the connection is gone.
    pub(super) orders: mpsc::Receiver<Order>,
}

/// What a client wants done to what an open channel is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    Cancel,
    Signal(i32),
    Resize(TerminalSize),
    Close { claimed: bool },
    Sent(Whole),
}

/// Waits until the client wants no more, or is gone.
pub(super) async fn given_up(orders: &mut mpsc::Receiver<Order>) {
    while let Some(Order::Signal(_) | Order::Resize(_) | Order::Sent(_)) = orders.recv().await {}
}

/// Where the answers on one channel go.
#[derive(Clone)]
pub(super) struct Replies {
    sender: Sender,
    channel: u32,
}

impl Replies {
    /// Says something; a lost connection takes no answers.
    pub(super) fn say(&self, message: &FromAgent) {
        let _ = self.sender.message(self.channel, message);
    }

    pub(super) fn fail(&self, failure: Failure) {
        self.say(&FromAgent::Failed(failure));
    }
}

/// The reader's side of an open channel.
struct Slot {
    input: Feed,
    output: Gate,
    error: Gate,
    orders: mpsc::Sender<Order>,
}

type Slots = Rc<RefCell<HashMap<u32, Slot>>>;

/// A stream whose client has said which session it wants.
pub(super) struct Arrival {
    read: transport::Read,
    write: transport::Write,
    received: u64,
}

/// The sessions of all clients, by their id. Each takes streams.
#[derive(Default)]
pub(super) struct Sessions(RefCell<HashMap<u128, mpsc::UnboundedSender<Arrival>>>);

/// Shakes hands over a new stream and gives it to its session.
pub(super) async fn serve(agent: Rc<Agent>, stream: UnixStream) {
    let handshake = async {
        let (mut read, mut write) = transport::ends(stream).await.map_err(|_| "that hands over nothing")?;
        let theirs = wire::read_preamble(&mut read).await.ok().flatten().ok_or("that is none of ours")?;
        let _ = write.write_all(&protocol::encode_preamble(VERSION)).await;
        if theirs != VERSION {
            return Err("of another protocol version");
        }
        match wire::read_greeting(&mut read).await {
            Ok(Some(ToAgent::Join(join))) => Ok((join, read, write)),
            _ => Err("that does not say what it wants"),
        }
    };
    let (join, read, mut write) = match timeout(SILENCE, handshake).await.unwrap_or(Err("that is silent")) {
        Ok(joined) => joined,
        Err(reason) => return log(&format!("refused a client {reason}")),
    };
    let Join { session, fresh, received } = join;
    let known = agent.sessions.0.borrow().contains_key(&session);
    if !known {
        if !fresh {
            let _ = write.write_all(&hello(&agent, None)).await;
            return;
        }
        let (sender, arrivals) = mpsc::unbounded_channel();
        agent.sessions.0.borrow_mut().insert(session, sender);
        tokio::task::spawn_local(run(Rc::clone(&agent), session, arrivals));
    }
    if let Some(arrivals) = agent.sessions.0.borrow().get(&session) {
        // A session that has just ended takes none: the client learns it from the stream's end and asks again.
        let _ = arrivals.send(Arrival { read, write, received });
    }
}

/// What the agent says first. Cannot fail to be encoded.
fn hello(agent: &Agent, received: Option<u64>) -> Vec<u8> {
    let hello = Hello { boot: agent.boot, version: env!("CARGO_PKG_VERSION").to_owned(), received };
    wire::greeting(&FromAgent::Hello(hello)).map(Vec::from).unwrap_or_default()
}

/// A stream, as long as it lasts.
struct Counted<'a>(&'a watch::Sender<usize>);

impl<'a> Counted<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Why a stream is read no more.
enum Stop {
    /// It broke: the client may come back on another one.
    Broke,
    /// The client said that it does not come back.
    Bye,
    /// The client broke the protocol.
    Nonsense(String),
}

/// Serves one session until its client goes, or does not come back.
async fn run(agent: Rc<Agent>, id: u128, mut arrivals: mpsc::UnboundedReceiver<Arrival>) {
    let (sender, mut outgoing, receipts) = wire::outgoing();
    let mut session = Session {
        agent: Rc::clone(&agent),
        sender,
        receipts,
        incoming: Incoming::default(),
        slots: Slots::default(),
        last_channel: 0,
    };
    let mut next = arrivals.recv().await;
    while let Some(Arrival { mut read, mut write, received }) = next.take() {
        if !DEDUPLICATES {
            session.incoming = Incoming::default();
        }
        let counted = Counted::new(&agent.streams);
        if !outgoing.rewind(received) {
            log("closed a connection: the client claims what cannot be");
            break;
        }
        if write.write_all(&hello(&agent, Some(session.incoming.received()))).await.is_ok() {
            let stop = tokio::select! {
                stop = session.read(&mut read) => stop,
                // The client takes nothing any more.
                _ = outgoing.write_to(&mut write, None) => Stop::Broke,
                newer = arrivals.recv() => {
                    next = newer;
                    continue;
                }
            };
            match stop {
                Stop::Broke => {}
                Stop::Bye => break,
                Stop::Nonsense(reason) => {
                    log(&format!("closed a connection: {reason}"));
                    break;
                }
            }
        }
        drop((read, write));
        drop(counted);
        next = tokio::select! {
            newer = arrivals.recv() => newer,
            () = unbroken(PARK) => None,
        };
    }
    agent.sessions.0.borrow_mut().remove(&id);
    // Commands learn from this that nobody listens, and go on.
    session.slots.borrow_mut().clear();
}

struct Session {
    agent: Rc<Agent>,
    sender: Sender,
    receipts: Receipts,
    incoming: Incoming,
    slots: Slots,
    last_channel: u32,
}

impl Session {
    /// Reads one of its streams. May be dropped and called again.
    async fn read(&mut self, stream: &mut transport::Read) -> Stop {
        loop {
            // Who asks without listening to the answers is not asked on.
            if timeout(SILENCE, self.sender.relieved()).await.is_err() {
                return Stop::Broke;
            }
            let frame = match timeout(SILENCE, self.incoming.next(stream)).await {
                Ok(Ok(Some(frame))) => frame,
                Ok(Ok(None) | Err(ReadError::Io(_))) | Err(_) => return Stop::Broke,
                Ok(Err(ReadError::Protocol(error))) => return Stop::Nonsense(error.to_string()),
            };
            if let Some(stop) = self.take(frame).unwrap_or_else(|reason| Some(Stop::Nonsense(reason))) {
                return stop;
            }
            if let Some(received) = self.incoming.receipt() {
                let _ = self.sender.message(0, &FromAgent::Received(received));
            }
        }
    }

    fn take(&mut self, frame: Frame) -> Result<Option<Stop>, String> {
        match frame {
            Frame::Message { channel, body } => {
                let message = protocol::decode(&body).map_err(|_| "a message makes no sense".to_owned())?;
                match message {
                    ToAgent::Ping(number) => {
                        let _ = self.sender.message(0, &FromAgent::Pong(number));
                    }
                    ToAgent::Received(offset) => self.receipts.received(offset),
                    ToAgent::Bye => return Ok(Some(Stop::Bye)),
                    ToAgent::Join(_) => return Err("it joins a second time".to_owned()),
                    ToAgent::Open(request) => {
                        if channel <= self.last_channel && DEDUPLICATES {
                            return Err("a channel number was used twice".to_owned());
                        }
                        self.last_channel = channel;
                        open(&self.agent, &self.sender, &self.slots, channel, request);
                    }
                    other => steer(&self.slots, channel, &other)?,
                }
            }
            Frame::Data { channel, stream: INPUT, bytes } => {
                if let Some(slot) = self.slots.borrow().get(&channel) {
                    slot.input.data(bytes).map_err(|_| "the client sent more than was allowed".to_owned())?;
                }
            }
            Frame::Eof { channel, stream: INPUT } => {
                if let Some(slot) = self.slots.borrow().get(&channel) {
                    slot.input.eof();
                }
            }
            Frame::Data { .. } | Frame::Eof { .. } => return Err("the client wrote to an output".to_owned()),
        }
        Ok(None)
    }
}

/// Messages about a channel that is open, or was.
fn steer(slots: &Slots, channel: u32, message: &ToAgent) -> Result<(), String> {
    let slots = slots.borrow();
    let Some(slot) = slots.get(&channel) else { return Ok(()) };
    let gate = |stream| if stream == ERROR { &slot.error } else { &slot.output };
    let order = match *message {
        ToAgent::Ack { stream, offset } => {
            gate(stream).ack(offset);
            return Ok(());
        }
        ToAgent::Discard { stream } => {
            gate(stream).discard();
            return Ok(());
        }
        ToAgent::Cancel => Order::Cancel,
        ToAgent::Signal(signal) => Order::Signal(signal),
        ToAgent::Resize(size) => Order::Resize(size),
        ToAgent::Close { claimed } => Order::Close { claimed },
        ToAgent::Sent(whole) => Order::Sent(whole),
        _ => return Ok(()),
    };
    match slot.orders.try_send(order) {
        Err(mpsc::error::TrySendError::Full(_)) => {
            Err("it gives orders faster than they are obeyed".to_owned())
        }
        _ => Ok(()),
    }
}

fn open(agent: &Rc<Agent>, sender: &Sender, slots: &Slots, id: u32, request: Request) {
    let replies = Replies { sender: sender.clone(), channel: id };
    if slots.borrow().len() >= MAX_CHANNELS {
        let message = format!("over {MAX_CHANNELS} requests at once on one connection");
        return replies.fail(Failure { kind: FailureKind::Protocol, message });
    }
    let (input, input_feed) = flow::inlet(id, INPUT, sender.clone());
    let (output, output_gate) = flow::outlet(id, OUTPUT, sender.clone());
    let (error, error_gate) = flow::outlet(id, ERROR, sender.clone());
    let (order, orders) = mpsc::channel(ORDERS);
    let slot = Slot { input: input_feed, output: output_gate, error: error_gate, orders: order };
    slots.borrow_mut().insert(id, slot);
    let channel = Channel { replies, input, output, error, orders };
    let (agent, slots) = (Rc::clone(agent), Rc::clone(slots));
    tokio::task::spawn_local(async move {
        match request {
            Request::Start(spec) => commands::start(agent, channel, spec).await,
            Request::Attach { sequence, stdout, stderr } => {
                commands::attach(agent, channel, sequence, [stdout, stderr]).await;
            }
            Request::Commands => commands::list(&agent, &channel),
            Request::Kill { sequence, signal } => commands::kill(&agent, channel, sequence, signal).await,
            Request::Read { transfer, path, offset, limit } => {
                files::read(&agent, transfer, channel, path, (offset, limit)).await;
            }
            Request::Write { transfer, path, mode, mtime, owner, resume } => {
                files::write(&agent, transfer, channel, path, files::Written { mode, mtime, owner, resume })
                    .await;
            }
            Request::Stat { path } => files::stat(channel, path).await,
            Request::Digest { path, limit } => files::digest(channel, path, limit).await,
            Request::Change(change) => files::change(channel, change).await,
            Request::List { transfer, path } => files::list(&agent, transfer, channel, path).await,
            Request::Pack { transfer, path, wanted } => {
                archive::pack(&agent, transfer, channel, path, wanted).await;
            }
            Request::Unpack { transfer, path, owner } => {
                archive::unpack(&agent, transfer, channel, path, owner).await;
            }
            Request::Lane { transfer } => transfer::lane(&agent, channel, transfer).await,
            Request::Connect { host, port } => forward::connect(channel, &host, port).await,
        }
        slots.borrow_mut().remove(&id);
    });
}
