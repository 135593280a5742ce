//! Making, finding and removing sandboxes.

use std::collections::BTreeMap;
use std::time::Duration;

use oh_runtime_api::{
    AgentPayload, Delivery, ErrorKind, Incarnation, Labels, Resources, Restrictions, SandboxInfo,
    SandboxName, SandboxSpec, SandboxState, label,
};

use super::fake::{Attempt, Commands, Fake, evidence, id, info};
use crate::{Defaults, Runtime};

const AGENT: Attempt = Attempt::Agent(1, Commands::End);

fn agent() -> AgentPayload {
    AgentPayload {
        bytes: "agent".into(),
        digest: "d".into(),
        loader: None,
        arch: "x".into(),
        delivery: Delivery::Upload,
    }
}

fn runtime(fake: &Fake) -> Runtime {
    let defaults = Defaults {
        owner: "me".into(),
        ttl: Duration::from_secs(60),
        lease: Duration::from_secs(900),
        resources: Resources { pids: 7, ..Resources::default() },
        env: BTreeMap::from([("TOKEN".into(), "s3cret".into())]),
        mounts: Vec::new(),
        user: Some("1000".into()),
        restrictions: Restrictions::default(),
        start_timeout: Duration::from_secs(30),
    };
    Runtime::new(fake.backend(), agent(), defaults)
}

fn spec(runtime: &Runtime) -> SandboxSpec {
    runtime.spec(id().name, "image")
}

fn left(fake: &Fake) -> usize {
    fake.change(|state| state.sandboxes.len())
}

#[test]
fn a_specification_has_the_defaults_and_debug_output_no_secrets() {
    let runtime = runtime(&Fake::default());
    let spec = spec(&runtime);
    assert_eq!((spec.owner.as_str(), spec.image.as_str(), spec.resources.pids), ("me", "image", 7));
    assert_eq!((spec.user.as_deref(), spec.env["TOKEN"].as_str()), (Some("1000"), "s3cret"));
    assert_eq!((spec.ttl, runtime.to_string().as_str()), (Duration::from_secs(60), "fake"));
    let shown = format!("{runtime:?}");
    assert!(shown.contains("TOKEN") && !shown.contains("s3cret"), "{shown}");
    assert_eq!(runtime.render(&spec).unwrap(), "d");
}

#[tokio::test(start_paused = true)]
async fn what_is_made_is_connected() {
    let fake = Fake::default();
    fake.change(|state| state.attempts = [Attempt::Cut, AGENT].into());
    let runtime = runtime(&fake);
    let sandbox = runtime.create(&spec(&runtime)).await.unwrap();
    assert_eq!(sandbox.to_string(), "sandbox box on fake");
    assert_eq!(left(&fake), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_creation_is_removed_and_its_error_has_the_evidence() {
    for (attempt, stuck, kind) in [
        (Attempt::Silent, false, ErrorKind::Deadline),
        (Attempt::Foreign, false, ErrorKind::Version),
        (AGENT, true, ErrorKind::Deadline),
    ] {
        let fake = Fake::default();
        fake.change(|state| {
            state.attempts = [attempt].into();
            state.stuck = stuck;
            state.evidence = Some(evidence("cannot listen\n", false));
        });
        let runtime = runtime(&fake);
        let error = runtime.create(&spec(&runtime)).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (kind, "create sandbox box"), "{error}");
        let seen = error.facts().any(|fact| fact == ("log", "cannot listen"));
        assert_eq!(seen, kind == ErrorKind::Deadline && !stuck, "{error:?}");
        assert_eq!(left(&fake), 0, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_there_before_a_failed_creation_stays() {
    let fake = Fake::default();
    let runtime = runtime(&fake);
    let labels = spec(&runtime).labels(&agent(), std::time::SystemTime::now());
    fake.change(|state| {
        state.sandboxes = vec![SandboxInfo { labels, ..info("before", SandboxState::Running) }];
        state.attempts = [Attempt::Foreign].into();
    });
    assert_eq!(runtime.create(&spec(&runtime)).await.unwrap_err().kind(), ErrorKind::Version);
    assert_eq!(left(&fake), 1);
}

#[tokio::test(start_paused = true)]
async fn attaching_is_typed() {
    let fake = Fake::with(SandboxState::Running, [AGENT]);
    let runtime = runtime(&fake);
    assert_eq!(*runtime.attach(&id().name).await.unwrap().incarnation(), id());
    let other = SandboxName::new("other").unwrap();
    let error = runtime.attach(&other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        runtime.logs(&other, crate::LogOptions::default()).await.err().map(|error| error.kind()),
        Some(ErrorKind::NotFound)
    );
    for (oom, kind) in [(false, ErrorKind::Ended), (true, ErrorKind::OomKilled)] {
        fake.change(|state| {
            state.sandboxes = vec![info("uid", SandboxState::Exited)];
            state.evidence = Some(evidence("its time to live is over\n", oom));
        });
        let error = runtime.attach(&id().name).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[tokio::test]
async fn only_own_and_expired_sandboxes_are_reaped() {
    let fake = Fake::default();
    let sandbox = |name: &str, owner: Option<&str>, expires: Option<&str>| {
        let pairs = [(label::OWNER, owner), (label::EXPIRES, expires)];
        let labels: Labels =
            pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
        let incarnation = Incarnation { name: SandboxName::new(name).unwrap(), uid: name.into() };
        SandboxInfo { incarnation, state: SandboxState::Running, created: None, labels }
    };
    // Whatever a backend's selection lets through.
    fake.change(|state| {
        state.sandboxes = vec![
            sandbox("expired", Some("me"), Some("1000")),
            sandbox("living", Some("me"), Some("99999999999")),
            sandbox("theirs", Some("you"), Some("1000")),
            sandbox("nobodys", None, Some("1000")),
            sandbox("timeless", Some("me"), None),
            sandbox("malformed", Some("me"), Some("-1")),
        ];
    });
    let reaped = runtime(&fake).reap_expired().await.unwrap();
    assert_eq!(reaped, [SandboxName::new("expired").unwrap()]);
    assert_eq!(left(&fake), 5);
}

#[tokio::test(start_paused = true)]
async fn a_way_that_fails_is_not_the_last() {
    let ways = || {
        vec![
            Delivery::Upload,
            Delivery::Image("agents:1".into()),
            Delivery::Present("/opt/oh-agent".into()),
            Delivery::Memory,
        ]
    };
    let fake = Fake::default();
    fake.change(|state| {
        state.attempts = [AGENT].into();
        state.closed = vec!["upload", "image"];
    });
    let runtime = runtime(&fake).with_agent(agent(), ways());
    let delivered = |fake: &Fake| fake.change(|state| state.sandboxes[0].labels[label::DELIVERY].clone());
    runtime.create(&spec(&runtime)).await.unwrap();
    assert_eq!(delivered(&fake), "present");
    // What failed while this worked is not tried again.
    fake.change(|state| {
        state.sandboxes.clear();
        state.closed = vec!["image"];
    });
    runtime.create(&spec(&runtime)).await.unwrap();
    assert_eq!(delivered(&fake), "present");
    // Every way is said.
    fake.change(|state| {
        state.sandboxes.clear();
        state.closed = vec!["upload", "image", "present", "memory"];
    });
    let runtime = runtime.with_agent(agent(), ways());
    let error = runtime.create(&spec(&runtime)).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::DeliveryFailed, "create sandbox box"));
    for way in ["upload", "image", "present", "memory"] {
        assert!(error.message().contains(&format!("{way} is closed")), "{error}");
    }
    assert_eq!(left(&fake), 0);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_was_started_and_not_executed_is_delivered_another_way() {
    let fake = Fake::default();
    fake.change(|state| {
        state.attempts = [Attempt::Cut, AGENT].into();
        state.starts = [SandboxState::Exited, SandboxState::Running].into();
        state.evidence = Some(evidence(
            "standard_init_linux.go:228: exec user process caused: exec format error\n",
            false,
        ));
    });
    let runtime = runtime(&fake).with_agent(agent(), vec![Delivery::Upload, Delivery::Memory]);
    runtime.create(&spec(&runtime)).await.unwrap();
    assert_eq!(fake.change(|state| state.sandboxes[0].labels[label::DELIVERY].clone()), "memory");
}
