//! An agent that says what a test tells it to.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use oh_agent::client::Client;
use oh_agent::protocol::frame::{self, Decoder, Frame, HEADER};
use oh_agent::protocol::{
    FromAgent, Hello, PREAMBLE, RECEIPT_EVERY, ToAgent, VERSION, decode, encode, encode_preamble,
};
use oh_runtime_api::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

pub(crate) const BOOT: u128 = 1;

/// Bytes that are under way on a stream to an agent.
const UNDER_WAY: usize = 256 * 1024;

/// A message as a frame.
pub(crate) fn message(channel: u32, message: &FromAgent) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame::put_message(&mut out, channel, &encode(message).unwrap()).unwrap();
    out.to_vec()
}

pub(crate) fn data(channel: u32, stream: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame::put_data(&mut out, channel, stream, bytes);
    out.to_vec()
}

pub(crate) fn hello(boot: u128, received: Option<u64>) -> Vec<u8> {
    message(0, &FromAgent::Hello(Hello { boot, version: "test".to_owned(), received }))
}

pub(crate) fn stream() -> (Box<DuplexStream>, Agent) {
    let (ours, theirs) = tokio::io::duplex(UNDER_WAY);
    (
        Box::new(ours),
        Agent { stream: theirs, buffer: BytesMut::new(), decoder: Decoder::default(), received: 0, said: 0 },
    )
}

/// A client and the agent it has greeted.
pub(crate) async fn connected() -> Result<(Client, Agent)> {
    let (ours, mut agent) = stream();
    let (client, ()) = tokio::join!(Client::connect(ours), async {
        agent.greet(&hello(BOOT, Some(0))).await;
    });
    Ok((client?, agent))
}

/// The agent's end of a stream.
pub(crate) struct Agent {
    stream: DuplexStream,
    buffer: BytesMut,
    decoder: Decoder,
    /// Bytes of the session.
    received: u64,
    said: u64,
}

impl Agent {
    /// Hears a client out and answers with this.
    pub(crate) async fn greet(&mut self, hello: &[u8]) {
        let mut preamble = [0; PREAMBLE];
        self.stream.read_exact(&mut preamble).await.unwrap();
        assert_eq!(preamble, encode_preamble(VERSION));
        let mut header = [0; HEADER];
        self.stream.read_exact(&mut header).await.unwrap();
        let mut join = vec![0; usize::from(u16::from_le_bytes([header[4], header[5]]))];
        self.stream.read_exact(&mut join).await.unwrap();
        assert!(matches!(decode(&join), Ok(ToAgent::Join(_))));
        self.send(&[&preamble, hello].concat()).await;
    }

    /// Sends bytes; false when the client takes no more.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The client's next frame; `None` when it is gone.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next(&mut self.buffer).unwrap() {
                return Some(frame);
            }
            match self.stream.read_buf(&mut self.buffer).await.ok()? {
                0 => return None,
                count => self.received += count as u64,
            }
            if self.received - self.said >= RECEIPT_EVERY {
                self.said = self.received;
                self.send(&message(0, &FromAgent::Received(self.received))).await;
            }
        }
    }

    /// Both directions by themselves.
    pub(crate) fn split(self) -> (tokio::io::ReadHalf<DuplexStream>, tokio::io::WriteHalf<DuplexStream>) {
        tokio::io::split(self.stream)
    }
}

/// Panics so far, in tasks too, where nobody else would hear of them.
pub(crate) fn panics() -> usize {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static COUNTING: Once = Once::new();
    COUNTING.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            COUNT.fetch_add(1, Ordering::SeqCst);
            usual(info);
        }));
    });
    COUNT.load(Ordering::SeqCst)
}

/// Runs on a clock that goes as fast as nothing else does.
pub(crate) fn quickly<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(test)
}
