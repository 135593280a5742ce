//! Archives that lead out of where they are unpacked, in both directions.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use oh_runtime::{
    AgentInfo, AttachedProcess, BoxRead, CommandId, CommandInfo, CommandSpec, DeleteReport, Dialed, Error,
    ErrorKind, FileDigest, FileEntry, Incarnation, Offsets, Owner, Process, Result, Sandbox, SandboxExt,
    Selection, WriteOptions,
};
use tar::{EntryType, Header};

use crate::case::{Case, case};
use crate::context::Context;
use crate::data::reader;
use crate::failure::{CaseResult, Failure, equal, none, refused};
use crate::probe::{script, soon, succeeds};
use crate::tree;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(an_archive_cannot_leave_the_sandboxs_folder),
        case!(an_archive_cannot_leave_our_folder),
        case!(an_archive_cannot_bring_other_names),
        case!(links_planted_in_a_tree_lead_nowhere),
    ]
}

/// One entry as written into the archive, whatever a library thinks of it.
struct Raw<'a> {
    kind: EntryType,
    name: &'a str,
    link: &'a str,
    content: &'a [u8],
}

const fn file<'a>(name: &'a str) -> Raw<'a> {
    Raw { kind: EntryType::Regular, name, link: "", content: b"escaped" }
}

const fn folder<'a>(name: &'a str) -> Raw<'a> {
    Raw { kind: EntryType::Directory, name, link: "", content: b"" }
}

const fn link<'a>(name: &'a str, target: &'a str) -> Raw<'a> {
    Raw { kind: EntryType::Symlink, name, link: target, content: b"" }
}

const fn hard_link<'a>(name: &'a str, target: &'a str) -> Raw<'a> {
    Raw { kind: EntryType::Link, name, link: target, content: b"" }
}

const fn device<'a>(name: &'a str) -> Raw<'a> {
    Raw { kind: EntryType::Char, name, link: "", content: b"" }
}

fn archive(entries: &[Raw<'_>]) -> CaseResult<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(entry.kind);
        header.set_mode(0o755);
        header.set_size(entry.content.len() as u64);
        // The library's setters refuse what is being tried here.
        let old = header.as_old_mut();
        for (field, text) in [(&mut old.name, entry.name), (&mut old.linkname, entry.link)] {
            let room = field
                .get_mut(..text.len())
                .ok_or_else(|| Failure::new(format!("{text} does not fit into a header")))?;
            room.copy_from_slice(text.as_bytes());
        }
        if entry.kind == EntryType::Char {
            header.set_device_major(1)?;
            header.set_device_minor(5)?;
        }
        header.set_cksum();
        builder.append(&header, entry.content)?;
    }
    Ok(builder.into_inner()?)
}

const OVER_A_FOLDER: &str = "a link over a folder";

/// Archives of a tree called `tree` that try to write to, or to get at, the folder `outside`, which lies beside the one
/// they are unpacked into.
fn attacks(outside: &str) -> CaseResult<Vec<Attack>> {
    let absolute = format!("{outside}/escape");
    let secret = format!("{outside}/secret");
    let attacks: [(&'static str, Vec<Raw<'_>>); 13] = [
        ("parent folders", vec![folder("tree"), file("tree/../../outside/escape")]),
        ("parent folders first", vec![file("../outside/escape")]),
        ("a parent folder as folder", vec![folder("tree"), folder("tree/../../outside/escape")]),
        ("an absolute name", vec![folder("tree"), file(&absolute)]),
        ("a file through a link", vec![folder("tree"), link("tree/link", outside), file("tree/link/escape")]),
        (
            "a folder through a link",
            vec![folder("tree"), link("tree/link", outside), folder("tree/link/escape")],
        ),
        (
            "a relative link",
            vec![folder("tree"), link("tree/link", "../../outside"), file("tree/link/escape")],
        ),
        ("the tree itself as a link", vec![link("tree", outside), file("tree/escape")]),
        (
            "two links",
            vec![folder("tree"), link("tree/a", ".."), link("tree/b", "a/.."), file("tree/b/outside/escape")],
        ),
        ("a hard link to a secret", vec![folder("tree"), hard_link("tree/secret", &secret)]),
        ("a relative hard link", vec![folder("tree"), hard_link("tree/secret", "../outside/secret")]),
        ("a device", vec![folder("tree"), device("tree/zero")]),
        (
            OVER_A_FOLDER,
            vec![folder("tree"), folder("tree/x"), link("tree/x", outside), file("tree/x/escape")],
        ),
    ];
    attacks.into_iter().map(|(what, entries)| Ok(Attack { what, archive: archive(&entries)? })).collect()
}

/// What is refused because it is no accident.
const REFUSED: &[ErrorKind] = &[ErrorKind::TransferUnsafe];

/// An archive that means harm.
struct Attack {
    what: &'static str,
    archive: Vec<u8>,
}

impl Attack {
    /// What is wrong with how it was answered, if anything.
    fn judge<T>(&self, result: Result<T>) -> Option<String> {
        // A folder in the way of a link is an ordinary failure too.
        let also: &[ErrorKind] = if self.what == OVER_A_FOLDER { &[ErrorKind::TransferFailed] } else { &[] };
        let failure = refused(result, &[REFUSED, also].concat()).err()?;
        Some(format!("{}: {failure}", self.what))
    }
}

async fn an_archive_cannot_leave_the_sandboxs_folder(cx: &Context) -> CaseResult {
    let (sandbox, own) = cx.place().await?;
    let outside = own.join("outside");
    script(&*sandbox, format!("mkdir {0} && echo keep >{0}/secret", outside.display())).await?;
    let mut succeeded = Vec::new();
    for attack in attacks(&outside.to_string_lossy())? {
        let archive = reader(attack.archive.clone());
        let result =
            soon("unpacking", sandbox.unpack(&own.join("inside"), &Owner::Receiver, archive)).await?;
        succeeded.extend(attack.judge(result));
        let look = format!("cd {} && ls && cat secret && rm -rf ../inside escape", outside.display());
        let there = script(&*sandbox, look).await?;
        if there
            != "secret
keep
"
        {
            succeeded.push(format!("{}: there is {there:?}", attack.what));
        }
    }
    none(&succeeded)
}

/// A sandbox that sends what it likes: the agent in it may have been replaced by anything.
struct Liar {
    real: Arc<dyn Sandbox>,
    archive: Vec<u8>,
}

impl fmt::Debug for Liar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Liar").field(&self.real).finish()
    }
}

impl fmt::Display for Liar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.real.fmt(f)
    }
}

#[async_trait]
impl Sandbox for Liar {
    fn incarnation(&self) -> &Incarnation {
        self.real.incarnation()
    }

    async fn connect(&self, deadline: Duration) -> Result<AgentInfo> {
        self.real.connect(deadline).await
    }

    async fn start(&self, spec: CommandSpec) -> Result<Process> {
        self.real.start(spec).await
    }

    async fn attach(&self, id: CommandId, known: Offsets) -> Result<AttachedProcess> {
        self.real.attach(id, known).await
    }

    async fn kill(&self, id: CommandId, signal: Option<i32>) -> Result<()> {
        self.real.kill(id, signal).await
    }

    async fn commands(&self) -> Result<Vec<CommandInfo>> {
        self.real.commands().await
    }

    async fn read_file(&self, path: &Path, offset: u64, limit: Option<u64>) -> Result<BoxRead> {
        self.real.read_file(path, offset, limit).await
    }

    async fn write_file(&self, path: &Path, how: WriteOptions, data: BoxRead) -> Result<u64> {
        self.real.write_file(path, how, data).await
    }

    async fn stat(&self, path: &Path) -> Result<FileEntry> {
        self.real.stat(path).await
    }

    async fn digest(&self, path: &Path, limit: Option<u64>) -> Result<FileDigest> {
        self.real.digest(path, limit).await
    }

    async fn make_folder(&self, path: &Path, mode: u32) -> Result<()> {
        self.real.make_folder(path, mode).await
    }

    async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.real.rename(from, to).await
    }

    async fn remove(&self, path: &Path) -> Result<()> {
        self.real.remove(path).await
    }

    async fn list(&self, path: &Path) -> Result<Vec<FileEntry>> {
        self.real.list(path).await
    }

    async fn pack(&self, _: &Path, _: &Selection) -> Result<BoxRead> {
        Ok(reader(self.archive.clone()))
    }

    async fn unpack(&self, path: &Path, owner: &Owner, tar: BoxRead) -> Result<u64> {
        self.real.unpack(path, owner, tar).await
    }

    async fn dial(&self, host: &str, port: u16) -> Result<Dialed> {
        self.real.dial(host, port).await
    }

    async fn gone(&self) -> Error {
        self.real.gone().await
    }

    async fn disconnect(&self) {
        self.real.disconnect().await;
    }

    async fn pause(&self) -> Result<()> {
        self.real.pause().await
    }

    async fn resume(&self) -> Result<()> {
        self.real.resume().await
    }

    async fn close(&self) -> Result<DeleteReport> {
        self.real.close().await
    }
}

async fn an_archive_cannot_leave_our_folder(cx: &Context) -> CaseResult {
    let (real, own) = cx.place().await?;
    script(&*real, format!("mkdir {}/tree", own.display())).await?;
    let host = tempfile::tempdir()?;
    let outside = host.path().join("outside");
    fs::create_dir(&outside)?;
    fs::write(outside.join("secret"), "keep")?;
    let before = tree::snapshot(&outside)?;
    let mut succeeded = Vec::new();
    for attack in attacks(&outside.to_string_lossy())? {
        let sandbox = Liar { real: Arc::clone(&real), archive: attack.archive.clone() };
        let to = host.path().join("inside");
        fs::create_dir(&to)?;
        let result = soon("the copy", sandbox.copy_from(&own.join("tree"), &to, &|_| {})).await?;
        succeeded.extend(attack.judge(result));
        let changes = tree::differences(&before, &tree::snapshot(&outside)?);
        succeeded.extend(changes.into_iter().map(|change| format!("{}: {change}", attack.what)));
        fs::remove_dir_all(&to)?;
    }
    none(&succeeded)
}

async fn an_archive_cannot_bring_other_names(cx: &Context) -> CaseResult {
    let (real, own) = cx.place().await?;
    script(&*real, format!("mkdir {}/tree", own.display())).await?;
    let host = tempfile::tempdir()?;
    fs::write(host.path().join("other"), "keep")?;
    for entries in [vec![folder("tree"), file("other")], vec![file("other")]] {
        let sandbox = Liar { real: Arc::clone(&real), archive: archive(&entries)? };
        let result = sandbox.copy_from(&own.join("tree"), host.path(), &|_| {}).await;
        refused(result, &[ErrorKind::TransferUnsafe, ErrorKind::Protocol])?;
        equal("the file beside", &fs::read(host.path().join("other"))?, &b"keep".to_vec())?;
    }
    Ok(())
}

async fn links_planted_in_a_tree_lead_nowhere(cx: &Context) -> CaseResult {
    let (sandbox, own) = cx.place().await?;
    let host = tempfile::tempdir()?;
    let outside = host.path().join("outside");
    fs::create_dir(&outside)?;
    fs::write(outside.join("secret"), "keep")?;
    let before = tree::snapshot(&outside)?;
    // What is a folder or file at the second copy was a link into our folder at the first.
    let target = outside.display();
    let plant = format!("mkdir tree && ln -s {target} tree/sub && ln -s {target}/secret tree/file");
    let swap =
        "rm tree/sub tree/file && mkdir tree/sub && echo escaped >tree/sub/escape && echo escaped >tree/file";
    let to = host.path().join("to");
    fs::create_dir(&to)?;
    for change in [plant.as_str(), swap] {
        succeeds(&*sandbox, CommandSpec::shell(change).cwd(&own)).await?;
        if let Err(error) = sandbox.copy_from(&own.join("tree"), &to, &|_| {}).await {
            refused::<()>(Err(error), REFUSED)?;
        }
    }
    none(&tree::differences(&before, &tree::snapshot(&outside)?))
}
