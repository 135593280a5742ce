//! Running an instance's tests.

use std::path::Path;
use std::time::Duration;

use oh_runtime::{BoxRead, CommandSpec, End, Error, ErrorKind, Outcome, Sandbox};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Most that is kept of what tests print. Over that a log cannot be graded whole, so it is not graded at all.
const MAX_OUTPUT: u64 = 1 << 30;
/// Read at once.
const CHUNK: usize = 64 * 1024;

/// What the tests did.
#[derive(Debug)]
pub(super) struct ScriptRun {
    pub(super) end: End,
    pub(super) wall: Duration,
}

/// Runs `command`, both its outputs going to `output` as they come, whatever happens.
///
/// # Errors
/// When its end is not known, or it printed more than can be kept. What it printed until then is in the file.
pub(super) async fn run_to_file(
    sandbox: &dyn Sandbox,
    command: CommandSpec,
    output: &Path,
) -> Result<ScriptRun, Error> {
    let operation = "run the tests";
    let unwritable = |error: std::io::Error| {
        Error::new(ErrorKind::NoSpace, operation, format!("{} cannot be written: {error}", output.display()))
            .outcome_is(Outcome::Unknown)
    };
    let mut file = File::create(output).await.map_err(unwritable)?;
    let mut process = sandbox.start(command).await?;
    let Some(mut stdout) = process.stdout.take() else {
        return Err(Error::new(ErrorKind::Internal, operation, "the command has no output"));
    };
    let kept = keep(&mut stdout, &mut file).await;
    file.flush().await.map_err(unwritable)?;
    match kept {
        Ok(()) => {}
        Err(Keep::Write(error)) => return Err(unwritable(error)),
        Err(Keep::TooMuch) => {
            process.cancel().await?;
            let message = format!("they printed more than {} MiB", MAX_OUTPUT >> 20);
            return Err(
                Error::new(ErrorKind::TransferNoSpace, operation, message).outcome_is(Outcome::Unknown)
            );
        }
        Err(Keep::Read(error)) => {
            // The command's own end, if it is known, says more than its broken output.
            let error = match error.downcast::<Error>() {
                Ok(error) => error,
                Err(error) => Error::new(ErrorKind::StreamLost, operation, error.to_string()),
            };
            return match process.wait().await {
                Err(known) => Err(known),
                Ok(_) => Err(error.outcome_is(Outcome::Unknown)),
            };
        }
    }
    let finished = process.wait().await?;
    Ok(ScriptRun { end: finished.end, wall: finished.wall })
}

enum Keep {
    Read(std::io::Error),
    Write(std::io::Error),
    TooMuch,
}

async fn keep(from: &mut BoxRead, to: &mut File) -> Result<(), Keep> {
    let mut buffer = vec![0; CHUNK];
    let mut kept = 0;
    loop {
        let count = from.read(&mut buffer).await.map_err(Keep::Read)?;
        if count == 0 {
            return Ok(());
        }
        kept += count as u64;
        if kept > MAX_OUTPUT {
            return Err(Keep::TooMuch);
        }
        to.write_all(&buffer[..count]).await.map_err(Keep::Write)?;
    }
}
