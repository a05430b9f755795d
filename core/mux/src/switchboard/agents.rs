//! The agents that anything is known of.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use sluis_core::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab};
use sluis_core::{Instant, Now, SipKey};

use super::SocketId;
use super::channel::{Incoming, Outgoing};
use super::frame::Item;
use crate::bucket::Bucket;
use crate::intents::{Budget, policy_of};

/// How long an agent is remembered that has no channel, no socket and no mail: longer than its buckets take to fill.
pub(super) const REMEMBERED: Duration = Duration::from_secs(300);

/// One agent.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) name: Arc<str>,
    /// The open channels that it opened, oldest first.
    pub(super) outgoing: List<Outgoing>,
    /// The channels that were opened to it, oldest first; closed ones too as long as they are kept.
    pub(super) incoming: List<Incoming>,
    /// Its sockets, the newest last.
    pub(super) sockets: Vec<SocketId>,
    /// What waits for it, oldest first.
    pub(super) backlog: VecDeque<Item>,
    pub(super) backlog_bytes: usize,
    /// Bytes that wait to go to it on native connections.
    pub(super) port_bytes: usize,
    /// Somebody waits for room here.
    pub(super) awaited: bool,
    /// Items of the backlog that are held back.
    pub(super) paced: usize,
    /// The number of the last item.
    pub(super) last_item: u64,
    /// Who waits for its inbox right now.
    pub(super) pollers: u32,
    /// Its inbox has something new for them.
    pub(super) inbox_ready: bool,
    /// It is among those whose inbox has news: once, whether they are asked for or not.
    pub(super) in_news: bool,
    buckets: Vec<(Budget, Bucket)>,
    wake: Option<Instant>,
    idle_since: Instant,
    by_name: Chain,
    idle: Link,
}

impl Agent {
    /// The bucket of its frames of this kind.
    pub(super) fn bucket(&mut self, budget: Budget, now: Instant) -> &mut Bucket {
        let at = match self.buckets.iter().position(|(of, _)| *of == budget) {
            Some(at) => at,
            None => {
                self.buckets.push((budget, Bucket::new(&policy_of(budget), now)));
                self.buckets.len() - 1
            }
        };
        &mut self.buckets[at].1
    }

    /// Bytes that would pass at once at the last check.
    pub(super) fn tokens(&self, budget: Budget) -> u64 {
        let bucket = self.buckets.iter().find(|(of, _)| *of == budget).map(|(_, bucket)| *bucket);
        bucket.map_or_else(|| policy_of(budget).capacity(), |bucket| bucket.tokens())
    }

    fn is_idle(&self) -> bool {
        self.outgoing.is_empty()
            && self.incoming.is_empty()
            && self.sockets.is_empty()
            && self.backlog.is_empty()
            && self.pollers == 0
    }

    /// Number an item for this agent.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_item += 1;
        self.last_item
    }

    /// Add to the backlog.
    pub(super) fn push_back(&mut self, item: Item, now: Instant) {
        self.backlog_bytes += item.size();
        self.paced += usize::from(item.due > now);
        self.backlog.push_back(item);
    }

    /// Put back what was taken out and could not be handed on. The backlog stays in the order of its numbers.
    pub(super) fn put_back(&mut self, item: Item) {
        self.backlog_bytes += item.size();
        let at = self.backlog.partition_point(|other| other.number < item.number);
        self.backlog.insert(at, item);
    }

    /// The first item of the backlog that may be handed on.
    pub(super) fn first_due(&self, now: Instant) -> Option<usize> {
        // What is held back is held back together with all that follows on its channel, so taking the first that is due keeps the
        // order of every channel.
        self.backlog.iter().position(|item| item.due <= now)
    }

    /// Take an item out of the backlog.
    pub(super) fn take(&mut self, at: usize) -> Option<Item> {
        let item = self.backlog.remove(at)?;
        self.backlog_bytes -= item.size();
        Some(item)
    }
}

#[derive(Debug)]
pub(super) struct ByName;
#[derive(Debug)]
pub(super) struct Idle;

impl Chained<ByName> for Agent {
    fn chain(&self) -> &Chain {
        &self.by_name
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_name
    }
}

impl Linked<Idle> for Agent {
    fn link(&self) -> &Link {
        &self.idle
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.idle
    }
}

/// Every agent that has something here, or had a short time ago.
#[derive(Debug)]
pub(super) struct Agents {
    slab: Slab<Agent, Heap>,
    by_name: Index<ByName, Heap>,
    idle: List<Idle>,
    /// When something of whose backlog is due or expires.
    wakes: BTreeSet<(Instant, u32)>,
    key: SipKey,
}

impl Agents {
    pub(super) fn new(capacity: usize, key: SipKey) -> Self {
        Self { slab: Slab::new(capacity), by_name: Index::new(), idle: List::new(), wakes: BTreeSet::new(), key }
    }

    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.by_name.find(&self.slab, self.key.hash(name.as_bytes()), |agent| *agent.name == *name)
    }

    pub(super) fn at(&self, slot: u32) -> Option<&Agent> {
        self.slab.at(slot)
    }

    pub(super) fn at_mut(&mut self, slot: u32) -> Option<&mut Agent> {
        self.slab.at_mut(slot)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Agent)> {
        self.slab.iter().map(|(id, agent)| (id.slot(), agent))
    }

    /// The agent with this name, which is made if need be; `None` when there is no room. Call [`settle`](Self::settle) when done
    /// with it.
    pub(super) fn ensure(&mut self, name: &str, now: Now) -> Option<u32> {
        if let Some(slot) = self.find(name) {
            return Some(slot);
        }
        if self.slab.is_full() {
            let oldest = self.idle.front()?;
            // Who is remembered for less has buckets that are not full yet: they would be full if it were forgotten.
            let since = self.slab.at(oldest)?.idle_since;
            if now.mono.saturating_since(since) < REMEMBERED / 10 {
                return None;
            }
            self.forget(oldest);
        }
        let agent = Agent {
            name: name.into(),
            outgoing: List::new(),
            incoming: List::new(),
            sockets: Vec::new(),
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            port_bytes: 0,
            awaited: false,
            paced: 0,
            // Numbers go on where they were, also when the agent was forgotten in between or the hub began anew.
            last_item: u64::try_from(now.wall.as_micros()).unwrap_or(0),
            pollers: 0,
            inbox_ready: false,
            in_news: false,
            buckets: Vec::new(),
            wake: None,
            idle_since: now.mono,
            by_name: Chain::default(),
            idle: Link::default(),
        };
        let slot = self.slab.insert(agent).ok()?.slot();
        self.by_name.insert(&mut self.slab, slot, self.key.hash(name.as_bytes()));
        Some(slot)
    }

    /// Note whether anything is left of an agent, and when its backlog wants to be looked at; to be called after every change.
    pub(super) fn settle(&mut self, slot: u32, now: Instant, queue_time: Duration) {
        let Some(agent) = self.slab.at_mut(slot) else { return };
        let expiry = agent.backlog.front().map(|item| item.queued + queue_time);
        let mut wake = expiry;
        if agent.paced > 0 {
            let held = agent.backlog.iter().filter(|item| item.due > now);
            agent.paced = held.clone().count();
            wake = held.map(|item| item.due).chain(expiry).min();
        }
        if let Some(was) = core::mem::replace(&mut agent.wake, wake) {
            self.wakes.remove(&(was, slot));
        }
        if let Some(wake) = wake {
            self.wakes.insert((wake, slot));
        }
        let idle = agent.is_idle();
        if !idle {
            self.idle.remove(&mut self.slab, slot);
        } else if !self.idle.contains(&self.slab, slot) {
            if let Some(agent) = self.slab.at_mut(slot) {
                agent.idle_since = now;
                agent.sockets.shrink_to_fit();
                agent.backlog.shrink_to_fit();
            }
            self.idle.push_back(&mut self.slab, slot);
        }
    }

    /// When the next backlog or the next agent is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let wake = self.wakes.first().map(|(at, _)| *at);
        let idle = self.idle.front().and_then(|slot| self.slab.at(slot)).map(|agent| agent.idle_since + REMEMBERED);
        wake.into_iter().chain(idle).min()
    }

    /// An agent whose backlog is due.
    pub(super) fn due(&self, now: Instant) -> Option<u32> {
        self.wakes.first().filter(|(at, _)| *at <= now).map(|(_, slot)| *slot)
    }

    /// Forget one that has been idle for long; whether there was one.
    pub(super) fn forget_idle(&mut self, now: Instant) -> bool {
        let Some(slot) = self.idle.front() else { return false };
        let due = self.slab.at(slot).is_some_and(|agent| agent.idle_since + REMEMBERED <= now);
        if due {
            self.forget(slot);
        }
        due
    }

    fn forget(&mut self, slot: u32) {
        self.idle.remove(&mut self.slab, slot);
        self.by_name.remove(&mut self.slab, slot);
        self.slab.remove_at(slot);
    }
}
