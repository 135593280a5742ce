//! A file to begin with.

use crate::choice::UnknownValue;
use crate::kind::one_of;

/// Where the sandboxes of a first configuration run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// A Docker engine.
    Docker,
    /// A cluster that kind made on this machine.
    Kind,
    /// Alibaba Cloud Container Service for Kubernetes.
    Ack,
    /// Amazon Elastic Kubernetes Service.
    Eks,
    /// Azure Kubernetes Service.
    Aks,
}

impl Flavor {
    /// All there are.
    pub const ALL: &[Self] = &[Self::Docker, Self::Kind, Self::Ack, Self::Eks, Self::Aks];

    /// How it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Kind => "kind",
            Self::Ack => "ack",
            Self::Eks => "eks",
            Self::Aks => "aks",
        }
    }

    /// A commented `oh.toml`, which is right as it is.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Docker => include_str!("init/docker.toml"),
            Self::Kind => include_str!("init/kind.toml"),
            Self::Ack => include_str!("init/ack.toml"),
            Self::Eks => include_str!("init/eks.toml"),
            Self::Aks => include_str!("init/aks.toml"),
        }
    }
}

impl std::str::FromStr for Flavor {
    type Err = UnknownValue;

    fn from_str(text: &str) -> Result<Self, UnknownValue> {
        let found = Self::ALL.iter().find(|flavor| flavor.name() == text);
        found
            .copied()
            .ok_or_else(|| UnknownValue::new(text, one_of(Self::ALL.iter().map(|flavor| flavor.name()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Environment, RuntimeKind, check};

    /// As it is, and with every option that is only a comment.
    #[test]
    fn every_file_is_right_with_and_without_its_comments() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("registry-password"), "s3cret").unwrap();
        let environment = Environment { current_dir: folder.path().to_owned(), ..Environment::default() };
        for flavor in Flavor::ALL {
            assert_eq!(flavor.name().parse(), Ok(*flavor));
            let uncommented = flavor.file().lines().map(|line| match line.strip_prefix('#') {
                Some(option) if !option.starts_with(' ') => option,
                _ => line,
            });
            let uncommented = uncommented.collect::<Vec<_>>().join("\n");
            for text in [flavor.file(), &uncommented] {
                let path = folder.path().join("oh.toml");
                std::fs::write(&path, text).unwrap();
                check(&environment, &path)
                    .unwrap_or_else(|error| panic!("{}: {error}\n{text}", flavor.name()));
                let config = crate::Config::builder().environment(environment.clone()).load().unwrap();
                let expected = if *flavor == Flavor::Docker { RuntimeKind::Docker } else { RuntimeKind::K8s };
                assert_eq!(config.runtime, expected);
            }
        }
        assert!("gke".parse::<Flavor>().unwrap_err().to_string().contains("docker, kind, ack, eks or aks"));
    }
}
