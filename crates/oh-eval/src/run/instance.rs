//! One instance: sandbox, patch, tests, grade.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oh_runtime::oh_config::CleanupPolicy;
use oh_runtime::{CommandSpec, End, Error, ErrorKind, Output, Runtime, Sandbox, SandboxExt, SandboxName};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::log::InstanceLog;
use super::plan::{Job, Plan};
use super::script;
use crate::{grading, patch, paths, report, script as eval_script};

/// How an instance went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceOutcome {
    /// Every test that has to pass does.
    Resolved,
    /// Some test that has to pass does not.
    Unresolved,
    /// The prediction is empty.
    EmptyPatch,
    /// There is no result: the patch could not be applied, the tests did not end in time, or the machinery failed.
    Error,
}

/// Longest time for each of the small commands around the tests.
const SMALL: Duration = Duration::from_secs(300);

/// How long the making of a sandbox may go on after the run was interrupted: usually it is done by then.
const FINISH: Duration = Duration::from_secs(5);

/// Why an instance has no result.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Runtime(#[from] Error),
    #[error("{0}")]
    Said(String),
}

type Result<T> = std::result::Result<T, Failure>;

/// Evaluates an instance and writes its log and report. `None` when the run was interrupted before it had a result.
pub(super) async fn evaluate(
    runtime: &Runtime,
    plan: &Plan,
    job: &Job,
    step: &(dyn Fn(&'static str) + Send + Sync),
    cancel: &CancellationToken,
) -> Option<std::result::Result<InstanceOutcome, String>> {
    let mut log = match prepare(job) {
        Ok(log) => log,
        Err(error) => return Some(Err(error)),
    };
    let name = SandboxName::derive(&plan.run, &job.instance.instance_id);
    let mut spec = runtime.spec(name, &job.image);
    spec.run = Some(plan.run.clone());
    spec.instance = Some(job.instance.instance_id.clone());
    spec.user = spec.user.or_else(|| Some("root".to_owned()));
    // One that may stay must not end because nobody is connected.
    spec.lease = (plan.cleanup == CleanupPolicy::Always).then(|| runtime.lease());

    step("start");
    let sandbox = {
        let mut creating = std::pin::pin!(runtime.create(&spec));
        tokio::select! {
            created = &mut creating => created,
            () = cancel.cancelled() => {
                // What the backend finishes after we stopped asking could not be found yet.
                let _ = tokio::time::timeout(FINISH, creating).await;
                remove(runtime, &spec.name).await;
                return None;
            }
        }
    };
    let result = match sandbox {
        Err(error) => Err(error.into()),
        Ok(sandbox) => {
            log.line(format!(
                "Container for {} started: {}",
                job.instance.instance_id,
                sandbox.incarnation().uid
            ));
            let result = tokio::select! {
                result = in_sandbox(&sandbox, plan, job, step, &mut log) => Some(result),
                () = cancel.cancelled() => None,
            };
            step("clean up");
            let stays = match plan.cleanup {
                CleanupPolicy::Always => false,
                CleanupPolicy::OnSuccess => matches!(result, Some(Err(_))),
                CleanupPolicy::Never => true,
            };
            if stays {
                log.line(format!("Sandbox {} stays", spec.name));
                sandbox.disconnect().await;
            } else if let Err(error) = sandbox.close().await {
                tracing::warn!("failed to {error}");
            }
            result?
        }
    };
    Some(result.map_err(|failure| {
        let detail = describe(&failure);
        log.line(format!("Error in evaluating model for {}: {detail}", job.instance.instance_id));
        detail
    }))
}

/// The instance's folder, with what goes into the sandbox.
fn prepare(job: &Job) -> std::result::Result<InstanceLog, String> {
    for (path, text) in [(job.files.patch(), &job.patch), (job.files.script(), &job.script)] {
        paths::write_atomic(&path, text.as_bytes())
            .map_err(|error| format!("failed to write {}: {error}", path.display()))?;
    }
    Ok(InstanceLog::create(&job.files.log()))
}

/// One line with the cause, and what to do.
fn describe(failure: &Failure) -> String {
    match failure {
        Failure::Runtime(error) => format!("failed to {error}"),
        Failure::Said(text) => text.clone(),
    }
}

/// What an interrupted creation may have made.
async fn remove(runtime: &Runtime, name: &SandboxName) {
    let removed = async {
        for info in runtime.list(&oh_runtime::Selector::name(name.clone())).await? {
            runtime.remove(&info.incarnation).await?;
        }
        Ok::<_, Error>(())
    };
    if let Err(error) = removed.await {
        tracing::warn!("failed to {error}");
    }
}

async fn in_sandbox(
    sandbox: &Arc<dyn Sandbox>,
    plan: &Plan,
    job: &Job,
    step: &(dyn Fn(&'static str) + Send + Sync),
    log: &mut InstanceLog,
) -> Result<InstanceOutcome> {
    step("apply the patch");
    sandbox.write(Path::new(patch::PATCH_PATH), job.patch.clone(), 0o644).await?;
    apply(sandbox, log).await?;
    let before = diff(sandbox).await?;
    log.line(format!("Git diff before:\n{before}"));

    step("run the tests");
    sandbox.write(Path::new(eval_script::SCRIPT_PATH), job.script.clone(), 0o755).await?;
    let output = job.files.test_output();
    // One pipe for both outputs, so that lines stay in the order they were written.
    let command = CommandSpec::new(["/bin/bash", "-c", "exec /bin/bash /eval.sh 2>&1"]).timeout(plan.timeout);
    let ran = script::run_to_file(&**sandbox, command, &output).await?;
    log.line(format!("Test runtime: {:.2} seconds", ran.wall.as_secs_f64()));
    check_end(&ran.end, plan.timeout, &output)?;
    let after = diff(sandbox).await?;
    log.line(format!("Git diff after:\n{after}"));
    if after != before {
        log.line("Git diff changed after running eval script");
    }

    step("grade");
    let text = report::read_log(&output).map_err(|error| Failure::Said(error.to_string()))?;
    let graded = grading::grade(&job.instance, job.parser, Some(&job.patch), &text);
    let resolved = graded.resolved;
    report::write_instance(&job.files, &job.instance.instance_id, &graded)
        .map_err(|error| Failure::Said(error.to_string()))?;
    log.line(format!("Result for {}: resolved: {resolved}", job.instance.instance_id));
    Ok(if resolved { InstanceOutcome::Resolved } else { InstanceOutcome::Unresolved })
}

/// The reference's chain of commands.
async fn apply(sandbox: &Arc<dyn Sandbox>, log: &mut InstanceLog) -> Result<()> {
    let mut last = String::new();
    for (attempt, argv) in patch::ATTEMPTS.iter().enumerate() {
        if attempt > 0 {
            small(sandbox, patch::RESET).await?;
        }
        let output = small(sandbox, argv).await?;
        last = both(&output);
        if output.finished.end.success() {
            log.line(patch::applied(&last));
            return Ok(());
        }
        log.line(patch::attempt_failed(argv));
    }
    if small(sandbox, patch::REVERSE_CHECK).await?.finished.end.success() {
        log.line(patch::applied_already());
        return Ok(());
    }
    Err(Failure::Said(patch::failed(&last)))
}

async fn diff(sandbox: &Arc<dyn Sandbox>) -> Result<String> {
    let output = small(sandbox, patch::DIFF).await?;
    Ok(String::from_utf8_lossy(&output.stdout.bytes).trim().to_owned())
}

/// Runs one of the small commands. Any exit code is an answer; being killed is none.
async fn small(sandbox: &Arc<dyn Sandbox>, argv: &[&str]) -> Result<Output> {
    let spec = CommandSpec::new(argv.iter().copied()).cwd(patch::WORKDIR).timeout(SMALL);
    let output = sandbox.run(spec).await?;
    match output.finished.end {
        End::Exited(_) => Ok(output),
        end => Err(Failure::Said(format!("`{}` {end}", argv.join(" ")))),
    }
}

fn both(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout.bytes).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr.bytes));
    text
}

/// A script that was killed printed half a log, and half a log must not be graded.
fn check_end(end: &End, timeout: Duration, output: &Path) -> Result<()> {
    match end {
        End::Exited(_) => Ok(()),
        End::TimedOut => {
            let seconds = timeout.as_secs_f64();
            append(output, &format!("\n\nTimeout error: {seconds} seconds exceeded."))?;
            Err(Failure::Said(format!("Test timed out after {seconds} seconds.")))
        }
        End::OomKilled(_) => {
            Err(Error::new(ErrorKind::OomKilled, "run the tests", "the sandbox ran out of memory")
                .hint("raise resources.memory")
                .into())
        }
        end => Err(Failure::Said(format!("the eval script was {end}"))),
    }
}

fn append(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    let file = std::fs::OpenOptions::new().append(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::Said(format!("{} cannot be written: {error}", path.display())))
}
