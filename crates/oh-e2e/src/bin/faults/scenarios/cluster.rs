//! Parts of a cluster whose nodes are containers of this machine.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};
use tokio::time::sleep;

use super::program;
use crate::Outcome;

const CONTROL_PLANE: &str = "oh-control-plane";
/// Where sandboxes run.
const WORKER: &str = "oh-worker";
const LOOK: Duration = Duration::from_millis(100);

/// Why the cluster's parts cannot be disturbed, if they cannot.
pub(crate) async fn untouchable() -> Option<String> {
    let names = match program(&["docker", "ps", "--format", "{{.Names}}"]).await {
        Ok(names) => names,
        Err(error) => return Some(error.to_string()),
    };
    let missing = [CONTROL_PLANE, WORKER].into_iter().find(|node| !names.lines().any(|name| name == *node));
    missing.map(|node| format!("the engine has no container {node}"))
}

/// Kills the API server; ends when it is ready again.
pub(crate) async fn kill_api_server() -> Outcome {
    let client = Client::try_default().await?;
    let ready = || async {
        let request = http::Request::get("/readyz").body(Vec::new())?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(client.request_text(request).await.is_ok())
    };
    program(&["docker", "exec", CONTROL_PLANE, "pkill", "-KILL", "-x", "kube-apiserver"]).await?;
    while ready().await? {
        sleep(LOOK).await;
    }
    while !ready().await? {
        sleep(LOOK).await;
    }
    Ok(())
}

/// Restarts a service of the node where sandboxes run; ends when the node is ready.
pub(crate) async fn restart(service: &str) -> Outcome {
    program(&["docker", "exec", WORKER, "systemctl", "restart", service]).await?;
    let nodes = Api::<Node>::all(Client::try_default().await?);
    loop {
        let conditions = nodes.get(WORKER).await?.status.and_then(|status| status.conditions);
        if conditions.into_iter().flatten().any(|is| is.type_ == "Ready" && is.status == "True") {
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

/// How many Pods the node can have.
pub(crate) async fn room() -> Outcome<usize> {
    let nodes = Api::<Node>::all(Client::try_default().await?);
    let allocatable = nodes.get(WORKER).await?.status.and_then(|status| status.allocatable);
    let pods = allocatable.and_then(|all| all.get("pods").map(|quantity| quantity.0.clone()));
    Ok(pods.ok_or("the node says nothing about Pods")?.parse()?)
}
