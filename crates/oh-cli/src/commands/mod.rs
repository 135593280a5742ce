//! One file for each command.

pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod cp;
pub(crate) mod eval;
pub(crate) mod exec;
pub(crate) mod gc;
pub(crate) mod kill;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod pause;
pub(crate) mod port_forward;
pub(crate) mod ps;
pub(crate) mod rm;
pub(crate) mod run;
pub(crate) mod shell;

use std::time::Duration;

use oh_config::Config;
use oh_runtime::{Runtime, SandboxInfo, SandboxName, Selector};

use crate::cli::Work;
use crate::failure::{Failure, Result};
use crate::output::Ui;
use crate::signals::Interrupt;

/// Longest time for removing what is left of earlier runs.
const REAP_LIMIT: Duration = Duration::from_secs(30);

/// What every command that works with sandboxes needs.
pub(crate) struct Context {
    pub(crate) ui: Ui,
    pub(crate) config: Config,
    pub(crate) interrupt: Interrupt,
}

impl Context {
    /// The backend the user chose.
    async fn runtime(&self) -> Result<Runtime> {
        self.unless_interrupted("reach the backend", Runtime::open(&self.config)).await
    }

    /// The result of `work`, which is dropped when we are asked to end.
    async fn unless_interrupted<T, E: Into<Failure>>(
        &self,
        operation: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T> {
        tokio::select! {
            result = work => result.map_err(Into::into),
            signal = self.interrupt.wait() => Err(Failure::interrupted(operation, signal)),
        }
    }

    /// Removes this owner's expired sandboxes. Nothing depends on it, so a failure is only mentioned.
    async fn reap(&self, runtime: &Runtime) {
        let reaping = self.unless_interrupted("remove expired sandboxes", runtime.reap_expired());
        match tokio::time::timeout(REAP_LIMIT, reaping).await {
            Ok(Ok(names)) => {
                for name in names {
                    self.ui.detail(&format!("removed expired sandbox {name}"));
                }
            }
            Ok(Err(failure)) => self.ui.detail(&failure.text(false)),
            Err(_) => self.ui.detail("gave up on removing expired sandboxes for now"),
        }
    }
}

/// Carries out `command` and says with which exit code to end.
pub(crate) async fn dispatch(context: &Context, command: Work) -> Result<u8> {
    match command {
        Work::Run(args) => run::run(context, args).await,
        Work::Exec(args) => exec::exec(context, args).await,
        Work::Shell(args) => shell::shell(context, args).await,
        Work::PortForward(args) => port_forward::port_forward(context, args).await,
        Work::Ps(args) => ps::ps(context, args).await,
        Work::Kill(args) => kill::kill(context, args).await,
        Work::Pause(args) => pause::pause(context, args).await,
        Work::Resume(args) => pause::resume(context, args).await,
        Work::Cp(args) => cp::cp(context, args).await,
        Work::Logs(args) => logs::logs(context, args).await,
        Work::Ls(args) => ls::ls(context, args).await,
        Work::Rm(args) => rm::rm(context, args).await,
        Work::Gc(args) => gc::gc(context, args).await,
        Work::Eval(eval::Command::Run(args)) => eval::run(context, args).await,
    }
}

/// The sandbox of this name, when there is one.
async fn find(runtime: &Runtime, name: &SandboxName) -> Result<Option<SandboxInfo>> {
    Ok(runtime.list(&Selector::name(name.clone())).await?.into_iter().next())
}
