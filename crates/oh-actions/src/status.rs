//! What a runtime tells whoever waits for it.

use std::fmt;
use std::sync::Arc;

/// What a runtime is doing. `Display` is OpenHands' name of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuntimeStatus {
    /// Its sandbox is being made or looked for.
    StartingRuntime,
    /// Its sandbox answers.
    RuntimeStarted,
    /// Folder, shell and environment are being set up.
    SettingUpWorkspace,
    /// It takes actions.
    Ready,
    /// It takes none any more: it was closed.
    Stopped,
    /// Something went wrong.
    Error,
    /// The sandbox is gone, or cannot be reached.
    ErrorRuntimeDisconnected,
}

impl fmt::Display for RuntimeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StartingRuntime => "STATUS$STARTING_RUNTIME",
            Self::RuntimeStarted => "STATUS$RUNTIME_STARTED",
            Self::SettingUpWorkspace => "STATUS$SETTING_UP_WORKSPACE",
            Self::Ready => "STATUS$READY",
            Self::Stopped => "STATUS$STOPPED",
            Self::Error => "STATUS$ERROR",
            Self::ErrorRuntimeDisconnected => "STATUS$ERROR_RUNTIME_DISCONNECTED",
        })
    }
}

impl RuntimeStatus {
    /// Whether it is bad news: OpenHands' level `error` instead of `info`.
    #[must_use]
    pub const fn is_error(self) -> bool {
        matches!(self, Self::Error | Self::ErrorRuntimeDisconnected)
    }
}

/// Gets each change, with the cause when it is bad news.
#[derive(Clone)]
pub struct StatusCallback(Arc<Callback>);

type Callback = dyn Fn(RuntimeStatus, &str) + Send + Sync;

impl StatusCallback {
    /// Calls `callback`; it should return soon.
    pub fn new(callback: impl Fn(RuntimeStatus, &str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(callback))
    }

    pub(crate) fn call(&self, status: RuntimeStatus, message: &str) {
        (self.0)(status, message);
    }
}

impl fmt::Debug for StatusCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatusCallback")
    }
}
