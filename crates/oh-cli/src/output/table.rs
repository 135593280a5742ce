//! Tables, and the colours in them.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, ContentArrangement, Table};

use super::printable;

/// A table without lines: a header in capitals and aligned columns. On a terminal it wraps to its width.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [Cell; N]>) -> String {
    let mut table = Table::new();
    // Colours are always in the text: what writes it takes them out where they cannot be shown.
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).enforce_styling();
    table.set_header(header.map(|name| Cell::new(name.to_uppercase())));
    table.add_rows(rows);
    let last = N.saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { 2 }));
    }
    table.trim_fmt()
}

/// A cell with text of others.
pub(crate) fn cell(text: &str) -> Cell {
    Cell::new(printable(text))
}
