//! `oh run`: a command in a fresh sandbox.

use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use oh_config::CleanupPolicy;
use oh_runtime::{Entrypoint, Error, ErrorKind, Mount, RunId, Runtime, Sandbox, SandboxName, SandboxSpec};

use super::exec::CommandArgs;
use super::{Context, find};
use crate::failure::{Failure, Result};
use crate::output::{elapsed, spinner};
use crate::ran::Ran;
use crate::{args, exit_code};

/// Longest time for removing what was made, also before a signal that interrupts its making.
const CLEAN_UP_LIMIT: Duration = Duration::from_secs(30);
/// How long the making of a sandbox may go on after a signal: usually it is done by then, and so easily removed.
const FINISH_LIMIT: Duration = Duration::from_secs(5);

const EXAMPLE: &str = "Example:\n  oh run --image debian:12 --env GREETING=hello -- sh -c 'echo $GREETING'";

/// Run a command in a fresh sandbox, and remove the sandbox.
///
/// Exits with the command's code. Ctrl-C and SIGTERM end the command and remove the sandbox; a second one leaves at
/// once.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE, after_long_help = exit_code::help(EXAMPLE, exit_code::COMMAND))]
pub(crate) struct Args {
    /// Image of the sandbox.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Set an environment variable of the sandbox; can be repeated.
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = args::env)]
    env: Vec<(String, String)>,
    /// Name the sandbox; otherwise it gets a random name.
    #[arg(long, value_parser = args::sandbox_name)]
    name: Option<SandboxName>,
    /// Make the sandbox part of this run.
    #[arg(long, value_name = "ID", value_parser = args::run_id)]
    run_id: Option<RunId>,
    /// Show what would be created, as JSON, and touch nothing.
    #[arg(long)]
    dry_run: bool,
    /// The sandbox ends by itself after this time, like 30m or 2h.
    #[arg(long, value_name = "TIME", value_parser = args::duration)]
    ttl: Option<Duration>,
    /// Run as this user, a name or a number.
    #[arg(long)]
    user: Option<String>,
    /// Make a host file or folder appear in the sandbox; can be repeated.
    #[arg(long, value_name = "SOURCE:TARGET[:ro]", value_parser = args::mount)]
    mount: Vec<Mount>,
    /// Also start what the image would start; with a value this command instead, its words separated by spaces. It goes
    /// on beside all others: `oh ps` lists it.
    #[arg(long, value_name = "COMMAND", num_args = 0..=1, require_equals = true)]
    entrypoint: Option<Option<String>>,
    /// Leave the sandbox there, for `oh exec`, `oh cp` and in the end `oh rm`: --cleanup never.
    #[arg(long, conflicts_with = "cleanup")]
    keep: bool,
    /// What becomes of the sandbox: always removed, never, or on_success, which keeps it when the command fails.
    /// Otherwise as `sandbox.cleanup` says.
    #[arg(long, value_name = "always|on_success|never")]
    cleanup: Option<CleanupPolicy>,
    #[command(flatten)]
    command: CommandArgs,
    /// The command and its arguments, after `--`. No shell is involved.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    argv: Vec<OsString>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    let runtime = context.runtime().await?;
    let cleanup = args.cleanup.unwrap_or(context.config.sandbox.cleanup);
    let cleanup = if args.keep { CleanupPolicy::Never } else { cleanup };
    let spec = spec(&runtime, &args, cleanup)?;
    if args.dry_run {
        context.ui.document(&runtime.render(&spec)?)?;
        return Ok(exit_code::OK);
    }
    let (code, ()) = tokio::join!(run_fresh(context, &runtime, &spec, args, cleanup), context.reap(&runtime));
    code
}

async fn run_fresh(
    context: &Context,
    runtime: &Runtime,
    spec: &SandboxSpec,
    args: Args,
    cleanup: CleanupPolicy,
) -> Result<u8> {
    let sandbox = create(context, runtime, spec).await?;
    let ran =
        Ran::run(&*sandbox, args.command.spec(context, args.argv), context.ui, &context.interrupt).await;
    let stays = match cleanup {
        CleanupPolicy::Always => false,
        CleanupPolicy::OnSuccess => !ran.as_ref().is_ok_and(Ran::succeeded),
        CleanupPolicy::Never => true,
    };
    if stays {
        sandbox.disconnect().await;
        context.ui.note(&format!("oh: sandbox {} stays; `oh rm {}` removes it", spec.name, spec.name));
    } else {
        remove(context, &spec.name, sandbox.close()).await;
    }
    ran?.report(context.ui)
}

fn spec(runtime: &Runtime, args: &Args, cleanup: CleanupPolicy) -> Result<SandboxSpec> {
    let name = args.name.clone().map_or_else(random_name, Ok)?;
    let Some(image) = args.image.as_deref() else {
        return Err(Failure::usage(format!("create sandbox {name}"), "no image is given")
            .hint("say which with --image"));
    };
    let mut spec = runtime.spec(name, image);
    spec.env.extend(args.env.iter().cloned());
    spec.mounts.extend(args.mount.iter().cloned());
    spec.run.clone_from(&args.run_id);
    spec.user = args.user.clone().or(spec.user);
    spec.ttl = args.ttl.unwrap_or(spec.ttl);
    spec.entrypoint = args.entrypoint.as_ref().map(|command| match command {
        Some(words) => Entrypoint::Command(words.split_whitespace().map(str::to_owned).collect()),
        None => Entrypoint::OfImage,
    });
    // One that may stay must not end because nobody is connected.
    spec.lease = (cleanup == CleanupPolicy::Always).then(|| runtime.lease());
    Ok(spec)
}

/// A name nobody else has: the keys of the standard library's hash maps are random.
fn random_name() -> Result<SandboxName> {
    let random = RandomState::new().hash_one(std::process::id());
    SandboxName::new(format!("oh-run-{random:016x}"))
        .map_err(|error| Failure::usage("name the sandbox", error.to_string()))
}

/// Makes the sandbox. When a signal comes first, nothing of it is left behind.
async fn create(context: &Context, runtime: &Runtime, spec: &SandboxSpec) -> Result<Arc<dyn Sandbox>> {
    let operation = format!("create sandbox {}", spec.name);
    if let Some(taken) = find(runtime, &spec.name).await? {
        let message = format!("it exists already, {}", taken.state);
        return Err(Error::new(ErrorKind::Conflict, operation, message)
            .hint("pick another --name, use `oh exec`, or remove it with `oh rm`")
            .into());
    }
    let _spinner = spinner(context.ui, format!("creating sandbox {} from {}", spec.name, spec.image));
    let started = Instant::now();
    let mut creating = Box::pin(runtime.create(spec));
    let signal = tokio::select! {
        sandbox = &mut creating => {
            let sandbox = sandbox?;
            context.ui.detail(&format!("sandbox {} is ready after {}", spec.name, elapsed(started.elapsed())));
            return Ok(sandbox);
        }
        signal = context.interrupt.wait() => signal,
    };
    match tokio::time::timeout(FINISH_LIMIT, &mut creating).await {
        Ok(Ok(sandbox)) => remove(context, &spec.name, sandbox.close()).await,
        // A failed creation leaves nothing.
        Ok(Err(_)) => {}
        Err(_) => {
            drop(creating);
            remove(context, &spec.name, remove_by_name(runtime, &spec.name)).await;
        }
    }
    Err(Failure::interrupted(operation, signal))
}

/// For a sandbox whose making was cut off: it may be there or not.
async fn remove_by_name(runtime: &Runtime, name: &SandboxName) -> Result<()> {
    if let Some(info) = find(runtime, name).await? {
        runtime.remove(&info.incarnation).await?;
    }
    Ok(())
}

/// Carries out `removal`. That it failed is said but changes no exit code: that one is about the command.
async fn remove<T, E: Into<Failure>>(
    context: &Context,
    name: &SandboxName,
    removal: impl Future<Output = Result<T, E>>,
) {
    let failure = match tokio::time::timeout(CLEAN_UP_LIMIT, removal).await {
        Ok(Ok(_)) => return context.ui.detail(&format!("removed sandbox {name}")),
        Ok(Err(error)) => error.into(),
        Err(_) => {
            Error::new(ErrorKind::Deadline, format!("remove sandbox {name}"), "the backend does not answer")
                .into()
        }
    };
    context.ui.warning(
        &failure.hint(format!("remove it with `oh rm {name}`; otherwise it ends when its time is over")),
    );
}
