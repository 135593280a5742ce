//! One case of the conformance suite, as data.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use oh_runtime::Capabilities;

use crate::context::Context;
use crate::failure::CaseResult;

/// A case takes longer than this only when it says so.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a case does.
pub type Run = for<'a> fn(&'a Context) -> Pin<Box<dyn Future<Output = CaseResult> + Send + 'a>>;

/// Something a backend has to be able to do before a case makes sense.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// The field of [`Capabilities`].
    pub name: &'static str,
    /// Whether the backend has it.
    pub met: fn(&Capabilities) -> bool,
}

/// [`Capabilities::isolated`].
pub const ISOLATED: Need = Need { name: "isolated", met: |c| c.isolated };
/// [`Capabilities::agent_protected`].
pub const AGENT_PROTECTED: Need = Need { name: "agent_protected", met: |c| c.agent_protected };
/// [`Capabilities::resource_limits`].
pub const RESOURCE_LIMITS: Need = Need { name: "resource_limits", met: |c| c.resource_limits };
/// [`Capabilities::process_limit`].
pub const PROCESS_LIMIT: Need = Need { name: "process_limit", met: |c| c.process_limit };
/// [`Capabilities::mounts`].
pub const MOUNTS: Need = Need { name: "mounts", met: |c| c.mounts };
/// [`Capabilities::own_root`].
pub const OWN_ROOT: Need = Need { name: "own_root", met: |c| c.own_root };
/// [`Capabilities::pauses`].
pub const PAUSES: Need = Need { name: "pauses", met: |c| c.pauses };
/// [`Capabilities::keeps_agents`].
pub const KEEPS_AGENTS: Need = Need { name: "keeps_agents", met: |c| c.keeps_agents };

/// One case.
#[derive(Clone, Copy)]
pub struct Case {
    /// Which part of the contract.
    pub area: &'static str,
    /// What holds.
    pub name: &'static str,
    /// What the backend has to be able to do.
    pub needs: &'static [Need],
    /// It fails when it takes longer.
    pub deadline: Duration,
    /// What it does.
    pub run: Run,
}

impl Case {
    /// A case that needs nothing special. Use `case!`.
    #[must_use]
    pub const fn new(name: &'static str, run: Run) -> Self {
        Self { area: "", name, needs: &[], deadline: DEADLINE, run }
    }

    /// Says what it needs.
    #[must_use]
    pub const fn needs(mut self, needs: &'static [Need]) -> Self {
        self.needs = needs;
        self
    }

    /// Allows it another time.
    #[must_use]
    pub const fn seconds(mut self, seconds: u64) -> Self {
        self.deadline = Duration::from_secs(seconds);
        self
    }

    /// `area::name`, as the skip list and the reports call it.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}::{}", self.area, self.name)
    }

    /// The needs these capabilities do not meet.
    #[must_use]
    pub fn unmet(&self, capabilities: &Capabilities) -> Vec<&'static str> {
        self.needs.iter().filter(|need| !(need.met)(capabilities)).map(|need| need.name).collect()
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}

/// A case named like the function that is it.
macro_rules! case {
    ($function:ident) => {
        $crate::case::Case::new(stringify!($function), |cx| Box::pin($function(cx)))
    };
}
pub(crate) use case;
