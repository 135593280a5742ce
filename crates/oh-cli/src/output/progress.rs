//! What moves on the screen. Drawn on standard error, when somebody watches it.

use std::sync::LazyLock;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressFinish, ProgressStyle};
use oh_runtime::CopyProgress;

use super::Ui;

const TICK: Duration = Duration::from_millis(120);

/// All that is drawn, so that whatever writes a line can have it step aside.
pub(crate) fn bars() -> &'static MultiProgress {
    static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);
    &BARS
}

/// Shows that `text` takes a while, until it is dropped.
pub(crate) fn spinner(ui: Ui, text: String) -> ProgressBar {
    add(ui, ProgressBar::new_spinner(), "{spinner} {wide_msg}").with_message(text)
}

/// Shows bytes that go by, until it is dropped; their total as soon as [`show`] knows it.
pub(crate) fn bytes_bar(ui: Ui, text: String) -> ProgressBar {
    add(ui, ProgressBar::no_length(), "{spinner} {msg}  {bytes} ({bytes_per_sec})").with_message(text)
}

/// Shows how far a copy is.
pub(crate) fn show(bar: &ProgressBar, progress: CopyProgress) {
    if let Some(total) = progress.total
        && bar.length().is_none()
    {
        bar.set_length(total);
        style(bar, "{msg}  {bar:30} {bytes}/{total_bytes} ({bytes_per_sec}, {eta} left)");
    }
    bar.set_position(progress.bytes);
}

/// Shows how many are done, until it is dropped; the prefix stands behind the bar, the message below it.
pub(crate) fn counting_bar(ui: Ui) -> ProgressBar {
    add(ui, ProgressBar::new(0), "{bar:30} {pos}/{len} {elapsed_precise}  {prefix}\n{wide_msg}")
}

fn add(ui: Ui, bar: ProgressBar, template: &str) -> ProgressBar {
    if !ui.animated() {
        return ProgressBar::hidden();
    }
    let bar = bars().add(bar.with_finish(ProgressFinish::AndClear));
    style(&bar, template);
    bar.enable_steady_tick(TICK);
    bar
}

fn style(bar: &ProgressBar, template: &str) {
    // The templates are constants of this file, so the default style never shows.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}
