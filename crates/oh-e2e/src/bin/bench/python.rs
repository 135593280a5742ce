//! The Kubernetes client for Python, in one process that has it loaded and is connected.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::Outcome;
use crate::peer::{Bed, CONTAINER};

const PROGRAM: &str = include_str!("exec.py");

/// A program that executes `true` for each line it is sent, and answers with the seconds it took.
pub(crate) struct Python {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Python {
    pub(crate) fn start(interpreter: &str, bed: &Bed) -> Outcome<Self> {
        let namespace = bed.pods()?.clone().into_client().default_namespace().to_owned();
        let mut child = Command::new(interpreter)
            .args(["-c", PROGRAM, &bed.name, &namespace, CONTAINER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().ok_or("no input")?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut python = Self { child, input, output };
        // The first one is the start of everything, too.
        python.exec()?;
        Ok(python)
    }

    pub(crate) fn exec(&mut self) -> Outcome<Duration> {
        self.input.write_all(b"\n")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let seconds = line.trim_end().parse().map_err(|_| "the Python client failed")?;
        Ok(Duration::try_from_secs_f64(seconds)?)
    }

    pub(crate) fn end(mut self) -> Outcome {
        drop(self.input);
        self.child.wait()?;
        Ok(())
    }
}
