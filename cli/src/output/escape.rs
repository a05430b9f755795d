//! Words of strangers, made safe for a terminal: nothing in them moves the cursor, hides or reorders text.

use std::borrow::Cow;
use std::io::Write as _;

use sluis_core::framing::Text;
use unicode_width::UnicodeWidthChar as _;

/// Whether a character is shown as it is: it has a shape of its own, and is no space but the usual one.
pub(crate) fn is_plain(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    !c.is_control() && !c.is_whitespace() && !is_ignorable(c) && !matches!(c, '\u{2800}' | '\u{fff9}'..='\u{fffb}')
}

/// Default_Ignorable_Code_Point of Unicode 17: nothing is seen of them, or only what they do to others.
const fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Marks without a width of their own that are shown on one character: letters of living scripts have up to three. More of them would
/// be drawn over the lines above and below.
const MAX_MARKS: usize = 4;

/// Writes characters so that they are safe to show, each as it is or by its code (`\x1b`, `\u{202e}`). A mark is only shown on a
/// character that was written before it.
#[derive(Debug)]
pub(crate) struct Escaper {
    /// Marks that were shown on the last character; as many as there may be where there is none.
    marks: usize,
}

impl Default for Escaper {
    fn default() -> Self {
        Self { marks: MAX_MARKS }
    }
}

impl Escaper {
    /// Write the next character.
    pub(crate) fn put(&mut self, line: &mut Vec<u8>, c: char) {
        let is_mark = is_mark(c);
        if !is_plain(c) || is_mark && self.marks == MAX_MARKS {
            self.marks = MAX_MARKS;
            return put_code(line, c);
        }
        self.marks = if is_mark { self.marks + 1 } else { 0 };
        line.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// Whether a character is drawn on the one before it.
fn is_mark(c: char) -> bool {
    !c.is_ascii() && c.width() == Some(0)
}

fn put_code(line: &mut Vec<u8>, c: char) {
    if (c as u32) < 0x100 {
        let _ = write!(line, "\\x{:02x}", c as u32);
    } else {
        let _ = write!(line, "\\u{{{:x}}}", c as u32);
    }
}

/// Write a text of our own or of the user's.
pub(crate) fn put(line: &mut Vec<u8>, text: &str) {
    let mut escaper = Escaper::default();
    for c in text.chars() {
        escaper.put(line, c);
    }
}

/// Write a text of a stranger's in quotes, so that nothing in it looks like a column of ours; cut to so many columns, quotes
/// included. Quotes and backslashes in it are escaped.
pub(crate) fn put_quoted(line: &mut Vec<u8>, text: Text<'_>, columns: usize) {
    quoted(line, text.chars().map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)), columns);
}

/// The same as a text of its own, whole.
pub(crate) fn in_quotes(text: Text<'_>) -> String {
    let mut line = Vec::new();
    put_quoted(&mut line, text, usize::MAX);
    String::from_utf8_lossy(&line).into_owned()
}

fn quoted(line: &mut Vec<u8>, chars: impl Iterator<Item = char>, columns: usize) {
    let room = columns.saturating_sub(2);
    line.push(b'"');
    let (mut escaper, mut whole, mut taken) = (Escaper::default(), line.len(), 0);
    for c in chars {
        let before = line.len();
        match c {
            '"' | '\\' => {
                line.push(b'\\');
                escaper.put(line, c);
            }
            c => escaper.put(line, c),
        }
        taken += columns_of(&line[before..]);
        if taken > room {
            line.truncate(whole);
            line.extend_from_slice(CUT.as_bytes());
            break;
        }
        if taken < room {
            whole = line.len();
        }
    }
    line.push(b'"');
}

/// What stands for the rest of a text that was cut.
pub(super) const CUT: &str = "…";

/// Cut what is behind `start` to so many columns.
pub(crate) fn cut(line: &mut Vec<u8>, start: usize, columns: usize) {
    let text = String::from_utf8_lossy(&line[start..]).into_owned();
    if columns_of(text.as_bytes()) <= columns {
        return;
    }
    line.truncate(start);
    let mut left = columns.saturating_sub(1);
    for c in text.chars() {
        match left.checked_sub(width(c)) {
            Some(less) => left = less,
            None => break,
        }
        line.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    line.extend_from_slice(CUT.as_bytes());
}

/// Columns that a text takes that is safe to show. Marks count, too, so that there are never many on one letter.
pub(crate) fn columns_of(text: &[u8]) -> usize {
    String::from_utf8_lossy(text).chars().map(width).sum()
}

fn width(c: char) -> usize {
    c.width().unwrap_or(1).max(1)
}

/// A text that is safe to show.
pub(crate) fn safe(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| is_plain(c) && !is_mark(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len() + 8);
    put(&mut out, text);
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_that_moves_or_hides() {
        assert_eq!(safe("\u{1b}[2J\r\n\u{9b}x\u{7f}"), "\\x1b[2J\\x0d\\x0a\\x9bx\\x7f");
        assert_eq!(safe("a\u{202e}b\u{200b}\u{2066}"), "a\\u{202e}b\\u{200b}\\u{2066}");
        assert_eq!(safe("Zoë 温度 😀"), "Zoë 温度 😀");
        for invisible in
            "\u{3164}\u{115f}\u{ffa0}\u{34f}\u{180b}\u{2800}\u{fe0f}\u{a0}\u{3000}\u{2003}\u{200d}\u{e0041}".chars()
        {
            assert_eq!(safe(&invisible.to_string()), format!("\\{}", code(invisible)));
        }
    }

    fn code(c: char) -> String {
        if (c as u32) < 0x100 { format!("x{:02x}", c as u32) } else { format!("u{{{:x}}}", c as u32) }
    }

    #[test]
    fn texts_of_strangers_stay_within_their_quotes_and_columns() {
        let shown = |text: &str, columns| {
            let mut line = Vec::new();
            put_quoted(&mut line, Text::new(text), columns);
            String::from_utf8(line).unwrap()
        };
        assert_eq!(shown("door.open", 11), "\"door.open\"");
        assert_eq!(shown("door.open", 10), "\"door.op…\"");
        assert_eq!(shown("a\"  trust 1.00  \\", 80), r#""a\"  trust 1.00  \\""#);
        assert_eq!(shown("温度温度", 8), "\"温度…\"");
        assert_eq!(shown("温度温", 8), "\"温度温\"");
        assert_eq!(shown("\u{301}a\u{301}", 80), "\"\\u{301}a\u{301}\"", "no mark on the quote");
        assert_eq!(shown("\u{1b}\u{1b}", 9), "\"\\x1b…\"", "an escape is cut as a whole");
        for columns in 3..20 {
            let text = "e\u{301}\u{202e}温".repeat(100);
            let line = shown(&text, columns);
            assert!(columns_of(line.as_bytes()) <= columns && line.ends_with("…\""), "{line}");
        }
    }

    /// What is stacked on one letter stays within its line.
    #[test]
    fn marks_are_not_stacked_over_other_lines() {
        for mark in "\u{301}\u{20dd}\u{489}\u{e31}\u{11a8}".chars() {
            let stack = format!("a{}b{mark}", mark.to_string().repeat(45));
            let code = format!("\\u{{{:x}}}", mark as u32);
            let marks = mark.to_string().repeat(4);
            let shown = format!("a{marks}{}b{mark}", code.repeat(41));
            assert_eq!(safe(&stack), shown);
            assert_eq!(in_quotes(Text::new(&stack)), format!("\"{shown}\""));
            let mut line = Vec::new();
            put(&mut line, &stack);
            assert_eq!(String::from_utf8(line).unwrap(), shown);
            // No mark stands on what is ours.
            assert_eq!(safe(&mark.to_string()), code);
            assert_eq!(safe(&format!("\u{202e}{mark}")), format!("\\u{{202e}}{code}"));
        }
        assert_eq!(safe("Vie\u{302}\u{323}t e\u{301}"), "Vie\u{302}\u{323}t e\u{301}");
    }

    #[test]
    fn lines_are_cut_at_a_column() {
        let shown = |text: &str, columns| {
            let mut line = b"> ".to_vec();
            line.extend_from_slice(text.as_bytes());
            cut(&mut line, 2, columns);
            String::from_utf8(line).unwrap()
        };
        assert_eq!([shown("abcd", 4), shown("abcde", 4), shown("温度", 3)], ["> abcd", "> abc…", "> 温…"]);
    }
}
