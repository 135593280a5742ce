//! A terminal for a test to sit at.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Instant;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::oh::{Collected, LIMIT, POLL};

/// A terminal with a keyboard and a screen.
#[derive(Debug)]
pub struct Pty {
    keyboard: File,
    line: OwnedFd,
    screen: Collected,
    /// Bytes of the screen that were looked at.
    seen: usize,
}

impl Pty {
    /// One of this size.
    ///
    /// # Errors
    /// When the kernel has none.
    pub fn open(rows: u16, columns: u16) -> io::Result<Self> {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&controller)?;
        unlockpt(&controller)?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let line = rustix::fs::open(ptsname(&controller, Vec::new())?, flags, Mode::empty())?;
        let keyboard = File::from(controller);
        let screen = Collected::of(keyboard.try_clone()?);
        let pty = Self { keyboard, line, screen, seen: 0 };
        pty.resize(rows, columns)?;
        Ok(pty)
    }

    /// What a program on it has as its streams.
    ///
    /// # Errors
    /// When descriptors ran out.
    pub fn line(&self) -> io::Result<OwnedFd> {
        self.line.try_clone()
    }

    /// Gives it another size.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn resize(&self, rows: u16, columns: u16) -> io::Result<()> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(&self.keyboard, size)?)
    }

    /// Presses keys.
    ///
    /// # Errors
    /// When nobody is there to take them.
    pub fn press(&mut self, keys: &str) -> io::Result<()> {
        self.keyboard.write_all(keys.as_bytes())
    }

    /// Waits until `text` is shown behind what was waited for before; returns what is shown up to there.
    ///
    /// # Errors
    /// In words, when it does not come, with what came.
    pub fn until(&mut self, text: &str) -> Result<String, String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let shown = self.screen.so_far();
            let new = String::from_utf8_lossy(&shown[self.seen..]).into_owned();
            // What is cut in the middle of a character is lossy only behind the text that is looked for.
            if let Some(at) = new.find(text) {
                self.seen += at + text.len();
                return Ok(new[..at + text.len()].to_owned());
            }
            if Instant::now() > deadline {
                return Err(format!("{text:?} was not shown; behind what was looked at is {new:?}"));
            }
            thread::sleep(POLL);
        }
    }

    /// All that was ever shown.
    #[must_use]
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.so_far()).into_owned()
    }

    /// Its settings, for comparing.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn settings(&self) -> io::Result<String> {
        Ok(format!("{:?}", tcgetattr(&self.line)?))
    }

    /// Whether keys reach programs as they are.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn is_raw(&self) -> io::Result<bool> {
        let settings: Termios = tcgetattr(&self.line)?;
        Ok(!settings.local_modes.intersects(LocalModes::ICANON | LocalModes::ISIG | LocalModes::ECHO))
    }
}
