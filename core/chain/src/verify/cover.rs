//! The entries against a checkpoint, and against the leaf hashes under it.

use alloc::boxed::Box;

use super::finding::Kind;
use crate::log::merkle::{Frontier, Leaves, NodeHash};
use crate::log::note::Checkpoint;

/// The leaf hashes that a log wrote beside its entries: a `FILE.tree`. `None` beyond its end, and where it cannot be read.
pub trait Tree {
    /// The leaf hash of this entry.
    fn leaf(&mut self, index: u64) -> Option<NodeHash>;
}

impl<L: Leaves> Tree for L {
    fn leaf(&mut self, index: u64) -> Option<NodeHash> {
        if index < self.size() { Leaves::leaf(self, index).ok() } else { None }
    }
}

/// What the entries are held against.
pub struct Against<'t> {
    size: u64,
    root: NodeHash,
    tree: Option<Box<dyn Tree + Send + 't>>,
}

impl core::fmt::Debug for Against<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Against").field("size", &self.size).field("tree", &self.tree.is_some()).finish_non_exhaustive()
    }
}

impl<'t> Against<'t> {
    /// Hold entries against a checkpoint that is believed: [`Checkpoint::open`] has said so.
    #[must_use]
    pub const fn checkpoint(checkpoint: &Checkpoint<'_>) -> Self {
        Self { size: checkpoint.size, root: checkpoint.root, tree: None }
    }

    /// Hold them against the leaf hashes as well, so that the first wrong entry can be named whatever was done to those
    /// after it. They are read once here; `Err` with what there was before, if they are not those under the checkpoint.
    ///
    /// # Errors
    /// Their root is not the checkpoint's.
    pub fn with_tree(self, mut tree: impl Tree + Send + 't) -> Result<Self, Self> {
        let mut frontier = Frontier::new();
        for index in 0..self.size {
            match tree.leaf(index) {
                Some(leaf) => frontier.push(leaf),
                None => return Err(self),
            }
        }
        if frontier.root() == self.root { Ok(Self { tree: Some(Box::new(tree)), ..self }) } else { Err(self) }
    }
}

/// How far an entry is looked for elsewhere in the tree.
const WINDOW: u64 = 4096;
/// How many hashes are read in all to look for entries elsewhere: a file of nothing but wrong lines takes no longer for it.
const BUDGET: u64 = 1 << 22;
/// Wrong lines in a row after which nobody waits for the next right one to say what happened.
const PATIENCE: u64 = 16;

/// What the entry in hand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The one that belongs here, or nobody knows.
    Good,
    /// Not that one, and the first of its kind: what is wrong will be said of it by a later [`Cover::verdict`].
    Suspect,
    /// Not that one, but that follows from what was or will be said of the one before.
    Follows,
}

/// What was found about the entry that was a [`Step::Suspect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) kind: Kind,
    /// Which entry should be there.
    pub(super) index: u64,
    /// Its leaf hash, where there is one.
    pub(super) expected: Option<NodeHash>,
    /// How many, of those inserted or dropped.
    pub(super) count: u64,
}

/// An entry that is not the one that belongs there.
struct Suspect {
    /// The index that it should have.
    index: u64,
    leaf: NodeHash,
    /// How many lines, with this one, have been wrong.
    wrong: u64,
    said: bool,
}

/// Holds one entry after the other against the checkpoint.
pub(super) struct Cover<'t> {
    against: Against<'t>,
    /// Without a tree.
    frontier: Frontier,
    /// With a tree: the index that the next entry should have.
    next: u64,
    suspect: Option<Suspect>,
    verdict: Option<Verdict>,
    /// The entry before was wrong, and that is said.
    wrong: bool,
    budget: u64,
}

impl<'t> Cover<'t> {
    pub(super) fn new(against: Against<'t>) -> Self {
        Self { against, frontier: Frontier::new(), next: 0, suspect: None, verdict: None, wrong: false, budget: BUDGET }
    }

    fn leaf(&mut self, index: u64) -> Option<NodeHash> {
        if index >= self.against.size {
            return None;
        }
        self.against.tree.as_mut()?.leaf(index)
    }

    fn is(&mut self, index: u64, leaf: &NodeHash) -> bool {
        self.leaf(index).is_some_and(|known| known == *leaf)
    }

    /// Where, from `index` on, the entry with this leaf hash is.
    fn find(&mut self, index: u64, leaf: &NodeHash) -> Option<u64> {
        let end = index.saturating_add(WINDOW.min(self.budget)).min(self.against.size);
        let found = (index..end).find(|at| self.is(*at, leaf));
        self.budget = self.budget.saturating_sub(found.unwrap_or(end).saturating_sub(index));
        found
    }

    /// Whether the checkpoint is about the entry with this index.
    pub(super) const fn covers(&self, index: u64) -> bool {
        index < self.against.size
    }

    /// Whether the leaf hashes are known one by one.
    pub(super) const fn has_tree(&self) -> bool {
        self.against.tree.is_some()
    }

    /// The next entry. `reported`: something was found about it already, so that nothing need be said here.
    pub(super) fn step(&mut self, leaf: NodeHash, reported: bool) -> Step {
        if !self.has_tree() {
            if self.frontier.size() < self.against.size {
                self.frontier.push(leaf);
            }
            return Step::Good;
        }
        let wrong = core::mem::take(&mut self.wrong);
        match self.suspect.take() {
            None if self.next >= self.against.size => Step::Good,
            None if self.is(self.next, &leaf) => {
                self.next += 1;
                Step::Good
            }
            None => {
                self.suspect = Some(Suspect { index: self.next, leaf, wrong: 1, said: reported || wrong });
                if wrong { Step::Follows } else { Step::Suspect }
            }
            Some(suspect) => self.resume(suspect, leaf),
        }
    }

    /// Something was wrong before this entry: is it right again?
    fn resume(&mut self, mut suspect: Suspect, leaf: NodeHash) -> Step {
        let at = suspect.index;
        if suspect.wrong == 1 {
            // Exchanged with its neighbour.
            if self.is(at + 1, &suspect.leaf) && self.is(at, &leaf) {
                self.say(&suspect, Kind::Swapped, 1);
                self.next = at + 2;
                self.wrong = true;
                return Step::Follows;
            }
            // The entries between are gone.
            if let Some(found) = self.find(at + 1, &suspect.leaf) {
                if self.is(at + 1, &leaf) {
                    self.say(&suspect, Kind::Swapped, 1);
                    self.next = at + 2;
                    return Step::Good;
                }
                if self.is(found + 1, &leaf) || found + 1 == self.against.size {
                    self.say(&suspect, Kind::Dropped, found - at);
                    self.next = (found + 2).min(self.against.size.max(found + 1));
                    return Step::Good;
                }
            }
        }
        let edited_until = at + suspect.wrong;
        if self.is(edited_until, &leaf) || edited_until == self.against.size {
            self.say(&suspect, Kind::Root, suspect.wrong);
            self.next = edited_until + 1;
            return Step::Good;
        }
        if self.is(at, &leaf) {
            self.say(&suspect, Kind::Inserted, suspect.wrong);
            self.next = at + 1;
            return Step::Good;
        }
        if suspect.wrong > 1
            && let Some(found) = self.find(at + 1, &leaf)
        {
            self.say(&suspect, Kind::Root, suspect.wrong);
            self.next = found + 1;
            return Step::Good;
        }
        suspect.wrong += 1;
        if suspect.wrong > PATIENCE && !suspect.said {
            self.say(&suspect, Kind::Root, suspect.wrong);
            suspect.said = true;
        }
        self.suspect = Some(suspect);
        Step::Follows
    }

    fn say(&mut self, suspect: &Suspect, kind: Kind, count: u64) {
        if !suspect.said {
            let expected = self.leaf(suspect.index);
            self.verdict = Some(Verdict { kind, index: suspect.index, expected, count });
        }
    }

    /// What is wrong with the last suspect, once that is known.
    pub(super) fn verdict(&mut self) -> Option<Verdict> {
        self.verdict.take()
    }

    /// The file has ended after so many entries: what is wrong with the last suspect, and with the whole.
    pub(super) fn finish(&mut self, entries: u64) -> (Option<Verdict>, Whole) {
        let size = self.against.size;
        let Some(suspect) = self.suspect.take() else {
            let whole = match () {
                () if self.has_tree() && self.next < size => Whole::Short { next: self.next, size },
                () if self.has_tree() => Whole::Good,
                () if entries < size => Whole::Short { next: entries, size },
                () if self.frontier.root() == self.against.root => Whole::Good,
                () => Whole::Other { expected: self.against.root, actual: self.frontier.root(), size },
            };
            return (None, whole);
        };
        let found = if suspect.wrong == 1 { self.find(suspect.index + 1, &suspect.leaf) } else { None };
        let whole = match found {
            Some(found) => {
                self.say(&suspect, Kind::Dropped, found - suspect.index);
                if found + 1 < size { Whole::Short { next: found + 1, size } } else { Whole::Good }
            }
            None => {
                self.say(&suspect, Kind::Root, suspect.wrong);
                Whole::Good
            }
        };
        (self.verdict(), whole)
    }
}

/// What is wrong with the file as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// Nothing more than what was said.
    Good,
    /// Entries are missing at its end, from this one on.
    Short { next: u64, size: u64 },
    /// Some entry under the checkpoint is another. Which one is not known.
    Other { expected: NodeHash, actual: NodeHash, size: u64 },
}
