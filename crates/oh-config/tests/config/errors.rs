//! What is wrong is said with the key, the place, and what would be right.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use oh_config::{Origin, Overrides, load_from};

use crate::Machine;

#[test]
fn one_problem_is_one_line() {
    for (text, message) in [
        ("runtme = 'local'", "runtme: unknown option, did you mean runtime?"),
        ("[docker]\npul = 'never'", "docker.pul: unknown option, did you mean docker.pull?"),
        ("host = 'x'", "host: unknown option, did you mean docker.host?"),
        ("[eval]\nttl = '1h'", "eval.ttl: unknown option, did you mean sandbox.ttl?"),
        ("[log]\ncolour = 'red'", "log.colour: unknown option, there are level, format"),
        (
            "[kubernetes]\nnamespace = 'x'",
            "kubernetes: unknown option, there are runtime, owner, agent, sandbox, \
          resources, docker, k8s, local, image, eval, log",
        ),
        ("runtime = 'vm'", "runtime: unknown value \"vm\", use docker, k8s or local"),
        ("runtime = 0", "runtime: expected text, found a number"),
        ("runtime = { name = 'local' }", "runtime: expected text, found a table"),
        ("docker = 'local'", "docker: expected a table, found text"),
        ("owner = ''", "owner: has to be text without control characters, and not empty"),
        ("[docker]\npull = 'Always'", "docker.pull: unknown value \"Always\", use missing, never or always"),
        ("[docker]\ntls_verify = 'yes'", "docker.tls_verify: expected true or false, found text"),
        ("[docker]\ncert_path = ''", "docker.cert_path: is empty"),
        ("[sandbox]\nttl = 90", "sandbox.ttl: \"90\" has no unit, write \"90s\" for seconds"),
        ("[sandbox]\nttl = '0s'", "sandbox.ttl: has to be more than nothing"),
        (
            "[sandbox]\ngrace = 'soon'",
            "sandbox.grace: \"soon\" is no duration, write one like \"90s\", \"10m\" or \"1h30m\"",
        ),
        (
            "[sandbox]\ngrace = 1.5",
            "sandbox.grace: expected a duration like \"90s\", \"10m\" or \"1h30m\", found a number",
        ),
        ("[sandbox]\nenv = { A = 1 }", "sandbox.env.A: expected text, found a number"),
        ("[sandbox]\nenv = ['A=1']", "sandbox.env: expected a table, found a list"),
        (
            "[sandbox]\nenv = { 'A=1' = '' }",
            "sandbox.env: \"A=1\" cannot be the name of an environment variable",
        ),
        ("[sandbox]\nmounts = '/a:/b'", "sandbox.mounts: expected a list, found text"),
        ("[sandbox]\nmounts = ['/a:/b']", "sandbox.mounts[0]: expected a table, found text"),
        ("[[sandbox.mounts]]\nsource = '/a'", "sandbox.mounts[0]: \"target\" is missing"),
        (
            "[[sandbox.mounts]]\nsource = '/a'\ntarget = 'b'",
            "sandbox.mounts[0].target: \"b\" is a path in the \
          sandbox, so it has to start with '/'",
        ),
        (
            "[[sandbox.mounts]]\nsource = '/a'\ntarget = '/b'\nread_olny = true",
            "sandbox.mounts[0].read_olny: unknown \
          option, did you mean sandbox.mounts[0].read_only?",
        ),
        ("[resources]\ncpu = '500m'", "resources.cpu: expected a number, found text"),
        ("[resources]\ncpu = 0", "resources.cpu: has to be more than 0"),
        ("[resources]\ncpu = nan", "resources.cpu: has to be more than 0"),
        (
            "[resources]\nmemory = '4GB'",
            "resources.memory: \"4GB\" is no size, its unit \"GB\" is none of Ki, Mi, Gi, \
          Ti, Pi, k, M, G, T",
        ),
        ("[resources]\nmemory = 0", "resources.memory: has to be more than 0"),
        (
            "[resources]\nmemory = true",
            "resources.memory: expected a size like \"4Gi\" or \"512Mi\", or a number of \
          bytes, found true or false",
        ),
        ("[resources]\npids = 0", "resources.pids: expected a whole number from 1 to 4294967295"),
        ("[resources]\npids = -1", "resources.pids: expected a whole number from 1 to 4294967295"),
        (
            "[resources]\npids = 1.5",
            "resources.pids: expected a whole number from 1 to 4294967295, found a number",
        ),
        ("[resources]\npids = 4294967296", "resources.pids: expected a whole number from 1 to 4294967295"),
        ("[eval]\nworkers = 0", "eval.workers: expected a whole number of 1 or more"),
        (
            "[log]\nlevel = 'loud'",
            "log.level: unknown value \"loud\", use off, error, warn, info, debug or trace",
        ),
    ] {
        assert_eq!(
            Machine::new().project(text).error(),
            format!("{message} (ROOT/project/oh.toml)"),
            "{text}"
        );
    }
}

#[test]
fn a_variable_is_named_as_the_user_knows_it() {
    for (name, value, message) in [
        ("OH_RUNTIME", "vm", "runtime: unknown value \"vm\", use docker, k8s or local"),
        ("OH_LOG", "1", "log.level: unknown value \"1\", use off, error, warn, info, debug or trace"),
        ("OH_OWNER", "a\nb", "owner: has to be text without control characters, and not empty"),
    ] {
        let expected = format!("{message} (environment variable {name})");
        assert_eq!(Machine::new().variable(name, value).error(), expected);
    }
    let mut machine = Machine::new();
    machine.environment.variables.insert("OH_AGENT".into(), OsString::from_vec(b"/\xff".to_vec()));
    assert_eq!(machine.error(), "agent.path: is not valid UTF-8 (environment variable OH_AGENT)");
}

#[test]
fn an_option_of_the_command_line_is_named_as_it_was_given() {
    let machine = Machine::new();
    let overrides = Overrides::new()
        .set("runtime", "--runtime", Some("podman"))
        .set("resources.pids", "--pids", Some("many"))
        .set("no.such", "--set", Some("x"));
    assert_eq!(
        machine.shown(load_from(&machine.environment, overrides)),
        "3 problems\n\
         - no: unknown option, there are runtime, owner, agent, sandbox, resources, docker, k8s, local, image, eval, log \
         (option --set)\n\
         - resources.pids: expected a whole number from 1 to 4294967295, found text (option --pids)\n\
         - runtime: unknown value \"podman\", use docker, k8s or local (option --runtime)"
    );
}

#[test]
fn what_a_higher_layer_replaces_does_not_matter() {
    let machine = Machine::new().project("runtime = 'podman'").variable("OH_RUNTIME", "local");
    machine.config();
}

#[test]
fn a_table_is_not_hidden_by_something_else_below() {
    let machine = Machine::new().user("docker = 'x'").project("[docker]\nhost = 'h'");
    assert_eq!(machine.error(), "docker: expected a table, found text (ROOT/home/.config/oh/config.toml)");
}

#[test]
fn all_problems_of_all_places_are_reported_at_once() {
    let machine = Machine::new()
        .system("ownr = 'x'")
        .user("[resources]\nmemory = 'lots'\ncpu = 'all'")
        .project("docker = 5\n[sandbox]\nttl = '5'\n[[sandbox.mounts]]\nsource = '/a'")
        .variable("OH_RUNTIME", "vm");
    assert_eq!(
        machine.error(),
        "7 problems\n\
         - docker: expected a table, found a number (ROOT/project/oh.toml)\n\
         - ownr: unknown option, did you mean owner? (ROOT/etc/config.toml)\n\
         - resources.cpu: expected a number, found text (ROOT/home/.config/oh/config.toml)\n\
         - resources.memory: \"lots\" is no size, write one like \"4Gi\", \"512Mi\" or \"10G\" \
         (ROOT/home/.config/oh/config.toml)\n\
         - runtime: unknown value \"vm\", use docker, k8s or local (environment variable OH_RUNTIME)\n\
         - sandbox.mounts[0]: \"target\" is missing (ROOT/project/oh.toml)\n\
         - sandbox.ttl: \"5\" has no unit, write \"5s\" for seconds (ROOT/project/oh.toml)"
    );
    let problems = machine.load().unwrap_err();
    assert_eq!(problems.problems()[4].key(), "runtime");
    assert_eq!(problems.problems()[4].origin(), &Origin::Environment("OH_RUNTIME".into()));
}

#[test]
fn a_named_file_has_to_exist() {
    let machine = Machine::new().project("owner = 'project'").variable("OH_CONFIG", "none.toml");
    assert_eq!(machine.error(), "ROOT/project/none.toml: does not exist, and OH_CONFIG names it");
    let overrides = Overrides::new().file(Some("other.toml".into()));
    assert_eq!(
        machine.shown(load_from(&machine.environment, overrides)),
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
fn broken_toml_is_located_and_not_quoted() {
    for (text, message) in [
        ("owner = 'x'\n[sandbox]\nttl = s3cret", "line 3, column 7: "),
        ("[sandbox.env]\nTOKEN = 's3cret", "line 2, column 16: "),
        ("owner = 's3cret'\nowner = 's3cret'", "line 2, column 1: "),
    ] {
        let error = Machine::new().project(text).error();
        assert!(error.starts_with(&format!("ROOT/project/oh.toml: is no TOML at {message}")), "{error}");
        assert!(!error.contains("s3cret") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn secrets_are_not_quoted() {
    for text in
        ["[sandbox.env]\nTOKEN = 53113", "sandbox = 's3cret'", "[docker]\nhost = { password = 's3cret' }"]
    {
        let error = Machine::new().project(text).error();
        assert!(!error.contains("s3cret") && !error.contains("53113"), "{error}");
    }
}

#[test]
fn a_tilde_needs_a_home() {
    let mut machine = Machine::new().project("[agent]\npath = '~/agent'");
    machine.environment.variables.clear();
    assert_eq!(
        machine.error(),
        "agent.path: starts with ~, and there is no home folder (ROOT/project/oh.toml)"
    );
}
