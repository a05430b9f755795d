//! One channel, and the table of them.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use sluis_core::data::hex;
use sluis_core::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab, SlotId};
use sluis_core::{Instant, Wall};

use super::SocketId;
use super::frame::Recent;
use super::ports::Port;
use crate::intents::{Budget, RouteId};
use crate::proof::{Direction, Running, Tag};

/// Tags of a channel that are kept, the newest ones.
const KEPT_TAGS: usize = 100;
/// Frames of a channel that are kept, the newest ones.
const KEPT_FRAMES: usize = 10;

/// Names a channel: `ch-` and 16 hex digits, drawn at random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub(super) u64);

impl ChannelId {
    /// Read one; anything else names no channel.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        hex::parse_u64(text.strip_prefix("ch-")?.as_bytes()).map(Self)
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ch-{:016x}", self.0)
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a channel is closed, and when.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) reason: Box<str>,
    pub(super) wall: Wall,
    pub(super) mono: Instant,
}

/// What went one way.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) frames: u64,
    pub(super) running: Running,
}

/// What the bandwidth policy did on a channel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    pub(super) bytes_allowed: u64,
    pub(super) bytes_throttled: u64,
    pub(super) frames_throttled: u64,
}

/// One channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: ChannelId,
    /// Who opened it, and to whom.
    pub(super) agent: u32,
    pub(super) target: u32,
    pub(super) agent_name: Arc<str>,
    pub(super) target_name: Arc<str>,
    pub(super) intent: Box<str>,
    pub(super) route: RouteId,
    pub(super) budget: Budget,
    /// JSON text of an object that is not empty.
    pub(super) metadata: Option<Box<str>>,
    /// The socket on which it was opened.
    pub(super) owner: Option<SocketId>,
    pub(super) opened: Wall,
    pub(super) last_activity: Wall,
    pub(super) closed: Option<Box<Closed>>,
    pub(super) out: Way,
    pub(super) back: Way,
    pub(super) bytes: u64,
    pub(super) spent: Spent,
    /// How many tags there were, and the newest of them.
    pub(super) tag_count: u64,
    pub(super) tags: VecDeque<Tag>,
    pub(super) recent: VecDeque<Recent>,
    /// Where its frames go out of the JSON dialogue: to its target, and back.
    pub(super) ports: [Option<Box<Port>>; 2],
    pub(super) by_id: Chain,
    pub(super) outgoing: Link,
    pub(super) incoming: Link,
    pub(super) ended: Link,
}

impl Channel {
    pub(super) const fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    pub(super) fn way_mut(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::Out => &mut self.out,
            Direction::Back => &mut self.back,
        }
    }

    /// Where frames of this direction go to a native connection.
    pub(super) fn port(&self, way: Direction) -> Option<&Port> {
        self.ports[usize::from(way == Direction::Back)].as_deref()
    }

    pub(super) fn port_mut(&mut self, way: Direction) -> &mut Option<Box<Port>> {
        &mut self.ports[usize::from(way == Direction::Back)]
    }

    /// Which way its frames go when this agent sends them.
    pub(super) fn direction_of(&self, name: &str) -> Option<Direction> {
        if *self.agent_name == *name {
            Some(Direction::Out)
        } else if *self.target_name == *name {
            Some(Direction::Back)
        } else {
            None
        }
    }

    pub(super) fn metadata(&self) -> &str {
        self.metadata.as_deref().unwrap_or("{}")
    }

    pub(super) fn frames(&self) -> u64 {
        self.out.frames.saturating_add(self.back.frames)
    }

    pub(super) fn push_tag(&mut self, tag: Tag) {
        self.tag_count = self.tag_count.saturating_add(1);
        if self.tags.len() == KEPT_TAGS {
            self.tags.pop_front();
        }
        if self.tags.is_empty() {
            // Most channels of a large hub are idle: room for one, not for four.
            self.tags.reserve_exact(1);
        }
        self.tags.push_back(tag);
    }

    /// Keep a frame; how many bytes of payloads are held more or less for it.
    pub(super) fn push_recent(&mut self, frame: Recent) -> (usize, usize) {
        let (mut freed, held) = (0, frame.held());
        if self.recent.len() == KEPT_FRAMES {
            freed = self.recent.pop_front().map_or(0, |old| old.held());
        }
        self.recent.push_back(frame);
        (held, freed)
    }

    /// Bytes of payloads that are held.
    pub(super) fn held(&self) -> usize {
        self.recent.iter().map(Recent::held).sum()
    }
}

/// Kinds of lists and indexes that a channel is in.
#[derive(Debug)]
pub(super) struct ById;
#[derive(Debug)]
pub(super) struct Outgoing;
#[derive(Debug)]
pub(super) struct Incoming;
#[derive(Debug)]
pub(super) struct Ended;

macro_rules! linked {
    ($kind:ty, $field:ident) => {
        impl Linked<$kind> for Channel {
            fn link(&self) -> &Link {
                &self.$field
            }
            fn link_mut(&mut self) -> &mut Link {
                &mut self.$field
            }
        }
    };
}

linked!(Outgoing, outgoing);
linked!(Incoming, incoming);
linked!(Ended, ended);

impl Chained<ById> for Channel {
    fn chain(&self) -> &Chain {
        &self.by_id
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_id
    }
}

/// Every channel that is open, or was closed a short time ago.
#[derive(Debug)]
pub(super) struct Channels {
    pub(super) slab: Slab<Channel, Heap>,
    by_id: Index<ById, Heap>,
    /// The closed ones, oldest first.
    pub(super) ended: List<Ended>,
}

impl Channels {
    pub(super) fn new(capacity: usize) -> Self {
        Self { slab: Slab::new(capacity), by_id: Index::new(), ended: List::new() }
    }

    pub(super) fn find(&self, id: ChannelId) -> Option<u32> {
        // Ids are random, so they are hashes already.
        self.by_id.find(&self.slab, id.0, |channel| channel.id == id)
    }

    pub(super) fn get(&self, id: ChannelId) -> Option<&Channel> {
        self.slab.at(self.find(id)?)
    }

    pub(super) fn at(&self, slot: u32) -> Option<&Channel> {
        self.slab.at(slot)
    }

    pub(super) fn at_mut(&mut self, slot: u32) -> Option<&mut Channel> {
        self.slab.at_mut(slot)
    }

    /// Add one; `None` when there is no room.
    pub(super) fn insert(&mut self, channel: Channel) -> Option<SlotId> {
        let hash = channel.id.0;
        let id = self.slab.insert(channel).ok()?;
        self.by_id.insert(&mut self.slab, id.slot(), hash);
        Some(id)
    }

    /// Take one out that is in no list of an agent any more.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Channel> {
        self.ended.remove(&mut self.slab, slot);
        self.by_id.remove(&mut self.slab, slot);
        self.slab.remove_at(slot)
    }
}

/// The records from which the running hashes of a channel begin.
pub(super) fn opening(agent: &str, target: &str, intent: &str, metadata: &str, id: ChannelId) -> (String, String) {
    use crate::write::Object;
    let open = Object::new().text("agent", agent).text("target", target).text("intent", intent);
    let accept = Object::new().text("channel_id", &alloc::format!("{id}"));
    (open.json("metadata", metadata).finish(), accept.finish())
}
