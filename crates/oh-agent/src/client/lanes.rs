//! Further sessions for a large transfer. They are opened when it turns out to be large, and end with it.

use std::sync::Arc;
use std::task::{Context, Poll};

use oh_runtime_api::Result;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::connection::{Connection, Handle, Input, unexpected};
use crate::flow::Outlet;
use crate::protocol::{FromAgent, Request, Transfer};

/// How many there are beside the transfer's own channel.
const LANES: usize = 2;
/// They are opened when this much of it has moved: opening one costs as much as a command of the container runtime.
const LARGE: usize = 8 << 20;

const OPERATION: &str = "open another stream for a transfer";

/// A channel of another session.
pub(super) struct Lane {
    pub(super) input: Outlet,
    pub(super) output: Input,
    /// Keeps the session.
    pub(super) handle: Arc<Handle>,
}

/// The lanes of one transfer.
pub(super) struct Lanes {
    connection: Arc<Connection>,
    transfer: Transfer,
    moved: usize,
    /// Opens lanes; what it has not opened when it is dropped is not wanted any more.
    opening: JoinSet<()>,
    sender: mpsc::Sender<Lane>,
    opened: mpsc::Receiver<Lane>,
    kept: Vec<Arc<Handle>>,
}

impl Lanes {
    pub(super) fn new(handle: &Arc<Handle>, transfer: Transfer) -> Self {
        let (sender, opened) = mpsc::channel(LANES);
        Self {
            connection: Arc::clone(handle.connection()),
            transfer,
            moved: 0,
            opening: JoinSet::new(),
            sender,
            opened,
            kept: Vec::new(),
        }
    }

    /// So many bytes more of the transfer have moved.
    pub(super) fn moved(&mut self, bytes: usize) {
        let large = self.moved >= LARGE;
        self.moved = self.moved.saturating_add(bytes);
        // Between processes of one machine a stream is as fast as several, which hold more.
        if large || self.moved < LARGE || !self.transfer.remote {
            return;
        }
        for _ in 0..LANES {
            let (connection, sender) = (Arc::clone(&self.connection), self.sender.clone());
            let transfer = self.transfer.id;
            self.opening.spawn(async move {
                // It goes on without: what broke is noticed where it matters.
                if let Ok(lane) = open(&connection, transfer).await {
                    let _ = sender.send(lane).await;
                }
            });
        }
    }

    /// The next one that is open.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Lane> {
        // The sender is our own: it is not gone.
        match self.opened.poll_recv(cx) {
            Poll::Ready(Some(lane)) => Poll::Ready(lane),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Keeps the session of a lane until the transfer is over.
    pub(super) fn keep(&mut self, handle: Arc<Handle>) {
        self.kept.push(handle);
    }
}

async fn open(connection: &Arc<Connection>, transfer: u128) -> Result<Lane> {
    let beside = Arc::new(connection.beside().await?);
    let (mut channel, streams) = beside.request(OPERATION, Request::Lane { transfer })?;
    match channel.reply(OPERATION).await? {
        FromAgent::Opened => {}
        _ => return Err(unexpected(OPERATION)),
    }
    Ok(Lane { input: streams.input, output: streams.output, handle: Arc::clone(channel.handle()) })
}
