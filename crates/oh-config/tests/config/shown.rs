//! What `oh config show` and `oh config explain` have to say.

use crate::Machine;

fn machine() -> Machine {
    Machine::new()
        .user("[sandbox.env]\nA = 's3cret'\n[profile.ack.k8s]\nnamespace = 'ack'")
        .project("runtime = 'kubernetes'\n[k8s]\nnamespace = 'project'\nnode_selector = { 'x.io/y' = 'z' }\n")
        .variable("OH_SANDBOX_ENV", "B=s3cret")
        .variable("OH_RESOURCES_MEMORY", "8Gi")
}

#[test]
fn all_that_holds_is_shown_with_its_origin() {
    let machine = machine().variable("OH_PROFILE", "ack");
    let inspection = machine.builder().set("eval.workers", "--workers", Some("9")).inspect().unwrap();
    let shown = machine.anonymous(&inspection.toml());
    for line in [
        "# Profile ack",
        "runtime = \"kubernetes\"  # ROOT/project/oh.toml:1",
        "owner = \"ada@laptop\"  # built-in value",
        "env.A = \"(hidden)\"  # ROOT/home/.config/oh/config.toml:2",
        "env.B = \"(hidden)\"  # environment variable OH_SANDBOX_ENV",
        "memory = \"8Gi\"  # environment variable OH_RESOURCES_MEMORY",
        "cert_path = \"ROOT/home/.docker\"  # built-in value",
        "[k8s]",
        "namespace = \"ack\"  # ROOT/home/.config/oh/config.toml:4",
        "node_selector.\"x.io/y\" = \"z\"  # ROOT/project/oh.toml:4",
        "workers = 9  # option --workers",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    assert!(!shown.contains("s3cret"));

    // It is a file that says the same, but for what is hidden.
    let again = Machine::new().project(&inspection.toml());
    let (ours, theirs) = (machine.config(), again.config());
    assert_eq!((ours.runtime, ours.k8s, ours.resources), (theirs.runtime, theirs.k8s, theirs.resources));

    let json = inspection.json();
    assert_eq!(json["profile"], "ack");
    assert_eq!(json["options"]["resources.memory"]["value"], "8Gi");
    assert_eq!(json["options"]["resources.memory"]["origin"], "environment variable OH_RESOURCES_MEMORY");
    assert_eq!(json["options"]["sandbox.env"]["value"]["A"], "(hidden)");
}

#[test]
fn an_option_is_explained_with_every_place_that_has_it() {
    let machine = machine().variable("OH_PROFILE", "ack").variable("OH_K8S_NAMESPACE", "variable");
    let explained = machine.builder().inspect().unwrap().explain("k8s.namespace").unwrap();
    assert_eq!(
        machine.anonymous(&explained.to_string()),
        "k8s.namespace = \"variable\"\n  from environment variable OH_K8S_NAMESPACE\n\n\
         Where Pods are made. Otherwise: the context's own, or `default`.\n\n\
         it is:      a namespace\n\
         variables:  OH_K8S_NAMESPACE\n\
         in a file:  namespace = … below [k8s]\n\n\
         set in, the first wins:\n  \
         \"variable\"  (environment variable OH_K8S_NAMESPACE)\n  \
         \"ack\"  (ROOT/home/.config/oh/config.toml:4, profile ack)\n  \
         \"project\"  (ROOT/project/oh.toml:3)\n"
    );
    let json = serde_json::to_value(&explained).unwrap();
    assert_eq!(json["places"][1]["profile"], "ack");
    assert_eq!(json["value"], "variable");
}

#[test]
fn what_is_not_set_wrong_or_a_table_is_explained_too() {
    let machine = machine().variable("OH_LOG", "loud");
    let inspection = machine.builder().inspect().unwrap();
    let explain = |name: &str| machine.anonymous(&inspection.explain(name).unwrap().to_string());
    assert!(explain("k8s.context").starts_with("k8s.context is not set\n\nWhich entry of it."));
    let wrong = explain("log.level");
    assert!(wrong.contains("\n  wrong: log.level = \"loud\": unknown value, use off, error"), "{wrong}");
    let table = explain("sandbox.env.A");
    assert!(table.starts_with("sandbox.env = {\"A\":\"(hidden)\",\"B\":\"(hidden)\"}"), "{table}");
    assert!(
        table.contains("  from ROOT/home/.config/oh/config.toml:2, environment variable OH_SANDBOX_ENV"),
        "{table}"
    );
    assert!(table.contains("variables:  OH_SANDBOX_ENV, OH_SANDBOX_ENV_FILE"), "{table}");
    assert!(table.contains("set in, the first wins for each entry:"), "{table}");
    assert!(inspection.config().is_err());
}

#[test]
fn who_asks_for_what_is_not_there_is_told_what_is() {
    let inspection = Machine::new().builder().inspect().unwrap();
    for (name, message) in [
        ("k8s.namespce", "there is no option k8s.namespce, did you mean k8s.namespace?"),
        ("namespace", "there is no option namespace, did you mean k8s.namespace?"),
        ("OH_K8S_NAMESPCE", "there is no option OH_K8S_NAMESPCE, did you mean OH_K8S_NAMESPACE?"),
        ("log", "log is a section, its options are log.level, log.format"),
        ("bogus.thing", "there is no option bogus.thing, `oh config show` shows all that have a value"),
    ] {
        assert_eq!(inspection.explain(name).unwrap_err(), message);
    }
}
