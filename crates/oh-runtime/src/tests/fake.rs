//! A backend and agents that do what a test says.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::BytesMut;
use oh_agent::protocol::frame::{self, Decoder, Frame};
use oh_agent::protocol::{
    self, EndReport, FromAgent, Hello, PREAMBLE, ToAgent, Usage, WireEnd, decode, encode,
};
use oh_runtime_api::{
    AgentPayload, Backend, Capabilities, DeleteReport, Duplex, Error, ErrorKind, Evidence, Incarnation,
    Labels, LogOptions, LogStream, Result, SandboxInfo, SandboxName, SandboxSpec, SandboxState, Selector,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// What comes of the next attempt to reach the agent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Attempt {
    /// The backend says no.
    Refused(ErrorKind),
    /// The stream opens, and ends.
    Cut,
    /// The stream opens, and nobody says anything.
    Silent,
    /// An agent that speaks another version.
    Foreign,
    /// An agent of this boot; what it does with commands.
    Agent(u128, Commands),
}

/// What an agent does with a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Commands {
    /// Ends it with code 0.
    End,
    /// Starts it, and the stream breaks once so many are running.
    BreakAt(usize),
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// What is listed.
    pub(super) sandboxes: Vec<SandboxInfo>,
    /// What is seen of any of them.
    pub(super) evidence: Option<Evidence>,
    /// The next attempts; the last one goes on for ever.
    pub(super) attempts: VecDeque<Attempt>,
    /// Names of the ways the agent cannot be delivered.
    pub(super) closed: Vec<&'static str>,
    /// What becomes of the next sandboxes that are made; then they run.
    pub(super) starts: VecDeque<SandboxState>,
    /// Whether creating takes for ever, once it has made the sandbox.
    pub(super) stuck: bool,
    /// How often sandboxes were listed, and streams asked for.
    pub(super) lists: usize,
    pub(super) opened: usize,
    /// Commands that arrived at agents.
    pub(super) started: usize,
}

/// See [`State`].
#[derive(Debug, Clone, Default)]
pub(super) struct Fake(Arc<Mutex<State>>);

impl Fake {
    /// With the sandbox [`id`] in this state.
    pub(super) fn with(state: SandboxState, attempts: impl IntoIterator<Item = Attempt>) -> Self {
        let fake = Self::default();
        fake.change(|now| {
            now.sandboxes = vec![info("uid", state)];
            now.attempts = attempts.into_iter().collect();
        });
        fake
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    pub(super) fn backend(&self) -> Arc<dyn Backend> {
        Arc::new(self.clone())
    }
}

pub(super) fn id() -> Incarnation {
    Incarnation { name: SandboxName::new("box").unwrap(), uid: "uid".to_owned() }
}

/// A sandbox called "box".
pub(super) fn info(uid: &str, state: SandboxState) -> SandboxInfo {
    let incarnation = Incarnation { uid: uid.to_owned(), ..id() };
    SandboxInfo { incarnation, state, created: None, labels: Labels::new() }
}

pub(super) fn evidence(log_tail: &str, oom_killed: bool) -> Evidence {
    let log_tail = log_tail.to_owned();
    Evidence { state: SandboxState::Exited, exit_code: Some(7), oom_killed, message: None, log_tail }
}

impl fmt::Display for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fake")
    }
}

#[async_trait]
impl Backend for Fake {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            isolated: true,
            agent_protected: true,
            resource_limits: true,
            process_limit: true,
            mounts: true,
            own_root: true,
            remote: false,
            keeps_agents: true,
            pauses: false,
        }
    }

    fn render(&self, _: &SandboxSpec, agent: &AgentPayload) -> Result<serde_json::Value> {
        Ok(agent.digest.as_str().into())
    }

    async fn create(&self, spec: &SandboxSpec, agent: &AgentPayload) -> Result<Incarnation> {
        let way = agent.delivery.name();
        if self.change(|state| state.closed.contains(&way)) {
            return Err(Error::new(ErrorKind::DeliveryFailed, "create", format!("{way} is closed")));
        }
        let stuck = self.change(|state| {
            if state.sandboxes.is_empty() {
                let labels = spec.labels(agent, SystemTime::now());
                let made = state.starts.pop_front().unwrap_or(SandboxState::Running);
                state.sandboxes.push(SandboxInfo { labels, ..info("made", made) });
            }
            state.stuck
        });
        if stuck {
            std::future::pending::<()>().await;
        }
        Ok(self.change(|state| state.sandboxes[0].incarnation.clone()))
    }

    async fn list(&self, which: &Selector) -> Result<Vec<SandboxInfo>> {
        self.change(|state| {
            state.lists += 1;
            let mut found = state.sandboxes.clone();
            found.retain(|info| which.name.as_ref().is_none_or(|name| *name == info.incarnation.name));
            Ok(found)
        })
    }

    async fn open_stream(&self, _: &Incarnation) -> Result<Box<dyn Duplex>> {
        let attempt = self.change(|state| {
            state.opened += 1;
            if state.attempts.len() > 1 {
                state.attempts.pop_front()
            } else {
                state.attempts.front().copied()
            }
        });
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        match attempt.expect("no attempt is scripted") {
            Attempt::Refused(kind) => return Err(Error::new(kind, "open", "refused by the script")),
            Attempt::Cut => drop(theirs),
            Attempt::Silent => drop(tokio::spawn(hold(theirs))),
            Attempt::Foreign => drop(tokio::spawn(greet(theirs, protocol::VERSION + 1, 0))),
            Attempt::Agent(boot, commands) => drop(tokio::spawn(agent(self.clone(), theirs, boot, commands))),
        }
        Ok(Box::new(ours))
    }

    async fn logs(&self, _: &Incarnation, _: LogOptions) -> Result<LogStream> {
        Ok(Box::pin(futures::stream::empty()))
    }

    async fn evidence(&self, _: &Incarnation) -> Result<Evidence> {
        let seen = self.change(|state| state.evidence.clone());
        seen.ok_or_else(|| Error::new(ErrorKind::Unavailable, "look", "nothing is scripted"))
    }

    async fn delete(&self, id: &Incarnation) -> Result<DeleteReport> {
        self.change(|state| {
            let before = state.sandboxes.len();
            state.sandboxes.retain(|info| info.incarnation != *id);
            let gone = state.sandboxes.len() < before;
            Ok(if gone { DeleteReport::Deleted } else { DeleteReport::AlreadyGone })
        })
    }
}

async fn hold(stream: DuplexStream) {
    tokio::time::sleep(Duration::from_secs(1 << 20)).await;
    drop(stream);
}

fn message(channel: u32, message: &FromAgent) -> BytesMut {
    let mut out = BytesMut::new();
    frame::put_message(&mut out, channel, &encode(message).unwrap()).unwrap();
    out
}

async fn greet(mut stream: DuplexStream, version: u16, boot: u128) -> DuplexStream {
    let mut theirs = [0; PREAMBLE];
    stream.read_exact(&mut theirs).await.unwrap();
    let (mut decoder, mut buffer) = (Decoder::default(), BytesMut::new());
    let join = loop {
        match decoder.next(&mut buffer).unwrap() {
            Some(Frame::Message { body, .. }) => break decode(&body).unwrap(),
            _ => assert!(stream.read_buf(&mut buffer).await.unwrap() > 0, "the client says nothing"),
        }
    };
    let ToAgent::Join(join) = join else { panic!("the client starts with {join:?}") };
    // No agent of these tests remembers a session.
    let received = join.fresh.then_some(0);
    // A client that goes away meanwhile is none of its business.
    let _ = stream.write_all(&protocol::encode_preamble(version)).await;
    let _ = stream
        .write_all(&message(0, &FromAgent::Hello(Hello { boot, version: "test".into(), received })))
        .await;
    stream
}

async fn agent(fake: Fake, stream: DuplexStream, boot: u128, commands: Commands) {
    let mut stream = greet(stream, protocol::VERSION, boot).await;
    let (mut decoder, mut buffer, mut running) = (Decoder::default(), BytesMut::new(), 0);
    while stream.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
        while let Some(frame) = decoder.next(&mut buffer).unwrap() {
            let Frame::Message { channel, body } = frame else { continue };
            if !matches!(decode(&body).unwrap(), ToAgent::Open(_)) {
                continue;
            }
            running += 1;
            fake.change(|state| state.started += 1);
            let mut answer = message(channel, &FromAgent::Started { sequence: running as u64 });
            if commands == Commands::End {
                for output in [protocol::OUTPUT, protocol::ERROR] {
                    frame::put_data(&mut answer, channel, output, b"said");
                    frame::put_eof(&mut answer, channel, output);
                }
                let usage = Usage::default();
                let report = EndReport { end: WireEnd::Exited(0), wall_us: 5, leaked: Vec::new(), usage };
                answer.extend(message(channel, &FromAgent::Ended(report)));
            }
            stream.write_all(&answer).await.unwrap();
        }
        if commands == Commands::BreakAt(running) {
            // When the client has read what was sent.
            tokio::time::sleep(Duration::from_millis(1)).await;
            return;
        }
    }
}
