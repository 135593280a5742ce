//! The static agent, and the loader that unpacks it where only small files can be delivered.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::cmd::Cmd;
use crate::{paths, ui};

/// It goes into every sandbox, and half of this has to fit into a Kubernetes ConfigMap.
const MAX_BYTES: usize = 2_000_000;

/// What Kubernetes keeps in a ConfigMap, the packed agent and the loader; it takes 1 MiB with all its metadata.
const MAX_KEPT_BYTES: usize = 900 * 1024;
/// It lies beside the packed agent in the ConfigMap.
const MAX_LOADER_BYTES: usize = 32_000;
/// It has no standard library, so nothing of the C library's start either.
const LOADER_LINK: [&str; 10] = [
    "-C",
    "link-arg=-nostartfiles",
    "-C",
    "link-arg=-nostdlib",
    "-C",
    "link-arg=-static",
    "-C",
    "link-arg=-no-pie",
    "-C",
    "relocation-model=static",
];

/// Builds both for this machine's architecture and returns where the agent lies; the loader is beside it.
pub(crate) fn build() -> Result<PathBuf> {
    ui::step("Agent: static binaries", || {
        let target = paths::target()?;
        let folders = ["debug", "release"].map(|profile| target.join(profile));
        build_in("server", &folders)
    })
}

/// The same with an agent that does again what it is sent again. No program finds it by itself.
pub(crate) fn build_without_deduplication() -> Result<PathBuf> {
    ui::step("Agent without deduplication", || {
        let folder = paths::target()?.join("without-deduplication");
        build_in("server,without-deduplication", &[folder])
    })
}

fn build_in(features: &str, folders: &[PathBuf]) -> Result<PathBuf> {
    let agent = binary("oh-agent", features, &[], MAX_BYTES, folders)?;
    let loader = binary("oh-loader", "server,loader", &LOADER_LINK, MAX_LOADER_BYTES, folders)?;
    let kept = packed(&std::fs::read(&agent)?)? + std::fs::read(&loader)?.len();
    ui::note(format!("packed, with the loader: {kept} bytes"));
    ensure!(
        kept <= MAX_KEPT_BYTES,
        "the packed agent and the loader have {kept} bytes, {MAX_KEPT_BYTES} are allowed in a ConfigMap"
    );
    Ok(agent)
}

/// How many bytes it is as the Kubernetes backend packs it.
fn packed(bytes: &[u8]) -> Result<usize> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len())
}

/// Builds one and places it in all `folders`. Returns where it lies in the first.
fn binary(name: &str, features: &str, link: &[&str], max: usize, folders: &[PathBuf]) -> Result<PathBuf> {
    let arch = std::env::consts::ARCH;
    let triple = format!("{arch}-unknown-linux-gnu");
    // With --target the flags reach the agent alone, not build scripts nor the other binaries' artefacts.
    let words =
        ["cargo", "rustc", "-p", "oh-agent", "--bin", name, "--no-default-features", "--features", features];
    let rest = ["--profile", "agent", "--target", &triple, "--"];
    Cmd::new(&[&words[..], &rest[..], link].concat())
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .dir(paths::root())
        .run()?;
    let target = paths::target()?;
    let built = target.join(&triple).join("agent").join(name);
    let bytes = std::fs::read(&built).with_context(|| format!("failed to read {}", built.display()))?;
    ensure!(
        is_static(&bytes)?,
        "{} needs a dynamic loader: no image can be relied on to have one",
        built.display()
    );
    ensure!(bytes.len() < max, "{name} has {} bytes, {max} are allowed", bytes.len());
    let placed_name = format!("{name}-{arch}");
    for folder in folders {
        place(&bytes, folder, &placed_name)?;
    }
    let placed = folders.first().context("no folder to place it in")?.join(&placed_name);
    ui::note(format!("{}: {} bytes, static", placed.display(), bytes.len()));
    Ok(placed)
}

/// Writes an executable, whole or not at all: an evaluation may be reading the old one.
fn place(bytes: &[u8], folder: &Path, name: &str) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(name);
    if std::fs::read(&path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let write = || -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o755))?;
        file.persist(&path)?;
        Ok(())
    };
    write().with_context(|| format!("failed to write {}", path.display()))
}

/// Whether a 64-bit little-endian ELF file names no program interpreter.
fn is_static(elf: &[u8]) -> Result<bool> {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, size: usize| -> Result<u64> {
        let bytes = elf.get(at..at + size).context("the agent's ELF header is cut short")?;
        Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    if elf.get(..6) != Some(b"\x7fELF\x02\x01") {
        bail!("the agent is no 64-bit little-endian ELF file");
    }
    let (table, size, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
    for index in 0..count {
        let at = usize::try_from(table.saturating_add(index * size))?;
        if number(at, 4)? == PT_INTERP {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::is_static;

    /// An ELF header with one program header of type `kind`.
    fn elf(kind: u8) -> Vec<u8> {
        let mut bytes = vec![0; 0x40 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[0x20] = 0x40;
        bytes[0x36] = 56;
        bytes[0x38] = 1;
        bytes[0x40] = kind;
        bytes
    }

    #[test]
    fn an_interpreter_makes_it_dynamic() {
        assert!(is_static(&elf(1)).unwrap());
        assert!(!is_static(&elf(3)).unwrap());
    }

    #[test]
    fn damaged_files_are_errors() {
        assert!(is_static(b"#!/bin/sh").is_err());
        let mut cut = elf(1);
        cut.truncate(0x40);
        assert!(is_static(&cut).is_err());
    }
}
