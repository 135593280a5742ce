//! What neither the compiler nor clippy checks. Each violation names a place and says what to do.

mod architecture;
mod dependencies;
mod generated;
mod text;

use anyhow::{Context, Result, bail};

use crate::cmd::Cmd;
use crate::{examples, paths, ui};

/// Something to mend.
struct Violation {
    /// `path:line` below the root of the checkout, or a path alone.
    place: String,
    /// What is wrong and what to do.
    what: String,
}

impl Violation {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }

    fn at(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self::new(format!("{path}:{line}"), what)
    }
}

/// All checks; fails if any finds something.
pub(crate) fn run() -> Result<()> {
    let files = files()?;
    let mut violations = dependencies::check()?;
    violations.extend(architecture::check(&files)?);
    violations.extend(text::check(&files)?);
    violations.extend(generated::check());
    if let Err(error) = examples::check() {
        violations.push(Violation::new("examples/quickstart", format!("{error:#}")));
    }
    for Violation { place, what } in &violations {
        anstream::println!("{}{place}{:#}: {what}", ui::BAD, ui::BAD);
    }
    match violations.len() {
        0 => ui::note(format!("{} files are tidy", files.len())),
        1 => bail!("1 thing is not tidy"),
        many => bail!("{many} things are not tidy"),
    }
    Ok(())
}

/// The files of the project: what git knows, and what is new and not ignored.
fn files() -> Result<Vec<String>> {
    let list = Cmd::new(&["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .dir(paths::root())
        .read()
        .context("tidy looks at the files git knows")?;
    let exists = |path: &&str| paths::root().join(path).is_file();
    Ok(list.split('\0').filter(|path| !path.is_empty()).filter(exists).map(str::to_owned).collect())
}

/// A file as text, or nothing if it is none.
fn text_of(path: &str) -> Result<Option<String>> {
    let bytes = std::fs::read(paths::root().join(path)).with_context(|| format!("failed to read {path}"))?;
    Ok(String::from_utf8(bytes).ok())
}
