//! What is told of how a command ran.

use std::time::Duration;

use oh_runtime::{CommandSpec, End, OomScope, Resources, SandboxExt, SandboxSpec, Usage};
use tokio::io::AsyncReadExt;

use crate::case::{Case, RESOURCE_LIMITS, case};
use crate::cases::terminals::output_of;
use crate::context::Context;
use crate::failure::{CaseResult, Failure, check, equal};
use crate::probe::soon;

const MIB: u64 = 1 << 20;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(cpu_time_is_the_commands_and_its_childrens),
        case!(memory_is_the_largest_process),
        case!(a_slow_reader_is_told_from_a_slow_command),
        case!(an_oom_kill_of_a_child_is_told).needs(&[RESOURCE_LIMITS]),
    ]
}

fn cpu(usage: &Usage) -> CaseResult<Duration> {
    let sum = usage.user.and_then(|user| Some(user + usage.system?));
    sum.ok_or_else(|| Failure::new(format!("no CPU time is told: {usage:?}")))
}

async fn cpu_time_is_the_commands_and_its_childrens(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let idle = sandbox.run(CommandSpec::new(["sleep", "1"])).await?.finished;
    check(idle.wall >= Duration::from_secs(1), format!("it took {:?}", idle.wall))?;
    check(cpu(&idle.usage)? < Duration::from_millis(500), format!("sleeping used {:?}", idle.usage))?;
    let text = "sh -c 'i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done'; exit 0";
    let busy = sandbox.run(CommandSpec::shell(text)).await?.finished;
    let (used, idle) = (cpu(&busy.usage)?, cpu(&idle.usage)?);
    check(used > idle + Duration::from_millis(50), format!("counting used {used:?}, sleeping {idle:?}"))?;
    check(used < busy.wall * 2, format!("it used {used:?} in {:?}", busy.wall))
}

async fn memory_is_the_largest_process(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let small = sandbox.run(CommandSpec::new(["true"])).await?.finished.usage.max_rss.unwrap_or_default();
    let text = "python3 -c 'b = bytearray(80 << 20)'; exit 0";
    let large = sandbox.run(CommandSpec::shell(text)).await?.finished.usage.max_rss.unwrap_or_default();
    check((MIB / 2..40 * MIB).contains(&small), format!("`true` needed {small} bytes"))?;
    check((80 * MIB..200 * MIB).contains(&large), format!("80 MiB needed {large} bytes"))
}

async fn a_slow_reader_is_told_from_a_slow_command(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let prompt = sandbox.run(CommandSpec::shell("sleep 1; head -c 1000000 /dev/zero")).await?.finished.usage;
    check(prompt.blocked < Duration::from_millis(500), format!("read at once, it waited {prompt:?}"))?;
    let mut process = sandbox.start(CommandSpec::shell("head -c 20000000 /dev/zero")).await?;
    let mut stdout = output_of(&mut process)?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut rest = Vec::new();
    soon("the output", stdout.read_to_end(&mut rest)).await??;
    equal("bytes", &rest.len(), &20_000_000)?;
    let slow = process.wait().await?.usage;
    check(slow.blocked >= Duration::from_secs(1), format!("two seconds without a reader, it waited {slow:?}"))
}

async fn an_oom_kill_of_a_child_is_told(cx: &Context) -> CaseResult {
    let resources = Resources { memory: 96 * MIB, ..cx.spec()?.resources };
    let sandbox = cx.runtime()?.create(&SandboxSpec { resources, ..cx.spec()? }).await?;
    let calm = sandbox.run(CommandSpec::new(["true"])).await?.finished;
    equal("before", &calm.usage.oom, &None)?;
    let text = "python3 -c 'b = bytearray(300 << 20)' 2>/dev/null; exit 4";
    let finished = sandbox.run(CommandSpec::shell(text)).await?.finished;
    equal("end", &finished.end, &End::Exited(4))?;
    equal("what the kernel took", &finished.usage.oom, &Some(OomScope::Process))
}
