//! Datagrams on their way in.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::network::NetworkChange;
use crate::path::Path;

/// Received datagrams: a fixed number of buffers that the io fills and the driver reads out, used over and over.
///
/// A buffer (a *slot*) holds what one receive call delivered: one datagram, or, where the kernel coalesces (GRO), a
/// train of datagrams of one sender that are all `stride` bytes long except perhaps the last. The memory is taken once,
/// zeroed by the allocator, so pages that no datagram ever reaches cost nothing.
#[derive(Debug)]
pub struct RecvBatch {
    arena: Box<[u8]>,
    slot_len: usize,
    filled: Vec<Slot>,
    /// The slot being read, and how far.
    at: usize,
    offset: usize,
    errors: u64,
    /// What became of the machine's networks; told before the datagrams.
    networks: Vec<NetworkChange>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    path: Path,
    len: usize,
    stride: usize,
}

impl RecvBatch {
    /// `slots` buffers of `slot_len` bytes each (at least 1 of each). A slot must hold any datagram, and 65,535 bytes
    /// where the kernel may coalesce; what is longer is cut off by the kernel.
    #[must_use]
    pub fn new(slots: usize, slot_len: usize) -> Self {
        let (slots, slot_len) = (slots.max(1), slot_len.max(1));
        let arena = vec![0; slots.saturating_mul(slot_len)].into_boxed_slice();
        Self { arena, slot_len, filled: Vec::with_capacity(slots), at: 0, offset: 0, errors: 0, networks: Vec::new() }
    }

    /// How many slots there are.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.arena.len() / self.slot_len
    }

    /// Every datagram was read out (or none came in).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at == self.filled.len()
    }

    /// All buffers, for one receive call to fill from the first on; then say what arrived with
    /// [`fill`](Self::fill), slot by slot in this order. Forgets what was not read out.
    pub fn buffers(&mut self) -> impl ExactSizeIterator<Item = &mut [u8]> {
        self.clear();
        self.arena.chunks_exact_mut(self.slot_len)
    }

    /// The next slot now holds `len` bytes received over `path`: datagrams of `stride` bytes, the last one perhaps
    /// shorter. A stride of 0 or of `len` and more means a single datagram. More slots than there are, or more bytes
    /// than a slot holds, are ignored.
    pub fn fill(&mut self, path: Path, len: usize, stride: usize) {
        if self.filled.len() < self.slots() {
            self.filled.push(Slot { path, len: len.min(self.slot_len), stride });
        }
    }

    /// Copy one datagram into the next free slot; `false` if there is none or it is too long. For an io that has no
    /// use for receiving straight into the slots.
    pub fn push(&mut self, path: Path, datagram: &[u8]) -> bool {
        if self.is_empty() {
            self.clear();
        }
        let start = self.filled.len() * self.slot_len;
        let free = self.filled.len() < self.slots() && datagram.len() <= self.slot_len;
        let Some(buffer) = self.arena.get_mut(start..start + datagram.len()).filter(|_| free) else { return false };
        buffer.copy_from_slice(datagram);
        self.fill(path, datagram.len(), 0);
        true
    }

    /// A receive call failed in a way that concerns a single peer (an ICMP error, say) and was ignored: count it.
    pub fn note_error(&mut self) {
        self.errors = self.errors.saturating_add(1);
    }

    /// A network of the machine has come or gone: it is told so before it is handed the datagrams.
    pub fn note_network(&mut self, change: NetworkChange) {
        self.networks.push(change);
    }

    /// Take the next datagram, in order of arrival.
    #[expect(clippy::should_implement_trait, reason = "lends from itself, which an iterator cannot")]
    pub fn next(&mut self) -> Option<(Path, &mut [u8])> {
        let slot = *self.filled.get(self.at)?;
        let (from, stride) = (self.offset, if slot.stride == 0 { slot.len } else { slot.stride });
        let to = slot.len.min(from.saturating_add(stride));
        if to == slot.len {
            self.at += 1;
            self.offset = 0;
        } else {
            self.offset = to;
        }
        // The slot that was read is the one before `at` if it is exhausted.
        let index = if to == slot.len { self.at - 1 } else { self.at };
        let base = index * self.slot_len;
        self.arena.get_mut(base + from..base + to).map(|bytes| (slot.path, bytes))
    }

    /// Changes of networks noted since the last call, oldest first.
    pub(super) fn take_networks(&mut self) -> impl Iterator<Item = NetworkChange> + '_ {
        self.networks.drain(..)
    }

    /// Errors noted since the last call.
    pub(super) fn take_errors(&mut self) -> u64 {
        core::mem::take(&mut self.errors)
    }

    fn clear(&mut self) {
        self.filled.clear();
        self.at = 0;
        self.offset = 0;
    }
}
