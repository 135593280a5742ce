//! Making a sandbox, and finding it again.

use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use oh_runtime::{
    CommandSpec, End, ErrorKind, Mount, SandboxExt, SandboxSpec, SandboxState, Selector, label,
};

use crate::case::{Case, ISOLATED, MOUNTS, OWN_ROOT, PAUSES, case};
use crate::context::{Context, IMAGE};
use crate::failure::{CaseResult, Failure, check, empty, equal, refused};
use crate::probe::{mark, marked, script, succeeds, text, until_marked};

/// What a backend says of an image it cannot get; where there is no network the registry is what is missing.
const NO_IMAGE: &[ErrorKind] =
    &[ErrorKind::ImageNotFound, ErrorKind::ImageDenied, ErrorKind::RegistryUnavailable];

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(creating_twice_is_one_sandbox),
        case!(creating_twice_at_once_is_one_sandbox),
        case!(another_specification_of_that_name_is_a_conflict),
        case!(an_image_that_does_not_exist_is_typed),
        case!(a_malformed_image_is_typed),
        case!(a_description_touches_nothing),
        case!(labels_say_what_it_is),
        case!(attaching_finds_it_from_another_process),
        case!(attaching_to_nothing_is_not_found),
        case!(a_run_is_found_by_its_label),
        case!(a_mounted_folder_is_there).needs(&[MOUNTS]),
        case!(a_paused_sandbox_goes_on_where_it_was).needs(&[PAUSES]),
        case!(a_user_is_honoured_or_refused),
        case!(sandboxes_have_their_own_files),
        case!(sandboxes_do_not_see_each_others_processes).needs(&[ISOLATED]),
        case!(the_root_is_the_images_own).needs(&[OWN_ROOT]),
    ]
}

async fn creating_twice_is_one_sandbox(cx: &Context) -> CaseResult {
    let (runtime, spec) = (cx.runtime()?, cx.spec()?);
    let first = runtime.create(&spec).await?;
    script(&*first, "echo mine >/testbed/file").await?;
    // Asking again later is asking for the same: the time to live is not what makes it another one.
    let again = SandboxSpec { ttl: spec.ttl + Duration::from_secs(5), ..spec.clone() };
    let second = cx.another_runtime().await?.create(&again).await?;
    equal("incarnation", second.incarnation(), first.incarnation())?;
    equal("file", &script(&*second, "cat /testbed/file").await?, &"mine\n")?;
    equal("sandboxes", &runtime.list(&Selector::name(spec.name)).await?.len(), &1)
}

async fn creating_twice_at_once_is_one_sandbox(cx: &Context) -> CaseResult {
    let (runtime, other, spec) = (cx.runtime()?, cx.another_runtime().await?, cx.spec()?);
    let (first, second) = tokio::join!(runtime.create(&spec), other.create(&spec));
    let (first, second) = (first?, second?);
    equal("incarnation", second.incarnation(), first.incarnation())?;
    equal("sandboxes", &runtime.list(&Selector::name(spec.name)).await?.len(), &1)?;
    tokio::try_join!(script(&*first, "true"), script(&*second, "true")).map(drop)
}

async fn another_specification_of_that_name_is_a_conflict(cx: &Context) -> CaseResult {
    let (runtime, spec) = (cx.runtime()?, cx.spec()?);
    let sandbox = runtime.create(&spec).await?;
    let other = SandboxSpec { env: [("OTHER".into(), "1".into())].into(), ..spec.clone() };
    refused(runtime.create(&other).await, &[ErrorKind::Conflict])?;
    equal("the first one's environment", &script(&*sandbox, "echo ${OTHER-unset}").await?, &"unset\n")?;
    let there = runtime.list(&Selector::name(spec.name)).await?;
    equal(
        "sandboxes",
        &there.iter().map(|info| &info.incarnation).collect::<Vec<_>>(),
        &vec![sandbox.incarnation()],
    )
}

async fn an_image_that_does_not_exist_is_typed(cx: &Context) -> CaseResult {
    let (runtime, spec) = (cx.runtime()?, cx.spec()?);
    let spec = SandboxSpec { image: "oh-e2e/there-is-no-such-image:1".to_owned(), ..spec };
    let error = refused(runtime.create(&spec).await, NO_IMAGE)?;
    check(error.to_string().contains(&spec.image), format!("it does not name the image: {error}"))?;
    empty("left", &runtime.list(&Selector::name(spec.name)).await?)
}

async fn a_malformed_image_is_typed(cx: &Context) -> CaseResult {
    let (runtime, spec) = (cx.runtime()?, cx.spec()?);
    for image in ["", "UPPER case:1", "a:b:c", "../escape"] {
        let spec = SandboxSpec { image: image.to_owned(), ..spec.clone() };
        let refused = refused(runtime.create(&spec).await, &[ErrorKind::ImageInvalid]);
        check(refused.is_ok(), format!("{image:?}: {refused:?}"))?;
    }
    empty("left", &runtime.list(&Selector::name(spec.name)).await?)
}

async fn a_description_touches_nothing(cx: &Context) -> CaseResult {
    let (runtime, spec) = (cx.runtime()?, cx.spec()?);
    let described = runtime.render(&spec)?;
    check(described.to_string().contains(IMAGE), format!("the image is not in {described}"))?;
    empty("made", &runtime.list(&Selector::name(spec.name)).await?)
}

async fn labels_say_what_it_is(cx: &Context) -> CaseResult {
    let (runtime, spec) = (cx.runtime()?, cx.spec()?);
    let spec = SandboxSpec { instance: Some("owner__repo-1".to_owned()), ..spec };
    let before = SystemTime::now();
    runtime.create(&spec).await?;
    let there = runtime.list(&Selector::name(spec.name.clone())).await?;
    let info = there.first().ok_or_else(|| Failure::new("it is not listed"))?;
    equal("state", &info.state, &SandboxState::Running)?;
    let wanted = [
        (label::SANDBOX, spec.name.to_string()),
        (label::RUN, cx.run().to_string()),
        (label::INSTANCE, "owner__repo-1".to_owned()),
        (label::OWNER, spec.owner.clone()),
        (label::IMAGE, spec.image.clone()),
        (label::SPEC, spec.digest()),
    ];
    for (key, value) in wanted {
        equal(key, &info.labels.get(key), &Some(&value))?;
    }
    let expires = info.expires().ok_or_else(|| Failure::new("it says no expiry time"))?;
    let slack = Duration::from_secs(5);
    check(
        expires + slack > before + spec.ttl && expires < SystemTime::now() + spec.ttl + slack,
        format!("it expires at {expires:?}"),
    )?;
    let created = info.created.ok_or_else(|| Failure::new("it says no creation time"))?;
    check(
        created + slack > before && created < SystemTime::now() + slack,
        format!("it says it was made at {created:?}"),
    )
}

async fn attaching_finds_it_from_another_process(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    script(&*sandbox, "echo mine >/testbed/file").await?;
    let other = cx.another_runtime().await?;
    let attached = other.attach(&sandbox.incarnation().name).await?;
    equal("incarnation", attached.incarnation(), sandbox.incarnation())?;
    equal("file", &script(&*attached, "cat /testbed/file").await?, &"mine\n")?;
    // The one who goes takes nothing along.
    drop((attached, other));
    equal("file", &script(&*sandbox, "cat /testbed/file").await?, &"mine\n")
}

async fn attaching_to_nothing_is_not_found(cx: &Context) -> CaseResult {
    refused(cx.runtime()?.attach(&cx.name()).await, &[ErrorKind::NotFound]).map(drop)
}

async fn a_run_is_found_by_its_label(cx: &Context) -> CaseResult {
    let run = oh_runtime::RunId::new(format!("{}-found", cx.run()))?;
    let mut made = Vec::new();
    for _ in 0..2 {
        let spec = SandboxSpec { run: Some(run.clone()), ..cx.spec()? };
        made.push(cx.runtime()?.create(&spec).await?.incarnation().clone());
    }
    let other = cx.another_runtime().await?;
    let find = |run| async { other.list(&Selector { run: Some(run), ..Selector::default() }).await };
    let mut found: Vec<_> = find(run.clone()).await?.into_iter().map(|info| info.incarnation).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    made.sort_by(|a, b| a.name.cmp(&b.name));
    equal("found", &found, &made)?;
    // Every field of a selector has to match.
    let one = Selector { run: Some(run), name: Some(made[0].name.clone()), ..Selector::default() };
    equal("found by run and name", &other.list(&one).await?.len(), &1)?;
    let nobody = Selector { owner: Some("nobody@nowhere".to_owned()), ..one };
    empty("found for another owner", &other.list(&nobody).await?)?;
    empty("found for another run", &find(oh_runtime::RunId::new("no-such-run")?).await?)
}

async fn a_mounted_folder_is_there(cx: &Context) -> CaseResult {
    let host = tempfile::tempdir()?;
    std::fs::write(host.path().join("file"), "of the host\n")?;
    let mount =
        |target: &str, read_only| Mount { source: host.path().to_owned(), target: target.into(), read_only };
    let mounts = vec![mount("/testbed/mine", false), mount("/testbed/theirs", true)];
    let sandbox = cx.runtime()?.create(&SandboxSpec { mounts, ..cx.spec()? }).await?;
    equal("content", &script(&*sandbox, "cat /testbed/theirs/file").await?, &"of the host\n")?;
    script(&*sandbox, "echo of the sandbox >/testbed/mine/answer").await?;
    equal("answer", &std::fs::read_to_string(host.path().join("answer"))?, &"of the sandbox\n")?;
    let output = sandbox.run(CommandSpec::shell("echo no >/testbed/theirs/file")).await?;
    check(!output.finished.end.success(), "what is read-only was written")?;
    equal("content", &std::fs::read_to_string(host.path().join("file"))?, &"of the host\n")
}

async fn a_paused_sandbox_goes_on_where_it_was(cx: &Context) -> CaseResult {
    let (runtime, spec) = (cx.runtime()?, cx.spec()?);
    let sandbox = runtime.create(&spec).await?;
    let name = &sandbox.incarnation().name;
    let state = async || {
        let listed = runtime.list(&Selector::name(name.clone())).await?;
        listed.first().map(|info| info.state).ok_or_else(|| Failure::new("it is not listed"))
    };
    let steps = CommandSpec::shell("for i in $(seq 60); do echo $i; sleep 0.05; done");
    let mut running = std::pin::pin!(sandbox.run(steps));
    // It is under way, and cannot be at its end.
    check(timeout(Duration::from_secs(1), &mut running).await.is_err(), "it ended too early")?;
    sandbox.pause().await?;
    sandbox.pause().await?;
    equal("state", &state().await?, &SandboxState::Paused)?;
    check(timeout(Duration::from_secs(4), &mut running).await.is_err(), "it went on while it was paused")?;
    let other = cx.another_runtime().await?.attach(name).await?;
    refused(other.run(CommandSpec::new(["true"])).await, &[ErrorKind::Paused])?;
    sandbox.resume().await?;
    sandbox.resume().await?;
    equal("state", &state().await?, &SandboxState::Running)?;
    let output = running.await?;
    let all: String = (1..=60).map(|step| format!("{step}\n")).collect();
    equal("steps", &String::from_utf8_lossy(&output.stdout.bytes).into_owned(), &all)?;
    script(&*other, "true").await.map(drop)
}

async fn a_user_is_honoured_or_refused(cx: &Context) -> CaseResult {
    let spec = SandboxSpec { user: Some("65534".to_owned()), ..cx.spec()? };
    match cx.runtime()?.create(&spec).await {
        Ok(sandbox) => equal("user", &script(&*sandbox, "id -u").await?, &"65534\n"),
        // A backend may be unable to; running as somebody else would be worse.
        Err(error) => refused::<()>(Err(error), &[ErrorKind::Unsupported]).map(drop),
    }
}

async fn sandboxes_have_their_own_files(cx: &Context) -> CaseResult {
    let (one, other) = (cx.fresh().await?, cx.fresh().await?);
    script(&*one, "echo one >/testbed/file").await?;
    equal(
        "file of the other",
        &script(&*other, "cat /testbed/file 2>/dev/null || echo none").await?,
        &"none\n",
    )?;
    script(&*other, "echo other >/testbed/file").await?;
    equal("file of the one", &script(&*one, "cat /testbed/file").await?, &"one\n")
}

async fn sandboxes_do_not_see_each_others_processes(cx: &Context) -> CaseResult {
    let (one, other) = (cx.fresh().await?, cx.shared().await?);
    let mark = mark();
    let mut process = one.start(CommandSpec::new(["sleep", &mark])).await?;
    until_marked(&*one, &mark, 1).await?;
    empty("seen from the other", &marked(&*other, &mark).await?)?;
    process.control.cancel().await?;
    equal("end", &process.wait().await?.end, &End::Cancelled)
}

async fn the_root_is_the_images_own(cx: &Context) -> CaseResult {
    let (one, other) = (cx.fresh().await?, cx.shared().await?);
    script(&*one, "echo changed >/etc/oh-e2e-mark").await?;
    let output = other.run(CommandSpec::shell("cat /etc/oh-e2e-mark 2>/dev/null || echo none")).await?;
    equal("seen from the other", &text(&output), &"none\n")?;
    check(!std::path::Path::new("/etc/oh-e2e-mark").exists(), "it is on the host")?;
    succeeds(&*one, CommandSpec::new(["test", "-f", "/etc/oh-e2e-mark"])).await.map(drop)
}
