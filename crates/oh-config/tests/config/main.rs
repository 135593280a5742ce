//! The configuration as an embedding program sees it. Every test brings its own environment, as a value.
#![expect(clippy::unwrap_used, reason = "a panic in a helper is a failed test with a line number")]

mod errors;
mod every_option;
mod layers;
mod shown;

use std::path::Path;

use oh_config::{Config, ConfigBuilder, ConfigError, Environment};
use tempfile::TempDir;

/// A machine with a user, a home folder and a project folder, and no configuration yet.
struct Machine {
    root: TempDir,
    environment: Environment,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let environment = Environment {
            variables: [("HOME".to_owned(), root.path().join("home").into())].into(),
            current_dir: root.path().join("project"),
            system_dir: root.path().join("etc"),
            home: None,
            user: "ada".into(),
            uid: 1000,
            host: "laptop".into(),
        };
        Self { root, environment }
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn system(self, text: &str) -> Self {
        self.file("etc/config.toml", text)
    }

    fn user(self, text: &str) -> Self {
        self.file("home/.config/oh/config.toml", text)
    }

    fn project(self, text: &str) -> Self {
        self.file("project/oh.toml", text)
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.variables.insert(name.into(), value.into());
        self
    }

    fn builder(&self) -> ConfigBuilder {
        Config::builder().environment(self.environment.clone())
    }

    fn load(&self) -> Result<Config, ConfigError> {
        self.builder().load()
    }

    fn config(&self) -> Config {
        self.load().unwrap_or_else(|error| panic!("{error}"))
    }

    /// What is wrong, with `ROOT` for the folder everything is in.
    fn error(&self) -> String {
        self.shown(self.load())
    }

    fn shown(&self, result: Result<Config, ConfigError>) -> String {
        self.anonymous(&result.unwrap_err().to_string())
    }

    /// With `ROOT` for the folder everything is in.
    fn anonymous(&self, text: &str) -> String {
        text.replace(self.path().to_str().unwrap(), "ROOT")
    }
}
