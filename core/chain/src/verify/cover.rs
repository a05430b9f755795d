//! The entries against a checkpoint, and against the leaf hashes under it.

use alloc::boxed::Box;
use alloc::vec::Vec;

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
    /// One that is gone from its place, where that was said.
    Moved,
}

/// Whose finding it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The entry that was a [`Step::Suspect`].
    Suspect,
    /// The entry in hand, before which others are gone.
    This,
}

/// What was found about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) who: Who,
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
    lines: u64,
    /// How many entries these may be: where line feeds are gone, more than lines.
    wrong: u64,
    said: bool,
}

/// Places that are remembered where entries are gone, and entries that stand elsewhere.
const REMEMBERED: usize = 1024;

/// Holds one entry after the other against the checkpoint.
pub(super) struct Cover<'t> {
    against: Against<'t>,
    /// Without a tree.
    frontier: Frontier,
    /// With a tree: the index that the next entry should have.
    next: u64,
    suspect: Option<Suspect>,
    verdicts: heapless::Vec<Verdict, 2>,
    /// The entry before was wrong, and that is said.
    wrong: bool,
    /// Indexes of entries that are gone: they may turn up further down.
    gone: Vec<(u64, u64)>,
    /// Indexes of entries that stood further up, in order: they are missing in their places.
    displaced: Vec<u64>,
    budget: u64,
}

impl<'t> Cover<'t> {
    pub(super) fn new(against: Against<'t>) -> Self {
        Self {
            against,
            frontier: Frontier::new(),
            next: 0,
            suspect: None,
            verdicts: heapless::Vec::new(),
            wrong: false,
            gone: Vec::new(),
            displaced: Vec::new(),
            budget: BUDGET,
        }
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
        self.find_in(index, self.against.size, leaf)
    }

    fn find_in(&mut self, index: u64, end: u64, leaf: &NodeHash) -> Option<u64> {
        let end = index.saturating_add(WINDOW.min(self.budget)).min(end);
        let found = (index..end).find(|at| self.is(*at, leaf));
        self.budget = self.budget.saturating_sub(found.unwrap_or(end).saturating_sub(index));
        found
    }

    /// How many entries the checkpoint is about.
    pub(super) const fn size(&self) -> u64 {
        self.against.size
    }

    /// Their root.
    pub(super) const fn root(&self) -> NodeHash {
        self.against.root
    }

    /// Whether the leaf hashes are known one by one.
    pub(super) const fn has_tree(&self) -> bool {
        self.against.tree.is_some()
    }

    /// The leaf hash of the next entry: that of the line as it is, or without its carriage return if that is the one that belongs here.
    pub(super) fn pick(&mut self, leaf: NodeHash, bare: Option<NodeHash>) -> NodeHash {
        let next = self.suspect.as_ref().map_or(self.next, |suspect| suspect.index + suspect.wrong);
        bare.filter(|bare| !self.is(next, &leaf) && self.is(next, bare)).unwrap_or(leaf)
    }

    /// The next line, which may be several entries without line feeds between them.
    pub(super) fn step(&mut self, leaf: NodeHash, entries: u64) -> Step {
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
            None if self.is_gone(&leaf) => Step::Moved,
            None => {
                self.suspect = Some(Suspect { index: self.next, leaf, lines: 1, wrong: entries, said: wrong });
                if wrong { Step::Follows } else { Step::Suspect }
            }
            Some(suspect) => self.resume(suspect, leaf, entries),
        }
    }

    /// Something was wrong before this entry: is it right again?
    fn resume(&mut self, mut suspect: Suspect, leaf: NodeHash, entries: u64) -> Step {
        let at = suspect.index;
        if suspect.lines == 1
            && let Some(step) = self.resume_after_one(&suspect, &leaf)
        {
            return step;
        }
        let edited_until = at + suspect.wrong;
        if self.is(edited_until, &leaf) || edited_until >= self.against.size {
            self.say(&suspect, Kind::Root, suspect.wrong);
            self.next = edited_until + 1;
            return Step::Good;
        }
        if self.is(at, &leaf) {
            self.inserted(&suspect);
            self.next = at + 1;
            return Step::Good;
        }
        if let Some(found) = self.find(at + 1, &leaf) {
            self.say(&suspect, Kind::Root, suspect.wrong);
            self.next = found + 1;
            // Fewer lines were wrong than are between.
            self.dropped(Who::This, edited_until, found);
            return Step::Good;
        }
        suspect.lines += 1;
        suspect.wrong += entries;
        if suspect.lines > PATIENCE && !suspect.said {
            self.say(&suspect, Kind::Root, suspect.wrong);
            suspect.said = true;
        }
        self.suspect = Some(suspect);
        Step::Follows
    }

    /// Only one line was wrong: what was done that makes this one follow it?
    fn resume_after_one(&mut self, suspect: &Suspect, leaf: &NodeHash) -> Option<Step> {
        let at = suspect.index;
        // Exchanged with its neighbour.
        if self.is(at + 1, &suspect.leaf) && self.is(at, leaf) {
            self.say(suspect, Kind::Swapped, 1);
            self.next = at + 2;
            self.wrong = true;
            return Some(Step::Follows);
        }
        // The entries between are gone.
        let found = self.find(at + 1, &suspect.leaf)?;
        if self.is(at + 1, leaf) {
            self.say(suspect, Kind::Swapped, 1);
            self.next = at + 2;
            return Some(Step::Good);
        }
        if self.is(found + 1, leaf) || (found + 1 == self.against.size && !self.is(at, leaf)) {
            self.dropped(Who::Suspect, at, found);
            self.next = (found + 2).min(self.against.size.max(found + 1));
            return Some(Step::Good);
        }
        None
    }

    /// Lines stand before an entry that belongs where they begin.
    fn inserted(&mut self, suspect: &Suspect) {
        if suspect.lines > 1 {
            return self.say(suspect, Kind::Inserted, suspect.lines);
        }
        match self.find(suspect.index + 1, &suspect.leaf) {
            Some(place) => {
                if self.displaced.len() < REMEMBERED
                    && let Err(at) = self.displaced.binary_search(&place)
                {
                    self.displaced.insert(at, place);
                }
                self.say(suspect, Kind::Swapped, 1);
            }
            None => self.say(suspect, Kind::Inserted, 1),
        }
    }

    /// Whether this is an entry that was missing further up.
    fn is_gone(&mut self, leaf: &NodeHash) -> bool {
        (0..self.gone.len()).any(|at| {
            let (from, to) = self.gone.get(at).copied().unwrap_or_default();
            self.find_in(from, to, leaf).is_some()
        })
    }

    /// The entries with these indexes are gone. Of those that stood further up, that was said.
    fn dropped(&mut self, who: Who, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let first = self.displaced.partition_point(|index| *index < from);
        let elsewhere = self.displaced.iter().skip(first).take_while(|index| **index < to).count() as u64;
        let count = (to - from) - elsewhere.min(to - from);
        if count == 0 {
            return;
        }
        if self.gone.len() < REMEMBERED {
            self.gone.push((from, to));
        }
        let expected = self.leaf(from);
        self.put(Verdict { who, kind: Kind::Dropped, index: from, expected, count });
    }

    fn put(&mut self, verdict: Verdict) {
        // There are never more than two for one line.
        let _ = self.verdicts.push(verdict);
    }

    fn say(&mut self, suspect: &Suspect, kind: Kind, count: u64) {
        if !suspect.said {
            let expected = self.leaf(suspect.index);
            self.put(Verdict { who: Who::Suspect, kind, index: suspect.index, expected, count });
        }
    }

    /// What is wrong, once that is known.
    pub(super) fn verdict(&mut self) -> Option<Verdict> {
        if self.verdicts.is_empty() { None } else { Some(self.verdicts.remove(0)) }
    }

    /// The file has ended after so many entries: what is wrong with the whole. Then there may be a last [`verdict`](Self::verdict).
    pub(super) fn finish(&mut self, entries: u64) -> Whole {
        let size = self.against.size;
        let Some(suspect) = self.suspect.take() else {
            return match () {
                () if self.has_tree() && self.next < size => self.short(self.next),
                () if self.has_tree() => Whole::Good,
                () if entries < size => Whole::Short { next: entries, size },
                () if self.frontier.root() == self.against.root => Whole::Good,
                () => Whole::Other { expected: self.against.root, actual: self.frontier.root(), size },
            };
        };
        let found = if suspect.lines == 1 { self.find(suspect.index + 1, &suspect.leaf) } else { None };
        let next = if let Some(found) = found {
            self.dropped(Who::Suspect, suspect.index, found);
            found + 1
        } else {
            self.say(&suspect, Kind::Root, suspect.wrong);
            suspect.index + suspect.wrong
        };
        if next < size { self.short(next) } else { Whole::Good }
    }

    /// Entries from this one on are missing at the end; unless all of them stood further up.
    fn short(&self, next: u64) -> Whole {
        let size = self.against.size;
        let first = self.displaced.partition_point(|index| *index < next);
        let elsewhere = self.displaced.len().saturating_sub(first) as u64;
        if elsewhere == size - next { Whole::Good } else { Whole::Short { next, size } }
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
