//! Another harness: the same commands in many sandboxes at once, and a table of what came of them.
//!
//! `cargo xtask images && OH_RUNTIME=docker cargo run -p oh-actions --example batch`

use std::error::Error;

use futures::{StreamExt, stream};
use oh_actions::{Action, ActionRuntime, Observation, RuntimeOptions};
use oh_runtime::oh_config::Config;
use oh_runtime::{Runtime, SandboxName};

const IMAGE: &str = "oh-test:1";
/// Sandboxes at the same time.
const AT_ONCE: usize = 4;
/// What each one does, in one shell: what a command sets, the next one has.
const COMMANDS: [&str; 3] =
    ["export SEED=$((NUMBER * 7))", "mkdir -p work && cd work", "echo $SEED > seed; wc -c < seed"];

/// Runs the commands in `count` sandboxes; returns the last output of each, or why there is none.
pub async fn batch(runtime: &Runtime, prefix: &str, count: usize) -> Vec<Result<String, String>> {
    let one = |number| async move { alone(runtime, prefix, number).await.map_err(|error| error.to_string()) };
    stream::iter(0..count).map(one).buffered(AT_ONCE).collect().await
}

async fn alone(runtime: &Runtime, prefix: &str, number: usize) -> Result<String, Box<dyn Error>> {
    let options = RuntimeOptions {
        working_dir: "/testbed".to_owned(),
        env: [("number".to_owned(), number.to_string())].into(),
        ..RuntimeOptions::default()
    };
    let spec = runtime.spec(SandboxName::new(format!("{prefix}-{number}"))?, IMAGE);
    let sandbox = ActionRuntime::new(runtime.clone(), spec, options);
    let last = commands(&sandbox).await;
    sandbox.close().await?;
    last
}

async fn commands(sandbox: &ActionRuntime) -> Result<String, Box<dyn Error>> {
    sandbox.connect().await?;
    let mut last = String::new();
    for command in COMMANDS {
        match sandbox.run_action(&Action::run(command)).await? {
            Observation::Run(run) if run.metadata.exit_code == 0 => last = run.content,
            other => return Err(format!("{command}: {}", other.for_model()).into()),
        }
    }
    Ok(last)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::open(&Config::load()?).await?;
    for (number, outcome) in batch(&runtime, "batch", 8).await.into_iter().enumerate() {
        match outcome {
            Ok(output) => println!("{number}: {output}"),
            Err(why) => println!("{number}: failed: {why}"),
        }
    }
    Ok(())
}
