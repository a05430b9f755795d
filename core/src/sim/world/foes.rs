//! Adversaries at work.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::World;
use super::member::{Foe, Role};
use super::observe::same_packet;
use crate::sim::adversary::{AdversaryContext, Passage, Passing};
use crate::sim::agenda::Due;
use crate::sim::clock::EPOCH;
use crate::sim::link::{Lost, nanos};
use crate::sim::names::address;
use crate::sim::transit::Origin;
use crate::time::Duration;

impl World {
    /// Let an adversary act; nothing if there is none at this number.
    fn act<R>(&mut self, me: u32, act: impl FnOnce(&mut Foe, &mut World, &mut Step) -> R) -> Option<R> {
        let Role::Foe(place) = &mut self.members[me as usize].role else { return None };
        let mut foe = place.take()?;
        let mut step = Step { outbox: Vec::new(), wake: None };
        let out = act(&mut foe, self, &mut step);
        if let Role::Foe(place) = &mut self.members[me as usize].role {
            *place = Some(foe);
        }
        self.finish(me, step);
        Some(out)
    }

    /// Send what an adversary sends, and set its timer.
    fn finish(&mut self, me: u32, step: Step) {
        for injection in step.outbox {
            let at = self.now.saturating_add(nanos(injection.after));
            if let Some(witness) = &mut self.witness {
                let wall = EPOCH.saturating_add(Duration::from_nanos(at));
                witness.sent(wall, address(injection.from), address(injection.to), &injection.bytes);
            }
            match self.net.edge(injection.from, injection.to, None) {
                Some(edge) => self.net.inject(at, edge, &injection.bytes, injection.serial),
                None => {
                    self.net.counts.injected += 1;
                    self.net.counts.lose(Lost::NoRoute);
                }
            }
        }
        if let Some(after) = step.wake {
            let at = self.now.saturating_add(nanos(after).max(1));
            self.members[me as usize].armed = at;
            self.net.agenda.push(at, Due::Timer(me));
        }
    }

    /// A datagram comes past the adversaries on its path, those of its sender first; whether it goes on.
    pub(super) fn pass_taps(&mut self, datagram: u32, edge: u32) -> bool {
        let (from, to) = (self.net.from(edge), self.net.edges[edge as usize].to);
        for end in [from, to] {
            let mut place = self.taps.partition_point(|(victim, _)| *victim < end);
            while let Some((victim, tap)) = self.taps.get(place).copied()
                && victim == end
            {
                place += 1;
                // Its own datagrams it knows.
                if tap != from && tap != to && self.pass_tap(tap, datagram, (from, to)) == Some(Passage::Swallow) {
                    self.net.counts.lose(Lost::Swallowed);
                    self.net.post.free(datagram);
                    return false;
                }
            }
        }
        true
    }

    fn pass_tap(&mut self, tap: u32, datagram: u32, (from, to): (u32, u32)) -> Option<Passage> {
        self.act(tap, |foe, world, step| {
            let elapsed = Duration::from_nanos(world.now);
            let encoding = world.habits.encoding;
            let Some(on_the_way) = world.net.post.get_mut(datagram) else { return Passage::Go };
            let serial = on_the_way.origin.map_or(0, |o| o.serial);
            let before = on_the_way.bytes.clone();
            let mut passing = Passing { from, to, bytes: &mut on_the_way.bytes, serial };
            let passage = foe
                .adversary
                .pass(&mut step.context(tap, foe.victim, &foe.targets, elapsed, &mut foe.rng, encoding), &mut passing);
            if on_the_way.bytes != before {
                let serial = if same_packet(&before, &on_the_way.bytes) { serial } else { 0 };
                on_the_way.origin = Some(Origin { serial, genuine: false });
            }
            passage
        })
    }

    /// A datagram reaches an adversary's own address.
    pub(super) fn caught(&mut self, datagram: u32, from: u32, me: u32) {
        self.net.counts.caught += 1;
        let bytes: Box<[u8]> = self.net.post.get(datagram).map(|(bytes, ..)| bytes.into()).unwrap_or_default();
        self.net.post.free(datagram);
        self.act(me, |foe, world, step| {
            let (elapsed, encoding) = (Duration::from_nanos(world.now), world.habits.encoding);
            let mut context = step.context(me, foe.victim, &foe.targets, elapsed, &mut foe.rng, encoding);
            foe.adversary.receive(&mut context, from, &bytes);
        });
    }

    /// An adversary's timer.
    pub(super) fn foe_wakes(&mut self, me: u32) {
        self.act(me, |foe, world, step| {
            let (elapsed, encoding) = (Duration::from_nanos(world.now), world.habits.encoding);
            foe.adversary.wake(&mut step.context(me, foe.victim, &foe.targets, elapsed, &mut foe.rng, encoding));
        });
    }
}

/// What an adversary wants while it acts.
struct Step {
    outbox: Vec<crate::sim::adversary::Injection>,
    wake: Option<Duration>,
}

impl Step {
    fn context<'a>(
        &'a mut self,
        me: u32,
        victim: Option<u32>,
        targets: &'a [u32],
        elapsed: Duration,
        rng: &'a mut crate::sim::rng::SimRng,
        encoding: crate::framing::Encoding,
    ) -> AdversaryContext<'a> {
        AdversaryContext { me, victim, targets, elapsed, rng, encoding, outbox: &mut self.outbox, wake: &mut self.wake }
    }
}
