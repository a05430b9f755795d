//! Texts, borrowed from the wire and unescaped only when somebody looks.

use core::cmp::Ordering;
use core::fmt;

use super::hex;

/// A text of a packet: a plain string, or the inside of a JSON string literal that still holds its escapes.
///
/// JSON can name lone surrogates (`"\ud800"`), which no Rust string holds. They survive being passed on, and
/// [`resolve`](Self::resolve) refuses them.
///
/// Comparison is by content: `Text::new("é")` equals what was decoded from `"\u00e9"`.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    raw: &'a str,
    form: Form,
}

/// What is known about the raw text of a [`Text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Plain, and the same inside a JSON literal as the reference writes it: printable ASCII without `"` and `\`.
    PlainWire,
    /// Plain; what JSON makes of it is not known.
    Plain,
    /// The inside of a JSON literal exactly as the reference would write it, with escapes.
    EscapedWire,
    /// The inside of a checked JSON literal with escapes.
    Escaped,
}

/// Why a text cannot be had as a plain string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It does not fit the scratch buffer.
    #[error("the text is too long")]
    TooLong,
    /// It holds half of a surrogate pair.
    #[error("the text holds a lone surrogate")]
    LoneSurrogate,
}

impl<'a> Text<'a> {
    /// The empty text.
    pub const EMPTY: Self = Self { raw: "", form: Form::PlainWire };

    /// A plain text.
    #[must_use]
    #[inline]
    pub const fn new(text: &'a str) -> Self {
        Self { raw: text, form: Form::Plain }
    }

    /// `raw` must be what `form` says.
    #[inline]
    pub(super) const fn from_scan(raw: &'a str, form: Form) -> Self {
        Self { raw, form }
    }

    /// The bytes between the quotes, where they are exactly what the reference would write.
    #[inline]
    pub(super) const fn wire(self) -> Option<&'a str> {
        match self.form {
            Form::PlainWire | Form::EscapedWire => Some(self.raw),
            Form::Plain | Form::Escaped => None,
        }
    }

    /// The text, where it holds no escapes. Everything but control characters, quotes, backslashes and, from peers that
    /// write ASCII only, what lies outside of ASCII.
    #[must_use]
    #[inline]
    pub const fn as_str(self) -> Option<&'a str> {
        match self.form {
            Form::PlainWire | Form::Plain => Some(self.raw),
            Form::EscapedWire | Form::Escaped => None,
        }
    }

    /// The text as a plain string, unescaped into `scratch` where it must be.
    ///
    /// # Errors
    /// [`TextError::TooLong`] when it has escapes and needs more than `scratch`; [`TextError::LoneSurrogate`].
    pub fn resolve<'b>(self, scratch: &'b mut [u8]) -> Result<&'b str, TextError>
    where
        'a: 'b,
    {
        if let Some(text) = self.as_str() {
            return Ok(text);
        }
        let mut len = 0;
        for c in self.chars() {
            let c = c.map_err(|_| TextError::LoneSurrogate)?;
            let end = len + c.len_utf8();
            c.encode_utf8(scratch.get_mut(len..end).ok_or(TextError::TooLong)?);
            len = end;
        }
        core::str::from_utf8(scratch.get(..len).unwrap_or_default()).map_err(|_| TextError::TooLong)
    }

    /// Length in bytes as UTF-8, unescaped; a lone surrogate counts as three.
    #[must_use]
    pub fn len(self) -> usize {
        self.as_str().map_or_else(|| self.chars().map(|c| c.map_or(3, char::len_utf8)).sum(), str::len)
    }

    /// Whether the text is empty.
    #[must_use]
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// The characters, unescaped; a lone surrogate as its code unit.
    #[must_use]
    pub fn chars(self) -> TextChars<'a> {
        TextChars { rest: self.raw.chars(), escaped: self.as_str().is_none() }
    }

    /// The text as a string, with U+FFFD for lone surrogates.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn to_cow(self) -> alloc::borrow::Cow<'a, str> {
        match self.as_str() {
            Some(text) => alloc::borrow::Cow::Borrowed(text),
            None => alloc::borrow::Cow::Owned(self.lossy().collect()),
        }
    }

    fn lossy(self) -> impl Iterator<Item = char> {
        self.chars().map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

/// The characters of a [`Text`].
#[derive(Clone, Debug)]
pub struct TextChars<'a> {
    rest: core::str::Chars<'a>,
    escaped: bool,
}

impl TextChars<'_> {
    /// The four hex digits of a `\u`.
    fn code_unit(rest: &mut core::str::Chars<'_>) -> u16 {
        let digit = |c: char| u8::try_from(c).ok().and_then(hex::digit).unwrap_or(0);
        (0..4).fold(0, |unit, _| unit << 4 | u16::from(rest.next().map_or(0, digit)))
    }

    fn unicode(&mut self) -> Result<char, u16> {
        let first = Self::code_unit(&mut self.rest);
        let mut ahead = self.rest.clone();
        if let 0xd800..=0xdbff = first
            && ahead.next() == Some('\\')
            && ahead.next() == Some('u')
            && let second @ 0xdc00..=0xdfff = Self::code_unit(&mut ahead)
        {
            self.rest = ahead;
            let code = 0x1_0000 + ((u32::from(first) & 0x3ff) << 10) + (u32::from(second) & 0x3ff);
            return char::from_u32(code).ok_or(first);
        }
        char::from_u32(u32::from(first)).ok_or(first)
    }
}

impl Iterator for TextChars<'_> {
    type Item = Result<char, u16>;

    fn next(&mut self) -> Option<Self::Item> {
        let c = self.rest.next()?;
        if c != '\\' || !self.escaped {
            return Some(Ok(c));
        }
        Some(match self.rest.next()? {
            'b' => Ok('\u{8}'),
            'f' => Ok('\u{c}'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'u' => self.unicode(),
            c => Ok(c),
        })
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self.as_str(), other.as_str()) {
            (Some(a), Some(b)) => a == b,
            _ => self.chars().eq(other.chars()),
        }
    }
}

impl Eq for Text<'_> {}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        *self == Text::new(other)
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == Text::new(other)
    }
}

/// By code point, as Python sorts: a lone surrogate as the number it is.
impl Ord for Text<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.as_str(), other.as_str()) {
            // The order of UTF-8 bytes is the order of code points.
            (Some(a), Some(b)) => a.cmp(b),
            _ => {
                let point = |c: Result<char, u16>| c.map_or_else(u32::from, u32::from);
                self.chars().map(point).cmp(other.chars().map(point))
            }
        }
    }
}

impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::new(text)
    }
}

#[cfg(feature = "alloc")]
impl<'a> From<&'a alloc::string::String> for Text<'a> {
    fn from(text: &'a alloc::string::String) -> Self {
        Self::new(text)
    }
}

/// As [`Text::to_cow`]: with U+FFFD for lone surrogates.
#[cfg(feature = "alloc")]
impl<'a> From<Text<'a>> for alloc::borrow::Cow<'a, str> {
    fn from(text: Text<'a>) -> Self {
        text.to_cow()
    }
}

impl PartialEq<Text<'_>> for str {
    fn eq(&self, other: &Text<'_>) -> bool {
        other == self
    }
}

impl PartialEq<Text<'_>> for &str {
    fn eq(&self, other: &Text<'_>) -> bool {
        other == self
    }
}

impl Default for Text<'_> {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// With U+FFFD for lone surrogates. Control characters are shown as they are: escape before a terminal sees them.
impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        match self.as_str() {
            Some(text) => f.write_str(text),
            None => self.lossy().try_for_each(|c| f.write_char(c)),
        }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        f.write_char('"')?;
        for c in self.chars() {
            match c {
                Ok(c) => write!(f, "{}", c.escape_debug())?,
                Err(unit) => write!(f, "\\u{{{unit:x}}}")?,
            }
        }
        f.write_char('"')
    }
}
