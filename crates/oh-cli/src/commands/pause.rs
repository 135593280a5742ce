//! `oh pause` and `oh resume`: sandboxes that wait.

use oh_runtime::SandboxName;

use super::Context;
use crate::failure::Result;
use crate::{args, exit_code};

/// Stop everything in a sandbox until it is resumed.
///
/// Processes, memory and files stay as they are. Commands under way, and whoever waits for them, wait too. Its time to
/// live goes on.
#[derive(Debug, clap::Args)]
pub(crate) struct Pause {
    /// The sandbox.
    #[arg(value_parser = args::sandbox_name)]
    name: SandboxName,
}

/// Let a paused sandbox go on.
#[derive(Debug, clap::Args)]
pub(crate) struct Resume {
    /// The sandbox.
    #[arg(value_parser = args::sandbox_name)]
    name: SandboxName,
}

pub(super) async fn pause(context: &Context, args: Pause) -> Result<u8> {
    let runtime = context.runtime().await?;
    let pausing = async { runtime.attach(&args.name).await?.pause().await };
    context.unless_interrupted("pause the sandbox", pausing).await?;
    Ok(exit_code::OK)
}

pub(super) async fn resume(context: &Context, args: Resume) -> Result<u8> {
    let runtime = context.runtime().await?;
    let resuming = async { runtime.attach(&args.name).await?.resume().await };
    context.unless_interrupted("resume the sandbox", resuming).await?;
    Ok(exit_code::OK)
}
