//! Sandboxes of one backend.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::{StreamExt, stream};
use oh_config::Config;
use oh_runtime_api::{
    AgentPayload, Backend, Capabilities, DeleteReport, Delivery, Error, ErrorKind, Incarnation, LogOptions,
    LogStream, Mount, Resources, Restrictions, Result, Sandbox, SandboxInfo, SandboxName, SandboxSpec,
    SandboxState, Selector, label, was_not_executed,
};
use tokio::time::{Instant, timeout_at};

use crate::compose;
use crate::payload::Agent;
use crate::sandbox::Attached;
use crate::trouble::{self, Fate};

/// Removals at the same time.
const AT_ONCE: usize = 8;
/// Longest time for removing what a failed creation left.
const CLEAN_UP_LIMIT: Duration = Duration::from_secs(30);

/// How much longer than its limit the making may take: a backend has the same limit, and says why it was not kept when it
/// has removed what it made.
const SAY_WHY: Duration = Duration::from_secs(45);

/// What a specification has unless said otherwise.
#[derive(Clone, PartialEq)]
pub struct Defaults {
    /// Who makes sandboxes.
    pub owner: String,
    /// How long they live.
    pub ttl: Duration,
    /// How long those live whose user is gone; see [`Runtime::lease`].
    pub lease: Duration,
    /// How much they get.
    pub resources: Resources,
    /// Environment of every command.
    pub env: BTreeMap<String, String>,
    /// Folders of the host in them.
    pub mounts: Vec<Mount>,
    /// User to run as; `None` is the image's own.
    pub user: Option<String>,
    /// What they may not do.
    pub restrictions: Restrictions,
    /// How long a sandbox may take from being asked for to its agent's first answer, pulling the image included.
    pub start_timeout: Duration,
}

/// Shows the names of environment variables, never their values: they may be secrets.
impl fmt::Debug for Defaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Defaults")
            .field("owner", &self.owner)
            .field("ttl", &self.ttl)
            .field("lease", &self.lease)
            .field("resources", &self.resources)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("mounts", &self.mounts)
            .field("user", &self.user)
            .field("restrictions", &self.restrictions)
            .field("start_timeout", &self.start_timeout)
            .finish()
    }
}

/// Whether the agent delivered another way might do.
fn is_about_delivery(error: &Error, delivery: &Delivery) -> bool {
    match error.kind() {
        ErrorKind::DeliveryFailed => true,
        // Some container runtimes start what they cannot execute, and say so in its log.
        ErrorKind::EndedBeforeReady => {
            was_not_executed(error.message()) || error.facts().any(|(_, fact)| was_not_executed(fact))
        }
        // An image may hold an agent of another time.
        ErrorKind::Version => matches!(delivery, Delivery::Present(_) | Delivery::Image(_)),
        _ => false,
    }
}

/// What is left to say when no way was open. Each error is of one way.
fn undelivered(mut failed: Vec<Error>, operation: String) -> Error {
    let last = failed.pop();
    let Some(last) = last else {
        return Error::new(ErrorKind::Config, operation, "no way to deliver the agent is left")
            .hint("set agent.delivery");
    };
    let all: Vec<&str> = failed.iter().chain([&last]).map(Error::message).collect();
    let message = format!("the agent cannot be delivered: {}", all.join("; or: "));
    let facts: Vec<_> = last.facts().map(|(key, fact)| (key, fact.to_owned())).collect();
    let error = Error::new(ErrorKind::DeliveryFailed, operation, message)
        .hint("see agent.delivery in the configuration for other ways");
    facts.into_iter().fold(error, |error, (key, fact)| error.context(key, fact)).caused_by(last)
}

/// Makes, finds and removes sandboxes on one backend. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Runtime {
    backend: Arc<dyn Backend>,
    agent: Arc<Agent>,
    defaults: Arc<Defaults>,
}

impl fmt::Display for Runtime {
    /// The backend's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.backend.fmt(f)
    }
}

impl Runtime {
    /// On the backend the configuration names, which has to answer.
    ///
    /// The agent's executable is looked for when a sandbox is made: the configured file, else `oh-agent-<arch>` beside
    /// the running program or in the folder above.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) and [`Config`](ErrorKind::Config), with what to do.
    pub async fn open(config: &Config) -> Result<Self> {
        let backend = compose::backend(config).await?;
        let agent = Agent::at(config.agent.path.clone(), compose::deliveries(&config.agent)?);
        Ok(Self { backend, agent: Arc::new(agent), defaults: Arc::new(compose::defaults(config)) })
    }

    /// On a backend of the caller's.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, agent: AgentPayload, defaults: Defaults) -> Self {
        let ways = vec![agent.delivery.clone()];
        Self { backend, agent: Arc::new(Agent::of(agent, ways)), defaults: Arc::new(defaults) }
    }

    /// The same on another backend: this one behind something of the caller's, for instance.
    #[must_use]
    pub fn on(&self, backend: Arc<dyn Backend>) -> Self {
        Self { backend, ..self.clone() }
    }

    /// The same with another agent in its sandboxes, delivered in the first of these ways that works.
    #[must_use]
    pub fn with_agent(&self, agent: AgentPayload, ways: Vec<Delivery>) -> Self {
        Self { agent: Arc::new(Agent::of(agent, ways)), ..self.clone() }
    }

    /// The agent in its sandboxes.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) when there is none.
    pub fn agent(&self) -> Result<&AgentPayload> {
        self.agent.payload()
    }

    /// The backend.
    #[must_use]
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// What the backend is able to do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.backend.capabilities()
    }

    /// Who makes its sandboxes.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.defaults.owner
    }

    /// The lease for sandboxes that are of no use without whoever makes them. A specification has none until it is given
    /// one.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.defaults.lease
    }

    /// A specification with the configuration's defaults.
    #[must_use]
    pub fn spec(&self, name: SandboxName, image: &str) -> SandboxSpec {
        let Defaults { owner, ttl, lease: _, resources, env, mounts, user, restrictions, start_timeout: _ } =
            &*self.defaults;
        SandboxSpec {
            resources: *resources,
            env: env.clone(),
            mounts: mounts.clone(),
            user: user.clone(),
            restrictions: *restrictions,
            ..SandboxSpec::new(name, image, owner.as_str(), *ttl)
        }
    }

    /// What [`create`](Self::create) would ask the backend for, for people to read. Touches nothing.
    ///
    /// # Errors
    /// When the specification cannot be right, or there is no agent.
    pub fn render(&self, spec: &SandboxSpec) -> Result<serde_json::Value> {
        let agent = self.agent.ways()?.next().map(|(_, agent)| agent);
        self.backend.render(spec, agent.as_ref().unwrap_or(self.agent.payload()?))
    }

    /// Makes a sandbox and waits until its agent answers. Creating an equal specification again returns the same
    /// sandbox.
    ///
    /// When it fails, what it made is removed, and the error has what could be seen of it. Dropping the future may
    /// leave a sandbox behind; it has the specification's name.
    ///
    /// # Errors
    /// As [`Backend::create`] and [`Sandbox::connect`]; [`Config`](ErrorKind::Config) when there is no agent; [`Deadline`](ErrorKind::Deadline) when it took longer than
    /// the defaults allow.
    pub async fn create(&self, spec: &SandboxSpec) -> Result<Arc<dyn Sandbox>> {
        let operation = format!("create sandbox {}", spec.name);
        let deadline = Instant::now() + self.defaults.start_timeout;
        let mut failed: Vec<Error> = Vec::new();
        for (number, agent) in self.agent.ways().map_err(|error| error.in_operation(&operation))? {
            let way = agent.delivery.name();
            match self.attempt(spec, &agent, deadline, &operation).await {
                Ok(sandbox) => {
                    if !failed.is_empty() {
                        tracing::warn!(delivery = way, "the agent was delivered another way than the first");
                        self.agent.works(number);
                    }
                    return Ok(sandbox);
                }
                Err(error) if is_about_delivery(&error, &agent.delivery) => {
                    tracing::warn!(delivery = way, %error, "the agent cannot be delivered this way");
                    failed.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(undelivered(failed, operation))
    }

    /// Makes it with the agent delivered one way.
    async fn attempt(
        &self,
        spec: &SandboxSpec,
        agent: &AgentPayload,
        deadline: Instant,
        operation: &str,
    ) -> Result<Arc<dyn Sandbox>> {
        let started = Instant::now();
        let before = self.backend.list(&Selector::name(spec.name.clone())).await?;
        let error = match timeout_at(deadline + SAY_WHY, self.backend.create(spec, agent)).await {
            Ok(id) => {
                let sandbox = Attached::made(Arc::clone(&self.backend), id?);
                match sandbox.connect(deadline.saturating_duration_since(Instant::now())).await {
                    Ok(info) => {
                        let (seconds, delivery) = (started.elapsed().as_secs_f64(), agent.delivery.name());
                        tracing::debug!(sandbox = %spec.name, agent = info.version, delivery, seconds, "sandbox is ready");
                        return Ok(Arc::new(sandbox));
                    }
                    Err(error) => error.in_operation(operation),
                }
            }
            Err(_) => {
                let message = format!("it was not made within {} s", self.defaults.start_timeout.as_secs());
                Error::new(ErrorKind::Deadline, operation, message)
                    .hint("if its image has to be pulled, pull it first, or raise sandbox.start_timeout")
            }
        };
        self.undo(spec, &before).await;
        Err(error)
    }

    /// Removes what a failed creation made: what has the specification's name and digest and was not there before.
    async fn undo(&self, spec: &SandboxSpec, before: &[SandboxInfo]) {
        let undoing = async {
            let digest = spec.digest();
            for info in self.backend.list(&Selector::name(spec.name.clone())).await? {
                let ours = info.labels.get(label::SPEC) == Some(&digest);
                if ours && !before.iter().any(|old| old.incarnation == info.incarnation) {
                    self.backend.delete(&info.incarnation).await?;
                }
            }
            Ok::<_, Error>(())
        };
        match timeout_at(Instant::now() + CLEAN_UP_LIMIT, undoing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(sandbox = %spec.name, %error, "a failed creation may have left a sandbox")
            }
            Err(_) => tracing::warn!(sandbox = %spec.name, "a failed creation may have left a sandbox"),
        }
    }

    /// The sandbox of this name, whoever made it. Connects when it is first used.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound); [`Ended`](ErrorKind::Ended) or [`OomKilled`](ErrorKind::OomKilled) when it
    /// ended.
    pub async fn attach(&self, name: &SandboxName) -> Result<Arc<dyn Sandbox>> {
        let operation = format!("attach to sandbox {name}");
        let info = self.find(name, &operation).await?;
        if info.state == SandboxState::Exited {
            let ended = Error::new(ErrorKind::Ended, operation, "the sandbox ended");
            return Err(match trouble::look(&*self.backend, &info.incarnation).await {
                fate @ (Fate::Ended(_) | Fate::Deleted) => fate.explain(ended, ErrorKind::Ended),
                _ => ended,
            });
        }
        Ok(Arc::new(Attached::found(Arc::clone(&self.backend), info.incarnation)))
    }

    async fn find(&self, name: &SandboxName, operation: &str) -> Result<SandboxInfo> {
        let found = self.backend.list(&Selector::name(name.clone())).await?;
        found.into_iter().next().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, operation, format!("no sandbox {name} exists on {self}"))
                .hint("`oh ls` shows those there are")
        })
    }

    /// The sandboxes that match, ended ones included.
    ///
    /// # Errors
    /// As [`Backend::list`].
    pub async fn list(&self, which: &Selector) -> Result<Vec<SandboxInfo>> {
        self.backend.list(which).await
    }

    /// What the first process of the sandbox of this name wrote.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), and as [`Backend::logs`].
    pub async fn logs(&self, name: &SandboxName, options: LogOptions) -> Result<LogStream> {
        let info = self.find(name, &format!("read the log of sandbox {name}")).await?;
        self.backend.logs(&info.incarnation, options).await
    }

    /// Removes a sandbox. Doing it twice is fine.
    ///
    /// # Errors
    /// As [`Backend::delete`].
    pub async fn remove(&self, id: &Incarnation) -> Result<DeleteReport> {
        self.backend.delete(id).await
    }

    /// Removes the agents the backend keeps and no sandbox uses, whoever made them; only names them with `dry_run`.
    ///
    /// # Errors
    /// As [`Backend::collect_agents`].
    pub async fn collect_agents(&self, dry_run: bool) -> Result<Vec<String>> {
        self.backend.collect_agents(dry_run).await
    }

    /// Removes the sandboxes of the defaults' owner whose time is over, and nothing else. Returns their names.
    ///
    /// # Errors
    /// The first failure, after trying all of them.
    pub async fn reap_expired(&self) -> Result<Vec<SandboxName>> {
        let owner = &self.defaults.owner;
        let all = self.backend.list(&Selector { owner: Some(owner.clone()), ..Selector::default() }).await?;
        let now = SystemTime::now();
        let expired = all.into_iter().filter(|info| {
            info.labels.get(label::OWNER) == Some(owner)
                && info.expires().is_some_and(|expires| expires <= now)
        });
        let results: Vec<_> = stream::iter(expired)
            .map(|info| async move {
                let report = self.backend.delete(&info.incarnation).await?;
                Ok((report == DeleteReport::Deleted).then_some(info.incarnation.name))
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        results.into_iter().filter_map(Result::transpose).collect()
    }
}
