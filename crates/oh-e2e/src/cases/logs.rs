//! What a sandbox's first process says.

use futures::StreamExt;
use oh_runtime::{CommandSpec, ErrorKind, LogOptions, Runtime, SandboxName, SandboxSpec};

use super::removal::{SHORT, until_ended};
use crate::case::{Case, case};
use crate::context::Context;
use crate::failure::{CaseResult, check, equal, refused};
use crate::probe::{script, soon, succeeds, until};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(they_hold_the_agents_lines_in_order),
        case!(they_can_be_read_after_the_end),
        case!(a_tail_is_the_last_lines),
        case!(following_goes_on_until_the_end),
        case!(they_hold_nothing_commands_say),
        case!(those_of_nothing_are_not_found),
    ]
}

async fn read(runtime: &Runtime, name: &SandboxName, options: LogOptions) -> CaseResult<String> {
    let mut stream = runtime.logs(name, options).await?;
    let mut bytes = Vec::new();
    while let Some(part) = soon("the next part of the log", stream.next()).await? {
        bytes.extend(part?);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The log when it tells of the end of the command with this number: the engine takes the agent's lines in its own time.
async fn with_end_of(runtime: &Runtime, name: &SandboxName, command: u32) -> CaseResult<String> {
    let end = format!("command {command} ended");
    until(&end, || async { Ok(read(runtime, name, LogOptions::default()).await?.contains(&end)) }).await?;
    read(runtime, name, LogOptions::default()).await
}

async fn they_hold_the_agents_lines_in_order(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    let name = &sandbox.incarnation().name;
    for program in ["true", "false", "id"] {
        sandbox.start(CommandSpec::new([program])).await?.wait().await?;
    }
    let log = with_end_of(cx.runtime()?, name, 3).await?;
    check(log.ends_with('\n'), format!("it ends amid a line: {log:?}"))?;
    let place = |what: &str| log.find(what);
    let places = [name.as_str(), "\"true\"", "\"false\"", "\"id\""].map(place);
    check(places.iter().all(Option::is_some) && places.is_sorted(), format!("{places:?} in {log:?}"))?;
    equal("read again", &read(cx.runtime()?, name, LogOptions::default()).await?, &log)
}

async fn they_can_be_read_after_the_end(cx: &Context) -> CaseResult {
    let runtime = cx.runtime()?;
    let sandbox = runtime.create(&SandboxSpec { ttl: SHORT, ..cx.spec()? }).await?;
    let name = &sandbox.incarnation().name;
    until_ended(cx, &*sandbox).await?;
    let log = read(runtime, name, LogOptions::default()).await?;
    check(log.contains("time to live"), format!("the reason of the end is not in {log:?}"))
}

async fn a_tail_is_the_last_lines(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    let name = &sandbox.incarnation().name;
    for _ in 0..3 {
        sandbox.start(CommandSpec::new(["true"])).await?.wait().await?;
    }
    let all = with_end_of(cx.runtime()?, name, 3).await?;
    let lines: Vec<&str> = all.lines().collect();
    for count in [0, 1, 2, 1000] {
        let options = LogOptions { tail: Some(count), ..LogOptions::default() };
        let tail = read(cx.runtime()?, name, options).await?;
        let wanted = &lines[lines.len().saturating_sub(usize::try_from(count)?)..];
        equal(&format!("the last {count}"), &tail.lines().collect::<Vec<_>>(), &wanted)?;
    }
    Ok(())
}

async fn following_goes_on_until_the_end(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let mut stream = cx.runtime()?.logs(&sandbox.incarnation().name, options).await?;
    let mut seen = String::new();
    for program in ["first-program", "second-program"] {
        script(&*sandbox, format!("ln -sf /bin/true /testbed/{program}")).await?;
        succeeds(&*sandbox, CommandSpec::new([format!("/testbed/{program}")])).await?;
        while !seen.contains(&format!("/testbed/{program}\"")) {
            let part = soon("the next line", stream.next()).await?;
            match part {
                Some(part) => seen.push_str(&String::from_utf8_lossy(&part?)),
                None => check(false, format!("it ended while the sandbox runs, with {seen:?}"))?,
            }
        }
    }
    sandbox.close().await?;
    // What comes at the very end may be an error: the sandbox was removed meanwhile. It must only not go on for ever.
    while let Some(part) = soon("the end of the log", stream.next()).await? {
        if part.is_err() {
            break;
        }
    }
    Ok(())
}

async fn they_hold_nothing_commands_say(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    let spec = CommandSpec::shell("echo out-of-command; echo err-of-command >&2; echo $SECRET")
        .env("SECRET", "value-of-variable");
    succeeds(&*sandbox, spec).await?;
    let log = with_end_of(cx.runtime()?, &sandbox.incarnation().name, 1).await?;
    for secret in ["out-of-command", "err-of-command", "value-of-variable"] {
        check(!log.contains(secret), format!("{secret} is in {log:?}"))?;
    }
    Ok(())
}

async fn those_of_nothing_are_not_found(cx: &Context) -> CaseResult {
    refused(cx.runtime()?.logs(&cx.name(), LogOptions::default()).await, &[ErrorKind::NotFound]).map(drop)
}
