//! The ways back: where the answer to a ping goes that was passed on.

use alloc::vec::Vec;

use super::config::{MAX_FANOUT, RelayConfig, for_strangers};
use super::neighbours::{Hop, Hops};
use super::reject::RelayReject;
use crate::framing::Decision;
use crate::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab};
use crate::time::Instant;

/// So many pings with one packet id, one target and one next hop have a way back at once. Whoever reuses another's packet id to
/// catch its answer gets a copy of it, and takes nothing from the other.
pub(super) const MOST_ALIKE: usize = 4;
/// How many of the oldest ways back of each state are looked at for one that makes way.
const LOOKED_AT: usize = 32;
/// Counters of ways back by the hash of their holder, and of those that prove nothing by that of their link: two that share one share its
/// cap.
const COUNTERS: usize = 4096;

struct ById;
struct ByEnd;
struct ByPatience;

/// A ping that was passed on.
#[derive(Clone, Copy)]
pub(super) struct Passed {
    /// Keyed hash of its packet id.
    pub(super) id: u64,
    /// Keyed hash of the name of the source.
    pub(super) source: u64,
    /// Who has to answer for it: the source where it is proven, else that name on that link, since anybody can write it.
    pub(super) holder: u64,
    pub(super) proven: bool,
    /// How many bytes of answers may still go to where it came from; `None` where that has proven itself.
    pub(super) room: Option<usize>,
    /// Keyed hashes of the name of the target, and of holder and target together.
    pub(super) target: u64,
    pub(super) flow: u64,
    /// Over whom it came.
    pub(super) from: Hop,
    /// The circuit that it asks for.
    pub(super) circuit: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// For a first answer.
    Waiting,
    /// A first answer said `pending`.
    Pending,
    /// There was an answer over one of several hops. Whoever is faster than the target takes no answer away: those over others go back, too.
    Answered,
}

struct Open {
    passed: Passed,
    /// Hashes of the links over which it went.
    to: heapless::Vec<u64, MAX_FANOUT>,
    /// Over which of them there was an answer, and over which one that said `pending`: a bit each.
    done: u8,
    /// Which of them are shown to be who is heard there.
    shown: u8,
    pended: u8,
    sent: Instant,
    ends: Instant,
    state: State,
    slot: u32,
    chain: Chain,
    by_end: Link,
    by_patience: Link,
}

impl Open {
    /// Which of its hops a link is.
    fn bit(&self, link: u64) -> Option<u8> {
        self.to.iter().position(|to| *to == link).map(|at| 1 << at)
    }
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

/// Who is to get an answer.
pub(super) struct Asker {
    pub(super) passed: Passed,
    /// Where the way back is, if it is still open.
    pub(super) slot: u32,
    /// There was an answer over another hop.
    pub(super) disputed: bool,
    /// Whether the hop that answered is shown to be who is heard there.
    pub(super) shown: bool,
    /// Nothing more goes back this way.
    pub(super) ended: bool,
}

/// Where the way back of a ping will be kept.
pub(super) struct Place {
    /// Which one closes for it.
    makes_way: Option<u32>,
}

/// Those who asked, of whom there is nearly always one.
pub(super) type Askers = heapless::Vec<Asker, MOST_ALIKE>;

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
    answered: List<ByEnd>,
    /// Those whose patience is not over.
    patient: List<ByPatience>,
    counts: Counts,
    most_per_source: u16,
    /// Of sources that prove nothing: how many there are, how many there may be, and how many over one link.
    strangers: usize,
    most_strangers: usize,
    by_link: Counts,
    most_per_link: u16,
}

/// Counters by a keyed hash, made with the first one.
#[derive(Default)]
struct Counts(Vec<u16>);

impl Counts {
    fn get(&self, hash: u64) -> u16 {
        self.0.get(place(hash)).copied().unwrap_or(0)
    }

    fn add(&mut self, hash: u64) {
        if self.0.is_empty() {
            self.0.resize(COUNTERS, 0);
        }
        if let Some(count) = self.0.get_mut(place(hash)) {
            *count = count.saturating_add(1);
        }
    }

    fn take(&mut self, hash: u64) {
        if let Some(count) = self.0.get_mut(place(hash)) {
            *count = count.saturating_sub(1);
        }
    }
}

impl OpenWays {
    pub(super) fn new(config: &RelayConfig) -> Self {
        let [most_strangers, most_per_link] = for_strangers(config.max_open);
        Self {
            open: Slab::new(config.max_open),
            by_id: Index::new(),
            waiting: List::new(),
            pending: List::new(),
            answered: List::new(),
            patient: List::new(),
            counts: Counts::default(),
            most_per_source: u16::try_from(config.max_open_per_source).unwrap_or(u16::MAX),
            strangers: 0,
            most_strangers,
            by_link: Counts::default(),
            most_per_link: u16::try_from(most_per_link).unwrap_or(u16::MAX),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The place for the way back of this one, or nothing where there is none.
    pub(super) fn place(&self, passed: &Passed) -> Option<Place> {
        let shared = passed.proven
            || (self.strangers < self.most_strangers && self.by_link.get(passed.from.link) < self.most_per_link);
        let (most, alike, makes_way) = self.alike(passed);
        let open = self.counts.get(passed.holder) < self.most_per_source;
        if !shared || !open {
            return None;
        }
        match makes_way {
            makes_way @ Some(_) if alike >= most => Some(Place { makes_way }),
            None if alike >= most => None,
            _ if self.open.is_full() => self.crowding(passed).map(|slot| Place { makes_way: Some(slot) }),
            _ => Some(Place { makes_way: None }),
        }
    }

    /// Which way back makes way for this one where there is no place left: one of those that have been open for longest. Only for a source that is proven.
    fn crowding(&self, passed: &Passed) -> Option<u32> {
        let oldest = [&self.waiting, &self.answered, &self.pending];
        let oldest = oldest.into_iter().flat_map(|list| list.iter(&self.open).take(LOOKED_AT));
        let opens = oldest.filter_map(|slot| self.open.at(slot));
        self.heaviest(passed, opens).filter(|_| passed.proven)
    }

    /// Of these the first whose holder has most ways open, if that is more than this one has: so many who are let in, and each ask much, do not keep out who asks little. What proves nothing is
    /// counted over each link, as its share is.
    fn heaviest<'o>(&self, passed: &Passed, opens: impl Iterator<Item = &'o Open>) -> Option<u32> {
        let weight = |passed: &Passed| match passed.proven {
            true => self.counts.get(passed.holder),
            false => self.by_link.get(passed.from.link),
        };
        let weighed = opens.map(|open| (weight(&open.passed), open.slot));
        let most = weighed.reduce(|most, other| if other.0 > most.0 { other } else { most });
        most.filter(|(held, _)| *held > weight(passed) + 1).map(|(_, slot)| slot)
    }

    /// How many ways back there may be with this packet id and target, how many there are, and which of them makes way for this one: one
    /// of the same holder, who asks again, or for one that is proven one that is not, or whose holder has more open.
    fn alike(&self, passed: &Passed) -> (usize, usize, Option<u32>) {
        let (mut own, mut unproven) = (None, None);
        let mut alike = heapless::Vec::<u32, MOST_ALIKE>::new();
        self.by_id.find(&self.open, passed.id, |open| {
            if open.passed.id == passed.id && open.passed.target == passed.target {
                let _ = alike.push(open.slot);
                if open.passed.holder == passed.holder {
                    own = Some(open.slot);
                } else if !open.passed.proven {
                    unproven = Some(open.slot);
                }
            }
            false
        });
        // The last place is for one that is proven.
        let most = if passed.proven { MOST_ALIKE } else { MOST_ALIKE - 1 };
        let makes_way = match own {
            None if passed.proven && alike.len() >= most => {
                unproven.or_else(|| self.heaviest(passed, alike.iter().filter_map(|slot| self.open.at(*slot))))
            }
            own => own,
        };
        (most, alike.len(), makes_way)
    }

    /// Keep the way back of what goes over these hops now. The [place](Self::place) was found for it, and nothing else was kept since. What makes way for it is given back.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        config: &RelayConfig,
        passed: Passed,
        (place, hops): (Place, &Hops),
    ) -> Option<Passed> {
        let closed = place.makes_way.and_then(|slot| self.close(slot)).map(|open| open.passed);
        let entry = Open {
            passed,
            to: hops.iter().map(|hop| hop.link).collect(),
            done: 0,
            shown: hops.iter().enumerate().fold(0, |bits, (n, hop)| bits | u8::from(hop.shown) << n),
            pended: 0,
            sent: now,
            ends: now + config.answer_within,
            state: State::Waiting,
            slot: 0,
            chain: Chain::default(),
            by_end: Link::default(),
            by_patience: Link::default(),
        };
        let Ok(id) = self.open.insert(entry) else { return closed };
        let slot = id.slot();
        if let Some(entry) = self.open.at_mut(slot) {
            entry.slot = slot;
        }
        self.by_id.insert(&mut self.open, slot, passed.id);
        self.waiting.push_back(&mut self.open, slot);
        self.patient.push_back(&mut self.open, slot);
        self.counts.add(passed.holder);
        if !passed.proven {
            self.strangers += 1;
            self.by_link.add(passed.from.link);
        }
        closed
    }

    /// Whether a ping with this id may yet be answered.
    pub(super) fn awaits(&self, now: Instant, id: u64) -> bool {
        self.by_id.find(&self.open, id, |open| open.passed.id == id && open.ends > now).is_some()
    }

    /// An answer came over this link: who gets it.
    ///
    /// The way over that link stays open behind a first answer that says `pending`, until the decision; any other answer ends it. Ways
    /// over other links stay open for a moment: it is who asked that can tell a forged answer.
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
            let bit = open.bit(link).filter(|_| open.passed.target == responder);
            let over = if decision == Decision::Pending { open.done | open.pended } else { open.done };
            match bit {
                None => why = RelayReject::WrongResponder,
                Some(bit) if over & bit == 0 => _ = slots.push(open.slot),
                Some(_) => {}
            }
            slots.is_full()
        });
        if slots.is_empty() {
            return Err(why);
        }
        Ok(slots.into_iter().filter_map(|slot| self.answered(now, config, (slot, link), decision)).collect())
    }

    /// So many bytes went back on this way, which is still open.
    pub(super) fn charge(&mut self, slot: u32, len: usize) {
        if let Some(room) = self.open.at_mut(slot).and_then(|open| open.passed.room.as_mut()) {
            *room = room.saturating_sub(len);
        }
    }

    fn answered(
        &mut self,
        now: Instant,
        config: &RelayConfig,
        (slot, link): (u32, u64),
        decision: Decision,
    ) -> Option<Asker> {
        let open = self.open.at_mut(slot)?;
        let bit = open.bit(link)?;
        let disputed = (open.done | open.pended) & !bit != 0;
        let (state, ends) = match (decision, open.state) {
            (Decision::Pending, state) => {
                open.pended |= bit;
                // The first one says until when.
                let ends = if state == State::Pending { open.ends } else { now + config.decision_within };
                (State::Pending, ends)
            }
            (_, State::Waiting) => (State::Answered, now + config.patience),
            (_, state) => (state, open.ends),
        };
        if decision != Decision::Pending {
            open.done |= bit;
        }
        let (passed, before) = (open.passed, core::mem::replace(&mut open.state, state));
        open.ends = ends;
        let all = (1_u16 << open.to.len()) - 1;
        let shown = open.shown & bit != 0;
        let ended = u16::from(open.done) == all;
        if ended {
            open.state = before;
            self.close(slot);
        } else if before != state {
            self.patient.remove(&mut self.open, slot);
            self.unlist(slot, before);
            match state {
                State::Waiting => self.waiting.push_back(&mut self.open, slot),
                State::Pending => self.pending.push_back(&mut self.open, slot),
                State::Answered => self.answered.push_back(&mut self.open, slot),
            };
        }
        Some(Asker { passed, slot, disputed, shown, ended })
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

    /// Close one way back whose time is over, and give it back. `None` where there is none.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Passed> {
        let over = |slot: &u32| self.open.at(*slot).is_some_and(|open| open.ends <= now);
        let fronts = [self.waiting.front(), self.pending.front(), self.answered.front()];
        let slot = fronts.into_iter().flatten().find(over);
        slot.and_then(|slot| self.close(slot)).map(|open| open.passed)
    }

    /// When one of both has something to do next.
    pub(super) fn next_timeout(&self, config: &RelayConfig) -> Option<Instant> {
        let at = |slot: Option<u32>| slot.and_then(|slot| self.open.at(slot));
        let fronts = [self.waiting.front(), self.pending.front(), self.answered.front()];
        let ends = fronts.map(|front| at(front).map(|open| open.ends));
        let patience = at(self.patient.front()).map(|open| open.sent + config.patience);
        ends.into_iter().chain([patience]).flatten().min()
    }

    fn unlist(&mut self, slot: u32, state: State) {
        match state {
            State::Waiting => self.waiting.remove(&mut self.open, slot),
            State::Pending => self.pending.remove(&mut self.open, slot),
            State::Answered => self.answered.remove(&mut self.open, slot),
        };
    }

    fn close(&mut self, slot: u32) -> Option<Open> {
        let state = self.open.at(slot)?.state;
        self.unlist(slot, state);
        self.patient.remove(&mut self.open, slot);
        self.by_id.remove(&mut self.open, slot);
        let open = self.open.remove_at(slot)?;
        self.counts.take(open.passed.holder);
        if !open.passed.proven {
            self.strangers -= 1;
            self.by_link.take(open.passed.from.link);
        }
        Some(open)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder below 4,096")]
const fn place(hash: u64) -> usize {
    (hash % COUNTERS as u64) as usize
}
