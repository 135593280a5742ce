//! The pages of `docs/reference` about the configuration. A test writes each when it is out of date, and fails, so that
//! nobody forgets to commit it; `cargo xtask tidy` runs that test.

use std::fmt::Write as _;

use crate::environment::{FACTS, file_variables};
use crate::kind::Kind;
use crate::openhands::{Does, FIELDS};
use crate::options::{self, Documented};
use crate::schema;
use crate::table::{SETTINGS, Setting};

const MADE: &str =
    "<!-- Made by `cargo test -p oh-config reference` from crates/oh-config; do not edit. -->\n";

const INTRODUCTION: &str = "\
# Configuration

A value is taken from the first of these places that has it:

1. the command line: an option of its own, such as `--runtime`, or `--set KEY=VALUE` for every key,
2. environment variables, listed in [env.md](env.md),
3. the chosen profile in any of the files below: `[profile.ack]`, with `--profile ack` or `OH_PROFILE=ack`,
4. the project's file, `oh.toml` or `oh.yaml`, in the current folder or the nearest one above; instead of it, the file that
   `--config` or `OH_CONFIG` names, which has to exist and may be [one of OpenHands](openhands-config.md),
5. the user's file, `~/.config/oh/config.toml` or `config.yaml` (in `$XDG_CONFIG_HOME`, if that is set),
6. the system's file, `/etc/oh/config.toml` or `config.yaml`,
7. the built-in value.

Tables are merged entry by entry; lists are replaced as a whole. An unknown option is an error.

- `oh config init` writes a file to begin with, for `docker`, `kind`, `ack`, `eks` or `aks`.
- `oh config check FILE` says all that is wrong with a file, each with its line; without a file, with what holds here.
- `oh config show` prints what holds, each value with where it came from.
- `oh config explain KEY` says all about one option.
- `oh config schema` prints the [JSON Schema](oh.schema.json), for editors.

How values are written:

- **Durations** are text with units: `\"90s\"`, `\"10m\"`, `\"1h30m\"`, `\"2d\"`. A number without a unit is refused.
- **Sizes** are text as Kubernetes writes it, `\"512Mi\"` (1024) or `\"10G\"` (1000), or a number of bytes.
- **Cores** are a number, or text like `\"500m\"`.
- **Paths** may start with `~`. A relative path in a file starts at that file's folder, any other at the current folder.
- **Secrets** are text, or `{ file = \"PATH\" }` for the text of a file. They are never shown.

In YAML the same, with the section as the outer key:

```yaml
runtime: k8s
k8s:
  namespace: sandboxes
  node_selector: { pool: sandboxes }
profile:
  ack:
    k8s: { context: ack-admin }
```
";

const ENVIRONMENT: &str = "\
# Environment variables

Every option has one. No others are read: those of OpenHands that start with `OH_` too disturb nothing, and a name that is
spelled almost as one of these is warned about. An empty variable counts as not set.

Text stays text: `1.30` is no number unless the option is one. Lists are `a,b` or JSON, tables are `a=b,c=d` or JSON, lists of
tables are JSON, or `a=b,c=d` for one. True is `true`, `1`, `yes` or `on`; false is `false`, `0`, `no` or `off`.

A variable for a secret has another one with `_FILE` behind its name, for a file that holds the value; for a table, an entry on
each line. Setting both is an error.

| variable | sets | is | meaning |
| --- | --- | --- | --- |
";

const OPENHANDS: &str = "\
# A `config.toml` of OpenHands

`--config` and `OH_CONFIG` take a file of OpenHands (version 0.62) as well, which is recognised by its tables, and `oh config
check FILE` says what becomes of it. A field that is set and has no meaning here is warned about; one that OpenHands does not
know is an error. What OpenHands takes when a field is not set does not matter: then our own built-in value holds. Other tables,
and other fields of `[core]`, are not about sandboxes and are left out.

| field | sets | how, or why not |
| --- | --- | --- |
";

/// Names and contents of the pages in `docs/reference`, all made from the tables of this crate.
#[must_use]
pub fn pages() -> [(&'static str, String); 4] {
    [
        ("config.md", config()),
        ("env.md", environment()),
        ("openhands-config.md", openhands()),
        ("oh.schema.json", format!("{:#}\n", schema())),
    ]
}

fn config() -> String {
    let mut page = format!("{MADE}{INTRODUCTION}");
    for section in options::sections() {
        let title =
            if section.name.is_empty() { "Top level".to_owned() } else { format!("`[{}]`", section.name) };
        let _ = write!(page, "\n## {title}\n\n");
        if !section.help.is_empty() {
            let _ = write!(page, "{}\n\n", section.help);
        }
        page.push_str(
            "| option | is | built-in value | variable | meaning |\n| --- | --- | --- | --- | --- |\n",
        );
        for option in &section.options {
            let Some(setting) = Setting::of(&option.key()) else { continue };
            let variables: Vec<_> = setting.variables.iter().map(|name| format!("`{name}`")).collect();
            let Documented { name, value, fixed, help, .. } = option;
            let example = if *fixed { String::new() } else { format!(" Example: `{value}`.") };
            let value = if *fixed { format!("`{value}`") } else { String::new() };
            row(
                &mut page,
                &[
                    format!("`{name}`"),
                    is(setting.kind),
                    value,
                    variables.join(", "),
                    format!("{help}{example}"),
                ],
            );
        }
    }
    page
}

fn environment() -> String {
    let mut page = format!("{MADE}{ENVIRONMENT}");
    for setting in SETTINGS {
        let help = options::help(setting.key);
        for name in setting.variables {
            let own =
                if name.starts_with("OH_") { "" } else { "The one of Docker's or Kubernetes' own tools. " };
            let flag = if *name == crate::environment::DOCKER_FLAG {
                "As for Docker, any value is true. "
            } else {
                ""
            };
            let key = format!("`{}`", setting.key);
            row(&mut page, &[format!("`{name}`"), key, is(setting.kind), format!("{own}{flag}{help}")]);
        }
        for (_, name) in file_variables().filter(|(of, _)| of.key == setting.key) {
            let key = format!("`{}`", setting.key);
            row(
                &mut page,
                &[format!("`{name}`"), key, "a path".to_owned(), "The file that holds it.".to_owned()],
            );
        }
    }
    for (name, help) in FACTS {
        row(&mut page, &[format!("`{name}`"), String::new(), "text".to_owned(), (*help).to_owned()]);
    }
    page
}

fn openhands() -> String {
    let mut page = format!("{MADE}{OPENHANDS}");
    for field in FIELDS {
        let keys: Vec<_> = field.does.keys().iter().map(|key| format!("`{key}`")).collect();
        let sets = match field.does {
            Does::Nothing => "nothing".to_owned(),
            Does::Part => String::new(),
            _ => keys.join(", "),
        };
        row(&mut page, &[format!("`[{}] {}`", field.table, field.name), sets, field.how.to_owned()]);
    }
    page
}

/// A kind, with words that are values as code.
fn is(kind: Kind) -> String {
    match kind {
        Kind::Word(words) => words.iter().map(|word| format!("`{}`", word[0])).collect::<Vec<_>>().join(", "),
        Kind::List(of) => format!("a list: {}", is(*of)),
        other => other.name(),
    }
}

fn row(page: &mut String, cells: &[String]) {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_pages_are_fresh() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
        let mut written = Vec::new();
        for (name, page) in pages() {
            let path = folder.join(name);
            if std::fs::read_to_string(&path).unwrap_or_default() != page {
                std::fs::write(&path, page).unwrap();
                written.push(name);
            }
        }
        assert!(
            written.is_empty(),
            "{written:?} were out of date and are written anew: look at the change and commit it"
        );
    }
}
