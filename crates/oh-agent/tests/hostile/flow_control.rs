//! Windows, whatever the other end's pace: never more than one under way, and every byte once and in order.

use std::path::Path;

use bytes::BytesMut;
use oh_agent::protocol::block::{BLOCK, Block, Packer};
use oh_agent::protocol::frame::{Frame, MAX_PAYLOAD};
use oh_agent::protocol::{FromAgent, INPUT, OUTPUT, Request, ToAgent, WINDOW, Whole, decode};
use oh_runtime_api::WriteOptions;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use crate::agent::{Agent, connected, data, message, quickly};

/// Bytes that differ from their neighbours for longer than a frame.
fn pattern(length: u64) -> Vec<u8> {
    (0..length).map(|i| (i / 251 + i) as u8).collect()
}

/// The channel of the next request.
async fn request(agent: &mut Agent) -> (u32, Request) {
    loop {
        if let Some(Frame::Message { channel, body }) = agent.next().await
            && let Ok(ToAgent::Open(request)) = decode(&body)
        {
            return (channel, request);
        }
    }
}

/// Takes an upload, saying now and then how much of it was consumed; returns what came.
async fn consume(agent: &mut Agent, paces: &[u64]) -> Vec<u8> {
    let (channel, _) = request(agent).await;
    agent.send(&message(channel, &FromAgent::Opened)).await;
    let (mut got, mut acked, mut whole) = (BytesMut::new(), 0, None);
    let mut paces = paces.iter().cycle();
    loop {
        match agent.next().await.unwrap() {
            Frame::Data { channel: of, stream, bytes } => {
                assert_eq!((of, stream), (channel, INPUT));
                got.extend_from_slice(&bytes);
            }
            Frame::Eof { .. } => break,
            Frame::Message { body, .. } => {
                if let Ok(ToAgent::Sent(of_all)) = decode(&body) {
                    whole = Some(of_all);
                }
            }
        }
        let received = got.len() as u64;
        assert!(received <= acked + WINDOW, "{received} bytes with {acked} of them consumed");
        // Sometimes not before it can send no more.
        if received - acked >= *paces.next().unwrap() || received == acked + WINDOW {
            acked = received;
            agent.send(&message(channel, &FromAgent::Ack { stream: INPUT, offset: acked })).await;
        }
    }
    let mut bytes = Vec::new();
    while let Ok(block) = Block::take(&mut got).unwrap() {
        assert_eq!(block.offset, bytes.len() as u64);
        bytes.extend_from_slice(&block.open().unwrap());
    }
    // It may come behind the end.
    let whole = match whole {
        Some(whole) => whole,
        None => sent(agent).await,
    };
    assert_eq!(whole, of(&bytes));
    agent.send(&message(channel, &FromAgent::Done { count: bytes.len() as u64 })).await;
    bytes
}

async fn sent(agent: &mut Agent) -> Whole {
    loop {
        if let Some(Frame::Message { body, .. }) = agent.next().await
            && let Ok(ToAgent::Sent(whole)) = decode(&body)
        {
            return whole;
        }
    }
}

fn of(bytes: &[u8]) -> Whole {
    Whole { size: bytes.len() as u64, digest: Sha256::digest(bytes).into() }
}

/// In blocks.
fn packed(bytes: &[u8]) -> Vec<u8> {
    let (mut packer, mut blocks) = (Packer::new(true), Vec::new());
    for part in bytes.chunks(BLOCK) {
        packer.fill(part);
        blocks.extend(packer.seal().unwrap());
    }
    blocks
}

/// Sends a download as fast as it is allowed to, and the digest of what it promised.
async fn produce(agent: &mut Agent, bytes: &[u8], promised: &[u8]) {
    let (channel, _) = request(agent).await;
    agent.send(&message(channel, &FromAgent::Opened)).await;
    let (bytes, mut sent, mut acked) = (packed(bytes), 0, 0);
    while sent < bytes.len() {
        let room = (acked + WINDOW - sent as u64).min(MAX_PAYLOAD as u64) as usize;
        if room > 0 {
            let part = &bytes[sent..bytes.len().min(sent + room)];
            agent.send(&data(channel, OUTPUT, part)).await;
            sent += part.len();
            continue;
        }
        if let Frame::Message { channel: of, body } = agent.next().await.unwrap()
            && let ToAgent::Ack { stream: OUTPUT, offset } = decode(&body).unwrap()
            && of == channel
        {
            assert!(offset > acked && offset <= sent as u64, "{offset} after {acked} of {sent}");
            acked = offset;
        }
    }
    agent.send(&message(channel, &FromAgent::Sent(of(promised)))).await;
    let mut end = bytes::BytesMut::new();
    oh_agent::protocol::frame::put_eof(&mut end, channel, OUTPUT);
    agent.send(&end).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn an_upload_stays_within_its_window(
        length in 0..3 * WINDOW,
        paces in prop::collection::vec(prop_oneof![1..100_000u64, 1..2 * WINDOW], 1..10),
    ) {
        let bytes = pattern(length);
        let got = quickly(async {
            let (client, mut agent) = connected().await.unwrap();
            let source = std::io::Cursor::new(bytes.clone());
            let writing = client.write_file(Path::new("/x"), WriteOptions::mode(0o600), Box::pin(source));
            let (count, got) = tokio::join!(writing, consume(&mut agent, &paces));
            assert_eq!(count.unwrap(), length);
            got
        });
        prop_assert!(got == bytes, "other bytes arrived");
    }

    #[test]
    fn a_download_is_allowed_what_was_read(
        length in 0..3 * WINDOW,
        sizes in prop::collection::vec(1..200_000usize, 1..10),
    ) {
        let bytes = pattern(length);
        let got = quickly(async {
            let (client, mut agent) = connected().await.unwrap();
            let reading = async {
                let mut stream = client.read_file(Path::new("/x"), 0, None).await.unwrap();
                let mut got = Vec::new();
                for size in sizes.iter().cycle() {
                    if (&mut stream).take(*size as u64).read_to_end(&mut got).await.unwrap() == 0 {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                got
            };
            let (got, ()) = tokio::join!(reading, produce(&mut agent, &bytes, &bytes));
            got
        });
        prop_assert!(got == bytes, "other bytes arrived");
    }
}

#[test]
fn a_download_that_was_changed_on_the_way_is_not_taken_for_whole() {
    let error = quickly(async {
        let (client, mut agent) = connected().await.unwrap();
        let reading = async {
            let mut stream = client.read_file(Path::new("/x"), 0, None).await.unwrap();
            stream.read_to_end(&mut Vec::new()).await.unwrap_err()
        };
        tokio::join!(reading, produce(&mut agent, b"what arrived", b"what was sent")).0
    });
    let error = error.downcast::<oh_runtime_api::Error>().unwrap();
    assert_eq!(error.kind(), oh_runtime_api::ErrorKind::TransferChecksum);
}
