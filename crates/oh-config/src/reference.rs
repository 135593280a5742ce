//! The page `docs/reference/config.md`. A test writes it when it is out of date, and fails, so that nobody forgets to
//! commit it.

use std::fmt::Write as _;

use crate::environment::{Meaning, VARIABLES};
use crate::options::{self, Documented};

const INTRODUCTION: &str = "\
<!-- Made by `cargo test -p oh-config reference` from crates/oh-config; do not edit. -->
# Configuration

A value is taken from the first of these places that has it:

1. the command line,
2. environment variables, listed [below](#environment-variables),
3. `oh.toml` in the current folder; instead of it, the file that `--config` or `OH_CONFIG` names, which has to exist,
4. the user's file, `~/.config/oh/config.toml` (or `oh/config.toml` in `$XDG_CONFIG_HOME`),
5. the system's file, `/etc/oh/config.toml`,
6. the built-in value.

Tables are merged entry by entry; lists are replaced as a whole. An unknown option is an error.

- **Durations** are text with units: `\"90s\"`, `\"10m\"`, `\"1h30m\"`, `\"2d\"`. A number without a unit is refused.
- **Sizes** are text as Kubernetes writes it, `\"512Mi\"` (1024) or `\"10G\"` (1000), or a number of bytes.
- **Paths** may start with `~`. A relative path in a file starts at that file's folder, any other at the current folder.
";

/// All options and variables as a page in Markdown, from the comments of `default.toml` and the table of variables.
#[must_use]
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    for section in options::sections() {
        let title =
            if section.name.is_empty() { "Top level".to_owned() } else { format!("`[{}]`", section.name) };
        page.push_str(&format!("\n## {title}\n\n"));
        if !section.help.is_empty() {
            page.push_str(&format!("{}\n\n", section.help));
        }
        page.push_str("| option | built-in value | variable | meaning |\n| --- | --- | --- | --- |\n");
        for option in &section.options {
            let value = if option.fixed { format!("`{}`", option.value) } else { String::new() };
            let variable = variable(option).map(|name| format!("`{name}`")).unwrap_or_default();
            let example = if option.fixed { String::new() } else { format!(" Example: `{}`.", option.value) };
            let row = [format!("`{}`", option.name), value, variable, option.help.clone() + &example];
            let _ = writeln!(page, "| {} |", row.map(|cell| cell.replace('|', "\\|")).join(" | "));
        }
    }
    page.push_str("\n## Environment variables\n\nNo others are read. An empty one counts as not set.\n\n");
    page.push_str("| variable | sets | meaning |\n| --- | --- | --- |\n");
    for variable in VARIABLES {
        let sets = match variable.meaning {
            Meaning::Option(key) | Meaning::Flag(key) => format!("`{key}`"),
            Meaning::Fact => String::new(),
        };
        let _ = writeln!(page, "| `{}` | {sets} | {} |", variable.name, variable.help);
    }
    page
}

fn variable(option: &Documented) -> Option<&'static str> {
    let key = option.key();
    let sets = |meaning| matches!(meaning, Meaning::Option(own) | Meaning::Flag(own) if own == key);
    VARIABLES.iter().find(|variable| sets(variable.meaning)).map(|variable| variable.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_reference_is_fresh() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/config.md");
        let page = reference();
        if std::fs::read_to_string(&path).unwrap_or_default() != page {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, page).unwrap();
            panic!(
                "docs/reference/config.md was out of date and is written anew: look at the change and commit it"
            );
        }
    }
}
