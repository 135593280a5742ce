//! What a terminal shows, as text: the lines of a screen and of the history above it, without colours.
//!
//! The measures are those of OpenHands' tmux, so that its limits hold here too. Whatever a command prints, a screen holds
//! no more than `(HISTORY + HEIGHT) * WIDTH` characters.

use std::collections::VecDeque;

use vte::{Params, Parser, Perform};

/// Columns; longer lines go on in the next row, and are one line of text again.
pub(super) const WIDTH: u16 = 1000;
/// Rows of the screen.
pub(super) const HEIGHT: u16 = 1000;
/// Rows kept above it.
const HISTORY: usize = 10_000;
/// Rows that OpenHands' prompt and the command take above an output and the next prompt below it; they count when old rows
/// are dropped.
const PROMPT: usize = 12;
/// Longest control string that is looked at: an end has a path in it.
const OSC: usize = 8192;

const COLUMNS: usize = WIDTH as usize;
const ROWS: usize = HEIGHT as usize;

/// How the shell says something to the session: a control string with this name and the running command's nonce.
const NAME: &[u8] = b"oh";

/// A screen and what was said on it.
#[derive(Default)]
pub(super) struct Screen {
    parser: Parser<OSC>,
    grid: Grid,
}

/// What a command left when it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// What the screen showed.
    pub(super) shown: Shown,
    /// What the shell said: exit code, background process, user, host, python, folder.
    pub(super) fields: [String; 6],
}

/// The text of a screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// Its lines, without spaces at their ends.
    pub(super) text: String,
    /// Whether lines at its beginning were dropped.
    pub(super) truncated: bool,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").field("rows", &self.grid.rows.len()).finish_non_exhaustive()
    }
}

impl Screen {
    /// Shows what a command printed.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.parser.advance(&mut self.grid, bytes);
    }

    /// Waits for the end of the command of this nonce, which may have begun. What is on the screen was printed by what runs
    /// in the background, and stays.
    pub(super) fn expect(&mut self, nonce: String, begun: bool) {
        self.grid.ended = None;
        self.grid.nonce = Some(nonce);
        self.grid.begun = begun;
    }

    /// Whether the shell has read the expected command.
    pub(super) const fn has_begun(&self) -> bool {
        self.grid.begun
    }

    /// How the expected command ended, once.
    pub(super) fn take_ended(&mut self) -> Option<Ended> {
        self.grid.ended.take()
    }

    /// Whether the expected command ended.
    pub(super) const fn has_ended(&self) -> bool {
        self.grid.ended.is_some()
    }

    /// What it shows.
    pub(super) fn shown(&self) -> Shown {
        self.grid.shown()
    }
}

#[derive(Debug, Clone, Default)]
struct Row {
    cells: Vec<char>,
    /// The line goes on in the next row.
    wrapped: bool,
}

/// Rows, how many are above and how many a prompt's, row and column of the cursor: as in [`Grid`].
type Behind = (VecDeque<Row>, usize, usize, usize, usize);

#[derive(Debug)]
struct Grid {
    /// History and screen. Rows below the last one are empty and not there.
    rows: VecDeque<Row>,
    /// How many of them are history.
    above: usize,
    /// How many at the beginning stand for a prompt, and are not shown.
    prompt: usize,
    /// Of the screen.
    row: usize,
    column: usize,
    saved: (usize, usize),
    /// The screen behind that of a program that took all of it.
    behind: Option<Box<Behind>>,
    truncated: bool,
    nonce: Option<String>,
    begun: bool,
    ended: Option<Ended>,
}

impl Default for Grid {
    fn default() -> Self {
        Self {
            rows: VecDeque::from(vec![Row::default(); PROMPT]),
            above: 0,
            prompt: PROMPT,
            row: PROMPT,
            column: 0,
            saved: (PROMPT, 0),
            behind: None,
            truncated: false,
            nonce: None,
            begun: false,
            ended: None,
        }
    }
}

impl Grid {
    fn shown(&self) -> Shown {
        let mut text = String::new();
        for row in self.rows.iter().skip(self.prompt) {
            text.extend(&row.cells);
            if !row.wrapped {
                text.truncate(text.trim_end_matches(' ').len());
                text.push('\n');
            }
        }
        text.truncate(text.trim_end_matches('\n').len());
        Shown { text, truncated: self.truncated }
    }

    fn clear(&mut self) {
        let (nonce, ended) = (self.nonce.take(), self.ended.take());
        *self = Self { nonce, begun: self.begun, ended, ..Self::default() };
    }

    /// The row of the cursor, which is made when it is not there.
    fn here(&mut self) -> &mut Row {
        let index = self.above + self.row;
        if self.rows.len() <= index {
            self.rows.resize_with(index + 1, Row::default);
        }
        &mut self.rows[index]
    }

    fn put(&mut self, cell: char) {
        if self.column >= COLUMNS {
            self.here().wrapped = true;
            self.line_feed();
            self.column = 0;
        }
        let column = self.column;
        let row = self.here();
        if row.cells.len() < column {
            row.cells.resize(column, ' ');
        }
        match row.cells.get_mut(column) {
            Some(old) => *old = cell,
            None => row.cells.push(cell),
        }
        self.column += 1;
    }

    fn line_feed(&mut self) {
        self.here();
        if self.row + 1 < ROWS {
            self.row += 1;
            return;
        }
        // As tmux does it: a tenth at once.
        if self.above >= HISTORY {
            self.rows.drain(..HISTORY / 10);
            self.above -= HISTORY / 10;
            self.prompt = 0;
            self.truncated = true;
        }
        self.above += 1;
    }

    /// Removes the rows from the `from`th of the screen.
    fn cut(&mut self, from: usize) {
        self.rows.truncate(self.above + from);
        self.prompt = self.prompt.min(self.rows.len());
    }

    fn erase_display(&mut self, how: u16) {
        let (row, column) = (self.row, self.column);
        match how {
            0 => {
                self.here().cells.truncate(column);
                self.cut(row + 1);
            }
            1 => {
                for index in 0..row {
                    if let Some(row) = self.rows.get_mut(self.above + index) {
                        *row = Row::default();
                    }
                }
                self.erase_line(1);
            }
            2 => self.cut(0),
            3 => {
                let above = std::mem::take(&mut self.above);
                self.rows.drain(..above.min(self.rows.len()));
                self.prompt = 0;
            }
            _ => {}
        }
    }

    fn erase_line(&mut self, how: u16) {
        let column = self.column;
        let row = self.here();
        let length = row.cells.len();
        match how {
            0 => row.cells.truncate(column),
            1 => row.cells[..length.min(column + 1)].fill(' '),
            2 => row.cells.clear(),
            _ => {}
        }
    }

    fn move_to(&mut self, row: usize, column: usize) {
        if self.above + row < self.prompt {
            self.prompt = 0;
        }
        self.row = row.min(ROWS - 1);
        self.column = column.min(COLUMNS - 1);
    }

    /// The other screen, for programs that take all of it, and back.
    fn alternate(&mut self, on: bool) {
        match (on, self.behind.take()) {
            (true, None) => {
                let rows = std::mem::take(&mut self.rows);
                let (above, prompt) = (std::mem::take(&mut self.above), std::mem::take(&mut self.prompt));
                self.behind = Some(Box::new((rows, above, prompt, self.row, self.column)));
                self.move_to(0, 0);
            }
            (false, Some(behind)) => (self.rows, self.above, self.prompt, self.row, self.column) = *behind,
            (_, behind) => self.behind = behind,
        }
    }
}

impl Perform for Grid {
    fn print(&mut self, c: char) {
        self.put(c);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\n' | 0x0b | 0x0c => self.line_feed(),
            b'\r' => self.column = 0,
            8 => self.column = self.column.saturating_sub(1),
            // Kept as it is: who copies text from a screen into an edit means what the file has.
            b'\t' => self.put('\t'),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _ignore: bool, action: char) {
        let mut values = params.iter().map(|param| param.first().copied().unwrap_or(0));
        let (first, second) = (values.next().unwrap_or(0), values.next().unwrap_or(0));
        let count = usize::from(first.max(1));
        let (row, column) = (self.row, self.column);
        if intermediates == b"?" {
            if [47, 1047, 1049].contains(&first) && "hl".contains(action) {
                self.alternate(action == 'h');
            }
            return;
        }
        match action {
            'A' => self.move_to(row.saturating_sub(count), column),
            'B' | 'e' => self.move_to(row + count, column),
            'C' | 'a' => self.move_to(row, column + count),
            'D' => self.column = column.saturating_sub(count),
            'E' => self.move_to(row + count, 0),
            'F' => self.move_to(row.saturating_sub(count), 0),
            'G' | '`' => self.move_to(row, count - 1),
            'd' => self.move_to(count - 1, column),
            'H' | 'f' => self.move_to(count - 1, usize::from(second.max(1)) - 1),
            'J' => self.erase_display(first),
            'K' => self.erase_line(first),
            'P' => {
                let cells = &mut self.here().cells;
                let end = cells.len();
                cells.drain(column.min(end)..(column + count).min(end));
            }
            '@' => {
                let cells = &mut self.here().cells;
                let at = column.min(cells.len());
                cells.splice(at..at, std::iter::repeat_n(' ', count.min(COLUMNS)));
                cells.truncate(COLUMNS);
            }
            'X' => {
                let cells = &mut self.here().cells;
                let end = cells.len();
                cells[column.min(end)..(column + count).min(end)].fill(' ');
            }
            's' => self.saved = (row, column),
            'u' => self.move_to(self.saved.0, self.saved.1),
            _ => {}
        }
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], _ignore: bool, byte: u8) {
        match (intermediates, byte) {
            ([], b'7') => self.saved = (self.row, self.column),
            ([], b'8') => self.move_to(self.saved.0, self.saved.1),
            ([], b'D') => self.line_feed(),
            ([], b'E') => {
                self.line_feed();
                self.column = 0;
            }
            ([], b'M') => self.move_to(self.row.saturating_sub(1), self.column),
            ([], b'c') => self.clear(),
            _ => {}
        }
    }

    fn osc_dispatch(&mut self, params: &[&[u8]], _bell_terminated: bool) {
        let Some(nonce) = &self.nonce else { return };
        match params {
            [NAME, said] if *said == nonce.as_bytes() => self.begun = true,
            [NAME, said, b"echo"] if *said == nonce.as_bytes() => {
                self.begun = true;
                self.clear();
            }
            [NAME, said, code, pid, user, host, python, folder @ ..] if *said == nonce.as_bytes() => {
                let field = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                // A folder may have a semicolon in its name.
                let folder = folder.join(&b';');
                let fields =
                    [field(code), field(pid), field(user), field(host), field(python), field(&folder)];
                (0..PROMPT).for_each(|_| self.line_feed());
                let shown = self.shown();
                self.clear();
                self.nonce = None;
                self.ended = Some(Ended { shown, fields });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8]) -> String {
        let mut whole = Screen::default();
        whole.feed(bytes);
        let mut pieces = Screen::default();
        bytes.iter().for_each(|byte| pieces.feed(&[*byte]));
        assert_eq!(whole.shown(), pieces.shown());
        whole.shown().text
    }

    #[test]
    fn a_line_is_what_it_looks_like_at_last() {
        for (bytes, expected) in [
            (&b"one\r\ntwo\r\n"[..], "one\ntwo"),
            (b"10%\r20%\r100%\r\n", "100%"),
            (b"abcdef\r\x1b[Kxy", "xy"),
            (b"abc\x08\x08X", "aXc"),
            (b"\x1b[1;31mred\x1b[0m plain  \r\nnext", "red plain\nnext"),
            (b"a\tb", "a\tb"),
            ("grüße ✓ 日本".as_bytes(), "grüße ✓ 日本"),
            (b"\x1b]0;a title\x07text", "text"),
            (b"old\r\n\x1b[H\x1b[2Jnew", "new"),
            (b"before\x1b[?1049h\x1b[Hall of it\x1b[?1049l after", "before after"),
            (b"\x1b[2J\x1b[Hone\r\ntwo\x1b[Aup\x1b[2;1Hdown", "oneup\ndown"),
            (b"one\r\ntwo\x1b[Aup", "oneup\ntwo"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(shown(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_long_line_is_one_line() {
        let line = "x".repeat(2500);
        assert_eq!(shown(line.as_bytes()), line);
    }

    #[test]
    fn a_screen_is_bounded_and_says_so() {
        let mut screen = Screen::default();
        for number in 0..30_000 {
            screen.feed(format!("{number}\r\n").as_bytes());
        }
        let Shown { text, truncated } = screen.shown();
        assert!(truncated && text.ends_with("29999") && !text.starts_with("0\n"));
        assert!(text.lines().count() <= HISTORY + ROWS);
        screen.feed("y".repeat(20 * COLUMNS * ROWS).as_bytes());
        assert!(screen.shown().text.len() <= (HISTORY + ROWS) * COLUMNS);
        screen.feed(b"\x1b]");
        screen.feed(&vec![b'z'; 4 << 20]);
    }

    /// OpenHands, with tmux 3.3, begins with 1989.
    #[test]
    fn old_rows_are_dropped_as_tmux_drops_them() {
        let mut screen = Screen::default();
        screen.expect("n".to_owned(), false);
        (1..=12_000).for_each(|number| screen.feed(format!("{number}\r\n").as_bytes()));
        screen.feed(b"\x1b]oh;n;0;;u;h;;/\x07");
        let Shown { text, truncated } = screen.take_ended().unwrap().shown;
        assert!(truncated && text.starts_with("1989\n") && text.ends_with("\n12000"), "{:?}", &text[..20]);
    }

    #[test]
    fn only_the_expected_end_counts() {
        let mut screen = Screen::default();
        screen.expect("n1".to_owned(), false);
        screen.feed(b"\x1b]oh;n0;0;;u;h;;/\x07oh;n1;0;;u;h;;/\r\n\x1b]oh;n1;7\x07");
        assert!(!screen.has_ended());
        screen.feed(b"\x1b]oh;n0\x07");
        assert!(!screen.has_begun());
        screen.feed(b"\x1b]oh;n1\x07");
        assert!(screen.has_begun());
        screen.feed(b"out\r\n\x1b]oh;n1;7;42;u;h;/bin/python;/a;b\x07after");
        let Ended { shown, fields } = screen.take_ended().unwrap();
        assert_eq!(shown.text, "oh;n1;0;;u;h;;/\nout");
        assert_eq!(fields, ["7", "42", "u", "h", "/bin/python", "/a;b"]);
        assert_eq!(screen.shown().text, "after");
        screen.feed(b"\x1b]oh;n1;0;;u;h;;/\x07");
        assert!(!screen.has_ended());
    }
}
