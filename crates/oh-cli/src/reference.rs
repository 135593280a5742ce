//! The pages `docs/reference/cli.md` and `docs/reference/exit-codes.md`, and the scripts for shells beside them. A test
//! writes each when it is out of date, and fails, so that nobody forgets to commit it; `cargo xtask tidy` runs these tests.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::commands::completions::script;
use crate::exit_code::{COMMAND, OWN, Row};

const MADE: &str = "<!-- Made by `cargo test -p oh-cli reference` from crates/oh-cli/src; do not edit. -->\n";

#[test]
fn cli_page_is_fresh() {
    let mut oh = Cli::command();
    oh.build();
    let mut page = format!("{MADE}# Command line\n\n{}\n\n", about(&oh));
    example(&mut page, &oh);
    page.push_str("\n## Options of every command\n\n");
    arguments(&mut page, oh.get_arguments());
    for command in oh.get_subcommands() {
        section(&mut page, command);
    }
    check("cli.md", &page);
}

#[test]
fn exit_codes_page_is_fresh() {
    let mut page = format!(
        "{MADE}# Exit codes\n\nA code never changes its meaning. With `--output json` errors are JSON lines on standard \
         error, and `kind` says more than a code can.\n\nSignals: 129 is SIGHUP, 130 Ctrl-C, 137 SIGKILL or out of \
         memory, 141 SIGPIPE, 143 SIGTERM.\n"
    );
    page.push_str(
        "\n## `oh run`, `oh exec` and `oh shell`\n\nThey hand on the command's own code, so they have few of their own: those that \
         `docker run`, `timeout` and shells use. A command can exit with these codes too; with `--output json` the \
         field `end` tells how it really ended, and it is there only when the command ran and ended.\n\n",
    );
    codes(&mut page, COMMAND);
    page.push_str("\n## Every other command\n\n");
    codes(&mut page, OWN);
    check("exit-codes.md", &page);
}

#[test]
fn completions_are_fresh() {
    let shells = [("oh.bash", Shell::Bash), ("_oh", Shell::Zsh), ("oh.fish", Shell::Fish)];
    // All of them, so that one run writes what has to be written.
    let fresh = shells.map(|(name, shell)| is_fresh(&format!("completions/{name}"), &script(shell)));
    assert_eq!(fresh, [true; 3], "docs/reference/completions {STALE}");
}

#[test]
fn codes_and_kinds_appear_once_in_a_table() {
    for table in [OWN, COMMAND] {
        let kinds: Vec<_> = table.iter().flat_map(|row| row.kinds).collect();
        for (index, row) in table.iter().enumerate() {
            assert!(table[..index].iter().all(|other| other.code != row.code), "{}", row.meaning);
        }
        for (index, kind) in kinds.iter().enumerate() {
            assert!(!kinds[..index].contains(kind), "{kind:?}");
        }
    }
}

fn section(page: &mut String, command: &Command) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    if command.has_subcommands() {
        return command.get_subcommands().for_each(|command| section(page, command));
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let _ = write!(page, "\n## `{name}`\n\n{}\n\n```text\n{usage}\n```\n\n", about(command));
    arguments(page, command.get_arguments().filter(|argument| !argument.is_global_set()));
    page.push('\n');
    example(page, command);
}

fn about(command: &Command) -> String {
    let about = command.get_long_about().or(command.get_about());
    about.map(ToString::to_string).unwrap_or_default()
}

/// The examples behind the help text.
fn example(page: &mut String, command: &Command) {
    let Some(text) = command.get_after_help().map(ToString::to_string) else { return };
    let (title, lines) = text.split_once('\n').unwrap();
    let lines: Vec<&str> = lines.lines().map(str::trim_start).collect();
    let _ = write!(page, "{title}\n\n```sh\n{}\n```\n", lines.join("\n"));
}

fn arguments<'a>(page: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    page.push_str("| argument | meaning |\n| --- | --- |\n");
    for argument in arguments.filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version")) {
        let short = argument.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = write!(page, "| `{short}{argument}` | {}.", help.trim_end_matches('.').replace('|', "\\|"));
        if argument.get_action().takes_values() {
            let values = argument.get_possible_values();
            let values: Vec<_> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
            if !values.is_empty() && !argument.is_hide_possible_values_set() {
                let _ = write!(page, " One of {}.", values.join(", "));
            }
            if let [default] = argument.get_default_values() {
                let _ = write!(page, " Default: `{}`.", default.display());
            }
        }
        page.push_str(" |\n");
    }
}

fn codes(page: &mut String, table: &[Row]) {
    page.push_str("| code | meaning | kinds of error |\n| --- | --- | --- |\n");
    for row in table {
        let kinds: Vec<_> = row.kinds.iter().map(|kind| format!("`{}`", kind.name())).collect();
        let _ = writeln!(page, "| {} | {} | {} |", row.code, row.meaning, kinds.join(", "));
    }
}

/// What to say about a page that is not fresh.
const STALE: &str = "was out of date and is written anew: look at the change and commit it";

fn check(name: &str, page: &str) {
    assert!(is_fresh(name, page), "docs/reference/{name} {STALE}");
}

/// Whether the file is what it should be; now it is.
fn is_fresh(name: &str, page: &str) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    let page = format!("{}\n", page.trim_end());
    let fresh = std::fs::read_to_string(&path).is_ok_and(|there| there == page);
    if !fresh {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page).unwrap();
    }
    fresh
}
