//! The committed list of cases that a backend cannot pass, with the reason.

use std::path::Path;

use oh_runtime::Capabilities;
use serde::Deserialize;

use crate::case::Case;

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// Name of the backend.
    pub backend: String,
    /// `area::name` of the case.
    pub case: String,
    /// Why, for people.
    pub reason: String,
}

/// The list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skips {
    #[serde(default)]
    skip: Vec<Skip>,
}

/// What to do with a case on a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Run it.
    Run,
    /// The list says why not.
    Skip(String),
    /// The list and the backend's capabilities do not agree.
    Wrong(String),
}

impl Skips {
    /// Reads the list.
    ///
    /// # Errors
    /// In words, when it cannot be read or is malformed.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// What to do with `case` on `backend`.
    #[must_use]
    pub fn verdict(&self, backend: &str, case: &Case, capabilities: &Capabilities) -> Verdict {
        let unmet = case.unmet(capabilities);
        match (self.find(backend, &case.id()), unmet.as_slice()) {
            (None, []) => Verdict::Run,
            (Some(skip), [_, ..]) => Verdict::Skip(skip.reason.clone()),
            (None, unmet) => Verdict::Wrong(format!(
                "new skip: {backend} is not {}, and tests/conformance/skips.toml does not say that this case is skipped",
                unmet.join(", ")
            )),
            (Some(_), []) => Verdict::Wrong(format!(
                "stale skip: {backend} can do all this case needs; remove it from tests/conformance/skips.toml"
            )),
        }
    }

    /// Entries that name no case, name one twice, or give no reason.
    #[must_use]
    pub fn mistakes(&self, cases: &[Case]) -> Vec<String> {
        let mut mistakes = Vec::new();
        for (index, Skip { backend, case, reason }) in self.skip.iter().enumerate() {
            if !cases.iter().any(|known| known.id() == *case) {
                mistakes.push(format!("{backend}: there is no case {case}"));
            }
            if self.skip[..index].iter().any(|other| other.backend == *backend && other.case == *case) {
                mistakes.push(format!("{backend}: {case} is there twice"));
            }
            if reason.trim().is_empty() {
                mistakes.push(format!("{backend}: {case} has no reason"));
            }
        }
        mistakes
    }

    fn find(&self, backend: &str, case: &str) -> Option<&Skip> {
        self.skip.iter().find(|skip| skip.backend == backend && skip.case == case)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::ISOLATED;

    const NOTHING: Capabilities = Capabilities {
        isolated: false,
        agent_protected: false,
        resource_limits: false,
        process_limit: false,
        mounts: false,
        own_root: false,
        remote: false,
        keeps_agents: false,
        pauses: false,
    };

    fn case(needs: &'static [crate::case::Need]) -> Case {
        Case { area: "a", ..Case::new("b", |_| Box::pin(async { Ok(()) })).needs(needs) }
    }

    #[test]
    fn the_list_and_the_capabilities_have_to_agree() {
        let empty = Skips::default();
        let listed = Skips::parse("[[skip]]\nbackend = 'x'\ncase = 'a::b'\nreason = 'why'").unwrap();
        let isolated = Capabilities { isolated: true, ..NOTHING };
        let needy = case(&[ISOLATED]);
        assert_eq!(empty.verdict("x", &needy, &isolated), Verdict::Run);
        assert_eq!(listed.verdict("x", &needy, &NOTHING), Verdict::Skip("why".into()));
        assert_eq!(listed.verdict("y", &needy, &isolated), Verdict::Run);
        for (skips, case, capabilities, wanted) in [
            (&empty, &needy, NOTHING, "new skip"),
            (&listed, &needy, isolated, "stale skip"),
            (&listed, &case(&[]), NOTHING, "stale skip"),
        ] {
            let verdict = skips.verdict("x", case, &capabilities);
            assert!(matches!(&verdict, Verdict::Wrong(why) if why.contains(wanted)), "{verdict:?}");
        }
    }

    #[test]
    fn mistakes_of_the_list_are_named() {
        let entry = "[[skip]]\nbackend = 'x'\ncase = 'a::gone'\nreason = ''\n";
        let mistakes = Skips::parse(&entry.repeat(2)).unwrap().mistakes(&[case(&[])]);
        for wanted in ["there is no case a::gone", "twice", "no reason"] {
            assert!(mistakes.iter().any(|mistake| mistake.contains(wanted)), "{wanted}: {mistakes:?}");
        }
        assert!(Skips::parse("[[skip]]\nbackend = 'x'").is_err());
    }

    #[test]
    fn the_committed_list_has_no_mistakes() {
        let skips = Skips::read(&crate::environment::conformance().join("skips.toml")).unwrap();
        assert_eq!(skips.mistakes(&crate::cases::all()), Vec::<String>::new());
    }
}
