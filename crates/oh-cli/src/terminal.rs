//! Our own terminal, when a command has one.

use std::io;

use oh_runtime::TerminalSize;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The size of our terminal, or of an ordinary one when we have none.
pub(crate) fn size() -> TerminalSize {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => {
            TerminalSize { rows: size.ws_row, columns: size.ws_col }
        }
        _ => TerminalSize::default(),
    }
}

/// Our terminal while keys go to the command as they are. Dropping it makes it ours again.
#[derive(Debug)]
pub(crate) struct Terminal {
    before: Option<Termios>,
    resized: Signal,
}

impl Terminal {
    /// Passes keys on when `keys`, and our input is a terminal.
    pub(crate) fn lend(keys: bool) -> io::Result<Self> {
        let resized = signal(SignalKind::window_change())?;
        let before = (keys && isatty(io::stdin())).then(|| tcgetattr(io::stdin())).transpose()?;
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
        }
        Ok(Self { before, resized })
    }

    /// Waits until it has another size.
    pub(crate) async fn resized(&mut self) -> TerminalSize {
        match self.resized.recv().await {
            Some(()) => size(),
            None => std::future::pending().await,
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that is gone needs nothing.
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, before);
        }
    }
}
