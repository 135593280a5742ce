//! The first and every further stream of a session.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use oh_runtime_api::{Duplex, Error, ErrorKind, Outcome, Result};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use crate::protocol::{FromAgent, Hello, Join, ToAgent, VERSION, encode_preamble};
use crate::wire::{self, WeakSender};

const OPERATION: &str = "connect to the agent";
/// How long an agent may take to greet.
const HANDSHAKE: Duration = Duration::from_secs(20);
/// How long a session's stream may stay away; less than the agent waits.
const GIVE_UP: Duration = Duration::from_secs(2 * 60);
/// Longest pause before the first attempt; after each it may be twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause of all.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Sessions of this process that open another stream at the same time. Hundreds that lose theirs together, with the server
/// behind them, would otherwise keep it from coming back.
static LANE: Semaphore = Semaphore::const_new(16);

/// Where a session gets another stream from when its own broke.
#[async_trait]
pub trait Reconnect: Debug + Send + Sync + 'static {
    /// Another stream to the same agent.
    ///
    /// # Errors
    /// When there is none now.
    async fn open(&self) -> Result<Box<dyn Duplex>>;

    /// Whether its streams leave this machine: then less is worth some work.
    fn remote(&self) -> bool;

    /// What can be expected of a later attempt.
    async fn outlook(&self) -> Outlook;
}

/// What can be expected of a sandbox to which no stream can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// A later attempt may succeed.
    Hopeful,
    /// The sandbox is paused: one may succeed when it is resumed, however long that takes.
    Paused,
    /// The sandbox is gone.
    Hopeless,
}

/// Why a session is over.
#[derive(Debug, Clone)]
pub(super) struct Lost {
    pub(super) kind: ErrorKind,
    pub(super) reason: String,
}

impl Lost {
    pub(super) fn stream(reason: impl Into<String>) -> Self {
        Self { kind: ErrorKind::StreamLost, reason: reason.into() }
    }

    pub(super) fn error(&self, operation: &str, outcome: Outcome) -> Error {
        Error::new(self.kind, operation, self.reason.as_str()).outcome_is(outcome)
    }
}

/// Says which session a stream carries, and hears what the agent has of it.
pub(super) async fn greet(stream: &mut Box<dyn Duplex>, join: Join) -> Result<Hello> {
    let lost = |message: String| Error::new(ErrorKind::StreamLost, OPERATION, message);
    let joining = wire::greeting(&ToAgent::Join(join)).map_err(|error| lost(error.to_string()))?;
    let greeting = [encode_preamble(VERSION).as_slice(), &joining].concat();
    let handshake = async {
        // A failed write means that the other side said why, or ended; reading tells which.
        let written = match stream.write_all(&greeting).await {
            Ok(()) => stream.flush().await,
            error => error,
        };
        let theirs = wire::read_preamble(stream).await.map_err(|e| stream_error(&lost, e))?;
        match theirs {
            Some(VERSION) => {}
            Some(theirs) => return Err(version_error(theirs)),
            None => {
                let message = "something other than an agent answers in the sandbox";
                return Err(Error::new(ErrorKind::Protocol, OPERATION, message));
            }
        }
        written.map_err(|e| stream_error(&lost, e))?;
        match wire::read_greeting(stream).await.map_err(|e| stream_error(&lost, e))? {
            Some(FromAgent::Hello(hello)) => Ok(hello),
            _ => Err(protocol_error("its first message is no greeting")),
        }
    };
    timeout(HANDSHAKE, handshake)
        .await
        .map_err(|_| lost(format!("the agent did not answer within {} s", HANDSHAKE.as_secs())))?
}

/// The session on another stream, and how much of it the agent has. `broke` is what happened to the last one.
pub(super) async fn rejoin(
    again: &Arc<dyn Reconnect>,
    (session, received): (u128, u64),
    boot: u128,
    users: &WeakSender,
    broke: String,
) -> Result<(Box<dyn Duplex>, u64), Lost> {
    let mut away_since = Instant::now();
    let mut pause = FIRST_PAUSE;
    // Nobody waits for it any more: then it is not worth a reason.
    while users.upgrade().is_some() {
        sleep(jittered(pause)).await;
        let attempt = async {
            let mut stream = again.open().await?;
            let hello = greet(&mut stream, Join { session, fresh: false, received }).await?;
            Ok::<_, Error>((stream, hello))
        };
        // Its turn comes, however long the server is away: the semaphore is never closed.
        let turn = LANE.acquire().await;
        let attempted = timeout(2 * HANDSHAKE, attempt).await;
        drop(turn);
        match attempted {
            Ok(Ok((_, hello))) if hello.boot != boot => {
                let reason = "its agent was started again meanwhile: what ran before is gone".to_owned();
                return Err(Lost { kind: ErrorKind::Restarted, reason });
            }
            Ok(Ok((stream, Hello { received: Some(received), .. }))) => return Ok((stream, received)),
            Ok(Ok(_)) => return Err(Lost::stream("the agent has given this client up")),
            Ok(Err(error)) if matches!(error.kind(), ErrorKind::Version | ErrorKind::Protocol) => {
                return Err(Lost { kind: error.kind(), reason: error.message().to_owned() });
            }
            Ok(Err(_)) | Err(_) => {}
        }
        // A backend that takes long to say has not said no.
        match timeout(HANDSHAKE, again.outlook()).await.unwrap_or(Outlook::Hopeful) {
            Outlook::Hopeful if away_since.elapsed() < GIVE_UP => {}
            Outlook::Paused => away_since = Instant::now(),
            Outlook::Hopeful | Outlook::Hopeless => break,
        }
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
    Err(Lost::stream(broke))
}

/// Anything up to `limit`: clients that lost their streams together must not come back together.
fn jittered(limit: Duration) -> Duration {
    // Without randomness it waits the whole time.
    let share = getrandom::u32().unwrap_or(u32::MAX);
    limit.mul_f64(f64::from(share) / f64::from(u32::MAX))
}

fn stream_error(lost: &impl Fn(String) -> Error, error: io::Error) -> Error {
    // A backend says what it knows about a broken stream in an error of its own.
    match error.downcast::<Error>() {
        Ok(error) => error.in_operation(OPERATION),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            lost("the stream ended during the greeting".into())
        }
        Err(error) => lost(error.to_string()),
    }
}

fn version_error(theirs: u16) -> Error {
    Error::new(
        ErrorKind::Version,
        OPERATION,
        format!("the sandbox's agent speaks protocol version {theirs}, this program speaks {VERSION}"),
    )
    .hint("use the version of this program that made the sandbox, or remove it and make it again")
}

pub(super) fn protocol_error(message: &str) -> Error {
    Error::new(ErrorKind::Protocol, "talk to the agent", format!("the agent broke the protocol: {message}"))
        .outcome_is(Outcome::Unknown)
}
