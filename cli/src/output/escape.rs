//! Words of strangers, made safe for a terminal: nothing in them moves the cursor, hides or reorders text.

use std::borrow::Cow;
use std::io::Write as _;

use sluis_core::framing::Text;

/// Whether a character is shown as it is.
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Write one character: as it is, or by its code (`\x1b`, `\u{202e}`).
pub(crate) fn put_char(line: &mut Vec<u8>, c: char) {
    if is_plain(c) {
        line.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    } else if (c as u32) < 0x100 {
        let _ = write!(line, "\\x{:02x}", c as u32);
    } else {
        let _ = write!(line, "\\u{{{:x}}}", c as u32);
    }
}

/// Write a text.
pub(crate) fn put(line: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        put_char(line, c);
    }
}

/// Write a text from the wire.
pub(crate) fn put_text(line: &mut Vec<u8>, text: Text<'_>) {
    for c in text.chars() {
        put_char(line, c.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
}

/// A text that is safe to show.
pub(crate) fn safe(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
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
    }
}
