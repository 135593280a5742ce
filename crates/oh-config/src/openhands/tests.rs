//! Every field of OpenHands, as a file that sets it and what it comes to.

use std::collections::BTreeSet;

use super::*;
use crate::{Config, Environment, check};

/// Field, its value as TOML, the option it sets, and that option's value as `oh config show` has it.
const SETS: &[(&str, &str, &str, &str)] = &[
    ("core.runtime", "'kubernetes'", "runtime", "\"k8s\""),
    ("core.runtime", "'eventstream'", "runtime", "\"docker\""),
    ("core.runtime", "'cli'", "runtime", "\"local\""),
    ("sandbox.keep_runtime_alive", "true", "sandbox.cleanup", "\"never\""),
    ("sandbox.keep_runtime_alive", "false", "sandbox.cleanup", "\"always\""),
    ("sandbox.base_container_image", "'debian:12'", "image.template", "\"debian:12\""),
    ("sandbox.runtime_container_image", "'debian:13'", "image.template", "\"debian:13\""),
    ("sandbox.user_id", "1000", "sandbox.user", "\"1000\""),
    ("sandbox.remote_runtime_init_timeout", "180", "sandbox.start_timeout", "\"180s\""),
    ("sandbox.remote_runtime_class", "'sysbox'", "k8s.runtime_class", "\"sysbox-runc\""),
    ("sandbox.remote_runtime_class", "'gvisor'", "k8s.runtime_class", "\"gvisor\""),
    ("sandbox.enable_auto_lint", "true", "sandbox.env", "{\"ENABLE_AUTO_LINT\":\"(hidden)\"}"),
    ("sandbox.enable_auto_lint", "false", "sandbox.env", "{}"),
    (
        "sandbox.runtime_startup_env_vars",
        "{ A = '1', B = 2 }",
        "sandbox.env",
        "{\"A\":\"(hidden)\",\"B\":\"(hidden)\"}",
    ),
    ("sandbox.close_delay", "3600", "sandbox.lease", "\"3600s\""),
    (
        "sandbox.volumes",
        "'/a:/b:ro,/c:/d'",
        "sandbox.mounts",
        "[{\"read_only\":true,\"source\":\"/a\",\"target\":\"/b\"},{\"read_only\":false,\"source\":\"/c\",\"target\":\"/d\"}]",
    ),
    ("kubernetes.namespace", "'boxes'", "k8s.namespace", "\"boxes\""),
    ("kubernetes.resource_cpu_request", "'500m'", "resources.cpu", "\"500m\""),
    ("kubernetes.resource_memory_request", "'1Gi'", "resources.memory", "\"1Gi\""),
    ("kubernetes.resource_memory_limit", "'2Gi'", "resources.memory", "\"2Gi\""),
    ("kubernetes.image_pull_secret", "'acr'", "k8s.image_pull_secrets", "[\"acr\"]"),
    (
        "kubernetes.node_selector_key",
        "'pool'\nnode_selector_val = 'boxes'",
        "k8s.node_selector",
        "{\"pool\":\"boxes\"}",
    ),
    (
        "kubernetes.tolerations_yaml",
        "'''\n- key: boxes\n  operator: Exists\n  effect: NoSchedule\n'''",
        "k8s.tolerations",
        "[{\"effect\":\"NoSchedule\",\"key\":\"boxes\",\"operator\":\"Exists\"}]",
    ),
];

/// Fields without a meaning, with a value each.
const NOTHING: &[(&str, &str)] = &[
    ("sandbox.remote_runtime_api_url", "'http://localhost:8000'"),
    ("sandbox.local_runtime_url", "'http://localhost'"),
    ("sandbox.pause_closed_runtimes", "true"),
    ("sandbox.rm_all_containers", "true"),
    ("sandbox.api_key", "'s3cret'"),
    ("sandbox.timeout", "120"),
    ("sandbox.remote_runtime_api_timeout", "10"),
    ("sandbox.remote_runtime_enable_retries", "true"),
    ("sandbox.use_host_network", "true"),
    ("sandbox.additional_networks", "['a']"),
    ("sandbox.runtime_binding_address", "'0.0.0.0'"),
    ("sandbox.runtime_extra_build_args", "['--x']"),
    ("sandbox.initialize_plugins", "true"),
    ("sandbox.force_rebuild_runtime", "true"),
    ("sandbox.runtime_extra_deps", "'pip install x'"),
    ("sandbox.browsergym_eval_env", "'x'"),
    ("sandbox.platform", "'linux/amd64'"),
    ("sandbox.remote_runtime_resource_factor", "2"),
    ("sandbox.enable_gpu", "true"),
    ("sandbox.docker_runtime_kwargs", "{ privileged = true }"),
    ("sandbox.selected_repo", "'a/b'"),
    ("sandbox.trusted_dirs", "['/a']"),
    ("sandbox.vscode_port", "41234"),
    ("sandbox.cuda_visible_devices", "'0'"),
    ("kubernetes.ingress_domain", "'localhost'"),
    ("kubernetes.pvc_storage_size", "'2Gi'"),
    ("kubernetes.pvc_storage_class", "'fast'"),
    ("kubernetes.ingress_tls_secret", "'tls'"),
    ("kubernetes.privileged", "true"),
];

/// A folder with a file of OpenHands in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
        Self(folder)
    }

    fn environment(&self) -> Environment {
        Environment { current_dir: self.0.path().to_owned(), ..Environment::default() }
    }

    fn builder(&self) -> crate::ConfigBuilder {
        Config::builder().environment(self.environment()).file(Some("config.toml".into()))
    }

    fn error(&self) -> String {
        let error = self.builder().load().unwrap_err().to_string();
        error.replace(self.0.path().to_str().unwrap(), "ROOT")
    }
}

fn file_of(key: &str, value: &str) -> Folder {
    let (table, name) = key.split_once('.').unwrap();
    Folder::with(&format!("\n\n[{table}]\n{name} = {value}\n"))
}

#[test]
fn every_field_is_tried() {
    let tried: BTreeSet<String> =
        SETS.iter().map(|row| row.0).chain(NOTHING.iter().map(|row| row.0)).map(str::to_owned).collect();
    let all = FIELDS.iter().filter(|field| !matches!(field.does, Does::Part));
    assert_eq!(tried, all.map(|field| join(field.table, field.name)).collect());
    assert_eq!(FIELDS.iter().filter(|field| field.table == "kubernetes").count(), 13);
    assert_eq!(FIELDS.iter().filter(|field| field.table == "sandbox").count(), 34);
}

#[test]
fn fields_set_their_options_and_the_options_say_where() {
    for (key, value, option, expected) in SETS {
        let folder = file_of(key, value);
        let inspection = folder.builder().inspect().unwrap();
        let explained = inspection.explain(option).unwrap();
        assert_eq!(explained.value.to_string(), *expected, "{key}");
        assert!(inspection.warnings().is_empty(), "{key}: {:?}", inspection.warnings());
        assert_eq!(explained.problems, [], "{key}");
        if explained.origin.as_deref() != Some("built-in value") {
            let line = folder.0.path().join("config.toml").display().to_string() + ":4";
            assert!(
                explained.origin.as_ref().is_some_and(|origin| origin.starts_with(&line)),
                "{key}: {explained:?}"
            );
        }
        check(&folder.environment(), Path::new("config.toml")).unwrap();
    }
}

#[test]
fn fields_without_a_meaning_are_told_with_the_reason() {
    for (key, value) in NOTHING {
        let folder = file_of(key, value);
        let warnings = folder.builder().load().unwrap().warnings().to_vec();
        let field = FIELDS.iter().find(|field| join(field.table, field.name) == *key).unwrap();
        let place = folder.0.path().join("config.toml");
        let expected = format!("{key} has no meaning here: {} ({}:4)", field.how, place.display());
        assert_eq!(warnings, [expected]);
        assert_eq!(
            check(&folder.environment(), Path::new("config.toml")).unwrap().warnings.len(),
            1,
            "{key}"
        );
    }
}

#[test]
fn what_cannot_be_mapped_is_an_error_with_its_line() {
    for (text, message) in [
        (
            "[core]\nruntime = 'remote'",
            "core.runtime: \"remote\" is no runtime here, use docker, kubernetes or local (ROOT/config.toml:2)",
        ),
        (
            "[kubernetes]\nnamespce = 'a'",
            "kubernetes.namespce: is no field of OpenHands; did you mean kubernetes.namespace? (ROOT/config.toml:2)",
        ),
        (
            "[kubernetes]\nnamespace = 'A_b'",
            "k8s.namespace = \"A_b\": is no DNS label: at most 63 of a-z, 0-9 and '-', with a letter or digit at both ends (ROOT/config.toml:2)",
        ),
        (
            "[kubernetes]\nnode_selector_key = 'a'",
            "kubernetes.node_selector_key: needs node_selector_val (ROOT/config.toml:2)",
        ),
        (
            "[kubernetes]\ntolerations_yaml = '- toleration_seconds: 5'",
            "k8s.tolerations[0].toleration_seconds: unknown field, there are key, operator, value, effect (ROOT/config.toml:2)",
        ),
        (
            "[core]\n[sandbox]\nvolumes = '/a:/b:overlay'",
            "sandbox.volumes: volume 1: there is no mode \"overlay\" here, use ro or rw (ROOT/config.toml:3)",
        ),
        (
            "[core]\n[sandbox]\nvolumes = 'named:/b'",
            "sandbox.volumes: volume 1: its source is no path of this machine (ROOT/config.toml:3)",
        ),
        (
            "[core]\n[sandbox]\ntimeout = 1\nuser_id = 'me'",
            "sandbox.user_id: expected a number, found text (ROOT/config.toml:4)",
        ),
        ("core = 1", "core: expected a table, found a number (ROOT/config.toml:1)"),
    ] {
        assert_eq!(Folder::with(text).error(), message);
    }
}

#[test]
fn a_file_is_theirs_by_its_tables() {
    let is = |text: &str| is_config(&crate::file::parse_toml(text).unwrap().values);
    for text in [
        "[core]",
        "[llm]\nmodel = 'x'",
        "[kubernetes]\n[sandbox]\n",
        "[sandbox]\ntimeout = 120",
        "[sandbox]\nuser_id = 1\n[agent]",
    ] {
        assert!(is(text), "{text}");
    }
    for text in [
        "",
        "runtime = 'k8s'",
        "[sandbox]\nttl = '1h'",
        "[sandbox]\nttl = '1h'\ntimeout = 1",
        "[k8s]\n[kubernetes]",
        "[sandbox]",
        "[agent]",
    ] {
        assert!(!is(text), "{text}");
    }
}

#[test]
fn what_is_not_about_sandboxes_is_left_out_and_named() {
    let folder = Folder::with(
        "[core]\nruntime = 'docker'\nworkspace_base = '/w'\n[llm]\napi_key = 's3cret'\n[sandbox]\napi_key = ''\n",
    );
    let warnings = folder.builder().load().unwrap().warnings().join("\n");
    assert!(
        warnings.ends_with("config.toml: not about sandboxes, left out: core.workspace_base, [llm]"),
        "{warnings}"
    );
    assert!(!warnings.contains("s3cret"));
}
