//! `oh port-forward` through the real binary.

#![expect(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use oh_e2e::data::{noise, sha256};
use oh_e2e::environment;
use oh_e2e::oh::Kept;
use serde_json::Value;

const IMAGE: &str = "oh-test:1";

/// Gives back what it gets, and says on which port.
const ECHO: &str = "
import os, socket, threading
listener = socket.create_server(('127.0.0.1', 0))
with open('/tmp/port.new', 'w') as file: file.write(str(listener.getsockname()[1]))
os.rename('/tmp/port.new', '/tmp/port')
def echo(peer):
    while data := peer.recv(65536): peer.sendall(data)
    peer.close()
while True: threading.Thread(target=echo, args=(listener.accept()[0],)).start()
";

/// Starts a server in the sandbox; returns its port.
fn serve(kept: &Kept) -> u16 {
    let started = kept.exec(&["--detach", "--", "python3", "-c", ECHO]).unwrap();
    assert_eq!(started.code, Some(0), "{}: {started:?}", kept.backend);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let read = kept.exec(&["--", "cat", "/tmp/port"]).unwrap();
        if read.code == Some(0) {
            return read.stdout.parse().unwrap();
        }
        assert!(Instant::now() < deadline, "{}: {read:?}", kept.backend);
    }
}

/// A port that was free just now.
fn unused() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What comes back of `bytes`.
fn exchange(local: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(local).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut back = Vec::new();
    thread::scope(|scope| {
        scope.spawn(move || {
            writer.write_all(bytes).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        stream.read_to_end(&mut back).unwrap();
    });
    back
}

/// The address of this machine in the line about `remote`.
fn local(said: &str, name: &str, remote: u16) -> String {
    let end = format!(" -> {name}:{remote}");
    let line = said.lines().find_map(|line| line.strip_prefix("forwarding ")?.strip_suffix(&end));
    line.unwrap_or_else(|| panic!("{said}")).to_owned()
}

#[test]
fn ports_lead_into_the_sandbox_until_a_signal() {
    for backend in environment::backends() {
        let kept = Kept::new(&backend, "forward", IMAGE).unwrap();
        let port = serve(&kept);
        let silent = unused();
        let (into, nowhere) = (format!(":{port}"), format!("0:{silent}"));
        let mut running = kept.oh(["port-forward", &kept.name, &into, &nowhere]).unwrap().start().unwrap();
        let said = running.until_said(&format!("{}:{silent}\n", kept.name)).unwrap();
        let (into, nowhere) = (local(&said, &kept.name, port), local(&said, &kept.name, silent));
        for number in 0..3 {
            let bytes = noise(60 + number, 1 << 20);
            assert_eq!(sha256(&exchange(&into, &bytes)), sha256(&bytes), "{backend}");
        }

        let mut refused = TcpStream::connect(&nowhere).unwrap();
        let error = refused.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{backend}");
        running.until_said(&format!("nothing listens on port {silent}")).unwrap();

        let taken = into.rsplit(':').next().unwrap();
        let second =
            kept.oh(["port-forward", &kept.name, &format!("{taken}:{port}")]).unwrap().run().unwrap();
        assert_eq!(second.code, Some(11), "{backend}: {second:?}");
        assert!(second.stderr.contains(&into), "{backend}: {second:?}");
        assert!(second.stderr.contains("takes any free one"), "{backend}: {second:?}");

        running.signal("INT").unwrap();
        let ran = running.finish().unwrap();
        assert_eq!(ran.code, Some(0), "{backend}: {ran:?}");
        let closed = TcpStream::connect(&into).unwrap_err();
        assert_eq!(closed.kind(), ErrorKind::ConnectionRefused, "{backend}");
    }
}

#[test]
fn programs_get_lines_of_json() {
    for backend in environment::backends() {
        let kept = Kept::new(&backend, "forward-json", IMAGE).unwrap();
        let port = serve(&kept);
        let (one, two) = (format!(":{port}"), format!("0:{port}"));
        let words = ["--output", "json", "port-forward", &kept.name, &one, &two];
        let mut running = kept.oh(words).unwrap().start().unwrap();
        let mut said = String::new();
        while said.lines().count() < 2 {
            said = running.until_said("}\n").unwrap();
        }
        for line in said.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!((&line["name"], &line["remote"]), (&Value::from(&*kept.name), &Value::from(port)));
            assert_eq!(exchange(line["local"].as_str().unwrap(), b"hello"), b"hello", "{backend}: {line}");
        }
        running.signal("TERM").unwrap();
        assert_eq!(running.finish().unwrap().code, Some(0), "{backend}");
    }
}

#[test]
fn it_ends_when_the_sandbox_is_gone() {
    for backend in environment::backends() {
        let kept = Kept::new(&backend, "forward-gone", IMAGE).unwrap();
        let mut running = kept.oh(["port-forward", &kept.name, ":80"]).unwrap().start().unwrap();
        running.until_said("forwarding ").unwrap();
        let removed = kept.oh(["rm", &kept.name]).unwrap().run().unwrap();
        assert_eq!(removed.code, Some(0), "{backend}: {removed:?}");
        let ran = running.finish().unwrap();
        assert_eq!(ran.code, Some(8), "{backend}: {ran:?}");
        assert!(ran.stderr.contains(&kept.name), "{backend}: {ran:?}");
        let again = kept.oh(["port-forward", &kept.name, ":80"]).unwrap().run().unwrap();
        assert_eq!(again.code, Some(5), "{backend}: {again:?}");
    }
}
