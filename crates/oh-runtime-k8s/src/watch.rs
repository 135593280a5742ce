//! The one watch that everybody in this process shares who waits for a Pod.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use oh_runtime_api::label;
use tokio::sync::watch::{Receiver, Sender};
use tokio::task::AbortHandle;

/// All sandboxes of the namespace as they are now. Begins to watch when it is first asked.
#[derive(Debug)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
    task: Mutex<Option<AbortHandle>>,
}

#[derive(Debug)]
struct Shared {
    view: Mutex<View>,
    changed: Sender<()>,
}

/// What is known.
#[derive(Debug, Default)]
struct View {
    pods: HashMap<String, Arc<Pod>>,
    /// Those of a list that is not complete yet.
    listed: HashMap<String, Arc<Pod>>,
    /// Whether `pods` holds all there are.
    complete: bool,
    /// Why nothing new comes, when it does not.
    trouble: Option<String>,
}

/// What the watch knows of one Pod.
#[derive(Debug, Clone)]
pub(crate) enum Sight {
    /// This.
    Pod(Arc<Pod>),
    /// No Pod of that name and uid is there.
    Absent,
    /// Nothing yet.
    Unknown,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

impl Watch {
    pub(crate) fn new() -> Self {
        let shared = Shared { view: Mutex::default(), changed: Sender::new(()) };
        Self { shared: Arc::new(shared), task: Mutex::new(None) }
    }

    /// Tells of every change from now on.
    pub(crate) fn changes(&self, pods: Api<Pod>) -> Receiver<()> {
        let receiver = self.shared.changed.subscribe();
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(AbortHandle::is_finished) {
            *task = Some(tokio::spawn(follow(pods, Arc::clone(&self.shared))).abort_handle());
        }
        receiver
    }

    /// The Pod of this name and uid.
    pub(crate) fn sight(&self, name: &str, uid: &str) -> Sight {
        let view = self.shared.lock();
        match view.pods.get(name) {
            Some(pod) if pod.metadata.uid.as_deref() == Some(uid) => Sight::Pod(Arc::clone(pod)),
            _ if view.complete => Sight::Absent,
            _ => Sight::Unknown,
        }
    }

    /// Why nothing new comes, when it does not.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.shared.lock().trouble.clone()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn follow(pods: Api<Pod>, shared: Arc<Shared>) {
    let sandboxes = watcher::Config::default().labels(label::SANDBOX);
    // Where the connection breaks, it goes on with growing pauses.
    let mut events = std::pin::pin!(watcher::watcher(pods, sandboxes).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => shared.lock().apply(event),
            Err(error) => {
                tracing::debug!(%error, "the watch of the sandboxes broke");
                shared.lock().trouble = Some(error.to_string());
            }
        }
        shared.changed.send_replace(());
    }
}

impl View {
    fn apply(&mut self, event: Event<Pod>) {
        let name = |pod: &Pod| pod.metadata.name.clone().unwrap_or_default();
        self.trouble = None;
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(pod) => {
                self.listed.insert(name(&pod), Arc::new(pod));
            }
            Event::InitDone => {
                self.pods = std::mem::take(&mut self.listed);
                self.complete = true;
            }
            Event::Apply(pod) => {
                self.pods.insert(name(&pod), Arc::new(pod));
            }
            Event::Delete(pod) => {
                self.pods.remove(&name(&pod));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, uid: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = Some(name.to_owned());
        pod.metadata.uid = Some(uid.to_owned());
        pod
    }

    #[test]
    fn a_list_holds_only_when_it_is_complete() {
        let watch = Watch::new();
        let apply = |event| watch.shared.lock().apply(event);
        let sees = |uid| match watch.sight("a", uid) {
            Sight::Pod(_) => "pod",
            Sight::Absent => "absent",
            Sight::Unknown => "unknown",
        };
        apply(Event::Init);
        apply(Event::InitApply(pod("a", "1")));
        assert_eq!(sees("1"), "unknown");
        apply(Event::InitDone);
        assert_eq!((sees("1"), sees("2")), ("pod", "absent"));
        apply(Event::Apply(pod("a", "2")));
        assert_eq!((sees("1"), sees("2")), ("absent", "pod"));
        apply(Event::Init);
        assert_eq!(sees("2"), "pod", "while it is listed again, the old view holds");
        apply(Event::InitDone);
        assert_eq!(sees("2"), "absent");
        apply(Event::Apply(pod("a", "3")));
        apply(Event::Delete(pod("a", "3")));
        assert_eq!(sees("3"), "absent");
    }
}
