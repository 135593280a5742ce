//! Reading, writing and listing single files.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use oh_runtime::{CommandSpec, EntryKind, ErrorKind, SandboxExt, WriteOptions};
use tokio::io::AsyncReadExt;

use crate::case::{Case, case};
use crate::context::Context;
use crate::data::{breaking_reader, noise, reader, sha256};
use crate::failure::{CaseResult, check, equal, refused};
use crate::probe::{read_all, script, soon, succeeds};

const LARGE: usize = 20 << 20;
/// What a path that is no file where one is needed may be called.
const NOT_A_FILE: &[ErrorKind] = &[ErrorKind::TransferFailed, ErrorKind::TransferDenied];
const MISSING: &[ErrorKind] = &[ErrorKind::TransferNotFound];
const DENIED: &[ErrorKind] = &[ErrorKind::TransferDenied];

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(what_is_written_is_read),
        case!(twenty_mebibytes_are_read_and_written),
        case!(a_part_can_be_read),
        case!(odd_names_work),
        case!(a_name_of_255_bytes_works),
        case!(relative_paths_start_at_the_root),
        case!(what_is_missing_is_not_found),
        case!(a_folder_is_no_file),
        case!(a_file_is_no_folder),
        case!(a_pipe_or_device_is_refused_not_waited_for),
        case!(files_of_the_kernel_can_be_read),
        case!(where_nothing_may_be_written_is_denied),
        case!(a_list_is_sorted_and_tells_kinds_and_sizes),
        case!(a_list_of_many_entries_is_complete),
        case!(modes_are_kept),
        case!(a_link_is_followed),
        case!(a_failed_write_leaves_the_old_content),
        case!(a_reader_sees_old_or_new_content_only),
        case!(an_abandoned_read_leaves_the_rest_working),
    ]
}

async fn what_is_written_is_read(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let path = folder.join("file");
    let contents = [b"".to_vec(), b"x".to_vec(), b"no newline".to_vec(), (0..=255).collect()];
    for content in contents {
        equal(
            "bytes written",
            &sandbox.write(&path, content.clone(), 0o644).await?,
            &(content.len() as u64),
        )?;
        equal("content", &sandbox.read(&path).await?, &content)?;
    }
    Ok(())
}

async fn twenty_mebibytes_are_read_and_written(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let path = folder.join("large");
    let bytes = noise(20, LARGE);
    let hash = sha256(&bytes);
    equal(
        "bytes written",
        &sandbox.write_file(&path, WriteOptions::mode(0o644), reader(bytes)).await?,
        &(LARGE as u64),
    )?;
    let sum = succeeds(&*sandbox, CommandSpec::new(["sha256sum", "large"]).cwd(&folder)).await?;
    equal("sha256 in the sandbox", &sum, &format!("{hash}  large\n"))?;
    let back = read_all(Some(sandbox.read_file(&path, 0, None).await?)).await?;
    equal("sha256 of what is read", &sha256(&back), &hash)
}

async fn a_part_can_be_read(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let path = folder.join("file");
    let bytes = noise(3, 200_000);
    sandbox.write(&path, bytes.clone(), 0o644).await?;
    let end = bytes.len();
    for (offset, limit, wanted) in [
        (0, Some(10), 0..10),
        (0, Some(0), 0..0),
        (99_990, Some(20), 99_990..100_010),
        (199_999, None, 199_999..end),
        (199_990, Some(1000), 199_990..end),
        (200_000, None, end..end),
        (300_000, Some(5), end..end),
    ] {
        let part = read_all(Some(sandbox.read_file(&path, offset, limit).await?)).await?;
        equal(&format!("{limit:?} from {offset}"), &part, &bytes[wanted].to_vec())?;
    }
    Ok(())
}

async fn odd_names_work(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let mut names: Vec<OsString> = [
        "two words",
        " ",
        "new\nline",
        "'quotes\"",
        "back\\slash",
        "$HOME",
        "-rf",
        "*",
        "...",
        "tab\t",
        "grüße",
        "日本語",
        "🦀",
        "#",
        "C:",
        "%2e%2e",
    ]
    .map(OsString::from)
    .into();
    names.push(OsString::from_vec(b"not \xff\xfe UTF-8".to_vec()));
    names.push(OsString::from_vec(vec![1, 0x1b, b'[', b'2', b'J', 0x7f]));
    for name in &names {
        let content = name.clone().into_vec();
        sandbox.write(&folder.join(name), content.clone(), 0o644).await?;
        equal("content", &sandbox.read(&folder.join(name)).await?, &content)?;
    }
    names.sort();
    let listed: Vec<OsString> = sandbox.list(&folder).await?.into_iter().map(|entry| entry.name).collect();
    equal("names", &listed, &names)
}

async fn a_name_of_255_bytes_works(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let path = folder.join("n".repeat(255));
    sandbox.write(&path, b"long".to_vec(), 0o644).await?;
    equal("content", &sandbox.read(&path).await?, &b"long".to_vec())?;
    let over = sandbox.write(&folder.join("n".repeat(256)), b"".to_vec(), 0o644).await;
    refused(over, &[ErrorKind::TransferFailed]).map(drop)
}

async fn relative_paths_start_at_the_root(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let relative = folder.strip_prefix("/")?.join("file");
    sandbox.write(&relative, b"content".to_vec(), 0o644).await?;
    equal("content", &sandbox.read(&folder.join("file")).await?, &b"content".to_vec())
}

async fn what_is_missing_is_not_found(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let missing = folder.join("missing");
    refused(sandbox.read(&missing).await, MISSING)?;
    refused(sandbox.list(&missing).await, MISSING)?;
    refused(sandbox.read(&missing.join("deeper")).await, MISSING)?;
    refused(sandbox.write(&missing.join("file"), b"".to_vec(), 0o644).await, MISSING)?;
    check(sandbox.list(&folder).await?.is_empty(), "something was made all the same")
}

async fn a_folder_is_no_file(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    script(&*sandbox, format!("mkdir {0}/sub && touch {0}/sub/file", folder.display())).await?;
    let sub = folder.join("sub");
    refused(sandbox.read(&sub).await, NOT_A_FILE)?;
    refused(sandbox.write(&sub, b"content".to_vec(), 0o644).await, NOT_A_FILE)?;
    equal("entries left", &sandbox.list(&sub).await?.len(), &1)?;
    equal("entries beside it", &sandbox.list(&folder).await?.len(), &1)
}

async fn a_file_is_no_folder(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let file = folder.join("file");
    sandbox.write(&file, b"content".to_vec(), 0o644).await?;
    let kinds = &[ErrorKind::TransferFailed, ErrorKind::TransferNotFound];
    refused(sandbox.list(&file).await, kinds)?;
    refused(sandbox.read(&file.join("deeper")).await, kinds)?;
    refused(sandbox.write(&file.join("deeper"), b"".to_vec(), 0o644).await, kinds)?;
    equal("content", &sandbox.read(&file).await?, &b"content".to_vec())
}

async fn a_pipe_or_device_is_refused_not_waited_for(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let pipe = folder.join("pipe");
    script(&*sandbox, format!("mkfifo {}", pipe.display())).await?;
    for path in [&pipe, Path::new("/dev/zero")] {
        refused(soon("reading", sandbox.read(path)).await?, NOT_A_FILE)?;
        refused(soon("writing", sandbox.write(path, b"x".to_vec(), 0o644)).await?, NOT_A_FILE)?;
    }
    // It is still there, and still a pipe.
    script(&*sandbox, format!("test -p {} && test -c /dev/zero", pipe.display())).await.map(drop)
}

async fn files_of_the_kernel_can_be_read(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    // Their size is said to be 0.
    let version = sandbox.read(Path::new("/proc/version")).await?;
    equal(
        "content",
        &String::from_utf8_lossy(&version).into_owned(),
        &script(&*sandbox, "cat /proc/version").await?,
    )
}

async fn where_nothing_may_be_written_is_denied(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    // Nobody can make a file there, not even root.
    let error = refused(sandbox.write(Path::new("/sys/oh-e2e"), b"x".to_vec(), 0o644).await, DENIED)?;
    check(error.to_string().contains("/sys/oh-e2e"), format!("it does not name the path: {error}"))
}

async fn a_list_is_sorted_and_tells_kinds_and_sizes(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    check(sandbox.list(&folder).await?.is_empty(), "an empty folder has entries")?;
    let make = "mkdir -m 750 dir; printf 12345 >file; chmod 640 file; ln -s missing dangling; ln -s file alink; \
                mkfifo pipe; : >.hidden; : >Zebra; : >zebra; chmod 4755 Zebra";
    succeeds(&*sandbox, CommandSpec::shell(make).cwd(&folder)).await?;
    let entries = sandbox.list(&folder).await?;
    let names: Vec<String> = entries.iter().map(|entry| entry.name.to_string_lossy().into_owned()).collect();
    equal("names", &names, &vec![".hidden", "Zebra", "alink", "dangling", "dir", "file", "pipe", "zebra"])?;
    let find = |name: &str| entries.iter().find(|entry| entry.name == name);
    for (name, kind, size, mode) in [
        ("file", EntryKind::File, Some(5), Some(0o640)),
        (".hidden", EntryKind::File, Some(0), None),
        ("Zebra", EntryKind::File, Some(0), Some(0o4755)),
        ("dir", EntryKind::Directory, None, Some(0o750)),
        ("dangling", EntryKind::Symlink, None, None),
        ("alink", EntryKind::Symlink, None, None),
        ("pipe", EntryKind::Other, None, None),
    ] {
        let entry = find(name);
        equal(name, &entry.map(|entry| entry.kind), &Some(kind))?;
        if let Some(size) = size {
            equal(&format!("size of {name}"), &entry.map(|entry| entry.size), &Some(size))?;
        }
        if let Some(mode) = mode {
            equal(&format!("mode of {name}"), &entry.map(|entry| entry.mode & 0o7777), &Some(mode))?;
        }
    }
    Ok(())
}

async fn a_list_of_many_entries_is_complete(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let count = 5000;
    let make = format!("seq -f 'a-rather-long-name-to-fill-frames-%06.0f' 1 {count} | xargs touch");
    succeeds(&*sandbox, CommandSpec::shell(make).cwd(&folder)).await?;
    let entries = sandbox.list(&folder).await?;
    equal("count", &entries.len(), &count)?;
    check(entries.is_sorted_by(|a, b| a.name < b.name), "it is not sorted")
}

async fn modes_are_kept(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let path = folder.join("file");
    // The last content replaces the others: the mode is the one asked for, not the one that was there.
    for mode in [0o755, 0o600, 0o444, 0o777, 0o6711, 0o640] {
        sandbox.write(&path, b"#!/bin/sh\n".to_vec(), mode).await?;
        let got = succeeds(&*sandbox, CommandSpec::new(["stat", "-c", "%a", "file"]).cwd(&folder)).await?;
        equal("mode", &got, &format!("{mode:o}\n"))?;
    }
    Ok(())
}

async fn a_link_is_followed(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    succeeds(&*sandbox, CommandSpec::shell("printf old >file; ln -s file link").cwd(&folder)).await?;
    equal("content", &sandbox.read(&folder.join("link")).await?, &b"old".to_vec())?;
    sandbox.write(&folder.join("link"), b"new".to_vec(), 0o644).await?;
    equal("content of the target", &sandbox.read(&folder.join("file")).await?, &b"new".to_vec())?;
    script(&*sandbox, format!("test -L {}/link", folder.display())).await.map(drop)
}

async fn a_failed_write_leaves_the_old_content(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let path = folder.join("file");
    sandbox.write(&path, b"old".to_vec(), 0o640).await?;
    let failed =
        sandbox.write_file(&path, WriteOptions::mode(0o644), breaking_reader(noise(4, 1 << 20))).await;
    check(failed.is_err(), "half of a content is taken for the whole")?;
    let failed = sandbox
        .write_file(&folder.join("new"), WriteOptions::mode(0o644), breaking_reader(noise(5, 1 << 20)))
        .await;
    check(failed.is_err(), "half of a content is taken for the whole")?;
    equal("content", &sandbox.read(&path).await?, &b"old".to_vec())?;
    crate::probe::until("the temporary files to be gone", || async {
        let names: Vec<OsString> = sandbox.list(&folder).await?.into_iter().map(|entry| entry.name).collect();
        Ok(names == ["file"])
    })
    .await
}

async fn a_reader_sees_old_or_new_content_only(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let path = folder.join("file");
    let contents = [noise(6, 300_000), noise(7, 400_000)];
    sandbox.write(&path, contents[0].clone(), 0o644).await?;
    let write = async {
        for round in 0..20 {
            sandbox.write(&path, contents[round % 2].clone(), 0o644).await?;
        }
        Ok(())
    };
    let read = async {
        for _ in 0..20 {
            let content = sandbox.read(&path).await?;
            check(contents.contains(&content), format!("{} bytes of neither content", content.len()))?;
        }
        Ok(())
    };
    tokio::try_join!(write, read).map(drop)
}

async fn an_abandoned_read_leaves_the_rest_working(cx: &Context) -> CaseResult {
    let (sandbox, folder) = cx.place().await?;
    let path = folder.join("large");
    succeeds(&*sandbox, CommandSpec::shell("head -c 50000000 /dev/zero >large").cwd(&folder)).await?;
    for _ in 0..5 {
        let mut stream = sandbox.read_file(&path, 0, None).await?;
        let mut byte = [0];
        soon("the first byte", stream.read_exact(&mut byte)).await??;
        drop(stream);
    }
    equal("output", &soon("a command", script(&*sandbox, "echo fine")).await??, &"fine\n")
}
