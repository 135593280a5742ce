//! Statuses as servers report them.

use serde_json::{Value, json};

use super::*;

fn pod(status: Value) -> Pod {
    let spec = json!({
        "nodeName": "worker",
        "initContainers": [{ "name": "oh-agent", "image": "img:1" }],
        "containers": [{ "name": "sandbox", "image": "img:1" }],
    });
    serde_json::from_value(json!({ "metadata": { "name": "box" }, "spec": spec, "status": status })).unwrap()
}

fn judged(status: Value) -> Prospect {
    prospect(&pod(status), &[])
}

fn waiting(container: &str, reason: &str, message: &str) -> Value {
    let key = if container == "sandbox" { "containerStatuses" } else { "initContainerStatuses" };
    let state = json!({ "waiting": { "reason": reason, "message": message } });
    let fields = json!({ "name": container, "state": state, "image": "img:1", "imageID": "", "ready": false, "restartCount": 0 });
    json!({ "phase": "Pending", key: [fields] })
}

fn terminated(container: &str, code: i32, reason: &str, message: &str) -> Value {
    let key = if container == "sandbox" { "containerStatuses" } else { "initContainerStatuses" };
    let state = json!({ "terminated": { "exitCode": code, "reason": reason, "message": message } });
    let fields = json!({ "name": container, "state": state, "image": "img:1", "imageID": "", "ready": false, "restartCount": 0 });
    json!({ "phase": "Failed", key: [fields] })
}

fn kind(prospect: &Prospect) -> ErrorKind {
    match prospect {
        Prospect::Hopeless(kind, _) => *kind,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pod_on_its_way_is_waited_for() {
    assert!(matches!(judged(json!({ "phase": "Pending" })), Prospect::Pending(_)));
    for reason in ["ContainerCreating", "PodInitializing", "SomethingNew"] {
        assert!(matches!(judged(waiting("sandbox", reason, "")), Prospect::Pending(_)), "{reason}");
    }
    assert!(matches!(judged(terminated("oh-agent", 0, "Completed", "")), Prospect::Pending(_)));
}

#[test]
fn our_container_decides_and_no_other() {
    let running = |name: &str| {
        json!({ "phase": "Running", "containerStatuses": [
            { "name": name, "state": { "running": {} }, "image": "", "imageID": "", "ready": true, "restartCount": 0 }
        ] })
    };
    assert_eq!(judged(running("sandbox")), Prospect::Runs);
    assert!(matches!(judged(running("sidecar")), Prospect::Pending(_)));
}

#[test]
fn the_schedulers_words_are_kept() {
    let words = "0/2 nodes are available: 2 Insufficient memory.";
    let condition = |status: &str| {
        json!({ "phase": "Pending", "conditions": [
            { "type": "PodScheduled", "status": status, "reason": "Unschedulable", "message": words }
        ] })
    };
    assert_eq!(judged(condition("False")), Prospect::Unschedulable(words.to_owned()));
    assert!(matches!(judged(condition("True")), Prospect::Pending(_)));
}

#[test]
fn an_image_that_cannot_be_had_is_typed() {
    for (wanted, said) in [
        (
            ErrorKind::ImageNotFound,
            r#"rpc error: code = NotFound desc = failed to pull and unpack image "img:1": failed to resolve reference "img:1": img:1: not found"#,
        ),
        (
            ErrorKind::ImageDenied,
            r#"rpc error: code = Unknown desc = Error response from daemon: pull access denied for img, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"#,
        ),
        (ErrorKind::ImageDenied, "unexpected status code [manifests 1]: 401 Unauthorized"),
        (
            ErrorKind::RegistryUnavailable,
            "failed to do request: Head https://r/v2/img: dial tcp: lookup r on 10.0.0.2:53: no such host",
        ),
        (
            ErrorKind::ImageRateLimited,
            "429 Too Many Requests - toomanyrequests: You have reached your pull rate limit",
        ),
        (ErrorKind::WrongPlatform, "no match for platform in manifest: not found"),
        (ErrorKind::NoSpace, "failed to extract layer: write /x: no space left on device"),
    ] {
        let judged = judged(waiting("oh-agent", "ErrImagePull", said));
        assert_eq!(kind(&judged), wanted, "{said}");
        assert!(matches!(judged, Prospect::Hopeless(_, message) if message.contains("img:1")));
    }
    assert_eq!(kind(&judged(waiting("oh-agent", "InvalidImageName", "x"))), ErrorKind::ImageInvalid);
    assert_eq!(kind(&judged(waiting("oh-agent", "ErrImageNeverPull", "x"))), ErrorKind::ImageNotFound);
}

#[test]
fn backing_off_the_reason_is_in_the_events() {
    let event = |message: &str| Event { message: Some(message.to_owned()), ..Event::default() };
    let events = [
        event("Failed to pull image \"img:1\": manifest unknown"),
        event("Back-off pulling image \"img:1\""),
    ];
    let pod = pod(waiting("oh-agent", "ImagePullBackOff", "Back-off pulling image \"img:1\""));
    assert_eq!(kind(&prospect(&pod, &events)), ErrorKind::ImageNotFound);
}

#[test]
fn a_failed_start_is_typed() {
    let failed = |reason, said| kind(&judged(waiting("sandbox", reason, said)));
    assert_eq!(failed("CreateContainerError", "context deadline exceeded"), ErrorKind::StartFailed);
    assert_eq!(
        failed("RunContainerError", "exec: \"/.oh/oh-agent\": exec format error"),
        ErrorKind::DeliveryFailed
    );
    let start_error =
        judged(terminated("sandbox", 128, "StartError", "exec: \"/.oh/oh-agent\": permission denied"));
    assert_eq!(kind(&start_error), ErrorKind::DeliveryFailed);
    let said = "standard_init_linux.go:228: exec user process caused: exec format error";
    assert_eq!(kind(&judged(terminated("sandbox", 1, "Error", said))), ErrorKind::DeliveryFailed);
    assert_eq!(
        kind(&judged(waiting("oh-agent", "RunContainerError", "no such file"))),
        ErrorKind::DeliveryFailed
    );
    let root = "container has runAsNonRoot and image will run as root";
    assert_eq!(kind(&judged(waiting("oh-agent", "CreateContainerConfigError", root))), ErrorKind::Config);
    let refused = judged(waiting("oh-agent", "CreateContainerConfigError", "no secret"));
    assert_eq!(kind(&refused), ErrorKind::StartFailed, "no other way for the agent would help");
    let unpacking = judged(terminated("oh-agent", 1, "Error", "oh-loader: the packed agent is damaged\n"));
    assert_eq!(
        unpacking,
        Prospect::Hopeless(
            ErrorKind::DeliveryFailed,
            "the agent could not be put in place: it ended with code 1: oh-loader: the packed agent is damaged"
                .to_owned()
        )
    );
}

#[test]
fn an_end_is_typed() {
    assert_eq!(kind(&judged(terminated("sandbox", 1, "Error", "x"))), ErrorKind::EndedBeforeReady);
    assert_eq!(kind(&judged(terminated("sandbox", 137, "OOMKilled", ""))), ErrorKind::OomKilled);
    for (reason, wanted) in [
        ("Evicted", ErrorKind::Evicted),
        ("NodeLost", ErrorKind::NodeLost),
        ("DeadlineExceeded", ErrorKind::Deadline),
        ("OutOfcpu", ErrorKind::Unschedulable),
        ("NodeAffinity", ErrorKind::Unschedulable),
    ] {
        let status = json!({ "phase": "Failed", "reason": reason, "message": "the node's words" });
        let judged = judged(status);
        assert_eq!(kind(&judged), wanted);
        assert!(matches!(judged, Prospect::Hopeless(_, message) if message.contains("the node's words")));
    }
    let mut deleted = pod(json!({ "phase": "Running" }));
    deleted.metadata =
        serde_json::from_value(json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" })).unwrap();
    assert_eq!(kind(&prospect(&deleted, &[])), ErrorKind::Deleted);
}
