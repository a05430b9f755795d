//! Next hops that were learned from what came along, and are forgotten in time.

use super::neighbours::Hop;
use crate::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab};
use crate::time::{Duration, Instant};

/// How many next hops of one target are known at once.
pub(super) const WAYS: usize = 2;

struct ByTarget;
struct ByAge;

struct Route {
    target: u64,
    /// The better one first.
    ways: [Option<Learned>; WAYS],
    /// Until when none of them counts as sure.
    disputed: Option<Instant>,
    chain: Chain,
    link: Link,
}

impl Chained<ByTarget> for Route {
    fn chain(&self) -> &Chain {
        &self.chain
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }
}

impl Linked<ByAge> for Route {
    fn link(&self) -> &Link {
        &self.link
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

/// Where something for a target goes, and why we think so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Learned {
    pub(super) hop: Hop,
    /// Over how many relays, as far as is known.
    hops: u8,
    /// The target answered over this hop. Otherwise something came from it this way.
    answered: bool,
    /// A ping that went this way was not answered since.
    pub(super) doubted: bool,
    /// When it was learned or confirmed.
    at: Instant,
    until: Instant,
}

impl Learned {
    /// Whether it is known from hearsay only, and that says that so many relays are between.
    pub(super) const fn is_far(&self, relays: u8) -> bool {
        !self.answered && self.hops >= relays
    }

    /// Whether this is to take the place of what is known.
    const fn beats(&self, known: &Self) -> bool {
        if self.answered || known.answered { self.answered } else { known.doubted || self.hops < known.hops }
    }
}

/// The next hops of each target, which is known by a keyed hash.
pub(super) struct Routes {
    routes: Slab<Route, Heap>,
    by_target: Index<ByTarget, Heap>,
    by_age: List<ByAge>,
    lasts: Duration,
}

impl Routes {
    pub(super) fn new(capacity: usize, lasts: Duration) -> Self {
        Self { routes: Slab::new(capacity.max(1)), by_target: Index::new(), by_age: List::new(), lasts }
    }

    pub(super) fn len(&self) -> usize {
        self.routes.len()
    }

    fn slot(&self, target: u64) -> Option<u32> {
        self.by_target.find(&self.routes, target, |route| route.target == target)
    }

    /// What is known of the ways to a target, the better one first.
    pub(super) fn find(&self, now: Instant, target: u64) -> [Option<Learned>; WAYS] {
        let route = self.slot(target).and_then(|slot| self.routes.at(slot));
        let ways = route.map_or([None; WAYS], |route| route.ways);
        let disputed = route.and_then(|route| route.disputed).is_some_and(|until| until > now);
        let known = |way: Learned| (way.until > now).then_some(Learned { doubted: way.doubted || disputed, ..way });
        ways.map(|way| way.and_then(known))
    }

    /// Something came from a target over this hop, or an answer of it.
    ///
    /// Answers go before hearsay, later ones before earlier ones; of hearsay, fewer hops go before more.
    pub(super) fn learn(&mut self, now: Instant, target: u64, hop: Hop, hops: u8, answered: bool) {
        let mut fresh = Learned { hop, hops, answered, doubted: false, at: now, until: now + self.lasts };
        let Some(slot) = self.slot(target) else { return self.add(target, fresh) };
        let Some(Route { ways, .. }) = self.routes.at_mut(slot) else { return };
        ways.iter_mut().for_each(|way| *way = way.filter(|way| way.until > now));
        if let Some(same) = ways.iter_mut().flatten().find(|way| way.hop.link == hop.link) {
            // Hearsay neither weakens nor restores what answers told.
            fresh.answered |= same.answered;
            fresh.doubted = same.doubted && !answered;
            *same = fresh;
        } else {
            match ways {
                [_, free @ None] => *free = Some(fresh),
                [_, Some(worse)] if fresh.beats(worse) => *worse = fresh,
                [..] => return,
            }
        }
        match ways {
            [Some(first), Some(second)] if answered && second.at == now && second.hop.link == hop.link => {
                core::mem::swap(first, second);
            }
            [Some(first), Some(second)] if !second.answered && !first.answered && second.beats(first) => {
                core::mem::swap(first, second);
            }
            [first @ None, second] => core::mem::swap(first, second),
            [..] => {}
        }
        self.by_age.move_to_back(&mut self.routes, slot);
    }

    /// What was sent to a target at that time over this hop was not answered.
    pub(super) fn doubt(&mut self, target: u64, link: u64, sent: Instant) {
        let Some(route) = self.slot(target).and_then(|slot| self.routes.at_mut(slot)) else { return };
        let unanswered = |way: &&mut Learned| way.hop.link == link && way.at <= sent;
        route.ways.iter_mut().flatten().filter(unanswered).for_each(|way| way.doubted = true);
    }

    /// Two have answered in the name of a target: until then none of its ways counts as sure.
    pub(super) fn dispute(&mut self, target: u64, until: Instant) {
        if let Some(route) = self.slot(target).and_then(|slot| self.routes.at_mut(slot)) {
            route.disputed = Some(until);
        }
    }

    /// Forget a target.
    pub(super) fn forget(&mut self, target: u64) {
        if let Some(slot) = self.slot(target) {
            self.by_age.remove(&mut self.routes, slot);
            self.by_target.remove(&mut self.routes, slot);
            self.routes.remove_at(slot);
        }
    }

    fn add(&mut self, target: u64, learned: Learned) {
        if self.routes.is_full()
            && let Some(slot) = self.by_age.pop_front(&mut self.routes)
        {
            self.by_target.remove(&mut self.routes, slot);
            self.routes.remove_at(slot);
        }
        let ways = [Some(learned), None];
        let route = Route { target, ways, disputed: None, chain: Chain::default(), link: Link::default() };
        if let Ok(id) = self.routes.insert(route) {
            self.by_target.insert(&mut self.routes, id.slot(), target);
            self.by_age.push_back(&mut self.routes, id.slot());
        }
    }
}
