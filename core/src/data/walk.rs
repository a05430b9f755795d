//! Walks a value as the Python dict that it stands for: duplicate keys collapsed, in written or in sorted order, with
//! the number of elements of every container known when it is opened. Every encoder that needs one of these goes here.

use core::cmp::Ordering;

use super::error::EncodeError;
use super::number::Number;
use super::spill::Spill;
use super::text::Text;
use super::value::{Count, Head, Value, ValueToken};

/// Containers and members that are put in order without a heap; with `alloc`, what goes there when there are more.
#[cfg(feature = "alloc")]
const INLINE: usize = 64;
/// Containers and members that can be put in order.
#[cfg(not(feature = "alloc"))]
const INLINE: usize = 256;

/// Nesting that is followed without a heap.
const LEVELS: usize = 32;

/// The order of the members of every object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they were written; a key that comes again keeps its first place.
    AsWritten,
    /// By the code points of the keys.
    ByKey,
}

/// One step of a walk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Event<'a> {
    Null,
    Bool(bool),
    Number(Number<'a>),
    Str(Text<'a>),
    Bytes(&'a [u8]),
    Ext(i8, &'a [u8]),
    /// With the number of elements.
    ArrayStart(u32),
    ArrayEnd,
    /// With the number of members.
    ObjectStart(u32),
    Key(Text<'a>),
    KeyBytes(&'a [u8]),
    ObjectEnd,
}

impl<'a> Event<'a> {
    /// The same as a token, which knows no counts.
    pub(super) const fn token(self) -> ValueToken<'a> {
        match self {
            Self::Null => ValueToken::Null,
            Self::Bool(b) => ValueToken::Bool(b),
            Self::Number(n) => ValueToken::Number(n),
            Self::Str(text) => ValueToken::Str(text),
            Self::Bytes(bytes) => ValueToken::Bytes(bytes),
            Self::Ext(code, data) => ValueToken::Ext(code, data),
            Self::ArrayStart(_) => ValueToken::ArrayStart,
            Self::ArrayEnd => ValueToken::ArrayEnd,
            Self::ObjectStart(_) => ValueToken::ObjectStart,
            Self::Key(text) => ValueToken::Key(text),
            Self::KeyBytes(bytes) => ValueToken::KeyBytes(bytes),
            Self::ObjectEnd => ValueToken::ObjectEnd,
        }
    }
}

/// A container, or a member of an object. Positions count from the start of the value.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Where the inside of the (containing) container begins.
    container: u32,
    /// Where the key is; 0 makes this the entry of the container itself.
    key: u32,
    /// Behind the key, or behind the container.
    value: u32,
    /// Elements or members of a container.
    count: u32,
    /// Of a key: see [`rank`].
    rank: u64,
}

/// A container that is open.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    object: bool,
    /// Entry of the next member.
    next: u32,
    /// Elements or members still to come.
    left: u32,
    /// Where to read on after it.
    end: u32,
}

/// The events of a value. After an error it has ended.
pub(super) struct Walk<'a> {
    value: Value<'a>,
    /// Sorted by container, its own entry first.
    index: Spill<Entry, INLINE>,
    levels: Spill<Level, LEVELS>,
    pos: usize,
    /// A value comes next: at the start, in arrays, after keys.
    at_value: bool,
    /// What keeps the walk from starting.
    failed: Option<EncodeError>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(value: Value<'a>, order: Order) -> Self {
        let mut walk = Self { value, index: Spill::new(), levels: Spill::new(), pos: 0, at_value: true, failed: None };
        walk.failed = walk.build(order).err();
        walk
    }

    fn build(&mut self, order: Order) -> Result<(), EncodeError> {
        self.fill()?;
        let value = self.value;
        let entries = self.index.as_mut_slice();
        if order == Order::AsWritten && value.known().unique {
            entries.sort_unstable_by_key(|e| (e.container, e.key));
        } else {
            entries.sort_unstable_by(|a, b| {
                let keys = || {
                    if a.rank & MORE == 0 { Ordering::Equal } else { key_at(value, a.key).cmp(&key_at(value, b.key)) }
                };
                (a.container, a.rank).cmp(&(b.container, b.rank)).then_with(keys).then(a.key.cmp(&b.key))
            });
            let kept = collapse(value, entries);
            self.index.truncate(kept);
            if order == Order::AsWritten {
                self.index.as_mut_slice().sort_unstable_by_key(|e| (e.container, e.key));
            }
        }
        self.levels.truncate(0);
        Ok(())
    }

    /// Enter every container and every member, in the order of reading.
    fn fill(&mut self) -> Result<(), EncodeError> {
        // While filling, `next` is the entry of the container, and `left` counts down where the encoding has counts.
        let (mut pos, mut key_next) = (0, false);
        while let Some((head, after)) = self.value.head(pos) {
            let before = core::mem::replace(&mut pos, after);
            if key_next && !matches!(head, Head::End) {
                self.member(Key::from_head(head), before, after)?;
                key_next = false;
                continue;
            }
            if let Head::Array(count) | Head::Object(count) = head {
                let object = matches!(head, Head::Object(_));
                self.open(object, count, pos)?;
            } else if matches!(head, Head::End) {
                self.close(pos);
            } else {
                self.element();
            }
            while self.levels.last().is_some_and(|level| level.left == 0) {
                self.close(pos);
            }
            match self.levels.last() {
                None => break,
                Some(level) => key_next = level.object,
            }
        }
        Ok(())
    }

    fn push(&mut self, entry: Entry) -> Result<(), EncodeError> {
        self.index.push(entry).map_err(|_| EncodeError::TooManyMembers)
    }

    fn open(&mut self, object: bool, count: Count, inside: usize) -> Result<(), EncodeError> {
        let left = match count {
            Count::Exactly(count) => count,
            Count::UntilEnd => u32::MAX,
        };
        let next = position(self.index.len());
        self.push(Entry { container: position(inside), ..Entry::default() })?;
        self.levels.push(Level { object, next, left, end: 0 }).map_err(|_| EncodeError::TooDeep)
    }

    fn member(&mut self, key: Option<Key<'a>>, at: usize, after: usize) -> Result<(), EncodeError> {
        let container = self.levels.last().and_then(|level| self.index.get(level.next)).map_or(0, |e| e.container);
        let rank = key.map_or(0, rank);
        self.push(Entry { container, key: position(at), value: position(after), count: 0, rank })
    }

    /// An element or member of the innermost container is complete.
    fn element(&mut self) {
        let Some(level) = self.levels.last_mut() else { return };
        if level.left != u32::MAX {
            level.left -= 1;
        }
        let own = level.next;
        if let Some(entry) = self.index.get_mut(own) {
            entry.count += 1;
        }
    }

    fn close(&mut self, after: usize) {
        let Some(level) = self.levels.pop() else { return };
        if let Some(entry) = self.index.get_mut(level.next) {
            entry.value = position(after);
        }
        self.element();
    }

    /// The entry of the container whose inside begins at `inside`.
    fn container(&self, inside: usize) -> Option<(u32, Entry)> {
        let inside = position(inside);
        let at = self.index.as_slice().partition_point(|e| e.container < inside);
        Some((position(at), self.index.get(position(at))?))
    }

    fn step(&mut self) -> Result<Option<Event<'a>>, EncodeError> {
        if !self.at_value {
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            if level.left == 0 {
                let (object, end) = (level.object, level.end);
                self.levels.pop();
                self.pos = end as usize;
                return Ok(Some(if object { Event::ObjectEnd } else { Event::ArrayEnd }));
            }
            level.left -= 1;
            if level.object {
                let next = level.next;
                level.next += 1;
                return Ok(self.key(next));
            }
        }
        self.at_value = false;
        let Some((head, after)) = self.value.head(self.pos) else { return Ok(None) };
        self.pos = after;
        Ok(Some(match head {
            Head::Null => Event::Null,
            Head::Bool(b) => Event::Bool(b),
            Head::Number(n) => Event::Number(n),
            Head::Str(text) => Event::Str(text),
            Head::Bytes(bytes) => Event::Bytes(bytes),
            Head::Ext(code, data) => Event::Ext(code, data),
            Head::End => return Ok(None),
            Head::Array(_) | Head::Object(_) => {
                let Some((at, entry)) = self.container(after) else { return Ok(None) };
                let object = matches!(head, Head::Object(_));
                let level = Level { object, next: at + 1, left: entry.count, end: entry.value };
                self.levels.push(level).map_err(|_| EncodeError::TooDeep)?;
                if object { Event::ObjectStart(entry.count) } else { Event::ArrayStart(entry.count) }
            }
        }))
    }

    fn key(&mut self, entry: u32) -> Option<Event<'a>> {
        let entry = self.index.get(entry)?;
        self.pos = entry.value as usize;
        self.at_value = true;
        match key_at(self.value, entry.key)? {
            Key::Text(text) => Some(Event::Key(text)),
            Key::Bytes(bytes) => Some(Event::KeyBytes(bytes)),
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<Event<'a>, EncodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = match self.failed.take() {
            Some(error) => Err(error),
            None => self.step(),
        };
        if step.is_err() {
            self.levels.truncate(0);
            self.at_value = false;
        }
        step.transpose()
    }
}

/// A key; texts before byte strings, which never equal them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Text(Text<'a>),
    Bytes(&'a [u8]),
}

impl<'a> Key<'a> {
    const fn from_head(head: Head<'a>) -> Option<Self> {
        match head {
            Head::Str(text) => Some(Self::Text(text)),
            Head::Bytes(bytes) => Some(Self::Bytes(bytes)),
            _ => None,
        }
    }
}

fn key_at(value: Value<'_>, pos: u32) -> Option<Key<'_>> {
    Key::from_head(value.head(pos as usize)?.0)
}

/// Set in ranks that do not say all about their key.
const MORE: u64 = 1;

/// Sorts as the key does, as far as it reaches: its first three characters, and whether there are more.
fn rank(key: Key<'_>) -> u64 {
    let Key::Text(text) = key else { return u64::MAX };
    let mut chars = text.chars().map(|c| c.map_or_else(u64::from, |c| u64::from(u32::from(c))) + 1);
    let mut next = || chars.next().unwrap_or(0);
    // 21 bits each.
    next() << 43 | next() << 22 | next() << 1 | next().min(MORE)
}

/// Make one member of those with the same key: the first one's place, the last one's value. How many entries are left.
fn collapse(value: Value<'_>, entries: &mut [Entry]) -> usize {
    let (mut kept, mut own) = (0_usize, 0_usize);
    for at in 0..entries.len() {
        let Some(entry) = entries.get(at).copied() else { break };
        let before = kept.checked_sub(1).and_then(|last| entries.get(last)).copied();
        let same = before.is_some_and(|before| {
            let both = before.container == entry.container && before.key != 0 && entry.key != 0;
            let ranks = both && before.rank == entry.rank;
            ranks && (entry.rank & MORE == 0 || key_at(value, before.key) == key_at(value, entry.key))
        });
        if same {
            if let Some(last) = kept.checked_sub(1).and_then(|last| entries.get_mut(last)) {
                last.value = entry.value;
            }
            if let Some(own) = entries.get_mut(own) {
                own.count -= 1;
            }
            continue;
        }
        if entry.key == 0 {
            own = kept;
        }
        if let Some(place) = entries.get_mut(kept) {
            *place = entry;
        }
        kept += 1;
    }
    kept
}

fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// The last member of an object with this key.
pub(super) fn get<'a>(value: Value<'a>, key: Text<'_>) -> Option<Value<'a>> {
    let (Head::Object(count), mut pos) = value.head(0)? else { return None };
    let mut left = match count {
        Count::Exactly(count) => count,
        Count::UntilEnd => u32::MAX,
    };
    let mut found = None;
    while left > 0 {
        let (head, after) = value.head(pos)?;
        if matches!(head, Head::End) {
            break;
        }
        let end = value.end_of(after)?;
        if matches!(head, Head::Str(name) if name == key) {
            found = value.slice(after, end);
        }
        pos = end;
        left -= 1;
    }
    found
}
