//! Links from each entry to the one before it, and who is to blame where one does not fit.

use super::settings::Start;
use crate::log::merkle::NodeHash;

/// Entries that are remembered: how many inserted lines in a row are recognized as such.
pub(super) const RECENT: usize = 32;

/// Which entry is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The one in hand, which should link to this but has no link or another one.
    This { expected: Option<NodeHash>, actual: Option<NodeHash> },
    /// The one before the one in hand: that was written after an entry with the hash `expected`.
    Before { back: u64, expected: NodeHash, actual: NodeHash },
    /// `count` entries, the first of them `back` entries before the one in hand, do not belong there.
    Inserted { back: u64, count: u64 },
    /// The one `back` entries before the one in hand stands in the wrong place.
    Swapped { back: u64 },
    /// The one in hand is not the first of its log.
    Headless { actual: NodeHash },
}

/// An entry whose link did not fit, while it is not clear who is to blame.
#[derive(Clone, Copy)]
struct Doubt {
    /// Its number.
    entry: u64,
    link: NodeHash,
    before: NodeHash,
    leaf: NodeHash,
    /// The next one linked to the one before it: it was put in between, or exchanged with its neighbour.
    between: bool,
    /// It links to the next one: they were exchanged.
    swapped: bool,
}

/// What is remembered of an entry.
#[derive(Clone, Copy)]
struct Recent {
    leaf: NodeHash,
    /// Something was found about it, or it follows from what was.
    blamed: bool,
}

/// Follows the links of one file.
pub(super) struct Links {
    start: Start,
    /// Some entry had a link.
    linked: bool,
    /// How many entries there were.
    entries: u64,
    recent: [Recent; RECENT],
    doubt: Option<Doubt>,
    /// The first was said not to be the first of its log.
    headless: bool,
    /// The last entry is one that was gone further up.
    moved: bool,
    /// Entries that are gone, the last of them: they may turn up elsewhere.
    gone: Few,
    /// Entries that were found where they do not belong, the last of them: their places are elsewhere.
    displaced: Few,
}

/// The last of some hashes.
#[derive(Clone, Copy)]
pub(super) struct Few {
    hashes: [NodeHash; RECENT],
    count: usize,
}

impl Few {
    pub(super) const NONE: Self = Self { hashes: [[0; 32]; RECENT], count: 0 };

    pub(super) fn push(&mut self, hash: NodeHash) {
        if let Some(slot) = self.hashes.get_mut(self.count % RECENT) {
            *slot = hash;
        }
        self.count += 1;
    }

    pub(super) fn has(&self, hash: &NodeHash) -> bool {
        self.hashes.get(..self.count.min(RECENT)).unwrap_or_default().contains(hash)
    }
}

impl Links {
    pub(super) const fn new(start: Start) -> Self {
        let nobody = Recent { leaf: [0; 32], blamed: false };
        Self {
            start,
            linked: false,
            entries: 0,
            recent: [nobody; RECENT],
            doubt: None,
            headless: false,
            moved: false,
            gone: Few::NONE,
            displaced: Few::NONE,
        }
    }

    /// The entry `back` places before the next one.
    fn back(&self, back: u64) -> Option<&Recent> {
        let entry = self.entries.checked_sub(back)?;
        self.recent.get(usize::try_from(entry).ok()? % RECENT)
    }

    /// Blame falls on an entry after it was passed. Nothing happens if that is too long ago.
    pub(super) fn blame(&mut self, back: u64) {
        if (1..=RECENT as u64).contains(&back)
            && let Some(entry) = self.entries.checked_sub(back)
            && let Ok(entry) = usize::try_from(entry)
            && let Some(recent) = self.recent.get_mut(entry % RECENT)
        {
            recent.blamed = true;
        }
    }

    /// Whether the last entry is one that was gone further up.
    pub(super) const fn is_moved(&self) -> bool {
        self.moved
    }

    /// Whether this entry was found where it does not belong.
    pub(super) fn is_displaced(&self, leaf: &NodeHash) -> bool {
        self.displaced.has(leaf)
    }

    /// The last entry was logged under another leaf hash, for a reason that was found.
    pub(super) fn rename_last(&mut self, leaf: NodeHash) {
        if let Some(entry) = self.entries.checked_sub(1)
            && let Ok(entry) = usize::try_from(entry)
            && let Some(recent) = self.recent.get_mut(entry % RECENT)
        {
            recent.leaf = leaf;
        }
    }

    /// The next entry. `blamed`: something was found about it; `sealed`: it may stand without a link.
    ///
    /// The outcome tells who is to blame, seen from this entry (`back` 0). The one to blame is remembered as such.
    pub(super) fn step(&mut self, link: Option<NodeHash>, leaf: NodeHash, sealed: bool, blamed: bool) -> Option<Blame> {
        self.moved = false;
        let (outcome, follows) = self.judge(link, leaf, sealed, blamed);
        self.headless |= matches!(outcome, Some(Blame::Headless { .. }));
        let at = usize::try_from(self.entries % RECENT as u64).unwrap_or(0);
        if let Some(slot) = self.recent.get_mut(at) {
            let this =
                matches!(outcome, Some(Blame::This { .. } | Blame::Headless { .. } | Blame::Inserted { back: 0, .. }));
            *slot = Recent { leaf, blamed: blamed || follows || this };
        }
        self.entries += 1;
        self.linked |= link.is_some();
        match outcome {
            Some(Blame::Before { back, .. } | Blame::Swapped { back }) => self.blame(back + 1),
            Some(Blame::Inserted { back, count }) => (0..count).for_each(|i| {
                if let Some(recent) = self.back(back + 1 - i).copied() {
                    self.displaced.push(recent.leaf);
                }
                self.blame(back + 1 - i);
            }),
            _ => {}
        }
        outcome
    }

    /// Who is to blame, and whether this one is out of the question because of what was said before.
    fn judge(&mut self, link: Option<NodeHash>, leaf: NodeHash, sealed: bool, blamed: bool) -> (Option<Blame>, bool) {
        let Some(last) = self.back(1).copied() else {
            let outcome = match (self.start, link) {
                (Start::Fresh, Some(actual)) => Some(Blame::Headless { actual }),
                (Start::After(expected), actual) if actual != Some(expected) && !(sealed && actual.is_none()) => {
                    Some(Blame::This { expected: Some(expected), actual })
                }
                _ => None,
            };
            return (outcome.filter(|_| !blamed), false);
        };
        let doubt = self.doubt.take();
        if link == Some(last.leaf) {
            // This one is right: the doubt was about an entry before that.
            return (doubt.map(|doubt| self.settle(doubt, link)), false);
        }
        if let Some(doubt) = doubt {
            return self.judge_again(doubt, link, leaf);
        }
        if blamed || last.blamed {
            return (None, false);
        }
        // One that is gone from its place turns up here; or this one follows one that stands elsewhere.
        if self.gone.has(&leaf) {
            self.moved = true;
            return (None, true);
        }
        if link.is_some_and(|link| self.displaced.has(&link)) {
            return (None, false);
        }
        let Some(link) = link else {
            let bare = self.linked && !sealed;
            return (bare.then_some(Blame::This { expected: Some(last.leaf), actual: None }), false);
        };
        // A copy of one that stands further up.
        if (1..=RECENT as u64).any(|back| self.back(back).is_some_and(|recent| recent.leaf == leaf)) {
            return (Some(Blame::Inserted { back: 0, count: 1 }), false);
        }
        // It links to one that stands further up: what is between does not belong there.
        for back in 2..=RECENT as u64 {
            if self.back(back).is_some_and(|recent| recent.leaf == link) {
                // Of two that were exchanged at the head of the file, the one that should not be the first was named.
                let headless = self.headless && self.entries == back;
                let between = headless || (1..back).any(|back| self.back(back).is_some_and(|recent| recent.blamed));
                return if between {
                    (None, true)
                } else {
                    (Some(Blame::Inserted { back: back - 1, count: back - 1 }), false)
                };
            }
        }
        self.doubt = Some(Doubt { entry: self.entries, link, before: last.leaf, leaf, between: false, swapped: false });
        (None, false)
    }

    /// The entry before this one did not fit, and neither does this one.
    fn judge_again(&mut self, doubt: Doubt, link: Option<NodeHash>, leaf: NodeHash) -> (Option<Blame>, bool) {
        let back = self.entries - doubt.entry;
        if !doubt.between && link == Some(doubt.before) {
            // As if the one in doubt were not there. The next one says whether it has changed places with this one.
            self.doubt = Some(Doubt { between: true, swapped: doubt.link == leaf, ..doubt });
            return (None, true);
        }
        if doubt.between {
            let swapped = doubt.swapped || link == Some(doubt.leaf);
            let blame = if swapped { Blame::Swapped { back } } else { Blame::Inserted { back, count: 1 } };
            return (Some(blame), swapped);
        }
        if link.is_none() {
            return (Some(self.settle(doubt, link)), false);
        }
        // Neither does it fit the one before it, nor does the one after fit it.
        (Some(Blame::Before { back, expected: doubt.before, actual: doubt.link }), true)
    }

    /// The entries after the one in doubt are right.
    fn settle(&mut self, doubt: Doubt, link: Option<NodeHash>) -> Blame {
        let back = self.entries - doubt.entry;
        match () {
            () if doubt.swapped && link.is_none() => Blame::Swapped { back },
            () if doubt.between && link != Some(doubt.leaf) => Blame::Inserted { back, count: 1 },
            () => {
                self.gone.push(doubt.link);
                Blame::Before { back: back + 1, expected: doubt.link, actual: doubt.before }
            }
        }
    }

    /// The file has ended: who is to blame, seen from the entry after the last.
    pub(super) fn finish(&mut self) -> Option<Blame> {
        let doubt = self.doubt.take()?;
        Some(self.settle(doubt, None))
    }
}
