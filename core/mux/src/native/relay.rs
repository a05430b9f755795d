//! The two streams of a channel, and what is passed on between them.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;

use sluis_core::Instant;
use sluis_core::table::{Heap, Slab, SlotId};

use super::hub::{Link, Timer};
use super::tap::Tap;
use crate::bucket::{Bucket, Verdict};
use crate::intents::{Budget, Policy};
use crate::session::{Read, StreamId};

/// Most bytes that are passed on before the budget is asked again.
const STEP: usize = 16 * 1024;

/// Budgets that are remembered after their channels are gone.
const MAX_BUDGETS: usize = 65_536;

#[derive(Debug)]
pub(super) struct Relay {
    /// The connection and stream of whoever opened the channel, and those of its target.
    pub(super) legs: [(SlotId, StreamId); 2],
    agents: [Arc<str>; 2],
    policy: Policy,
    budget: Budget,
    /// Which side has sent its last byte.
    ended: [bool; 2],
    /// Until when each side waits for its budget.
    paused: [Option<Instant>; 2],
    /// It leads to a service of the hub.
    pub(super) served: bool,
    /// What passes is looked at.
    pub(super) tap: Option<Box<Tap>>,
}

impl Relay {
    pub(super) const fn new(
        legs: [(SlotId, StreamId); 2],
        agents: [Arc<str>; 2],
        policy: Policy,
        budget: Budget,
    ) -> Self {
        Self { legs, agents, policy, budget, ended: [false; 2], paused: [None; 2], served: false, tap: None }
    }
}

/// What passing on has done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    pub(super) legs: [(SlotId, StreamId); 2],
    pub(super) bytes: u64,
    pub(super) throttled: bool,
    /// Both sides have ended.
    pub(super) over: bool,
}

/// Every channel of a hub, and the budgets of those who opened them.
#[derive(Debug)]
pub(super) struct Relays {
    slab: Slab<Relay, Heap>,
    /// By agent and intent: opening a channel anew fills none.
    budgets: BTreeMap<(Arc<str>, Budget), Bucket>,
    /// How many lead to services, by who opened them.
    served: BTreeMap<Arc<str>, usize>,
}

impl Relays {
    pub(super) fn new(capacity: usize) -> Self {
        Self { slab: Slab::new(capacity), budgets: BTreeMap::new(), served: BTreeMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.slab.is_full()
    }

    /// What looks at a channel.
    pub(super) fn tap(&mut self, id: SlotId) -> Option<&mut Option<Box<Tap>>> {
        self.slab.get_mut(id).map(|relay| &mut relay.tap)
    }

    /// The connection and stream of whoever opened a channel.
    pub(super) fn opener(&self, id: SlotId) -> Option<(SlotId, StreamId)> {
        self.slab.get(id).map(|relay| relay.legs[0])
    }

    /// How many channels of an agent lead to services.
    pub(super) fn served(&self, agent: &str) -> usize {
        self.served.get(agent).copied().unwrap_or(0)
    }

    pub(super) fn insert(&mut self, relay: Relay) -> Option<SlotId> {
        let [opener, _] = &relay.agents;
        let opener = relay.served.then(|| Arc::clone(opener));
        let id = self.slab.insert(relay).ok()?;
        if let Some(opener) = opener {
            *self.served.entry(opener).or_default() += 1;
        }
        Some(id)
    }

    pub(super) fn remove(&mut self, id: SlotId, timers: &mut BTreeSet<(Instant, Timer)>) -> Option<Relay> {
        let relay = self.slab.remove(id)?;
        for (side, at) in relay.paused.into_iter().enumerate() {
            at.map(|at| timers.remove(&(at, Timer::Relay(id, side))));
        }
        let [opener, _] = &relay.agents;
        if relay.served
            && let Some(count) = self.served.get_mut(opener)
        {
            *count -= 1;
            if *count == 0 {
                self.served.remove(opener);
            }
        }
        Some(relay)
    }

    /// Whether so many bytes of a channel that ends here are within the budget of who sent them. A [`step`] at most is asked for at a time.
    pub(super) fn admit(
        &mut self,
        agent: &Arc<str>,
        budget: Budget,
        policy: &Policy,
        now: Instant,
        bytes: usize,
    ) -> Admit {
        admit(&mut self.budgets, (Arc::clone(agent), budget), policy, now, bytes)
    }

    /// Pass on what one side has sent.
    pub(super) fn pump(
        &mut self,
        now: Instant,
        id: SlotId,
        side: usize,
        links: &mut Slab<Link, Heap>,
        timers: &mut BTreeSet<(Instant, Timer)>,
    ) -> Option<Moved> {
        let relay = self.slab.get_mut(id)?;
        let mut moved = Moved { legs: relay.legs, bytes: 0, throttled: false, over: false };
        let paused = relay.paused.get_mut(side)?;
        if let Some(at) = *paused {
            if at > now {
                return Some(moved);
            }
            timers.remove(&(at, Timer::Relay(id, side)));
            *paused = None;
        }
        let (from, to) = (*relay.legs.get(side)?, *relay.legs.get(1 - side)?);
        // A step is never larger than what passes at once from a full bucket. The stream's buffer ends the loop.
        let step = step(&relay.policy);
        while let Some(some) = look(links, from, to, step) {
            let bytes = match some {
                Look::Bytes(bytes) => bytes,
                Look::End => {
                    if let Some(ended) = relay.ended.get_mut(side) {
                        *ended = true;
                    }
                    let _ = links.get_mut(to.0).map(|link| link.session.finish(to.1));
                    moved.over = relay.ended == [true; 2];
                    break;
                }
            };
            let key = (Arc::clone(relay.agents.get(side)?), relay.budget);
            match admit(&mut self.budgets, key, &relay.policy, now, bytes) {
                Admit::Pass => {}
                Admit::PassThenWait(at) => *paused = Some(at),
                Admit::Wait(at) => {
                    *paused = Some(at);
                    moved.throttled = !relay.policy.is_realtime();
                    break;
                }
            }
            let tap = relay.tap.as_deref_mut();
            pass(links, now, from, to, bytes, |passed| tap.into_iter().for_each(|tap| tap.look(side, passed)));
            moved.bytes += bytes as u64;
            if paused.is_some() {
                break;
            }
        }
        timers.extend(paused.map(|at| (at, Timer::Relay(id, side))));
        Some(moved)
    }
}

/// Most bytes that a budget is asked for at once: never more than what passes from a full bucket.
pub(super) fn step(policy: &Policy) -> usize {
    STEP.min(usize::try_from(policy.capacity()).unwrap_or(STEP)).max(1)
}

enum Look {
    Bytes(usize),
    End,
}

/// How much can be passed on at once.
fn look(links: &mut Slab<Link, Heap>, from: (SlotId, StreamId), to: (SlotId, StreamId), step: usize) -> Option<Look> {
    let there = match links.get_mut(from.0)?.session.peek(from.1).ok()? {
        Read::Bytes(bytes) => bytes.len().min(step),
        Read::Pending => return None,
        Read::End => return Some(Look::End),
    };
    let room = links.get_mut(to.0)?.session.room(to.1, there).ok()?;
    Some(there.min(room)).filter(|len| *len > 0).map(Look::Bytes)
}

fn pass(
    links: &mut Slab<Link, Heap>,
    now: Instant,
    from: (SlotId, StreamId),
    to: (SlotId, StreamId),
    len: usize,
    look: impl FnOnce(&[u8]),
) {
    let mut buffer = [0; STEP];
    let Some(buffer) = buffer.get_mut(..len) else { return };
    if let Some(link) = links.get_mut(from.0)
        && let Ok(Read::Bytes(bytes)) = link.session.peek(from.1)
    {
        buffer.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        let _ = link.session.consume(now, from.1, len);
    }
    look(buffer);
    // There is room for it: that was asked.
    let _ = links.get_mut(to.0).map(|link| link.session.write(to.1, buffer));
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Admit {
    Pass,
    PassThenWait(Instant),
    Wait(Instant),
}

/// Whether so many bytes are within the budget of an agent and intent, or when they will be.
fn admit(
    budgets: &mut BTreeMap<(Arc<str>, Budget), Bucket>,
    key: (Arc<str>, Budget),
    policy: &Policy,
    now: Instant,
    bytes: usize,
) -> Admit {
    if policy.is_unlimited() {
        return Admit::Pass;
    }
    if budgets.len() >= MAX_BUDGETS && !budgets.contains_key(&key) {
        // The first one that is not in use for long; those that are full say nothing.
        budgets.pop_first();
    }
    let bucket = budgets.entry(key).or_insert_with(|| Bucket::new(policy, now));
    match bucket.check(policy, now, bytes as u64) {
        Verdict::Pass { .. } => Admit::Pass,
        Verdict::Paced(time) => Admit::PassThenWait(now + time),
        Verdict::Wait(time) => Admit::Wait(now + time),
        // No step is larger than a bucket.
        Verdict::TooLarge { .. } => Admit::Wait(now + core::time::Duration::from_secs(1)),
    }
}
