//! What a case works with: a backend, sandboxes of its own, and their removal.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use oh_config::Config;
use oh_runtime::{Capabilities, RunId, Runtime, Sandbox, SandboxName, SandboxSpec, Selector, label};

use crate::environment;
use crate::failure::{CaseResult, Failure, describe};
use crate::probe;

/// What the sandboxes are made of; `cargo xtask images` makes it.
pub const IMAGE: &str = "oh-test:1";
/// The folder that is a sandbox's own on every backend.
const OWN_FOLDER: &str = "/testbed";
/// A sandbox the suite cannot remove any more ends by itself after this long.
const TTL: Duration = Duration::from_secs(15 * 60);
/// How long the shared sandbox may take to answer before another one is made.
const ANSWER: Duration = Duration::from_secs(10);
/// A sandbox of the suite this long after its time is nobody's any more.
const FORGOTTEN: Duration = Duration::from_secs(60 * 60);
/// How the ids of the suite's runs begin.
pub const RUN_PREFIX: &str = "conformance-";

/// A backend that is put to the test.
#[derive(Debug)]
pub struct Subject {
    name: String,
    run: RunId,
    runtime: Result<Runtime, String>,
    shared: tokio::sync::Mutex<Option<Arc<dyn Sandbox>>>,
    made: AtomicU64,
}

impl Subject {
    /// Opens a backend; when that fails, every case on it fails with the reason.
    pub async fn open(name: &str, run: &RunId) -> Self {
        // Nobody else's: whoever reaps expired sandboxes of his own leaves those of the suite alone.
        let mut runtime = open(name, run.as_str()).await;
        if let Ok(open) = &runtime
            && let Err(error) = sweep(open).await
        {
            runtime = Err(describe(&error));
        }
        Self {
            name: name.to_owned(),
            run: run.clone(),
            runtime,
            shared: tokio::sync::Mutex::new(None),
            made: AtomicU64::new(0),
        }
    }

    /// The backend's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The runtime on this backend.
    ///
    /// # Errors
    /// Why the backend could not be opened.
    pub fn runtime(&self) -> CaseResult<&Runtime> {
        self.runtime.as_ref().map_err(|why| Failure::new(why.as_str()))
    }

    /// Removes what is left of the run, and returns the names of what was left besides the shared sandbox.
    ///
    /// # Errors
    /// When the backend cannot tell or refuses.
    pub async fn clean_up(&self) -> CaseResult<Vec<SandboxName>> {
        let Ok(runtime) = &self.runtime else { return Ok(Vec::new()) };
        if let Some(shared) = self.shared.lock().await.take() {
            shared.close().await?;
        }
        let left = runtime.list(&Selector { run: Some(self.run.clone()), ..Selector::default() }).await?;
        for info in &left {
            runtime.remove(&info.incarnation).await?;
        }
        Ok(left.into_iter().map(|info| info.incarnation.name).collect())
    }
}

async fn open(backend: &str, owner: &str) -> Result<Runtime, String> {
    let by = environment::BACKENDS;
    let builder = Config::builder()
        .set("runtime", by, Some(backend))
        .set("owner", by, Some(owner))
        // A cluster keeps free what a sandbox asks for: many of them have to fit on a small one.
        .set("resources.cpu", by, Some("0.05"))
        .set("resources.memory", by, Some("1Gi"));
    let config = builder.load().map_err(|error| describe(&error))?;
    Runtime::open(&config).await.map_err(|error| describe(&error))
}

/// Removes what runs that were killed left behind long ago.
async fn sweep(runtime: &Runtime) -> oh_runtime::Result<()> {
    let long_ago = SystemTime::now() - FORGOTTEN;
    for info in runtime.list(&Selector::default()).await? {
        let of_a_run = info.labels.get(label::RUN).is_some_and(|run| run.starts_with(RUN_PREFIX));
        if of_a_run && info.expires().is_some_and(|expires| expires < long_ago) {
            runtime.remove(&info.incarnation).await?;
        }
    }
    Ok(())
}

/// What one case works with.
#[derive(Debug)]
pub struct Context {
    subject: Arc<Subject>,
    case: String,
    names: Mutex<Vec<SandboxName>>,
}

impl Context {
    /// For the case of this id.
    #[must_use]
    pub fn new(subject: Arc<Subject>, case: String) -> Self {
        Self { subject, case, names: Mutex::default() }
    }

    /// The runtime on the backend under test.
    ///
    /// # Errors
    /// Why the backend could not be opened.
    pub fn runtime(&self) -> CaseResult<&Runtime> {
        self.subject.runtime()
    }

    /// A second runtime on the same backend, sharing nothing with the first: what another process has.
    ///
    /// # Errors
    /// Why the backend could not be opened.
    pub async fn another_runtime(&self) -> CaseResult<Runtime> {
        self.runtime_of(self.subject.run.as_str()).await
    }

    /// The same for sandboxes of somebody else.
    ///
    /// # Errors
    /// Why the backend could not be opened.
    pub async fn runtime_of(&self, owner: &str) -> CaseResult<Runtime> {
        open(&self.subject.name, owner).await.map_err(|why| Failure::new(format!("no second runtime: {why}")))
    }

    /// What the backend is able to do.
    ///
    /// # Errors
    /// Why the backend could not be opened.
    pub fn capabilities(&self) -> CaseResult<Capabilities> {
        Ok(self.runtime()?.capabilities())
    }

    /// The run everything belongs to.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.subject.run
    }

    /// A sandbox name nobody else has. What is made under it is removed after the case.
    pub fn name(&self) -> SandboxName {
        let number = self.subject.made.fetch_add(1, Ordering::Relaxed);
        let name = SandboxName::derive(&self.subject.run, &format!("{}-{number}", self.case));
        self.names.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        name
    }

    /// The specification of an ordinary sandbox under a new name.
    ///
    /// # Errors
    /// Why the backend could not be opened.
    pub fn spec(&self) -> CaseResult<SandboxSpec> {
        let spec = self.runtime()?.spec(self.name(), IMAGE);
        Ok(SandboxSpec { run: Some(self.subject.run.clone()), ttl: TTL, ..spec })
    }

    /// A sandbox of this case alone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn fresh(&self) -> CaseResult<Arc<dyn Sandbox>> {
        Ok(self.runtime()?.create(&self.spec()?).await?)
    }

    /// A sandbox other cases use at the same time. Made when first needed, and again if one of them broke it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn shared(&self) -> CaseResult<Arc<dyn Sandbox>> {
        let mut shared = self.subject.shared.lock().await;
        if let Some(sandbox) = &*shared
            && sandbox.connect(ANSWER).await.is_ok()
        {
            return Ok(Arc::clone(sandbox));
        }
        let runtime = self.runtime()?;
        let number = self.subject.made.fetch_add(1, Ordering::Relaxed);
        let name = SandboxName::derive(&self.subject.run, &format!("shared-{number}"));
        let spec = SandboxSpec { run: Some(self.subject.run.clone()), ttl: TTL, ..runtime.spec(name, IMAGE) };
        let sandbox = runtime.create(&spec).await?;
        Ok(Arc::clone(shared.insert(sandbox)))
    }

    /// The shared sandbox, and an empty folder in it for this case.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn place(&self) -> CaseResult<(Arc<dyn Sandbox>, PathBuf)> {
        let sandbox = self.shared().await?;
        let number = self.subject.made.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(format!("{OWN_FOLDER}/{}-{number}", self.case.replace("::", "-")));
        probe::script(&*sandbox, format!("mkdir -p {}", folder.display())).await?;
        Ok((sandbox, folder))
    }

    /// Removes the sandboxes made under this case's names.
    ///
    /// # Errors
    /// When the backend cannot tell or refuses.
    pub async fn clean_up(&self) -> CaseResult {
        let names = std::mem::take(&mut *self.names.lock().unwrap_or_else(PoisonError::into_inner));
        let Ok(runtime) = self.runtime() else { return Ok(()) };
        let remove = names.into_iter().map(async |name| -> CaseResult {
            for info in runtime.list(&Selector::name(name)).await? {
                runtime.remove(&info.incarnation).await?;
            }
            Ok(())
        });
        futures::future::try_join_all(remove).await.map(drop)
    }
}
