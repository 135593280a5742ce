//! The sandbox's log: the standard error of its first process.

use std::cell::RefCell;
use std::io::Write;
use std::time::Duration;

/// How long a note may wait for others.
const TOGETHER: Duration = Duration::from_millis(100);

thread_local! {
    static NOTES: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Writes one line.
pub(super) fn log(line: &str) {
    write(Some(line));
}

/// Writes one line soon, with those noted meanwhile: each writing wakes the container runtime, which is in the way of a
/// command that has just begun or ended. Needs the agent's thread.
pub(super) fn note(line: &str) {
    let first = NOTES.with_borrow_mut(|notes| {
        let first = notes.is_empty();
        push(notes, line);
        first
    });
    if first {
        tokio::task::spawn_local(async {
            tokio::time::sleep(TOGETHER).await;
            write(None);
        });
    }
}

fn push(notes: &mut String, line: &str) {
    notes.push_str("oh-agent: ");
    notes.push_str(line);
    notes.push('\n');
}

/// Writes what was noted, and another line.
fn write(line: Option<&str>) {
    let mut lines = NOTES.take();
    if let Some(line) = line {
        push(&mut lines, line);
    }
    // The log may be gone or full; the agent goes on.
    let _ = std::io::stderr().write_all(lines.as_bytes());
}
