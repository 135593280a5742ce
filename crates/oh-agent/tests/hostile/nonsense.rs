//! Bytes and frames that make no sense.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use oh_agent::client::{Client, Outlook, Reconnect};
use oh_agent::protocol::{
    Attached, CommandEntry, EndReport, Failure, FailureKind, FromAgent, HEARTBEAT, Hello, SILENCE, Usage,
    VERSION, WireEnd, encode_preamble,
};
use oh_runtime_api::{
    BoxRead, CommandId, CommandSpec, Duplex, Error, ErrorKind, Offsets, Result, Selection, WriteOptions,
};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::agent::{Agent, BOOT, connected, data, hello, message, panics, quickly, stream};

/// A client that hears nothing gives up after this long at most.
const PATIENCE: Duration = Duration::from_secs(SILENCE.as_secs() + 2 * HEARTBEAT.as_secs());
/// As long as a greeting may take.
const GREETING: Duration = Duration::from_secs(20);
/// How long a lost session is looked for.
const GIVE_UP: Duration = Duration::from_secs(5 * 60);

fn any_message() -> impl Strategy<Value = FromAgent> {
    let number = prop_oneof![0..10u64, any::<u64>()];
    let failure = prop_oneof![Just(FailureKind::ExecNotFound), Just(FailureKind::TakenOver)];
    let failure = failure.prop_map(|kind| Failure { kind, message: "\n\u{1b}[31m".to_owned() });
    let report = (any::<i32>(), any::<u64>(), any::<u64>()).prop_map(|(code, wall_us, blocked_us)| {
        let usage = Usage { oom_kills: Some(wall_us), blocked_us, ..Usage::default() };
        EndReport { end: WireEnd::Exited(code), wall_us, leaked: vec![1], usage }
    });
    let attached = (number.clone(), number.clone(), prop::option::of(number.clone()))
        .prop_map(|(stdout, stderr, stdin)| Attached { stdout, stderr, stdin });
    let entry = (any::<u64>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..9)).prop_map(
        |(number, running, program)| CommandEntry {
            sequence: number,
            program,
            age_us: number,
            running,
            end: (number % 2 == 0).then_some(WireEnd::OomKilled),
            attached: running,
            stdout: number,
            stderr: number,
        },
    );
    prop_oneof![
        any_hello().prop_map(FromAgent::Hello),
        number.clone().prop_map(FromAgent::Received),
        number.clone().prop_map(FromAgent::Pong),
        (0..4u8, number.clone()).prop_map(|(stream, offset)| FromAgent::Ack { stream, offset }),
        (0..4u8).prop_map(|stream| FromAgent::Discard { stream }),
        number.clone().prop_map(|sequence| FromAgent::Started { sequence }),
        Just(FromAgent::Opened),
        report.prop_map(FromAgent::Ended),
        number.prop_map(|count| FromAgent::Done { count }),
        failure.prop_map(FromAgent::Failed),
        attached.prop_map(FromAgent::Attached),
        prop::collection::vec(entry, 0..4).prop_map(FromAgent::Commands),
    ]
}

fn any_hello() -> impl Strategy<Value = Hello> {
    (prop_oneof![Just(BOOT), any::<u128>()], prop::option::of(prop_oneof![0..200u64, any::<u64>()]))
        .prop_map(|(boot, received)| Hello { boot, version: "x".to_owned(), received })
}

/// Frames on channels that are open, were, or never will be, and now and then bytes that are none.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let channel = prop_oneof![4 => 0..9u32, 1 => any::<u32>()];
    let end = |(channel, stream): (u32, u8)| {
        let mut out = bytes::BytesMut::new();
        oh_agent::protocol::frame::put_eof(&mut out, channel, stream);
        out.to_vec()
    };
    let piece = prop_oneof![
        8 => (channel.clone(), any_message()).prop_map(|(channel, said)| message(channel, &said)),
        4 => (channel.clone(), 0..4u8, 1..70_000usize)
            .prop_map(|(channel, stream, length)| data(channel, stream, &vec![7; length])),
        2 => (channel, 0..4u8).prop_map(end),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Does something of everything, until each has ended somehow.
async fn use_it(client: &Client) {
    let command = async {
        let Ok(mut process) = client.start(CommandSpec::new(["x"]).stdin()).await else { return };
        if let Some(mut stdin) = process.stdin.take() {
            let _ = stdin.write_all(&[1; 100_000]).await;
        }
        let (out, err) = (process.stdout.take(), process.stderr.take());
        let _ = tokio::join!(process.wait(), drain(out), drain(err));
    };
    let path = Path::new("/x");
    let reading = async { drain(client.read_file(path, 0, None).await.ok()).await };
    let packing = async { drain(client.pack(path, &Selection::default()).await.ok()).await };
    let writing =
        client.write_file(path, WriteOptions::mode(0o600), Box::pin(tokio::io::repeat(3).take(6 << 20)));
    let old = CommandId { boot: BOOT, sequence: 1 };
    let attaching = async {
        if let Ok(mut attached) = client.attach(old, Offsets::default()).await {
            let _ = attached.process.wait().await;
        }
    };
    let _ = tokio::join!(command, reading, client.list(path), packing, writing, attaching, client.commands());
}

async fn drain(stream: Option<BoxRead>) {
    if let Some(mut stream) = stream {
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
}

/// Fails unless the future ends within `limit` of the client's time, and nothing panics meanwhile.
async fn ends<T>(limit: Duration, future: impl Future<Output = T>) -> T {
    let (before, started) = (panics(), Instant::now());
    let value = tokio::time::timeout(2 * limit, future).await.expect("it hangs");
    assert!(started.elapsed() <= limit, "it took {:?}", started.elapsed());
    assert_eq!(panics(), before, "a task panicked");
    value
}

/// Reads all a client sends, so that it is never held back.
fn swallow(agent: Agent) -> tokio::io::WriteHalf<tokio::io::DuplexStream> {
    let (mut read, write) = agent.split();
    tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await });
    write
}

/// Streams to agents that greet as they like and say no more.
#[derive(Debug)]
struct Strangers(Mutex<Vec<Hello>>);

#[async_trait]
impl Reconnect for Strangers {
    async fn open(&self) -> Result<Box<dyn Duplex>> {
        let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let said = next.ok_or_else(|| Error::new(ErrorKind::StreamLost, "connect", "nobody is left"))?;
        let (ours, mut agent) = stream();
        tokio::spawn(async move { agent.greet(&hello(said.boot, said.received)).await });
        Ok(ours)
    }

    fn remote(&self) -> bool {
        true
    }

    async fn outlook(&self) -> Outlook {
        let nobody_left = self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if nobody_left { Outlook::Hopeless } else { Outlook::Hopeful }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_greeting_ends_in_a_client_or_an_error(
        valid in any::<bool>(),
        rest in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..100),
            any_message().prop_map(|said| message(0, &said)),
        ],
        closes in any::<bool>(),
    ) {
        quickly(async {
            let (ours, mut agent) = stream();
            let preamble = if valid { encode_preamble(VERSION).to_vec() } else { Vec::new() };
            agent.send(&[preamble, rest].concat()).await;
            let open = if closes { None } else { Some(agent) };
            let connecting = async { drop(Client::connect(ours).await) };
            ends(GREETING, connecting).await;
            drop(open);
        });
    }

    #[test]
    fn any_answers_end_in_results_or_errors(answers in any_bytes(), closes in any::<bool>()) {
        quickly(async {
            let (client, agent) = connected().await.unwrap();
            let mut answering = swallow(agent);
            let answer = async move {
                let _ = answering.write_all(&answers).await;
                if closes {
                    let _ = answering.shutdown().await;
                }
                answering
            };
            let (_open, ()) = ends(PATIENCE, async { tokio::join!(answer, use_it(&client)) }).await;
        });
    }

    #[test]
    fn any_greeting_after_a_break_ends_in_an_error(hellos in prop::collection::vec(any_hello(), 1..5)) {
        quickly(async {
            let (ours, mut agent) = stream();
            let again = Arc::new(Strangers(Mutex::new(hellos)));
            let (client, ()) = tokio::join!(Client::connect_for_good(ours, again), async {
                agent.greet(&hello(BOOT, Some(0))).await;
            });
            let client = client.unwrap();
            drop(agent);
            ends(GIVE_UP + 5 * PATIENCE, use_it(&client)).await;
        });
    }
}
