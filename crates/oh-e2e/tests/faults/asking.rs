//! One sandbox that cannot be had, or is lost.

use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Api;
use kube::api::PostParams;
use libtest_mimic::Failed;
use oh_e2e::oh::{Oh, run_id};
use oh_runtime::{CommandSpec, ErrorKind, Outcome, Runtime, SandboxExt, SandboxName, SandboxSpec, Selector};
use serde_json::json;

use crate::world::{IMAGE, OwnNamespace, check, delete_pod, refused, run, runtime};

fn spec(runtime: &Runtime, what: &str) -> Result<SandboxSpec, Failed> {
    let name = SandboxName::new(format!("{what}-{}", std::process::id()))?;
    Ok(runtime.spec(name, IMAGE))
}

async fn nothing_left(runtime: &Runtime, name: &SandboxName) -> Result<(), Failed> {
    let left = runtime.list(&Selector::name(name.clone())).await?;
    check(left.is_empty(), format!("{left:?} is left"))
}

pub(crate) fn fits_nowhere() -> Result<(), Failed> {
    run(async {
        let runtime = runtime(&[("resources.cpu", "1000"), ("k8s.schedule_timeout", "3s")]).await?;
        let spec = spec(&runtime, "nowhere")?;
        refused(runtime.create(&spec).await, ErrorKind::Unschedulable, &["Insufficient cpu"])?;
        nothing_left(&runtime, &spec.name).await
    })
}

pub(crate) fn over_the_quota() -> Result<(), Failed> {
    run(async {
        let namespace = OwnNamespace::make("quota").await?;
        let quotas = Api::<ResourceQuota>::namespaced(namespace.client.clone(), &namespace.name);
        let quota = json!({ "metadata": { "name": "no-more-pods" }, "spec": { "hard": { "pods": "0" } } });
        quotas.create(&PostParams::default(), &serde_json::from_value(quota)?).await?;
        let runtime = runtime(&[("k8s.namespace", &namespace.name)]).await?;
        let spec = spec(&runtime, "quota")?;
        let refused = refused(runtime.create(&spec).await, ErrorKind::Quota, &["no-more-pods"]);
        namespace.remove().await?;
        refused.map(drop)
    })
}

pub(crate) fn no_namespace() -> Result<(), Failed> {
    run(async {
        let runtime = runtime(&[("k8s.namespace", "oh-no-such-namespace")]).await?;
        let words = ["oh-no-such-namespace", "OH_K8S_NAMESPACE"];
        refused(runtime.create(&spec(&runtime, "homeless")?).await, ErrorKind::Config, &words).map(drop)
    })
}

/// As somebody without any right.
pub(crate) fn forbidden() -> Result<(), Failed> {
    let mut config = kube::config::Kubeconfig::read()?;
    for user in &mut config.auth_infos {
        if let Some(user) = &mut user.auth_info {
            user.impersonate = Some("nobody".to_owned());
        }
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, serde_json::to_vec(&config)?)?;
    let file = file.to_string_lossy();
    run(async {
        let runtime = runtime(&[("k8s.kubeconfig", &file)]).await?;
        let words = ["\"nobody\"", "cannot ", "Role"];
        refused(runtime.create(&spec(&runtime, "forbidden")?).await, ErrorKind::Forbidden, &words)?;
        let words = ["cannot list", "pods", "Role"];
        refused(runtime.list(&Selector::default()).await, ErrorKind::Forbidden, &words).map(drop)
    })
}

pub(crate) fn no_image() -> Result<(), Failed> {
    run(async {
        let runtime = runtime(&[]).await?;
        let spec = SandboxSpec { image: "oh-no-such-image:1".to_owned(), ..spec(&runtime, "imageless")? };
        let Err(error) = runtime.create(&spec).await else { return Err("it was made".into()) };
        // Which of them, the registry says, and it may be out of reach.
        let kinds = [ErrorKind::ImageNotFound, ErrorKind::ImageDenied, ErrorKind::RegistryUnavailable];
        check(kinds.contains(&error.kind()), format!("{error:?}"))?;
        check(error.to_string().contains("oh-no-such-image"), format!("{error:?}"))?;
        nothing_left(&runtime, &spec.name).await
    })
}

fn oh(kubeconfig: &str, code: i32, words: &[&str]) -> Result<(), Failed> {
    let words_of = ["run", "--image", IMAGE, "--", "true"];
    let ran = Oh::new("k8s")?.args(words_of).env("KUBECONFIG", kubeconfig).run()?;
    check(ran.code == Some(code), format!("{ran:?}"))?;
    match words.iter().find(|word| !ran.stderr.contains(**word)) {
        Some(word) => Err(format!("{word:?} is missing: {ran:?}").into()),
        None => Ok(()),
    }
}

pub(crate) fn no_server() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kubeconfig");
    // Port 9 is for discarding; nobody listens there.
    let config = json!({
        "clusters": [{ "name": "c", "cluster": { "server": "https://127.0.0.1:9" } }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
        "users": [{ "name": "u", "user": {} }],
        "current-context": "c",
    });
    std::fs::write(&file, config.to_string())?;
    oh(&file.to_string_lossy(), 125, &["https://127.0.0.1:9", "cannot be reached", "kubeconfig"])
}

pub(crate) fn no_kubeconfig() -> Result<(), Failed> {
    oh("/there/is/none", 125, &["/there/is/none", "KUBECONFIG"])?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, "clusters: [")?;
    let file = file.to_string_lossy();
    oh(&file, 125, &[&file, "cannot be read"])
}

pub(crate) fn deleted_during_a_command() -> Result<(), Failed> {
    run(async {
        let runtime = runtime(&[]).await?;
        let spec = SandboxSpec {
            run: Some(oh_runtime::RunId::new(run_id("deleted"))?),
            ..spec(&runtime, "deleted")?
        };
        let sandbox = runtime.create(&spec).await?;
        let mut process = sandbox.start(CommandSpec::new(["sleep", "600"])).await?;
        delete_pod(spec.name.as_str()).await?;
        let error = refused(process.wait().await, ErrorKind::Deleted, &["removed"])?;
        check(error.outcome() == Outcome::Unknown, format!("{error:?}"))?;
        let again = refused(sandbox.run(CommandSpec::new(["true"])).await, ErrorKind::Deleted, &[])?;
        check(again.outcome() == Outcome::NotStarted, format!("{again:?}"))?;
        sandbox.close().await?;
        nothing_left(&runtime, &spec.name).await
    })
}
