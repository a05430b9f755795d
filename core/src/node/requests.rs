//! Requests of ours that wait for an answer.

use super::heap::DeadlineHeap;
use crate::Path;
use crate::Unsent;
use crate::table::{Chain, Chained, Heap, Index, Slab, SlotId};
use crate::time::Instant;

/// Names a request of ours; what [`Node::ping`](super::Node::ping) returns. Never names another request later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub(super) SlotId);

impl RequestId {
    /// From the bits in a recording.
    #[cfg(feature = "record")]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(SlotId::from_bits(bits))
    }

    /// As a recording writes it.
    #[cfg(feature = "record")]
    pub(crate) const fn to_bits(self) -> u64 {
        self.0.to_bits()
    }

    /// A small number, below [`Caps::requests`](super::Caps::requests), that no other request has as long as this one waits:
    /// an application can keep its own data about requests in a `Vec`. It is free again once the last answer has come in, so
    /// take the events before you ask anew.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.0.slot()
    }
}

/// A request that waits for its answer, or after a `pending` answer for the decision.
#[derive(Debug)]
pub(super) struct Request {
    /// The random part of its packet id.
    key: u64,
    /// Keyed hash of the only DID that may answer; `None` for a broadcast target.
    pub(super) responder: Option<u64>,
    /// The only address that may answer.
    pub(super) path: Path,
    /// When it was made.
    pub(super) sent: Instant,
    /// A `pending` answer has come.
    pub(super) pending: bool,
    /// Its ping did not leave: it is over, and that is to be told.
    pub(super) unsent: Option<Unsent>,
    by_key: Chain,
}

#[derive(Debug)]
struct Key;

impl Chained<Key> for Request {
    fn chain(&self) -> &Chain {
        &self.by_key
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_key
    }
}

/// The table of requests, found by packet id and ordered by deadline.
#[derive(Debug)]
pub(super) struct Requests {
    slab: Slab<Request, Heap>,
    keys: Index<Key, Heap>,
    deadlines: DeadlineHeap,
}

impl Requests {
    pub(super) fn new(max: u32) -> Self {
        Self { slab: Slab::new(max as usize), keys: Index::new(), deadlines: DeadlineHeap::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.slab.is_full()
    }

    /// How many there can be.
    pub(super) fn max(&self) -> u32 {
        u32::try_from(self.slab.capacity()).unwrap_or(u32::MAX)
    }

    /// Add a request; `None` when the table is full. `key` must be random: it is its own hash.
    pub(super) fn insert(
        &mut self,
        key: u64,
        responder: Option<u64>,
        path: Path,
        sent: Instant,
        deadline: Instant,
    ) -> Option<RequestId> {
        let request = Request { key, responder, path, sent, pending: false, unsent: None, by_key: Chain::default() };
        let id = self.slab.insert(request).ok()?;
        self.keys.insert(&mut self.slab, id.slot(), key);
        self.deadlines.set(id.slot(), deadline);
        Some(RequestId(id))
    }

    /// The request with this packet id.
    pub(super) fn find(&self, key: u64) -> Option<(RequestId, &Request)> {
        let slot = self.keys.find(&self.slab, key, |r| r.key == key)?;
        Some((RequestId(self.slab.id_at(slot)?), self.slab.at(slot)?))
    }

    /// Note a `pending` answer: the request stays open until `deadline`.
    pub(super) fn set_pending(&mut self, id: RequestId, deadline: Instant) {
        if let Some(request) = self.slab.get_mut(id.0) {
            request.pending = true;
            self.deadlines.set(id.0.slot(), deadline);
        }
    }

    /// Note that the ping of the request with this packet id did not leave: its time is up now.
    pub(super) fn set_unsent(&mut self, key: u64, why: Unsent) {
        let Some(slot) = self.keys.find(&self.slab, key, |r| r.key == key) else { return };
        if let Some(request) = self.slab.at_mut(slot) {
            request.unsent = Some(why);
            self.deadlines.set(slot, Instant::ZERO);
        }
    }

    /// Take a request out.
    pub(super) fn remove(&mut self, id: RequestId) -> Option<Request> {
        self.slab.get(id.0)?;
        self.keys.remove(&mut self.slab, id.0.slot());
        self.deadlines.remove(id.0.slot());
        self.slab.remove(id.0)
    }

    /// See [`Node::touch`](super::Node::touch).
    #[cfg(feature = "sim")]
    #[inline]
    pub(super) fn touch(&self, level: u32) -> u64 {
        match level {
            0 => (self.slab.len() ^ self.keys.len()) as u64,
            1 => self.deadline().map_or(0, Instant::as_nanos),
            _ => 0,
        }
    }

    /// When the first request runs out of time.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| at)
    }

    /// Take out the request that ran out of time first, if any has by `now`.
    pub(super) fn expire(&mut self, now: Instant) -> Option<(RequestId, Request)> {
        let (at, slot) = self.deadlines.first()?;
        if at > now {
            return None;
        }
        let id = RequestId(self.slab.id_at(slot)?);
        Some((id, self.remove(id)?))
    }
}
