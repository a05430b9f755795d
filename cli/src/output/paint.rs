//! Colours, or none.

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint(bool);

/// The colours there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Color {
    /// As it comes.
    Plain,
    Green,
    Yellow,
    Red,
    Dim,
    Bold,
}

impl Paint {
    pub(crate) const ON: Self = Self(true);
    pub(crate) const OFF: Self = Self(false);

    /// On a terminal that can, unless `NO_COLOR` is set to anything.
    pub(crate) fn auto(terminal: bool) -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self(terminal && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb"))
    }

    /// Write in a colour.
    pub(crate) fn put(self, line: &mut Vec<u8>, color: Color, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.0 || color == Color::Plain {
            return write(line);
        }
        line.extend_from_slice(match color {
            Color::Plain => b"",
            Color::Green => b"\x1b[32m",
            Color::Yellow => b"\x1b[33m",
            Color::Red => b"\x1b[31m",
            Color::Dim => b"\x1b[2m",
            Color::Bold => b"\x1b[1m",
        });
        write(line);
        line.extend_from_slice(b"\x1b[0m");
    }

    /// Write a text in a colour.
    pub(crate) fn text(self, line: &mut Vec<u8>, color: Color, text: &str) {
        self.put(line, color, |line| line.extend_from_slice(text.as_bytes()));
    }
}
