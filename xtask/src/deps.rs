//! Who may use whom, as data. `cargo xtask tidy` compares it with what cargo says. Development dependencies are
//! free: a test may use what its crate may not.

/// A member of the workspace, and the members it may use.
///
/// Backends know only what a sandbox is; the agent's client knows only that too; the facade joins them; an
/// evaluation and the actions see the facade and never a backend; the command line is on top; xtask drives binaries and knows nothing.
pub(crate) const DIRECTION: &[(&str, &[&str])] = &[
    ("oh-runtime-api", &[]),
    ("oh-config", &["oh-builder"]),
    ("oh-agent", &["oh-runtime-api"]),
    ("oh-runtime-local", &["oh-runtime-api"]),
    ("oh-runtime-docker", &["oh-runtime-api"]),
    ("oh-runtime-k8s", &["oh-runtime-api"]),
    (
        "oh-runtime",
        &[
            "oh-runtime-api",
            "oh-agent",
            "oh-config",
            "oh-runtime-local",
            "oh-runtime-docker",
            "oh-runtime-k8s",
        ],
    ),
    ("oh-actions", &["oh-runtime-api", "oh-runtime"]),
    ("oh-builder", &[]),
    ("oh-eval", &["oh-runtime-api", "oh-runtime", "oh-builder", "oh-config"]),
    ("oh-cli", &["oh-runtime-api", "oh-runtime", "oh-actions", "oh-builder", "oh-eval", "oh-config"]),
    ("oh-e2e", &["oh-runtime-api", "oh-runtime", "oh-actions", "oh-config"]),
    ("xtask", &[]),
];

/// A library, the only members that may use it themselves, and why.
pub(crate) const ONLY_IN: &[(&str, &[&str], &str)] = &[
    (
        "bollard",
        &["oh-runtime-docker", "oh-builder"],
        "Docker is known to its backend and to the image builder",
    ),
    (
        "kube",
        &["oh-runtime-k8s", "oh-e2e"],
        "Kubernetes is known to its backend; the bench measures kube's own exec, and the faults disturb clusters",
    ),
    (
        "k8s-openapi",
        &["oh-runtime-k8s", "oh-cli", "oh-e2e"],
        "Kubernetes is known to its backend; programs choose the API version",
    ),
    ("figment", &["oh-config"], "configuration has one place"),
    ("clap", &["oh-cli", "xtask"], "libraries have no command line"),
];

/// The members that may choose a version of the Kubernetes API: programs. A harness may be on another one.
pub(crate) const CHOOSE_API_VERSION: &[&str] = &["oh-cli", "oh-e2e"];

/// A library that must not be in the tree at all, and why. `deny.toml` bans the same.
pub(crate) const NOWHERE: &[(&str, &str)] = &[
    ("aws-lc-rs", "TLS is ring: no C toolchain and CMake to build"),
    ("aws-lc-sys", "TLS is ring: no C toolchain and CMake to build"),
    ("openssl-sys", "TLS is rustls: nothing to find on the system"),
    ("serde_yaml", "unmaintained"),
    ("tokio-tar", "abandoned, with known ways out of the target folder; `tar` is maintained"),
];
