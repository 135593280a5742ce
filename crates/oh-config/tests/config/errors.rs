//! What is wrong is said with the key, the value, the place, and what would be right. Every case and what it says is in
//! `errors.snap`: a test writes it when it is out of date, and fails, so that the change is looked at.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStringExt;

use oh_config::{Origin, check};

use crate::Machine;

/// Contents of `oh.toml`, each with something wrong.
const TOML: &[&str] = &[
    // Names nobody knows.
    "runtme = 'local'",
    "host = 'x'",
    "kubernetes = { namespace = 'x' }\nruntime = 'k8s'",
    "[docker]\npul = 'never'",
    "[eval]\nttl = '1h'",
    "[log]\ncolour = 'red'",
    "[everything]\nelse = 1",
    "[docker]\nregistry_passwrd = 's3cret'",
    // Words.
    "runtime = 'vm'",
    "runtime = 'dokcer'",
    "runtime = 'Kubernetes'",
    "[docker]\npull = 'sometimes'",
    "[k8s]\npull = 'ifnotpresent'",
    "[sandbox]\ncleanup = 'on-success'",
    "[log]\nlevel = 'loud'",
    "[agent]\ndelivery = ['upload', 'uplaod']",
    // Other types than the option has.
    "runtime = 0",
    "runtime = { name = 'local' }",
    "docker = 'local'",
    "[docker]\ntls_verify = 'yes'",
    "[source]\nmount = '/src'",
    "[sandbox]\nmounts = '/a:/b'",
    "[sandbox]\nmounts = ['/a:/b']",
    "[sandbox]\nenv = ['A=1']",
    "[sandbox]\nenv = { A = 1 }",
    "[k8s]\nimage_pull_secrets = 'acr'",
    "[k8s]\nnode_selector = 'a=b'",
    "profile = 'ack'",
    "[profile]\nack = 1",
    // Durations.
    "[sandbox]\nttl = 90",
    "[sandbox]\nttl = '0s'",
    "[sandbox]\ngrace = 'soon'",
    "[sandbox]\ngrace = 1.5",
    "[eval]\ntimeout = '10M'",
    "[k8s]\nschedule_timeout = '-1s'",
    "[sandbox]\nlease = '99999999999999999999s'",
    // Quantities.
    "[resources]\ncpu = '1.5Gi'",
    "[resources]\ncpu = 0",
    "[resources]\ncpu = nan",
    "[resources]\nmemory = '4GB'",
    "[resources]\nmemory = '500m'",
    "[resources]\nmemory = 0",
    "[resources]\nmemory = true",
    "[resources]\nephemeral_storage = '16384Pi'",
    "[resources]\npids = 0",
    "[resources]\npids = 1.5",
    "[resources]\npids = 4294967296",
    "[eval]\nworkers = 'all'",
    // Images and registries.
    "[agent]\nimage = 'Registry/Agent'",
    "[agent]\nimage = 'https://r.example.com/agent'",
    "[image]\ntemplate = 'a/{bogus}:1'",
    "[image]\ntemplate = 'a/{id'",
    "[image]\nmirror = 'docker'",
    "[image]\nrepo = 'r.example.com/Team'",
    "[docker]\nregistry = 'https://r.example.com'\nregistry_user = 'u'\nregistry_password = 's3cret'",
    // Names of Kubernetes.
    "[k8s]\nnamespace = 'Sand_boxes'",
    "[k8s]\nservice_account = 'a/b'",
    "[k8s]\nimage_pull_secrets = ['ok', 'not ok']",
    "[k8s]\nnode_selector = { 'a b' = 'x' }",
    "[k8s]\nnode_selector = { pool = 'a/b' }",
    "[k8s]\nlabels = { '-team' = 'x' }",
    "[k8s]\nruntime_class = 'gVisor'",
    "[k8s]\ntolerations = [{ key = 'a', operator = 'exists' }]",
    "[k8s]\ntolerations = [{ key = 'a', efect = 'NoSchedule' }]",
    // Paths, addresses, users.
    "[docker]\ncert_path = ''",
    "[docker]\nhost = '/var/run/docker.sock'",
    "[docker]\nnetwork = 'host'",
    "[[sandbox.mounts]]\nsource = '/a'",
    "[[sandbox.mounts]]\nsource = '/a'\ntarget = 'b'",
    "[[sandbox.mounts]]\nsource = '/a'\ntarget = '/b'\nread_olny = true",
    "[source]\ntarget = 'code'",
    "[sandbox]\nuser = '1000:'",
    "[sandbox]\nenv = { 'A=1' = '' }",
    "[sandbox.env]\nTOKEN = { file = 'none' }",
    "owner = ''",
    // What values have to do with each other.
    "[source]\nmount = true",
    "[source]\nmount = true\npath = '/src'\nclaim = 'src'",
    "[source]\nmount = true\nclaim = 'src'",
    "[source]\nmount = true\npath = '/src'\n[[sandbox.mounts]]\nsource = '/a'\ntarget = '/app/openhands'",
    "[agent]\ndelivery = ['image', 'present']",
    "[agent]\ndelivery = []",
    "[sandbox]\nrestricted = true\nuser = 'root'",
    "runtime = 'k8s'\n[sandbox]\nuser = 'nobody'",
    "runtime = 'k8s'\n[[sandbox.mounts]]\nsource = '/a'\ntarget = '/b'",
    "[docker]\nregistry = 'r.example.com'\nregistry_user = 'u'",
    "[image]\nmirror = 'r.example.com'\nrepo = 'r.example.com/a'",
    "[k8s]\ntolerations = [{ key = 'a', operator = 'Exists', value = 'b' }]",
    "[k8s]\ntolerations = [{ value = 'b' }]",
    "[k8s]\nlabels = { 'oh.owner' = 'me' }",
    // A wrong value hides no rule about others, and is told once.
    "[source]\nmount = true\npath = 5\n[image]\nmirror = 'r.example.com'\nrepo = 'r.example.com/a'",
    "[source]\nmount = true\npth = '/src'",
    // What is no TOML.
    "owner = 'x'\n[sandbox]\nttl = s3cret",
    "owner = 's3cret'\nowner = 's3cret'",
];

/// The same in YAML.
const YAML: &[&str] = &[
    "runtme: local",
    "runtime: vm",
    "sandbox:\n  ttl: 90",
    "sandbox:\n  env:\n    A: 1.30",
    "docker:\n  tls_verify: yes",
    "k8s:\n  namespace: A\n  tolerations:\n  - key: a\n    operator: Sometimes",
    "k8s: sandboxes",
    "- runtime: k8s",
    "owner: [s3cret",
    "sandbox:\n\tttl: 1h",
];

/// Variables and their values.
const VARIABLES: &[(&str, &str)] = &[
    ("OH_RUNTIME", "vm"),
    ("OH_LOG", "1"),
    ("OH_OWNER", "a\nb"),
    ("OH_RESOURCES_PIDS", "many"),
    ("OH_MOUNT_SOURCE", "maybe"),
    ("OH_K8S_NODE_SELECTOR", "pool"),
    ("OH_K8S_TOLERATIONS", "[{\"key\": }]"),
    ("OH_K8S_TOLERATIONS", "key=a,operator=Sometimes"),
    ("OH_SANDBOX_ENV", "TOKEN=s3cret,s3cret"),
    ("OH_SANDBOX_ENV", "{\"TOKEN\": s3cret}"),
    ("OH_SANDBOX_ENV_FILE", "none"),
    ("OH_DOCKER_REGISTRY_PASSWORD", "s3cret"),
    ("OH_PROFILE", "ack"),
    ("OH_CONFIG", "none.toml"),
];

fn case(page: &mut String, title: &str, input: &str, error: &str) {
    assert!(!error.contains("s3cret"), "{input}: {error}");
    let _ = write!(page, "## {title}\n{input}\n=> {error}\n\n");
}

#[test]
fn every_mistake_says_what_the_snapshot_says() {
    let mut page = String::new();
    for text in TOML {
        case(&mut page, "oh.toml", text, &Machine::new().project(text).error());
    }
    for text in YAML {
        case(&mut page, "oh.yaml", text, &Machine::new().file("project/oh.yaml", text).error());
    }
    for (name, value) in VARIABLES {
        // A folder to be in.
        let machine = Machine::new().project("").variable(name, value);
        case(&mut page, "variable", &format!("{name}={value}"), &machine.error());
    }
    assert!(page.matches("\n=> ").count() >= 60);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/errors.snap");
    if std::fs::read_to_string(&path).unwrap_or_default() != page {
        std::fs::write(&path, page).unwrap();
        panic!("errors.snap was out of date and is written anew: look at the change and commit it");
    }
}

#[test]
fn a_problem_has_its_parts() {
    let machine = Machine::new().project("\nruntime = 'dokcer'");
    let error = machine.load().unwrap_err();
    let [problem] = error.problems() else { panic!("{error}") };
    assert_eq!((problem.key(), problem.value()), ("runtime", Some("\"dokcer\"")));
    assert_eq!(
        (problem.what(), problem.did_you_mean()),
        ("unknown value, use docker, k8s or local", Some("docker"))
    );
    let path = machine.path().join("project/oh.toml");
    assert_eq!(problem.origin(), &Origin::File { path, line: Some(2) });
}

#[test]
fn text_of_a_variable_has_to_be_unicode() {
    let mut machine = Machine::new();
    machine.environment.variables.insert("OH_AGENT".into(), OsString::from_vec(b"/\xff".to_vec()));
    assert_eq!(machine.error(), "agent.path: is not valid UTF-8 (environment variable OH_AGENT)");
}

#[test]
fn a_secret_and_its_file_exclude_each_other() {
    let machine = Machine::new().variable("OH_SANDBOX_ENV", "A=1").variable("OH_SANDBOX_ENV_FILE", "x");
    assert_eq!(
        machine.error(),
        "sandbox.env: OH_SANDBOX_ENV is set, too: keep one of the two (environment variable OH_SANDBOX_ENV_FILE)"
    );
}

#[test]
fn an_option_of_the_command_line_is_named_as_it_was_given() {
    let machine = Machine::new();
    let builder = machine
        .builder()
        .set("runtime", "--runtime", Some("podman"))
        .set("resources.pids", "--pids", Some("many"))
        .set("sandbox.tll", "--set", Some("x"));
    assert_eq!(
        machine.shown(builder.load()),
        "3 problems\n\
         - resources.pids = \"many\": expected a whole number from 1 to 4294967295, found text (option --pids)\n\
         - runtime = \"podman\": unknown value, use docker, k8s or local (option --runtime)\n\
         - sandbox.tll: unknown option; did you mean sandbox.ttl? (option --set)"
    );
}

#[test]
fn what_a_higher_layer_replaces_does_not_matter() {
    Machine::new().project("runtime = 'podman'").variable("OH_RUNTIME", "local").config();
}

#[test]
fn a_table_is_not_hidden_by_something_else_below() {
    let machine = Machine::new().user("docker = 'x'").project("[docker]\nnetwork = 'n'");
    assert_eq!(machine.error(), "docker: expected a table, found text (ROOT/home/.config/oh/config.toml:1)");
    let machine = Machine::new().user("[sandbox]\nenv = 'x'").project("[sandbox.env]\nA = 1");
    assert_eq!(
        machine.error(),
        "2 problems\n\
         - sandbox.env: expected a table, found text (ROOT/home/.config/oh/config.toml:2)\n\
         - sandbox.env.A: expected text, or { file = \"PATH\" }, found a number: write it in quotes \
         (ROOT/project/oh.toml:2)"
    );
}

#[test]
fn all_problems_of_all_places_are_reported_at_once() {
    let machine = Machine::new()
        .system("ownr = 'x'")
        .user("[resources]\nmemory = 'lots'\ncpu = 'all'")
        .project("docker = 5\n[sandbox]\nttl = '5'\n[[sandbox.mounts]]\nsource = '/a'")
        .variable("OH_RUNTIME", "vm")
        .variable("OH_SOURCE_HOST_PATH", "/src")
        .variable("OH_SOURCE_CLAIM", "src");
    assert_eq!(
        machine.error(),
        "8 problems\n\
         - docker: expected a table, found a number (ROOT/project/oh.toml:1)\n\
         - ownr: unknown option; did you mean owner? (ROOT/etc/config.toml:1)\n\
         - resources.cpu = \"all\": is no amount of CPU, write cores like 2, 0.5 or \"500m\" \
         (ROOT/home/.config/oh/config.toml:3)\n\
         - resources.memory = \"lots\": is no size, write one like \"4Gi\", \"512Mi\" or \"10G\" \
         (ROOT/home/.config/oh/config.toml:2)\n\
         - runtime = \"vm\": unknown value, use docker, k8s or local (environment variable OH_RUNTIME)\n\
         - sandbox.mounts[0]: \"target\" is missing (ROOT/project/oh.toml:4)\n\
         - sandbox.ttl = \"5\": has no unit, write \"5s\" for seconds (ROOT/project/oh.toml:3)\n\
         - source.claim: excludes source.path: keep one of the two (environment variable OH_SOURCE_CLAIM)"
    );
}

#[test]
fn a_named_file_has_to_exist() {
    let machine = Machine::new().project("owner = 'project'").variable("OH_CONFIG", "none.toml");
    assert_eq!(machine.error(), "ROOT/project/none.toml: does not exist, and OH_CONFIG names it");
    assert_eq!(
        machine.shown(machine.builder().file(Some("other.toml".into())).load()),
        "ROOT/project/other.toml: does not exist, and --config names it"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_no_missing_file() {
    let machine = Machine::new();
    std::fs::create_dir_all(machine.path().join("project/oh.toml")).unwrap();
    assert_eq!(machine.error(), "ROOT/project/oh.toml: cannot be read: Is a directory (os error 21)");
}

#[test]
fn two_files_for_one_are_one_too_many() {
    let machine = Machine::new().project("owner = 'a'").file("project/oh.yaml", "owner: b");
    assert_eq!(
        machine.error(),
        "ROOT/project/oh.toml: is there, and ROOT/project/oh.yaml too: keep one of the two"
    );
}

#[test]
fn a_tilde_needs_a_home() {
    let mut machine = Machine::new().project("[agent]\npath = '~/agent'");
    machine.environment.variables.clear();
    assert_eq!(
        machine.error(),
        "agent.path: starts with ~, and there is no home folder (ROOT/project/oh.toml:2)"
    );
}

#[test]
fn a_file_is_checked_alone_and_with_each_profile() {
    let machine = Machine::new().variable("OH_RUNTIME", "vm").user("nonsense = 1").project(
        "[k8s]\nnamespace = 'a'\n[profile.ack.k8s]\nnamespace = 'B'\n[profile.eks]\nruntime = 'eks'",
    );
    let error = check(&machine.environment, std::path::Path::new("oh.toml")).unwrap_err();
    assert_eq!(
        machine.anonymous(&error.to_string()),
        "2 problems\n\
         - profile.ack.k8s.namespace = \"B\": is no DNS label: at most 63 of a-z, 0-9 and '-', with a letter or digit \
         at both ends (ROOT/project/oh.toml:4)\n\
         - profile.eks.runtime = \"eks\": unknown value, use docker, k8s or local \
         (ROOT/project/oh.toml:6)"
    );
    let machine = machine.project("[profile.ack.k8s]\nnamespace = 'b'\n[profile.eks]");
    let checked = check(&machine.environment, std::path::Path::new("oh.toml")).unwrap();
    assert_eq!(checked.profiles, ["ack", "eks"]);
}
