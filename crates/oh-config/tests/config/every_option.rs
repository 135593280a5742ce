//! One test over the table of options: each is documented, can be set from every layer, and says where it was set.

use std::collections::BTreeMap;

use oh_config::{Config, Flavor, Origin, schema};

use crate::Machine;

/// For every option, a value that is not the built-in one, as TOML and as the text of a variable; and what else has to
/// be set for it to be right.
const VALUES: &[(&str, &str, &str, &str)] = &[
    ("runtime", "'local'", "local", ""),
    ("owner", "'me'", "me", ""),
    ("agent.path", "'/agent'", "/agent", ""),
    ("agent.delivery", "['memory']", "memory", ""),
    ("agent.image", "'agent:1'", "agent:1", ""),
    ("agent.present", "'/a'", "/a", ""),
    ("sandbox.ttl", "'1h'", "1h", ""),
    ("sandbox.lease", "'1h'", "1h", ""),
    ("sandbox.start_timeout", "'1h'", "1h", ""),
    ("sandbox.grace", "'1h'", "1h", ""),
    ("sandbox.cleanup", "'never'", "never", ""),
    ("sandbox.user", "'1000:1000'", "1000:1000", ""),
    ("sandbox.read_only_root", "true", "true", ""),
    ("sandbox.restricted", "true", "yes", ""),
    ("sandbox.env", "{ A = '1' }", "A=1", ""),
    (
        "sandbox.mounts",
        "[{ source = '/a', target = '/b', read_only = true }]",
        "source=/a,target=/b,read_only=true",
        "",
    ),
    ("resources.cpu", "'1500m'", "1500m", ""),
    ("resources.memory", "'1Gi'", "1Gi", ""),
    ("resources.ephemeral_storage", "'1Gi'", "1Gi", ""),
    ("resources.pids", "7", "7", ""),
    ("source.mount", "true", "1", "source.path=/src"),
    ("source.path", "'/src'", "/src", ""),
    ("source.claim", "'src'", "src", ""),
    ("source.target", "'/code'", "/code", ""),
    ("docker.host", "'tcp://h:1'", "tcp://h:1", ""),
    ("docker.tls_verify", "true", "1", ""),
    ("docker.cert_path", "'/certs'", "/certs", ""),
    ("docker.pull", "'always'", "Always", ""),
    ("docker.network", "'none'", "none", ""),
    (
        "docker.registry",
        "'r.example.com'",
        "r.example.com",
        "docker.registry_user=u docker.registry_password=p",
    ),
    ("docker.registry_user", "'u'", "u", "docker.registry=r.example.com docker.registry_password=p"),
    ("docker.registry_password", "'p'", "p", "docker.registry=r.example.com docker.registry_user=u"),
    ("k8s.kubeconfig", "'/k'", "/k", ""),
    ("k8s.context", "'c'", "c", ""),
    ("k8s.namespace", "'n'", "n", ""),
    ("k8s.service_account", "'s.a'", "s.a", ""),
    ("k8s.image_pull_secrets", "['a', 'b']", "a,b", ""),
    ("k8s.pull", "'never'", "Never", ""),
    ("k8s.node_selector", "{ 'x.io/pool' = '1.30' }", "x.io/pool=1.30", ""),
    (
        "k8s.tolerations",
        "[{ key = 'k', operator = 'Exists' }]",
        r#"[{"key": "k", "operator": "Exists"}]"#,
        "",
    ),
    ("k8s.labels", "{ team = 'a' }", "team=a", ""),
    ("k8s.annotations", "{ 'x.io/y' = 'any text' }", "x.io/y=any text", ""),
    ("k8s.priority_class", "'low'", "low", ""),
    ("k8s.runtime_class", "'gvisor'", "gvisor", ""),
    ("k8s.schedule_timeout", "'1h'", "1h", ""),
    ("local.state_dir", "'/s'", "/s", ""),
    ("local.image_dir", "'/i'", "/i", ""),
    ("image.template", "'a:{id}'", "a:{id}", ""),
    ("image.mirror", "'r.example.com'", "r.example.com", ""),
    ("image.repo", "'r.example.com/a'", "r.example.com/a", ""),
    ("eval.workers", "7", "7", ""),
    ("eval.timeout", "'1h'", "1h", ""),
    ("eval.out_dir", "'/o'", "/o", ""),
    ("log.level", "'trace'", "trace", ""),
    ("log.format", "'json'", "json", ""),
];

/// A place where an option can be set, and how it is called there.
#[derive(Debug, Clone, Copy)]
enum Layer {
    Toml(&'static str),
    Yaml(&'static str),
    Profile,
    Variable,
    CommandLine,
}

const LAYERS: [Layer; 7] = [
    Layer::Toml("etc/config.toml"),
    Layer::Toml("home/.config/oh/config.toml"),
    Layer::Toml("project/oh.toml"),
    Layer::Yaml("project/oh.yaml"),
    Layer::Profile,
    Layer::Variable,
    Layer::CommandLine,
];

/// TOML of inline tables and single quotes is almost YAML.
fn yaml(value: &str) -> String {
    value.replace(" = ", ": ")
}

fn toml_file(prefix: &str, key: &str, value: &str) -> String {
    match key.split_once('.') {
        Some((section, name)) => format!("\n[{prefix}{section}]\n{name} = {value}\n"),
        None if prefix.is_empty() => format!("\n\n{key} = {value}\n"),
        None => format!("\n[{}]\n{key} = {value}\n", prefix.trim_end_matches('.')),
    }
}

#[test]
fn every_option_is_set_from_every_layer_and_explained_with_its_origin() {
    let variables: BTreeMap<String, Vec<String>> = VALUES
        .iter()
        .map(|(key, ..)| {
            let inspection = Machine::new().builder().inspect().unwrap();
            ((*key).to_owned(), inspection.explain(key).unwrap().variables)
        })
        .collect();
    for (key, value, text, others) in VALUES {
        let mut values = Vec::new();
        for layer in LAYERS {
            let machine = Machine::new();
            let file = |machine: &Machine, path: &str| format!("{}:3", machine.path().join(path).display());
            let (machine, expected) = match layer {
                Layer::Toml(path) => {
                    let origin = file(&machine, path);
                    (machine.file(path, &toml_file("", key, value)), origin)
                }
                Layer::Yaml(path) => {
                    let origin = file(&machine, path);
                    let text = match key.split_once('.') {
                        Some((section, name)) => format!("\n{section}:\n  {name}: {}\n", yaml(value)),
                        None => format!("\n\n{key}: {}\n", yaml(value)),
                    };
                    (machine.file(path, &text), origin)
                }
                Layer::Profile => {
                    let origin = file(&machine, "project/oh.toml");
                    let text = toml_file("profile.ack.", key, value);
                    (machine.project(&text).variable("OH_PROFILE", "ack"), origin)
                }
                Layer::Variable => {
                    let name = &variables[*key][0];
                    (machine.variable(name, text), format!("environment variable {name}"))
                }
                Layer::CommandLine => (machine, "option --set".to_owned()),
            };
            let mut builder = machine.builder();
            for other in others.split_whitespace() {
                let (key, value) = other.split_once('=').unwrap();
                builder = builder.set(key, "--set", Some(value));
            }
            if let Layer::CommandLine = layer {
                builder = builder.set(key, "--set", Some(*text));
            }
            let inspection = builder.inspect().unwrap();
            let explained = inspection.explain(key).unwrap();
            assert_eq!(explained.origin.as_deref(), Some(&*expected), "{key} {layer:?}");
            assert_eq!(explained.places[0].origin, expected, "{key} {layer:?}");
            assert_eq!(explained.problems, [], "{key} {layer:?}");
            let config = inspection.config().unwrap_or_else(|error| panic!("{key} {layer:?}: {error}"));
            let origin = config.origin(key).or_else(|| {
                // A table says it for each entry.
                let name = explained.value.as_object()?.keys().next()?;
                config.origin(&format!("{key}.{name}"))
            });
            assert_eq!(origin.unwrap().to_string(), expected, "{key} {layer:?}");
            assert_ne!(origin, Some(&Origin::Default));
            values.push(machine.anonymous(&fields(&config)));
        }
        let untouched = Machine::new();
        let untouched = untouched.anonymous(&fields(&untouched.config()));
        for (value, layer) in values.iter().zip(LAYERS) {
            assert_eq!(*value, values[0], "{key} {layer:?}");
            // What is never shown does not show that it changed.
            assert!(*value != untouched || *key == "docker.registry_password", "{key} {layer:?}");
        }
    }
}

/// The values alone, which have to be the same whatever layer they came from.
fn fields(config: &Config) -> String {
    let shown = format!("{config:?}");
    shown.split(", origins: ").next().unwrap().to_owned()
}

#[test]
fn every_option_is_documented_and_in_the_schema() {
    let read = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
        std::fs::read_to_string(path).unwrap()
    };
    let (config, env, schema) = (read("config.md"), read("env.md"), schema());
    let inspection = Machine::new().builder().inspect().unwrap();
    for (key, ..) in VALUES {
        let explained = inspection.explain(key).unwrap();
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        assert!(config.contains(&format!("| `{name}` | ")), "{key}");
        assert!(explained.help.ends_with('.'), "{key}");
        assert!(!explained.variables.is_empty(), "{key}");
        for variable in &explained.variables {
            assert!(env.contains(&format!("| `{variable}` | `{key}` | ")), "{variable}");
            assert_eq!(inspection.explain(variable).unwrap().key, *key);
        }
        let top = if section.is_empty() { &schema } else { &schema["properties"][section] };
        assert!(top["properties"][name]["description"].is_string(), "{key}");
        assert!(explained.to_string().starts_with(key), "{key}");
    }
    // All there are: `oh config show` and the schema know no more than the table above.
    let sections = schema["properties"].as_object().unwrap();
    let options = sections.iter().filter(|(name, _)| *name != "profile");
    let count: usize =
        options.map(|(_, option)| option["properties"].as_object().map_or(1, |all| all.len())).sum();
    assert_eq!(count, VALUES.len());
}

#[test]
fn every_flavor_begins_with_the_same_advice() {
    for flavor in Flavor::ALL {
        assert!(
            flavor.file().starts_with("# Configuration of oh. `oh config check oh.toml`"),
            "{}",
            flavor.name()
        );
    }
}
