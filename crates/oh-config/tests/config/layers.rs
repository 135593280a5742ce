//! Which place wins, and what its text means.

use std::time::Duration;

use oh_config::{CleanupPolicy, LogFormat, LogLevel, MountConfig, Origin, PullPolicy, RuntimeKind};

use crate::Machine;

#[test]
fn without_any_file_everything_has_its_built_in_value() {
    let machine = Machine::new();
    let config = machine.config();
    assert_eq!(config.runtime, RuntimeKind::Docker);
    assert_eq!(config.owner, "ada@laptop");
    assert_eq!(config.agent.path, None);
    assert_eq!(config.sandbox.ttl, Duration::from_secs(24 * 60 * 60));
    assert_eq!(config.sandbox.start_timeout, Duration::from_secs(30 * 60));
    assert_eq!(config.sandbox.grace, Duration::from_secs(5));
    assert_eq!(config.sandbox.user, None);
    assert!(config.sandbox.env.is_empty() && config.sandbox.mounts.is_empty());
    assert_eq!(config.resources.cpu, 1.0);
    assert_eq!(config.resources.memory, 4 << 30);
    assert_eq!(config.resources.ephemeral_storage, 10 << 30);
    assert_eq!(config.resources.pids.get(), 4096);
    assert_eq!(config.docker.host, None);
    assert!(!config.docker.tls_verify);
    assert_eq!(config.docker.cert_path, Some(machine.path().join("home/.docker")));
    assert_eq!(config.docker.pull, PullPolicy::Missing);
    assert_eq!(config.docker.network, None);
    assert_eq!(config.local.state_dir, std::path::Path::new("/tmp/oh-1000/local"));
    assert_eq!(config.local.image_dir, machine.path().join("home/.local/share/oh/images"));
    assert_eq!(config.image.template, "docker.io/swebench/sweb.eval.x86_64.{id}:latest");
    assert_eq!(config.image.mirror, None);
    assert_eq!(config.eval.workers.get(), 4);
    assert_eq!(config.eval.timeout, Duration::from_secs(1800));
    assert_eq!(config.eval.out_dir, machine.path().join("project"));
    assert_eq!(config.log.level, LogLevel::Warn);
    assert_eq!(config.log.format, LogFormat::Human);
    assert_eq!(config.origin("runtime"), Some(&Origin::Default));
    assert_eq!(config.origin("owner"), Some(&Origin::Default));
    assert_eq!(config.origin("docker.host"), None);
    assert_eq!(config.origin("no.such.option"), None);
}

#[test]
fn every_layer_wins_over_the_ones_below() {
    let mut machine = Machine::new();
    let file =
        |machine: &Machine, path: &str| Some(Origin::File { path: machine.path().join(path), line: Some(1) });
    let check = |machine: &Machine, owner: &str, origin: Option<Origin>| {
        let config = machine.config();
        assert_eq!((&*config.owner, config.origin("owner")), (owner, origin.as_ref()));
    };
    check(&machine, "ada@laptop", Some(Origin::Default));
    machine = machine.system("owner = 'system'");
    check(&machine, "system", file(&machine, "etc/config.toml"));
    machine = machine.user("owner = 'user'");
    check(&machine, "user", file(&machine, "home/.config/oh/config.toml"));
    machine = machine.project("owner = 'project'");
    check(&machine, "project", file(&machine, "project/oh.toml"));
    machine = machine.variable("OH_OWNER", "variable");
    check(&machine, "variable", Some(Origin::Environment("OH_OWNER".into())));

    let config = machine.builder().set("owner", "--owner", Some("option")).load().unwrap();
    assert_eq!(config.owner, "option");
    assert_eq!(config.origin("owner"), Some(&Origin::CommandLine("--owner".into())));

    let config = machine.builder().owner("program").load().unwrap();
    assert_eq!((&*config.owner, config.origin("owner")), ("program", Some(&Origin::Program)));
}

#[test]
fn tables_are_merged_and_lists_replaced() {
    let machine = Machine::new()
        .system(
            "[sandbox]\nttl = '1h'\nenv = { A = '1', B = '1' }\nmounts = [{ source = '/s', target = '/s' }]",
        )
        .project(
            "[sandbox]\nenv = { B = '2' }\nmounts = [{ source = 'p', target = '/p', read_only = true }]",
        );
    let config = machine.config();
    assert_eq!(config.sandbox.ttl, Duration::from_secs(60 * 60));
    assert_eq!(config.sandbox.grace, Duration::from_secs(5));
    let env: Vec<_> = config.sandbox.env.iter().map(|(name, value)| (&**name, value.expose())).collect();
    assert_eq!(env, [("A", "1"), ("B", "2")]);
    let mount =
        MountConfig { source: machine.path().join("project/p"), target: "/p".into(), read_only: true };
    assert_eq!(config.sandbox.mounts, [mount]);
    let file = |path: &str, line| Some(Origin::File { path: machine.path().join(path), line: Some(line) });
    assert_eq!(config.origin("sandbox.env.A").cloned(), file("etc/config.toml", 3));
    assert_eq!(config.origin("sandbox.env.B").cloned(), file("project/oh.toml", 2));
    assert_eq!(config.origin("sandbox.mounts").cloned(), file("project/oh.toml", 3));
}

#[test]
fn a_named_file_takes_the_place_of_the_projects() {
    let machine = Machine::new()
        .user("[docker]\nnetwork = 'user'")
        .project("owner = 'project'\n[docker]\nhost = 'project'")
        .file("project/other.toml", "owner = 'other'")
        .file("third.toml", "owner = 'third'")
        .variable("OH_CONFIG", "other.toml");
    let config = machine.config();
    assert_eq!(config.owner, "other");
    assert_eq!((config.docker.host, config.docker.network), (None, Some("user".into())));

    assert_eq!(
        machine.builder().file(Some(machine.path().join("third.toml"))).load().unwrap().owner,
        "third"
    );
}

#[test]
fn variables_set_their_options() {
    let config = Machine::new()
        .variable("OH_RUNTIME", "local")
        .variable("OH_AGENT", "build/oh-agent")
        .variable("OH_LOCAL_STATE", "/state")
        .variable("OH_LOCAL_IMAGES", "~/images")
        .variable("OH_LOG", "debug")
        .variable("OH_K8S_CLEANUP_POLICY", "never")
        .variable("OH_K8S_PULL_POLICY", "IfNotPresent")
        .variable("OH_K8S_IMAGE_PULL_SECRETS", "a,b")
        .variable("OH_K8S_NODE_SELECTOR", "pool=boxes,version=1.30")
        .variable("OH_SANDBOX_ENV", r#"{"A": "1,2"}"#)
        .variable("DOCKER_HOST", "tcp://engine:2376")
        .variable("DOCKER_TLS_VERIFY", "0")
        .variable("DOCKER_CERT_PATH", "/certs");
    let (root, config) = (config.path().to_owned(), config.config());
    assert_eq!(config.runtime, RuntimeKind::Local);
    assert_eq!(config.agent.path, Some(root.join("project/build/oh-agent")));
    assert_eq!(config.local.state_dir, std::path::Path::new("/state"));
    assert_eq!(config.local.image_dir, root.join("home/images"));
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.sandbox.cleanup, CleanupPolicy::Never);
    assert_eq!(config.k8s.pull, PullPolicy::Missing);
    assert_eq!(config.k8s.image_pull_secrets, ["a", "b"]);
    assert_eq!(config.k8s.node_selector["version"], "1.30");
    assert_eq!(config.sandbox.env["A"].expose(), "1,2");
    assert_eq!(config.docker.host.as_deref(), Some("tcp://engine:2376"));
    assert!(config.docker.tls_verify, "any value means true, as for Docker");
    assert_eq!(config.docker.cert_path.as_deref(), Some(std::path::Path::new("/certs")));
    assert_eq!(config.origin("docker.tls_verify"), Some(&Origin::Environment("DOCKER_TLS_VERIFY".into())));
}

#[test]
fn text_stays_text() {
    for text in ["1.30", "007", "true", "[a]", "{a=b}", " x ", "\"quoted\""] {
        assert_eq!(Machine::new().variable("OH_OWNER", text).config().owner, text);
        let config = Machine::new().builder().set("docker.network", "--set", Some(text)).load().unwrap();
        assert_eq!(config.docker.network.as_deref(), Some(text));
    }
}

#[test]
fn text_is_a_number_where_the_option_is_one() {
    let config = Machine::new()
        .builder()
        .set("resources.cpu", "--cpu", Some("2"))
        .set("resources.memory", "--memory", Some("1073741824"))
        .set("resources.pids", "--pids", Some("100"))
        .set("docker.tls_verify", "--tls", Some("true"))
        .set("eval.timeout", "--timeout", Some("90s"))
        .set("eval.workers", "--workers", None::<String>)
        .load()
        .unwrap();
    assert_eq!(config.resources.cpu, 2.0);
    assert_eq!(config.resources.memory, 1 << 30);
    assert_eq!(config.resources.pids.get(), 100);
    assert!(config.docker.tls_verify);
    assert_eq!(config.eval.timeout, Duration::from_secs(90));
    assert_eq!(config.origin("eval.workers"), Some(&Origin::Default));
}

#[test]
fn empty_and_foreign_variables_have_no_effect() {
    let machine = Machine::new()
        .variable("OH_RUNTIME", "")
        .variable("OH_CONFIG", "")
        .variable("DOCKER_TLS_VERIFY", "")
        .variable("OH_SECRET_KEY", "OpenHands'")
        .variable("OH_SESSION_API_KEYS_0", "OpenHands'")
        .variable("OH_SANDBOX_KIND", "nonsense");
    assert_eq!(
        machine.config(),
        Machine { environment: machine.environment.clone(), ..Machine::new() }.config()
    );
    assert_eq!(machine.config().runtime, RuntimeKind::Docker);
    assert!(!machine.config().docker.tls_verify);
}

#[test]
fn relative_paths_start_at_the_file_they_stand_in() {
    let machine = Machine::new().system(
        "[eval]\nout_dir = './results'\n[local]\nstate_dir = '../state'\n[agent]\npath = '~/oh-agent'",
    );
    let config = machine.config();
    assert_eq!(config.eval.out_dir, machine.path().join("etc/results"));
    assert_eq!(config.local.state_dir, machine.path().join("etc/../state"));
    assert_eq!(config.agent.path, Some(machine.path().join("home/oh-agent")));
}

#[test]
fn debug_hides_the_values_of_environment_variables() {
    let config = Machine::new().project("[sandbox.env]\nTOKEN = 's3cret'").config();
    assert_eq!(config.sandbox.env["TOKEN"].expose(), "s3cret");
    let shown = format!("{config:?}");
    assert!(shown.contains("TOKEN") && !shown.contains("s3cret"), "{shown}");
}

#[test]
fn the_projects_file_is_found_upwards_in_either_language() {
    let mut machine = Machine::new().file("oh.yaml", "owner: above\nresources: {cpu: 500m}\n");
    machine.environment.current_dir = machine.path().join("project/deep");
    let config = machine.config();
    assert_eq!((&*config.owner, config.resources.cpu), ("above", 0.5));
    let line = Origin::File { path: machine.path().join("oh.yaml"), line: Some(2) };
    assert_eq!(config.origin("resources.cpu"), Some(&line));
    // The nearest one counts, and no other.
    let machine = machine.project("[resources]\ncpu = 3");
    assert_eq!((machine.config().resources.cpu, &*machine.config().owner), (3.0, "ada@laptop"));
}

#[test]
fn a_profile_wins_over_every_file_and_over_nothing_else() {
    let files = || {
        Machine::new()
            .user("[profile.ack]\nowner = 'user-ack'\n[profile.ack.k8s]\nnamespace = 'ack'")
            .project("owner = 'project'\n[k8s]\nnamespace = 'project'\n[profile.ack.resources]\ncpu = 2\n[profile.eks]")
    };
    let plain = files().config();
    assert_eq!((&*plain.owner, plain.k8s.namespace.as_deref()), ("project", Some("project")));
    for machine in [files().variable("OH_PROFILE", "ack"), files()] {
        let option = (!machine.environment.variables.contains_key("OH_PROFILE")).then(|| "ack".to_owned());
        let config = machine.builder().profile(option).load().unwrap();
        assert_eq!(
            (&*config.owner, config.k8s.namespace.as_deref(), config.resources.cpu),
            ("user-ack", Some("ack"), 2.0)
        );
        let path = machine.path().join("home/.config/oh/config.toml");
        assert_eq!(config.origin("k8s.namespace"), Some(&Origin::File { path, line: Some(4) }));
    }
    let machine = files().variable("OH_PROFILE", "ack").variable("OH_OWNER", "variable");
    assert_eq!(machine.config().owner, "variable");
    assert_eq!(machine.builder().profile(Some("eks".into())).load().unwrap().resources.cpu, 1.0);
}

#[test]
fn a_profile_that_is_not_there_is_an_error() {
    let machine = Machine::new().project("[profile.ack]").variable("OH_PROFILE", "akc");
    assert_eq!(
        machine.error(),
        "environment variable OH_PROFILE: there is no profile \"akc\", there are ack; did you mean ack?"
    );
    assert_eq!(
        machine.shown(Machine::new().builder().profile(Some("ack".into())).load()),
        "option --profile: there is no profile \"ack\", and no file has any"
    );
}

#[test]
fn secrets_come_from_files() {
    let machine = Machine::new()
        .file("project/token", "s3cret\n")
        .file("env", "# names\nA=1,2\nB=x\n")
        .project("[sandbox.env]\nTOKEN = { file = 'token' }\nPLAIN = 'p'");
    let env = |machine: &Machine| -> Vec<(String, String)> {
        let env = machine.config().sandbox.env;
        env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect()
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(env(&machine), [pair("PLAIN", "p"), pair("TOKEN", "s3cret")]);
    let machine = machine.variable("OH_SANDBOX_ENV_FILE", "../env");
    assert_eq!(
        env(&machine),
        [pair("A", "1,2"), pair("B", "x"), pair("PLAIN", "p"), pair("TOKEN", "s3cret")]
    );
    let origin = Origin::Environment("OH_SANDBOX_ENV_FILE".into());
    assert_eq!(machine.config().origin("sandbox.env.A"), Some(&origin));

    let machine = Machine::new()
        .file("project/password", "s3cret\n")
        .variable("OH_DOCKER_REGISTRY", "registry.example.com")
        .variable("OH_DOCKER_REGISTRY_USER", "robot")
        .variable("OH_DOCKER_REGISTRY_PASSWORD_FILE", "password");
    assert_eq!(machine.config().docker.registry_password.unwrap().expose(), "s3cret");
    assert!(!format!("{:?}", machine.config()).contains("s3cret"));
}

#[test]
fn variables_that_are_almost_ours_are_warned_about() {
    let machine = Machine::new().variable("OH_K8S_NAMESPCE", "boxes").variable("OH_SECRET_KEY", "OpenHands'");
    assert_eq!(
        machine.config().warnings(),
        ["the environment variable OH_K8S_NAMESPCE is not read, did you mean OH_K8S_NAMESPACE?"]
    );
}
