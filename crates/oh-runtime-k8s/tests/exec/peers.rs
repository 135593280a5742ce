//! kube's own client against the scripted server.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams, AttachedProcess};
use libtest_mimic::Completion;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Outcome;
use crate::server::{Answer, InputEnd, POD, Server, V4, V5};

async fn exec(server: &Server) -> kube::Result<AttachedProcess> {
    let mut config = kube::Config::new(format!("http://{}", server.address).parse().unwrap());
    config.default_namespace = "default".to_owned();
    let pods: Api<Pod> = Api::default_namespaced(kube::Client::try_from(config).unwrap());
    let params = AttachParams::default().container("sandbox").stdin(true).stdout(true).stderr(true);
    pods.exec(POD, ["cat"], &params).await
}

/// Writes `hello`, ends the input, and returns all that came on both streams.
async fn hello(process: &mut AttachedProcess) -> (String, String) {
    let mut stdin = process.stdin().unwrap();
    let (mut stdout, mut stderr) = (process.stdout().unwrap(), process.stderr().unwrap());
    let (mut out, mut err) = (String::new(), String::new());
    let writing = async {
        stdin.write_all(b"hello").await.unwrap();
        stdin.shutdown().await.unwrap();
    };
    let (_, read_out, read_err) =
        tokio::join!(writing, stdout.read_to_string(&mut out), stderr.read_to_string(&mut err));
    read_out.unwrap();
    read_err.unwrap();
    (out, err)
}

pub(crate) async fn kube_rs_speaks_v5() -> Outcome {
    let mut server = Server::start(Answer::Choose(&[V5, V4])).await;
    let mut process = exec(&server).await?;
    let container = server.exec().await;
    assert_eq!(container.offered, [V5, V4]);
    assert!(container.uri.contains("/pods/box/exec?") && container.uri.contains("command=cat"));
    let status = process.take_status().unwrap();
    let (input, (out, err), status) = tokio::join!(container.play(0), hello(&mut process), status);
    assert_eq!(input, InputEnd::HalfClosed);
    assert_eq!((out.as_str(), err.as_str()), ("hello and after", "said"));
    assert_eq!(status.unwrap().status.as_deref(), Some("Success"));
    Ok(Completion::Completed)
}

pub(crate) async fn kube_rs_speaks_v4() -> Outcome {
    let mut server = Server::start(Answer::Choose(&[V4])).await;
    let mut process = exec(&server).await?;
    let container = server.exec().await;
    let (input, (out, _)) = tokio::join!(container.play(0), hello(&mut process));
    // There is no other way to say it, and what comes after is lost.
    assert_eq!((input, out.as_str()), (InputEnd::Disconnected, "hello"));
    Ok(Completion::Completed)
}

pub(crate) async fn kube_rs_hears_how_it_ended() -> Outcome {
    let mut server = Server::start(Answer::Choose(&[V5])).await;
    let mut process = exec(&server).await?;
    let container = server.exec().await;
    let status = process.take_status().unwrap();
    let (_, _, status) = tokio::join!(container.play(7), hello(&mut process), status);
    let status = status.unwrap();
    let causes = status.details.and_then(|details| details.causes).unwrap();
    assert_eq!(
        (status.reason.as_deref(), causes[0].message.as_deref()),
        (Some("NonZeroExitCode"), Some("7"))
    );
    Ok(Completion::Completed)
}

pub(crate) async fn kube_rs_refuses_what_it_does_not_know() -> Outcome {
    let server = Server::start(Answer::Choose(&["v1.channel.k8s.io"])).await;
    let error = exec(&server).await.map(drop).unwrap_err();
    assert!(matches!(error, kube::Error::UpgradeConnection(_)), "{error:?}");
    let server = Server::start(Answer::Forbid).await;
    let error = exec(&server).await.map(drop).unwrap_err();
    assert!(matches!(error, kube::Error::Api(ref status) if status.code == 403), "{error:?}");
    Ok(Completion::Completed)
}
