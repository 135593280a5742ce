//! What is there before and after: processes, files, descriptors, tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use oh_e2e::probe::script;
use oh_runtime::SandboxName;
use serde::Serialize;
use tokio::time::sleep;

use crate::Outcome;
use crate::bed::Bed;
use crate::command;

/// How long what is on its way out may take.
const SETTLES: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(250);

/// What is there at one moment.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Census {
    /// Of the sandboxes: agents, supervisors, commands, and the bridges into them.
    processes: usize,
    /// Temporary ones in the sandboxes.
    files: usize,
    /// Of those processes and of this one.
    fds: usize,
    /// Of this process.
    tasks: usize,
}

impl Census {
    async fn take(beds: &[Bed]) -> Outcome<Self> {
        let mut files = 0;
        for bed in beds {
            let find = format!("find {} /tmp -name '.oh-*' | wc -l", command::folder().display());
            files += script(&*bed.direct, find)
                .await
                .map_err(|error| error.to_string())?
                .trim()
                .parse::<usize>()?;
        }
        let names = beds.iter().map(|bed| &bed.direct.incarnation().name);
        let processes = processes_of(&names.collect::<Vec<_>>())?;
        let mut fds = descriptors(std::process::id())?;
        for process in &processes {
            fds += descriptors(*process)?;
        }
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        Ok(Self { processes: processes.len(), files, fds, tasks })
    }

    fn excess(&self, before: &Self) -> usize {
        [
            (self.processes, before.processes),
            (self.files, before.files),
            (self.fds, before.fds),
            (self.tasks, before.tasks),
        ]
        .map(|(after, before)| after.saturating_sub(before))
        .iter()
        .sum()
    }
}

/// What an engine's sandboxes had before and after.
#[derive(Debug, Serialize)]
pub(crate) struct Leaks {
    pub(crate) engine: &'static str,
    before: Census,
    after: Census,
}

impl Leaks {
    /// What there is more of than before.
    pub(crate) fn total(&self) -> usize {
        self.after.excess(&self.before)
    }

    pub(crate) fn rows(&self) -> [(&'static str, usize, usize); 4] {
        let Self { before, after, .. } = self;
        [
            ("processes", before.processes, after.processes),
            ("files", before.files, after.files),
            ("fds", before.fds, after.fds),
            ("tasks", before.tasks, after.tasks),
        ]
    }
}

/// The least there is for a moment: ends take their time.
pub(crate) async fn before(beds: &[Bed]) -> Outcome<Census> {
    // An agent keeps some supervisors for later commands: they are there from the start, and no leak.
    for bed in beds {
        let commands = (0..8).map(|_| script(&*bed.direct, "sleep 0.5"));
        futures::future::try_join_all(commands).await.map_err(|error| error.to_string())?;
    }
    let mut census = Census::take(beds).await?;
    for _ in 0..8 {
        sleep(LOOK).await;
        let next = Census::take(beds).await?;
        if next.excess(&census) == 0 {
            census = next;
        }
    }
    Ok(census)
}

/// Waits until there is no more than before, or it does not become so.
pub(crate) async fn after(engine: &'static str, beds: &[Bed], before: Census) -> Outcome<Leaks> {
    let started = Instant::now();
    loop {
        let leaks = Leaks { engine, before, after: Census::take(beds).await? };
        if leaks.total() == 0 || started.elapsed() > SETTLES {
            return Ok(leaks);
        }
        sleep(LOOK).await;
    }
}

/// The processes of this machine that belong to sandboxes of these names: their agents and bridges, and whatever those
/// started.
fn processes_of(names: &[&SandboxName]) -> Outcome<BTreeSet<u32>> {
    let mut children = BTreeMap::<u32, Vec<u32>>::new();
    let mut open = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let folder = Path::new("/proc").join(u32::to_string(&pid));
        // It may have ended meanwhile.
        let (Ok(stat), Ok(line)) =
            (fs::read_to_string(folder.join("stat")), fs::read(folder.join("cmdline")))
        else {
            continue;
        };
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        children.entry(parent.unwrap_or_default()).or_default().push(pid);
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        // In a cluster the Pod's uid follows the name.
        if let [_, b"serve" | b"bridge", address, ..] = words.as_slice()
            && let Some(name) = address.split(|byte| *byte == b'/').next()
            && names.iter().any(|own| own.as_str().as_bytes() == name)
        {
            open.push(pid);
        }
    }
    let mut found = BTreeSet::new();
    while let Some(pid) = open.pop() {
        if found.insert(pid) {
            open.extend(children.get(&pid).into_iter().flatten());
        }
    }
    // Each has its agent, and a bridge that is in use.
    if found.len() < 2 * names.len() {
        return Err("the processes of the sandboxes are not on this machine, or cannot be seen".into());
    }
    Ok(found)
}

fn descriptors(pid: u32) -> Outcome<usize> {
    match fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(entries) => Ok(entries.count()),
        // It has ended meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(format!("the descriptors of process {pid} cannot be read: {error}").into()),
    }
}
