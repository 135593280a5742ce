//! Far more than anybody asked for. What it costs is seen from outside, as the memory of the whole process.

use std::time::Duration;

use oh_agent::protocol::{FromAgent, OUTPUT, WINDOW};
use oh_runtime_api::CommandSpec;
use tokio::sync::{Mutex, MutexGuard};

use crate::agent::{connected, data, message, panics};

/// Most bytes of a flood.
const FLOOD: usize = 128 << 20;
/// Most frames of one: even small ones cost somebody who keeps them a hundred bytes each.
const FRAMES: usize = 1_000_000;
/// What a client may take for it besides what it grants: buffers, and what the allocator keeps.
const SLACK: u64 = 24 << 20;
/// Longer than a flood takes to send.
const PATIENCE: Duration = Duration::from_secs(60);

/// One at a time: they share the memory they measure.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// Bytes of memory this process has now.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// Sends `frame` again and again while a command runs whose output nobody reads. The client may take it all, or cut the
/// agent off.
async fn flood(frame: Vec<u8>) {
    let _alone = alone().await;
    let before = panics();
    let (client, mut agent) = connected().await.unwrap();
    let started = async {
        assert!(agent.send(&message(1, &FromAgent::Started { sequence: 1 })).await);
    };
    let (process, ()) = tokio::join!(client.start(CommandSpec::new(["x"])), started);
    let process = process.unwrap();
    let batch = frame.repeat((64 << 10) / frame.len() + 1);
    let total = FLOOD.min(FRAMES * frame.len());
    let at_first = memory();
    let sending = async {
        for _ in 0..total / batch.len() {
            if !agent.send(&batch).await {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, sending).await.expect("the client neither takes it nor hangs up");
    let grown = memory().saturating_sub(at_first);
    assert!(grown < 2 * WINDOW + SLACK, "it took {} MiB", grown >> 20);
    drop(process);
    assert_eq!(panics(), before, "a task panicked");
}

#[tokio::test]
async fn of_data_for_nobody() {
    flood(data(77, OUTPUT, &[7; 30_000])).await;
}

#[tokio::test]
async fn of_data_nobody_reads() {
    flood(data(1, OUTPUT, &[7; 30_000])).await;
}

#[tokio::test]
async fn of_single_bytes_nobody_reads() {
    flood(data(1, OUTPUT, &[7])).await;
}

#[tokio::test]
async fn of_frames_without_data() {
    // Nothing is in it, so `put_data` would not make one.
    flood(vec![1, 0, 0, 0, 0, 0, 2, OUTPUT]).await;
}

#[tokio::test]
async fn of_ends_of_a_stream() {
    flood(vec![1, 0, 0, 0, 0, 0, 3, OUTPUT]).await;
}

#[tokio::test]
async fn of_answers() {
    flood(message(1, &FromAgent::Started { sequence: 2 })).await;
}

#[tokio::test]
async fn of_answers_on_the_sessions_own_channel() {
    flood(message(0, &FromAgent::Pong(1))).await;
}
