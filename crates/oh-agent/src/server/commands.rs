//! The commands of this boot, and the clients who have their streams: one each, the latest.
//!
//! A command belongs to no session. Its output is kept until it is consumed and its end until a client says that it has
//! arrived, so that another client can go on where the first one stopped.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use super::agent::Agent;
use super::connection::{Channel, Order, Replies, given_up};
use super::log;
use super::pump::{self, Fed, Stdin};
use super::spool::Spool;
use super::{command, terminal};
use crate::protocol::{Attached, Command, CommandEntry, EndReport, Failure, FailureKind, FromAgent};

/// Ended commands whose end nobody has fetched; of more, the oldest are forgotten.
const UNCLAIMED: usize = 1024;
/// Unread output of ended commands, in bytes; of more, the oldest are forgotten.
const UNREAD: usize = 16 * 1024 * 1024;

/// What a command's end is told with.
pub(super) type Ended = Result<EndReport, Failure>;

/// One command, from its start until its end has been fetched.
pub(super) struct Entry {
    pub(super) sequence: u64,
    pub(super) program: Vec<u8>,
    pub(super) begun: Instant,
    pub(super) stdout: Rc<Spool>,
    pub(super) stderr: Rc<Spool>,
    /// `None` once it has ended.
    pub(super) stdin: RefCell<Option<Rc<Stdin>>>,
    pub(super) stdin_written: Cell<u64>,
    /// Our end of its terminal.
    pub(super) terminal: Option<Rc<Stdin>>,
    /// To whoever watches over it.
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) ended: watch::Receiver<Option<Ended>>,
    /// Who has its streams, counted up; 0 is nobody.
    pub(super) holder: watch::Sender<u64>,
    pub(super) attachments: Cell<u64>,
}

/// Every command a client may ask for.
#[derive(Default)]
pub(super) struct Commands(RefCell<BTreeMap<u64, Rc<Entry>>>);

impl Commands {
    pub(super) fn add(&self, entry: &Rc<Entry>) {
        self.0.borrow_mut().insert(entry.sequence, Rc::clone(entry));
    }

    fn get(&self, sequence: u64) -> Option<Rc<Entry>> {
        self.0.borrow().get(&sequence).cloned()
    }

    fn forget(&self, sequence: u64) {
        self.0.borrow_mut().remove(&sequence);
    }

    /// Forgets the oldest of those that ended and nobody asks for, when they are too many.
    pub(super) fn tidy(&self) {
        let mut entries = self.0.borrow_mut();
        let left: Vec<(u64, usize)> = entries
            .values()
            .filter(|entry| entry.ended.borrow().is_some() && *entry.holder.borrow() == 0)
            .map(|entry| (entry.sequence, entry.stdout.kept() + entry.stderr.kept()))
            .collect();
        let (mut count, mut bytes) = (left.len(), left.iter().map(|(_, bytes)| bytes).sum::<usize>());
        for (sequence, size) in left {
            if count <= UNCLAIMED && bytes <= UNREAD {
                return;
            }
            log(&format!("forgot command {sequence}: nobody fetched its end"));
            entries.remove(&sequence);
            count -= 1;
            bytes -= size;
        }
    }
}

/// Starts a command, and is its first client's channel.
pub(super) async fn start(agent: Rc<Agent>, channel: Channel, spec: Command) {
    match command::start(&agent, spec).await {
        Ok(entry) => {
            agent.commands.add(&entry);
            channel.replies.say(&FromAgent::Started { sequence: entry.sequence });
            let holder = hold(&entry);
            serve(&agent, &entry, holder, channel, [entry.stdout.attach(0), entry.stderr.attach(0)]).await;
        }
        Err(failure) => channel.replies.fail(failure),
    }
}

/// Gives the streams of a command to another client.
pub(super) async fn attach(agent: Rc<Agent>, channel: Channel, sequence: u64, known: [u64; 2]) {
    let Some(entry) = agent.commands.get(sequence) else {
        let message =
            "the sandbox has no such command: it never had, its end was fetched, or that is long ago";
        return channel
            .replies
            .fail(Failure { kind: FailureKind::CommandNotFound, message: message.to_owned() });
    };
    if known[0] > entry.stdout.written() || known[1] > entry.stderr.written() {
        let message = "the command has not written as much as is said to be known".to_owned();
        return channel.replies.fail(Failure { kind: FailureKind::ExecInvalid, message });
    }
    let holder = hold(&entry);
    // Whoever had them before stops first: bytes for standard input must not come from two sides.
    tokio::task::yield_now().await;
    let [stdout, stderr] = [entry.stdout.attach(known[0]), entry.stderr.attach(known[1])];
    let stdin = entry.stdin.borrow().is_some().then(|| entry.stdin_written.get());
    channel.replies.say(&FromAgent::Attached(Attached { stdout, stderr, stdin }));
    serve(&agent, &entry, holder, channel, [stdout, stderr]).await;
}

/// Tells which commands there are.
pub(super) fn list(agent: &Agent, channel: &Channel) {
    let entries = agent.commands.0.borrow();
    let list = entries.values().map(|entry| CommandEntry {
        sequence: entry.sequence,
        program: entry.program.clone(),
        age_us: command::micros(entry.begun.elapsed()),
        running: entry.ended.borrow().is_none(),
        end: entry.ended.borrow().as_ref().and_then(|ended| Some(ended.as_ref().ok()?.end)),
        attached: *entry.holder.borrow() != 0,
        stdout: entry.stdout.written(),
        stderr: entry.stderr.written(),
    });
    channel.replies.say(&FromAgent::Commands(list.collect()));
}

/// Sends a signal, or kills and waits for the end.
pub(super) async fn kill(agent: &Agent, channel: Channel, sequence: u64, signal: Option<i32>) {
    let Some(entry) = agent.commands.get(sequence) else { return channel.replies.fail(not_found()) };
    obey(&entry, signal.map_or(Order::Cancel, Order::Signal));
    if signal.is_none() {
        let (mut orders, mut ended) = (channel.orders, entry.ended.clone());
        tokio::select! {
            _ = ended.wait_for(Option::is_some) => {}
            () = given_up(&mut orders) => {}
        }
    }
    channel.replies.say(&FromAgent::Done { count: 0 });
}

fn not_found() -> Failure {
    let message = "the sandbox has no such command: it never had, its end was fetched, or that is long ago";
    Failure { kind: FailureKind::CommandNotFound, message: message.to_owned() }
}

/// Becomes the one who has the command's streams.
fn hold(entry: &Entry) -> u64 {
    let holder = entry.attachments.get() + 1;
    entry.attachments.set(holder);
    entry.holder.send_replace(holder);
    holder
}

/// How a client's time with a command ended.
enum Left {
    /// It said so, and whether it has the command's end.
    Closed { claimed: bool },
    /// Its session is over.
    Gone,
    /// Another client took the command over.
    TakenOver,
}

/// Joins a command with a client's channel, until the client leaves or another one takes over.
async fn serve(agent: &Agent, entry: &Rc<Entry>, holder: u64, channel: Channel, offsets: [u64; 2]) {
    let Channel { replies, mut input, output, error, mut orders } = channel;
    let stdin = entry.stdin.borrow().clone();
    let mut holders = entry.holder.subscribe();
    let mut ended = entry.ended.clone();
    let mut feeding = std::pin::pin!(async {
        tokio::join!(
            pump::feed(&entry.stdout, output, offsets[0]),
            pump::feed(&entry.stderr, error, offsets[1])
        )
    });
    // Its end tells the client that no more input is taken.
    let mut writing = stdin.map(|stdin| {
        Box::pin(async move {
            let written = |count| entry.stdin_written.set(entry.stdin_written.get() + count as u64);
            pump::into(&stdin, &mut input, written).await
        })
    });
    let (mut fed, mut told) = (false, false);
    let left = loop {
        tokio::select! {
            biased;
            changed = holders.wait_for(|now| *now != holder) => {
                drop(changed);
                break Left::TakenOver;
            }
            result = ended.wait_for(Option::is_some), if !told => {
                told = true;
                writing = None;
                entry.stdin.take();
                if let Ok(result) = result {
                    tell(&replies, result.as_ref());
                }
            }
            order = orders.recv() => match order {
                Some(Order::Close { claimed }) => break Left::Closed { claimed },
                Some(order) => obey(entry, order),
                None => break Left::Gone,
            },
            how = written(&mut writing) => {
                writing = None;
                match how {
                    // Dropping our end is end-of-file.
                    Fed::Ended => drop(entry.stdin.take()),
                    Fed::Cut => break Left::Gone,
                }
            }
            _ = &mut feeding, if !fed => fed = true,
        }
    };
    match left {
        Left::TakenOver => {
            let message = "another client has attached to the command".to_owned();
            return replies.fail(Failure { kind: FailureKind::TakenOver, message });
        }
        // Half an input must not look like a whole one.
        Left::Gone if entry.stdin.take().is_some() => obey(entry, Order::Cancel),
        Left::Gone => {}
        Left::Closed { claimed } => {
            // Whoever reads keeps the channel: nobody wanted the rest.
            entry.stdout.discard();
            entry.stderr.discard();
            if claimed && told {
                agent.commands.forget(entry.sequence);
            }
        }
    }
    entry.holder.send_replace(0);
    entry.stdout.detach();
    entry.stderr.detach();
    agent.commands.tidy();
}

/// Waits for the end of what is written to standard input; for ever where there is nothing to write.
async fn written(writing: &mut Option<impl Future<Output = Fed> + Unpin>) -> Fed {
    match writing {
        Some(writing) => writing.await,
        None => std::future::pending().await,
    }
}

fn tell(replies: &Replies, result: Option<&Ended>) {
    match result {
        Some(Ok(report)) => replies.say(&FromAgent::Ended(report.clone())),
        Some(Err(failure)) => replies.fail(failure.clone()),
        None => {}
    }
}

/// Passes an order on. Who gives so many that they pile up is not obeyed in all.
fn obey(entry: &Entry, order: Order) {
    match (order, &entry.terminal) {
        (Order::Resize(size), Some(terminal)) => terminal::resize(&terminal.to, size),
        (Order::Resize(_), None) => {}
        (order, _) => drop(entry.orders.try_send(order)),
    }
}
