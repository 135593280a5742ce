//! Copying files and trees in and out.

use std::fs;
use std::path::{Path, PathBuf};

use oh_runtime::{CommandSpec, ErrorKind, Owner, Sandbox, SandboxExt, Selection};

use crate::case::{Case, case};
use crate::context::Context;
use crate::data::{noise, reader, sha256};
use crate::failure::{CaseResult, check, equal, none, refused};
use crate::probe::{read_all, script, soon, succeeds};
use crate::tree;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(a_tree_comes_back_as_it_went),
        case!(a_tree_is_the_same_inside),
        case!(two_thousand_small_files_come_back).seconds(120),
        case!(a_deep_path_comes_back),
        case!(a_file_takes_the_name_asked_for),
        case!(a_tree_takes_the_name_asked_for),
        case!(what_is_copied_to_a_folder_goes_inside),
        case!(copying_again_replaces_files),
        case!(what_is_missing_is_not_found),
        case!(hard_links_come_back_as_files),
        case!(a_pipe_in_a_tree_holds_nothing_up),
        case!(a_broken_archive_is_an_error),
        case!(a_copy_that_fails_says_which_file),
    ]
}

/// A folder of this machine, removed when dropped.
fn host() -> CaseResult<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("oh-e2e-").tempdir()?)
}

async fn copy_to(sandbox: &dyn Sandbox, from: &Path, to: &Path) -> oh_runtime::Result<()> {
    sandbox.copy_to(from, to, &|_| {}).await.map(drop)
}

async fn copy_from(sandbox: &dyn Sandbox, from: &Path, to: &Path) -> oh_runtime::Result<()> {
    sandbox.copy_from(from, to, &|_| {}).await.map(drop)
}

fn same(wanted: &Path, got: &Path) -> CaseResult {
    none(&tree::differences(&tree::snapshot(wanted)?, &tree::snapshot(got)?))
}

async fn a_tree_comes_back_as_it_went(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let host = host()?;
    tree::make(&host.path().join("tree"))?;
    copy_to(&*sandbox, &host.path().join("tree"), &folder.join("there")).await?;
    copy_from(&*sandbox, &folder.join("there"), &host.path().join("back")).await?;
    same(&host.path().join("tree"), &host.path().join("back"))
}

async fn a_tree_is_the_same_inside(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let host = host()?;
    tree::make(&host.path().join("tree"))?;
    copy_to(&*sandbox, &host.path().join("tree"), &folder.join("tree")).await?;
    let tree = folder.join("tree");
    let inside = |text: &str| CommandSpec::shell(text).cwd(&tree);
    let sum = succeeds(&*sandbox, inside("sha256sum <sub/large")).await?;
    equal("sha256", &sum, &format!("{}  -\n", sha256(&noise(8, 700_001))))?;
    let facts =
        "stat -c '%F %a' run.sh empty 'empty folder' link dangling; readlink link dangling 'sub/link up'";
    let wanted = "regular file 755\nregular empty file 600\ndirectory 700\nsymbolic link 777\nsymbolic link 777\n\
                  plain\nnowhere\n../plain\n";
    equal("kinds, modes, targets", &succeeds(&*sandbox, inside(facts)).await?, &wanted)?;
    let output = sandbox.run(CommandSpec::new(["./run.sh"]).cwd(&tree)).await?;
    equal("end", &output.finished.end, &oh_runtime::End::Exited(7))?;
    equal("time", &succeeds(&*sandbox, inside("stat -c %Y plain")).await?, &"1000000000\n")
}

async fn two_thousand_small_files_come_back(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let host = host()?;
    let tree = host.path().join("tree");
    for number in 0..2000 {
        let sub = tree.join(format!("{:02}", number % 40));
        fs::create_dir_all(&sub)?;
        fs::write(sub.join(number.to_string()), number.to_string())?;
    }
    copy_to(&*sandbox, &tree, &folder.join("tree")).await?;
    let count = format!("find {}/tree -type f | wc -l", folder.display());
    equal("files inside", &script(&*sandbox, count).await?, &"2000\n")?;
    copy_from(&*sandbox, &folder.join("tree"), &host.path().join("back")).await?;
    same(&tree, &host.path().join("back"))
}

async fn a_deep_path_comes_back(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let host = host()?;
    let tree = host.path().join("tree");
    let deep: PathBuf =
        std::iter::repeat_n("a-folder-with-a-rather-long-name-of-fifty-characters", 50).collect();
    fs::create_dir_all(tree.join(&deep))?;
    fs::write(tree.join(&deep).join("file"), "deep")?;
    copy_to(&*sandbox, &tree, &folder.join("tree")).await?;
    let inside = sandbox.read(&folder.join("tree").join(&deep).join("file")).await?;
    equal("content inside", &inside, &b"deep".to_vec())?;
    copy_from(&*sandbox, &folder.join("tree"), &host.path().join("back")).await?;
    same(&tree, &host.path().join("back"))
}

async fn a_file_takes_the_name_asked_for(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let host = host()?;
    fs::write(host.path().join("file"), "content")?;
    copy_to(&*sandbox, &host.path().join("file"), &folder.join("renamed")).await?;
    equal("content inside", &sandbox.read(&folder.join("renamed")).await?, &b"content".to_vec())?;
    copy_from(&*sandbox, &folder.join("renamed"), &host.path().join("back")).await?;
    same(&host.path().join("file"), &host.path().join("back"))
}

async fn a_tree_takes_the_name_asked_for(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let host = host()?;
    fs::create_dir_all(host.path().join("tree/sub"))?;
    fs::write(host.path().join("tree/sub/file"), "content")?;
    copy_to(&*sandbox, &host.path().join("tree"), &folder.join("renamed")).await?;
    let names: Vec<_> = sandbox.list(&folder).await?.into_iter().map(|entry| entry.name).collect();
    equal("what is there", &names, &vec!["renamed"])?;
    equal("content inside", &sandbox.read(&folder.join("renamed/sub/file")).await?, &b"content".to_vec())?;
    copy_from(&*sandbox, &folder.join("renamed"), &host.path().join("back")).await?;
    same(&host.path().join("tree"), &host.path().join("back"))
}

async fn what_is_copied_to_a_folder_goes_inside(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let host = host()?;
    fs::create_dir_all(host.path().join("tree"))?;
    fs::write(host.path().join("tree/file"), "content")?;
    for source in ["tree", "tree/file"] {
        copy_to(&*sandbox, &host.path().join(source), &folder).await?;
    }
    let names: Vec<_> = sandbox.list(&folder).await?.into_iter().map(|entry| entry.name).collect();
    equal("what is there", &names, &vec!["file", "tree"])?;
    fs::create_dir(host.path().join("back"))?;
    for source in ["tree", "file"] {
        copy_from(&*sandbox, &folder.join(source), &host.path().join("back")).await?;
    }
    same(&host.path().join("tree"), &host.path().join("back/tree"))?;
    same(&host.path().join("tree/file"), &host.path().join("back/file"))
}

async fn copying_again_replaces_files(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let host = host()?;
    for content in ["old and longer", "new"] {
        fs::write(host.path().join("file"), content)?;
        copy_to(&*sandbox, &host.path().join("file"), &folder.join("file")).await?;
        equal("content inside", &sandbox.read(&folder.join("file")).await?, &content.as_bytes())?;
        copy_from(&*sandbox, &folder.join("file"), &host.path().join("back")).await?;
        same(&host.path().join("file"), &host.path().join("back"))?;
    }
    Ok(())
}

async fn what_is_missing_is_not_found(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let host = host()?;
    let kinds = &[ErrorKind::TransferNotFound];
    refused(copy_to(&*sandbox, &host.path().join("missing"), &folder.join("x")).await, kinds)?;
    refused(copy_from(&*sandbox, &folder.join("missing"), &host.path().join("x")).await, kinds)?;
    check(!host.path().join("x").exists(), "something was made here all the same")?;
    check(sandbox.list(&folder).await?.is_empty(), "something was made there all the same")
}

async fn hard_links_come_back_as_files(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let host = host()?;
    let make = "mkdir tree && echo content >tree/one && ln tree/one tree/two";
    succeeds(&*sandbox, CommandSpec::shell(make).cwd(&folder)).await?;
    copy_from(&*sandbox, &folder.join("tree"), &host.path().join("back")).await?;
    for name in ["one", "two"] {
        equal(name, &fs::read(host.path().join("back").join(name))?, &b"content\n".to_vec())?;
    }
    Ok(())
}

async fn a_pipe_in_a_tree_holds_nothing_up(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let host = host()?;
    let make = "mkdir tree && mkfifo tree/pipe && echo content >tree/zfile";
    succeeds(&*sandbox, CommandSpec::shell(make).cwd(&folder)).await?;
    let back = host.path().join("back");
    match soon("the copy", copy_from(&*sandbox, &folder.join("tree"), &back)).await? {
        // Left out, or refused: but never half a copy that is said to be a whole one.
        Ok(()) => equal("the file", &fs::read(back.join("zfile"))?, &b"content\n".to_vec()),
        Err(error) => {
            refused::<()>(Err(error), &[ErrorKind::TransferUnsafe, ErrorKind::TransferFailed]).map(drop)
        }
    }
}

async fn a_broken_archive_is_an_error(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    script(
        &*sandbox,
        format!("mkdir {0}/tree && head -c 100000 /dev/urandom >{0}/tree/file", folder.display()),
    )
    .await?;
    let whole = read_all(Some(sandbox.pack(&folder.join("tree"), &Selection::default()).await?)).await?;
    let cut = &whole[..whole.len() / 2];
    for broken in [cut, &noise(9, 10_000), b"no archive at all"] {
        let result =
            soon("unpacking", sandbox.unpack(&folder.join("to"), &Owner::Receiver, reader(broken))).await?;
        refused(result, &[ErrorKind::TransferFailed, ErrorKind::TransferUnsafe])?;
    }
    let count = sandbox.unpack(&folder.join("to"), &Owner::Receiver, reader(whole)).await?;
    equal("entries", &count, &2)
}

async fn a_copy_that_fails_says_which_file(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let host = host()?;
    fs::write(host.path().join("file"), "content")?;
    let kinds = &[ErrorKind::TransferDenied, ErrorKind::TransferFailed];
    let error =
        refused(copy_to(&*sandbox, &host.path().join("file"), Path::new("/sys/oh-e2e")).await, kinds)?;
    check(error.to_string().contains("/sys"), format!("it does not name the path: {error}"))
}
