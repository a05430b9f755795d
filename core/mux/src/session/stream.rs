//! One stream, and the table of those that a session has.

use alloc::collections::VecDeque;

use sluis_core::table::{Chain, Chained, Heap, Index, Slab, SlotId};
use sluis_core::{Instant, SipKey};

use super::StreamId;
use super::blocks::{Blocks, Queue};
use super::window::{Room, Window};

/// What a stream still has to do, or has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags(u32);

impl Flags {
    /// SYN is to be sent with the next frame.
    pub(super) const SYN_DUE: Self = Self(1);
    /// ACK is to be sent with the next frame.
    pub(super) const ACK_DUE: Self = Self(1 << 1);
    /// The other side has not acknowledged our SYN.
    pub(super) const UNANSWERED: Self = Self(1 << 2);
    /// The application has not said what it does with the other side's SYN.
    pub(super) const UNACCEPTED: Self = Self(1 << 3);
    /// No more is written; FIN goes after what is.
    pub(super) const FINISHING: Self = Self(1 << 4);
    pub(super) const FIN_SENT: Self = Self(1 << 5);
    pub(super) const FIN_SEEN: Self = Self(1 << 6);
    /// The application has read the end.
    pub(super) const END_READ: Self = Self(1 << 7);
    /// It waits among the controls, among those with data.
    pub(super) const CONTROL_QUEUED: Self = Self(1 << 8);
    pub(super) const DATA_QUEUED: Self = Self(1 << 9);
    /// A write was cut short.
    pub(super) const BLOCKED: Self = Self(1 << 10);
    /// The application is done with it; only a frame that has begun goes out.
    pub(super) const DROPPED: Self = Self(1 << 11);
    /// RST follows that frame.
    pub(super) const RESET_DUE: Self = Self(1 << 12);
    /// Events that wait.
    pub(super) const EVENT_QUEUED: Self = Self(1 << 13);
    pub(super) const OPENED: Self = Self(1 << 14);
    pub(super) const READABLE: Self = Self(1 << 15);
    pub(super) const WRITABLE: Self = Self(1 << 16);
    pub(super) const WAS_RESET: Self = Self(1 << 17);

    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(super) const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Clear it; whether it was set.
    pub(super) fn take(&mut self, other: Self) -> bool {
        let had = self.any(other);
        self.0 &= !other.0;
        had
    }
}

#[derive(Debug)]
pub(super) struct Stream {
    /// Its number on the wire.
    pub(super) wire: u32,
    chain: Chain,
    pub(super) flags: Flags,
    pub(super) level: u8,
    pub(super) inbound: Queue,
    pub(super) outbound: Queue,
    /// Bytes that the other side still takes.
    pub(super) credit: u32,
    pub(super) window: Window,
}

/// The index of streams by their number.
#[derive(Debug)]
pub(super) struct ByWire;

impl Chained<ByWire> for Stream {
    fn chain(&self) -> &Chain {
        &self.chain
    }

    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }
}

impl Stream {
    pub(super) fn new(wire: u32, level: u8, flags: Flags, windows: [u32; 2], now: Instant) -> Self {
        let [ours, theirs] = windows;
        Self {
            wire,
            chain: Chain::default(),
            flags,
            level,
            inbound: Queue::new(),
            outbound: Queue::new(),
            credit: theirs,
            window: Window::new(ours, now),
        }
    }

    /// Whether the application may do something with it: not once it was reset.
    pub(super) const fn is_live(&self) -> bool {
        !self.flags.any(Flags::DROPPED.and(Flags::WAS_RESET))
    }

    /// Whether a data frame can be made of it.
    pub(super) fn is_sendable(&self) -> bool {
        let fin = self.flags.has(Flags::FINISHING) && !self.flags.has(Flags::FIN_SENT);
        let data = !self.outbound.is_empty() && self.credit > 0;
        self.is_live() && (data || fin && self.outbound.is_empty())
    }

    /// Whether both directions have come to their end, and the application knows.
    pub(super) fn is_over(&self) -> bool {
        self.flags.has(Flags::FIN_SENT.and(Flags::END_READ))
    }
}

/// What a session's streams are kept in.
#[derive(Debug)]
pub(super) struct Streams {
    slab: Slab<Stream, Heap>,
    by_wire: Index<ByWire, Heap>,
    key: SipKey,
    /// Streams of ours that the other side has not acknowledged, and of its that we have not.
    pub(super) unanswered: u32,
    pub(super) unaccepted: u32,
    /// Bytes that came and were not taken by the application.
    pub(super) unread: usize,
    /// Streams that wait for their events to be looked at.
    events: VecDeque<SlotId>,
}

impl Streams {
    pub(super) fn new(capacity: usize, key: SipKey) -> Self {
        Self {
            slab: Slab::new(capacity),
            by_wire: Index::new(),
            key,
            unanswered: 0,
            unaccepted: 0,
            unread: 0,
            events: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.slab.is_full()
    }

    pub(super) fn slots(&self) -> u32 {
        self.slab.slots()
    }

    pub(super) fn id_at(&self, slot: u32) -> Option<StreamId> {
        self.slab.id_at(slot).map(StreamId)
    }

    pub(super) fn insert(&mut self, stream: Stream) -> Option<StreamId> {
        let hash = self.key.hash(&stream.wire.to_be_bytes());
        let (unanswered, unaccepted) = (stream.flags.has(Flags::UNANSWERED), stream.flags.has(Flags::UNACCEPTED));
        let id = self.slab.insert(stream).ok()?;
        self.by_wire.insert(&mut self.slab, id.slot(), hash);
        self.unanswered += u32::from(unanswered);
        self.unaccepted += u32::from(unaccepted);
        Some(StreamId(id))
    }

    pub(super) fn get(&self, id: StreamId) -> Option<&Stream> {
        self.slab.get(id.0)
    }

    pub(super) fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.slab.get_mut(id.0)
    }

    /// The stream with this number on the wire.
    pub(super) fn find(&self, wire: u32) -> Option<StreamId> {
        let hash = self.key.hash(&wire.to_be_bytes());
        let slot = self.by_wire.find(&self.slab, hash, |stream| stream.wire == wire)?;
        self.slab.id_at(slot).map(StreamId)
    }

    /// Forget a stream, and what it holds.
    pub(super) fn remove(&mut self, id: StreamId, blocks: &mut Blocks, room: &mut Room) -> Option<Stream> {
        self.slab.get(id.0)?;
        self.by_wire.remove(&mut self.slab, id.0.slot());
        let mut stream = self.slab.remove(id.0)?;
        self.answered(&mut stream);
        self.unread -= stream.inbound.len() as usize;
        stream.inbound.clear(blocks);
        stream.outbound.clear(blocks);
        stream.window.release(room);
        Some(stream)
    }

    /// Nobody waits for an acknowledgement of this stream any more.
    fn answered(&mut self, stream: &mut Stream) {
        self.unanswered -= u32::from(stream.flags.take(Flags::UNANSWERED));
        self.unaccepted -= u32::from(stream.flags.take(Flags::UNACCEPTED));
    }

    /// One side has said that it has this stream; whether the application or the other side had not said it before.
    pub(super) fn acknowledge(&mut self, id: StreamId, which: Flags) -> bool {
        let Some(stream) = self.slab.get_mut(id.0) else { return false };
        let had = stream.flags.take(which);
        if which == Flags::UNANSWERED {
            self.unanswered -= u32::from(had);
        } else {
            self.unaccepted -= u32::from(had);
        }
        had
    }

    /// Tell the application something of a stream.
    pub(super) fn tell(&mut self, id: StreamId, what: Flags) {
        let Some(stream) = self.slab.get_mut(id.0) else { return };
        stream.flags.set(what);
        if !stream.flags.has(Flags::EVENT_QUEUED) {
            stream.flags.set(Flags::EVENT_QUEUED);
            self.events.push_back(id.0);
        }
    }

    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// The next thing to tell: one at a time of each stream, in the order in which they began to have something.
    pub(super) fn next_event(&mut self) -> Option<(StreamId, Flags)> {
        while let Some(id) = self.events.pop_front() {
            let Some(stream) = self.slab.get_mut(id) else { continue };
            stream.flags.take(Flags::EVENT_QUEUED);
            if stream.flags.has(Flags::DROPPED) {
                continue;
            }
            let all = [Flags::OPENED, Flags::READABLE, Flags::WRITABLE, Flags::WAS_RESET];
            let Some(what) = all.into_iter().find(|what| stream.flags.has(*what)) else { continue };
            stream.flags.take(what);
            if all.into_iter().any(|more| stream.flags.has(more)) {
                stream.flags.set(Flags::EVENT_QUEUED);
                self.events.push_back(id);
            }
            return Some((StreamId(id), what));
        }
        None
    }
}
