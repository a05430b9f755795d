//! First-in first-out lists threaded through the entries of a slab.

use core::fmt;
use core::marker::PhantomData;

use super::{NONE, Slab, Storage};

/// An entry's place in one [`List`].
#[derive(Clone, Copy, Debug)]
pub struct Link {
    prev: u32,
    next: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self { prev: NONE, next: NONE }
    }
}

/// An entry that can be in one list of kind `K` at a time. `K` is any type, used as a name.
pub trait Linked<K> {
    /// Its place.
    fn link(&self) -> &Link;
    /// Its place, for the list to change.
    fn link_mut(&mut self) -> &mut Link;
}

/// A first-in first-out list of entries of one slab, which is handed in with every call.
pub struct List<K> {
    head: u32,
    tail: u32,
    len: u32,
    kind: PhantomData<fn() -> K>,
}

impl<K> Default for List<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> List<K> {
    /// Empty.
    #[must_use]
    pub const fn new() -> Self {
        Self { head: NONE, tail: NONE, len: 0, kind: PhantomData }
    }

    /// How many entries it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// No entry.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slot of the entry that was added first.
    #[must_use]
    pub const fn front(&self) -> Option<u32> {
        if self.head == NONE { None } else { Some(self.head) }
    }

    /// The slot that follows this one.
    #[must_use]
    pub(crate) fn after<T: Linked<K>, S: Storage>(&self, slab: &Slab<T, S>, slot: u32) -> Option<u32> {
        slab.at(slot).map(|e| e.link().next).filter(|next| *next != NONE)
    }

    /// Every slot, first added first.
    pub fn iter<'a, T: Linked<K>, S: Storage>(&'a self, slab: &'a Slab<T, S>) -> impl Iterator<Item = u32> + 'a {
        core::iter::successors(self.front(), |slot| self.after(slab, *slot))
    }

    /// Whether the entry in this slot is in this list. (One that is in another list of the same kind may be taken for one of
    /// this: keep them apart.)
    #[must_use]
    pub fn contains<T: Linked<K>, S: Storage>(&self, slab: &Slab<T, S>, slot: u32) -> bool {
        slab.at(slot).is_some_and(|e| self.head == slot || e.link().prev != NONE)
    }

    /// Add the entry in this slot at the end; false when it is there already or the slot is empty.
    pub fn push_back<T: Linked<K>, S: Storage>(&mut self, slab: &mut Slab<T, S>, slot: u32) -> bool {
        if self.contains(slab, slot) {
            return false;
        }
        let Some(entry) = slab.at_mut(slot) else { return false };
        *entry.link_mut() = Link { prev: self.tail, next: NONE };
        match slab.at_mut(self.tail) {
            Some(last) => last.link_mut().next = slot,
            None => self.head = slot,
        }
        self.tail = slot;
        self.len += 1;
        true
    }

    /// Take the entry in this slot out of the list (it stays in the slab); false when it is not in it.
    pub fn remove<T: Linked<K>, S: Storage>(&mut self, slab: &mut Slab<T, S>, slot: u32) -> bool {
        if self.head == slot {
            return self.pop_front(slab).is_some();
        }
        let Some(entry) = slab.at_mut(slot) else { return false };
        if entry.link().prev == NONE {
            return false;
        }
        let Link { prev, next } = core::mem::take(entry.link_mut());
        if let Some(before) = slab.at_mut(prev) {
            before.link_mut().next = next;
        }
        match slab.at_mut(next) {
            Some(after) => after.link_mut().prev = prev,
            None => self.tail = prev,
        }
        self.len -= 1;
        true
    }

    /// Take the first entry out of the list (it stays in the slab). Touches no other entry: what comes next keeps a link back to
    /// where this was, and nobody looks at the back link of the first.
    pub(crate) fn pop_front<T: Linked<K>, S: Storage>(&mut self, slab: &mut Slab<T, S>) -> Option<u32> {
        let slot = self.front()?;
        let Link { next, .. } = core::mem::take(slab.at_mut(slot)?.link_mut());
        self.head = next;
        if next == NONE {
            self.tail = NONE;
        }
        self.len -= 1;
        Some(slot)
    }

    /// Make the entry in this slot the last one.
    pub(crate) fn move_to_back<T: Linked<K>, S: Storage>(&mut self, slab: &mut Slab<T, S>, slot: u32) -> bool {
        if self.tail == slot {
            return slot != NONE;
        }
        self.remove(slab, slot) && self.push_back(slab, slot)
    }
}

impl<K> fmt::Debug for List<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").field("len", &self.len).finish_non_exhaustive()
    }
}
