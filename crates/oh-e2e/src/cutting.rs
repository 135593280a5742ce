//! A backend whose streams break all the time.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use oh_runtime::{
    AgentPayload, Backend, Capabilities, DeleteReport, Duplex, Evidence, Incarnation, LogOptions, LogStream,
    Result, SandboxInfo, SandboxSpec, Selector,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::data::noise;

/// Every stream lives at least this many bytes, less than a greeting has.
const SHORTEST: usize = 20;
/// A stream passes nothing for this long before it breaks. Without it, what is still in the buffers of a long way would
/// be lost every time, and nothing large would ever arrive.
const STALL: Duration = Duration::from_millis(30);

/// Another backend, whose streams break after a number of bytes that the seed decides: in a frame or between two, now
/// and then in the greeting.
#[derive(Debug)]
pub struct Cutting {
    inner: Arc<dyn Backend>,
    longest: usize,
    seed: AtomicU64,
    cuts: Arc<AtomicUsize>,
}

impl Cutting {
    /// Streams of `inner` live at most `longest` bytes, both directions together.
    #[must_use]
    pub fn new(inner: Arc<dyn Backend>, longest: usize, seed: u64) -> Self {
        Self { inner, longest, seed: AtomicU64::new(seed), cuts: Arc::default() }
    }

    /// How many streams it has cut.
    #[must_use]
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

impl fmt::Display for Cutting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Backend for Cutting {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn render(&self, spec: &SandboxSpec, agent: &AgentPayload) -> Result<serde_json::Value> {
        self.inner.render(spec, agent)
    }

    async fn create(&self, spec: &SandboxSpec, agent: &AgentPayload) -> Result<Incarnation> {
        self.inner.create(spec, agent).await
    }

    async fn list(&self, which: &Selector) -> Result<Vec<SandboxInfo>> {
        self.inner.list(which).await
    }

    async fn open_stream(&self, id: &Incarnation) -> Result<Box<dyn Duplex>> {
        let stream = self.inner.open_stream(id).await?;
        let seed = self.seed.fetch_add(1, Ordering::Relaxed);
        let chosen = noise(seed, 4).iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let left = SHORTEST + chosen % self.longest.saturating_sub(SHORTEST).max(1);
        Ok(Box::new(Stream { inner: stream, left, end: None, cuts: Arc::clone(&self.cuts) }))
    }

    async fn logs(&self, id: &Incarnation, options: LogOptions) -> Result<LogStream> {
        self.inner.logs(id, options).await
    }

    async fn evidence(&self, id: &Incarnation) -> Result<Evidence> {
        self.inner.evidence(id).await
    }

    async fn pause(&self, id: &Incarnation) -> Result<()> {
        self.inner.pause(id).await
    }

    async fn resume(&self, id: &Incarnation) -> Result<()> {
        self.inner.resume(id).await
    }

    async fn delete(&self, id: &Incarnation) -> Result<DeleteReport> {
        self.inner.delete(id).await
    }
}

struct Stream {
    inner: Box<dyn Duplex>,
    left: usize,
    /// Runs once nothing is left.
    end: Option<Pin<Box<Sleep>>>,
    cuts: Arc<AtomicUsize>,
}

impl Stream {
    fn passed(&mut self, count: usize) {
        self.left -= count;
        if self.left == 0 {
            self.cuts.fetch_add(1, Ordering::Relaxed);
            self.end = Some(Box::pin(tokio::time::sleep(STALL)));
        }
    }

    /// Ready when something may pass, or never will again.
    fn whole(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(end) = &mut self.end else { return Poll::Ready(Ok(())) };
        // What was taken has to leave this machine: it was not lost on the way.
        let _ = Pin::new(&mut self.inner).poll_flush(cx);
        end.as_mut().poll(cx).map(|()| Err(io::ErrorKind::ConnectionReset.into()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.whole(cx))?;
        let limit = self.left.min(out.remaining());
        let mut part = ReadBuf::new(out.initialize_unfilled_to(limit));
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut part))?;
        let count = part.filled().len();
        out.advance(count);
        self.passed(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.whole(cx))?;
        let part = &bytes[..bytes.len().min(self.left)];
        let count = ready!(Pin::new(&mut self.inner).poll_write(cx, part))?;
        self.passed(count);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
