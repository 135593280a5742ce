//! Arguments that are more than a word: `K=V`, `NAME:/path`, `SRC:DST:ro`, `90s`.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use oh_runtime::{Mount, Rlimit, RlimitResource, RunId, SandboxName};

/// `K=V`. The value may hold more of `=`.
pub(crate) fn env(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("the name before '=' is empty".to_owned()),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(format!("write {text}=VALUE")),
    }
}

/// `KEY=VALUE`, an option of the configuration. The value may hold more of `=`.
pub(crate) fn option(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, as in k8s.namespace=sandboxes".to_owned()),
    }
}

/// `SRC:DST` or `SRC:DST:ro`. A relative source starts at the current folder.
pub(crate) fn mount(text: &str) -> Result<Mount, String> {
    let (pair, read_only) = match text.strip_suffix(":ro") {
        Some(pair) => (pair, true),
        None => (text, false),
    };
    let Some((source, target)) = pair.split_once(':') else {
        return Err("write SOURCE:TARGET or SOURCE:TARGET:ro".to_owned());
    };
    if !target.starts_with('/') || target.contains(':') {
        return Err(format!("the path in the sandbox, {target:?}, has to start with '/' and hold no ':'"));
    }
    let source = std::path::absolute(source).map_err(|error| format!("the source {source:?}: {error}"))?;
    Ok(Mount { source, target: target.into(), read_only })
}

/// A time with its unit, as in the configuration: `90s`, `5m`, `1h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match oh_config::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("it has to be more than nothing".to_owned()),
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

/// A file mode creation mask in octal.
pub(crate) fn umask(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mask) if mask <= 0o777 => Ok(mask),
        _ => Err("write it in octal, from 0 to 777".to_owned()),
    }
}

/// `NAME=SOFT` or `NAME=SOFT:HARD`, with `unlimited` for no limit.
pub(crate) fn ulimit(text: &str) -> Result<Rlimit, String> {
    let Some((name, limits)) = text.split_once('=') else {
        return Err("write NAME=SOFT or NAME=SOFT:HARD".to_owned());
    };
    let resource = RlimitResource::ALL.into_iter().find(|resource| resource.name() == name);
    let resource = resource.ok_or_else(|| {
        let names = RlimitResource::ALL.map(RlimitResource::name).join(", ");
        format!("{name:?} is no resource: there are {names}")
    })?;
    let limit = |text: &str| match text {
        "unlimited" => Ok(None),
        number => number.parse().map(Some).map_err(|_| format!("{number:?} is no number and not unlimited")),
    };
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    Ok(Rlimit { resource, soft: limit(soft)?, hard: limit(hard)? })
}

/// A signal by its number, or by its name with or without `SIG`.
pub(crate) fn signal(text: &str) -> Result<i32, String> {
    let known = |name: &str| nix::sys::signal::Signal::from_str(name).ok().map(|signal| signal as i32);
    let name = text.to_ascii_uppercase();
    let number = text.parse().ok().filter(|number| (1..=31).contains(number));
    number
        .or_else(|| known(&name))
        .or_else(|| known(&format!("SIG{name}")))
        .ok_or_else(|| "write a name like TERM, or a number from 1 to 31".to_owned())
}

/// A port of this machine, 0 for any free one, and the port in a sandbox it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) local: u16,
    pub(crate) remote: u16,
}

/// `LOCAL:REMOTE`, `:REMOTE`, or `REMOTE` for both.
pub(crate) fn ports(text: &str) -> Result<Ports, String> {
    let (local, remote) = text.split_once(':').unwrap_or((text, text));
    let port = |text: &str| text.parse().map_err(|_| format!("{text:?} is no port: there are 1 to 65535"));
    let remote = port(remote)?;
    if remote == 0 {
        return Err("the port in the sandbox cannot be 0".to_owned());
    }
    Ok(Ports { local: if local.is_empty() { 0 } else { port(local)? }, remote })
}

/// The name of a sandbox.
pub(crate) fn sandbox_name(text: &str) -> Result<SandboxName, String> {
    SandboxName::new(text).map_err(|error| error.to_string())
}

/// The id of a run.
pub(crate) fn run_id(text: &str) -> Result<RunId, String> {
    RunId::new(text).map_err(|error| error.to_string())
}

/// One side of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file or folder of this machine.
    Host(PathBuf),
    /// Standard input or output.
    Stream,
    /// A file or folder of a sandbox.
    Sandbox(SandboxName, PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(path) => path.display().fmt(f),
            Self::Stream => f.write_str("-"),
            Self::Sandbox(name, path) => write!(f, "{name}:{}", path.display()),
        }
    }
}

/// `NAME:/path`, `-`, or a path of this machine. A colon behind a slash belongs to a path, so `./a:b` is a file.
pub(crate) fn place(text: &OsStr) -> Result<Place, String> {
    let bytes = text.as_bytes();
    if bytes == b"-" {
        return Ok(Place::Stream);
    }
    if bytes.is_empty() {
        return Err("the path is empty".to_owned());
    }
    let colon = bytes.iter().position(|&byte| byte == b':');
    let (name, path) = match colon.map(|at| (&bytes[..at], &bytes[at + 1..])) {
        Some((name, path)) if !name.contains(&b'/') => (name, path),
        _ => return Ok(Place::Host(text.into())),
    };
    let name = String::from_utf8_lossy(name);
    let name = SandboxName::new(&*name).map_err(|error| {
        format!("{error}; a file of this machine with ':' in its name is written ./{}", text.display())
    })?;
    if path.is_empty() {
        return Err(format!("the path in sandbox {name} is empty: {name}:/ is everything in it"));
    }
    Ok(Place::Sandbox(name, Path::new("/").join(OsStr::from_bytes(path))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_splits_at_the_first_equals_sign() {
        assert_eq!(env("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert_eq!(env("A="), Ok(("A".into(), String::new())));
        assert!(env("A").unwrap_err().contains("A=VALUE"));
        assert!(env("=x").is_err());
    }

    #[test]
    fn mounts_have_two_paths_and_may_be_read_only() {
        let here = std::env::current_dir().unwrap();
        let check = |text, source: PathBuf, target: &str, read_only| {
            assert_eq!(mount(text), Ok(Mount { source, target: target.into(), read_only }), "{text}");
        };
        check("/a:/b", "/a".into(), "/b", false);
        check("/a:/b:ro", "/a".into(), "/b", true);
        check("a:/b", here.join("a"), "/b", false);
        for bad in ["/a", "/a:b", "/a:/b:rw", "/a:", ":/b", ""] {
            assert!(mount(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_more_than_nothing() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert!(duration("0s").unwrap_err().contains("more than nothing"));
        assert!(duration("90").unwrap_err().contains("90s"));
    }

    #[test]
    fn places_are_told_apart_by_the_first_colon() {
        let name = |name| SandboxName::new(name).unwrap();
        let check = |text: &str, expected| assert_eq!(place(OsStr::new(text)), Ok(expected), "{text}");
        check("-", Place::Stream);
        check("a", Place::Host("a".into()));
        check("./a:b", Place::Host("./a:b".into()));
        check("/x/y:z", Place::Host("/x/y:z".into()));
        check("box:/etc", Place::Sandbox(name("box"), "/etc".into()));
        check("box:etc", Place::Sandbox(name("box"), "/etc".into()));
        check("box:/a:b", Place::Sandbox(name("box"), "/a:b".into()));
        assert!(place(OsStr::new("Box:/etc")).unwrap_err().contains("./Box:/etc"));
        assert!(place(OsStr::new("box:")).unwrap_err().contains("box:/"));
        assert!(place(OsStr::new(":/etc")).is_err());
        assert!(place(OsStr::new("")).is_err());
    }

    #[test]
    fn masks_limits_and_signals_are_checked() {
        assert_eq!(umask("022"), Ok(0o22));
        assert!(umask("8").is_err() && umask("1000").is_err());
        let limit = ulimit("nofile=10:20").unwrap();
        assert_eq!((limit.resource, limit.soft, limit.hard), (RlimitResource::OpenFiles, Some(10), Some(20)));
        let limit = ulimit("cpu=unlimited").unwrap();
        assert_eq!((limit.soft, limit.hard), (None, None));
        assert!(ulimit("files=1").unwrap_err().contains("nofile"));
        assert!(ulimit("cpu=a").is_err() && ulimit("cpu").is_err());
        assert_eq!((signal("TERM"), signal("sigterm"), signal("9")), (Ok(15), Ok(15), Ok(9)));
        assert!(signal("0").is_err() && signal("TERMINATE").is_err());
    }

    #[test]
    fn ports_are_one_or_two() {
        for (text, local, remote) in
            [("80", 80, 80), ("8080:80", 8080, 80), (":80", 0, 80), ("0:80", 0, 80), ("1:65535", 1, 65535)]
        {
            assert_eq!(ports(text), Ok(Ports { local, remote }), "{text}");
        }
        for bad in ["", "0", "80:", "80:0", "65536", "a", "1:2:3", "-1", "http"] {
            assert!(ports(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn places_need_not_be_unicode() {
        let text = OsStr::from_bytes(b"box:/\xff");
        let expected = Place::Sandbox(SandboxName::new("box").unwrap(), OsStr::from_bytes(b"/\xff").into());
        assert_eq!(place(text), Ok(expected));
    }
}
