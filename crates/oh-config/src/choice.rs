//! Options that are one of a few words.

use std::fmt;

use serde::Deserialize;

use crate::builder::IntoValue;
use crate::kind::one_of;

/// A word that is none of those an option knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown value {value:?}, use {known}")]
pub struct UnknownValue {
    value: String,
    known: String,
}

impl UnknownValue {
    pub(crate) fn new(value: &str, known: String) -> Self {
        Self { value: value.to_owned(), known }
    }
}

/// They are read from text alone: serde's derived enums take numbers too. A word may have other spellings.
macro_rules! choice {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal $(| $other:literal)*,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
        #[serde(try_from = "String")]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Every word, followed by its other spellings.
            pub(crate) const WORDS: &[&[&str]] = &[$(&[$word $(, $other)*]),+];

            /// How it is written.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownValue;

            fn from_str(text: &str) -> Result<Self, UnknownValue> {
                let found = Self::WORDS.iter().position(|words| words.contains(&text));
                found.map(|index| Self::ALL[index]).ok_or_else(|| UnknownValue::new(text, one_of([$($word),+])))
            }
        }

        impl TryFrom<String> for $name {
            type Error = UnknownValue;

            fn try_from(text: String) -> Result<Self, UnknownValue> {
                text.parse()
            }
        }

        impl IntoValue for $name {
            fn into_value(self) -> figment::value::Value {
                self.name().into()
            }
        }
    };
}

choice! {
    /// Where sandboxes run.
    RuntimeKind {
        /// Containers of a Docker engine.
        Docker = "docker",
        /// Pods of a Kubernetes cluster.
        K8s = "k8s" | "kubernetes",
        /// Processes in a folder of this machine, without isolation.
        Local = "local",
    }
}

choice! {
    /// A way for the agent into a sandbox, in the order they are tried.
    DeliveryKind {
        /// The backend is given it once and keeps it.
        Upload = "upload",
        /// From an image that holds it.
        Image = "image",
        /// The sandbox's image holds it.
        Present = "present",
        /// Kept by the backend, executed from memory.
        Memory = "memory",
    }
}

choice! {
    /// When to pull an image.
    PullPolicy {
        /// When there is none of that name.
        Missing = "missing" | "IfNotPresent",
        /// Not at all.
        Never = "never" | "Never",
        /// Before every sandbox.
        Always = "always" | "Always",
    }
}

choice! {
    /// What becomes of a sandbox that was made for one command, or for an instance.
    CleanupPolicy {
        /// It is removed.
        Always = "always",
        /// It is removed when all went well.
        OnSuccess = "on_success",
        /// It stays until its time is over.
        Never = "never",
    }
}

choice! {
    /// How a toleration compares, in Kubernetes' own words.
    TolerationOperator {
        /// Any value.
        Exists = "Exists",
        /// The same value.
        Equal = "Equal",
    }
}

choice! {
    /// What a taint does, in Kubernetes' own words.
    TaintEffect {
        /// No new Pods.
        NoSchedule = "NoSchedule",
        /// No new Pods if it can be helped.
        PreferNoSchedule = "PreferNoSchedule",
        /// No Pods.
        NoExecute = "NoExecute",
    }
}

choice! {
    /// How important something has to be to be logged.
    LogLevel {
        /// Nothing is.
        Off = "off",
        /// What failed.
        Error = "error",
        /// What is suspicious.
        Warn = "warn",
        /// What happens.
        Info = "info",
        /// What helps to find a mistake.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

choice! {
    /// How the log is written.
    LogFormat {
        /// Lines for people.
        Human = "human",
        /// One JSON object a line.
        Json = "json",
    }
}
