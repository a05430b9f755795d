//! The ways back: where the answer to a ping goes that was passed on.

use alloc::vec::Vec;

use super::config::{MAX_FANOUT, RelayConfig};
use super::neighbours::{Hop, Hops};
use super::reject::RelayReject;
use crate::framing::Decision;
use crate::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab};
use crate::time::Instant;

/// So many pings with one packet id, one target and one next hop have a way back at once. Whoever reuses another's packet id to
/// catch its answer gets a copy of it, and takes nothing from the other.
pub(super) const MOST_ALIKE: usize = 4;
/// Counters of ways back by the hash of the source: two sources that share one share its cap.
const COUNTERS: usize = 4096;

struct ById;
struct ByEnd;
struct ByPatience;

/// A ping that was passed on.
#[derive(Clone, Copy)]
pub(super) struct Passed {
    /// Keyed hash of its packet id.
    pub(super) id: u64,
    /// Keyed hashes of the two names, and of both together.
    pub(super) source: u64,
    pub(super) target: u64,
    pub(super) flow: u64,
    /// Its source was proven. Any other name may be anybody's.
    pub(super) proven: bool,
    /// Over whom it came.
    pub(super) from: Hop,
    /// The circuit that it asks for.
    pub(super) circuit: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// For a first answer.
    Waiting,
    /// The first answer said `pending`.
    Pending,
}

struct Open {
    passed: Passed,
    /// Hashes of the links over which it went.
    to: heapless::Vec<u64, MAX_FANOUT>,
    sent: Instant,
    ends: Instant,
    state: State,
    slot: u32,
    chain: Chain,
    by_end: Link,
    by_patience: Link,
}

macro_rules! place {
    ($trait:ident<$kind:ty>, $field:ident: $type:ty, $get:ident, $get_mut:ident) => {
        impl $trait<$kind> for Open {
            fn $get(&self) -> &$type {
                &self.$field
            }
            fn $get_mut(&mut self) -> &mut $type {
                &mut self.$field
            }
        }
    };
}
place!(Chained<ById>, chain: Chain, chain, chain_mut);
place!(Linked<ByEnd>, by_end: Link, link, link_mut);
place!(Linked<ByPatience>, by_patience: Link, link, link_mut);

/// Who is to get an answer: those who asked, of whom there is nearly always one.
pub(super) type Askers = heapless::Vec<Passed, MOST_ALIKE>;

/// A ping that nobody answered so far.
pub(super) struct Silent {
    pub(super) passed: Passed,
    pub(super) to: heapless::Vec<u64, MAX_FANOUT>,
    pub(super) sent: Instant,
}

/// Every ping that was passed on and may yet be answered.
pub(super) struct OpenWays {
    open: Slab<Open, Heap>,
    by_id: Index<ById, Heap>,
    waiting: List<ByEnd>,
    pending: List<ByEnd>,
    /// Those whose patience is not over.
    patient: List<ByPatience>,
    counts: Vec<u16>,
    most_per_source: u16,
    /// How many are of sources that are not proven.
    unproven: usize,
}

impl OpenWays {
    pub(super) fn new(config: &RelayConfig) -> Self {
        Self {
            open: Slab::new(config.max_open),
            by_id: Index::new(),
            waiting: List::new(),
            pending: List::new(),
            patient: List::new(),
            counts: Vec::new(),
            most_per_source: u16::try_from(config.max_open_per_source).unwrap_or(u16::MAX),
            unproven: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    fn count(&self, source: u64) -> u16 {
        self.counts.get(place(source)).copied().unwrap_or(0)
    }

    /// Whether there is room for one more of this source. All that are not proven share one half: they may be one under many names.
    pub(super) fn has_room(&self, source: u64, proven: bool) -> bool {
        let crowded = !proven && self.unproven >= self.open.capacity().div_ceil(2);
        !self.open.is_full() && !crowded && self.count(source) < self.most_per_source
    }

    /// Keep the way back of what goes over these hops now. False where there is no [room](Self::has_room).
    pub(super) fn keep(&mut self, now: Instant, config: &RelayConfig, passed: Passed, hops: &Hops) -> bool {
        if !self.has_room(passed.source, passed.proven) {
            return false;
        }
        let entry = Open {
            passed,
            to: hops.iter().map(|hop| hop.link).collect(),
            sent: now,
            ends: now + config.answer_within,
            state: State::Waiting,
            slot: 0,
            chain: Chain::default(),
            by_end: Link::default(),
            by_patience: Link::default(),
        };
        let Ok(id) = self.open.insert(entry) else { return false };
        let slot = id.slot();
        self.unproven += usize::from(!passed.proven);
        if let Some(entry) = self.open.at_mut(slot) {
            entry.slot = slot;
        }
        self.by_id.insert(&mut self.open, slot, passed.id);
        self.waiting.push_back(&mut self.open, slot);
        self.patient.push_back(&mut self.open, slot);
        if self.counts.is_empty() {
            self.counts.resize(COUNTERS, 0);
        }
        if let Some(count) = self.counts.get_mut(place(passed.source)) {
            *count = count.saturating_add(1);
        }
        true
    }

    /// Whether a ping with this id may yet be answered.
    pub(super) fn awaits(&self, now: Instant, id: u64) -> bool {
        self.by_id.find(&self.open, id, |open| open.passed.id == id && open.ends > now).is_some()
    }

    /// An answer came over this link: who gets it.
    ///
    /// The way stays open behind a first answer that says `pending`, until the decision; any other answer ends it.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        config: &RelayConfig,
        (id, responder, link): (u64, u64, u64),
        decision: Decision,
    ) -> Result<Askers, RelayReject> {
        let mut why = RelayReject::Unrequested;
        let mut slots = heapless::Vec::<u32, MOST_ALIKE>::new();
        self.by_id.find(&self.open, id, |open| {
            if open.passed.id != id || open.ends <= now {
                return false;
            }
            let asked = open.passed.target == responder && open.to.contains(&link);
            let expected = decision != Decision::Pending || open.state == State::Waiting;
            if !asked {
                why = RelayReject::WrongResponder;
            } else if expected {
                let _ = slots.push(open.slot);
            }
            slots.is_full()
        });
        if slots.is_empty() {
            return Err(why);
        }
        Ok(slots.into_iter().filter_map(|slot| self.answered(now, config, slot, decision)).collect())
    }

    fn answered(&mut self, now: Instant, config: &RelayConfig, slot: u32, decision: Decision) -> Option<Passed> {
        if decision != Decision::Pending {
            return self.close(slot).map(|open| open.passed);
        }
        self.patient.remove(&mut self.open, slot);
        self.waiting.remove(&mut self.open, slot);
        self.pending.push_back(&mut self.open, slot);
        let open = self.open.at_mut(slot)?;
        (open.state, open.ends) = (State::Pending, now + config.decision_within);
        Some(open.passed)
    }

    /// One ping whose patience is over and that nobody has answered. Its way back stays open.
    pub(super) fn next_silent(&mut self, now: Instant, config: &RelayConfig) -> Option<Silent> {
        let slot = self.patient.front()?;
        let Open { passed, to, sent, .. } = self.open.at(slot)?;
        if *sent + config.patience > now {
            return None;
        }
        let silent = Silent { passed: *passed, to: to.clone(), sent: *sent };
        self.patient.remove(&mut self.open, slot);
        Some(silent)
    }

    /// Close one way back whose time is over. False where there is none.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let over = |slot: &u32| self.open.at(*slot).is_some_and(|open| open.ends <= now);
        let fronts = [self.waiting.front(), self.pending.front()];
        let slot = fronts.into_iter().flatten().find(over);
        slot.and_then(|slot| self.close(slot)).is_some()
    }

    /// When one of both has something to do next.
    pub(super) fn next_timeout(&self, config: &RelayConfig) -> Option<Instant> {
        let at = |slot: Option<u32>| slot.and_then(|slot| self.open.at(slot));
        let ends = [at(self.waiting.front()), at(self.pending.front())].map(|open| open.map(|open| open.ends));
        let patience = at(self.patient.front()).map(|open| open.sent + config.patience);
        ends.into_iter().chain([patience]).flatten().min()
    }

    fn close(&mut self, slot: u32) -> Option<Open> {
        match self.open.at(slot)?.state {
            State::Waiting => self.waiting.remove(&mut self.open, slot),
            State::Pending => self.pending.remove(&mut self.open, slot),
        };
        self.patient.remove(&mut self.open, slot);
        self.by_id.remove(&mut self.open, slot);
        let open = self.open.remove_at(slot)?;
        self.unproven = self.unproven.saturating_sub(usize::from(!open.passed.proven));
        if let Some(count) = self.counts.get_mut(place(open.passed.source)) {
            *count = count.saturating_sub(1);
        }
        Some(open)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder below 4,096")]
const fn place(source: u64) -> usize {
    (source % COUNTERS as u64) as usize
}
