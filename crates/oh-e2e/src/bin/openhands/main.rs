//! The action runtime beside OpenHands' own: both get the same actions, each in a sandbox of its own that is like the other
//! one, and every field of their observations is compared. `cargo xtask openhands-parity` runs it.

mod compare;
mod page;
mod server;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use oh_actions::{ActionRuntime, RuntimeOptions};
use oh_e2e::environment;
use oh_runtime::oh_config::Config;
use oh_runtime::{Mount, Runtime, Sandbox, SandboxName, SandboxSpec};
use serde::Deserialize;
use serde_json::{Value, json};

use compare::{Differences, differing, is_early};
use page::Measured;
use server::Server;

const USAGE: &str = "usage: openhands PYTHON write|check\n\
    PYTHON is an interpreter with openhands-ai; write writes docs/reference/actions.md, check compares with it";

/// Where both work, in sandboxes of the backend `local`.
pub(crate) const FOLDER: &str = "/testbed";
/// Seconds a command may say nothing, on both sides: the default is ten.
pub(crate) const NO_CHANGE: u64 = 2;
/// Between two actions: OpenHands' server clears its terminal behind its answer.
const SETTLED: Duration = Duration::from_millis(300);
/// Answers of the server to no command, beyond which a run says nothing.
const MOST_EARLY: usize = 10;
/// Commands whose time is taken.
const RUNS: usize = 20;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// One line of `tests/actions/openhands.jsonl`.
#[derive(Deserialize)]
struct Sent {
    id: String,
    action: Value,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [python, "write"] => run(python, true).await,
        [python, "check"] => run(python, false).await,
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(python: &str, write: bool) -> Fallible<bool> {
    let config = Config::builder().set("runtime", environment::BACKENDS, Some("local")).load()?;
    let runtime = Runtime::open(&config).await?;
    let (theirs, ours) =
        (sandbox(&runtime, "theirs", python).await?, sandbox(&runtime, "ours", python).await?);
    let compared = both(&theirs, &ours, python, write).await;
    theirs.close().await?;
    ours.close().await?;
    compared
}

/// The folder that an interpreter's `bin` is in.
fn prefix(interpreter: &Path) -> Option<PathBuf> {
    Some(interpreter.parent()?.parent()?.to_owned())
}

/// A sandbox with the environment that both get.
async fn sandbox(runtime: &Runtime, name: &str, python: &str) -> Fallible<Arc<dyn Sandbox>> {
    let name = SandboxName::new(format!("openhands-{name}-{}", std::process::id()))?;
    let bin = Path::new(python).parent().ok_or("the interpreter has no folder")?;
    // The environment, and the installation it was made from; home folders are not the sandbox's.
    let prefixes = [bin.parent().map(Path::to_owned), prefix(&std::fs::canonicalize(python)?)];
    let mounts = prefixes.into_iter().flatten().filter(|prefix| !prefix.starts_with("/usr"));
    let mounts = mounts.map(|path| Mount { source: path.clone(), target: path, read_only: true }).collect();
    let env = [
        ("HOME", format!("{FOLDER}/.home")),
        ("LANG", "C.UTF-8".to_owned()),
        ("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display())),
    ];
    let spec = runtime.spec(name, oh_e2e::context::IMAGE);
    let spec = SandboxSpec {
        env: env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        mounts,
        ..spec
    };
    let sandbox = runtime.create(&spec).await?;
    sandbox.make_folder(format!("{FOLDER}/.home").as_ref(), 0o755).await?;
    Ok(sandbox)
}

async fn both(
    theirs: &Arc<dyn Sandbox>,
    ours: &Arc<dyn Sandbox>,
    python: &str,
    write: bool,
) -> Fallible<bool> {
    let root = environment::root();
    let list = std::fs::read_to_string(root.join("tests/actions/openhands.jsonl"))?;
    let actions: Vec<Sent> = list.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let known = Differences::read(&root.join("tests/actions/differences.toml"))?;
    known.check(&actions.iter().map(|sent| sent.id.as_str()).collect::<Vec<_>>())?;

    let server = Server::start(theirs, python, true).await?;
    let options = RuntimeOptions {
        working_dir: FOLDER.to_owned(),
        no_change_timeout: Duration::from_secs(NO_CHANGE),
        git: None,
        ..RuntimeOptions::default()
    };
    let runtime = ActionRuntime::over(Arc::clone(ours), options);
    runtime.connect().await?;
    for _ in 0..3 {
        server.send(&json!({ "action": "run", "args": { "command": "true" }, "timeout": 10 })).await?;
        tokio::time::sleep(SETTLED).await;
    }

    let mut found = BTreeSet::new();
    let (mut unexplained, mut early) = (0, 0);
    for Sent { id, action } in &actions {
        tokio::time::sleep(SETTLED).await;
        let (theirs, ours) = tokio::join!(server.send(action), runtime.run_json(action));
        let (theirs, ours) = (theirs?, ours?);
        if is_early(&theirs) {
            println!("{id}: OpenHands' server answered before the command had run");
            early += 1;
            continue;
        }
        let fields = differing(&theirs, &ours);
        if fields.is_empty() {
            continue;
        }
        let why = known.reason(id);
        if why.is_none() {
            unexplained += 1;
            println!("\n{id}: {action}");
            for (field, theirs, ours) in &fields {
                println!("  {field}\n    OpenHands: {}\n    ours:      {}", shown(theirs), shown(ours));
            }
        }
        found.insert(id.as_str());
    }
    for id in known.ids().filter(|id| !found.contains(*id)) {
        println!("{id}: listed as different, and equal this time");
    }
    let measured = measure(&Server::start(theirs, python, false).await?, &runtime).await?;
    runtime.close().await?;
    let measured = Measured { actions: actions.len(), different: found.len(), early, ..measured };
    println!("\n{measured}; {unexplained} without a reason");
    let path = root.join("docs/reference/actions.md");
    let text = page::render(&known, &measured);
    if write {
        std::fs::write(&path, text)?;
    } else if page::lasting(&std::fs::read_to_string(&path)?) != page::lasting(&text) {
        println!("{} is out of date: run with --write", path.display());
        return Ok(false);
    }
    Ok(unexplained == 0 && early <= MOST_EARLY && measured.ratio() >= page::FASTER)
}

/// The time of a command that does nothing, on both sides in turn.
async fn measure(server: &Server, runtime: &ActionRuntime) -> Fallible<Measured> {
    let action = json!({ "action": "run", "args": { "command": "true" }, "timeout": 10 });
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let started = Instant::now();
        server.send(&action).await?;
        theirs.push(started.elapsed());
        let started = Instant::now();
        runtime.run_json(&action).await?;
        ours.push(started.elapsed());
    }
    theirs.sort_unstable();
    ours.sort_unstable();
    Ok(Measured {
        actions: 0,
        different: 0,
        early: 0,
        theirs: theirs[RUNS / 2],
        ours: ours[RUNS / 2],
        runs: RUNS,
    })
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(400) {
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], text.len()),
        None => text,
    }
}
