//! What is read from the environment: the one table of variables, and a few facts about the user and the machine.
//!
//! Only these names are read. OpenHands owns many names that start with `OH_`, so a prefix says nothing.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User, gethostname};

/// What a variable is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The value of this option, as text.
    Option(&'static str),
    /// This option is true when the variable has any value: Docker's rule for its own variables.
    Flag(&'static str),
    /// Something else, which its help says.
    Fact,
}

/// A variable we read.
#[derive(Debug)]
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    pub(crate) meaning: Meaning,
    pub(crate) help: &'static str,
}

/// The variable that names the configuration file.
pub(crate) const CONFIG_FILE: &str = "OH_CONFIG";

const fn variable(name: &'static str, meaning: Meaning, help: &'static str) -> Variable {
    Variable { name, meaning, help }
}

/// All variables we read. An empty one counts as not set.
pub(crate) const VARIABLES: &[Variable] = &[
    variable(
        CONFIG_FILE,
        Meaning::Fact,
        "configuration file to read instead of `./oh.toml`; it has to exist",
    ),
    variable("OH_RUNTIME", Meaning::Option("runtime"), "where sandboxes run"),
    variable("OH_OWNER", Meaning::Option("owner"), "who makes the sandboxes"),
    variable("OH_AGENT", Meaning::Option("agent.path"), "the agent's static binary"),
    variable(
        "OH_LOCAL_STATE",
        Meaning::Option("local.state_dir"),
        "where the runtime `local` keeps its sandboxes",
    ),
    variable(
        "OH_LOCAL_IMAGES",
        Meaning::Option("local.image_dir"),
        "where the runtime `local` finds its images",
    ),
    variable(
        "KUBECONFIG",
        Meaning::Option("k8s.kubeconfig"),
        "kubectl's own: where the cluster is and who we are",
    ),
    variable("OH_K8S_CONTEXT", Meaning::Option("k8s.context"), "which entry of the kubeconfig"),
    variable("OH_K8S_NAMESPACE", Meaning::Option("k8s.namespace"), "where Pods are made"),
    variable("OH_LOG", Meaning::Option("log.level"), "what is logged"),
    variable("DOCKER_HOST", Meaning::Option("docker.host"), "Docker's own: where the engine listens"),
    variable("DOCKER_TLS_VERIFY", Meaning::Flag("docker.tls_verify"), "Docker's own: any value turns TLS on"),
    variable(
        "DOCKER_CERT_PATH",
        Meaning::Option("docker.cert_path"),
        "Docker's own: folder of the certificates",
    ),
    variable("HOME", Meaning::Fact, "the user's folder; otherwise the one of the user database"),
    variable(
        "XDG_CONFIG_HOME",
        Meaning::Fact,
        "folder of the user's `oh/config.toml`; otherwise `~/.config`",
    ),
    variable("XDG_DATA_HOME", Meaning::Fact, "folder of `oh/images`; otherwise `~/.local/share`"),
    variable("XDG_RUNTIME_DIR", Meaning::Fact, "folder of `oh/local`; otherwise `/tmp/oh-<user id>`"),
    variable("TERM", Meaning::Fact, "the kind of the terminal, which `oh shell` passes on"),
];

/// What the process finds around it, as a value.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The variables that are set, of those in the table of `docs/reference/config.md`; others have no effect.
    pub variables: BTreeMap<String, OsString>,
    /// Where relative paths start and `oh.toml` is looked for; absolute.
    pub current_dir: PathBuf,
    /// The system's configuration file.
    pub system_file: PathBuf,
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
            variables: VARIABLES.iter().filter_map(|v| Some((v.name.to_owned(), read(v.name)?))).collect(),
            current_dir: std::env::current_dir()?,
            system_file: PathBuf::from("/etc/oh/config.toml"),
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

    /// The user's configuration file, which need not exist.
    #[must_use]
    pub fn user_file(&self) -> Option<PathBuf> {
        Some(self.xdg("XDG_CONFIG_HOME", ".config")?.join("oh/config.toml"))
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

fn read(name: &str) -> Option<OsString> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    std::env::var_os(name)
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
        for (index, variable) in VARIABLES.iter().enumerate() {
            assert!(VARIABLES[..index].iter().all(|other| other.name != variable.name), "{}", variable.name);
        }
    }

    #[test]
    fn folders_follow_the_xdg_specification() {
        let plain = environment(&[]);
        assert_eq!(plain.user_file(), Some("/users/ada/.config/oh/config.toml".into()));
        assert_eq!(plain.image_dir(), Path::new("/users/ada/.local/share/oh/images"));
        assert_eq!(plain.state_dir(), Path::new("/tmp/oh-1000/local"));

        let set =
            environment(&[("XDG_CONFIG_HOME", "/c"), ("XDG_DATA_HOME", "/d"), ("XDG_RUNTIME_DIR", "/r")]);
        assert_eq!(set.user_file(), Some("/c/oh/config.toml".into()));
        assert_eq!(set.image_dir(), Path::new("/d/oh/images"));
        assert_eq!(set.state_dir(), Path::new("/r/oh/local"));

        let odd = environment(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "relative"), ("XDG_DATA_HOME", "")]);
        assert_eq!(odd.user_file(), Some("/h/.config/oh/config.toml".into()));
        assert_eq!(odd.image_dir(), Path::new("/h/.local/share/oh/images"));

        let homeless = Environment { home: None, ..plain };
        assert_eq!(homeless.user_file(), None);
        assert_eq!(homeless.image_dir(), Path::new("/tmp/oh-1000/oh/images"));
    }

    #[test]
    fn this_process_has_a_user_and_a_host() {
        let here = Environment::current().unwrap();
        assert!(!here.user.is_empty() && !here.host.is_empty());
        assert!(here.current_dir.is_absolute());
    }
}
