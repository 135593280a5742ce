//! From a specification to the request that makes its container. No input or output here.

use std::collections::HashMap;
use std::path::{Component, Path};
use std::time::SystemTime;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType, RestartPolicy,
    RestartPolicyNameEnum,
};
use oh_runtime_api::{
    AGENT_DIR, AgentPayload, Error, ErrorKind, Mount as SpecMount, Resources, Restrictions, Result,
    SandboxSpec, serve_argv,
};

use crate::payload;

/// CPU shares of one core.
const SHARES_OF_A_CORE: f64 = 1024.0;
/// Fewest and most CPU shares the kernel takes.
const SHARES: (f64, f64) = (2.0, 262_144.0);

/// `/tmp` where the image's files cannot be written to.
const TMPFS: &str = "rw,exec,nosuid,nodev,mode=1777";

/// The request that makes the container of `spec`, with the command `beside` the agent.
pub(crate) fn body(
    spec: &SandboxSpec,
    agent: &AgentPayload,
    network: Option<&str>,
    beside: &[String],
    now: SystemTime,
) -> Result<ContainerCreateBody> {
    let bad =
        |message: String| Error::new(ErrorKind::Config, format!("create sandbox {}", spec.name), message);
    let mounts = spec.mounts.iter().map(|mount| bind(mount).map_err(bad));
    let mounts: Vec<Mount> =
        std::iter::once(Ok(payload::mount(agent, true))).chain(mounts).collect::<Result<_>>()?;
    let Restrictions { read_only_root, restricted } = spec.restrictions;
    let argv = serve_argv(spec.name.as_str(), spec.ttl, spec.lease, beside);
    Ok(ContainerCreateBody {
        image: Some(spec.image.clone()),
        user: spec.user.clone(),
        env: Some(spec.env.iter().map(variable).collect::<Result<_, _>>().map_err(bad)?),
        entrypoint: Some(argv.iter().map(|word| word.to_string_lossy().into_owned()).collect()),
        // Not the image's.
        cmd: Some(Vec::new()),
        // What the engine executes on its own account could talk to the agent.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        stop_signal: Some("SIGTERM".to_owned()),
        labels: Some(spec.labels(agent, now).into_iter().collect()),
        host_config: Some(HostConfig {
            mounts: Some(mounts),
            network_mode: network.map(str::to_owned),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(pairs(&[("max-size", "10m"), ("max-file", "2")])),
            }),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            auto_remove: Some(false),
            privileged: Some(false),
            // The agent has to be process 1, whatever the engine's own default is.
            init: Some(false),
            readonly_rootfs: read_only_root.then_some(true),
            tmpfs: read_only_root.then(|| pairs(&[("/tmp", TMPFS)])),
            cap_drop: restricted.then(|| vec!["ALL".to_owned()]),
            security_opt: restricted.then(|| vec!["no-new-privileges".to_owned()]),
            ..limits(&spec.resources).map_err(bad)?
        }),
        ..ContainerCreateBody::default()
    })
}

/// `body` for people to read: without the values of the environment, which may be secrets.
pub(crate) fn described(name: &str, mut body: ContainerCreateBody) -> Result<serde_json::Value> {
    for variable in body.env.iter_mut().flatten() {
        let name = variable.split_once('=').map_or("", |(name, _)| name);
        *variable = format!("{name}=(hidden)");
    }
    let body = serde_json::to_value(body).map_err(|error| {
        Error::new(ErrorKind::Internal, "describe the sandbox", error.to_string()).caused_by(error)
    })?;
    Ok(serde_json::json!({ "container": name, "create": body }))
}

/// Memory without swap, a process limit, and a share of the CPU but no quota.
fn limits(resources: &Resources) -> Result<HostConfig, String> {
    let Resources { cpu, memory, ephemeral_storage: _, pids } = *resources;
    if !(cpu.is_finite() && cpu > 0.0) {
        return Err(format!("{cpu} cores are no amount of CPU"));
    }
    // For Docker 0 is no limit.
    let memory = i64::try_from(memory).ok().filter(|bytes| *bytes > 0);
    let memory = memory.ok_or_else(|| format!("{} bytes are no amount of memory", resources.memory))?;
    if pids == 0 {
        return Err("a sandbox of 0 processes cannot run".to_owned());
    }
    #[expect(clippy::cast_possible_truncation, reason = "clamped to a range of integers")]
    let shares = (cpu * SHARES_OF_A_CORE).round().clamp(SHARES.0, SHARES.1) as i64;
    Ok(HostConfig {
        cpu_shares: Some(shares),
        memory: Some(memory),
        memory_swap: Some(memory),
        pids_limit: Some(i64::from(pids)),
        ..HostConfig::default()
    })
}

fn bind(mount: &SpecMount) -> Result<Mount, String> {
    let target = absolute(&mount.target)?;
    if mount.target.components().any(|part| part == Component::ParentDir) {
        return Err(format!("the path {target:?} of a mount holds \"..\""));
    }
    if mount.target == Path::new("/") || mount.target.starts_with(AGENT_DIR) {
        return Err(format!("nothing can be mounted at {target}: the sandbox needs it"));
    }
    Ok(Mount {
        typ: Some(MountType::BIND),
        source: Some(absolute(&mount.source)?),
        target: Some(target),
        read_only: Some(mount.read_only),
        ..Mount::default()
    })
}

fn absolute(path: &Path) -> Result<String, String> {
    match path.to_str() {
        Some(text) if path.is_absolute() && !text.contains('\0') => Ok(text.to_owned()),
        Some(_) => Err(format!("the path {path:?} of a mount is not absolute")),
        None => Err(format!("the path {path:?} of a mount is not UTF-8, which Docker needs")),
    }
}

fn variable((name, value): (&String, &String)) -> Result<String, String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(format!("{name:?} cannot be the name of an environment variable"));
    }
    if value.contains('\0') {
        return Err(format!("the value of the environment variable {name} holds a zero byte"));
    }
    Ok(format!("{name}={value}"))
}

pub(crate) fn pairs(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oh_runtime_api::{Delivery, RunId, SandboxName};
    use serde_json::json;

    use super::*;

    fn agent() -> AgentPayload {
        AgentPayload {
            bytes: "agent".into(),
            digest: "0123456789abcdef0123".into(),
            loader: None,
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

    fn rendered(spec: &SandboxSpec, network: Option<&str>) -> serde_json::Value {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        serde_json::to_value(body(spec, &agent(), network, &[], now).unwrap()).unwrap()
    }

    #[test]
    fn the_whole_request() {
        let spec = SandboxSpec {
            env: [("A".into(), "1=2".into())].into(),
            mounts: vec![SpecMount { source: "/data".into(), target: "/in/data".into(), read_only: true }],
            ..spec()
        };
        let expected = json!({
            "Image": "image:1",
            "Env": ["A=1=2"],
            "Entrypoint": ["/.oh/oh-agent", "serve", "box", "60"],
            "Cmd": [],
            "Healthcheck": { "Test": ["NONE"] },
            "StopSignal": "SIGTERM",
            "Labels": {
                "oh.sandbox": "box",
                "oh.run": "nightly",
                "oh.owner": "me@here",
                "oh.expires": "1060",
                "oh.spec": spec.digest(),
                "oh.agent": "0123456789abcdef0123",
                "oh.delivery": "upload",
                "oh.image": "image:1",
            },
            "HostConfig": {
                "CpuShares": 1024,
                "Memory": 4_294_967_296_u64,
                "MemorySwap": 4_294_967_296_u64,
                "PidsLimit": 4096,
                "Init": false,
                "Privileged": false,
                "AutoRemove": false,
                "RestartPolicy": { "Name": "no" },
                "LogConfig": { "Type": "json-file", "Config": { "max-size": "10m", "max-file": "2" } },
                "Mounts": [
                    {
                        "Type": "volume",
                        "Source": "oh-agent-0123456789abcdef",
                        "Target": "/.oh",
                        "ReadOnly": true,
                        "VolumeOptions": { "NoCopy": true, "Labels": { "oh.agent": "0123456789abcdef0123" } },
                    },
                    { "Type": "bind", "Source": "/data", "Target": "/in/data", "ReadOnly": true },
                ],
            },
        });
        assert_eq!(rendered(&spec, None), expected);
    }

    #[test]
    fn user_and_network_are_set_only_when_asked_for() {
        let plain = rendered(&spec(), None);
        assert_eq!((plain.get("User"), plain["HostConfig"].get("NetworkMode")), (None, None));
        let set = rendered(&SandboxSpec { user: Some("65534:0".into()), ..spec() }, Some("none"));
        assert_eq!((&set["User"], &set["HostConfig"]["NetworkMode"]), (&json!("65534:0"), &json!("none")));
    }

    #[test]
    fn shares_follow_the_cores() {
        for (cpu, shares) in [(1.0, 1024), (0.5, 512), (2.25, 2304), (0.000_1, 2), (1e9, 262_144)] {
            let resources = Resources { cpu, ..Resources::default() };
            assert_eq!(limits(&resources).unwrap().cpu_shares, Some(shares), "{cpu}");
        }
    }

    #[test]
    fn what_cannot_be_right_is_refused() {
        let mount = |source: &str, target: &str| SpecMount {
            source: source.into(),
            target: target.into(),
            read_only: true,
        };
        let default = Resources::default();
        let specs = [
            (SandboxSpec { mounts: vec![mount("data", "/data")], ..spec() }, "\"data\""),
            (SandboxSpec { mounts: vec![mount("/data", "data")], ..spec() }, "\"data\""),
            (SandboxSpec { mounts: vec![mount("/data", "/")], ..spec() }, "mounted at /"),
            (SandboxSpec { mounts: vec![mount("/data", "/x/../.oh")], ..spec() }, "\"..\""),
            (SandboxSpec { mounts: vec![mount("/data", "/.oh/x")], ..spec() }, "mounted at /.oh/x"),
            (SandboxSpec { env: [("A=B".into(), "1".into())].into(), ..spec() }, "\"A=B\""),
            (SandboxSpec { env: [(String::new(), "1".into())].into(), ..spec() }, "\"\""),
            (SandboxSpec { resources: Resources { cpu: f64::NAN, ..default }, ..spec() }, "CPU"),
            (SandboxSpec { resources: Resources { memory: 0, ..default }, ..spec() }, "memory"),
            (SandboxSpec { resources: Resources { memory: u64::MAX, ..default }, ..spec() }, "memory"),
            (SandboxSpec { resources: Resources { pids: 0, ..default }, ..spec() }, "processes"),
        ];
        for (spec, word) in specs {
            let error = body(&spec, &agent(), None, &[], SystemTime::now()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn secrets_stay_out_of_errors_and_descriptions() {
        let hidden = SandboxSpec { env: [("TOKEN".into(), "s3cret".into())].into(), ..spec() };
        let body_of = |spec: &SandboxSpec| body(spec, &agent(), None, &[], SystemTime::now());
        let described = described("box", body_of(&hidden).unwrap()).unwrap();
        assert_eq!(described["container"], "box");
        assert_eq!(described["create"]["Env"], json!(["TOKEN=(hidden)"]));
        let error = body_of(&SandboxSpec { env: [("TOKEN".into(), "s3cret\0".into())].into(), ..spec() });
        let shown = format!("{:?}", error.unwrap_err());
        assert!(shown.contains("TOKEN") && !shown.contains("s3cret"), "{shown}");
    }
}
