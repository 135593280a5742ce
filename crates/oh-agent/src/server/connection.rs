//! One client: handshake, frames, open channels.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{archive, command, files, log};
use crate::flow::{self, Dialect, Feed, Gate, Inlet, Outlet};
use crate::protocol::frame::Frame;
use crate::protocol::{
    self, ERROR, Failure, FailureKind, FromAgent, Hello, INPUT, MAX_CHANNELS, OUTPUT, Request, SILENCE,
    ToAgent, VERSION,
};
use crate::wire::{self, Closed, Incoming, ReadError, Sender};

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
    /// Turns true when the client cancels; closes when the connection is gone.
    pub(super) cancelled: watch::Receiver<bool>,
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
    cancel: watch::Sender<bool>,
}

type Slots = Rc<RefCell<HashMap<u32, Slot>>>;

/// Serves one client until it goes.
pub(super) async fn serve(agent: Rc<command::Agent>, stream: UnixStream) {
    let (read_half, mut write_half) = stream.into_split();
    let mut incoming = Incoming::new(read_half);
    let handshake = async {
        let theirs = incoming.preamble().await.ok().flatten()?;
        write_half.write_all(&protocol::encode_preamble(VERSION)).await.ok()?;
        Some(theirs)
    };
    match timeout(SILENCE, handshake).await.ok().flatten() {
        Some(VERSION) => {}
        Some(theirs) => return log(&format!("refused a client of protocol version {theirs}")),
        None => return log("refused a client that is none of ours"),
    }
    let (sender, outgoing) = wire::outgoing();
    let hello = Hello { boot: agent.boot, version: env!("CARGO_PKG_VERSION").to_owned() };
    let _ = sender.message(0, &FromAgent::Hello(hello));
    let slots = Slots::default();
    tokio::select! {
        broken = read(&agent, &mut incoming, &sender, &slots) => {
            if let Err(reason) = broken {
                log(&format!("closed a connection: {reason}"));
            }
        }
        // The client takes nothing any more.
        _ = outgoing.write_to(write_half) => {}
    }
    // Commands learn from this that nobody listens, and go on.
    slots.borrow_mut().clear();
}

async fn read(
    agent: &Rc<command::Agent>,
    incoming: &mut Incoming<OwnedReadHalf>,
    sender: &Sender,
    slots: &Slots,
) -> Result<(), String> {
    let mut last_channel = 0;
    loop {
        let frame = match timeout(SILENCE, incoming.next()).await {
            Ok(Ok(Some(frame))) => frame,
            Ok(Ok(None) | Err(ReadError::Io(_))) => return Ok(()),
            Ok(Err(ReadError::Protocol(error))) => return Err(error.to_string()),
            Err(_) => return Err("the client is silent".to_owned()),
        };
        match frame {
            Frame::Message { channel, body } => {
                let message = protocol::decode(&body).map_err(|_| "a message makes no sense".to_owned())?;
                match message {
                    ToAgent::Ping(number) => {
                        let _ = sender.message(0, &FromAgent::Pong(number));
                    }
                    ToAgent::Open(request) => {
                        if channel <= last_channel {
                            return Err("a channel number was used twice".to_owned());
                        }
                        last_channel = channel;
                        open(agent, sender, slots, channel, request);
                    }
                    other => steer(slots, channel, &other),
                }
            }
            Frame::Data { channel, stream: INPUT, bytes } => {
                if let Some(slot) = slots.borrow_mut().get_mut(&channel) {
                    slot.input.data(bytes).map_err(|_| "the client sent more than was allowed".to_owned())?;
                }
            }
            Frame::Eof { channel, stream: INPUT } => {
                if let Some(slot) = slots.borrow().get(&channel) {
                    slot.input.eof();
                }
            }
            Frame::Data { .. } | Frame::Eof { .. } => return Err("the client wrote to an output".to_owned()),
        }
    }
}

/// Messages about a channel that is open, or was.
fn steer(slots: &Slots, channel: u32, message: &ToAgent) {
    let slots = slots.borrow();
    let Some(slot) = slots.get(&channel) else { return };
    match *message {
        ToAgent::Ack { stream: OUTPUT, offset } => slot.output.ack(offset),
        ToAgent::Ack { stream: ERROR, offset } => slot.error.ack(offset),
        ToAgent::Discard { stream: OUTPUT } => slot.output.discard(),
        ToAgent::Discard { stream: ERROR } => slot.error.discard(),
        ToAgent::Cancel => {
            slot.cancel.send_replace(true);
        }
        _ => {}
    }
}

fn open(agent: &Rc<command::Agent>, sender: &Sender, slots: &Slots, id: u32, request: Request) {
    let replies = Replies { sender: sender.clone(), channel: id };
    if slots.borrow().len() >= MAX_CHANNELS {
        let message = format!("over {MAX_CHANNELS} requests at once on one connection");
        return replies.fail(Failure { kind: FailureKind::Protocol, message });
    }
    let (input, input_feed) = flow::inlet(id, INPUT, sender.clone());
    let (output, output_gate) = flow::outlet(id, OUTPUT, sender.clone());
    let (error, error_gate) = flow::outlet(id, ERROR, sender.clone());
    let (cancel, cancelled) = watch::channel(false);
    slots.borrow_mut().insert(id, Slot { input: input_feed, output: output_gate, error: error_gate, cancel });
    let channel = Channel { replies, input, output, error, cancelled };
    let (agent, slots) = (Rc::clone(agent), Rc::clone(slots));
    tokio::task::spawn_local(async move {
        match request {
            Request::Start(spec) => command::run(agent, channel, spec).await,
            Request::Read { path, offset, limit } => files::read(channel, path, offset, limit).await,
            Request::Write { path, mode } => files::write(channel, path, mode).await,
            Request::List { path } => files::list(channel, path).await,
            Request::Pack { path } => archive::pack(channel, path).await,
            Request::Unpack { path } => archive::unpack(channel, path).await,
        }
        slots.borrow_mut().remove(&id);
    });
}
