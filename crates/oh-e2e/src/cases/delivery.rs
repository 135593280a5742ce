//! How the agent gets into a sandbox, and the end of agents nobody uses.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use futures::TryStreamExt;
use oh_runtime::{
    AgentPayload, CommandSpec, CommandState, Delivery, End, Entrypoint, ErrorKind, LogOptions, Restrictions,
    Runtime, Sandbox, SandboxExt, SandboxSpec, Selector, label,
};
use sha2::{Digest, Sha256};

use crate::case::{Case, KEEPS_AGENTS, OWN_ROOT, case};
use crate::context::{Context, IMAGE};
use crate::failure::{CaseResult, Failure, check, empty, equal, refused};
use crate::probe::{script, until_exists};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(every_image_takes_every_restriction).needs(&[OWN_ROOT]).seconds(240),
        case!(a_restricted_sandbox_is_not_root).needs(&[OWN_ROOT]),
        case!(the_agent_comes_from_an_image).needs(&[OWN_ROOT]).seconds(120),
        case!(the_agent_is_in_the_sandboxs_image).needs(&[OWN_ROOT]).seconds(120),
        case!(the_agent_is_executed_from_memory_or_refused),
        case!(what_cannot_be_executed_is_delivered_another_way).needs(&[OWN_ROOT]).seconds(120),
        case!(another_agent_than_ours_is_refused).needs(&[OWN_ROOT]).seconds(120),
        case!(a_command_is_started_beside_the_agent),
        case!(the_images_own_entrypoint_is_started_or_asked_for).needs(&[OWN_ROOT]),
        case!(agents_nobody_uses_are_removed).needs(&[KEEPS_AGENTS]).seconds(240),
    ]
}

/// The images of the tests: an ordinary one, one with busybox, one that holds a single static file.
const IMAGES: &[(&str, &[&str])] =
    &[(IMAGE, &["true"]), ("oh-test-busybox:1", &["true"]), ("oh-test-static:1", &["/bin/busybox", "true"])];
/// Holds the agent as `/oh-agent`, and nothing else.
const AGENT_IMAGE: &str = "oh-agent:1";
/// Holds the agent as [`AGENT_INSIDE`], runs as 10001, and has an entrypoint that makes [`MADE_BY_ENTRYPOINT`].
const IMAGE_WITH_AGENT: &str = "oh-test-present:1";
const AGENT_INSIDE: &str = "/opt/oh-agent";
const MADE_BY_ENTRYPOINT: &str = "/tmp/own";
/// A user no image knows.
const STRANGER: &str = "10001";

/// Runs a command, and copies a file in and out.
async fn works(sandbox: &dyn Sandbox, command: &[&str], delivery: &str, cx: &Context) -> CaseResult {
    equal(
        "end",
        &sandbox.run(CommandSpec::new(command.iter().copied())).await?.finished.end,
        &End::Exited(0),
    )?;
    let (path, bytes) = (Path::new("/dev/shm/file"), vec![7; 100_000]);
    sandbox.write(path, bytes.clone(), 0o644).await?;
    check(sandbox.read(path).await? == bytes, "another file came back")?;
    let found = cx.runtime()?.list(&Selector::name(sandbox.incarnation().name.clone())).await?;
    let label = found.first().and_then(|info| info.labels.get(label::DELIVERY));
    equal("delivery", &label.map(String::as_str), &Some(delivery))
}

async fn every_image_takes_every_restriction(cx: &Context) -> CaseResult {
    let restrictions = |read_only_root, restricted| Restrictions { read_only_root, restricted };
    let stranger = || Some(STRANGER.to_owned());
    for (image, command) in IMAGES {
        for (user, restrictions) in [
            (None, restrictions(true, false)),
            (stranger(), restrictions(false, false)),
            (stranger(), restrictions(false, true)),
            (stranger(), restrictions(true, true)),
        ] {
            let what = format!("{image} as {user:?}, {restrictions:?}");
            let spec = SandboxSpec { image: (*image).to_owned(), user, restrictions, ..cx.spec()? };
            let done = async {
                let sandbox = cx.runtime()?.create(&spec).await?;
                works(&*sandbox, command, "upload", cx).await?;
                sandbox.close().await?;
                Ok(())
            };
            let done: CaseResult = done.await;
            done.map_err(|failure| Failure::new(format!("{what}: {failure}")))?;
        }
    }
    Ok(())
}

async fn a_restricted_sandbox_is_not_root(cx: &Context) -> CaseResult {
    let restrictions = Restrictions { read_only_root: true, restricted: true };
    let root = SandboxSpec { restrictions, ..cx.spec()? };
    refused(cx.runtime()?.create(&root).await, &[ErrorKind::Config])?;
    let spec = SandboxSpec { restrictions, user: Some(STRANGER.to_owned()), ..cx.spec()? };
    let sandbox = cx.runtime()?.create(&spec).await?;
    let said = script(&*sandbox, "id -u; grep -E '^(CapEff|CapBnd|NoNewPrivs):' /proc/self/status").await?;
    let words: Vec<&str> = said.split_whitespace().collect();
    let none = "0000000000000000";
    equal("what it is", &words, &vec![STRANGER, "CapEff:", none, "CapBnd:", none, "NoNewPrivs:", "1"])?;
    let output = sandbox.run(CommandSpec::shell("echo x >/etc/file")).await?;
    check(!output.finished.end.success(), "a file of the image was made")?;
    equal("what can be written", &script(&*sandbox, "echo x >/tmp/file; cat /tmp/file").await?, &"x\n")
}

fn delivering(cx: &Context, ways: Vec<Delivery>) -> CaseResult<Runtime> {
    let runtime = cx.runtime()?;
    Ok(runtime.with_agent(runtime.agent()?.clone(), ways))
}

async fn the_agent_comes_from_an_image(cx: &Context) -> CaseResult {
    let runtime = delivering(cx, vec![Delivery::Image(AGENT_IMAGE.to_owned())])?;
    for (image, command) in IMAGES {
        let restrictions = Restrictions { read_only_root: true, restricted: true };
        let user = Some(STRANGER.to_owned());
        let spec = SandboxSpec { image: (*image).to_owned(), user, restrictions, ..cx.spec()? };
        works(&*runtime.create(&spec).await?, command, "image", cx).await?;
    }
    Ok(())
}

async fn the_agent_is_in_the_sandboxs_image(cx: &Context) -> CaseResult {
    let runtime = delivering(cx, vec![Delivery::Present(AGENT_INSIDE.to_owned())])?;
    let spec = SandboxSpec { image: IMAGE_WITH_AGENT.to_owned(), ..cx.spec()? };
    works(&*runtime.create(&spec).await?, &["true"], "present", cx).await?;
    // Where it is not, that is said, with the path.
    let error = refused(runtime.create(&cx.spec()?).await, &[ErrorKind::DeliveryFailed])?;
    check(error.to_string().contains("no such file"), format!("it is not said what is missing: {error}"))
}

async fn the_agent_is_executed_from_memory_or_refused(cx: &Context) -> CaseResult {
    let runtime = delivering(cx, vec![Delivery::Memory])?;
    match runtime.create(&cx.spec()?).await {
        Ok(sandbox) => {
            works(&*sandbox, &["true"], "memory", cx).await?;
            let logs = runtime.logs(&sandbox.incarnation().name, LogOptions::default()).await?;
            let logs: Vec<_> = logs.try_collect().await?;
            let logs = String::from_utf8_lossy(&logs.concat()).into_owned();
            check(logs.contains("executed from memory"), format!("it is not in the log: {logs}"))
        }
        // A backend may have no use for it.
        Err(error) => refused::<()>(Err(error), &[ErrorKind::DeliveryFailed]).map(drop),
    }
}

/// An agent whose executables no kernel knows.
fn broken(agent: &AgentPayload) -> AgentPayload {
    let mut agent = own(agent);
    let mut bytes = agent.bytes.to_vec();
    bytes[..4].copy_from_slice(b"\0ELF");
    agent.bytes = bytes.into();
    agent.loader = agent.loader.map(|_| b"\0ELF is no program".as_slice().into());
    agent.digest = digest(&agent.bytes);
    agent
}

async fn what_cannot_be_executed_is_delivered_another_way(cx: &Context) -> CaseResult {
    let runtime = cx.runtime()?;
    let broken = runtime.with_agent(broken(runtime.agent()?), vec![Delivery::Upload]);
    let error = refused(broken.create(&cx.spec()?).await, &[ErrorKind::DeliveryFailed])?;
    check(error.to_string().contains("agent.delivery"), format!("it does not say what to do: {error}"))?;
    for path in ["/there/is/none", "/etc/passwd"] {
        let runtime = delivering(cx, vec![Delivery::Present(path.to_owned()), Delivery::Upload])?;
        works(&*runtime.create(&cx.spec()?).await?, &["true"], "upload", cx).await?;
    }
    Ok(())
}

async fn another_agent_than_ours_is_refused(cx: &Context) -> CaseResult {
    let ours = own(cx.runtime()?.agent()?);
    let runtime = cx.runtime()?.with_agent(ours, vec![Delivery::Image(AGENT_IMAGE.to_owned())]);
    let error = refused(runtime.create(&cx.spec()?).await, &[ErrorKind::DeliveryFailed])?;
    check(error.to_string().contains("another agent"), format!("it does not say why: {error}"))
}

async fn a_command_is_started_beside_the_agent(cx: &Context) -> CaseResult {
    let command = ["sleep", "600"].map(str::to_owned).to_vec();
    let spec = SandboxSpec { entrypoint: Some(Entrypoint::Command(command)), ..cx.spec()? };
    let sandbox = cx.runtime()?.create(&spec).await?;
    // Asking again starts nothing.
    cx.another_runtime().await?.create(&spec).await?;
    let commands = sandbox.commands().await?;
    let running: Vec<_> = commands.iter().map(|command| (command.program.to_str(), &command.state)).collect();
    equal("commands", &running, &vec![(Some("sleep"), &CommandState::Running)])?;
    let missing = Entrypoint::Command(vec!["/there/is/none".to_owned()]);
    let spec = SandboxSpec { entrypoint: Some(missing), ..cx.spec()? };
    let error = refused(cx.runtime()?.create(&spec).await, &[ErrorKind::EndedBeforeReady])?;
    check(error.to_string().contains("/there/is/none"), format!("it does not say what: {error}"))
}

async fn the_images_own_entrypoint_is_started_or_asked_for(cx: &Context) -> CaseResult {
    let image = IMAGE_WITH_AGENT.to_owned();
    let spec = SandboxSpec { image, entrypoint: Some(Entrypoint::OfImage), ..cx.spec()? };
    match cx.runtime()?.create(&spec).await {
        Ok(sandbox) => until_exists(&*sandbox, Path::new(MADE_BY_ENTRYPOINT)).await,
        // Which one an image has, only a registry or an engine knows.
        Err(error) => {
            let error = refused::<()>(Err(error), &[ErrorKind::Unsupported])?;
            check(
                error.to_string().contains("say the command"),
                format!("it does not say what to do: {error}"),
            )
        }
    }
}

/// The agent as nobody else has it: what stands behind an executable's own end changes nothing.
fn own(agent: &AgentPayload) -> AgentPayload {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut bytes = agent.bytes.to_vec();
    bytes.extend(format!("{}-{}-{number}", std::process::id(), since.as_nanos()).bytes());
    let digest = digest(&bytes);
    AgentPayload { bytes: bytes.into(), digest, ..agent.clone() }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn unused(runtime: &Runtime) -> CaseResult<Vec<String>> {
    Ok(runtime.collect_agents(true).await?)
}

/// One case, because what one part removes the other would miss.
async fn agents_nobody_uses_are_removed(cx: &Context) -> CaseResult {
    an_unused_one_goes_and_a_used_one_stays(cx).await?;
    nobody_who_makes_sandboxes_is_disturbed(cx).await
}

async fn an_unused_one_goes_and_a_used_one_stays(cx: &Context) -> CaseResult {
    let runtime = cx.runtime()?.with_agent(own(cx.runtime()?.agent()?), vec![Delivery::Upload]);
    let sandbox = runtime.create(&cx.spec()?).await?;
    let while_used = unused(&runtime).await?;
    let removed = runtime.collect_agents(false).await?;
    script(&*sandbox, "true").await?;
    // A second one starts from the same agent.
    script(&*runtime.create(&cx.spec()?).await?, "true").await?;
    cx.clean_up().await?;
    let fresh = |names: Vec<String>| -> Vec<String> {
        names.into_iter().filter(|name| !while_used.contains(name) && !removed.contains(name)).collect()
    };
    let left = fresh(unused(&runtime).await?);
    check(!left.is_empty(), "nothing uses it, and it is not found")?;
    let removed = runtime.collect_agents(false).await?;
    check(
        left.iter().any(|name| removed.contains(name)),
        format!("{left:?} stay, removed were {removed:?}"),
    )?;
    let still: Vec<_> = unused(&runtime).await?.into_iter().filter(|name| left.contains(name)).collect();
    empty("still there", &still)?;
    // And is there again when it is needed.
    script(&*runtime.create(&cx.spec()?).await?, "true").await.map(drop)
}

async fn nobody_who_makes_sandboxes_is_disturbed(cx: &Context) -> CaseResult {
    let runtime = cx.runtime()?.with_agent(own(cx.runtime()?.agent()?), vec![Delivery::Upload]);
    let removing = async {
        loop {
            let removed = runtime.collect_agents(false).await;
            if let Err(error) = removed {
                return Err(error.into());
            }
        }
    };
    let making = async {
        for _ in 0..4 {
            // After each, nothing uses the agent, which this runtime has seen in its place.
            let spec: SandboxSpec = cx.spec()?;
            let sandbox = runtime.create(&spec).await?;
            script(&*sandbox, "true").await?;
            sandbox.close().await?;
        }
        Ok(())
    };
    tokio::select! {
        result = removing => result,
        result = making => result,
    }
}
