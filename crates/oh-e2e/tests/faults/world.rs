//! The cluster, and ways to harm it that are undone when a test ends.

use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use libtest_mimic::Failed;
use oh_config::Config;
use oh_runtime::{ErrorKind, Runtime};

pub(crate) const IMAGE: &str = "oh-test:1";
const CONTROL_PLANE: &str = "oh-control-plane";
const WORKER: &str = "oh-worker";

/// Runs an asynchronous test.
pub(crate) fn run<T>(test: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(test)
}

/// The backend k8s with small sandboxes, and some options more.
pub(crate) async fn runtime(options: &[(&str, &str)]) -> Result<Runtime, Failed> {
    let mut builder = Config::builder()
        .set("runtime", "the test", Some("k8s"))
        .set("resources.cpu", "the test", Some("0.05"))
        .set("resources.memory", "the test", Some("1Gi"));
    for (key, value) in options {
        builder = builder.set(key, "the test", Some(*value));
    }
    Ok(Runtime::open(&builder.load()?).await?)
}

/// Fails unless `result` is an error of this kind that says these words.
pub(crate) fn refused<T>(
    result: oh_runtime::Result<T>,
    kind: ErrorKind,
    words: &[&str],
) -> Result<oh_runtime::Error, Failed> {
    let Err(error) = result else { return Err("it went well".into()) };
    let said = format!("{error:?} {error}");
    if error.kind() != kind {
        return Err(format!("not {kind:?}: {said}").into());
    }
    match words.iter().find(|word| !said.contains(**word)) {
        Some(word) => Err(format!("{word:?} is missing: {said}").into()),
        None => Ok(error),
    }
}

/// Fails with `otherwise` unless it holds.
pub(crate) fn check(holds: bool, otherwise: impl Into<String>) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(otherwise.into().into()) }
}

/// Asks until it holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> Result<bool, Failed>) -> Result<(), Failed> {
    let started = Instant::now();
    while !holds()? {
        check(started.elapsed() < Duration::from_secs(180), format!("{what} does not happen"))?;
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

/// A namespace of a test's own.
pub(crate) struct OwnNamespace {
    pub(crate) name: String,
    pub(crate) client: Client,
}

impl OwnNamespace {
    pub(crate) async fn make(what: &str) -> Result<Self, Failed> {
        let client = Client::try_default().await?;
        let name = format!("oh-{what}-{}", std::process::id());
        let namespace = serde_json::from_value(serde_json::json!({ "metadata": { "name": &name } }))?;
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await?;
        Ok(Self { name, client })
    }

    pub(crate) async fn remove(self) -> Result<(), Failed> {
        let all = Api::<Namespace>::all(self.client);
        all.delete(&self.name, &DeleteParams::default()).await?;
        Ok(())
    }
}

/// Deletes a Pod as somebody else would.
pub(crate) async fn delete_pod(name: &str) -> Result<(), Failed> {
    let pods = Api::<Pod>::default_namespaced(Client::try_default().await?);
    pods.delete(name, &DeleteParams::default()).await?;
    Ok(())
}

/// The node sandboxes run on, if it is a container of this machine.
pub(crate) fn worker() -> Result<&'static str, Failed> {
    let names = docker(&["ps", "--format", "{{.Names}}"])?;
    match names.lines().any(|name| name == WORKER) {
        true => Ok(WORKER),
        false => Err(format!("the engine has no container {WORKER}").into()),
    }
}

/// A node that does not run until this is dropped.
pub(crate) struct Paused(&'static str);

impl Paused {
    pub(crate) fn node() -> Result<Self, Failed> {
        let worker = worker()?;
        docker(&["pause", worker])?;
        Ok(Self(worker))
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        if let Err(error) = docker(&["unpause", self.0]) {
            eprintln!("{} stays paused: {error:?}", self.0);
        }
    }
}

/// Kills the API server; the node's kubelet starts it again.
pub(crate) fn kill_api_server() -> Result<(), Failed> {
    docker(&["exec", CONTROL_PLANE, "pkill", "-KILL", "-x", "kube-apiserver"]).map(drop)
}

/// Waits until sandboxes can be made again.
pub(crate) fn recovered() -> Result<(), Failed> {
    until("a ready node", || {
        run(async {
            let nodes = Api::<k8s_openapi::api::core::v1::Node>::all(Client::try_default().await?);
            let Ok(node) = nodes.get(WORKER).await else { return Ok(false) };
            let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
            let tainted = node.spec.and_then(|spec| spec.taints).is_some_and(|taints| !taints.is_empty());
            Ok(!tainted && conditions.iter().any(|is| is.type_ == "Ready" && is.status == "True"))
        })
    })
}

fn docker(arguments: &[&str]) -> Result<String, Failed> {
    let done = Command::new("docker").args(arguments).output()?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    Err(format!("docker {arguments:?}: {}", String::from_utf8_lossy(&done.stderr)).into())
}
