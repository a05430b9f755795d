//! Frames: taking them in, and handing them on.

use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use core::time::Duration;

use sluis_core::data::{Counter, Style, Value};
use sluis_core::identity::MacKey;
use sluis_core::{Instant, Now};

use super::agents::Agent;
use super::channel::Channel;
use super::frame::{Item, Recent, What, frame_size};
use super::open::passable;
use super::{ChannelId, Invalid, Party, Refusal, SocketId, Switchboard, Throttle};
use crate::access::Caller;
use crate::bucket::Verdict;
use crate::intents::policy_of;
use crate::proof::{Direction, JSON, Tag};
use crate::signed;

/// Longest payload in bytes of JSON.
const MAX_PAYLOAD: usize = 2 << 20;

/// What a frame holds.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// A value: what is passed on and hashed is its compact text in ASCII.
    Value(Value<'a>),
    /// A value, to be passed on and hashed as exactly this text of it.
    Raw(&'a str, Value<'a>),
}

/// A frame that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its number, from 0 in each direction.
    pub seq: u64,
    /// The tag of it and all before it.
    pub tag: Tag,
    /// The other end has it. Else it waits for it.
    pub delivered: bool,
}

impl Switchboard {
    /// Send a frame on a channel, to whichever end the caller is not.
    ///
    /// # Errors
    /// No such channel, closed, throttled, no room, or a value that cannot be passed on.
    pub fn send(&mut self, now: Now, caller: &Caller, id: ChannelId, body: Body<'_>) -> Result<Sent, Refusal> {
        self.send_by(now, caller.into(), id, body)
    }

    pub(crate) fn send_by(
        &mut self,
        now: Now,
        party: Party<'_>,
        id: ChannelId,
        body: Body<'_>,
    ) -> Result<Sent, Refusal> {
        self.send_checked(now, party, id, body, false)
    }

    /// Send a frame; `paid`: its sender's budget is looked after by whoever hands it in.
    pub(super) fn send_checked(
        &mut self,
        now: Now,
        party: Party<'_>,
        id: ChannelId,
        body: Body<'_>,
        paid: bool,
    ) -> Result<Sent, Refusal> {
        let slot = self.channels.find(id).ok_or(Refusal::NotFound)?;
        let direction = self.direction(slot, party)?;
        let channel = self.channels.at(slot).ok_or(Refusal::NotFound)?;
        if !channel.is_open() {
            return Err(Refusal::Closed(id));
        }
        let (text, size) = measured(body)?;
        let (to, socket) = match direction {
            Direction::Out => (channel.target, None),
            Direction::Back => (channel.agent, channel.owner),
        };
        let size_here = frame_size(text.len());
        let room = match channel.port(direction) {
            Some(port) => port.takes(text.len()) || self.may_wait(to, size_here),
            None => self.has_room(to, socket, size_here, true),
        };
        if !room {
            let name = self.agents.at(to).map_or_else(String::new, |agent| agent.name.to_string());
            return Err(Refusal::QueueFull(name));
        }
        let delay = if paid { Duration::ZERO } else { self.spend(now.mono, slot, direction, size)? };
        self.believe(now, slot, direction, body)?;
        let (seq, tag, what) = self.record(now, slot, direction, &text, size).ok_or(Refusal::NotFound)?;
        let item = self.item(to, now.mono, now.mono + delay, what);
        let delivered = match self.hand_to_port(to, slot, direction, item, now.mono) {
            Ok(delivered) => delivered,
            Err(item) => self.hand_over(to, socket, item, now.mono),
        };
        self.settle(to, now.mono);
        let counter = if delivered { &mut self.totals.delivered } else { &mut self.totals.queued };
        *counter += 1;
        Ok(Sent { seq, tag, delivered })
    }

    /// Check a frame that carries its own signature against the key that is known of its sender. An open hub knows none, and passes all on.
    fn believe(&mut self, now: Now, slot: u32, direction: Direction, body: Body<'_>) -> Result<(), Refusal> {
        let (Body::Value(payload) | Body::Raw(_, payload)) = body;
        if !signed::is_signed(payload) {
            return Ok(());
        }
        let channel = self.channels.at(slot).ok_or(Refusal::NotFound)?;
        let (from, to) = match direction {
            Direction::Out => (&channel.agent_name, &channel.target_name),
            Direction::Back => (&channel.target_name, &channel.agent_name),
        };
        let Some(key) = self.config.access.key_of(from) else { return Ok(()) };
        let place = signed::Place { from, to, intent: &channel.intent };
        self.guard.admit(now.wall, payload, &place, key.as_ref()).map_err(Refusal::Unbelieved)
    }

    /// Take a frame out of its sender's budget; how long it is to be held back.
    fn spend(&mut self, now: Instant, slot: u32, direction: Direction, size: u64) -> Result<Duration, Refusal> {
        let channel = self.channels.at_mut(slot).ok_or(Refusal::NotFound)?;
        let sender = match direction {
            Direction::Out => channel.agent,
            Direction::Back => channel.target,
        };
        let policy = policy_of(channel.budget);
        let bucket = self.agents.at_mut(sender).ok_or(Refusal::NotFound)?.bucket(channel.budget, now);
        let verdict = bucket.check(&policy, now, size);
        if verdict != (Verdict::Pass { over: false }) && !policy.is_realtime() {
            channel.spent.bytes_throttled = channel.spent.bytes_throttled.saturating_add(size);
            channel.spent.frames_throttled += 1;
            self.totals.throttled += 1;
        }
        let until = match verdict {
            Verdict::Pass { .. } => return Ok(allow(channel, size, Duration::ZERO)),
            Verdict::Paced(delay) => return Ok(allow(channel, size, delay)),
            Verdict::Wait(time) => Throttle::Wait(time),
            Verdict::TooLarge { max } => Throttle::AtMost(max),
        };
        Err(Refusal::throttled(channel.id, &channel.intent, policy.priority, until))
    }

    /// Number a frame, hash it, and keep it for whoever looks at the channel.
    fn record(
        &mut self,
        now: Now,
        slot: u32,
        direction: Direction,
        text: &Arc<str>,
        size: u64,
    ) -> Option<(u64, Tag, What)> {
        let key = MacKey::new(&self.key_of(self.channels.at(slot)?.id));
        let channel = self.channels.at_mut(slot)?;
        let way = channel.way_mut(direction);
        let seq = way.frames;
        way.frames += 1;
        way.running.record(JSON, text.as_bytes());
        let tag = way.running.tag(&key);
        channel.bytes = channel.bytes.saturating_add(size);
        channel.last_activity = now.wall;
        channel.push_tag(tag);
        let back = direction == Direction::Back;
        let room = self.config.kept_bytes.saturating_sub(self.kept);
        let (held, freed) = channel.push_recent(Recent::new(seq, back, tag, now.wall, text, room));
        self.kept = self.kept + held - freed;
        self.totals.frames += 1;
        self.totals.bytes = self.totals.bytes.saturating_add(size);
        let from = if back { &channel.target_name } else { &channel.agent_name };
        let (from, body) = (Arc::clone(from), Arc::clone(text));
        let other = if back { Direction::Out } else { Direction::Back };
        let noted = channel.port(other).map(|_| direction);
        Some((seq, tag, What::Frame { channel: channel.id, from, seq, tag, body, noted }))
    }

    /// Whether something of this size can be handed to an agent or wait for it.
    pub(super) fn has_room(&self, to: u32, socket: Option<SocketId>, size: usize, frame: bool) -> bool {
        let Some(agent) = self.agents.at(to) else { return false };
        let direct = agent.backlog.is_empty() && self.listener(to, socket, size, frame).is_some();
        direct || self.may_wait(to, size)
    }

    /// Whether something of this size may wait for an agent.
    fn may_wait(&self, to: u32, size: usize) -> bool {
        let waiting = self.agents.at(to).map(|agent| agent.backlog_bytes + agent.port_bytes);
        waiting.is_some_and(|waiting| waiting + size <= self.config.queue_bytes)
    }

    /// The socket that an agent is to be told something on: this one if it is there and takes it, else the newest that does.
    fn listener(&self, to: u32, socket: Option<SocketId>, size: usize, frame: bool) -> Option<SocketId> {
        let takes = |id: &SocketId| self.sockets.get(*id).is_some_and(|s| s.agent == to && s.takes(size, frame));
        let newest = || self.agents.at(to)?.sockets.iter().rev().copied().find(|id| takes(id));
        socket.filter(takes).or_else(newest)
    }

    /// Tell an agent something, or keep it until it can be told; whether it has been told.
    pub(super) fn hand_over(&mut self, to: u32, socket: Option<SocketId>, item: Item, now: Instant) -> bool {
        let Some(agent) = self.agents.at(to) else { return false };
        let at_once = item.due <= now && agent.backlog.is_empty();
        if at_once && let Some(socket) = self.listener(to, socket, item.size(), item.is_frame()) {
            self.sockets.give(socket, item);
            return true;
        }
        let Some(agent) = self.agents.at_mut(to) else { return false };
        let (polled, number) = (agent.pollers > 0 && item.due <= now, item.number);
        agent.push_back(item, now);
        self.wake_inbox(to);
        self.pump(to, now);
        let waits = |agent: &Agent| agent.backlog.binary_search_by_key(&number, |item| item.number).is_ok();
        polled || !self.agents.at(to).is_some_and(waits)
    }

    /// Hand on what waits for an agent, as far as its sockets take it.
    pub(super) fn pump(&mut self, to: u32, now: Instant) {
        while let Some(agent) = self.agents.at(to)
            && let Some(at) = agent.first_due(now)
            && let Some((size, frame)) = agent.backlog.get(at).map(|item| (item.size(), item.is_frame()))
            && let Some(socket) = self.listener(to, None, size, frame)
            && let Some(item) = self.agents.at_mut(to).and_then(|agent| agent.take(at))
        {
            self.sockets.give(socket, item);
        }
    }

    /// The next text to write to a socket.
    pub fn poll_text(&mut self, now: Now, id: SocketId) -> Option<String> {
        let text = self.sockets.next_text(id)?;
        if let Some(agent) = self.sockets.get(id).map(|socket| socket.agent)
            && self.agents.at(agent).is_some_and(|agent| !agent.backlog.is_empty() || agent.awaited)
        {
            self.pump(agent, now.mono);
            self.settle(agent, now.mono);
        }
        Some(text)
    }

    /// A socket that has something to write, or [has ended](Self::is_ended); each is named once until it has more.
    pub fn poll_ready(&mut self) -> Option<SocketId> {
        self.sockets.next_ready()
    }

    /// Whether a socket is to be closed: it was detached, or its agent may not be here any more.
    #[must_use]
    pub fn is_ended(&self, id: SocketId) -> bool {
        self.sockets.get(id).is_none_or(|socket| socket.ended)
    }

    /// Whether more may be read from a socket: what it does not read itself makes it wait.
    #[must_use]
    pub fn may_read(&self, id: SocketId) -> bool {
        self.sockets.is_quiet(id)
    }

    /// A socket with [credit](super::SocketOptions::credit) has taken the frames of a channel up to this one; whether there were any.
    pub(crate) fn acknowledge(&mut self, now: Now, id: SocketId, channel: ChannelId, seq: u64) -> bool {
        let any = self.sockets.acknowledge(id, channel, seq);
        if any && let Some(agent) = self.sockets.get(id).map(|socket| socket.agent) {
            self.pump(agent, now.mono);
            self.settle(agent, now.mono);
        }
        any
    }
}

/// Count a frame that passes.
fn allow(channel: &mut Channel, size: u64, delay: Duration) -> Duration {
    channel.spent.bytes_allowed = channel.spent.bytes_allowed.saturating_add(size);
    delay
}

/// The text of a payload, and how many bytes it counts as: those of Python's `json.dumps`.
fn measured(body: Body<'_>) -> Result<(Arc<str>, u64), Refusal> {
    let (Body::Value(value) | Body::Raw(_, value)) = body;
    let compact = passable(value, "payload", MAX_PAYLOAD)?;
    let text: Arc<str> = match body {
        Body::Value(_) => compact.into(),
        Body::Raw(text, _) if text.len() > MAX_PAYLOAD => {
            return Err(Refusal::invalid("raw", Invalid::TooLong(MAX_PAYLOAD)));
        }
        Body::Raw(text, _) => text.into(),
    };
    Ok((text, payload_size(value) as u64))
}

/// The number of bytes that a payload counts as against its intent's bandwidth: the length of what Python's `json.dumps` makes of it.
#[must_use]
pub fn payload_size(value: Value<'_>) -> usize {
    let mut count = Counter::default();
    // A checked JSON value has a JSON form, and a counter is never full.
    let _ = value.write_json(&mut count, Style::SPACED);
    count.count()
}
