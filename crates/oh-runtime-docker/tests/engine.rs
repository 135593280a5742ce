//! What only a real engine can show: names, volumes and images of it. What every backend has to do is shown by the
//! conformance suite.
//!
//! Needs an engine, the agent (`OH_AGENT`, or what `cargo xtask agent` made) and the image `oh-test:1` (`cargo xtask
//! images`); says which is missing otherwise.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bollard::models::{ContainerCreateBody, HostConfig, Mount as EngineMount, MountType};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveVolumeOptions, UploadToContainerOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures::future::{BoxFuture, join_all};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use oh_runtime_api::{
    AgentPayload, Backend, DeleteReport, Delivery, ErrorKind, Incarnation, Mount, RunId, SandboxName,
    SandboxSpec, SandboxState, Selector,
};
use oh_runtime_docker::{DockerBackend, DockerConfig, PullPolicy};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const IMAGE: &str = "oh-test:1";
const SOCKET: &str = "unix:///var/run/docker.sock";
const TTL: Duration = Duration::from_secs(300);

type Outcome = Result<(), Failed>;

fn main() {
    let arguments = Arguments::from_args();
    let trials = vec![
        trial("creating_twice_is_one_sandbox", |e| Box::pin(creating_twice_is_one_sandbox(e))),
        trial("another_specification_is_a_conflict", |e| Box::pin(another_specification_is_a_conflict(e))),
        trial("what_is_not_ours_is_left_alone", |e| Box::pin(what_is_not_ours_is_left_alone(e))),
        trial("a_bad_request_leaves_nothing", |e| Box::pin(a_bad_request_leaves_nothing(e))),
        trial("eight_at_once_share_an_empty_volume", |e| Box::pin(eight_at_once_share_an_empty_volume(e))),
        trial("a_half_filled_volume_is_completed", |e| Box::pin(a_half_filled_volume_is_completed(e))),
        trial("a_changed_agent_is_refused", |e| Box::pin(a_changed_agent_is_refused(e))),
        trial("a_removed_volume_is_filled_again", |e| Box::pin(a_removed_volume_is_filled_again(e))),
        trial("only_an_unused_agent_is_removed", |e| Box::pin(only_an_unused_agent_is_removed(e))),
        trial("an_ended_sandbox_says_so", |e| Box::pin(an_ended_sandbox_says_so(e))),
        trial("a_replaced_sandbox_is_never_reached", |e| Box::pin(a_replaced_sandbox_is_never_reached(e))),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

/// What a test works with. Everything it makes is removed after it.
struct Engine {
    docker: Docker,
    config: DockerConfig,
    backend: DockerBackend,
    /// Nobody else's: its volume is this test's alone.
    agent: AgentPayload,
    run: RunId,
}

fn trial(name: &'static str, test: fn(Arc<Engine>) -> BoxFuture<'static, Outcome>) -> Trial {
    Trial::ignorable_test(name, move || {
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(async {
            let engine = match Engine::find(name).await {
                Ok(engine) => Arc::new(engine),
                Err(missing) => return Ok(Completion::ignored_with(missing)),
            };
            let result = test(Arc::clone(&engine)).await;
            let cleaned = engine.clean_up().await;
            result?;
            cleaned?;
            Ok(Completion::Completed)
        })
    })
}

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "steers the tests, is no setting of the product")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn agent_path() -> Option<PathBuf> {
    if let Some(path) = variable("OH_AGENT") {
        return Some(path.into());
    }
    // Tests are in `deps` of the folder it is placed in.
    let built = std::env::current_exe().ok()?;
    Some(built.parent()?.parent()?.join(format!("oh-agent-{}", std::env::consts::ARCH)))
}

impl Engine {
    async fn find(test: &str) -> Result<Self, String> {
        let host = variable("DOCKER_HOST").unwrap_or_else(|| SOCKET.to_owned());
        let config =
            DockerConfig { host: Some(host.clone()), pull: PullPolicy::Never, ..DockerConfig::default() };
        let backend = DockerBackend::connect(config.clone()).await.map_err(|error| error.to_string())?;
        let docker = Docker::connect_with_unix(&host, 60, API_DEFAULT_VERSION).map_err(|e| e.to_string())?;
        docker.inspect_image(IMAGE).await.map_err(|e| format!("no image {IMAGE}: {e}"))?;
        let path = agent_path().ok_or("no folder to look for the agent in")?;
        let mut bytes = std::fs::read(&path).map_err(|e| format!("no agent at {}: {e}", path.display()))?;
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        // What is behind an executable's own end makes it another file and changes nothing.
        bytes.extend_from_slice(format!("{test} {now} {}", std::process::id()).as_bytes());
        let digest = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let agent = AgentPayload {
            bytes: bytes.into(),
            digest,
            loader: None,
            arch: std::env::consts::ARCH.to_owned(),
            delivery: Delivery::Upload,
        };
        let run = RunId::new(format!("engine-{now}-{}", std::process::id())).map_err(|e| e.to_string())?;
        Ok(Self { docker, config, backend, agent, run })
    }

    fn spec(&self, id: &str) -> SandboxSpec {
        let name = SandboxName::derive(&self.run, id);
        SandboxSpec { run: Some(self.run.clone()), ..SandboxSpec::new(name, IMAGE, "engine tests", TTL) }
    }

    fn volume(&self) -> String {
        format!("oh-agent-{}", &self.agent.digest[..16])
    }

    async fn listed(&self, spec: &SandboxSpec) -> Result<Vec<(Incarnation, SandboxState)>, Failed> {
        let found = self.backend.list(&Selector::name(spec.name.clone())).await?;
        Ok(found.into_iter().map(|info| (info.incarnation, info.state)).collect())
    }

    /// A container that the backend did not make, with the test's volume, never started.
    async fn other_container(&self, name: &str) -> Result<String, Failed> {
        let body = ContainerCreateBody {
            image: Some(IMAGE.to_owned()),
            entrypoint: Some(vec!["/bin/true".to_owned()]),
            labels: Some([("engine-test".to_owned(), self.run.to_string())].into()),
            host_config: Some(HostConfig {
                mounts: Some(vec![EngineMount {
                    typ: Some(MountType::VOLUME),
                    source: Some(self.volume()),
                    target: Some("/.oh".to_owned()),
                    ..EngineMount::default()
                }]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        Ok(self.docker.create_container(Some(options), body).await?.id)
    }

    /// Puts `bytes` into the volume in the agent's place.
    async fn put(&self, bytes: &[u8]) -> Outcome {
        let container = self.other_container(&format!("{}-put", self.volume())).await?;
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o555);
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_data(&mut header, "oh-agent", bytes)?;
        let options = UploadToContainerOptionsBuilder::default().path("/.oh").build();
        let body = bollard::body_full(builder.into_inner()?.into());
        self.docker.upload_to_container(&container, Some(options), body).await?;
        self.remove_container(&container).await
    }

    async fn remove_container(&self, id: &str) -> Outcome {
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        Ok(self.docker.remove_container(id, Some(options)).await?)
    }

    async fn clean_up(&self) -> Outcome {
        for label in [format!("oh.run={}", self.run), format!("engine-test={}", self.run)] {
            let options = ListContainersOptionsBuilder::default()
                .all(true)
                .filters(&[("label".to_owned(), vec![label])].into())
                .build();
            for left in self.docker.list_containers(Some(options)).await? {
                self.remove_container(&left.id.unwrap_or_default()).await?;
            }
        }
        match self.docker.remove_volume(&self.volume(), None::<RemoveVolumeOptions>).await {
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// Fails unless an agent answers in the sandbox.
    async fn answers(&self, id: &Incarnation) -> Outcome {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let mut stream = self.backend.open_stream(id).await?;
            let mut magic = [0; 8];
            // The version is no real one: the agent only has to say who it is.
            stream.write_all(b"oh-agent\xff\xff\0\0").await?;
            stream.flush().await?;
            match stream.read_exact(&mut magic).await {
                Ok(_) if &magic == b"oh-agent" => return Ok(()),
                Ok(_) => return Err(format!("{magic:?} answers").into()),
                // It may not listen yet.
                Err(error) if tokio::time::Instant::now() > deadline => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

fn check(holds: bool, what: impl std::fmt::Debug) -> Outcome {
    if holds { Ok(()) } else { Err(format!("{what:?}").into()) }
}

/// The error, which has to be of `kind`.
fn refused<T>(result: oh_runtime_api::Result<T>, kind: ErrorKind) -> Result<oh_runtime_api::Error, Failed> {
    match result {
        Ok(_) => Err(format!("it works, {kind:?} was expected").into()),
        Err(error) if error.kind() == kind => Ok(error),
        Err(error) => Err(format!("{kind:?} was expected: {error:?}").into()),
    }
}

async fn creating_twice_is_one_sandbox(engine: Arc<Engine>) -> Outcome {
    let (spec, agent) = (engine.spec("a"), &engine.agent);
    let first = engine.backend.create(&spec, agent).await?;
    engine.answers(&first).await?;
    let other = DockerBackend::connect(engine.config.clone()).await?;
    let (again, at_once) = tokio::join!(other.create(&spec, agent), engine.backend.create(&spec, agent));
    check((again?, at_once?) == (first.clone(), first.clone()), "another sandbox was made")?;
    check(engine.listed(&spec).await? == [(first.clone(), SandboxState::Running)], "it is not listed once")?;
    check(engine.backend.delete(&first).await? == DeleteReport::Deleted, "first removal")?;
    check(engine.backend.delete(&first).await? == DeleteReport::AlreadyGone, "second removal")?;
    check(engine.listed(&spec).await?.is_empty(), "it is still listed")?;
    // The agent is for the next one.
    engine.docker.inspect_volume(&engine.volume()).await?;
    Ok(())
}

async fn another_specification_is_a_conflict(engine: Arc<Engine>) -> Outcome {
    let spec = engine.spec("a");
    let id = engine.backend.create(&spec, &engine.agent).await?;
    let other = SandboxSpec { env: [("A".into(), "1".into())].into(), ..spec.clone() };
    let error = refused(engine.backend.create(&other, &engine.agent).await, ErrorKind::Conflict)?;
    check(error.to_string().contains(spec.name.as_str()), error)?;
    check(engine.listed(&spec).await? == [(id, SandboxState::Running)], "the first one is not as it was")
}

async fn what_is_not_ours_is_left_alone(engine: Arc<Engine>) -> Outcome {
    let spec = engine.spec("a");
    let foreign = engine.other_container(spec.name.as_str()).await?;
    let error = refused(engine.backend.create(&spec, &engine.agent).await, ErrorKind::Conflict)?;
    check(error.to_string().contains("not a sandbox"), error)?;
    check(engine.listed(&spec).await?.is_empty(), "it is listed")?;
    let gone = Incarnation { name: spec.name.clone(), uid: "0".repeat(64) };
    check(engine.backend.delete(&gone).await? == DeleteReport::AlreadyGone, "something was removed")?;
    check(engine.docker.inspect_container(&foreign, None).await.is_ok(), "the container is gone")
}

async fn a_bad_request_leaves_nothing(engine: Arc<Engine>) -> Outcome {
    let spec = engine.spec("a");
    let mount = Mount { source: "/there/is/nothing".into(), target: "/data".into(), read_only: true };
    let user = SandboxSpec { user: Some("nobody-of-this-name".into()), ..spec.clone() };
    let requests = [
        (SandboxSpec { image: "oh-there/is-none:1".into(), ..spec.clone() }, ErrorKind::ImageNotFound),
        (SandboxSpec { image: "No Name".into(), ..spec.clone() }, ErrorKind::ImageInvalid),
        (SandboxSpec { image: "UPPER/case:1".into(), ..spec.clone() }, ErrorKind::ImageInvalid),
        (SandboxSpec { mounts: vec![mount], ..spec.clone() }, ErrorKind::Config),
        (user, ErrorKind::Config),
    ];
    for (request, kind) in requests {
        refused(engine.backend.create(&request, &engine.agent).await, kind)?;
        check(engine.listed(&spec).await?.is_empty(), request)?;
    }
    let config = DockerConfig { network: Some("there-is-none".into()), ..engine.config.clone() };
    let backend = DockerBackend::connect(config).await?;
    refused(backend.create(&spec, &engine.agent).await, ErrorKind::Config)?;
    check(engine.listed(&spec).await?.is_empty(), "left without a network")
}

async fn eight_at_once_share_an_empty_volume(engine: Arc<Engine>) -> Outcome {
    // Each as a process of its own would have it.
    let made = join_all((0..8).map(|number| {
        let engine = Arc::clone(&engine);
        async move {
            let backend = DockerBackend::connect(engine.config.clone()).await?;
            backend.create(&engine.spec(&number.to_string()), &engine.agent).await
        }
    }));
    for id in made.await {
        engine.answers(&id?).await?;
    }
    let lock = format!("{}-fill", engine.volume());
    check(engine.docker.inspect_container(&lock, None).await.is_err(), "the filling container is left")?;
    let volume = engine.docker.inspect_volume(&engine.volume()).await?;
    check(volume.labels.get("oh.agent") == Some(&engine.agent.digest), volume.labels)
}

async fn a_half_filled_volume_is_completed(engine: Arc<Engine>) -> Outcome {
    engine.put(&engine.agent.bytes[..100_000]).await?;
    // Whoever was filling it was killed, and holds the lock for ever.
    engine.other_container(&format!("{}-fill", engine.volume())).await?;
    let id = engine.backend.create(&engine.spec("a"), &engine.agent).await?;
    engine.answers(&id).await
}

async fn a_changed_agent_is_refused(engine: Arc<Engine>) -> Outcome {
    let mut changed = engine.agent.bytes.to_vec();
    changed[50_000] ^= 1;
    engine.put(&changed).await?;
    let spec = engine.spec("a");
    let error = refused(engine.backend.create(&spec, &engine.agent).await, ErrorKind::Forbidden)?;
    check(error.to_string().contains(&engine.volume()), error)?;
    check(engine.listed(&spec).await?.is_empty(), "something is left")
}

async fn a_removed_volume_is_filled_again(engine: Arc<Engine>) -> Outcome {
    let spec = engine.spec("a");
    let first = engine.backend.create(&spec, &engine.agent).await?;
    engine.backend.delete(&first).await?;
    engine.docker.remove_volume(&engine.volume(), None::<RemoveVolumeOptions>).await?;
    let second = engine.backend.create(&spec, &engine.agent).await?;
    engine.answers(&second).await
}

/// Only looks: tests of other agents run at the same time.
async fn only_an_unused_agent_is_removed(engine: Arc<Engine>) -> Outcome {
    let (spec, volume) = (engine.spec("a"), engine.volume());
    let would = async || engine.backend.collect_agents(true).await.map(|names| names.contains(&volume));
    check(!would().await?, "it was never there")?;
    let id = engine.backend.create(&spec, &engine.agent).await?;
    check(!would().await?, "a sandbox has it")?;
    // The engine itself refuses what a race could ask for.
    let removed = engine.docker.remove_volume(&volume, None::<RemoveVolumeOptions>).await;
    check(removed.is_err(), "the engine removes what a container has")?;
    engine.backend.delete(&id).await?;
    check(would().await?, "nobody has it")
}

async fn an_ended_sandbox_says_so(engine: Arc<Engine>) -> Outcome {
    let spec = SandboxSpec { ttl: Duration::from_secs(1), ..engine.spec("a") };
    let id = engine.backend.create(&spec, &engine.agent).await?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while engine.listed(&spec).await? != [(id.clone(), SandboxState::Exited)] {
        check(tokio::time::Instant::now() < deadline, "it does not end")?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    refused(engine.backend.open_stream(&id).await, ErrorKind::Ended)?;
    let error = refused(engine.backend.create(&spec, &engine.agent).await, ErrorKind::Conflict)?;
    check(error.to_string().contains("has ended"), error)?;
    let evidence = engine.backend.evidence(&id).await?;
    let expected = evidence.exit_code == Some(0) && !evidence.oom_killed;
    check(expected && evidence.log_tail.contains("time to live"), evidence)
}

async fn a_replaced_sandbox_is_never_reached(engine: Arc<Engine>) -> Outcome {
    let (spec, backend) = (engine.spec("a"), &engine.backend);
    let old = backend.create(&spec, &engine.agent).await?;
    backend.delete(&old).await?;
    refused(backend.open_stream(&old).await, ErrorKind::NotFound)?;
    refused(backend.evidence(&old).await, ErrorKind::NotFound)?;
    let new = backend.create(&spec, &engine.agent).await?;
    refused(backend.open_stream(&old).await, ErrorKind::Replaced)?;
    check(backend.delete(&old).await? == DeleteReport::AlreadyGone, "the old one was removed again")?;
    engine.answers(&new).await
}
