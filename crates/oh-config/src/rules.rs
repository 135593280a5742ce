//! What values have to do with each other.

use crate::error::Problem;
use crate::layers::Origin;
use crate::model::{Config, DeliveryKind, RuntimeKind, TolerationConfig, TolerationOperator};

/// What a rule finds: the option to blame, and what is wrong.
type Broken = (String, String);

/// A rule, and the options it looks at: when one of them is wrong by itself, that is said already.
struct Rule {
    keys: &'static [&'static str],
    check: fn(&Config) -> Vec<Broken>,
}

const RULES: &[Rule] = &[
    Rule { keys: &["source.mount", "source.path", "source.claim"], check: source },
    Rule { keys: &["source.mount", "source.claim", "runtime"], check: claim },
    Rule { keys: &["source.target", "source.mount", "sandbox.mounts"], check: targets },
    Rule { keys: &["agent.delivery", "agent.image", "agent.present"], check: delivery },
    Rule { keys: &["sandbox.restricted", "sandbox.user"], check: restricted },
    Rule { keys: &["runtime", "sandbox.user"], check: numbers },
    Rule { keys: &["runtime", "sandbox.mounts"], check: mounts },
    Rule { keys: &["docker.registry", "docker.registry_user", "docker.registry_password"], check: registry },
    Rule { keys: &["image.mirror", "image.repo"], check: images },
    Rule { keys: &["k8s.tolerations"], check: tolerations },
    Rule { keys: &["k8s.labels", "k8s.annotations"], check: labels },
];

/// Adds what is broken to `problems`.
pub(crate) fn check(config: &Config, problems: &mut Vec<Problem>) {
    // An option that was meant and misspelled is not missing.
    let names = problems.iter().flat_map(|problem| [Some(problem.key()), problem.did_you_mean()]);
    let wrong: Vec<String> = names.flatten().map(str::to_owned).collect();
    let is_wrong = |key: &&str| wrong.iter().any(|wrong| wrong.starts_with(*key));
    for rule in RULES.iter().filter(|rule| !rule.keys.iter().any(is_wrong)) {
        for (key, what) in (rule.check)(config) {
            // What is missing stands nowhere: then what asks for it is shown.
            let place = std::iter::once(&*key).chain(rule.keys.iter().copied());
            let set = |key: &str| config.origin(key).filter(|origin| **origin != Origin::Default).cloned();
            let origin = place.map(set).find_map(|origin| origin).unwrap_or(Origin::Default);
            problems.push(Problem::new(key, what, origin));
        }
    }
}

fn broken(key: &str, what: &str) -> Vec<Broken> {
    vec![(key.to_owned(), what.to_owned())]
}

fn source(config: &Config) -> Vec<Broken> {
    let source = &config.source;
    match (source.mount, &source.path, &source.claim) {
        (true, None, None) => {
            broken("source.mount", "needs the folder: set source.path, or source.claim on Kubernetes")
        }
        (_, Some(_), Some(_)) => broken("source.claim", "excludes source.path: keep one of the two"),
        _ => Vec::new(),
    }
}

fn claim(config: &Config) -> Vec<Broken> {
    if config.source.mount && config.source.claim.is_some() && config.runtime != RuntimeKind::K8s {
        let what = format!("is for the runtime k8s, and the runtime is {}: set source.path", config.runtime);
        return broken("source.claim", &what);
    }
    Vec::new()
}

fn targets(config: &Config) -> Vec<Broken> {
    let own = config.source.mount.then_some(&config.source.target);
    let mut taken: Vec<_> = own.into_iter().collect();
    let mut all = Vec::new();
    for (index, mount) in config.sandbox.mounts.iter().enumerate() {
        if taken.contains(&&mount.target) {
            let what = format!("{} is mounted on already", mount.target.display());
            all.push((format!("sandbox.mounts[{index}].target"), what));
        }
        taken.push(&mount.target);
    }
    all
}

fn delivery(config: &Config) -> Vec<Broken> {
    let agent = &config.agent;
    let needs = [
        (DeliveryKind::Image, agent.image.is_some(), "agent.image"),
        (DeliveryKind::Present, agent.present.is_some(), "agent.present"),
    ];
    let named = |way| agent.delivery.as_ref().is_some_and(|ways| ways.contains(&way));
    let mut all: Vec<Broken> = needs
        .into_iter()
        .filter(|(way, there, _)| named(*way) && !there)
        .map(|(way, _, key)| ("agent.delivery".to_owned(), format!("names {way}, which needs {key}")))
        .collect();
    if agent.delivery.as_ref().is_some_and(Vec::is_empty) {
        all.extend(broken("agent.delivery", "names no way into a sandbox"));
    }
    all
}

fn user(config: &Config) -> Option<&str> {
    config.sandbox.user.as_deref().map(|user| user.split(':').next().unwrap_or_default())
}

fn restricted(config: &Config) -> Vec<Broken> {
    if config.sandbox.restricted && matches!(user(config), Some("root" | "0")) {
        return broken(
            "sandbox.user",
            "is root, and sandbox.restricted excludes that: use another, like \"1000\"",
        );
    }
    Vec::new()
}

fn numbers(config: &Config) -> Vec<Broken> {
    let parts = config.sandbox.user.as_deref().unwrap_or_default().split(':');
    let is_name = |part: &str| !part.is_empty() && part != "root" && part.parse::<u32>().is_err();
    if config.runtime == RuntimeKind::K8s && parts.into_iter().any(is_name) {
        return broken(
            "sandbox.user",
            "is a name, and Kubernetes takes numbers, like \"1000\" or \"1000:1000\"",
        );
    }
    Vec::new()
}

fn mounts(config: &Config) -> Vec<Broken> {
    if config.runtime == RuntimeKind::K8s && !config.sandbox.mounts.is_empty() {
        let what =
            "are of this machine, and a Pod runs on another: copy the files with `oh cp`, or use [source]";
        return broken("sandbox.mounts", what);
    }
    Vec::new()
}

fn registry(config: &Config) -> Vec<Broken> {
    let docker = &config.docker;
    let all = [
        ("docker.registry", docker.registry.is_some()),
        ("docker.registry_user", docker.registry_user.is_some()),
        ("docker.registry_password", docker.registry_password.is_some()),
    ];
    if all.iter().all(|(_, set)| !set) {
        return Vec::new();
    }
    let missing = all.iter().filter(|(_, set)| !set);
    missing
        .map(|(key, _)| {
            ((*key).to_owned(), "is missing: registry, user and password belong together".to_owned())
        })
        .collect()
}

fn images(config: &Config) -> Vec<Broken> {
    if config.image.mirror.is_some() && config.image.repo.is_some() {
        return broken("image.repo", "excludes image.mirror: no image of Docker Hub is left");
    }
    Vec::new()
}

fn tolerations(config: &Config) -> Vec<Broken> {
    let wrong = |toleration: &TolerationConfig| {
        let exists = toleration.operator == Some(TolerationOperator::Exists);
        match (&toleration.key, &toleration.value) {
            (_, Some(_)) if exists => Some("has operator \"Exists\" and a value: leave one of them out"),
            (None, _) if !exists => Some("has no key: set it, or operator = \"Exists\" for every taint"),
            _ => None,
        }
    };
    let all = config.k8s.tolerations.iter().enumerate();
    all.filter_map(|(index, toleration)| {
        Some((format!("k8s.tolerations[{index}]"), wrong(toleration)?.to_owned()))
    })
    .collect()
}

/// Ours say which sandbox, run and owner an object belongs to.
fn labels(config: &Config) -> Vec<Broken> {
    let tables = [("k8s.labels", &config.k8s.labels), ("k8s.annotations", &config.k8s.annotations)];
    let ours = |key: &&String| key.starts_with("oh.");
    let all = tables
        .into_iter()
        .flat_map(|(table, entries)| entries.keys().filter(ours).map(move |key| (table, key)));
    all.map(|(table, key)| (format!("{table}.{key}"), "names that start with oh. are our own".to_owned()))
        .collect()
}
