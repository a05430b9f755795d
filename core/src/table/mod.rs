//! Leaf tables: the bounded memory that the rooms above are built from.
//!
//! * [`Slab`]: numbered slots that are reused. A [`SlotId`] carries the slot's generation, so an id that outlived its
//!   entry finds nothing instead of somebody else's entry.
//! * [`List`]: a first-in first-out list threaded through the entries of a slab; taking one out of the middle is O(1).
//! * [`Index`]: finds entries of a slab by hash. It grows by one bucket at a time, so no insertion ever pays for a rehash
//!   of everything, and it is never iterated, so nothing depends on the order of hashes.
//!
//! An entry carries the [`Link`] of every list and the [`Chain`] of every index it can be in, and says where with
//! [`Linked`] and [`Chained`]. Everything is generic over a [`Storage`]: [`Heap`] (feature `alloc`) starts empty and grows in
//! small chunks that never move, so growing copies no entry and needs no second copy of the table; [`Fixed`] lives
//! inline with a const capacity and needs no heap.
//!
//! Nothing here panics: a slot that is not there is an absent value, and an entry that is not in a list cannot be taken
//! out of it.

mod index;
mod list;
mod slab;
mod store;
#[cfg(test)]
mod tests;

pub use index::{Chain, Chained, Index};
pub use list::{Link, Linked, List};
pub use slab::{Slab, SlotId};
#[cfg(feature = "alloc")]
pub use store::Heap;
#[cfg(all(test, feature = "alloc"))]
pub(crate) use store::counted;
pub use store::{Fixed, Storage, Store};

/// The slot number that stands for "none".
pub(crate) const NONE: u32 = u32::MAX;
