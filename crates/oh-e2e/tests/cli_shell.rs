//! `oh shell` through the real binary, at a terminal.

#![expect(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]

use oh_e2e::environment;
use oh_e2e::oh::{Kept, Running};
use oh_e2e::pty::Pty;

const IMAGE: &str = "oh-test:1";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const CTRL_Z: &str = "\x1a";

/// A shell that has shown its prompt, its terminal, and how that was before.
fn shell(kept: &Kept) -> (Running, Pty, String) {
    let mut terminal = Pty::open(24, 80).unwrap();
    let before = terminal.settings().unwrap();
    let running = kept.oh(["shell", &kept.name]).unwrap().env("TERM", "vt220").start_on(&terminal).unwrap();
    terminal.until("# ").unwrap();
    assert!(terminal.is_raw().unwrap(), "{}", kept.backend);
    (running, terminal, before)
}

/// Waits for the end; the terminal has to be what it was.
fn end(kept: &Kept, running: Running, terminal: &Pty, before: &str) -> Option<i32> {
    let code = running.finish().unwrap().code;
    assert_eq!(terminal.settings().unwrap(), before, "{}: {:?}", kept.backend, terminal.shown());
    code
}

#[test]
fn a_person_works_in_a_sandbox() {
    for backend in environment::backends() {
        let kept = Kept::new(&backend, "shell", IMAGE).unwrap();
        let (running, mut terminal, before) = shell(&kept);
        // What is looked for is never what was typed, which is shown too.
        terminal.press("echo on $TERM$((1)) with $(stty size)\n").unwrap();
        terminal.until("on vt2201 with 24 80").unwrap();
        terminal.resize(40, 100).unwrap();
        terminal
            .press("until [ \"$(stty size)\" = '40 100' ]; do sleep 0.05; done; echo re''sized\n")
            .unwrap();
        terminal.until("resized").unwrap();

        terminal.press("echo be''gun; sleep 100; echo not to be re''ached\n").unwrap();
        terminal.until("begun").unwrap();
        terminal.press(CTRL_C).unwrap();
        terminal.until("# ").unwrap();
        terminal.press("echo al''ive $?\n").unwrap();
        terminal.until("alive 130").unwrap();
        assert!(!terminal.shown().contains("to be reached"), "{backend}: {:?}", terminal.shown());

        terminal.press("sh -c 'echo in\"\"side; exec sleep 100'\n").unwrap();
        terminal.until("inside").unwrap();
        terminal.press(CTRL_Z).unwrap();
        terminal.until("Stopped").unwrap();
        terminal.press("kill -KILL %1; disown -a; exit 7\n").unwrap();
        assert_eq!(end(&kept, running, &terminal, &before), Some(7), "{backend}: {:?}", terminal.shown());

        let (running, mut terminal, before) = shell(&kept);
        terminal.press(CTRL_D).unwrap();
        assert_eq!(end(&kept, running, &terminal, &before), Some(0), "{backend}: {:?}", terminal.shown());
    }
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    for backend in environment::backends() {
        let kept = Kept::new(&backend, "given-back", IMAGE).unwrap();
        let (running, terminal, before) = shell(&kept);
        running.signal("TERM").unwrap();
        assert_eq!(end(&kept, running, &terminal, &before), Some(143), "{backend}: {:?}", terminal.shown());

        // One that does not hear: the second signal waits for nothing.
        let (running, mut terminal, before) = shell(&kept);
        terminal.press("trap '' TERM HUP; echo de''af\n").unwrap();
        terminal.until("deaf").unwrap();
        running.signal("TERM").unwrap();
        terminal.until("another signal leaves at once").unwrap();
        running.signal("TERM").unwrap();
        assert_eq!(end(&kept, running, &terminal, &before), Some(143), "{backend}: {:?}", terminal.shown());

        let (running, mut terminal, before) = shell(&kept);
        let removed = kept.oh(["rm", &kept.name]).unwrap().run().unwrap();
        assert_eq!(removed.code, Some(0), "{backend}: {removed:?}");
        assert_eq!(end(&kept, running, &terminal, &before), Some(125), "{backend}: {:?}", terminal.shown());
        terminal.until("failed to run").unwrap();
    }
}

#[test]
fn users_folders_and_programs_are_options() {
    for backend in environment::backends() {
        let kept = Kept::new(&backend, "who", IMAGE).unwrap();
        // Nobody's shell is none.
        let mut terminal = Pty::open(24, 80).unwrap();
        let options = ["shell", &kept.name, "--user", "nobody", "--cwd", "/tmp"];
        let running = kept.oh(options).unwrap().start_on(&terminal).unwrap();
        terminal.until("$ ").unwrap();
        terminal.press("echo I am $(id -un)$((1)) in $(pwd)$((2))\n").unwrap();
        terminal.until("I am nobody1 in /tmp2").unwrap();
        terminal.press("exit\n").unwrap();
        assert_eq!(running.finish().unwrap().code, Some(0), "{backend}: {:?}", terminal.shown());

        let mut terminal = Pty::open(24, 80).unwrap();
        let other = ["shell", &kept.name, "--", "python3", "-c", "input('your name? '); raise SystemExit(3)"];
        let running = kept.oh(other).unwrap().start_on(&terminal).unwrap();
        terminal.until("your name? ").unwrap();
        terminal.press("ann\n").unwrap();
        assert_eq!(running.finish().unwrap().code, Some(3), "{backend}: {:?}", terminal.shown());

        let missing = kept.oh(["shell", &kept.name, "--", "no-such-program"]).unwrap();
        let running = missing.start_on(&terminal).unwrap();
        assert_eq!(running.finish().unwrap().code, Some(127), "{backend}: {:?}", terminal.shown());
    }
}

#[test]
fn without_a_terminal_it_says_what_to_use() {
    for backend in environment::backends() {
        let kept = Kept::new(&backend, "piped", IMAGE).unwrap();
        let piped = kept.oh(["shell", &kept.name]).unwrap().stdin("exit 7\n").run().unwrap();
        assert_eq!(piped.code, Some(125), "{backend}: {piped:?}");
        assert!(piped.stderr.contains("oh exec -i"), "{backend}: {piped:?}");
    }
}
