//! How much is tried.

/// Sizes of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Cuts that have to land in each phase, on all engines together.
    pub(crate) cuts: usize,
    /// Commands there have to be in the whole run.
    pub(crate) commands: usize,
    /// Files and trees copied, on all engines together.
    pub(crate) copies: usize,
    /// Whether what is left is looked at.
    pub(crate) leaks: bool,
    /// What is killed and restarted.
    pub(crate) scenarios: Scenarios,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenarios {
    None,
    /// Those that are done in half a minute.
    Short,
    /// All, and this many sandboxes that lose their API server together.
    All(usize),
}

impl Plan {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "full" => Some(Self {
                cuts: 1_000,
                commands: 10_000,
                copies: 240,
                leaks: true,
                scenarios: Scenarios::All(200),
            }),
            "short" => {
                Some(Self { cuts: 60, commands: 0, copies: 24, leaks: true, scenarios: Scenarios::Short })
            }
            // To find out whether a run would find anything.
            "control" => {
                Some(Self { cuts: 12, commands: 0, copies: 0, leaks: false, scenarios: Scenarios::None })
            }
            _ => None,
        }
    }
}
