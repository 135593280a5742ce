//! What is asked for, as the server gets it.

use std::time::Duration;

use oh_runtime_api::{Mount, RunId};
use serde_json::json;

use super::*;
use crate::config::SourceTree;

fn agent() -> AgentPayload {
    AgentPayload {
        bytes: "agent".into(),
        digest: "0123456789abcdef0123".into(),
        loader: Some("loader".into()),
        arch: "x86_64".into(),
        delivery: Delivery::Upload,
    }
}

fn spec() -> SandboxSpec {
    let name = SandboxName::new("box").unwrap();
    SandboxSpec {
        run: Some(RunId::new("nightly").unwrap()),
        ..SandboxSpec::new(name, "image:1", "me@here", Duration::from_secs(60))
    }
}

fn made(spec: &SandboxSpec, config: &K8sConfig) -> Result<Pod> {
    pod(spec, &agent(), config, SystemTime::UNIX_EPOCH + Duration::from_secs(1000))
}

fn rendered(spec: &SandboxSpec, config: &K8sConfig) -> serde_json::Value {
    serde_json::to_value(made(spec, config).unwrap()).unwrap()
}

#[test]
fn the_whole_pod() {
    let spec = SandboxSpec { env: [("A".into(), "1=$(B)".into())].into(), ..spec() };
    let resources = json!({
        "limits": { "memory": "4294967296", "ephemeral-storage": "10737418240" },
        "requests": { "cpu": "1000m", "memory": "4294967296", "ephemeral-storage": "10737418240" },
    });
    let hash = |value: &str| labels::store(&[("k".to_owned(), value.to_owned())].into()).0["k"].clone();
    let expected = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "box",
            "labels": {
                "oh.sandbox": "box",
                "oh.run": "nightly",
                "oh.owner": hash("me@here"),
                "oh.expires": "1060",
                "oh.spec": hash(&spec.digest()),
                "oh.agent": "0123456789abcdef0123",
                "oh.delivery": "upload",
                "oh.image": hash("image:1"),
            },
            "annotations": { "oh.owner": "me@here", "oh.spec": spec.digest(), "oh.image": "image:1" },
        },
        "spec": {
            "initContainers": [{
                "name": "oh-agent",
                "image": "image:1",
                "imagePullPolicy": "IfNotPresent",
                "command": ["/.oh-load/oh-loader"],
                "resources": resources,
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [
                    { "name": "oh-load", "mountPath": "/.oh-load", "readOnly": true },
                    { "name": "oh-agent", "mountPath": "/.oh" },
                ],
            }],
            "containers": [{
                "name": "sandbox",
                "image": "image:1",
                "imagePullPolicy": "IfNotPresent",
                "command": ["/.oh/oh-agent", "serve", "box/$(KUBERNETES_OH_UID)", "60"],
                "env": [
                    { "name": "KUBERNETES_OH_UID", "valueFrom": { "fieldRef": { "fieldPath": "metadata.uid" } } },
                    { "name": "A", "value": "1=$$(B)" },
                ],
                "resources": resources,
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [{ "name": "oh-agent", "mountPath": "/.oh", "readOnly": true }],
            }],
            "volumes": [
                { "name": "oh-load", "configMap": { "name": payload::name(&agent()), "defaultMode": 0o555 } },
                { "name": "oh-agent", "emptyDir": { "sizeLimit": "32Mi" } },
            ],
            "restartPolicy": "Never",
            "activeDeadlineSeconds": 1860,
            "terminationGracePeriodSeconds": 5,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "nodeSelector": { "kubernetes.io/arch": "amd64" },
            "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
        },
    });
    assert_eq!(rendered(&spec, &K8sConfig::default()), expected);
}

#[test]
fn a_restricted_pod_is_so_in_every_container() {
    let restrictions = Restrictions { read_only_root: true, restricted: true };
    let pod =
        rendered(&SandboxSpec { restrictions, user: Some("10001".into()), ..spec() }, &K8sConfig::default());
    for container in [&pod["spec"]["initContainers"][0], &pod["spec"]["containers"][0]] {
        assert_eq!(
            container["securityContext"],
            json!({
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
                "readOnlyRootFilesystem": true,
            })
        );
    }
    assert_eq!(pod["spec"]["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["spec"]["containers"][0]["volumeMounts"][1]["mountPath"], "/tmp");
}

#[test]
fn an_entrypoint_is_started_beside_the_agent_when_it_is_said() {
    let with = |entrypoint| SandboxSpec { entrypoint: Some(entrypoint), ..spec() };
    let command = Entrypoint::Command(vec!["server".into(), "$(X)".into()]);
    let pod = rendered(&with(command), &K8sConfig::default());
    let argv = pod["spec"]["containers"][0]["command"].as_array().unwrap();
    assert_eq!(argv[argv.len() - 3..], [json!("--"), json!("server"), json!("$$(X)")]);
    let error = made(&with(Entrypoint::OfImage), &K8sConfig::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("say the command"), "{error}");
}

#[test]
fn each_delivery_has_its_own_way_to_the_same_place() {
    let made = |delivery| {
        let agent = AgentPayload { delivery, ..agent() };
        let pod = pod(&spec(), &agent, &K8sConfig::default(), SystemTime::UNIX_EPOCH).unwrap();
        let pod = serde_json::to_value(pod).unwrap();
        assert_eq!(pod["spec"]["containers"][0]["command"][0], AGENT_PATH);
        assert_eq!(
            pod["spec"]["containers"][0]["volumeMounts"],
            json!([{ "name": "oh-agent", "mountPath": "/.oh", "readOnly": true }])
        );
        let first = &pod["spec"]["initContainers"][0];
        (first["image"].clone(), first["command"].clone(), pod["spec"]["volumes"].clone())
    };
    let room = json!([{ "name": "oh-agent", "emptyDir": { "sizeLimit": "32Mi" } }]);
    assert_eq!(
        made(Delivery::Image("agents:1".into())),
        (json!("agents:1"), json!(["/oh-agent", "place", "copy", "0123456789abcdef0123"]), room.clone())
    );
    assert_eq!(
        made(Delivery::Present("/opt/agent".into())),
        (json!("image:1"), json!(["/opt/agent", "place", "link", "0123456789abcdef0123"]), room)
    );
    let (image, _, volumes) = made(Delivery::Memory);
    assert_eq!(image, json!(null), "nothing runs before it");
    assert_eq!(
        volumes[0]["configMap"]["items"],
        json!([{ "key": "oh-loader", "path": "oh-agent" }, { "key": "oh-agent.z", "path": "oh-agent.z" }])
    );
}

#[test]
fn what_the_cluster_needs_comes_from_the_configuration() {
    let config = K8sConfig {
        image_pull_secrets: vec!["registry".into()],
        node_selector: [("pool".into(), "sandboxes".into())].into(),
        tolerations: vec![Toleration {
            key: Some("dedicated".into()),
            operator: Some("Exists".into()),
            ..Toleration::default()
        }],
        ..K8sConfig::default()
    };
    let pod = rendered(&SandboxSpec { user: Some("1000:50".into()), ..spec() }, &config);
    assert_eq!(pod["spec"]["imagePullSecrets"], json!([{ "name": "registry" }]));
    assert_eq!(pod["spec"]["nodeSelector"], json!({ "pool": "sandboxes", "kubernetes.io/arch": "amd64" }));
    assert_eq!(pod["spec"]["tolerations"], json!([{ "key": "dedicated", "operator": "Exists" }]));
    let security = &pod["spec"]["securityContext"];
    assert_eq!((&security["runAsUser"], &security["runAsGroup"]), (&json!(1000), &json!(50)));
}

#[test]
fn what_pods_are_for_the_cluster_comes_from_the_configuration() {
    let config = K8sConfig {
        service_account: Some("sandboxes".into()),
        pull: PullPolicy::Never,
        labels: [("team".into(), "a".into()), ("oh.sandbox".into(), "forged".into())].into(),
        annotations: [("x.io/keep".into(), "any text".into())].into(),
        priority_class: Some("low".into()),
        runtime_class: Some("gvisor".into()),
        ..K8sConfig::default()
    };
    let pod = rendered(&spec(), &config);
    assert_eq!(pod["spec"]["serviceAccountName"], "sandboxes");
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], "Never");
    assert_eq!(pod["spec"]["initContainers"][0]["imagePullPolicy"], "Never");
    assert_eq!(pod["spec"]["priorityClassName"], "low");
    assert_eq!(pod["spec"]["runtimeClassName"], "gvisor");
    let labels = &pod["metadata"]["labels"];
    assert_eq!((&labels["team"], &labels["oh.sandbox"]), (&json!("a"), &json!("box")));
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(
        (&annotations["x.io/keep"], &annotations["oh.image"]),
        (&json!("any text"), &json!("image:1"))
    );
}

#[test]
fn a_source_tree_is_of_the_node_or_a_claim_and_read_only() {
    let with = |from, target: &str| {
        let source = Some(SourceTree { from, target: target.into() });
        made(&spec(), &K8sConfig { source, ..K8sConfig::default() })
    };
    let parts = |from| {
        let pod = serde_json::to_value(with(from, "/app/openhands").unwrap()).unwrap();
        let container = &pod["spec"]["containers"][0]["volumeMounts"];
        assert_eq!(pod["spec"]["initContainers"][0]["volumeMounts"].as_array().unwrap().len(), 2);
        (container[1].clone(), pod["spec"]["volumes"][2].clone())
    };
    let mount = json!({ "name": "source", "mountPath": "/app/openhands", "readOnly": true });
    assert_eq!(
        parts(SourceVolume::Node("/src".into())),
        (mount.clone(), json!({ "name": "source", "hostPath": { "path": "/src", "type": "Directory" } }))
    );
    let claim = json!({ "claimName": "code", "readOnly": true });
    assert_eq!(
        parts(SourceVolume::Claim("code".into())),
        (mount, json!({ "name": "source", "persistentVolumeClaim": claim }))
    );
    for target in ["/", "code", AGENT_DIR, "/a:b"] {
        let error = with(SourceVolume::Claim("code".into()), target).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{target}: {error}");
    }
}

#[test]
fn what_cannot_be_right_is_refused() {
    let default = Resources::default();
    let mount = Mount { source: "/a".into(), target: "/b".into(), read_only: true };
    for (spec, kind, word) in [
        (SandboxSpec { image: String::new(), ..spec() }, ErrorKind::ImageInvalid, "\"\""),
        (SandboxSpec { image: "UPPER case:1".into(), ..spec() }, ErrorKind::ImageInvalid, "UPPER"),
        (SandboxSpec { mounts: vec![mount], ..spec() }, ErrorKind::Unsupported, "oh cp"),
        (SandboxSpec { user: Some("nobody".into()), ..spec() }, ErrorKind::Unsupported, "\"nobody\""),
        (SandboxSpec { env: [("A=B".into(), "1".into())].into(), ..spec() }, ErrorKind::Config, "\"A=B\""),
        (
            SandboxSpec { resources: Resources { cpu: f64::NAN, ..default }, ..spec() },
            ErrorKind::Config,
            "CPU",
        ),
        (
            SandboxSpec { resources: Resources { memory: 0, ..default }, ..spec() },
            ErrorKind::Config,
            "memory",
        ),
    ] {
        let error = made(&spec, &K8sConfig::default()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn secrets_stay_out_of_descriptions() {
    let hidden = SandboxSpec { env: [("TOKEN".into(), "s3cret".into())].into(), ..spec() };
    let described = described(&made(&hidden, &K8sConfig::default()).unwrap()).unwrap().to_string();
    assert!(described.contains("TOKEN") && !described.contains("s3cret"), "{described}");
}

#[test]
fn addresses_are_of_one_pod_and_fit() {
    let uid = "01234567-89ab-cdef-0123-456789abcdef";
    let id = Incarnation { name: SandboxName::new("box").unwrap(), uid: uid.to_owned() };
    assert_eq!(bridge(&id)[2], format!("box/{uid}"));
    let long = Incarnation { name: SandboxName::new("x".repeat(63)).unwrap(), ..id };
    assert_eq!(format!("oh-agent/{}", bridge(&long)[2]).len(), 107);
}
