//! Variables that are not ours. OpenHands owns many names that start with `OH_`, so a prefix says nothing; but one that
//! is spelled almost as one of ours is probably a mistake.

use crate::environment::Environment;
use crate::near::nearest;
use crate::table::SETTINGS;

/// Names of OpenHands, or what they start with.
const OPENHANDS: &[&str] = &[
    "OH_AGENT_SERVER_",
    "OH_ALLOW_CORS_ORIGINS",
    "OH_APP_",
    "OH_BASH_EVENTS_DIR",
    "OH_CONVERSATIONS_PATH",
    "OH_DB_",
    "OH_DEFERRED_INIT",
    "OH_ENABLE_",
    "OH_EVENT",
    "OH_EXTRA_PYTHON_PATH",
    "OH_GCP_",
    "OH_HTTPX",
    "OH_JWT",
    "OH_LABEL",
    "OH_LIFESPAN",
    "OH_PENDING_",
    "OH_PERMITTED_CORS_ORIGINS",
    "OH_PERSISTENCE_DIR",
    "OH_PRELOAD_TOOLS",
    "OH_RUNTIME_RUNTIME_IMAGE_REPO",
    "OH_SANDBOX_API_",
    "OH_SANDBOX_CONTAINER_",
    "OH_SANDBOX_EXPOSED_PORTS",
    "OH_SANDBOX_EXTRA_HOSTS",
    "OH_SANDBOX_HEALTH_CHECK_PATH",
    "OH_SANDBOX_HOST_PORT",
    "OH_SANDBOX_KIND",
    "OH_SANDBOX_KVM_ENABLED",
    "OH_SANDBOX_MAX_NUM_SANDBOXES",
    "OH_SANDBOX_MOUNTS",
    "OH_SANDBOX_POLLING_INTERVAL",
    "OH_SANDBOX_RESOURCE_",
    "OH_SANDBOX_RUNTIME_CLASS",
    "OH_SANDBOX_SPEC",
    "OH_SANDBOX_STARTUP_GRACE_SECONDS",
    "OH_SANDBOX_START_SANDBOX_TIMEOUT",
    "OH_SANDBOX_USE_HOST_NETWORK",
    "OH_SECRET_KEY",
    "OH_SESSION_API_KEYS",
    "OH_STATIC_FILES_PATH",
    "OH_TAGS",
    "OH_TELEMETRY",
    "OH_USER",
    "OH_VERSION",
    "OH_VSCODE_",
    "OH_WEBHOOKS",
    "OH_WEB_",
];

/// Whether OpenHands reads this variable, as far as we know.
pub(crate) fn is_openhands(name: &str) -> bool {
    OPENHANDS.iter().any(|known| name.starts_with(known))
}

/// What looks like a mistake among the variables that are set, in words.
pub(crate) fn near_misses(environment: &Environment) -> Vec<String> {
    let ours: Vec<&str> = Environment::names().collect();
    let foreign = environment.variables.keys().filter(|name| !ours.contains(&name.as_str()));
    let missed = foreign.filter(|name| !is_openhands(name)).filter_map(|name| {
        let meant = meant(name, &ours)?;
        Some(format!("the environment variable {name} is not read, did you mean {meant}?"))
    });
    missed.collect()
}

fn meant<'a>(name: &str, ours: &[&'a str]) -> Option<&'a str> {
    let upper = name.to_ascii_uppercase().replace('-', "_").replace("OH_KUBERNETES_", "OH_K8S_");
    let rest = upper.strip_prefix("OH_")?;
    // The name of the option's key, where the variable has another one: OH_AGENT_PATH.
    let key = SETTINGS.iter().find(|setting| setting.key.replace('.', "_").eq_ignore_ascii_case(rest));
    let own = ours.iter().copied().filter(|name| name.starts_with("OH_"));
    key.map(|setting| setting.variables[0])
        .and_then(|name| ours.iter().copied().find(|own| *own == name))
        .or_else(|| own.clone().find(|own| *own == upper))
        .or_else(|| {
            let alike = nearest(&upper, own)?;
            // Short names differ from many others in two letters.
            let distance = strsim::osa_distance(&upper, alike);
            (distance == 1 || (distance == 2 && rest.len() >= 8)).then_some(alike)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(names: &[&str]) -> Vec<String> {
        let variables = names.iter().map(|name| ((*name).to_owned(), "x".into())).collect();
        near_misses(&Environment { variables, ..Environment::default() })
    }

    #[test]
    fn a_near_miss_is_named_with_what_was_meant() {
        for (name, meant) in [
            ("OH_RUNTME", "OH_RUNTIME"),
            ("OH_K8S_NAMESPCE", "OH_K8S_NAMESPACE"),
            ("OH_K8S_IMAGE_PULL_SECRET", "OH_K8S_IMAGE_PULL_SECRETS"),
            ("OH_KUBERNETES_NAMESPACE", "OH_K8S_NAMESPACE"),
            ("oh_runtime", "OH_RUNTIME"),
            ("OH_AGENT_PATH", "OH_AGENT"),
            ("OH_LOG_LEVEL", "OH_LOG"),
            ("OH_DOCKER_HOST", "DOCKER_HOST"),
            ("OH_SANDBOX_CLEANUP", "OH_CLEANUP_POLICY"),
        ] {
            let expected = format!("the environment variable {name} is not read, did you mean {meant}?");
            assert_eq!(warned(&[name]), [expected]);
        }
    }

    #[test]
    fn what_is_openhands_own_or_nothing_like_ours_is_left_alone() {
        let names = [
            "OH_SECRET_KEY",
            "OH_SESSION_API_KEYS_0",
            "OH_SANDBOX_MOUNTS",
            "OH_SANDBOX_KIND",
            "OH_LABEL",
            "OH_WEB_URL",
            "OH_VERSION",
            "OH_USER_KIND",
            "OH_RUNTIME_RUNTIME_IMAGE_REPO",
            "OH_MY_ZSH",
            "OH_E2E_BACKENDS",
            "PATH",
        ];
        assert_eq!(warned(&names), Vec::<String>::new());
    }

    #[test]
    fn none_of_ours_is_openhands() {
        for name in Environment::names() {
            assert!(!is_openhands(name), "{name}");
        }
    }
}
