//! Ending and removing.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use oh_runtime_api::{DeleteReport, Incarnation, Result};
use tokio::process::Command;

use crate::instance::{self, Instance};
use crate::process::Process;

const MAKING: &str = ".making";
const GONE: &str = ".gone";

/// A name for a folder that is no sandbox yet.
pub(crate) fn making(state_dir: &Path, own: Process, uid: &str) -> PathBuf {
    temporary(state_dir, MAKING, own, uid)
}

/// A name that says whose folder it is, so that anybody can tell when nobody works on it any more.
fn temporary(state_dir: &Path, what: &str, own: Process, uid: &str) -> PathBuf {
    state_dir.join(format!("{what}-{}-{}-{uid}", own.pid, own.started()))
}

/// Whose folder it is; `None` for what is no temporary folder.
fn maker(name: &str) -> Option<Process> {
    let mut parts = name.split('-');
    if !matches!(parts.next()?, MAKING | GONE) {
        return None;
    }
    Some(Process::known(parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Ends and removes the sandbox `id`, and no other of its name.
pub(crate) async fn delete(state_dir: &Path, id: &Incarnation, operation: &str) -> Result<DeleteReport> {
    let failed =
        |error: io::Error| instance::unreadable(&state_dir.join(id.name.as_str()), &error, operation);
    let instance = Instance::of(state_dir, &id.name);
    let Some(meta) = instance.meta().map_err(failed)?.filter(|meta| meta.uid == id.uid) else {
        return Ok(DeleteReport::AlreadyGone);
    };
    meta.agent.end().await.map_err(failed)?;
    // While it still has its name, so that it can be found again.
    check_mounts(&instance.path).map_err(failed)?;
    let (state_dir, uid) = (state_dir.to_owned(), id.uid.clone());
    let moved = tokio::task::spawn_blocking(move || set_aside(&state_dir, &instance, &uid)).await;
    match moved.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)? {
        Some(path) => remove_tree(&path).await.map(|()| DeleteReport::Deleted).map_err(failed),
        None => Ok(DeleteReport::AlreadyGone),
    }
}

/// Frees the name of a sandbox. `None` when it is not there any more.
fn set_aside(state_dir: &Path, instance: &Instance, uid: &str) -> io::Result<Option<PathBuf>> {
    // Otherwise another one could get the name between looking and moving.
    let lock = File::options().write(true).create(true).truncate(false).open(state_dir.join(".lock"))?;
    lock.lock()?;
    if instance.meta()?.is_none_or(|meta| meta.uid != uid) {
        return Ok(None);
    }
    let path = temporary(state_dir, GONE, Process::own()?, uid);
    fs::rename(&instance.path, &path)?;
    Ok(Some(path))
}

/// Removes what makers and removers left that do not live any more.
pub(crate) async fn sweep(state_dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(state_dir)? {
        let entry = entry?;
        if entry.file_name().to_str().and_then(maker).is_none_or(Process::is_alive) {
            continue;
        }
        let instance = Instance { path: entry.path() };
        if let Some(meta) = instance.meta()? {
            meta.agent.end().await?;
        }
        remove_tree(&instance.path).await?;
    }
    Ok(())
}

/// Removes a folder, unless something is mounted in it.
pub(crate) async fn remove_tree(path: &Path) -> io::Result<()> {
    check_mounts(path)?;
    // coreutils go down any depth, which is the sandbox's to choose, without running out of stack.
    let (_, status) = run("rm", &["-rf", "--one-file-system"], path).await?;
    if status.success() {
        return Ok(());
    }
    // Folders nobody may write to, which the owner of them can change.
    run("chmod", &["-R", "u+rwX"], path).await?;
    match run("rm", &["-rf", "--one-file-system"], path).await? {
        (_, status) if status.success() => Ok(()),
        (said, _) => Err(io::Error::other(said)),
    }
}

/// Whether nothing is mounted in a folder. What is, is somebody else's: sandboxes mount where nobody else sees it.
fn check_mounts(path: &Path) -> io::Result<()> {
    let path = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        path => path?,
    };
    match mount_points(&fs::read("/proc/self/mountinfo")?).find(|mount| mount.starts_with(&path)) {
        Some(mount) => {
            Err(io::Error::other(format!("{} is mounted in it: unmount that first", mount.display())))
        }
        None => Ok(()),
    }
}

/// Runs a program on a path. Returns the first line of what it says in complaint.
async fn run(program: &str, options: &[&str], path: &Path) -> io::Result<(String, ExitStatus)> {
    let mut command = Command::new(program);
    command.args(options).arg("--").arg(path).env("LC_ALL", "C").stdin(Stdio::null());
    let output = command.output().await?;
    let said = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
    Ok((said, output.status))
}

/// Field 5 of each line of proc_pid_mountinfo(5), where spaces and the like are written as three octal digits.
fn mount_points(mountinfo: &[u8]) -> impl Iterator<Item = PathBuf> {
    mountinfo.split(|byte| *byte == b'\n').filter_map(|line| {
        let field = line.split(|byte| *byte == b' ').nth(4)?;
        let mut parts = field.split(|byte| *byte == b'\\');
        let mut path = parts.next()?.to_vec();
        for part in parts {
            let (digits, rest) = part.split_at_checked(3)?;
            path.push(u8::from_str_radix(OsStr::from_bytes(digits).to_str()?, 8).ok()?);
            path.extend(rest);
        }
        Some(OsString::from_vec(path).into())
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn mount_points_are_read_with_odd_names() {
        let text = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw\n37 35 0:1 / /with\\040space\\134x rw - t t rw\n";
        let found: Vec<_> = mount_points(text).collect();
        assert_eq!(found, [PathBuf::from("/mnt2"), PathBuf::from("/with space\\x")]);
    }

    #[test]
    fn only_temporary_folders_have_a_maker() {
        let own = Process::own().unwrap();
        let path = making(Path::new("/state"), own, "0123");
        assert_eq!(maker(path.file_name().unwrap().to_str().unwrap()), Some(own));
        for name in ["box", "box-1-2-3", ".lock", ".making", ".making-x-1-2", ".makingx-1-2-3"] {
            assert_eq!(maker(name), None, "{name}");
        }
    }

    #[tokio::test]
    async fn trees_are_removed_whatever_their_modes_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, outside) = (folder.path().join("tree"), folder.path().join("outside"));
        fs::create_dir_all(tree.join("closed/inner")).unwrap();
        fs::write(tree.join("closed/inner/file"), "").unwrap();
        fs::write(&outside, "kept").unwrap();
        symlink(&outside, tree.join("closed/link")).unwrap();
        fs::set_permissions(tree.join("closed/inner"), fs::Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(tree.join("closed"), fs::Permissions::from_mode(0o500)).unwrap();
        remove_tree(&tree).await.unwrap();
        assert!(!tree.exists());
        assert_eq!(fs::read_to_string(&outside).unwrap(), "kept");
        remove_tree(&tree).await.unwrap();
    }

    #[tokio::test]
    async fn what_dead_makers_left_is_swept_and_nothing_else() {
        let state = tempfile::tempdir().unwrap();
        let own = Process::own().unwrap();
        let dead = Process::known(own.pid, own.started() + 1);
        let left = [making(state.path(), dead, "a"), temporary(state.path(), GONE, dead, "b")];
        let kept = [making(state.path(), own, "c"), state.path().join("box"), state.path().join(".other")];
        for path in left.iter().chain(&kept) {
            fs::create_dir_all(path.join("root")).unwrap();
        }
        sweep(state.path()).await.unwrap();
        assert!(left.iter().all(|path| !path.exists()), "{left:?}");
        assert!(kept.iter().all(|path| path.exists()), "{kept:?}");
    }
}
