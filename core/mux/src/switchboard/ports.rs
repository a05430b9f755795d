//! Where frames leave the JSON dialogue: the ends of channels whose agents are on native connections.
//!
//! A port takes what its native stream takes at once; more waits in it like in an agent's queue, out of the same allowance and for the same
//! time. Whoever moves it on ([`Bridge`](crate::Bridge)) is told what to do by [`PortOrder`]s.

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;

use sluis_core::data::Value;
use sluis_core::{Instant, Now};

use super::frame::{Item, What, frame_size};
use super::send::Body;
use super::{ChannelId, Open, Opened, Party, Refusal, Sent, Switchboard};
use crate::access::Caller;
use crate::agent::normalise;
use crate::channel::MAX_KEPT_BYTES;
use crate::news::Via;
use crate::proof::Direction;

/// What is to be done about a port. A direction names the port that the frames of that direction go to.
#[derive(Clone, Debug)]
pub(crate) enum PortOrder {
    /// Open a native channel for it.
    Open(ChannelId),
    /// Something can be taken out of it.
    Ready(ChannelId, Direction),
    /// The frame with this number, of this direction, was taken at its other end.
    Taken(ChannelId, Direction, u64),
    /// A frame of this direction was not fetched in time.
    Lost(ChannelId, Direction),
    /// There may be room for frames to this agent again.
    Relieved(Arc<str>),
}

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Port {
    queue: VecDeque<Item>,
    /// Messages and bytes that its native stream takes at once.
    free: Option<(usize, usize)>,
    /// It is to be closed behind what waits, for this reason.
    closing: Option<Box<str>>,
    is_ready: bool,
    /// Bytes that are counted as waiting.
    held: usize,
    wake: Option<Instant>,
}

impl Port {
    /// Whether the native stream has a frame of this length at once.
    pub(super) fn takes(&self, len: usize) -> bool {
        let free = self.free.is_some_and(|(messages, bytes)| messages > 0 && len <= bytes);
        free && self.held == 0 && self.closing.is_none() && self.queue.iter().all(|item| item.due <= item.queued)
    }
}

/// The agents on native connections, and what is to be done.
#[derive(Debug, Default)]
pub(super) struct Ports {
    there: BTreeSet<Arc<str>>,
    orders: VecDeque<PortOrder>,
    /// When something of a port is due or expires.
    wakes: BTreeSet<(Instant, ChannelId, bool)>,
}

impl Ports {
    /// Whether an agent is on a native connection.
    pub(super) fn has(&self, agent: &str) -> bool {
        self.there.contains(agent)
    }

    pub(super) fn tell(&mut self, order: PortOrder) {
        self.orders.push_back(order);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.wakes.first().map(|(at, ..)| *at)
    }
}

/// What can be taken out of a port.
#[derive(Debug)]
pub(crate) enum Next {
    /// A frame's text.
    Frame(Arc<str>),
    /// It is to be closed, for this reason.
    Close(Box<str>),
}

impl Switchboard {
    /// What is to be done next about the channels whose ends are on native connections.
    pub(crate) fn poll_port(&mut self) -> Option<PortOrder> {
        if let Some(note) = self.sockets.notes.pop_front() {
            return Some(PortOrder::Taken(note.channel, note.way, note.seq));
        }
        self.ports.orders.pop_front()
    }

    /// An agent is on a native connection from now on: what is opened to it goes there, and what waits for it unread.
    pub(crate) fn native_there(&mut self, now: Now, name: &Arc<str>) {
        self.ports.there.insert(Arc::clone(name));
        let Some(slot) = self.agents.find(name) else { return };
        let Some(agent) = self.agents.at_mut(slot) else { return };
        let unread = |item: &Item| matches!(item.what, What::Incoming { .. }) && !item.read;
        let channels: BTreeSet<ChannelId> = agent.backlog.iter().filter(|i| unread(i)).map(Item::channel).collect();
        if channels.is_empty() {
            return;
        }
        let mut moved = VecDeque::new();
        let mut at = 0;
        while let Some(item) = agent.backlog.get(at) {
            if channels.contains(&item.channel()) {
                moved.extend(agent.take(at));
            } else {
                at += 1;
            }
        }
        channels.iter().for_each(|channel| self.bind(*channel, Direction::Out));
        for item in moved {
            let Some(channel) = self.channels.find(item.channel()) else { continue };
            match &item.what {
                What::Frame { .. } => drop(self.hand_to_port(slot, channel, Direction::Out, item, now.mono)),
                What::Closed { reason, .. } => {
                    let reason = reason.clone();
                    self.close_port(channel, Direction::Out, &reason);
                }
                What::Incoming { .. } | What::Expired { .. } => {}
            }
        }
        self.settle(slot, now.mono);
    }

    /// Its last native connection is gone.
    pub(crate) fn native_away(&mut self, name: &str) {
        self.ports.there.remove(name);
    }

    /// An agent on a native connection opens a channel.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(crate) fn open_native(&mut self, now: Now, caller: &Caller, ask: &Open<'_>) -> Result<Opened, Refusal> {
        let opened = self.open_via(now, caller, ask, Via::Native)?;
        if let Some(channel) = self.channels.find(opened.channel).and_then(|slot| self.channels.at_mut(slot)) {
            *channel.port_mut(Direction::Back) = Some(Box::default());
        }
        Ok(opened)
    }

    /// Whether a channel is to the hub's own name while nobody listens under it, on a WebSocket or at its inbox.
    pub(crate) fn is_to_nobody_here(&self, target: &str) -> bool {
        let target = normalise(target);
        if !target.is_empty() && *target != *self.config.agent {
            return false;
        }
        let agent = self.agents.find(&self.config.agent).and_then(|slot| self.agents.at(slot));
        agent.is_none_or(|agent| agent.sockets.is_empty() && agent.pollers == 0)
    }

    /// An agent on a native connection sends a JSON text. Its budget is looked after there.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub(crate) fn send_native(&mut self, now: Now, id: ChannelId, way: Direction, text: &str) -> Result<Sent, Refusal> {
        let channel = self.channels.get(id).ok_or(Refusal::NotFound)?;
        let name = Arc::clone(match way {
            Direction::Out => &channel.agent_name,
            Direction::Back => &channel.target_name,
        });
        // It was checked where it came in.
        let value = Value::from_json(text).map_err(|_| Refusal::NotFound)?;
        self.send_checked(now, Party::Named(&name), id, Body::Raw(text, value), true)
    }

    /// Be told when there may be room for frames of this direction again; the agent that is waited for.
    pub(crate) fn await_room(&mut self, id: ChannelId, way: Direction) -> Option<Arc<str>> {
        let channel = self.channels.get(id)?;
        let to = match way {
            Direction::Out => channel.target,
            Direction::Back => channel.agent,
        };
        let agent = self.agents.at_mut(to)?;
        agent.awaited = true;
        Some(Arc::clone(&agent.name))
    }

    /// The agent at one end closes a channel.
    pub(crate) fn close_native(&mut self, now: Now, id: ChannelId, way: Direction, reason: &str) {
        if let Some(slot) = self.channels.find(id) {
            self.close_slot(now, slot, way, reason);
        }
    }

    /// Who opens a channel to whom, what for, and with what metadata.
    pub(crate) fn opening_of(&self, id: ChannelId) -> Option<[&str; 4]> {
        let channel = self.channels.get(id)?;
        Some([&channel.agent_name, &channel.target_name, &channel.intent, channel.metadata()])
    }

    /// Frames of a channel go to a native connection from now on, which is to be asked for.
    pub(super) fn bind(&mut self, id: ChannelId, way: Direction) {
        if let Some(channel) = self.channels.find(id).and_then(|slot| self.channels.at_mut(slot)) {
            *channel.port_mut(way) = Some(Box::default());
            self.ports.tell(PortOrder::Open(id));
        }
    }

    /// What the native stream of a port takes at once.
    pub(crate) fn set_room(&mut self, id: ChannelId, way: Direction, free: Option<(usize, usize)>) {
        let Some(port) = self.channels.find(id).and_then(|slot| self.channels.at_mut(slot)) else { return };
        if let Some(port) = port.port_mut(way) {
            port.free = free;
        }
    }

    /// Hand a frame to the port of its direction, and say whether the native stream has it; it comes back where there is none.
    pub(super) fn hand_to_port(
        &mut self,
        to: u32,
        slot: u32,
        way: Direction,
        mut item: Item,
        now: Instant,
    ) -> Result<bool, Item> {
        let Some(port) = self.channels.at_mut(slot).and_then(|channel| channel.port_mut(way).as_deref_mut()) else {
            return Err(item);
        };
        let What::Frame { channel: id, body, .. } = &item.what else { return Err(item) };
        let (id, len) = (*id, body.len());
        let delivered = item.due <= now && port.takes(len);
        if delivered {
            // It is passed on before anything else happens.
            let less = |(messages, bytes): (usize, usize)| {
                (messages.saturating_sub(1), bytes.min(MAX_KEPT_BYTES).saturating_sub(len))
            };
            port.free = port.free.map(less);
            item.read = true;
        } else {
            port.held += frame_size(len);
            if let Some(agent) = self.agents.at_mut(to) {
                agent.port_bytes += frame_size(len);
            }
        }
        port.queue.push_back(item);
        if !core::mem::replace(&mut port.is_ready, true) {
            self.ports.tell(PortOrder::Ready(id, way));
        }
        self.arm_port(slot, way);
        Ok(delivered)
    }

    /// What is next in a port, if it is due; it stays there until it is [taken out](Self::pop_port).
    pub(crate) fn next_of_port(&mut self, now: Now, id: ChannelId, way: Direction) -> Option<Next> {
        let slot = self.channels.find(id)?;
        let port = self.channels.at_mut(slot)?.port_mut(way).as_deref_mut()?;
        port.is_ready = false;
        let next = match port.queue.front() {
            Some(item) if item.due > now.mono => None,
            Some(Item { what: What::Frame { body, .. }, .. }) => Some(Next::Frame(Arc::clone(body))),
            Some(_) => None,
            None => port.closing.clone().map(Next::Close),
        };
        if next.is_none() {
            self.arm_port(slot, way);
        }
        next
    }

    /// Take out what was next, and what is to be done once it was taken, where its sender wants to know.
    pub(crate) fn pop_port(&mut self, now: Now, id: ChannelId, way: Direction) -> Option<PortOrder> {
        let slot = self.channels.find(id)?;
        let note = self.take_from_port(slot, way, now.mono)?.note()?;
        Some(PortOrder::Taken(note.channel, note.way, note.seq))
    }

    fn take_from_port(&mut self, slot: u32, way: Direction, now: Instant) -> Option<Item> {
        let channel = self.channels.at_mut(slot)?;
        let to = match way {
            Direction::Out => channel.target,
            Direction::Back => channel.agent,
        };
        let port = channel.port_mut(way).as_deref_mut()?;
        let item = port.queue.pop_front()?;
        if !item.read {
            port.held = port.held.saturating_sub(item.size());
            if let Some(agent) = self.agents.at_mut(to) {
                agent.port_bytes = agent.port_bytes.saturating_sub(item.size());
            }
        }
        self.arm_port(slot, way);
        self.settle(to, now);
        Some(item)
    }

    /// Note when the first of what waits in a port is due or expires.
    fn arm_port(&mut self, slot: u32, way: Direction) {
        let time = self.config.queue_time;
        let Some(channel) = self.channels.at_mut(slot) else { return };
        let id = channel.id;
        let Some(port) = channel.port_mut(way).as_deref_mut() else { return };
        // What is held back is asked for when it is due, and everything when it has waited for too long.
        let next = |item: &Item| if item.due > item.queued && !port.is_ready { item.due } else { item.queued + time };
        let wake = port.queue.front().map(next);
        if wake != port.wake {
            let is_back = way == Direction::Back;
            port.wake.map(|at| self.ports.wakes.remove(&(at, id, is_back)));
            port.wake = wake;
            self.ports.wakes.extend(wake.map(|at| (at, id, is_back)));
        }
    }

    /// Do what is due of one port; whether anything was.
    pub(super) fn port_is_due(&mut self, now: Now) -> bool {
        let Some((at, id, is_back)) = self.ports.wakes.first().copied().filter(|(at, ..)| *at <= now.mono) else {
            return false;
        };
        self.ports.wakes.remove(&(at, id, is_back));
        let way = if is_back { Direction::Back } else { Direction::Out };
        let Some(slot) = self.channels.find(id) else { return true };
        let time = self.config.queue_time;
        let Some(port) = self.channels.at_mut(slot).and_then(|channel| channel.port_mut(way).as_deref_mut()) else {
            return true;
        };
        port.wake = None;
        if port.queue.front().is_some_and(|item| item.queued + time <= now.mono) {
            if let Some(item) = self.take_from_port(slot, way, now.mono) {
                self.totals.expired += 1;
                self.tell_sender(&item, now.mono);
            }
        } else if !core::mem::replace(&mut port.is_ready, true) {
            self.ports.tell(PortOrder::Ready(id, way));
        }
        self.arm_port(slot, way);
        true
    }

    /// A channel is closed by one end: its native ends are told; whether the other end is one.
    pub(super) fn close_ports(&mut self, slot: u32, by: Direction, reason: &str) -> bool {
        let other = if by == Direction::Out { Direction::Back } else { Direction::Out };
        // Frames of `by` go to the other end.
        self.close_port(slot, other, reason);
        self.close_port(slot, by, reason)
    }

    fn close_port(&mut self, slot: u32, way: Direction, reason: &str) -> bool {
        let Some(channel) = self.channels.at_mut(slot) else { return false };
        let id = channel.id;
        let Some(port) = channel.port_mut(way).as_deref_mut() else { return false };
        port.closing.get_or_insert(reason.into());
        if !core::mem::replace(&mut port.is_ready, true) {
            self.ports.tell(PortOrder::Ready(id, way));
        }
        true
    }

    /// The native channel of a port is gone: what waited is lost, its senders are told, and the channel is closed.
    pub(crate) fn port_gone(&mut self, now: Now, id: ChannelId, way: Direction, reason: &str) {
        let Some(slot) = self.channels.find(id) else { return };
        while let Some(item) = self.take_from_port(slot, way, now.mono) {
            self.totals.expired += 1;
            self.tell_sender(&item, now.mono);
        }
        if let Some(channel) = self.channels.at_mut(slot) {
            *channel.port_mut(way) = None;
        }
        // Whoever was there closes it.
        let by = if way == Direction::Out { Direction::Back } else { Direction::Out };
        self.close_slot(now, slot, by, reason);
    }

    /// A channel is forgotten.
    pub(super) fn drop_ports(&mut self, slot: u32) {
        for way in [Direction::Out, Direction::Back] {
            let Some(channel) = self.channels.at_mut(slot) else { return };
            let (id, to) = (channel.id, if way == Direction::Out { channel.target } else { channel.agent });
            let Some(port) = channel.port_mut(way).take() else { continue };
            port.wake.map(|at| self.ports.wakes.remove(&(at, id, way == Direction::Back)));
            if let Some(agent) = self.agents.at_mut(to) {
                agent.port_bytes = agent.port_bytes.saturating_sub(port.held);
            }
        }
    }
}
