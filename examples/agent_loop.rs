//! An agent that mends a bug: a model proposes actions, a sandbox does them, the model sees what came of it.
//!
//! `cargo xtask images && OH_RUNTIME=docker cargo run -p oh-actions --example agent_loop`

use std::error::Error;

use oh_actions::{Action, ActionRuntime, Observation, RuntimeOptions, RuntimeStatus, StatusCallback};
use oh_runtime::oh_config::Config;
use oh_runtime::{Runtime, SandboxName};
use serde_json::{Value, json};

/// The example repository, as `cargo xtask images` makes it.
const IMAGE: &str = "oh-quickstart/intervals-1:1";
/// Steps after which the agent gives up.
const MAX_STEPS: usize = 20;
const FILE: &str = "/testbed/intervals/ops.py";

/// What a model would be: it sees what was said so far, and names the next action in OpenHands' JSON.
struct Model;

impl Model {
    fn next(&self, seen: &[String]) -> Value {
        let bug = "        if merged and interval.start <= merged[-1].end:";
        let mended = "        if merged and interval.start <= merged[-1].end + 1:";
        let test = "python3 -c 'from intervals import parse, merge; print(merge(parse(\"1-2,3-4\")))'";
        match seen.len() {
            0 => json!({ "action": "run", "args": { "command": test } }),
            1 => json!({ "action": "run", "args": { "command": "grep -n 'merged\\[-1\\]' intervals/*.py" } }),
            2 => json!({ "action": "edit", "args": { "command": "view", "path": FILE } }),
            3 => {
                let args =
                    json!({ "command": "str_replace", "path": FILE, "old_str": bug, "new_str": mended });
                json!({ "action": "edit", "args": args })
            }
            4 => {
                json!({ "action": "run", "args": { "command": "python3 -m pytest -q 2>&1 | tail -3" }, "timeout": 120 })
            }
            5 => json!({ "action": "run", "args": { "command": "git diff" } }),
            _ => json!({ "action": "finish", "args": {} }),
        }
    }
}

/// Lets the model work in a fresh sandbox; returns the patch it made.
pub async fn mend(runtime: &Runtime, name: SandboxName) -> Result<String, Box<dyn Error>> {
    let status = StatusCallback::new(|status: RuntimeStatus, why: &str| println!("[{status}] {why}"));
    let options = RuntimeOptions {
        working_dir: "/testbed".to_owned(),
        status: Some(status),
        ..RuntimeOptions::default()
    };
    let sandbox = ActionRuntime::new(runtime.clone(), runtime.spec(name, IMAGE), options);
    sandbox.connect().await?;
    let done = steps(&sandbox).await;
    sandbox.close().await?;
    done
}

async fn steps(sandbox: &ActionRuntime) -> Result<String, Box<dyn Error>> {
    let mut seen = Vec::new();
    while seen.len() < MAX_STEPS {
        let action = Action::from_json(&Model.next(&seen))?;
        let observation = sandbox.run_action(&action).await?;
        if observation == Observation::Null {
            // The model has finished; what it saw last is its patch.
            return Ok(seen.pop().unwrap_or_default());
        }
        println!("--- {}\n{}", serde_json::to_string(&action)?, observation.for_model());
        seen.push(observation.content().to_owned());
    }
    Err("the model did not finish".into())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::open(&Config::load()?).await?;
    let patch = mend(&runtime, SandboxName::new("agent-loop")?).await?;
    println!("=== the patch\n{patch}");
    Ok(())
}
