//! Numbered slots with generations.

use core::fmt;

use super::{NONE, Storage, Store};

/// Names one entry of one [`Slab`]: its slot and the generation of that slot.
///
/// When the entry is gone the slot is used again under the next generation, so an old id finds nothing. (A slot would have
/// to be reused 2^32 times for an old id to match again.)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId {
    slot: u32,
    generation: u32,
}

impl SlotId {
    /// The slot number: below the capacity of the slab, reused.
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.slot
    }

    /// As one number, for an application that keeps it for us.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        ((self.generation as u64) << 32) | self.slot as u64
    }

    /// From `to_bits`. Any number is safe: one that names nothing finds nothing.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // the two halves
    pub const fn from_bits(bits: u64) -> Self {
        Self { slot: bits as u32, generation: (bits >> 32) as u32 }
    }
}

impl fmt::Debug for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.slot, self.generation)
    }
}

enum State<T> {
    /// Free; the next free slot.
    Free(u32),
    Used(T),
}

struct Slot<T> {
    generation: u32,
    state: State<T>,
}

/// At most `capacity` entries in numbered slots; the slot freed last is reused first.
pub struct Slab<T, S: Storage> {
    slots: S::List<Slot<T>>,
    free: u32,
    len: usize,
    capacity: usize,
}

impl<T, S: Storage> Slab<T, S> {
    /// Bytes that one slot takes.
    pub(crate) const SLOT_BYTES: usize = size_of::<Slot<T>>();

    /// Empty, for at most `capacity` entries (less when the storage holds less).
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.min(NONE as usize).min(<S::List<Slot<T>> as Store<Slot<T>>>::limit());
        Self { slots: <S::List<Slot<T>> as Default>::default(), free: NONE, len: 0, capacity }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// No entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many entries there can be.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// No room for another entry.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len >= self.capacity
    }

    /// Bytes of heap held.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.slots.heap_bytes()
    }

    /// Bytes of heap that the next [`insert`](Self::insert) adds to that.
    #[must_use]
    #[cfg(feature = "alloc")]
    pub(crate) fn growth_bytes(&self) -> usize {
        if self.free != NONE || self.is_full() { 0 } else { self.slots.growth_bytes() }
    }

    /// Add an entry.
    ///
    /// # Errors
    /// The entry, when the slab is full.
    pub fn insert(&mut self, value: T) -> Result<SlotId, T> {
        if self.is_full() {
            return Err(value);
        }
        if self.free == NONE {
            // The capacity is below `u32::MAX`, and so is every slot number.
            #[allow(clippy::cast_possible_truncation)]
            let fresh = self.slots.len() as u32;
            if self.slots.push(Slot { generation: 0, state: State::Free(NONE) }).is_err() {
                return Err(value);
            }
            self.free = fresh;
        }
        let Some(row) = self.slots.get_mut(self.free as usize) else { return Err(value) };
        let State::Free(next) = row.state else { return Err(value) };
        row.state = State::Used(value);
        let id = SlotId { slot: self.free, generation: row.generation };
        self.free = next;
        self.len += 1;
        Ok(id)
    }

    /// Take an entry out.
    pub fn remove(&mut self, id: SlotId) -> Option<T> {
        self.get(id)?;
        self.remove_at(id.slot)
    }

    /// Take out whatever is in a slot. Take it out of every list and index first.
    pub fn remove_at(&mut self, slot: u32) -> Option<T> {
        let row = self.slots.get_mut(slot as usize)?;
        if matches!(row.state, State::Free(_)) {
            return None;
        }
        let was = core::mem::replace(&mut row.state, State::Free(self.free));
        row.generation = row.generation.wrapping_add(1);
        self.free = slot;
        self.len -= 1;
        match was {
            State::Used(value) => Some(value),
            State::Free(_) => None,
        }
    }

    /// The entry with this id.
    #[must_use]
    pub fn get(&self, id: SlotId) -> Option<&T> {
        match self.slots.get(id.slot as usize) {
            Some(Slot { generation, state: State::Used(value) }) if *generation == id.generation => Some(value),
            _ => None,
        }
    }

    /// The entry with this id, to change it.
    pub fn get_mut(&mut self, id: SlotId) -> Option<&mut T> {
        match self.slots.get_mut(id.slot as usize) {
            Some(Slot { generation, state: State::Used(value) }) if *generation == id.generation => Some(value),
            _ => None,
        }
    }

    /// Whatever is in this slot.
    #[must_use]
    pub fn at(&self, slot: u32) -> Option<&T> {
        match self.slots.get(slot as usize) {
            Some(Slot { state: State::Used(value), .. }) => Some(value),
            _ => None,
        }
    }

    /// Whatever is in this slot, to change it.
    pub fn at_mut(&mut self, slot: u32) -> Option<&mut T> {
        match self.slots.get_mut(slot as usize) {
            Some(Slot { state: State::Used(value), .. }) => Some(value),
            _ => None,
        }
    }

    /// The id of the entry that is in this slot now.
    #[must_use]
    pub fn id_at(&self, slot: u32) -> Option<SlotId> {
        match self.slots.get(slot as usize) {
            Some(Slot { generation, state: State::Used(_) }) => Some(SlotId { slot, generation: *generation }),
            _ => None,
        }
    }

    /// How many slots have ever been used: every entry is in a slot below this.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // slot numbers fit by construction
    pub fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Read something of each of the first rows, used or not, for whoever wants them at hand. Nothing waits for what is read,
    /// which means nothing.
    #[cfg(feature = "sim")]
    #[inline]
    pub(crate) fn touch(&self, rows: usize) -> u64 {
        self.slots.head().iter().take(rows).fold(0, |sum, row| sum ^ u64::from(row.generation))
    }

    /// Do the same with the entries in these rows.
    #[cfg(feature = "sim")]
    #[inline]
    pub(crate) fn touch_entries(&self, rows: usize, read: impl Fn(&T) -> u64) -> u64 {
        self.slots.head().iter().take(rows).fold(0, |sum, row| match &row.state {
            State::Used(value) => sum ^ read(value),
            State::Free(_) => sum,
        })
    }

    /// Every entry, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (SlotId, &T)> {
        (0..self.slots()).filter_map(|slot| Some((self.id_at(slot)?, self.at(slot)?)))
    }
}

impl<T, S: Storage> fmt::Debug for Slab<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slab").field("len", &self.len).field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "alloc"))]
impl<T> Slab<T, super::counted::Counted> {
    /// How many slots were looked at so far.
    pub(crate) fn steps(&self) -> u64 {
        self.slots.steps()
    }
}
