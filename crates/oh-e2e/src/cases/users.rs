//! Whom a command runs as, and with which mask and limits.

use oh_runtime::{CommandSpec, End, ErrorKind, Outcome, Rlimit, RlimitResource, SandboxExt, SandboxSpec};

use crate::case::{Case, OWN_ROOT, case};
use crate::context::Context;
use crate::failure::{CaseResult, check, equal, refused};
use crate::probe::{mark, script, succeeds, until_marked};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(a_user_is_named_or_numbered),
        case!(a_user_brings_home_and_shell),
        case!(the_images_groups_are_the_users).needs(&[OWN_ROOT]),
        case!(a_group_can_be_given),
        case!(an_unknown_user_is_no_exit_code),
        case!(a_sandbox_without_root_stays_who_it_is).needs(&[OWN_ROOT]),
        case!(a_command_of_another_user_is_killed_too),
        case!(the_mask_is_the_one_asked_for),
        case!(limits_are_the_ones_asked_for),
        case!(a_limit_that_cannot_be_is_no_exit_code),
    ]
}

async fn a_user_is_named_or_numbered(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    for (user, ids) in [("nobody", "65534 65534"), ("65534", "65534 65534"), ("4321", "4321 0"), ("0", "0 0")]
    {
        let spec = CommandSpec::shell("echo $(id -u) $(id -g); id -G").user(user);
        let said = succeeds(&*sandbox, spec).await?;
        let (is, groups) = said.split_once('\n').unwrap_or_default();
        equal(user, &is, &ids)?;
        if user != "0" {
            equal("groups", &groups.trim(), &ids.split(' ').next_back().unwrap_or_default())?;
        }
    }
    Ok(())
}

async fn a_user_brings_home_and_shell(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let show = "echo $HOME $USER $LOGNAME $SHELL";
    let nobody = succeeds(&*sandbox, CommandSpec::shell(show).user("nobody")).await?;
    equal("of nobody", &nobody.trim(), &"/nonexistent nobody nobody /usr/sbin/nologin")?;
    let unknown = succeeds(&*sandbox, CommandSpec::shell(show).user("4321")).await?;
    equal("of a number", &unknown.trim(), &"/ 4321 4321 /bin/sh")?;
    let own = CommandSpec::shell(show).user("nobody").env("HOME", "/mine");
    check(
        succeeds(&*sandbox, own).await?.starts_with("/mine nobody"),
        "the command's own variable was replaced",
    )
}

async fn the_images_groups_are_the_users(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    script(
        &*sandbox,
        "echo 'ann:x:1234:100:Ann:/var/ann:/bin/bash' >>/etc/passwd; \
         printf 'one:x:5001:bob,ann\\ntwo:x:5002:annette\\nthree:x:5003:ann\\n' >>/etc/group",
    )
    .await?;
    let spec =
        CommandSpec::shell("id -un; id -G; echo $HOME; touch /tmp/hers; stat -c %u:%g /tmp/hers").user("ann");
    let said = succeeds(&*sandbox, spec).await?;
    equal("ann", &said.as_str(), &"ann\n100 5001 5003\n/var/ann\n1234:100\n")
}

async fn a_group_can_be_given(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    for (user, ids) in [("nobody:daemon", "65534 1 1"), ("nobody:77", "65534 77 77"), ("5:6", "5 6 6")] {
        let spec = CommandSpec::shell("echo $(id -u) $(id -g) $(id -G)").user(user);
        equal(user, &succeeds(&*sandbox, spec).await?.trim(), &ids)?;
    }
    Ok(())
}

async fn an_unknown_user_is_no_exit_code(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    for user in ["oh-no-such-user", "nobody:oh-no-such-group", "", "nobody:", "-1"] {
        let error =
            refused(sandbox.run(CommandSpec::new(["true"]).user(user)).await, &[ErrorKind::ExecBadUser])?;
        equal(user, &error.outcome(), &Outcome::NotStarted)?;
    }
    Ok(())
}

async fn a_sandbox_without_root_stays_who_it_is(cx: &Context) -> CaseResult {
    let spec = SandboxSpec { user: Some("65534".to_owned()), ..cx.spec()? };
    let sandbox = cx.runtime()?.create(&spec).await?;
    for user in ["root", "0", "nobody:daemon", "daemon"] {
        let error =
            refused(sandbox.run(CommandSpec::new(["true"]).user(user)).await, &[ErrorKind::ExecBadUser])?;
        equal(user, &error.outcome(), &Outcome::NotStarted)?;
    }
    let same = CommandSpec::shell("id -u").user("nobody");
    equal("who it is already", &succeeds(&*sandbox, same).await?.trim(), &"65534")
}

async fn a_command_of_another_user_is_killed_too(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mark = mark();
    let text = format!("trap '' TERM; setsid sleep {mark} & sleep {mark}");
    let spec = CommandSpec::shell(text)
        .user("nobody")
        .timeout(std::time::Duration::from_millis(500))
        .grace(std::time::Duration::from_millis(300));
    let output = sandbox.run(spec).await?;
    equal("end", &output.finished.end, &End::TimedOut)?;
    check(output.finished.leaked.is_empty(), format!("left: {:?}", output.finished.leaked))?;
    until_marked(&*sandbox, &mark, 0).await
}

async fn the_mask_is_the_one_asked_for(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    for (mask, mode) in [(0, "666"), (0o22, "644"), (0o77, "600"), (0o777, "0")] {
        let spec = CommandSpec::shell("rm -f made; touch made; stat -c %a made").umask(mask).cwd(&folder);
        equal(mode, &succeeds(&*sandbox, spec).await?.trim(), &mode)?;
    }
    Ok(())
}

async fn limits_are_the_ones_asked_for(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let limit = |resource, soft, hard| Rlimit { resource, soft: Some(soft), hard: Some(hard) };
    let spec = CommandSpec::shell("ulimit -S -n; ulimit -H -n; ulimit -S -c; ulimit -S -t")
        .rlimit(limit(RlimitResource::OpenFiles, 77, 99))
        .rlimit(limit(RlimitResource::Core, 0, 0))
        .rlimit(limit(RlimitResource::Cpu, 1000, 2000));
    equal("limits", &succeeds(&*sandbox, spec).await?.as_str(), &"77\n99\n0\n1000\n")?;
    let small = CommandSpec::shell("trap '' XFSZ; head -c 5000 /dev/zero >/tmp/oh-limited").rlimit(limit(
        RlimitResource::FileSize,
        1024,
        1024,
    ));
    check(!sandbox.run(small).await?.finished.end.success(), "a file grew over its limit")?;
    let lazy = CommandSpec::shell("while :; do :; done").rlimit(limit(RlimitResource::Cpu, 1, 1));
    let end = sandbox.run(lazy).await?.finished.end;
    check(matches!(end, End::Signaled(9 | 24)), format!("over its CPU time it {end}"))
}

async fn a_limit_that_cannot_be_is_no_exit_code(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let upside_down = Rlimit { resource: RlimitResource::OpenFiles, soft: Some(9), hard: Some(8) };
    let specs = [CommandSpec::new(["true"]).rlimit(upside_down), CommandSpec::new(["true"]).umask(0o1000)];
    for spec in specs {
        let error = refused(sandbox.run(spec).await, &[ErrorKind::ExecInvalid])?;
        equal("outcome", &error.outcome(), &Outcome::NotStarted)?;
    }
    Ok(())
}
