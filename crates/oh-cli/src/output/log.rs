//! What the libraries log, on standard error.

use std::io::{self, Write};

use oh_config::{LogConfig, LogFormat};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

use super::{Ui, bars};

/// Starts logging as configured. Results as JSON make log lines JSON too, so that all of standard error is.
pub(crate) fn start_log(ui: Ui, log: LogConfig) {
    let level = log.level.name().parse().unwrap_or(LevelFilter::WARN);
    // What goes wrong in libraries of others comes to us as an error, which is told or tried again: their own words about
    // it are for who looks into something.
    let others = if level > LevelFilter::WARN { LevelFilter::WARN } else { LevelFilter::OFF };
    let filter = Targets::new().with_default(others).with_target("oh", level);
    let ansi = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    let layer = tracing_subscriber::fmt::layer().with_ansi(ansi).with_writer(BesideBars);
    let layer = match log.format {
        LogFormat::Human if ui.json() => layer.json().boxed(),
        LogFormat::Json => layer.json().boxed(),
        // A warning is for the user; when and where it was said is for who looks into something.
        LogFormat::Human if level <= LevelFilter::WARN => layer.without_time().with_target(false).boxed(),
        LogFormat::Human => layer.boxed(),
    };
    // It fails when there is a log already, and there is none.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
}

/// Standard error; what is drawn there steps aside for each line.
struct BesideBars;

impl MakeWriter<'_> for BesideBars {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

impl Write for BesideBars {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        bars().suspend(|| io::stderr().write_all(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
