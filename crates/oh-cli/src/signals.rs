//! Ctrl-C, SIGTERM and SIGHUP: the first asks for an orderly end, the second ends at once.

use std::sync::{Arc, OnceLock};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::output::Ui;
use crate::{exit_code, terminal};

/// A signal that asks us to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// Asked to end, for instance by an init system.
    Terminate,
    /// The terminal is gone.
    Hangup,
}

impl Signal {
    /// Its number; the same on every platform we run on.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Hangup => 1,
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }
}

impl std::fmt::Display for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
            Self::Hangup => "SIGHUP",
        })
    }
}

/// Whether we were asked to end. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt {
    token: CancellationToken,
    first: Arc<OnceLock<Signal>>,
}

impl Interrupt {
    /// Listens from now on; the first signal is acknowledged through `ui`.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    pub(crate) fn listen(ui: Ui) -> std::io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // `nohup oh …` must outlive its terminal: SIGHUP stays ignored where it was.
        let mut hangup = if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };

        let this = Self::default();
        let told = this.clone();
        tokio::spawn(async move {
            loop {
                let hangup = async {
                    match &mut hangup {
                        Some(hangup) => hangup.recv().await,
                        None => std::future::pending().await,
                    }
                };
                let signal = tokio::select! {
                    _ = interrupt.recv() => Signal::Interrupt,
                    _ = terminate.recv() => Signal::Terminate,
                    _ = hangup => Signal::Hangup,
                };
                if !told.tell(signal) {
                    terminal::give_back();
                    std::process::exit(exit_code::of_signal(signal).into());
                }
                ui.note(&format!("oh: {signal}: ending what runs; another signal leaves at once"));
            }
        });
        Ok(this)
    }

    /// Passes on a signal; whether it is the first.
    pub(crate) fn tell(&self, signal: Signal) -> bool {
        let first = self.first.set(signal).is_ok();
        self.token.cancel();
        first
    }

    /// The first signal, when there was one.
    pub(crate) fn signal(&self) -> Option<Signal> {
        self.first.get().copied()
    }

    /// Waits for the first signal.
    pub(crate) async fn wait(&self) -> Signal {
        self.token.cancelled().await;
        self.signal().unwrap_or(Signal::Interrupt)
    }

    /// Cancelled by the first signal.
    pub(crate) fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

/// Whether this process was started with SIGHUP ignored, by the kernel's word on it.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_signals(&status) & (1 << (Signal::Hangup.number() - 1)) != 0
}

fn ignored_signals(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_kernels_mask() {
        assert_eq!(
            ignored_signals("Name:\toh\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n"),
            0x1001
        );
        assert_eq!(ignored_signals("Name:\toh\n"), 0);
    }
}
