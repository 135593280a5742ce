//! A command in a fresh sandbox, on the backend that `OH_RUNTIME` names.
//!
//! `cargo xtask images && cargo run -p oh-runtime --example first_sandbox`

use std::path::Path;
use std::time::Duration;

use oh_runtime::oh_config::Config;
use oh_runtime::{CommandSpec, Runtime, SandboxExt, SandboxName};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::open(&Config::load()?).await?;
    let spec = runtime.spec(SandboxName::new("first-sandbox")?, "oh-test:1");
    let sandbox = runtime.create(&spec).await?;

    sandbox.write(Path::new("/tmp/greeting"), "hello from a sandbox\n", 0o644).await?;
    let output =
        sandbox.run(CommandSpec::shell("cat /tmp/greeting").timeout(Duration::from_secs(60))).await?;
    print!("{}", String::from_utf8_lossy(&output.stdout.bytes));
    println!("{}", output.finished.end);

    sandbox.close().await?;
    Ok(())
}
