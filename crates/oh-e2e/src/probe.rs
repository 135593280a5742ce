//! What cases do again and again in a sandbox.

use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use oh_runtime::{CommandSpec, Duplex, End, Output, Sandbox, SandboxExt};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{sleep, timeout};

use crate::failure::{CaseResult, Failure, check, describe};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(50);
/// How long something may take that takes no time.
pub const SOON: Duration = Duration::from_secs(20);

/// Prints the ids of the processes with `$MARK` on their command line. The mark is in the environment, so that what
/// looks for it is not found.
const FIND_MARKED: &str = r#"
for process in /proc/[0-9]*; do
    line=$(tr '\0' ' ' 2>/dev/null <"$process/cmdline") || continue
    case $line in *"$MARK"*) echo "${process#/proc/}" ;; esac
done 2>/dev/null
true
"#;

/// A number nothing else has on its command line; `sleep` takes it as a time of weeks.
#[must_use]
pub fn mark() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(31_415_900);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}

/// Runs a shell script, which has to succeed, and returns what it prints.
///
/// # Errors
/// When it fails, with what it said.
#[track_caller]
pub fn script(sandbox: &dyn Sandbox, text: impl Into<OsString>) -> impl Future<Output = CaseResult<String>> {
    succeeds(sandbox, CommandSpec::shell(text))
}

/// Runs a command, which has to succeed, and returns what it prints.
///
/// # Errors
/// When it fails, with what it said.
#[track_caller]
pub fn succeeds(sandbox: &dyn Sandbox, spec: CommandSpec) -> impl Future<Output = CaseResult<String>> {
    let at = std::panic::Location::caller();
    async move {
        let output = sandbox.run(spec).await.map_err(|error| Failure::new_at(describe(&error), at))?;
        let (out, err) = (text(&output), String::from_utf8_lossy(&output.stderr.bytes));
        if output.finished.end == End::Exited(0) {
            Ok(out)
        } else {
            Err(Failure::new_at(format!("it {}: {out}{err}", output.finished.end), at))
        }
    }
}

/// Standard output as text.
#[must_use]
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout.bytes).into_owned()
}

/// The processes with `mark` on their command line.
///
/// # Errors
/// When the sandbox cannot tell.
pub async fn marked(sandbox: &dyn Sandbox, mark: &str) -> CaseResult<Vec<u32>> {
    let found = succeeds(sandbox, CommandSpec::shell(FIND_MARKED).env("MARK", mark)).await?;
    Ok(found.lines().filter_map(|line| line.parse().ok()).collect())
}

/// Waits until `count` processes have `mark` on their command line.
///
/// # Errors
/// When that is not so soon.
pub async fn until_marked(sandbox: &dyn Sandbox, mark: &str, count: usize) -> CaseResult {
    let what = format!("{count} processes marked {mark}");
    until(&what, || async { Ok(marked(sandbox, mark).await?.len() == count) }).await
}

/// Waits until a path exists in the sandbox.
///
/// # Errors
/// When it does not soon.
pub async fn until_exists(sandbox: &dyn Sandbox, path: &Path) -> CaseResult {
    let look = || async {
        let test = CommandSpec::new(["test".into(), "-e".into(), path.as_os_str().to_owned()]);
        Ok(sandbox.run(test).await?.finished.end.success())
    };
    until(&format!("{} to exist", path.display()), look).await
}

/// Waits until the condition holds, for [`SOON`].
///
/// # Errors
/// When it does not hold by then, or cannot be told.
pub async fn until<F: Future<Output = CaseResult<bool>>>(
    what: &str,
    condition: impl FnMut() -> F,
) -> CaseResult {
    until_within(SOON, what, condition).await
}

/// Waits until the condition holds, for `limit` at most.
///
/// # Errors
/// As [`until`].
pub async fn until_within<F: Future<Output = CaseResult<bool>>>(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> F,
) -> CaseResult {
    let deadline = Instant::now() + limit;
    while !condition().await? {
        check(Instant::now() < deadline, format!("waited {} s for {what}", limit.as_secs()))?;
        sleep(POLL).await;
    }
    Ok(())
}

/// Waits for something that takes no time.
///
/// # Errors
/// When it takes longer than [`SOON`].
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> CaseResult<T> {
    within(SOON, what, future).await
}

/// Waits for something that takes `limit` at most.
///
/// # Errors
/// When it takes longer.
pub async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> CaseResult<T> {
    let late = || Failure::new(format!("{what} took longer than {} s", limit.as_secs()));
    timeout(limit, future).await.map_err(|_| late())
}

/// Reads a stream to its end.
///
/// # Errors
/// When there is none, or reading fails.
pub async fn read_all(stream: Option<impl AsyncRead + Unpin>) -> CaseResult<Vec<u8>> {
    let mut stream = stream.ok_or_else(|| Failure::new("the stream is missing"))?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// Reads until the other end closes the stream, however it does, and returns what came before.
///
/// # Errors
/// When it does not close it soon.
pub async fn until_closed(stream: &mut Box<dyn Duplex>) -> CaseResult<Vec<u8>> {
    let mut bytes = Vec::new();
    // A reset is a close too.
    let _ = soon("closing the connection", stream.read_to_end(&mut bytes)).await?;
    Ok(bytes)
}
