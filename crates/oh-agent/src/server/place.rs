//! Putting this executable where the sandbox finds it: what an init container of an image that holds the agent runs.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::digest;

/// The volume that the sandbox mounts, which cannot be written to there.
const FOLDER: &str = "/.oh";
const NAME: &str = "oh-agent";
/// Readable and executable for everybody, writable for nobody.
const MODE: u32 = 0o555;

/// Copies this executable, or makes a link to it.
///
/// # Errors
/// In words, when its SHA-256 is not `wanted`, or it cannot be put there.
pub fn place(how: &str, wanted: &str) -> Result<(), String> {
    place_in(Path::new(FOLDER), how, wanted)
}

fn place_in(folder: &Path, how: &str, wanted: &str) -> Result<(), String> {
    let own = std::env::current_exe().map_err(|e| format!("it is not known where this program lies: {e}"))?;
    let is = hex_digest(&own).map_err(|e| format!("{} cannot be read: {e}", own.display()))?;
    if is != wanted {
        return Err(format!("{} is another agent: its SHA-256 is {is}, not {wanted}", own.display()));
    }
    let (target, part) = (folder.join(NAME), folder.join("part"));
    // What an attempt before left.
    let _ = fs::remove_file(&part);
    let placed = match how {
        "copy" => {
            fs::copy(&own, &part).and_then(|_| fs::set_permissions(&part, Permissions::from_mode(MODE)))
        }
        _ => symlink(&own, &part),
    };
    placed
        .and_then(|()| fs::rename(&part, &target))
        .map_err(|e| format!("{} cannot be made: {e}", target.display()))
}

fn hex_digest(path: &Path) -> io::Result<String> {
    let (_, digest) = digest::of(File::open(path)?)?;
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_copied_or_linked_when_it_is_the_wanted_one() {
        let folder = std::env::temp_dir().join(format!("oh-place-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        let wanted = hex_digest(&std::env::current_exe().unwrap()).unwrap();
        for how in ["copy", "link", "copy"] {
            place_in(&folder, how, &wanted).unwrap();
            let placed = folder.join(NAME);
            assert_eq!(fs::read(&placed).unwrap(), own);
            assert_eq!(placed.is_symlink(), how == "link");
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "something is left");
        }
        assert_eq!(fs::metadata(folder.join(NAME)).unwrap().permissions().mode() & 0o777, MODE);
        let refused = place_in(&folder, "copy", "0123").unwrap_err();
        assert!(refused.contains("another agent") && refused.contains(&wanted), "{refused}");
        fs::remove_dir_all(folder).unwrap();
    }
}
