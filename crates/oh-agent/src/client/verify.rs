//! Transfers whose bytes are compared, end to end, with what was sent.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use oh_runtime_api::{BoxRead, Error, ErrorKind, Outcome, Result};
use tokio::io::{AsyncRead, ReadBuf};

use super::connection::{Channel, Input, unexpected};
use super::streams;
use crate::digest::Hasher;
use crate::protocol::FromAgent;

/// Bytes that have to be those of which the agent says the digest. Errors wrap [`oh_runtime_api::Error`].
struct Verified {
    data: BoxRead,
    channel: Channel,
    hasher: Hasher,
    ended: bool,
    operation: String,
}

pub(super) fn reader(channel: Channel, input: Input, operation: String) -> BoxRead {
    let data = streams::reader(channel.handle(), input, &operation);
    Box::pin(Verified { data, channel, hasher: Hasher::default(), ended: false, operation })
}

impl AsyncRead for Verified {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ended || out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = out.filled().len();
        ready!(this.data.as_mut().poll_read(cx, out))?;
        let new = &out.filled()[before..];
        if !new.is_empty() {
            this.hasher.update(new);
            return Poll::Ready(Ok(()));
        }
        // Where the stream ends, what was said of it decides whether it was right.
        let reply = ready!(this.channel.poll_reply(cx, &this.operation));
        Poll::Ready(compare(reply, &this.hasher, &this.operation).map_err(io::Error::other)).map_ok(|()| {
            this.ended = true;
        })
    }
}

fn compare(reply: Result<FromAgent>, hasher: &Hasher, operation: &str) -> Result<()> {
    match reply? {
        FromAgent::Sent { digest } if digest == hasher.digest() => Ok(()),
        FromAgent::Sent { .. } => Err(Error::new(
            ErrorKind::TransferChecksum,
            operation,
            "what arrived has another SHA-256 than what was sent",
        )
        .outcome_is(Outcome::Unknown)
        .hint("try again; when it happens twice, something between here and the sandbox changes bytes")),
        _ => Err(unexpected(operation)),
    }
}

/// Tells the digest of what was read so far.
pub(super) struct Digest(Arc<Mutex<Hasher>>);

impl Digest {
    pub(super) fn digest(&self) -> [u8; 32] {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).digest()
    }
}

/// The same bytes, and their digest.
pub(super) fn hashed(data: BoxRead) -> (BoxRead, Digest) {
    let hasher = Arc::<Mutex<Hasher>>::default();
    (Box::pin(Hashed { data, hasher: Arc::clone(&hasher) }), Digest(hasher))
}

struct Hashed {
    data: BoxRead,
    hasher: Arc<Mutex<Hasher>>,
}

impl AsyncRead for Hashed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        ready!(self.data.as_mut().poll_read(cx, out))?;
        self.hasher.lock().unwrap_or_else(PoisonError::into_inner).update(&out.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}
