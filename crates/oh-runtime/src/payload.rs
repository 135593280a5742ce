//! Finds the agent's executable and checks that it can run in any image.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use oh_runtime_api::{AgentPayload, Delivery, Error, ErrorKind, Result};
use sha2::{Digest, Sha256};

const HINT: &str = "run `cargo xtask agent`, or set OH_AGENT to a static oh-agent";

/// The agent, read when it is first needed: looking at sandboxes needs none.
#[derive(Debug)]
pub(crate) struct Agent {
    path: Option<PathBuf>,
    found: OnceLock<AgentPayload>,
    /// How it may be delivered, the first that works.
    ways: Vec<Delivery>,
    /// The first of them that was not found to be closed.
    open: AtomicUsize,
}

impl Agent {
    /// The file `path`, or one beside the running program.
    pub(crate) fn at(path: Option<PathBuf>, ways: Vec<Delivery>) -> Self {
        Self { path, found: OnceLock::new(), ways, open: AtomicUsize::new(0) }
    }

    /// This one.
    pub(crate) fn of(payload: AgentPayload, ways: Vec<Delivery>) -> Self {
        Self { path: None, found: OnceLock::from(payload), ways, open: AtomicUsize::new(0) }
    }

    /// It in each way it may be delivered; those come first that have not failed while a later one worked.
    ///
    /// # Errors
    /// As [`payload`](Self::payload).
    pub(crate) fn ways(&self) -> Result<impl Iterator<Item = (usize, AgentPayload)>> {
        let agent = self.payload()?;
        let ways = self.ways.iter().enumerate().skip(self.open.load(Ordering::Relaxed));
        Ok(ways.map(|(number, way)| (number, AgentPayload { delivery: way.clone(), ..agent.clone() })))
    }

    /// The way of this number worked, and those before did not.
    pub(crate) fn works(&self, number: usize) {
        self.open.store(number, Ordering::Relaxed);
    }

    pub(crate) fn payload(&self) -> Result<&AgentPayload> {
        if let Some(found) = self.found.get() {
            return Ok(found);
        }
        let path = match &self.path {
            Some(path) => path.clone(),
            None => search(&std::env::current_exe().map_err(|error| wrong(error.to_string()))?)?,
        };
        let payload = load(&path)?;
        tracing::debug!(path = %path.display(), digest = payload.digest, "found the agent");
        Ok(self.found.get_or_init(|| payload))
    }
}

/// Beside a program, or a folder above it, where the programs of a build are when a test of it runs.
fn search(program: &Path) -> Result<PathBuf> {
    let name = format!("oh-agent-{}", std::env::consts::ARCH);
    let folders: Vec<&Path> = program.ancestors().skip(1).take(2).collect();
    let found = folders.iter().map(|folder| folder.join(&name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        wrong(format!("there is no {name} in {}", folders.join(" nor in ")))
    })
}

fn load(path: &Path) -> Result<AgentPayload> {
    let bytes = std::fs::read(path)
        .map_err(|error| wrong(format!("{} cannot be read: {error}", path.display())).caused_by(error))?;
    let arch = check(&bytes).map_err(|reason| wrong(format!("{} {reason}", path.display())))?;
    let digest = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    // Beside the agent, whatever that is called: a backend that needs none is content without.
    let loader = std::fs::read(path.with_file_name(format!("oh-loader-{arch}"))).ok();
    if let Some(loader) = &loader {
        let unfit = |reason| wrong(format!("the oh-loader beside {} {reason}", path.display()));
        match check(loader).map_err(unfit)? {
            same if same == arch => {}
            other => return Err(unfit(format!("is for {other}, and the agent for {arch}"))),
        }
    }
    let (bytes, loader) = (bytes.into(), loader.map(Into::into));
    Ok(AgentPayload { bytes, digest, loader, arch: arch.to_owned(), delivery: Delivery::Upload })
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Config, "find the agent", format!("the agent is missing: {message}")).hint(HINT)
}

/// The architecture of a 64-bit little-endian ELF executable that needs no dynamic loader.
fn check(elf: &[u8]) -> Result<&'static str, String> {
    const PT_INTERP: u64 = 3;
    let cut = || "is cut short".to_owned();
    let number = |at: u64, size: u64| -> Result<u64, String> {
        let start = usize::try_from(at).map_err(|_| cut())?;
        let bytes = elf.get(start..).and_then(|rest| rest.get(..size as usize)).ok_or_else(cut)?;
        Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return Err("is no 64-bit Linux executable".to_owned());
    }
    let arch = match number(18, 2)? {
        62 => "x86_64",
        183 => "aarch64",
        other => return Err(format!("is for a machine of number {other}: x86_64 and aarch64 will do")),
    };
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        if number(table.checked_add(index * size).ok_or_else(cut)?, 4)? == PT_INTERP {
            return Err("is linked dynamically: no image can be relied on to have its loader".to_owned());
        }
    }
    Ok(arch)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An executable for `machine` with one program header of each kind.
    fn elf(machine: u16, kinds: &[u32]) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        file[32] = 64;
        file[54] = 56;
        file[56] = kinds.len() as u8;
        for kind in kinds {
            file.extend(kind.to_le_bytes());
            file.extend([0; 52]);
        }
        file
    }

    #[test]
    fn only_static_executables_will_do_and_say_for_which_machine() {
        for (file, wanted) in [
            (elf(62, &[6, 1, 1]), Ok("x86_64")),
            (elf(183, &[1]), Ok("aarch64")),
            (elf(3, &[1]), Err("is for a machine of number 3")),
            (elf(62, &[6, 3, 1]), Err("is linked dynamically")),
            (elf(62, &[1, 1])[..100].to_vec(), Err("is cut short")),
            (b"#!/bin/sh\n".to_vec(), Err("is no 64-bit Linux executable")),
            (vec![], Err("is no 64-bit Linux executable")),
        ] {
            match (check(&file), wanted) {
                (Ok(arch), Ok(wanted)) if arch == wanted => {}
                (Err(reason), Err(wanted)) if reason.starts_with(wanted) => {}
                (got, wanted) => panic!("{got:?} instead of {wanted:?}"),
            }
        }
    }

    #[test]
    fn it_is_found_beside_the_program_or_above() {
        let root = tempfile::tempdir().unwrap();
        let deps = root.path().join("deps");
        std::fs::create_dir(&deps).unwrap();
        let program = deps.join("test-0123");
        let name = format!("oh-agent-{}", std::env::consts::ARCH);
        let error = search(&program).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(
            error.to_string().contains("cargo xtask agent") && error.to_string().contains("deps"),
            "{error}"
        );
        let above = root.path().join(&name);
        std::fs::write(&above, "").unwrap();
        assert_eq!(search(&program).unwrap(), above);
        let beside = deps.join(&name);
        std::fs::write(&beside, "").unwrap();
        assert_eq!(search(&program).unwrap(), beside);
    }

    #[test]
    fn what_is_named_is_read_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent");
        let missing = Agent::at(Some(path.clone()), vec![Delivery::Upload]).payload().unwrap_err();
        assert!(missing.to_string().contains("No such file"), "{missing}");
        std::fs::write(&path, "no program").unwrap();
        let agent = Agent::at(Some(path.clone()), vec![Delivery::Upload]);
        assert!(agent.payload().unwrap_err().to_string().contains("is no 64-bit Linux executable"));
        let machine = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
        std::fs::write(&path, elf(machine, &[1])).unwrap();
        let payload = agent.payload().unwrap();
        assert_eq!((payload.bytes.len(), payload.digest.len()), (120, 64));
        std::fs::remove_file(&path).unwrap();
        agent.payload().unwrap();
    }
}
