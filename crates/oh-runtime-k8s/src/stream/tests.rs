//! The bridge against a server that says what a test tells it to.

use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;

type Server = WebSocketStream<DuplexStream>;

async fn connected(closes: bool) -> (Bridge<DuplexStream>, Server) {
    let (ours, theirs) = tokio::io::duplex(256 * 1024);
    let client = WebSocketStream::from_raw_socket(ours, Role::Client, None).await;
    let server = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
    (Bridge::new("connect to sandbox a".to_owned(), client, closes), server)
}

fn frame(channel: u8, bytes: &[u8]) -> Message {
    Message::Binary([&[channel], bytes].concat().into())
}

fn success() -> Message {
    frame(channel::STATUS, json!({ "metadata": {}, "status": "Success" }).to_string().as_bytes())
}

fn failure(message: &str) -> Message {
    let status = json!({
        "metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500
    });
    frame(channel::STATUS, status.to_string().as_bytes())
}

/// All that comes out when the server says `messages`, and closes or just goes.
async fn read(messages: Vec<Message>, closing: bool) -> (Vec<u8>, Option<Error>) {
    let (mut bridge, mut server) = connected(true).await;
    for message in messages {
        server.send(message).await.unwrap();
    }
    let ending = tokio::spawn(async move {
        if closing {
            let _ = server.close(None).await;
        }
    });
    let mut bytes = Vec::new();
    let result = bridge.read_to_end(&mut bytes).await;
    drop(bridge);
    ending.await.unwrap();
    (bytes, result.err().map(|error| error.downcast::<Error>().unwrap()))
}

#[tokio::test]
async fn standard_output_is_the_stream() {
    let out = |bytes| frame(channel::STDOUT, bytes);
    let messages = vec![out(b"ab"), out(b""), Message::Ping("x".into()), out(b"cd"), success()];
    let (bytes, error) = read(messages, true).await;
    assert_eq!(bytes, b"abcd");
    assert!(error.is_none(), "{error:?}");
}

#[tokio::test]
async fn reading_less_than_a_frame_leaves_the_rest() {
    let (mut bridge, mut server) = connected(true).await;
    server.send(frame(channel::STDOUT, b"abcd")).await.unwrap();
    let mut two = [0; 2];
    for expected in [b"ab", b"cd"] {
        bridge.read_exact(&mut two).await.unwrap();
        assert_eq!(&two, expected);
    }
}

#[tokio::test]
async fn what_was_said_is_the_error_at_the_end() {
    let err = |bytes: &[u8]| frame(channel::STDERR, bytes);
    let said = vec![
        frame(channel::STDOUT, b"a"),
        err(b"oh-agent: no agent "),
        err(b"is listening\n"),
        failure("command terminated with exit code 1"),
    ];
    let (bytes, error) = read(said, true).await;
    let error = error.unwrap();
    assert_eq!((bytes.as_slice(), error.kind()), (&b"a"[..], ErrorKind::StreamLost));
    assert_eq!(error.message(), "oh-agent: no agent is listening");
    let (_, error) = read(vec![failure("container not found (\"sandbox\")")], true).await;
    assert_eq!(error.unwrap().message(), "container not found (\"sandbox\")");
    let (_, error) = read(vec![err(&[b'x'; 5000]), err(b"end"), success()], true).await;
    let message = error.unwrap().message().to_owned();
    assert!(message.len() == LAST_WORDS && message.ends_with("xend"), "{message}");
}

#[tokio::test]
async fn a_stream_without_the_servers_last_word_is_lost() {
    for closing in [true, false] {
        let (bytes, error) = read(vec![frame(channel::STDOUT, b"ab")], closing).await;
        let error = error.unwrap();
        assert_eq!((bytes.as_slice(), error.kind()), (&b"ab"[..], ErrorKind::StreamLost), "{closing}");
        assert_eq!(error.outcome(), Outcome::Unknown);
    }
}

#[tokio::test]
async fn input_goes_out_in_frames_of_limited_size() {
    let (mut bridge, mut server) = connected(true).await;
    let bytes: Vec<u8> = (0..100_000_u32).map(|i| i as u8).collect();
    let expected = bytes.clone();
    let writing = tokio::spawn(async move {
        bridge.write_all(&bytes).await.unwrap();
        bridge.flush().await.unwrap();
        bridge.shutdown().await.unwrap();
        bridge
    });
    let mut got = Vec::new();
    loop {
        let Message::Binary(frame) = server.next().await.unwrap().unwrap() else { panic!("no data") };
        assert!(frame.len() <= FRAME + 1, "{}", frame.len());
        match frame[0] {
            channel::STDIN => got.extend_from_slice(&frame[1..]),
            other => {
                assert_eq!((other, frame[1]), (channel::CLOSE, channel::STDIN));
                break;
            }
        }
    }
    assert!(got == expected);
    // The other direction goes on.
    let mut bridge = writing.await.unwrap();
    server.send(frame(channel::STDOUT, b"after")).await.unwrap();
    let mut after = [0; 5];
    bridge.read_exact(&mut after).await.unwrap();
    assert_eq!(&after, b"after");
}

#[tokio::test]
async fn the_old_protocol_ends_input_with_the_connection() {
    let (mut bridge, mut server) = connected(false).await;
    bridge.write_all(b"x").await.unwrap();
    let (ended, messages) = tokio::join!(bridge.shutdown(), async {
        let mut messages = Vec::new();
        while let Some(Ok(message)) = server.next().await {
            messages.push(message);
        }
        messages
    });
    ended.unwrap();
    assert_eq!(messages.first(), Some(&frame(channel::STDIN, b"x")));
    assert!(matches!(messages.last(), Some(Message::Close(_))), "{messages:?}");
}
