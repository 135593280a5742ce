//! Our own terminal, when a command has one.

use std::io;
use std::sync::{Mutex, PoisonError};

use oh_runtime::TerminalSize;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How our terminal was before it was lent, while it is.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The size of our terminal, or of an ordinary one when we have none.
pub(crate) fn size() -> TerminalSize {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => {
            TerminalSize { rows: size.ws_row, columns: size.ws_col }
        }
        _ => TerminalSize::default(),
    }
}

/// Makes a terminal that was lent ours again. Whoever ends the process without dropping [`Terminal`] calls it.
pub(crate) fn give_back() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // A terminal that is gone needs nothing. Now: what waits to be shown may wait for ever.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

/// Our terminal while keys go to the command as they are. Dropping it makes it ours again.
#[derive(Debug)]
pub(crate) struct Terminal {
    resized: Signal,
    /// The size the command knows.
    told: TerminalSize,
}

impl Terminal {
    /// Passes keys on when `keys`, and our input is a terminal. The command believes in a size of `told`.
    pub(crate) fn lend(keys: bool, told: TerminalSize) -> io::Result<Self> {
        let lent = Self { resized: signal(SignalKind::window_change())?, told };
        if keys && isatty(io::stdin()) {
            let before = tcgetattr(io::stdin())?;
            let mut raw = before.clone();
            raw.make_raw();
            // First: if we are ended in between, nothing is changed that was not.
            *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
            tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
        }
        Ok(lent)
    }

    /// Waits until it has another size than the command knows.
    pub(crate) async fn resized(&mut self) -> TerminalSize {
        loop {
            let now = size();
            if now != self.told {
                self.told = now;
                return now;
            }
            if self.resized.recv().await.is_none() {
                return std::future::pending().await;
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}
