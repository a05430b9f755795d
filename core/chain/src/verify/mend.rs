//! What the entries were before something was done to them, as far as the links of the others tell: if their root is that of the
//! checkpoint, then what was found explains that theirs is not.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::log::merkle::{Frontier, NodeHash};

/// Entries whose place is not settled.
const HELD: usize = 3;
/// Hashes of entries that are gone, which may stand elsewhere.
const GIVEN: usize = 32;

/// An entry.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) leaf: NodeHash,
    pub(super) link: Option<NodeHash>,
    /// It begins the log.
    pub(super) begins: bool,
    /// Its leaf hash without the carriage return at its end.
    pub(super) bare: Option<NodeHash>,
}

/// Follows the entries of a file, and puts them back in order.
pub(super) struct Mend {
    size: u64,
    held: VecDeque<Entry>,
    /// Where a link does not fit the entry before, that was another one.
    replaced: Frontier,
    /// Where it does not, one is gone between.
    inserted: Frontier,
    given: Vec<NodeHash>,
    begun: bool,
    bare: bool,
}

impl Mend {
    /// Of a checkpoint over so many entries.
    pub(super) const fn new(size: u64) -> Self {
        Self {
            size,
            held: VecDeque::new(),
            replaced: Frontier::new(),
            inserted: Frontier::new(),
            given: Vec::new(),
            begun: false,
            bare: false,
        }
    }

    fn push(&mut self, replaced: NodeHash, inserted: &[NodeHash]) {
        if self.replaced.size() < self.size {
            self.replaced.push(replaced);
        }
        for leaf in inserted {
            if self.inserted.size() < self.size {
                self.inserted.push(*leaf);
            }
        }
    }

    /// The next entry. `first`: the file is the beginning of its log.
    pub(super) fn step(&mut self, entry: Entry, first: bool) {
        // One that was gone further up.
        if self.given.contains(&entry.leaf) {
            return;
        }
        // The first of the log stands behind another.
        if self.held.len() == 1 && self.replaced.size() == 0 && entry.begins && first {
            self.held.clear();
            self.inserted = Frontier::new();
        }
        if !self.begun && first {
            let gone = entry.link;
            gone.into_iter().for_each(|gone| self.inserted.push(gone));
        }
        self.begun = true;
        self.held.push_back(entry);
        let before = self.held.len().checked_sub(HELD).and_then(|at| self.held.get(at)).copied();
        let (Some(y), Some(z)) = (self.held.iter().rev().nth(1).copied(), self.held.back().copied()) else { return };
        let follows = |entry: &Entry, before: Option<&Entry>| match (entry.link, before) {
            (Some(link), Some(before)) => link == before.leaf,
            (link, None) => link.is_none(),
            (None, Some(_)) => false,
        };
        if y.link == Some(z.leaf) && follows(&z, before.as_ref()) {
            let last = self.held.len() - 1;
            self.held.swap(last - 1, last);
        } else if before.is_some() && follows(&z, before.as_ref()) {
            // The one between does not belong there.
            self.held.remove(self.held.len() - 2);
        }
        if self.held.len() >= HELD {
            self.settle();
        }
    }

    /// The first that is held is settled.
    fn settle(&mut self) {
        let Some(entry) = self.held.pop_front() else { return };
        match self.held.front().and_then(|next| next.link) {
            Some(link) if link != entry.leaf && entry.bare == Some(link) => {
                self.bare = true;
                self.push(link, &[link]);
            }
            Some(link) if link != entry.leaf => {
                if self.given.len() < GIVEN {
                    self.given.push(link);
                }
                self.push(link, &[entry.leaf, link]);
            }
            _ => {
                let leaf = entry.bare.filter(|_| self.bare).unwrap_or(entry.leaf);
                self.push(leaf, &[leaf]);
            }
        }
    }

    /// The file has ended: whether its entries were those under this root.
    pub(super) fn explains(mut self, root: &NodeHash) -> bool {
        while !self.held.is_empty() {
            self.settle();
        }
        [self.replaced, self.inserted].iter().any(|tree| tree.size() == self.size && tree.root() == *root)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// Entries of which each links to the one before.
    fn entries(count: u8) -> Vec<Entry> {
        let entry = |i| Entry { leaf: [i + 1; 32], link: (i > 0).then_some([i; 32]), begins: i == 0, bare: None };
        (0..count).map(entry).collect()
    }

    fn explains(all: &[Entry], bad: &[Entry]) -> bool {
        let root = Frontier::from_leaves(all.iter().map(|entry| entry.leaf)).root();
        let mut mend = Mend::new(all.len() as u64);
        bad.iter().for_each(|entry| mend.step(*entry, true));
        mend.explains(&root)
    }

    #[test]
    fn one_change_is_undone() {
        let all = entries(12);
        assert!(explains(&all, &all));
        for at in 0..12 {
            let mut bad = all.clone();
            bad[at].leaf = [99; 32];
            assert_eq!(explains(&all, &bad), at < 11, "edited {at}");
            let mut bad = all.clone();
            bad.remove(at);
            assert_eq!(explains(&all, &bad), at < 11, "dropped {at}");
            let mut bad = all.clone();
            let link = at.checked_sub(1).map(|at| all[at].leaf);
            bad.insert(at, Entry { leaf: [99; 32], link, begins: false, bare: None });
            assert!(explains(&all, &bad), "inserted at {at}");
            if at < 11 {
                let mut bad = all.clone();
                bad.swap(at, at + 1);
                assert!(explains(&all, &bad), "exchanged {at}");
            }
            for to in 0..11 {
                let mut bad = all.clone();
                let moved = bad.remove(at);
                bad.insert(to, moved);
                // The last is known by nothing that follows it.
                assert!(explains(&all, &bad) || at == 11 || to == 0, "moved {at} to {to}");
            }
        }
    }

    #[test]
    fn two_changes_are_not_one() {
        let all = entries(12);
        let mut bad = all.clone();
        bad[3].leaf = [99; 32];
        bad.remove(7);
        assert!(!explains(&all, &bad));
        // One that is covered up beside one that is not.
        let mut bad = all.clone();
        bad[3].leaf = [99; 32];
        bad[6].leaf = [98; 32];
        bad[7].link = Some([98; 32]);
        assert!(!explains(&all, &bad));
    }

    #[test]
    fn carriage_returns_are_taken_off() {
        let all = entries(5);
        let bad: Vec<Entry> = all
            .iter()
            .map(|entry| Entry { leaf: entry.leaf.map(|byte| byte ^ 0x80), bare: Some(entry.leaf), ..*entry })
            .collect();
        assert!(explains(&all, &bad));
    }
}
