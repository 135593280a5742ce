//! The client against scripted agents: what comes out of a sandbox is hostile.

use std::time::Duration;

use oh_runtime_api::{CommandSpec, ErrorKind, Outcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::Client;
use crate::protocol::frame::{self, MAX_PAYLOAD};
use crate::protocol::{
    self, Failure, FailureKind, FromAgent, Hello, Join, OUTPUT, ToAgent, VERSION, WINDOW, encode,
};
use crate::wire;

/// A client and the other end of its stream, which holds every script whole.
fn pair() -> (impl Future<Output = oh_runtime_api::Result<Client>>, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(2 * usize::try_from(WINDOW).unwrap());
    (Client::connect(Box::new(ours)), theirs)
}

fn message(channel: u32, message: &FromAgent) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    frame::put_message(&mut out, channel, &encode(message).unwrap()).unwrap();
    out.to_vec()
}

/// Greets like an agent, then sends `script` and stays silent.
async fn greet(mut agent: DuplexStream, script: Vec<u8>) -> DuplexStream {
    assert_eq!(wire::read_preamble(&mut agent).await.unwrap(), Some(VERSION));
    let join: Option<ToAgent> = wire::read_greeting(&mut agent).await.unwrap();
    assert!(matches!(join, Some(ToAgent::Join(Join { fresh: true, received: 0, .. }))), "{join:?}");
    let hello = FromAgent::Hello(Hello { boot: 1, version: "test".into(), received: Some(0) });
    agent.write_all(&protocol::encode_preamble(VERSION)).await.unwrap();
    agent.write_all(&wire::greeting(&hello).unwrap()).await.unwrap();
    agent.write_all(&script).await.unwrap();
    agent
}

async fn connect_error(first_bytes: &[u8]) -> oh_runtime_api::Error {
    let (client, mut agent) = pair();
    agent.write_all(first_bytes).await.unwrap();
    let (_, keep) = (agent.shutdown().await, agent);
    let error = client.await.unwrap_err();
    drop(keep);
    error
}

#[tokio::test]
async fn another_version_is_refused_with_both_numbers() {
    let error = connect_error(&protocol::encode_preamble(VERSION + 1)).await;
    assert_eq!(error.kind(), ErrorKind::Version);
    let both = [VERSION, VERSION + 1].map(|version| error.message().contains(&version.to_string()));
    assert_eq!(both, [true; 2], "{error}");
}

#[tokio::test]
async fn something_else_is_refused() {
    assert_eq!(connect_error(b"HTTP/1.1 400 Bad").await.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn an_early_end_is_a_lost_stream() {
    assert_eq!(connect_error(b"oh-ag").await.kind(), ErrorKind::StreamLost);
}

#[tokio::test(start_paused = true)]
async fn silence_is_a_lost_stream() {
    let (client, _agent) = pair();
    assert_eq!(client.await.unwrap_err().kind(), ErrorKind::StreamLost);
}

#[tokio::test(start_paused = true)]
async fn silence_later_loses_the_stream_with_the_outcome_unknown() {
    let (client, agent) = pair();
    let (client, agent) = tokio::join!(client, greet(agent, message(1, &FromAgent::Started { sequence: 1 })));
    let mut process = client.unwrap().start(CommandSpec::new(["x"])).await.unwrap();
    let error = tokio::time::timeout(Duration::from_secs(300), process.wait()).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::StreamLost, Outcome::Unknown));
    assert!(error.message().contains("silent"), "{error}");
    drop(agent);
}

#[tokio::test]
async fn an_agent_that_sends_more_than_the_window_is_cut_off() {
    let mut script = bytes::BytesMut::from(message(1, &FromAgent::Started { sequence: 1 }).as_slice());
    for _ in 0..=WINDOW / MAX_PAYLOAD as u64 {
        frame::put_data(&mut script, 1, OUTPUT, &[0; MAX_PAYLOAD]);
    }
    let (client, agent) = pair();
    let (client, _agent) = tokio::join!(client, greet(agent, script.to_vec()));
    let client = client.unwrap();
    let mut process = client.start(CommandSpec::new(["x"])).await.unwrap();
    let error = process.wait().await.unwrap_err();
    assert!(error.message().contains("more than was allowed"), "{error}");
    assert!(client.is_closed());
}

#[tokio::test]
async fn a_connection_that_broke_has_no_end() {
    let (opened, failure) =
        (FromAgent::Opened, Failure { kind: FailureKind::ConnectReset, message: "reset".to_owned() });
    for broke in [false, true] {
        let mut script = bytes::BytesMut::from(message(1, &opened).as_slice());
        if broke {
            // Messages overtake data.
            script.extend_from_slice(&message(1, &FromAgent::Broke(failure.clone())));
        }
        frame::put_data(&mut script, 1, OUTPUT, b"half");
        frame::put_eof(&mut script, 1, OUTPUT);
        let (client, agent) = pair();
        let (client, _agent) = tokio::join!(client, greet(agent, script.to_vec()));
        let mut dialed = client.unwrap().dial("127.0.0.1", 80).await.unwrap();
        let mut bytes = Vec::new();
        let end = dialed.read.read_to_end(&mut bytes).await;
        assert_eq!(bytes, b"half");
        let end = end.map_err(|error| error.downcast::<oh_runtime_api::Error>().unwrap().kind());
        assert_eq!(end, if broke { Err(ErrorKind::ConnectReset) } else { Ok(4) });
    }
}
