//! Lines for people that fit the terminal: pieces side by side, as many on a line as there is room for.

use std::mem;

use sluis_core::framing::Text;

use super::{Color, Paint, escape};

/// What stands between two pieces.
const GAP: usize = 2;
/// How far lines are set in that go on.
const INDENT: usize = 2;
/// A piece gets this many columns at least, however narrow the terminal is said to be.
const LEAST: usize = 16;

/// A line that is written piece by piece. A piece that does not fit goes on the next line; one that no line holds is cut.
pub(crate) struct Flow<'l> {
    lines: &'l mut Vec<u8>,
    paint: Paint,
    /// What every line begins with, such as its time.
    head: &'l str,
    width: usize,
    /// Columns that are taken in this line.
    taken: usize,
    /// Columns before the first piece of this line.
    start: usize,
    piece: Vec<u8>,
}

impl<'l> Flow<'l> {
    pub(super) fn new(lines: &'l mut Vec<u8>, paint: Paint, head: &'l str, width: usize) -> Self {
        lines.extend_from_slice(head.as_bytes());
        let start = escape::columns_of(head.as_bytes());
        Self { lines, paint, head, width, taken: start, start, piece: Vec::new() }
    }

    /// Columns of the longest piece that is not cut.
    fn room(&self) -> usize {
        let head = escape::columns_of(self.head.as_bytes());
        self.width.saturating_sub(head + INDENT).max(LEAST)
    }

    /// A piece in a colour, two columns behind the one before it. What `write` writes must be safe to show.
    pub(crate) fn piece(&mut self, color: Color, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        self.put(color, GAP, write)
    }

    /// A piece of our own words.
    pub(crate) fn text(&mut self, color: Color, text: &str) -> &mut Self {
        self.piece(color, |line| line.extend_from_slice(text.as_bytes()))
    }

    /// A stranger's text in quotes, behind a word of ours that says what it is.
    pub(crate) fn quoted(&mut self, what: &str, text: Text<'_>) -> &mut Self {
        let room = self.room().saturating_sub(what.len());
        self.piece(Color::Plain, |line| {
            line.extend_from_slice(what.as_bytes());
            escape::put_quoted(line, text, room);
        })
    }

    /// JSON for people, safe to show. Where it is cut within a text, the text is closed.
    pub(crate) fn json(&mut self, color: Color, json: &[u8]) -> &mut Self {
        let room = self.room();
        self.piece(color, |line| {
            line.extend_from_slice(json);
            escape::cut(line, 0, room);
            if line.ends_with(escape::CUT.as_bytes()) {
                line.truncate(0);
                line.extend_from_slice(json);
                escape::cut(line, 0, room - 1);
                line.extend(is_within_quotes(line).then_some(b'"'));
            }
        })
    }

    /// A word of our own, one column behind the one before it.
    pub(crate) fn word(&mut self, color: Color, word: &str) -> &mut Self {
        self.put(color, 1, |line| line.extend_from_slice(word.as_bytes()))
    }

    /// Words that may be parted at every space; made safe to show.
    pub(crate) fn words(&mut self, text: &str) -> &mut Self {
        for word in text.split(' ') {
            self.put(Color::Plain, 1, |line| escape::put(line, word));
        }
        self
    }

    fn put(&mut self, color: Color, gap: usize, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let mut piece = mem::take(&mut self.piece);
        piece.clear();
        write(&mut piece);
        escape::cut(&mut piece, 0, self.room());
        let columns = escape::columns_of(&piece);
        if self.taken > self.start && self.taken + gap + columns > self.width {
            self.lines.push(b'\n');
            self.lines.extend_from_slice(self.head.as_bytes());
            self.lines.resize(self.lines.len() + INDENT, b' ');
            self.start = escape::columns_of(self.head.as_bytes()) + INDENT;
            self.taken = self.start;
        } else if self.taken > self.start {
            self.lines.resize(self.lines.len() + gap, b' ');
            self.taken += gap;
        }
        self.paint.put(self.lines, color, |line| line.extend_from_slice(&piece));
        self.taken += columns;
        self.piece = piece;
        self
    }
}

fn is_within_quotes(json: &[u8]) -> bool {
    let (mut within, mut escaped) = (false, false);
    for byte in json {
        within ^= *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
    }
    within
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(width: usize, write: impl FnOnce(&mut Flow<'_>)) -> Vec<String> {
        let mut lines = Vec::new();
        write(&mut Flow::new(&mut lines, Paint::OFF, "12:00 ", width));
        String::from_utf8(lines).unwrap().split('\n').map(str::to_owned).collect()
    }

    #[test]
    fn pieces_stand_side_by_side_and_then_below_each_other() {
        let write = |flow: &mut Flow<'_>| {
            flow.text(Color::Green, "GROEN").quoted("", Text::new("jis:a")).text(Color::Plain, "trust 0.90");
        };
        assert_eq!(shown(80, write), ["12:00 GROEN  \"jis:a\"  trust 0.90"]);
        assert_eq!(shown(31, write), ["12:00 GROEN  \"jis:a\"", "12:00   trust 0.90"]);
        assert_eq!(shown(10, write), ["12:00 GROEN", "12:00   \"jis:a\"", "12:00   trust 0.90"]);
    }

    #[test]
    fn what_no_line_holds_is_cut() {
        let long = "x".repeat(300);
        let lines = shown(40, |flow| {
            flow.text(Color::Plain, "a").quoted("why ", Text::new(&long)).text(Color::Plain, &long);
        });
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 40), "{lines:?}");
        assert!(lines[1].starts_with("12:00   why \"xxx") && lines[1].ends_with("x…\""), "{lines:?}");
        assert!(lines[2].ends_with("x…"), "{lines:?}");
    }

    #[test]
    fn a_text_in_json_is_closed_where_it_is_cut() {
        let json = |json: &str| {
            shown(24, |flow| {
                flow.json(Color::Plain, json.as_bytes());
            })
            .join("|")
        };
        assert_eq!(json(r#"{"a":"bcdefghi"}"#), r#"12:00 {"a":"bcdefghi"}"#);
        assert_eq!(json(r#"{"a":"bcdefghijkl"}"#), r#"12:00 {"a":"bcdefghi…""#);
        assert_eq!(json(r#"[1,"\"","12345678"]"#), r#"12:00 [1,"\"","12345…""#);
        assert_eq!(json("[1,2,3,4,5,6,7,8,9,0]"), "12:00 [1,2,3,4,5,6,7…");
    }

    #[test]
    fn words_are_parted_at_spaces() {
        assert_eq!(
            shown(20, |flow| {
                flow.words("one two three four");
            }),
            ["12:00 one two three", "12:00   four"]
        );
    }
}
