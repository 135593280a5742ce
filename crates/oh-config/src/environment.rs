//! What is read from the environment: the variables of the options, and a few facts about the user and the machine.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use nix::unistd::{Uid, User, gethostname};

use crate::table::{SETTINGS, Setting};

/// The variable that names the configuration file.
pub(crate) const CONFIG_FILE: &str = "OH_CONFIG";
/// The variable that chooses a profile.
pub(crate) const PROFILE: &str = "OH_PROFILE";
/// Docker's rule for this one: true when it has any value.
pub(crate) const DOCKER_FLAG: &str = "DOCKER_TLS_VERIFY";
/// Behind the name of a variable with a secret: the file that holds it.
pub(crate) const FILE_SUFFIX: &str = "_FILE";

/// Variables that set no option, with what they are for.
pub(crate) const FACTS: &[(&str, &str)] = &[
    (
        CONFIG_FILE,
        "Configuration file to read instead of the project's; it has to exist. One of OpenHands will do, too.",
    ),
    (PROFILE, "Profile to use, as `ack` for the tables `[profile.ack]` of the files."),
    ("HOME", "The user's folder; otherwise the one of the user database."),
    ("XDG_CONFIG_HOME", "Folder of the user's `oh/config.toml`; otherwise `~/.config`."),
    ("XDG_DATA_HOME", "Folder of `oh/images`; otherwise `~/.local/share`."),
    ("XDG_RUNTIME_DIR", "Folder of `oh/local`; otherwise `/tmp/oh-<user id>`."),
    ("TERM", "The kind of the terminal, which `oh shell` passes on."),
];

/// The variables that set an option from a file: those of secrets.
pub(crate) fn file_variables() -> impl Iterator<Item = (&'static Setting, String)> {
    let secrets = SETTINGS.iter().filter(|setting| setting.kind.is_secret());
    secrets.flat_map(|setting| {
        setting.variables.iter().map(move |name| (setting, format!("{name}{FILE_SUFFIX}")))
    })
}

/// Every name that is read.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let options = SETTINGS.iter().flat_map(|setting| setting.variables).map(|name| (*name).to_owned());
    let files = file_variables().map(|(_, name)| name);
    options.chain(files).chain(FACTS.iter().map(|(name, _)| (*name).to_owned())).collect()
});

/// What the process finds around it, as a value.
#[derive(Clone, Default)]
pub struct Environment {
    /// The variables that are set, of those in `docs/reference/env.md`. Of others that start with `OH_` the name alone is
    /// looked at, to warn about mistakes.
    pub variables: BTreeMap<String, OsString>,
    /// Where relative paths start and `oh.toml` is looked for; absolute.
    pub current_dir: PathBuf,
    /// The folder of the system's `config.toml` or `config.yaml`.
    pub system_dir: PathBuf,
    /// The user's folder, when `HOME` does not say it.
    pub home: Option<PathBuf>,
    /// The user's name.
    pub user: String,
    /// The user's number.
    pub uid: u32,
    /// The machine's name.
    pub host: String,
}

impl Environment {
    /// The environment of this process.
    ///
    /// # Errors
    /// When the current folder was deleted, or is hidden from us.
    pub fn current() -> std::io::Result<Self> {
        let uid = Uid::current();
        // By number and not by `USER`: a job without a login shell is the same owner as the shell that started it.
        let user = User::from_uid(uid).ok().flatten();
        let host = gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self {
            variables: read(),
            current_dir: std::env::current_dir()?,
            system_dir: PathBuf::from("/etc/oh"),
            home: user.as_ref().map(|user| user.dir.clone()),
            user: user.map_or_else(|| format!("uid-{uid}"), |user| user.name),
            uid: uid.as_raw(),
            host: if host.is_empty() { "localhost".to_owned() } else { host },
        })
    }

    /// A variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&OsString> {
        self.variables.get(name).filter(|value| !value.is_empty())
    }

    /// The user's folder.
    #[must_use]
    pub fn home_dir(&self) -> Option<PathBuf> {
        self.folder("HOME").or_else(|| self.home.clone())
    }

    /// The kind of the user's terminal.
    #[must_use]
    pub fn terminal(&self) -> Option<&OsStr> {
        self.get("TERM").map(OsString::as_os_str)
    }

    /// The folder of the user's `config.toml` or `config.yaml`, which need not exist.
    #[must_use]
    pub fn user_dir(&self) -> Option<PathBuf> {
        Some(self.xdg("XDG_CONFIG_HOME", ".config")?.join("oh"))
    }

    /// Every name that is read.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(String::as_str)
    }

    /// Where the runtime `local` finds its images unless told otherwise.
    pub(crate) fn image_dir(&self) -> PathBuf {
        self.xdg("XDG_DATA_HOME", ".local/share").unwrap_or_else(|| self.temporary_dir()).join("oh/images")
    }

    /// Where the runtime `local` keeps its sandboxes unless told otherwise.
    pub(crate) fn state_dir(&self) -> PathBuf {
        match self.folder("XDG_RUNTIME_DIR") {
            Some(folder) => folder.join("oh/local"),
            None => self.temporary_dir().join("local"),
        }
    }

    fn temporary_dir(&self) -> PathBuf {
        Path::new("/tmp").join(format!("oh-{}", self.uid))
    }

    fn xdg(&self, name: &str, below_home: &str) -> Option<PathBuf> {
        self.folder(name).or_else(|| Some(self.home_dir()?.join(below_home)))
    }

    /// The folder a variable names. A relative one is ignored, as the XDG specification demands.
    fn folder(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }
}

/// The variables we read, and the names alone of those that look like ours.
fn read() -> BTreeMap<String, OsString> {
    let kept = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let ours = Environment::names().any(|own| own == name);
        let alike = name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("OH_"));
        (ours || alike).then(|| (name, if ours { value } else { OsString::new() }))
    });
    kept.collect()
}

/// Shows the names of variables, never their values: they may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys().collect::<Vec<_>>())
            .field("current_dir", &self.current_dir)
            .field("system_dir", &self.system_dir)
            .field("home", &self.home)
            .field("user", &self.user)
            .field("uid", &self.uid)
            .field("host", &self.host)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment {
            variables: variables.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect(),
            home: Some("/users/ada".into()),
            uid: 1000,
            ..Environment::default()
        }
    }

    #[test]
    fn names_are_unique() {
        let names: Vec<_> = Environment::names().collect();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name}");
        }
    }

    #[test]
    fn folders_follow_the_xdg_specification() {
        let plain = environment(&[]);
        assert_eq!(plain.user_dir(), Some("/users/ada/.config/oh".into()));
        assert_eq!(plain.image_dir(), Path::new("/users/ada/.local/share/oh/images"));
        assert_eq!(plain.state_dir(), Path::new("/tmp/oh-1000/local"));

        let set =
            environment(&[("XDG_CONFIG_HOME", "/c"), ("XDG_DATA_HOME", "/d"), ("XDG_RUNTIME_DIR", "/r")]);
        assert_eq!(set.user_dir(), Some("/c/oh".into()));
        assert_eq!(set.image_dir(), Path::new("/d/oh/images"));
        assert_eq!(set.state_dir(), Path::new("/r/oh/local"));

        let odd = environment(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "relative"), ("XDG_DATA_HOME", "")]);
        assert_eq!(odd.user_dir(), Some("/h/.config/oh".into()));
        assert_eq!(odd.image_dir(), Path::new("/h/.local/share/oh/images"));

        let homeless = Environment { home: None, ..plain };
        assert_eq!(homeless.user_dir(), None);
        assert_eq!(homeless.image_dir(), Path::new("/tmp/oh-1000/oh/images"));
    }

    #[test]
    fn this_process_has_a_user_and_a_host() {
        let here = Environment::current().unwrap();
        assert!(!here.user.is_empty() && !here.host.is_empty());
        assert!(here.current_dir.is_absolute());
    }
}
