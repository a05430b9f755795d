//! What can be said only at the end: which parents are not there, and whether that follows from something already said.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::finding::{Kind, cut};
use super::settings::Settings;
use crate::token::Token;
use sluis_core::data::Text;

/// Bytes of names that are kept in all, and how many of them: a file in which every token waits is not told by name.
const NAME_BYTES: usize = 1 << 20;
/// Lines whose hash is wrong that are kept, and the longest.
const LINES: usize = 64;
const LINE_BYTES: usize = 16 << 10;
/// Ids that are remembered as explained.
const EXPLAINED: usize = 1024;
/// Bytes that are hashed in all to see whether a line was right with another id: else many such lines and many missing parents
/// would be as many hashes as both multiplied.
const HASHED: usize = 32 << 20;

/// A child that waits for its parent.
struct Waiting {
    line: u64,
    child: Box<str>,
    parent: Box<str>,
}

/// A line that cannot be read, or that is not what it was.
struct Unread {
    line: u64,
    /// How many tokens it may have been.
    tokens: u32,
    bytes: Box<[u8]>,
}

/// What was put aside for the end.
pub(super) struct DeferredChecks {
    /// Of the first that waited, in their order.
    waiting: Vec<Waiting>,
    bytes: usize,
    /// Some that waited were not kept.
    full: bool,
    /// Lines whose hash is wrong.
    lines: Vec<Box<[u8]>>,
    /// Other lines that are not what they were.
    unread: Vec<Unread>,
    /// Lines that were not kept.
    others: usize,
}

impl DeferredChecks {
    pub(super) const fn new() -> Self {
        Self { waiting: Vec::new(), bytes: 0, full: false, lines: Vec::new(), unread: Vec::new(), others: 0 }
    }

    /// A line of which something is false, its id perhaps.
    pub(super) fn suspect(&mut self, kind: Kind, line: u64, tokens: u32, bytes: &[u8]) {
        if self.lines.len() + self.unread.len() >= LINES || bytes.len() > LINE_BYTES {
            self.others += 1;
        } else if kind == Kind::ContentHash {
            self.lines.push(bytes.into());
        } else {
            self.unread.push(Unread { line, tokens, bytes: bytes.into() });
        }
    }

    /// The token in this line is the `place`-th that waits.
    pub(super) fn wait(&mut self, place: usize, line: u64, bytes: &[u8]) {
        if self.full || place != self.waiting.len() || self.bytes >= NAME_BYTES {
            self.full = true;
            return;
        }
        let Ok(token) = Token::parse_bytes(bytes) else { return };
        let waiting = Waiting {
            line,
            child: cut(token.token_id).into(),
            parent: token.parent_id.map(cut).unwrap_or_default().into(),
        };
        self.bytes += waiting.child.len() + waiting.parent.len() + size_of::<Waiting>();
        self.waiting.push(waiting);
    }

    pub(super) fn parent(&self, place: usize) -> Option<&str> {
        self.waiting.get(place).map(|waiting| &*waiting.parent)
    }

    /// Child and parent.
    pub(super) fn names(&self, place: usize) -> (Option<String>, Option<String>) {
        let waiting = self.waiting.get(place);
        (waiting.map(|w| String::from(&*w.child)), waiting.map(|w| String::from(&*w.parent)))
    }

    /// Child and parent.
    pub(super) fn names_of_line(&self, line: u64) -> (Option<String>, Option<String>) {
        let place = self.waiting.partition_point(|waiting| waiting.line < line);
        if self.waiting.get(place).is_some_and(|waiting| waiting.line == line) {
            self.names(place)
        } else {
            (None, None)
        }
    }

    /// What of that follows from what was said. `lost`: so many tokens are gone, and parents of those behind line `first` may be
    /// among them.
    pub(super) fn explain<'l>(&'l self, settings: &'l Settings<'_>, lost: u64, first: u64) -> Explained<'l> {
        let unread = self.unread.iter().map(|unread| (unread.tokens, unread)).collect();
        let (lines, others) = (&*self.lines, self.others);
        Explained { settings, lines, unread, others, lost, first, known: Vec::new(), budget: HASHED }
    }
}

/// Which missing parents have been explained.
pub(super) struct Explained<'l> {
    settings: &'l Settings<'l>,
    lines: &'l [Box<[u8]>],
    /// Each explains as many ids as it may have been tokens: such that still stand in it, or that the line after it wants.
    unread: Vec<(u32, &'l Unread)>,
    /// Each explains one id, whichever.
    others: usize,
    /// So many are explained by what is gone, of tokens behind this line.
    lost: u64,
    first: u64,
    /// Fingerprints, in order.
    known: Vec<u64>,
    /// Bytes that may still be hashed.
    budget: usize,
}

impl Explained<'_> {
    /// Whether it is known why there is no token with this id, from which the token in line `child` follows.
    pub(super) fn covers(&mut self, child: u64, id: u64, text: Option<&str>) -> bool {
        let Err(at) = self.known.binary_search(&id) else { return true };
        if self.known.len() >= EXPLAINED {
            return false;
        }
        let explained = text.is_some_and(|text| self.was(text))
            || self.held(child, text)
            || {
                let left = self.others.checked_sub(1);
                self.others = left.unwrap_or_default();
                left.is_some()
            }
            || {
                let left = self.lost.checked_sub(1).filter(|_| child > self.first);
                self.lost = left.unwrap_or(self.lost);
                left.is_some()
            };
        if explained {
            self.known.insert(at, id);
        }
        explained
    }

    /// Whether a line that cannot be read was the token with this id, as far as one can tell.
    fn held(&mut self, child: u64, id: Option<&str>) -> bool {
        let Self { unread, budget, .. } = self;
        let id = id.unwrap_or_default().as_bytes();
        let held = unread.iter().position(|(_, unread)| {
            if unread.line.checked_add(1) == Some(child) {
                return true;
            }
            let Some(left) = budget.checked_sub(unread.bytes.len()) else { return false };
            *budget = left;
            !id.is_empty() && unread.bytes.windows(id.len()).any(|part| part == id)
        });
        let Some((at, (left, _))) = held.and_then(|at| Some((at, unread.get_mut(at)?))) else { return false };
        *left -= 1;
        if *left == 0 {
            unread.swap_remove(at);
        }
        true
    }

    /// Whether a line whose hash is wrong would be right with this id.
    fn was(&mut self, id: &str) -> bool {
        let Self { lines, settings, budget, .. } = self;
        lines.iter().any(|line| {
            let Some(left) = budget.checked_sub(line.len()) else { return false };
            *budget = left;
            Token::parse_bytes(line).is_ok_and(|token| {
                let token = Token { token_id: Text::new(id), ..token };
                token.verify(settings.mac.as_ref()).is_ok()
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{DeferredChecks, HASHED, Kind, LINE_BYTES, LINES, Settings};
    use crate::verify::tests::{Made, id, log};

    #[test]
    fn a_changed_id_explains_its_children_and_guessing_it_has_an_end() {
        let line = log(1, Made::default()).remove(0);
        let (settings, was) = (Settings::default(), id(&line));
        let mut checks = DeferredChecks::new();
        checks.suspect(Kind::ContentHash, 1, 1, line.replace(&was, "another").as_bytes());
        assert!(checks.explain(&settings, 0, 0).covers(9, 1, Some(&was)));
        let mut explained = checks.explain(&settings, 0, 0);
        explained.budget = 10 * line.len();
        for missing in 0..20 {
            assert!(!explained.covers(9, missing, Some("nobody")));
        }
        assert!(explained.budget < line.len() && !explained.covers(9, 99, Some(&was)), "{}", explained.budget);
        // It is enough for honest mistakes: each of the lines that are kept, at its longest, for some.
        const { assert!(HASHED >= 16 * LINES * LINE_BYTES) };
    }
}
