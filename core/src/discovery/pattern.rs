//! Patterns of auto-vouch rules: a part of Python's regular expressions, matched in linear time.

use alloc::vec::Vec;

/// The longest pattern in bytes.
const MAX_PATTERN: usize = 256;
/// The most instructions that a pattern becomes: what one character of a text costs at most.
const MAX_PROGRAM: usize = 1024;
/// How deep groups may be in each other.
const MAX_DEPTH: u8 = 16;
/// The highest count of a repetition.
const MAX_REPEAT: u32 = 64;

/// Why a pattern is refused when it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It is longer than 256 bytes, or becomes larger than it may.
    #[error("the pattern is too long")]
    TooLong,
    /// It is not well formed.
    #[error("the pattern is not well formed at byte {at}: {why}")]
    Form {
        /// Where, in bytes from its start.
        at: usize,
        /// What is wrong.
        why: &'static str,
    },
}

/// A pattern, compiled.
///
/// As Python's `re.match`, it matches at the start of a text, and need not reach its end unless it says so with `$`. It knows characters, `.` (all but a line
/// feed), classes (`[a-z]`, `[^…]`, `\d`, `\w`, `\s` and their capitals, all of ASCII), groups (`(…)`, `(?:…)`), `|`, `*`, `+`, `?`, `{n}`, `{n,}`,
/// `{n,m}`, `^`, `$` and `\Z` (both only at the very end), and `(?i)` in front (letters of ASCII). Look-around and back-references, which cannot be matched in linear
/// time, are refused.
#[derive(Clone, Debug)]
pub struct Pattern {
    program: Vec<Op>,
    classes: Vec<Class>,
    ignore_case: bool,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Char(char),
    /// Any character but a line feed.
    Any,
    Class(usize),
    Start,
    End,
    Jump(usize),
    Split(usize, usize),
    Match,
}

#[derive(Clone, Debug, Default)]
struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Class {
    fn has(&self, c: char) -> bool {
        self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != self.negated
    }

    /// One of the named classes of ASCII; capitals are all that is not in them.
    fn named(letter: char) -> Option<Self> {
        let ranges: &[(char, char)] = match letter.to_ascii_lowercase() {
            'd' => &[('0', '9')],
            'w' => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
            's' => &[('\t', '\r'), (' ', ' ')],
            _ => return None,
        };
        Some(Self { negated: letter.is_ascii_uppercase(), ranges: ranges.to_vec() })
    }
}

impl Pattern {
    /// Compile a pattern.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN {
            return Err(PatternError::TooLong);
        }
        let (rest, ignore_case) = text.strip_prefix("(?i)").map_or((text, false), |rest| (rest, true));
        let at = text.len() - rest.len();
        let mut compiler = Compiler { text, at, program: Vec::new(), classes: Vec::new(), ignore_case };
        compiler.alternatives(0)?;
        if compiler.peek().is_some() {
            return Err(compiler.wrong("a parenthesis closes what was not opened"));
        }
        compiler.push(Op::Match)?;
        Ok(Self { program: compiler.program, classes: compiler.classes, ignore_case })
    }

    /// Whether a text begins with what the pattern describes. Takes time in proportion to the lengths of both, whatever they are.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (mut now, mut next) = (Threads::new(self.program.len()), Threads::new(self.program.len()));
        let mut chars = text.chars();
        let mut at_start = true;
        now.add(self, 0, at_start, text.is_empty());
        loop {
            if now.matched {
                return true;
            }
            let Some(c) = chars.next() else { return false };
            at_start = false;
            let c = if self.ignore_case { c.to_ascii_lowercase() } else { c };
            let at_end = chars.as_str().is_empty();
            next.clear();
            for pc in &now.list {
                let steps = match self.program.get(*pc) {
                    Some(Op::Char(wanted)) => *wanted == c,
                    Some(Op::Any) => c != '\n',
                    Some(Op::Class(class)) => self.classes.get(*class).is_some_and(|class| self.class_has(class, c)),
                    _ => false,
                };
                if steps {
                    next.add(self, pc + 1, at_start, at_end);
                }
            }
            core::mem::swap(&mut now, &mut next);
        }
    }

    fn class_has(&self, class: &Class, c: char) -> bool {
        if !self.ignore_case || !c.is_ascii_alphabetic() {
            return class.has(c);
        }
        let positive = |c| class.has(c) != class.negated;
        (positive(c) || positive(c.to_ascii_uppercase())) != class.negated
    }
}

/// The places in a program that a text may have led to.
struct Threads {
    list: Vec<usize>,
    seen: Vec<bool>,
    matched: bool,
}

impl Threads {
    fn new(len: usize) -> Self {
        Self { list: Vec::with_capacity(len), seen: alloc::vec![false; len], matched: false }
    }

    fn clear(&mut self) {
        self.list.clear();
        self.seen.fill(false);
        self.matched = false;
    }

    /// Add a place, and all that it leads to without a character. Each is added once.
    fn add(&mut self, pattern: &Pattern, pc: usize, at_start: bool, at_end: bool) {
        let mut stack = Vec::from([pc]);
        while let Some(pc) = stack.pop() {
            match self.seen.get_mut(pc) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            match pattern.program.get(pc) {
                Some(Op::Jump(to)) => stack.push(*to),
                Some(Op::Split(one, other)) => stack.extend([*one, *other]),
                Some(Op::Start) if at_start => stack.push(pc + 1),
                Some(Op::End) if at_end => stack.push(pc + 1),
                Some(Op::Match) => self.matched = true,
                Some(Op::Char(_) | Op::Any | Op::Class(_)) => self.list.push(pc),
                Some(Op::Start | Op::End) | None => {}
            }
        }
    }
}

struct Compiler<'a> {
    text: &'a str,
    at: usize,
    program: Vec<Op>,
    classes: Vec<Class>,
    ignore_case: bool,
}

impl Compiler<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    const fn wrong(&self, why: &'static str) -> PatternError {
        PatternError::Form { at: self.at, why }
    }

    fn push(&mut self, op: Op) -> Result<usize, PatternError> {
        if self.program.len() >= MAX_PROGRAM {
            return Err(PatternError::TooLong);
        }
        self.program.push(op);
        Ok(self.program.len() - 1)
    }

    fn set(&mut self, at: usize, op: Op) {
        if let Some(place) = self.program.get_mut(at) {
            *place = op;
        }
    }

    fn alternatives(&mut self, depth: u8) -> Result<(), PatternError> {
        let mut ends = Vec::new();
        loop {
            let split = self.push(Op::Jump(0))?;
            self.set(split, Op::Jump(split + 1));
            self.sequence(depth)?;
            if !self.eat('|') {
                break;
            }
            ends.push(self.push(Op::Jump(0))?);
            self.set(split, Op::Split(split + 1, self.program.len()));
        }
        let end = self.program.len();
        ends.into_iter().for_each(|jump| self.set(jump, Op::Jump(end)));
        Ok(())
    }

    fn sequence(&mut self, depth: u8) -> Result<(), PatternError> {
        while let Some(c) = self.peek() {
            if matches!(c, '|' | ')') {
                return Ok(());
            }
            let from = self.program.len();
            let anchor = self.piece(depth)?;
            self.repetition(from, anchor)?;
        }
        Ok(())
    }

    /// One character, class, group or anchor; whether it is an anchor.
    fn piece(&mut self, depth: u8) -> Result<bool, PatternError> {
        let op = match self.next() {
            Some('.') => Op::Any,
            Some('^') => Op::Start,
            Some('$') => Op::End,
            Some('(') => return self.group(depth).map(|()| false),
            Some('[') => self.class()?,
            Some('\\') => self.escape()?,
            Some('*' | '+' | '?' | '{') => return Err(self.wrong("nothing to repeat")),
            Some(c) => self.character(c),
            None => return Err(self.wrong("it ends too early")),
        };
        self.push(op)?;
        Ok(matches!(op, Op::Start | Op::End))
    }

    fn character(&self, c: char) -> Op {
        Op::Char(if self.ignore_case { c.to_ascii_lowercase() } else { c })
    }

    fn group(&mut self, depth: u8) -> Result<(), PatternError> {
        if depth >= MAX_DEPTH {
            return Err(PatternError::TooLong);
        }
        if self.eat('?') && !self.eat(':') {
            return Err(self.wrong("of groups that begin with (? only (?:...) is known, and (?i) at the very start"));
        }
        self.alternatives(depth + 1)?;
        if self.eat(')') { Ok(()) } else { Err(self.wrong("a parenthesis is not closed")) }
    }

    fn escape(&mut self) -> Result<Op, PatternError> {
        let c = self.next().ok_or_else(|| self.wrong("it ends with a backslash"))?;
        if let Some(class) = Class::named(c) {
            return Ok(self.add_class(class));
        }
        match c {
            'Z' => Ok(Op::End),
            'A' => Ok(Op::Start),
            c if c.is_ascii_alphanumeric() => Err(self.wrong("back-references and this escape are not known")),
            c => Ok(self.character(c)),
        }
    }

    fn add_class(&mut self, class: Class) -> Op {
        self.classes.push(class);
        Op::Class(self.classes.len() - 1)
    }

    fn class(&mut self) -> Result<Op, PatternError> {
        let mut class = Class { negated: self.eat('^'), ranges: Vec::new() };
        loop {
            let first = class.ranges.is_empty();
            let low = match self.next() {
                Some(']') if !first => return Ok(self.add_class(class)),
                Some('\\') => match self.next() {
                    Some(c) if Class::named(c).is_some_and(|named| !named.negated) => {
                        class.ranges.extend(Class::named(c).into_iter().flat_map(|named| named.ranges));
                        continue;
                    }
                    Some(c) if !c.is_ascii_alphanumeric() => c,
                    _ => return Err(self.wrong("this escape is not known in a class")),
                },
                Some(c) => c,
                None => return Err(self.wrong("a bracket is not closed")),
            };
            let is_range =
                self.peek() == Some('-') && !self.text.get(self.at..).is_some_and(|rest| rest.starts_with("-]"));
            if !is_range {
                class.ranges.push((low, low));
                continue;
            }
            self.next();
            let high = match self.next() {
                Some('\\') => self.next().filter(|c| !c.is_ascii_alphanumeric()),
                high => high,
            };
            match high {
                Some(high) if low <= high => class.ranges.push((low, high)),
                _ => return Err(self.wrong("a range in a class ends before it begins")),
            }
        }
    }

    /// What may follow a piece that was compiled from `from` on.
    fn repetition(&mut self, from: usize, anchor: bool) -> Result<(), PatternError> {
        let (least, most) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => return self.counted(from, anchor),
            _ => return Ok(()),
        };
        self.next();
        self.repeat(from, anchor, least, most)
    }

    fn counted(&mut self, from: usize, anchor: bool) -> Result<(), PatternError> {
        self.next();
        let least = self.count()?;
        let most = match (least, self.eat(',')) {
            (Some(least), false) => Some(least),
            (_, true) => self.count()?,
            (None, false) => return Err(self.wrong("a brace stands for itself only behind a backslash")),
        };
        if !self.eat('}') {
            return Err(self.wrong("a brace stands for itself only behind a backslash"));
        }
        let least = least.unwrap_or(0);
        if least > MAX_REPEAT || most.is_some_and(|most| most > MAX_REPEAT || most < least) {
            return Err(self.wrong("a repetition counts up to 64, and not downwards"));
        }
        self.repeat(from, anchor, least, most)
    }

    fn count(&mut self) -> Result<Option<u32>, PatternError> {
        let digits = self.text.get(self.at..).unwrap_or_default();
        let digits = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        self.at += digits.len();
        if digits.is_empty() {
            Ok(None)
        } else {
            digits.parse().map(Some).map_err(|_| self.wrong("a count is too large"))
        }
    }

    fn repeat(&mut self, from: usize, anchor: bool, least: u32, most: Option<u32>) -> Result<(), PatternError> {
        if anchor {
            return Err(self.wrong("an anchor cannot be repeated"));
        }
        if matches!(self.peek(), Some('*' | '+' | '{')) {
            return Err(self.wrong("a repetition cannot be repeated"));
        }
        // Whether few or many are taken makes no difference to whether it matches.
        self.eat('?');
        let piece: Vec<Op> = self.program.split_off(from);
        for _ in 0..least {
            self.copy(&piece, from)?;
        }
        match most {
            None => {
                let split = self.push(Op::Match)?;
                self.copy(&piece, from)?;
                self.push(Op::Jump(split))?;
                self.set(split, Op::Split(split + 1, self.program.len()));
            }
            Some(most) => {
                let mut splits = Vec::new();
                for _ in least..most {
                    splits.push(self.push(Op::Match)?);
                    self.copy(&piece, from)?;
                }
                let end = self.program.len();
                splits.into_iter().for_each(|split| self.set(split, Op::Split(split + 1, end)));
            }
        }
        Ok(())
    }

    /// Add a copy of a piece that was compiled to stand at `from`.
    fn copy(&mut self, piece: &[Op], from: usize) -> Result<(), PatternError> {
        let here = self.program.len();
        let moved = |to: usize| to - from + here;
        for op in piece {
            self.push(match *op {
                Op::Jump(to) => Op::Jump(moved(to)),
                Op::Split(one, other) => Op::Split(moved(one), moved(other)),
                op => op,
            })?;
        }
        Ok(())
    }
}
