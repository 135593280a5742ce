//! What can be done to files besides reading and writing them, and copies with options.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use oh_runtime::{
    CommandSpec, CopyOptions, CopyProgress, EntryKind, ErrorKind, Owner, Resume, Sandbox, SandboxExt,
    Selection, WriteOptions,
};
use tokio::io::AsyncWriteExt;

use crate::case::{Case, case};
use crate::context::Context;
use crate::data::{breaking_reader, noise, reader, sha256};
use crate::failure::{CaseResult, check, equal, refused};
use crate::probe::{read_all, script, soon, succeeds, until};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(a_path_says_what_it_is),
        case!(folders_are_made_with_those_on_the_way),
        case!(what_is_renamed_is_somewhere_else),
        case!(a_tree_is_removed_and_nothing_else),
        case!(a_digest_is_of_the_first_bytes),
        case!(a_write_that_is_given_up_leaves_nothing),
        case!(a_write_goes_on_where_it_broke_off),
        case!(a_large_file_goes_on_where_it_broke_off).seconds(180),
        case!(a_large_file_is_copied_twice_at_once).seconds(180),
        case!(patterns_choose_what_is_copied),
        case!(a_copy_belongs_to_whom_one_says),
        case!(a_broken_copy_leaves_no_half_file),
        case!(a_link_in_the_way_is_not_followed),
    ]
}

/// From here on a copy may be resumed.
const LARGE: usize = 65 << 20;

fn host() -> CaseResult<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("oh-e2e-").tempdir()?)
}

async fn names(sandbox: &dyn Sandbox, folder: &Path) -> CaseResult<Vec<OsString>> {
    Ok(sandbox.list(folder).await?.into_iter().map(|entry| entry.name).collect())
}

async fn a_path_says_what_it_is(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let make =
        "printf 12345 >file; chmod 640 file; touch -d @1000000000 file; ln -s nowhere link; mkfifo pipe";
    succeeds(&*sandbox, CommandSpec::shell(make).cwd(&folder)).await?;
    let ids = succeeds(&*sandbox, CommandSpec::shell("stat -c '%u %g' file").cwd(&folder)).await?;
    let file = sandbox.stat(&folder.join("file")).await?;
    let since = file.modified.duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let seen = (file.kind, file.size, file.mode, since, file.name.to_str());
    equal("the file", &seen, &(EntryKind::File, 5, 0o640, 1_000_000_000, Some("file")))?;
    equal("its owner", &format!("{} {}\n", file.uid, file.gid), &ids)?;
    let link = sandbox.stat(&folder.join("link")).await?;
    equal(
        "the link",
        &(link.kind, link.target.as_deref()),
        &(EntryKind::Symlink, Some(Path::new("nowhere"))),
    )?;
    equal("the pipe", &sandbox.stat(&folder.join("pipe")).await?.kind, &EntryKind::Other)?;
    equal("the folder", &sandbox.stat(&folder).await?.kind, &EntryKind::Directory)?;
    let listed = sandbox.list(&folder).await?;
    equal("what is listed", &listed.iter().find(|entry| entry.name == "file"), &Some(&file))?;
    refused(sandbox.stat(&folder.join("none")).await, &[ErrorKind::TransferNotFound]).map(drop)
}

async fn folders_are_made_with_those_on_the_way(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let deep = folder.join("a/b/c");
    sandbox.make_folder(&deep, 0o750).await?;
    sandbox.make_folder(&deep, 0o700).await?;
    let made = sandbox.stat(&deep).await?;
    equal("the folder", &(made.kind, made.mode & 0o700), &(EntryKind::Directory, 0o700))?;
    sandbox.write(&folder.join("file"), b"x".to_vec(), 0o644).await?;
    let kinds = &[ErrorKind::TransferFailed, ErrorKind::TransferNotFound];
    let error = refused(sandbox.make_folder(&folder.join("file/x"), 0o755).await, kinds)?;
    check(error.to_string().contains("file/x"), format!("it does not name the path: {error}"))
}

async fn what_is_renamed_is_somewhere_else(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let path = |name: &str| folder.join(name);
    sandbox.write(&path("one"), b"1".to_vec(), 0o644).await?;
    sandbox.write(&path("two"), b"2".to_vec(), 0o644).await?;
    sandbox.rename(&path("one"), &path("two")).await?;
    equal("content", &sandbox.read(&path("two")).await?, &b"1".to_vec())?;
    equal("names", &names(&*sandbox, &folder).await?, &vec![OsString::from("two")])?;
    let error = refused(sandbox.rename(&path("one"), &path("x")).await, &[ErrorKind::TransferNotFound])?;
    check(error.to_string().contains("one"), format!("it does not name the path: {error}"))
}

async fn a_tree_is_removed_and_nothing_else(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let make = "mkdir -p tree/sub kept; echo x >tree/sub/file; echo keep >kept/file; ln -s ../kept tree/link; \
                chmod 500 tree/sub";
    succeeds(&*sandbox, CommandSpec::shell(make).cwd(&folder)).await?;
    // Nobody but root may remove what is in a folder that must not be written to.
    script(&*sandbox, format!("chmod 700 {}/tree/sub", folder.display())).await?;
    sandbox.remove(&folder.join("tree")).await?;
    equal("what is left", &names(&*sandbox, &folder).await?, &vec![OsString::from("kept")])?;
    equal("behind the link", &sandbox.read(&folder.join("kept/file")).await?, &b"keep\n".to_vec())?;
    sandbox.remove(&folder.join("kept/file")).await?;
    refused(sandbox.remove(&folder.join("kept/file")).await, &[ErrorKind::TransferNotFound]).map(drop)
}

async fn a_digest_is_of_the_first_bytes(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let bytes = noise(31, 300_000);
    let path = folder.join("file");
    sandbox.write(&path, bytes.clone(), 0o644).await?;
    for (limit, size) in [(None, 300_000), (Some(1_000), 1_000), (Some(0), 0), (Some(1 << 40), 300_000)] {
        let digest = sandbox.digest(&path, limit).await?;
        let hex: String = digest.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        equal("size and digest", &(digest.size, hex), &(size as u64, sha256(&bytes[..size])))?;
    }
    refused(sandbox.digest(&folder, None).await, &[ErrorKind::TransferFailed]).map(drop)
}

/// Begins a write whose data stop without an end, and gives it up when `part` has some of them.
async fn dropped(
    sandbox: &dyn Sandbox,
    path: &Path,
    how: WriteOptions,
    bytes: &[u8],
    part: &Path,
) -> CaseResult {
    let (mut ours, theirs) = tokio::io::duplex(bytes.len());
    ours.write_all(bytes).await?;
    let there = async || Ok(sandbox.stat(part).await.is_ok_and(|part| part.size > 0));
    tokio::select! {
        done = sandbox.write_file(path, how, Box::pin(theirs)) => {
            check(false, format!("a write without an end has one: {done:?}"))
        }
        there = until("some of it to be there", there) => there,
    }
}

async fn a_write_that_is_given_up_leaves_nothing(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let (mut ours, theirs) = tokio::io::duplex(1_000_000);
    ours.write_all(&noise(34, 700_000)).await?;
    let path = folder.join("file");
    let names = async || names(&*sandbox, &folder).await;
    tokio::select! {
        done = sandbox.write_file(&path, WriteOptions::mode(0o600), Box::pin(theirs)) => {
            check(false, format!("a write without an end has one: {done:?}"))?;
        }
        begun = until("it to begin", async || Ok(!names().await?.is_empty())) => begun?,
    }
    until("nothing to be left", async || Ok(names().await?.is_empty())).await
}

async fn a_write_goes_on_where_it_broke_off(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let (path, bytes) = (folder.join("file"), noise(32, 1_500_000));
    sandbox.write(&path, b"old".to_vec(), 0o644).await?;
    let resume = |offset| Some(Resume { key: "0a1b".to_owned(), offset });
    let how = |offset| WriteOptions { resume: resume(offset), ..WriteOptions::mode(0o600) };
    let part = folder.join(".oh-0a1b.part");
    dropped(&*sandbox, &path, how(0), &bytes[..700_000], &part).await?;
    equal("content meanwhile", &sandbox.read(&path).await?, &b"old".to_vec())?;
    let there = usize::try_from(sandbox.stat(&part).await?.size)?;
    check((1..=700_000).contains(&there), format!("{there} bytes are kept"))?;
    // What was under way when it was given up may still have come.
    let kept = sandbox.read(&part).await?;
    check(kept.len() >= there && bytes.starts_with(&kept), "what is kept is not its beginning")?;
    refused(sandbox.write_file(&path, how(1_200_000), reader("x")).await, &[ErrorKind::TransferFailed])?;
    sandbox.write_file(&path, how(there as u64), reader(&bytes[there..])).await?;
    check(sandbox.read(&path).await? == bytes, "the parts do not make the whole")?;
    equal("what is left", &names(&*sandbox, &folder).await?, &vec![OsString::from("file")])?;
    let odd = WriteOptions {
        resume: Some(Resume { key: "../x".to_owned(), offset: 0 }),
        ..WriteOptions::mode(0o600)
    };
    refused(sandbox.write_file(&path, odd, reader("x")).await, &[ErrorKind::TransferFailed]).map(drop)
}

/// Drops a copy when it has got some way, does it again, and says where the second one began.
async fn interrupted(sandbox: &dyn Sandbox, here: &Path, inside: &Path, into: bool) -> CaseResult<u64> {
    let reached = tokio::sync::Notify::new();
    let progress = |progress: CopyProgress| {
        if progress.bytes > 24 << 20 {
            reached.notify_one();
        }
    };
    tokio::select! {
        done = copied(sandbox, here, inside, into, &progress) => {
            check(false, format!("it was too fast to be interrupted: {done:?}"))?;
        }
        () = reached.notified() => {}
    }
    let first = AtomicU64::new(u64::MAX);
    let progress = |progress: CopyProgress| {
        first.fetch_min(progress.bytes, Ordering::Relaxed);
    };
    equal("bytes", &copied(sandbox, here, inside, into, &progress).await?.bytes, &(LARGE as u64))?;
    Ok(first.load(Ordering::Relaxed))
}

async fn copied(
    sandbox: &dyn Sandbox,
    here: &Path,
    inside: &Path,
    into: bool,
    progress: &(dyn Fn(CopyProgress) + Send + Sync),
) -> oh_runtime::Result<oh_runtime::CopyReport> {
    if into {
        sandbox.copy_to(here, inside, progress).await
    } else {
        sandbox.copy_from(inside, here, progress).await
    }
}

async fn a_large_file_goes_on_where_it_broke_off(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let host = host()?;
    let (source, inside) = (host.path().join("source"), folder.join("file"));
    let bytes = noise(33, LARGE);
    fs::write(&source, &bytes)?;
    let began = interrupted(&*sandbox, &source, &inside, true).await?;
    check(began > 8 << 20, format!("the second attempt into the sandbox began at {began}"))?;
    let sum = script(&*sandbox, format!("sha256sum < {}", inside.display())).await?;
    equal("the file inside", &sum, &format!("{}  -\n", sha256(&bytes)))?;
    equal("what is inside", &names(&*sandbox, &folder).await?, &vec![OsString::from("file")])?;
    let back = host.path().join("back");
    let began = interrupted(&*sandbox, &back, &inside, false).await?;
    check(began > 8 << 20, format!("the second attempt out of the sandbox began at {began}"))?;
    check(fs::read(&back)? == bytes, "what came back is something else")?;
    equal("the time", &fs::metadata(&back)?.modified()?, &fs::metadata(&source)?.modified()?)?;
    equal("files here", &fs::read_dir(host.path())?.count(), &2)
}

async fn a_large_file_is_copied_twice_at_once(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let host = host()?;
    let (source, inside, back) = (host.path().join("source"), folder.join("file"), host.path().join("back"));
    let bytes = noise(34, LARGE);
    fs::write(&source, &bytes)?;
    for (here, into) in [(&source, true), (&back, false)] {
        let copy = || copied(&*sandbox, here, &inside, into, &|_| ());
        let (one, other) = tokio::join!(copy(), copy());
        equal("bytes", &[one?.bytes, other?.bytes], &[LARGE as u64; 2])?;
    }
    check(fs::read(&back)? == bytes, "what came back is something else")?;
    equal("what is inside", &names(&*sandbox, &folder).await?, &vec![OsString::from("file")])?;
    equal("files here", &fs::read_dir(host.path())?.count(), &2)
}

async fn patterns_choose_what_is_copied(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let host = host()?;
    let tree = host.path().join("tree");
    for name in ["a.py", "b.pyc", "src/c.py", "src/.git/config", "src/deep/d.txt", "docs/e.md", "f.txt"] {
        let path = tree.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&tree))?;
        fs::write(path, name)?;
    }
    let of = |include: &[&str], exclude: &[&str]| {
        let owned = |list: &[&str]| list.iter().map(|&pattern| pattern.to_owned()).collect();
        let wanted = Selection { include: owned(include), exclude: owned(exclude) };
        CopyOptions { wanted, ..CopyOptions::default() }
    };
    let found = "find . -mindepth 1 | sort | tr '\\n' ' '";
    for (options, wanted) in [
        (
            of(&[], &[".git", "*.pyc", "/docs"]),
            "./a.py ./f.txt ./src ./src/c.py ./src/deep ./src/deep/d.txt ",
        ),
        (of(&["*.py"], &[]), "./a.py ./src ./src/c.py "),
        (of(&["src"], &["deep/*", ".git/"]), "./src ./src/c.py ./src/deep ./src/deep/d.txt "),
        (of(&["src/**"], &["src/deep"]), "./src ./src/.git ./src/.git/config ./src/c.py "),
    ] {
        let (inside, back) = (folder.join("tree"), host.path().join("back"));
        sandbox.copy_to_with(&tree, &inside, &options, &|_| ()).await?;
        equal(
            "inside",
            &succeeds(&*sandbox, CommandSpec::shell(found).cwd(&inside)).await?.as_str(),
            &wanted,
        )?;
        sandbox.remove(&inside).await?;
        sandbox.copy_to(&tree, &inside, &|_| ()).await?;
        sandbox.copy_from_with(&inside, &back, &options, &|_| ()).await?;
        let seen = std::process::Command::new("sh").args(["-c", found]).current_dir(&back).output()?.stdout;
        equal("back", &String::from_utf8_lossy(&seen).as_ref(), &wanted)?;
        sandbox.remove(&inside).await?;
        fs::remove_dir_all(&back)?;
    }
    let bad = of(&[], &["../x"]);
    refused(sandbox.copy_to_with(&tree, &folder.join("x"), &bad, &|_| ()).await, &[ErrorKind::Config])
        .map(drop)
}

async fn a_copy_belongs_to_whom_one_says(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let host = host()?;
    let tree = host.path().join("tree");
    fs::create_dir(&tree)?;
    fs::write(tree.join("file"), "x")?;
    std::os::unix::fs::symlink("file", tree.join("link"))?;
    let of = |owner| CopyOptions { owner, ..CopyOptions::default() };
    let named = of(Owner::Named("nobody:4321".to_owned()));
    sandbox.copy_to_with(&tree, &folder.join("tree"), &named, &|_| ()).await?;
    let owners = CommandSpec::shell("stat -c '%u:%g' tree tree/file tree/link").cwd(&folder);
    equal("owners", &succeeds(&*sandbox, owners).await?, &"65534:4321\n65534:4321\n65534:4321\n")?;
    sandbox
        .copy_from_with(&folder.join("tree"), &host.path().join("back"), &of(Owner::Same), &|_| ())
        .await?;
    let back = fs::metadata(host.path().join("back/file"))?;
    use std::os::unix::fs::MetadataExt;
    equal("owner here", &(back.uid(), back.gid()), &(65534, 4321))?;
    let nobody = of(Owner::Named("no-such-user".to_owned()));
    let error = refused(
        sandbox.copy_to_with(&tree, &folder.join("x"), &nobody, &|_| ()).await,
        &[ErrorKind::TransferFailed],
    )?;
    check(error.to_string().contains("no-such-user"), format!("it does not name the user: {error}"))?;
    let out = sandbox.copy_from_with(&folder.join("tree"), &host.path().join("y"), &named, &|_| ()).await;
    refused(out, &[ErrorKind::Config]).map(drop)
}

async fn a_broken_copy_leaves_no_half_file(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    script(
        &*sandbox,
        format!(
            "mkdir {0}/tree; echo new >{0}/tree/file; yes | head -c 100000 >>{0}/tree/file",
            folder.display()
        ),
    )
    .await?;
    let whole = read_all(Some(sandbox.pack(&folder.join("tree"), &Selection::default()).await?)).await?;
    sandbox.write(&folder.join("tree/file"), b"old".to_vec(), 0o644).await?;
    let cut = breaking_reader(&whole[..whole.len() / 2]);
    check(soon("unpacking", sandbox.unpack(&folder, &Owner::Receiver, cut)).await?.is_err(), "it was whole")?;
    equal("content", &sandbox.read(&folder.join("tree/file")).await?, &b"old".to_vec())?;
    equal("names", &names(&*sandbox, &folder.join("tree")).await?, &vec![OsString::from("file")])
}

async fn a_link_in_the_way_is_not_followed(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let host = host()?;
    fs::create_dir_all(host.path().join("tree/sub"))?;
    fs::write(host.path().join("tree/sub/file"), "new")?;
    let make = "mkdir -p tree outside; echo keep >outside/file; ln -s ../outside tree/sub";
    succeeds(&*sandbox, CommandSpec::shell(make).cwd(&folder)).await?;
    let copied = sandbox.copy_to(&host.path().join("tree"), &folder, &|_| ()).await;
    let kinds = &[ErrorKind::TransferFailed, ErrorKind::TransferUnsafe, ErrorKind::TransferNotFound];
    let error = refused(copied, kinds)?;
    check(error.to_string().contains("sub"), format!("it does not name the path: {error}"))?;
    equal("outside", &sandbox.read(&folder.join("outside/file")).await?, &b"keep\n".to_vec())
}
