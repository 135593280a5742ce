//! kubectl against the scripted server, where one is installed that speaks WebSocket.

use std::process::Stdio;
use std::time::Duration;

use libtest_mimic::Completion;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::Outcome;
use crate::server::{Answer, InputEnd, POD, Server, V4, V5};

/// The first one that executes over WebSocket unless told otherwise.
const OLDEST: u32 = 31;
/// Longer than kubectl takes here.
const PATIENCE: Duration = Duration::from_secs(60);

/// The minor version of the installed one; `None` when there is none.
async fn minor_version() -> Option<u32> {
    let said = Command::new("kubectl").args(["version", "--client", "-o", "json"]).output().await.ok()?;
    let said: serde_json::Value = serde_json::from_slice(&said.stdout).ok()?;
    let minor = said["clientVersion"]["minor"].as_str()?;
    minor.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

pub(crate) async fn speaks_v5() -> Outcome {
    match minor_version().await {
        None => return Ok(Completion::ignored_with("kubectl is not installed")),
        Some(minor) if minor < OLDEST => {
            return Ok(Completion::ignored_with(format!("kubectl 1.{minor} is older than 1.{OLDEST}")));
        }
        Some(_) => {}
    }
    let mut server = Server::start(Answer::Choose(&[V5, V4])).await;
    let home = tempfile::tempdir()?;
    let mut kubectl = Command::new("kubectl")
        .args(["--server", &format!("http://{}", server.address), "--cache-dir"])
        .arg(home.path())
        .args(["exec", "-i", POD, "-c", "sandbox", "--", "cat"])
        .env("KUBECONFIG", home.path().join("none"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = kubectl.stdin.take().unwrap();
    stdin.write_all(b"hello").await?;
    drop(stdin);
    let container = server.exec().await;
    assert!(container.offered.contains(&V5.to_owned()), "{:?}", container.offered);
    let both = async { tokio::join!(container.play(7), kubectl.wait_with_output()) };
    let (input, output) = tokio::time::timeout(PATIENCE, both).await?;
    let output = output?;
    assert_eq!(input, InputEnd::HalfClosed);
    assert_eq!(output.stdout, b"hello and after");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("said"), "{said}");
    assert_eq!(output.status.code(), Some(7), "{said}");
    Ok(Completion::Completed)
}
