//! Channels that end at the hub: at their other end is an agent that is on no native connection.
//!
//! Whoever holds the hub moves what they carry ([`Bridge`](crate::Bridge)). A message is read only when the one before it was passed on and
//! its sender's budget has paid for it, so a sender gets credit for no more; it is acknowledged when the other end took it.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;

use sluis_core::Instant;
use sluis_core::table::{Heap, Slab, SlotId};

use super::greeting::Greeting;
use super::hub::{Hub, Leg, Timer};
use super::relay::{Admit, step};
use crate::channel::{Channel, ChannelId, Kind, Opening, Own, SendError, Side, State, Told};
use crate::intents::{Budget, Policy};
use crate::session::{Read, StreamId};

/// How long a channel outlives its connection, and how long it is known after its end.
const PARK_TIME: Duration = Duration::from_secs(60);
/// How long one that was closed at our end waits for what was not taken there yet.
const LINGER_TIME: Duration = Duration::from_secs(300);
/// How long an agent that still sends has to hear that the other end has closed.
const GOODBYE_TIME: Duration = Duration::from_secs(5);
/// After this time an agent that did not know a channel is asked again.
const RETRY_TIME: Duration = Duration::from_secs(2);

/// The hub has no key: nothing is proven from end to end.
const OWN: Own<'static> = Own { signer: None, pinned: None };

/// Names a channel that ends at the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LocalId(pub(super) SlotId);

/// What is told of them.
#[derive(Debug)]
pub(crate) enum LocalEvent {
    /// An agent has its first connection.
    There(Arc<str>),
    /// Its last one is gone.
    Away(Arc<str>),
    /// An agent opens a channel to somebody who has no connection.
    Incoming(LocalId),
    /// It takes more than before, or less.
    Room(LocalId),
    /// A message has come and is to be passed on.
    Message(LocalId),
    /// The agent sends no more, for this reason.
    Finished(LocalId, String),
    /// It is over, for this reason.
    Gone(LocalId, String),
}

#[derive(Debug)]
struct Local {
    channel: Channel,
    /// The agent at its other end.
    peer: Arc<str>,
    at: Option<(SlotId, StreamId)>,
    level: u8,
    policy: Policy,
    budget: Budget,
    /// A message that was read and not passed on: its number and kind, and the bytes that are not paid for.
    pending: Option<(u64, Kind)>,
    owed: usize,
    /// Until when its budget is waited for.
    paused: Option<Instant>,
    /// When it is given up: it has no stream, or was closed.
    until: Option<Instant>,
    /// When its stream is asked for again, and how often that was done.
    retry: Option<Instant>,
    tries: usize,
    timer: Option<Instant>,
    /// Our end was closed, and both are done with each other.
    closed: bool,
    over: bool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Locals {
    slab: Slab<Local, Heap>,
    by_id: BTreeMap<ChannelId, SlotId>,
    /// Those that we opened and that have lost their stream, by who is at the other end.
    parked: BTreeSet<(Arc<str>, SlotId)>,
    events: VecDeque<LocalEvent>,
    /// Somebody passes on what they carry.
    pub(super) are_kept: bool,
}

impl Locals {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            slab: Slab::new(capacity),
            by_id: BTreeMap::new(),
            parked: BTreeSet::new(),
            events: VecDeque::new(),
            are_kept: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn find(&self, id: ChannelId) -> Option<SlotId> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn tell(&mut self, event: LocalEvent) {
        if self.are_kept {
            self.events.push_back(event);
        }
    }
}

impl Hub {
    /// From now on channels to agents without a connection end here, and somebody polls what is told of them.
    pub(crate) fn keep_locals(&mut self) {
        self.locals.are_kept = true;
    }

    /// What is told next.
    pub(crate) fn poll_local(&mut self) -> Option<LocalEvent> {
        self.locals.events.pop_front()
    }

    /// What a channel was opened with.
    pub(crate) fn local(&self, id: LocalId) -> Option<&Opening> {
        self.locals.slab.get(id.0).map(|local| local.channel.opening())
    }

    /// The caller that an agent on a native connection is.
    pub(crate) fn caller_of(&self, id: LocalId) -> Option<crate::Caller> {
        let (link, _) = self.locals.slab.get(id.0)?.at?;
        match &self.links.get(link)?.greeting {
            Greeting::Done(_, None) => Some(crate::Caller::Anyone),
            Greeting::Done(_, Some(entry)) => Some(crate::Caller::Agent(Arc::clone(entry))),
            Greeting::Waiting(_) => None,
        }
    }

    /// The newest connection of an agent that has no WebSocket beside it.
    pub(super) fn by_newest(&self, agent: &str) -> Option<SlotId> {
        let all = self.agents.get(agent)?;
        all.iter().rev().copied().find(|id| self.links.get(*id).is_some_and(|link| !link.beside))
    }

    /// An agent was let in: its channels go on.
    pub(super) fn came(&mut self, now: Instant, name: &Arc<str>) {
        if self.by_newest(name).is_some() {
            self.locals.tell(LocalEvent::There(Arc::clone(name)));
        }
        let from = (Arc::clone(name), SlotId::from_bits(0));
        let waiting = self.locals.parked.range(from..).take_while(|(peer, _)| peer == name);
        let waiting: alloc::vec::Vec<SlotId> = waiting.map(|(_, id)| *id).collect();
        for id in waiting {
            if let Some(local) = self.locals.slab.get_mut(id) {
                local.tries = 0;
            }
            self.attach_here(now, id);
        }
    }

    fn keep(&mut self, channel: Channel, peer: &str) -> Option<SlotId> {
        let intent = self.intents.resolve(&channel.opening().intent);
        let (level, policy, budget) = (intent.policy.priority, intent.policy, intent.budget);
        let id = channel.opening().channel;
        let local = Local {
            channel,
            peer: peer.into(),
            at: None,
            level,
            policy,
            budget,
            pending: None,
            owed: 0,
            paused: None,
            until: None,
            retry: None,
            tries: 0,
            timer: None,
            closed: false,
            over: false,
        };
        let slot = self.locals.slab.insert(local).ok()?;
        self.locals.by_id.insert(id, slot);
        Some(slot)
    }

    /// A client opens a channel to somebody who has no connection.
    pub(super) fn end_here(
        &mut self,
        link: SlotId,
        stream: StreamId,
        opening: &Opening,
        body: &[u8],
    ) -> Result<SlotId, String> {
        let busy = || String::from("there are too many channels");
        if self.locals.by_id.contains_key(&opening.channel) {
            return Err(String::from("this is another channel's name"));
        }
        let malformed = |_| String::from("the opening is not signed as it must be");
        let channel = Channel::incoming(body, OWN, &mut self.rng).map_err(malformed)?;
        let slot = self.keep(channel, &opening.agent).ok_or_else(busy)?;
        if let (Some(local), Some(link_of)) = (self.locals.slab.get_mut(slot), self.links.get_mut(link)) {
            local.at = Some((link, stream));
            let _ = link_of.session.set_level(stream, local.level);
            link_of.legs.insert(stream, Leg::Here(slot));
        }
        self.locals.tell(LocalEvent::Incoming(LocalId(slot)));
        Ok(slot)
    }

    /// The opener of a channel goes on with it.
    pub(super) fn go_on_here(
        &mut self,
        now: Instant,
        link: SlotId,
        stream: StreamId,
        slot: SlotId,
        body: &[u8],
    ) -> Result<(), String> {
        let unknown = || String::from("the channel is not known");
        let name = self.name(link);
        let theirs = |local: &&mut Local| name.as_ref() == Some(&local.peer) && local.channel.side() == Side::Target;
        let local = self.locals.slab.get_mut(slot).filter(theirs).ok_or_else(unknown)?;
        let stuck = |_| String::from("the channel cannot go on like this");
        local.channel.check_resume(body).map_err(stuck)?;
        if local.at.is_some() {
            // It knows of a cut of which we have not heard.
            self.park_here(now, slot);
        }
        let local = self.locals.slab.get_mut(slot).ok_or_else(unknown)?;
        local.channel.handle_resume(body).map_err(stuck)?;
        local.at = Some((link, stream));
        let level = local.level;
        if let Some(link) = self.links.get_mut(link) {
            let _ = link.session.set_level(stream, level);
            link.legs.insert(stream, Leg::Here(slot));
        }
        self.goes_on(now, slot);
        Ok(())
    }

    fn goes_on(&mut self, now: Instant, slot: SlotId) {
        if let Some(local) = self.locals.slab.get_mut(slot) {
            // One that was closed meanwhile has its own time.
            local.until = local.until.filter(|_| local.over || local.closed);
            local.retry = None;
        }
        self.arm_here(slot);
        self.locals.tell(LocalEvent::Room(LocalId(slot)));
        self.write_here(now, slot);
        self.read_here(now, slot);
    }

    /// Open a channel to an agent that is there, for one that has no connection.
    pub(crate) fn open_local(
        &mut self,
        now: Instant,
        agent: &str,
        target: &str,
        intent: &str,
        metadata: &str,
    ) -> Result<LocalId, &'static str> {
        if self.by_newest(target).is_none() {
            return Err("native_disconnect");
        }
        let mut id = [0; 16];
        self.rng.fill(&mut id);
        let opening = Opening::new(ChannelId(id), agent, target, intent, metadata).ok_or("invalid")?;
        let channel = Channel::open(opening, OWN, &mut self.rng).map_err(|_| "invalid")?;
        let slot = self.keep(channel, target).ok_or("too_many_channels")?;
        if self.attach_here(now, slot) {
            return Ok(LocalId(slot));
        }
        self.forget_here(now, slot);
        Err("too_many_channels")
    }

    /// Give a channel that we opened a stream; whether it has one then.
    fn attach_here(&mut self, now: Instant, slot: SlotId) -> bool {
        let Some(local) = self.locals.slab.get_mut(slot) else { return false };
        // Several connections may be those of several programs: one of them knows the channel.
        let all = self.agents.get(&local.peer).map_or(&[][..], |all| &all[..]);
        let fit = |id: &&SlotId| {
            self.links.get(**id).is_some_and(|link| !link.beside && link.legs.len() < self.config.max_channels)
        };
        let fitting = all.iter().filter(fit).count();
        let chosen = all.iter().rev().filter(fit).nth(local.tries.checked_rem(fitting).unwrap_or(0)).copied();
        local.tries += 1;
        let stream = chosen.and_then(|id| {
            let link = self.links.get_mut(id)?;
            let stream = link.session.open(now, local.level).ok()?;
            link.legs.insert(stream, Leg::Here(slot));
            Some((id, stream))
        });
        local.at = stream;
        if stream.is_some() {
            local.retry = None;
            local.channel.resume();
            let peer = Arc::clone(&local.peer);
            self.locals.parked.remove(&(peer, slot));
            self.write_here(now, slot);
        } else {
            local.retry = Some(now + RETRY_TIME);
        }
        self.arm_here(slot);
        stream.is_some()
    }

    /// A channel has lost its stream.
    pub(super) fn park_here(&mut self, now: Instant, slot: SlotId) {
        let Some(local) = self.locals.slab.get_mut(slot) else { return };
        if let Some((link, stream)) = local.at.take()
            && let Some(link) = self.links.get_mut(link)
        {
            link.legs.remove(&stream);
            link.session.reset(stream);
        }
        // What was read and not passed on comes again.
        if local.pending.is_some() {
            local.channel.forget_last();
        }
        (local.pending, local.owed, local.paused) = (None, 0, None);
        if !local.channel.park() {
            return self.end_local(now, slot, "native_disconnect");
        }
        local.until.get_or_insert(now + PARK_TIME);
        if local.channel.side() == Side::Opener {
            local.retry = Some(now + RETRY_TIME);
            let peer = Arc::clone(&local.peer);
            self.locals.parked.insert((peer, slot));
        }
        self.arm_here(slot);
        self.locals.tell(LocalEvent::Room(LocalId(slot)));
    }

    fn arm_here(&mut self, slot: SlotId) {
        let Some(local) = self.locals.slab.get_mut(slot) else { return };
        let at = [local.paused, local.until, local.retry].into_iter().flatten().min();
        let before = core::mem::replace(&mut local.timer, at);
        if before != at {
            before.map(|before| self.timers.remove(&(before, Timer::Here(slot))));
            self.timers.extend(at.map(|at| (at, Timer::Here(slot))));
        }
    }

    /// Something of a channel is due.
    pub(super) fn due_here(&mut self, now: Instant, slot: SlotId) {
        let Some(local) = self.locals.slab.get_mut(slot) else { return };
        local.timer = None;
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(local.until) {
            return self.end_local(now, slot, "native_disconnect");
        }
        let (paused, retry) = (is_due(local.paused), is_due(local.retry));
        if paused {
            local.paused = None;
            self.pay_here(now, slot);
            self.read_here(now, slot);
        }
        if retry {
            self.attach_here(now, slot);
        }
        self.arm_here(slot);
    }

    /// Write what a channel has to write.
    pub(super) fn write_here(&mut self, now: Instant, slot: SlotId) {
        let Some(local) = self.locals.slab.get_mut(slot) else { return };
        let Some((at, stream)) = local.at else { return };
        if let Some(link) = self.links.get_mut(at) {
            // Without a signer nothing can fail.
            let _ = local.channel.write(&mut link.session, stream, OWN);
            if local.channel.is_over() && !local.channel.is_writing() && !local.over {
                local.over = true;
                local.until = Some(now + PARK_TIME);
                // It stays for an agent that has not heard so much.
                let _ = link.session.finish(stream);
            }
        }
        self.arm_here(slot);
        self.settle(now, at);
    }

    /// Read what a channel's stream has, up to the next message.
    pub(super) fn read_here(&mut self, now: Instant, slot: SlotId) {
        let mut from = None;
        while let Some(local) = self.locals.slab.get_mut(slot)
            && local.pending.is_none()
            && local.paused.is_none()
            && let Some((at, stream)) = local.at
            && let Some(link) = self.links.get_mut(at)
            // Before it is accepted nothing of it is read.
            && !(local.channel.side() == Side::Target && local.channel.state() == State::Opening)
        {
            from = Some(at);
            match local.channel.read(now, &mut link.session, stream, OWN) {
                Ok(Some(told)) => self.told_here(now, slot, told),
                Ok(None) => {
                    if !matches!(link.session.peek(stream), Ok(Read::Pending | Read::Bytes(_))) {
                        self.stream_ended_here(now, slot);
                    }
                    break;
                }
                Err(_) => self.end_local(now, slot, "malformed"),
            }
        }
        if let Some(at) = from {
            self.settle(now, at);
        }
    }

    fn stream_ended_here(&mut self, now: Instant, slot: SlotId) {
        if self.locals.slab.get(slot).is_some_and(|local| local.over) {
            self.end_local(now, slot, "");
        } else {
            self.park_here(now, slot);
        }
    }

    fn told_here(&mut self, now: Instant, slot: SlotId, told: Told) {
        match told {
            Told::Message(number, kind) => {
                if let Some(local) = self.locals.slab.get_mut(slot) {
                    local.pending = Some((number, kind));
                    local.owed = local.channel.message().len();
                }
                self.pay_here(now, slot);
            }
            Told::Refused(reason) => self.end_local(now, slot, &reason),
            Told::Away => self.park_here(now, slot),
            Told::Resumed => self.goes_on(now, slot),
            Told::Finished(reason) => {
                self.locals.tell(LocalEvent::Finished(LocalId(slot), reason));
                self.write_here(now, slot);
            }
            Told::Opened(_) | Told::Acked { .. } => {
                self.locals.tell(LocalEvent::Room(LocalId(slot)));
                self.write_here(now, slot);
            }
            Told::Signed(_) => {}
        }
    }

    /// Take what came out of its sender's budget: what is above it waits.
    fn pay_here(&mut self, now: Instant, slot: SlotId) {
        let Some(local) = self.locals.slab.get_mut(slot).filter(|local| local.pending.is_some()) else { return };
        while local.paused.is_none() && local.owed > 0 {
            let some = local.owed.min(step(&local.policy));
            match self.relays.admit(&local.peer, local.budget, &local.policy, now, some) {
                Admit::Pass => local.owed -= some,
                Admit::PassThenWait(at) => {
                    local.owed -= some;
                    local.paused = Some(at);
                }
                Admit::Wait(at) => {
                    local.paused = Some(at);
                    self.stats.throttled += u64::from(!local.policy.is_realtime());
                }
            }
        }
        if local.owed == 0 {
            self.locals.tell(LocalEvent::Message(LocalId(slot)));
        }
        self.arm_here(slot);
    }

    /// The message that is to be passed on: its number, kind and body.
    pub(crate) fn local_message(&self, id: LocalId) -> Option<(u64, Kind, &[u8])> {
        let local = self.locals.slab.get(id.0).filter(|local| local.owed == 0)?;
        let (number, kind) = local.pending?;
        Some((number, kind, local.channel.message()))
    }

    /// It was passed on: the next one is read.
    pub(crate) fn passed(&mut self, now: Instant, id: LocalId) {
        if let Some(local) = self.locals.slab.get_mut(id.0) {
            self.stats.bytes += local.pending.map_or(0, |_| local.channel.message().len() as u64);
            local.pending = None;
        }
        self.read_here(now, id.0);
    }

    /// Accept a channel that was opened to somebody here.
    pub(crate) fn accept_local(&mut self, now: Instant, id: LocalId) {
        if let Some(local) = self.locals.slab.get_mut(id.0) {
            // Without a signer nothing can fail.
            let _ = local.channel.accept(OWN);
        }
        self.write_here(now, id.0);
        self.locals.tell(LocalEvent::Room(id));
        self.read_here(now, id.0);
    }

    /// Refuse it.
    pub(crate) fn refuse_local(&mut self, now: Instant, id: LocalId, reason: &str) {
        let Some(local) = self.locals.slab.get_mut(id.0) else { return };
        local.channel.refuse(reason);
        let at = local.at.take();
        if let Some((at, stream)) = at
            && let Some(link) = self.links.get_mut(at)
        {
            let _ = local.channel.write(&mut link.session, stream, OWN);
            let _ = link.session.finish(stream);
            link.legs.remove(&stream);
        }
        self.stats.refused += 1;
        self.forget_here(now, id.0);
        if let Some((at, _)) = at {
            self.settle(now, at);
        }
    }

    /// How many messages and bytes a channel takes now; `None` where it takes nothing.
    pub(crate) fn local_room(&self, id: LocalId) -> Option<(usize, usize)> {
        let local = self.locals.slab.get(id.0)?;
        local.at.and_then(|_| local.channel.room())
    }

    /// Send a JSON text.
    pub(crate) fn send_local(&mut self, now: Instant, id: LocalId, text: &str) -> Result<u64, SendError> {
        let local = self.locals.slab.get_mut(id.0).ok_or(SendError::Closed)?;
        let number = local.channel.send(Kind::Json, text.as_bytes())?;
        self.stats.bytes += text.len() as u64;
        self.write_here(now, id.0);
        Ok(number)
    }

    /// The last message that the agent took.
    pub(crate) fn local_acked(&self, id: LocalId) -> u64 {
        self.locals.slab.get(id.0).map_or(0, |local| local.channel.acked())
    }

    /// The other end has closed a channel before it took everything, and never will: the agent learns that it cannot go on.
    pub(crate) fn hurry_local(&mut self, now: Instant, id: LocalId) {
        if let Some(local) = self.locals.slab.get_mut(id.0) {
            let soon = now + GOODBYE_TIME;
            local.until = Some(local.until.map_or(soon, |until| until.min(soon)));
            self.arm_here(id.0);
        }
    }

    /// The other end took all messages up to this one.
    pub(crate) fn take_local(&mut self, now: Instant, id: LocalId, upto: u64) {
        if let Some(local) = self.locals.slab.get_mut(id.0) {
            local.channel.take(upto);
            self.write_here(now, id.0);
        }
    }

    /// Send no more. It is over once the agent has done the same and everything was taken, or that lasts too long.
    pub(crate) fn close_local(&mut self, now: Instant, id: LocalId, reason: &str) {
        let Some(local) = self.locals.slab.get_mut(id.0) else { return };
        if local.channel.state() == State::Opening {
            return self.end_local(now, id.0, "");
        }
        local.channel.close(reason);
        local.closed = true;
        if local.at.is_some() {
            local.until = Some(now + LINGER_TIME);
        }
        self.arm_here(id.0);
        self.write_here(now, id.0);
    }

    /// End a channel: what is under way is lost, and the agent learns that it cannot go on.
    pub(crate) fn drop_local(&mut self, now: Instant, id: LocalId) {
        self.forget_here(now, id.0);
    }

    fn end_local(&mut self, now: Instant, slot: SlotId, reason: &str) {
        self.forget_here(now, slot);
        self.locals.tell(LocalEvent::Gone(LocalId(slot), reason.into()));
    }

    fn forget_here(&mut self, now: Instant, slot: SlotId) {
        let Some(local) = self.locals.slab.remove(slot) else { return };
        self.locals.by_id.remove(&local.channel.opening().channel);
        self.locals.parked.remove(&(Arc::clone(&local.peer), slot));
        if let Some(at) = local.timer {
            self.timers.remove(&(at, Timer::Here(slot)));
        }
        if let Some((at, stream)) = local.at {
            if let Some(link) = self.links.get_mut(at) {
                link.legs.remove(&stream);
                link.session.reset(stream);
            }
            self.settle(now, at);
        }
    }
}
