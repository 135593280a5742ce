//! OpenHands' actions: the same observations on every backend.

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oh_actions::{
    Action, ActionKind, ActionRuntime, Metadata, Observation, RunAction, RunObservation, RuntimeOptions,
    RuntimeStatus, SessionSpec, StatusCallback,
};
use oh_runtime::{ErrorKind, Sandbox, SandboxSpec};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::resume::{cut, often_cut};
use crate::case::{Case, OWN_ROOT, case};
use crate::context::Context;
use crate::failure::{CaseResult, Failure, check, equal, refused};
use crate::probe::{script, soon};

/// An image with busybox and nothing else.
const BUSYBOX: &str = "oh-test-busybox:1";
/// How long a command may say nothing here; the default is ten seconds.
const NO_CHANGE: Duration = Duration::from_secs(2);

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(a_script_has_the_same_observations_everywhere).seconds(120),
        case!(what_a_command_prints_is_no_end),
        case!(start_up_files_and_prompts_do_not_confuse),
        case!(an_image_with_only_sh_will_do).needs(&[OWN_ROOT]),
        case!(floods_and_long_commands_are_no_trouble),
        case!(a_session_is_any_users),
        case!(sessions_go_on_side_by_side),
        case!(a_shell_that_exits_is_started_again),
        case!(cut_streams_change_no_observation).seconds(180),
        case!(another_process_goes_on_with_a_session),
        case!(python_goes_on_between_cells),
        case!(python_is_interrupted_and_may_end),
        case!(an_observation_nobody_waits_for_does_no_harm),
        case!(files_go_through_zip),
        case!(a_runtime_sets_up_and_removes_its_sandbox),
        case!(a_sandbox_that_is_gone_is_no_observation),
    ]
}

fn options(folder: &str) -> RuntimeOptions {
    RuntimeOptions {
        working_dir: folder.to_owned(),
        no_change_timeout: NO_CHANGE,
        git: None,
        ..RuntimeOptions::default()
    }
}

/// A runtime over a sandbox of this case.
async fn runtime_over(sandbox: &Arc<dyn Sandbox>) -> CaseResult<ActionRuntime> {
    let runtime = ActionRuntime::over(Arc::clone(sandbox), options("/testbed"));
    runtime.connect().await?;
    Ok(runtime)
}

async fn fresh(cx: &Context) -> CaseResult<(Arc<dyn Sandbox>, ActionRuntime)> {
    let sandbox = cx.fresh().await?;
    let runtime = runtime_over(&sandbox).await?;
    Ok((sandbox, runtime))
}

async fn does(runtime: &ActionRuntime, action: Action) -> CaseResult<RunObservation> {
    does_in(runtime, oh_actions::MAIN, action).await
}

async fn does_in(runtime: &ActionRuntime, session: &str, action: Action) -> CaseResult<RunObservation> {
    match runtime.run_action_in(session, &action).await? {
        Observation::Run(run) => Ok(run),
        other => Err(Failure::new(format!("{action:?} gave {other:?}"))),
    }
}

/// A command that has to end with `code` and say `content`, however long it says nothing: the machine may be busy.
async fn says(runtime: &ActionRuntime, command: &str, code: i64, content: &str) -> CaseResult {
    let run = RunAction { command: command.to_owned(), blocking: true, ..RunAction::default() };
    let run = does(runtime, Action::new(ActionKind::Run(run)).timeout(60)).await?;
    equal(command, &(run.content.as_str(), run.metadata.exit_code), &(content, code))
}

/// An action of the script, and its observation without what differs from machine to machine.
fn scripted() -> Vec<(Value, Value)> {
    let run = |command: &str, timeout: f64, input: bool| json!({ "action": "run", "args": { "command": command, "is_input": input }, "timeout": timeout });
    let seen =
        |code: i64, content: &str| json!({ "observation": "run", "exit_code": code, "content": content });
    let file = |name: &str, args: Value| json!({ "action": name, "args": args });
    let path = "/testbed/a.py";
    let view = "Here's the result of running `cat -n` on /testbed/a.py:\n     1\tprint(1)\n     2\tprint(2)\n     3\t\n";
    vec![
        (run("cd /tmp && export A='x y'; f() { echo \"in f: $A\"; }", 30.0, false), seen(0, "")),
        (run("f; pwd", 30.0, false), seen(0, "in f: x y\n/tmp")),
        (run("(exit 3)", 30.0, false), seen(3, "")),
        (run("echo $?", 30.0, false), seen(0, "3")),
        (run("cat <<EOF\n$A\ngrüße\nEOF", 30.0, false), seen(0, "x y\ngrüße")),
        (run("printf '10%%\\r100%%\\n\\033[31mred\\033[0m\\n'", 30.0, false), seen(0, "100%\nred")),
        (run("seq 1 100000 | tail -c 2000000 | wc -c", 30.0, false), seen(0, "588895")),
        (run("read -p 'name: ' n; echo \"hello $n\"", 1.0, false), seen(-1, "name:")),
        (run("echo no", 30.0, false), seen(-1, "")),
        (run("Bob", 30.0, true), seen(0, "hello Bob")),
        (run("sleep 100", 0.5, false), seen(-1, "")),
        (run("C-c", 30.0, true), seen(130, "^C")),
        (run("cd /testbed", 30.0, false), seen(0, "")),
        (
            file("edit", json!({ "command": "create", "path": path, "file_text": "print(0)\nprint(2)\n" })),
            json!({ "observation": "edit", "content": "File created successfully at: /testbed/a.py" }),
        ),
        (
            file("edit", json!({ "command": "str_replace", "path": path, "old_str": "0", "new_str": "1" })),
            json!({
                "observation": "edit",
                "content": "The file /testbed/a.py has been edited. Here's the result of running `cat -n` on a snippet of \
                            /testbed/a.py:\n     1\tprint(1)\n     2\tprint(2)\n     3\t\nReview the changes and make sure they \
                            are as expected. Edit the file again if necessary.",
            }),
        ),
        (
            file("edit", json!({ "command": "view", "path": path })),
            json!({ "observation": "edit", "content": view }),
        ),
        (run("python3 a.py", 30.0, false), seen(0, "1\n2")),
        (
            file("read", json!({ "path": "a.py" })),
            json!({ "observation": "read", "content": "print(1)\nprint(2)\n" }),
        ),
        (
            file("write", json!({ "path": "b/c.txt", "content": "one" })),
            json!({ "observation": "write", "content": "" }),
        ),
        (run("cat b/c.txt", 30.0, false), seen(0, "one")),
        (
            file("read", json!({ "path": "none" })),
            json!({
                "observation": "error",
                "content": "File not found: /testbed/none. Your current working directory is /testbed.",
            }),
        ),
        (
            file("dance", json!({})),
            json!({ "observation": "error", "content": "Action dance does not exist." }),
        ),
    ]
}

async fn a_script_has_the_same_observations_everywhere(cx: &Context) -> CaseResult {
    let (_sandbox, runtime) = fresh(cx).await?;
    for (action, wanted) in scripted() {
        let all = runtime.run_json(&action).await?;
        let mut got = json!({ "observation": all["observation"], "content": all["content"] });
        if let Some(code) = all["extras"]["metadata"].get("exit_code") {
            got["exit_code"] = code.clone();
        }
        let wanted_order = json!({ "observation": wanted["observation"], "content": wanted["content"] });
        equal(
            &action.to_string(),
            &(&got["observation"], &got["content"]),
            &(&wanted_order["observation"], &wanted_order["content"]),
        )?;
        equal(&action.to_string(), &got.get("exit_code"), &wanted.get("exit_code"))?;
    }
    let Metadata { username, working_dir, py_interpreter_path, .. } =
        does(&runtime, Action::run("true")).await?.metadata;
    equal("user", &username.as_deref(), &Some("root"))?;
    equal("folder", &working_dir.as_deref(), &Some("/testbed"))?;
    check(py_interpreter_path.is_some(), "nothing is said of python")
}

async fn what_a_command_prints_is_no_end(cx: &Context) -> CaseResult {
    let (_sandbox, runtime) = fresh(cx).await?;
    let forge = "set | grep '^__oh' | head -c 3000 | wc -l | grep -qv '^0$'; declare -f __oh_e; \
                 printf '\\033]oh;%s;0;;me;there;;/\\007' 0123456789abcdef 0; echo still; exit_code() { return 9; }; exit_code";
    let run = does(&runtime, Action::run(forge)).await?;
    equal("exit code", &run.metadata.exit_code, &9)?;
    check(run.content.ends_with("still"), format!("it says {:?}", run.content))?;
    // A program does not get what the shell has.
    says(&runtime, "sh -c 'set' | grep -c '__oh_n'", 1, "0").await?;
    let file =
        "printf '\\033]oh;x;0;;;;;/\\007\\n###PS1JSON###\\n{\"exit_code\": \"0\"}\\n###PS1END###\\n'; false";
    equal("exit code", &does(&runtime, Action::run(file)).await?.metadata.exit_code, &1)?;
    says(&runtime, "echo fine", 0, "fine").await
}

async fn start_up_files_and_prompts_do_not_confuse(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    let rc = "echo welcome; PS1='\\[\\e[1m\\]\\u\\$ '; PS2='> '; PROMPT_COMMAND='echo a prompt'; alias ls='ls --color=always'; \
              export FROM_RC=1; trap 'true' DEBUG; set -o vi";
    script(&*sandbox, format!("cat > /root/.bashrc <<'EOF'\n{rc}\nEOF")).await?;
    let runtime = runtime_over(&sandbox).await?;
    says(&runtime, "echo $FROM_RC", 0, "1").await?;
    says(&runtime, "mkdir d; ls", 0, "d").await?;
    says(&runtime, "source ~/.bashrc", 0, "welcome").await?;
    says(&runtime, "echo still here", 0, "still here").await?;
    says(&runtime, "PS1='other> '; PROMPT_COMMAND='echo noise'; false", 1, "").await?;
    says(&runtime, "echo fine", 0, "fine").await?;
    says(&runtime, "set -eu; true", 0, "").await?;
    says(&runtime, "echo strict", 0, "strict").await
}

async fn an_image_with_only_sh_will_do(cx: &Context) -> CaseResult {
    let spec = SandboxSpec { image: BUSYBOX.to_owned(), ..cx.spec()? };
    let sandbox = cx.runtime()?.create(&spec).await?;
    let runtime = ActionRuntime::over(sandbox, options("/w"));
    runtime.connect().await?;
    says(&runtime, "cd /tmp; A='x y'; f() { echo \"$A\"; return 4; }", 0, "").await?;
    says(&runtime, "f; pwd", 0, "x y\n/tmp").await?;
    says(&runtime, "f >/dev/null", 4, "").await?;
    says(&runtime, "cat <<EOF\n$A\nEOF", 0, "x y").await?;
    equal("exit code", &does(&runtime, Action::run("no-such-command")).await?.metadata.exit_code, &127)?;
    let run = does(&runtime, Action::run("read x; echo \"got $x\"").timeout(1)).await?;
    equal("exit code", &run.metadata.exit_code, &-1)?;
    equal("answer", &does(&runtime, Action::input("it")).await?.content.as_str(), &"got it")?;
    does(&runtime, Action::run("sleep 100").timeout(1)).await?;
    equal("interrupted", &does(&runtime, Action::input("C-c")).await?.metadata.exit_code, &130)?;
    let python = runtime.run_json(&json!({ "action": "run_ipython", "args": { "code": "1" } })).await?;
    equal("python", &python["extras"]["error_id"], &json!(oh_actions::BAD_ACTION))?;
    says(&runtime, "echo fine", 0, "fine").await
}

async fn floods_and_long_commands_are_no_trouble(cx: &Context) -> CaseResult {
    let (_sandbox, runtime) = fresh(cx).await?;
    let flood = does(&runtime, Action::run("yes 0123456789 | head -c 30000000; printf '\\033]'; head -c 3000000 /dev/zero | tr '\\0' x; printf '\\007'")).await?;
    equal("exit code", &flood.metadata.exit_code, &0)?;
    check(
        flood.metadata.prefix.starts_with("[Previous command outputs are truncated."),
        flood.metadata.prefix,
    )?;
    check(flood.content.chars().count() < 30_100, format!("it has {} bytes", flood.content.len()))?;
    let word = "x".repeat(200_000);
    let long = format!("word='{word}'; echo ${{#word}}");
    says(&runtime, &long, 0, "200000").await?;
    says(&runtime, "echo fine", 0, "fine").await
}

async fn a_session_is_any_users(cx: &Context) -> CaseResult {
    let (sandbox, runtime) = fresh(cx).await?;
    script(&*sandbox, "chmod 755 /testbed").await?;
    let spec = SessionSpec { user: Some("nobody".to_owned()), working_dir: None };
    runtime.open_session("nobody", spec).await?;
    let run = does_in(&runtime, "nobody", Action::run("id -un; touch /testbed/x")).await?;
    check(run.content.starts_with("nobody\n"), format!("it says {:?}", run.content))?;
    equal("exit code", &run.metadata.exit_code, &1)?;
    equal("user", &run.metadata.username.as_deref(), &Some("nobody"))?;
    let spec = SessionSpec { user: Some("oh-no-such-user".to_owned()), working_dir: None };
    refused(runtime.open_session("nobody at all", spec).await, &[ErrorKind::ExecBadUser])?;
    let action = Action::run("true");
    refused(runtime.run_action_in("unknown", &action).await, &[ErrorKind::NotFound]).map(drop)
}

async fn sessions_go_on_side_by_side(cx: &Context) -> CaseResult {
    let (_sandbox, runtime) = fresh(cx).await?;
    runtime.open_session("server", SessionSpec::default()).await?;
    let serve = Action::run("read line; echo \"got $line\"; sleep 100").timeout(1);
    equal("exit code", &does_in(&runtime, "server", serve).await?.metadata.exit_code, &-1)?;
    says(&runtime, "echo meanwhile", 0, "meanwhile").await?;
    let answer = does_in(&runtime, "server", Action::input("this").timeout(1)).await?;
    equal("answer", &answer.content.as_str(), &"got this")?;
    let before = "[Below is the output of the previous command.]\n";
    equal("before", &answer.metadata.prefix.as_str(), &before)?;
    equal("end", &does_in(&runtime, "server", Action::input("C-c")).await?.metadata.exit_code, &130)?;
    runtime.close_session("server").await?;
    says(&runtime, "echo alone", 0, "alone").await
}

async fn a_shell_that_exits_is_started_again(cx: &Context) -> CaseResult {
    let (sandbox, runtime) = fresh(cx).await?;
    says(&runtime, "KEPT=1; echo last words; exit 7", 7, "last words\nexit").await?;
    says(&runtime, "echo \"[$KEPT]\"; pwd", 0, "[]\n/testbed").await?;
    // Or something else ends it.
    let shell = does(&runtime, Action::run("echo $$")).await?.content;
    let killed = format!("kill -KILL {shell}; while kill -0 {shell} 2>/dev/null; do sleep 0.05; done");
    script(&*sandbox, killed).await?;
    says(&runtime, "echo again", 0, "again").await
}

async fn cut_streams_change_no_observation(cx: &Context) -> CaseResult {
    let whole = cx.fresh().await?;
    let (sandbox, cutting) = cut(cx, &*whole, 6_000, 7).await?;
    // While a stream is away, a command seems to say nothing.
    let patient = RuntimeOptions { no_change_timeout: Duration::from_secs(60), ..options("/testbed") };
    let runtime = ActionRuntime::over(sandbox, patient);
    runtime.connect().await?;
    for number in 0..30 {
        let command = format!(
            "COUNT=$((COUNT + 1)); echo $COUNT >> ran; seq {number} 400 | tail -n 3; (exit {number})"
        );
        says(&runtime, &command, number, "398\n399\n400").await?;
    }
    let run = does(&runtime, Action::run("seq 1 5000")).await?;
    check(run.content.starts_with("1\n2\n") && run.content.ends_with("\n5000"), "the output is another")?;
    often_cut(&cutting, 5)?;
    let once: Vec<String> = (1..=30).map(|number: u32| number.to_string()).collect();
    says(&runtime, "cat ran", 0, &once.join("\n")).await
}

async fn another_process_goes_on_with_a_session(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    let first = ActionRuntime::over(
        Arc::clone(&sandbox),
        RuntimeOptions { keep_runtime_alive: true, ..options("/testbed") },
    );
    first.connect().await?;
    says(&first, "KEPT=yes; cd /tmp", 0, "").await?;
    let wait = Action::run("read x; echo \"got $x, $KEPT\"").timeout(1);
    equal("exit code", &does(&first, wait).await?.metadata.exit_code, &-1)?;
    let sessions = serde_json::to_string(&first.handles().await)?;
    first.close().await?;
    drop(first);

    let found = cx.another_runtime().await?.attach(&sandbox.incarnation().name).await?;
    let attach = RuntimeOptions {
        attach_to_existing: true,
        sessions: serde_json::from_str(&sessions)?,
        ..options("/testbed")
    };
    let second = ActionRuntime::over(found, attach);
    second.connect().await?;
    equal("answer", &does(&second, Action::input("it")).await?.content.as_str(), &"got it, yes")?;
    says(&second, "pwd", 0, "/tmp").await
}

async fn cell(runtime: &ActionRuntime, code: &str) -> CaseResult<String> {
    let action =
        json!({ "action": "run_ipython", "args": { "code": code, "include_extra": false }, "timeout": 20 });
    let observation = runtime.run_json(&action).await?;
    equal("observation", &observation["observation"], &json!("run_ipython"))?;
    Ok(observation["content"].as_str().unwrap_or_default().to_owned())
}

async fn python_goes_on_between_cells(cx: &Context) -> CaseResult {
    let (_sandbox, runtime) = fresh(cx).await?;
    equal("nothing", &cell(&runtime, "x = 6\ndef f(y):\n    return x * y").await?.as_str(), &"")?;
    equal("a value", &cell(&runtime, "f(7)").await?.as_str(), &"42")?;
    equal("of before", &cell(&runtime, "_ + 1").await?.as_str(), &"43")?;
    let both = "import os, sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.stderr.flush()\nos.system('echo child')\nprint('ü')";
    equal("streams", &cell(&runtime, both).await?.as_str(), &"out\nerr\nchild\nü")?;
    let error = cell(&runtime, "1 / 0").await?;
    check(error.contains("ZeroDivisionError") && error.contains("1 / 0"), format!("it says {error:?}"))?;
    says(&runtime, "cd /tmp", 0, "").await?;
    equal("folder", &cell(&runtime, "os.getcwd()").await?.as_str(), &"'/tmp'")?;
    runtime.add_env_vars(&[("token".to_owned(), "a'b$c".to_owned())].into()).await?;
    equal("variable", &cell(&runtime, "print(os.environ['TOKEN'])").await?.as_str(), &"a'b$c")?;
    says(&runtime, "echo \"$TOKEN\"", 0, "a'b$c").await?;
    says(&runtime, "bash -ic 'echo \"$TOKEN\"' 2>/dev/null", 0, "a'b$c").await?;
    let action = json!({ "action": "run_ipython", "args": { "code": "2" } });
    let content = runtime.run_json(&action).await?["content"].clone();
    check(
        content.as_str().is_some_and(|text| {
            text.starts_with("2\n[Jupyter current working directory: /tmp]\n[Jupyter Python interpreter: /")
        }),
        format!("it says {content}"),
    )
}

async fn python_is_interrupted_and_may_end(cx: &Context) -> CaseResult {
    let (_sandbox, runtime) = fresh(cx).await?;
    cell(&runtime, "x = 1").await?;
    let slow = json!({ "action": "run_ipython", "args": { "code": "import time; time.sleep(100)", "include_extra": false }, "timeout": 1 });
    equal(
        "content",
        &runtime.run_json(&slow).await?["content"],
        &json!("[Execution timed out (1.0 seconds).]"),
    )?;
    equal("it goes on", &cell(&runtime, "x").await?.as_str(), &"1")?;
    let gone = cell(&runtime, "print('last', flush=True); import os; os._exit(3)").await?;
    check(gone.contains("The interpreter ended"), format!("it says {gone:?}"))?;
    equal("a new one", &cell(&runtime, "'x' in globals()").await?.as_str(), &"False")
}

async fn an_observation_nobody_waits_for_does_no_harm(cx: &Context) -> CaseResult {
    let (_sandbox, runtime) = fresh(cx).await?;
    let impatient = Duration::from_millis(500);
    let run = Action::run("echo begun; sleep 100").timeout(50);
    check(timeout(impatient, runtime.run_action(&run)).await.is_err(), "it came back")?;
    let refused = does(&runtime, Action::run("echo next")).await?;
    check(refused.metadata.suffix.contains("is NOT executed"), format!("it says {refused:?}"))?;
    equal("interrupted", &does(&runtime, Action::input("C-c")).await?.metadata.exit_code, &130)?;
    cell(&runtime, "x = 1").await?;
    let slow =
        json!({ "action": "run_ipython", "args": { "code": "print('late'); import time; time.sleep(100)" } });
    check(timeout(impatient, runtime.run_json(&slow)).await.is_err(), "it came back")?;
    equal("a new interpreter", &cell(&runtime, "'x' in globals()").await?.as_str(), &"False")
}

async fn files_go_through_zip(cx: &Context) -> CaseResult {
    let (sandbox, runtime) = fresh(cx).await?;
    let host = tempfile::tempdir()?;
    let tree = host.path().join("tree");
    std::fs::create_dir_all(tree.join("sub"))?;
    std::fs::write(tree.join("a.txt"), "a")?;
    std::fs::write(tree.join("sub/b.txt"), "b")?;
    runtime.copy_to(&tree, Path::new("/testbed/in"), true).await?;
    runtime.copy_to(&tree.join("a.txt"), Path::new("/testbed/in/new"), false).await?;
    let missing = runtime.copy_to(&host.path().join("none"), Path::new("/testbed"), false).await;
    refused(missing, &[ErrorKind::TransferNotFound])?;
    script(&*sandbox, "cd /testbed/in && ln -s ../in/new/a.txt link && ln -s /nowhere dangling && mkdir Zz empty && touch B").await?;
    let names = runtime.list_files(Some(Path::new("in"))).await?;
    equal("names", &names, &["empty/", "new/", "tree/", "Zz/", "B", "link"].map(str::to_owned).to_vec())?;
    equal("no folder", &runtime.list_files(Some(Path::new("none"))).await?.len(), &0)?;

    let path = runtime.copy_from(Path::new("/testbed/in")).await?;
    let mut archive = zip::ZipArchive::new(std::fs::File::open(&path)?)?;
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let name = file.name()?.into_owned();
        let mut content = String::new();
        file.read_to_string(&mut content)?;
        files.push(format!("{name}={content}"));
    }
    files.sort_unstable();
    equal(
        "files",
        &files,
        &["B=", "link=a", "new/a.txt=a", "tree/a.txt=a", "tree/sub/b.txt=b"].map(str::to_owned).to_vec(),
    )?;
    // A zip file is unpacked where it is copied to.
    runtime.copy_to(&path, Path::new("/testbed/out"), false).await?;
    std::fs::remove_file(&path)?;
    let unpacked = runtime.list_files(Some(Path::new("out"))).await?;
    equal("unpacked", &unpacked, &["new/", "tree/", "B", "link"].map(str::to_owned).to_vec())
}

async fn a_runtime_sets_up_and_removes_its_sandbox(cx: &Context) -> CaseResult {
    let told: Arc<Mutex<Vec<RuntimeStatus>>> = Arc::default();
    let heard = Arc::clone(&told);
    let status = StatusCallback::new(move |status, _: &str| {
        heard.lock().unwrap_or_else(PoisonError::into_inner).push(status);
    });
    let options = RuntimeOptions {
        git: Some(("Ann O'Nym".to_owned(), "ann@localhost".to_owned())),
        env: [("greeting".to_owned(), "hi \"there\" $HOME".to_owned())].into(),
        status: Some(status),
        ..options("/workspace/of/mine")
    };
    // A folder of the sandbox's own on every backend.
    let options = RuntimeOptions { working_dir: "/testbed/of/mine".to_owned(), ..options };
    let spec = cx.spec()?;
    let runtime = ActionRuntime::new(cx.runtime()?.clone(), spec.clone(), options.clone());
    refused(runtime.run_action(&Action::run("true")).await, &[ErrorKind::Config])?;
    runtime.connect().await?;
    says(
        &runtime,
        "pwd; echo \"$GREETING\"; git config user.name",
        0,
        "/testbed/of/mine\nhi \"there\" $HOME\nAnn O'Nym",
    )
    .await?;
    if cx.capabilities()?.pauses {
        runtime.pause().await?;
        runtime.resume().await?;
        says(&runtime, "echo it goes on", 0, "it goes on").await?;
    } else {
        refused(runtime.pause().await, &[ErrorKind::Unsupported])?;
    }

    let again = RuntimeOptions { attach_to_existing: true, status: None, ..options };
    let attached = ActionRuntime::new(cx.another_runtime().await?, spec, again);
    attached.connect().await?;
    attached.close().await?;
    says(&runtime, "echo it stays", 0, "it stays").await?;

    runtime.close().await?;
    runtime.close().await?;
    refused(attached.run_action(&Action::run("true")).await, &[ErrorKind::Config])?;
    use RuntimeStatus as S;
    let wanted =
        [S::Error, S::StartingRuntime, S::RuntimeStarted, S::SettingUpWorkspace, S::Ready, S::Stopped];
    equal("statuses", &told.lock().unwrap_or_else(PoisonError::into_inner).clone(), &wanted.to_vec())
}

async fn a_sandbox_that_is_gone_is_no_observation(cx: &Context) -> CaseResult {
    let (sandbox, runtime) = fresh(cx).await?;
    sandbox.close().await?;
    let gone = soon("the error", runtime.run_action(&Action::run("true"))).await?;
    let kinds = [ErrorKind::Deleted, ErrorKind::NotFound, ErrorKind::Ended, ErrorKind::StreamLost];
    refused(gone, &kinds).map(drop)
}
