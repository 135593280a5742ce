//! The state a command finds itself in: as a container engine's own `exec` gives it.

use oh_runtime::{CommandSpec, End, SandboxExt};

use crate::case::{Case, case};
use crate::context::Context;
use crate::failure::{CaseResult, Failure, check, equal};
use crate::probe::{mark, marked, script, soon, succeeds, text, until, until_marked};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(only_three_descriptors_are_open),
        case!(signals_are_neither_ignored_nor_blocked),
        case!(it_leads_a_session_of_its_own),
        case!(it_has_no_terminal),
        case!(the_umask_is_the_usual_one),
        case!(a_broken_pipe_ends_a_writer),
        case!(a_background_child_does_not_hold_the_command),
        case!(a_background_child_survives_its_command),
        case!(orphans_do_not_become_zombies),
        case!(a_daemon_does_not_hold_the_command),
    ]
}

async fn only_three_descriptors_are_open(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    // Of the shell, not of `ls`, which opens the folder; the colon keeps the shell from becoming `ls`.
    equal("descriptors", &script(&*sandbox, "ls /proc/$$/fd; :").await?, &"0\n1\n2\n")
}

async fn signals_are_neither_ignored_nor_blocked(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let status = succeeds(&*sandbox, CommandSpec::new(["cat", "/proc/self/status"])).await?;
    for name in ["SigBlk", "SigIgn", "SigPnd", "ShdPnd"] {
        let line = status.lines().find(|line| line.starts_with(name));
        let mask = line.and_then(|line| line.split_whitespace().nth(1));
        equal(name, &mask, &Some("0000000000000000"))?;
    }
    Ok(())
}

/// A field of `/proc/self/stat`, counted from 1 as proc(5) does, of a command started without a shell.
async fn stat(cx: &Context, fields: [usize; 2]) -> CaseResult<[i64; 2]> {
    let sandbox = cx.shared().await?;
    let stat = succeeds(&*sandbox, CommandSpec::new(["cat", "/proc/self/stat"])).await?;
    let field = |number: usize| {
        let value = stat.split_whitespace().nth(number - 1).and_then(|field| field.parse().ok());
        value.ok_or_else(|| Failure::new(format!("no field {number} in {stat:?}")))
    };
    Ok([field(fields[0])?, field(fields[1])?])
}

async fn it_leads_a_session_of_its_own(cx: &Context) -> CaseResult {
    let [pid, session] = stat(cx, [1, 6]).await?;
    equal("session", &session, &pid)?;
    let [pid, group] = stat(cx, [1, 5]).await?;
    equal("process group", &group, &pid)
}

async fn it_has_no_terminal(cx: &Context) -> CaseResult {
    equal("terminal and its group", &stat(cx, [7, 8]).await?, &[0, -1])
}

async fn the_umask_is_the_usual_one(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    equal("umask", &script(&*sandbox, "umask").await?, &"0022\n")
}

async fn a_broken_pipe_ends_a_writer(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    // A harness that ignores SIGPIPE would pass that on, and `yes` would complain instead of being ended.
    let said = script(&*sandbox, "exec 3>&1; (yes; echo $? >&3) | head -n 1 >/dev/null").await?;
    equal("exit code of the writer, as the shell says it", &said, &"141\n")
}

async fn a_background_child_does_not_hold_the_command(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mark = mark();
    // The child keeps the command's standard output and error open.
    let command = CommandSpec::shell(format!("sleep {mark} & echo started"));
    let output = soon("the command", sandbox.run(command)).await??;
    equal("end", &output.finished.end, &End::Exited(0))?;
    equal("output", &text(&output), &"started\n")?;
    script(&*sandbox, format!("kill -9 {}", joined(&marked(&*sandbox, &mark).await?))).await.map(drop)
}

async fn a_background_child_survives_its_command(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let mark = mark();
    // It goes on when it is told to, after its command ended and another one ran.
    let child = format!("until [ -e go ]; do sleep 0.05; done; echo alive >answer; exec sleep {mark}");
    let start = CommandSpec::shell(format!("sh -c '{child}' >/dev/null 2>&1 &")).cwd(&folder);
    soon("the command", succeeds(&*sandbox, start)).await??;
    script(&*sandbox, format!("touch {}/go", folder.display())).await?;
    until("the child's answer", || async {
        let look = CommandSpec::shell("cat answer 2>/dev/null || true").cwd(&folder);
        Ok(succeeds(&*sandbox, look).await? == "alive\n")
    })
    .await?;
    until_marked(&*sandbox, &mark, 1).await?;
    script(&*sandbox, format!("kill -9 {}", joined(&marked(&*sandbox, &mark).await?))).await.map(drop)
}

async fn a_daemon_does_not_hold_the_command(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let mark = mark();
    let command = CommandSpec::shell(format!("setsid sh -c 'setsid sleep {mark} & exit' & echo started"));
    let output = soon("the command", sandbox.run(command)).await??;
    equal("end", &output.finished.end, &End::Exited(0))?;
    until_marked(&*sandbox, &mark, 1).await?;
    script(&*sandbox, format!("kill -9 {}", joined(&marked(&*sandbox, &mark).await?))).await.map(drop)
}

async fn orphans_do_not_become_zombies(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    // Each orphan outlives its parent, and nobody waits for it but the agent.
    script(&*sandbox, "for i in 1 2 3 4 5 6 7 8 9; do (sleep 0.3 & exit) & done; wait").await?;
    script(&*sandbox, "for i in 1 2 3 4 5 6 7 8 9; do sh -c 'sleep 0.2 & sleep 0.1 & exit' & done").await?;
    let states = "cat /proc/[0-9]*/stat 2>/dev/null | sed 's/.*) //; s/ .*//'; true";
    until("the sandbox to be without zombies and sleepers", || async {
        let names = script(&*sandbox, "cat /proc/[0-9]*/comm 2>/dev/null; true").await?;
        let states = script(&*sandbox, states).await?;
        check(!states.is_empty(), "no process is seen at all")?;
        Ok(!states.contains('Z') && !names.contains("sleep"))
    })
    .await
}

fn joined(pids: &[u32]) -> String {
    pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}
