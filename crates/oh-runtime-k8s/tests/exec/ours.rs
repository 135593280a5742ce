//! The backend's streams against the scripted server.

use std::fs;
use std::io;

use libtest_mimic::Completion;
use oh_runtime_api::{Backend, Duplex, Error, ErrorKind, Incarnation, Outcome as Known, Result, SandboxName};
use oh_runtime_k8s::{K8sBackend, K8sConfig};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Outcome;
use crate::server::{Answer, Exec, InputEnd, POD, Server, UID, V4, V5, channel, exited, failure};

async fn open(server: &Server) -> Result<Box<dyn Duplex>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let config = json!({
        "clusters": [{ "name": "c", "cluster": { "server": format!("http://{}", server.address) } }],
        "contexts": [{ "name": "a", "context": { "cluster": "c" } }],
        "current-context": "a",
    });
    fs::write(&file, config.to_string()).unwrap();
    let config = K8sConfig { kubeconfig: file.to_str().map(str::to_owned), ..K8sConfig::default() };
    let id = Incarnation { name: SandboxName::new(POD).unwrap(), uid: UID.to_owned() };
    K8sBackend::connect(config).await?.open_stream(&id).await
}

/// A stream and the container at its other end.
async fn opened(known: &'static [&'static str]) -> (Box<dyn Duplex>, Exec) {
    let mut server = Server::start(Answer::Choose(known)).await;
    let stream = open(&server).await.unwrap();
    let container = server.exec().await;
    (stream, container)
}

/// All that comes out.
async fn read(stream: &mut Box<dyn Duplex>) -> (String, Option<Error>) {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes).await;
    let error = read.err().map(|error: io::Error| error.downcast::<Error>().unwrap());
    (String::from_utf8(bytes).unwrap(), error)
}

async fn hello(stream: &mut Box<dyn Duplex>) {
    stream.write_all(b"hello").await.unwrap();
    stream.flush().await.unwrap();
    stream.shutdown().await.unwrap();
}

pub(crate) async fn v5_is_preferred() -> Outcome {
    let (_stream, container) = opened(&[V4, V5]).await;
    assert_eq!(container.offered, [V5, V4]);
    for part in ["/namespaces/default/pods/box/exec?", "container=sandbox", "stdin=true", "command=bridge"] {
        assert!(container.uri.contains(part), "{part} is not in {}", container.uri);
    }
    Ok(Completion::Completed)
}

pub(crate) async fn a_stream_is_one_request() -> Outcome {
    let mut server = Server::start(Answer::Choose(&[V5])).await;
    let stream = open(&server).await?;
    let container = server.exec().await;
    assert_eq!(server.requests(), 1);
    drop((stream, container));
    Ok(Completion::Completed)
}

pub(crate) async fn v5_ends_input_alone() -> Outcome {
    let (mut stream, mut container) = opened(&[V5]).await;
    hello(&mut stream).await;
    assert_eq!(container.cat().await, InputEnd::HalfClosed);
    container.send(channel::STDOUT, b" and after").await;
    let reading = async { (read(&mut stream).await, drop(stream)).0 };
    let ((said, error), ()) = tokio::join!(reading, container.end(exited(0)));
    assert_eq!(said, "hello and after");
    assert!(error.is_none(), "{error:?}");
    Ok(Completion::Completed)
}

pub(crate) async fn v4_is_taken() -> Outcome {
    let (mut stream, mut container) = opened(&[V4]).await;
    stream.write_all(b"hello").await?;
    stream.flush().await?;
    // What comes back is there before the connection ends: only the end of input has no frame of its own.
    let mut said = [0; 5];
    let (input, shut) = tokio::join!(container.cat(), async {
        stream.read_exact(&mut said).await.unwrap();
        stream.shutdown().await
    });
    shut?;
    assert_eq!((input, &said), (InputEnd::Disconnected, b"hello"));
    Ok(Completion::Completed)
}

pub(crate) async fn bytes_pass_both_ways() -> Outcome {
    for known in [&[V5], &[V4]] {
        let (stream, mut container) = opened(known).await;
        let sent: Vec<u8> = (0..1_000_000_u32).map(|i| (i / 7) as u8).collect();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let writing = async {
            writer.write_all(&sent).await.unwrap();
            writer.flush().await.unwrap();
        };
        let mut back = vec![0; sent.len()];
        tokio::select! {
            end = container.cat() => panic!("input ended: {end:?}"),
            (_, read) = async { tokio::join!(writing, reader.read_exact(&mut back)) } => drop(read?),
        }
        assert!(back == sent, "other bytes came back over {known:?}");
    }
    Ok(Completion::Completed)
}

pub(crate) async fn a_failed_bridge_is_a_lost_stream() -> Outcome {
    let no_container = failure(json!({ "message": "container not found (\"sandbox\")", "code": 500 }));
    for known in [&[V5], &[V4]] {
        for (said, status, message) in [
            ("oh-agent: no agent is listening\n", exited(1), "oh-agent: no agent is listening"),
            ("", exited(137), "command terminated with non-zero exit code: exit status 137"),
            ("", no_container.clone(), "container not found (\"sandbox\")"),
        ] {
            let (mut stream, mut container) = opened(known).await;
            container.send(channel::STDOUT, b"before").await;
            container.send(channel::STDERR, said.as_bytes()).await;
            let reading = async { (read(&mut stream).await, drop(stream)).0 };
            let ((bytes, error), ()) = tokio::join!(reading, container.end(status));
            let error = error.expect("it ended in order");
            assert_eq!((bytes.as_str(), error.message()), ("before", message));
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::StreamLost, Known::Unknown));
        }
    }
    Ok(Completion::Completed)
}

pub(crate) async fn an_end_without_status_is_a_lost_stream() -> Outcome {
    for known in [&[V5], &[V4]] {
        let (mut stream, mut container) = opened(known).await;
        container.send(channel::STDOUT, b"before").await;
        drop(container);
        let (bytes, error) = read(&mut stream).await;
        assert_eq!(bytes, "before");
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::StreamLost));
    }
    Ok(Completion::Completed)
}

pub(crate) async fn a_server_without_a_protocol_is_refused() -> Outcome {
    let server = Server::start(Answer::Choose(&["v1.channel.k8s.io"])).await;
    let error = open(&server).await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unsupported, Known::NotStarted), "{error}");
    assert!(error.message().contains("neither v5 nor v4"), "{error}");
    let server = Server::start(Answer::Forbid).await;
    let error = open(&server).await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Forbidden, Known::NotStarted), "{error}");
    Ok(Completion::Completed)
}
