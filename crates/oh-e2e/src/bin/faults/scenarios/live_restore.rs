//! A Docker engine of our own that is restarted under its containers.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command as Program};
use tokio::time::{sleep, timeout};

use super::program;
use crate::Outcome;

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

pub(crate) struct Dockerd {
    folder: PathBuf,
    child: Child,
}

impl Dockerd {
    /// Everything of it is in `folder`; its containers have no network.
    pub(crate) async fn start(folder: &Path) -> Outcome<Self> {
        // The settings of the machine's own engine are not for this one.
        std::fs::write(folder.join("daemon.json"), "{}")?;
        let mut dockerd = Self { folder: folder.to_owned(), child: spawn(folder)? };
        dockerd.answers().await?;
        Ok(dockerd)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// Copies an image of the machine's own engine.
    pub(crate) async fn load(&self, image: &str) -> Outcome {
        let archive = self.folder.join("image.tar");
        let archive = archive.to_string_lossy();
        program(&["docker", "save", "-o", &archive, image]).await?;
        let host = format!("unix://{}", self.socket().display());
        program(&["docker", "--host", &host, "load", "-i", &archive]).await.map(drop)
    }

    /// Ends it and starts it again; its containers go on meanwhile.
    pub(crate) async fn restart(&mut self) -> Outcome {
        self.end().await?;
        self.child = spawn(&self.folder)?;
        self.answers().await
    }

    pub(crate) async fn end(&mut self) -> Outcome {
        let pid = self.child.id().ok_or("dockerd has ended")?.to_string();
        program(&["kill", &pid]).await?;
        timeout(STOP, self.child.wait()).await.map_err(|_| "dockerd does not end")??;
        Ok(())
    }

    async fn answers(&mut self) -> Outcome {
        let host = format!("unix://{}", self.socket().display());
        let started = Instant::now();
        loop {
            match program(&["docker", "--host", &host, "version"]).await {
                Ok(_) => return Ok(()),
                Err(error) if started.elapsed() > START => return Err(error),
                Err(_) => {}
            }
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                let last = log.lines().next_back().unwrap_or_default();
                return Err(format!("dockerd ended with {status}: {last}").into());
            }
            sleep(LOOK).await;
        }
    }
}

fn spawn(folder: &Path) -> Outcome<Child> {
    let log = File::options().create(true).append(true).open(folder.join("log"))?;
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let options = [
        format!("--config-file={}", path("daemon.json")),
        format!("--data-root={}", path("data")),
        format!("--exec-root={}", path("exec")),
        format!("--pidfile={}", path("pid")),
        format!("--host=unix://{}", path("docker.sock")),
        "--bridge=none".to_owned(),
        "--iptables=false".to_owned(),
        "--live-restore".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    // In a network of its own: an engine without a bridge removes the one of that name, which is another engine's.
    let mut dockerd = Program::new("unshare");
    dockerd
        .args(["--net", "dockerd"])
        .args(options)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true);
    Ok(dockerd.spawn()?)
}
