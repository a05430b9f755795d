//! Relays alone, under conditions that stay as they are: what counts is how many questions come to whom they are for, and how many datagrams that takes.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use super::shape::Size;
use super::{Mesh, asks, path};
use crate::sim::LanNodeError;
use crate::time::Duration;

/// How many relays are asked, and have a guest who asks.
const ENDPOINTS: u32 = 50;
/// Between two rounds of gossip, in nanoseconds: before what one teaches is forgotten.
const GOSSIP: u64 = 80_000_000_000;

/// What is wrong all the time in a mesh without foes.
///
/// Next hops are known as gossip of signed records would teach them ([`Relay::learn`](crate::relay::Relay::learn)), if [`gossip`](Self::gossip) says so; else only from what passes. Then some
/// relays go down at once, and stay so: ways over them were learned. Each question comes from a guest of a relay, and every try of it goes over that one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeshConditions {
    /// Probability that a datagram between relays is lost.
    pub loss: f64,
    /// Share of the relays that are down. Those that are asked, or have guests, are up.
    pub down: f64,
    /// Whether everybody hears of everybody who is asked, every 80 s.
    pub gossip: bool,
}

/// So many, of whom some ask and are asked.
pub(super) fn alone(relays: u32) -> Size {
    let endpoints = relays.min(ENDPOINTS);
    Size { relays, guests: endpoints, foes: 0, endpoints, degree: 8, at_home: true }
}

impl Mesh {
    /// Guests ask, for so long, until each question is answered or had its three tries.
    pub(super) fn endure(&mut self, span: Duration, conditions: MeshConditions) -> Result<(), LanNodeError> {
        let end = span.as_nanos() as u64;
        let mut gossips = 0;
        if conditions.gossip {
            self.gossip();
            gossips = GOSSIP;
        }
        self.loss = conditions.loss;
        self.take_down(conditions.down);
        while self.now < end && self.watch.violations.is_empty() {
            self.counts.steps += 1;
            if conditions.gossip && self.now >= gossips {
                self.gossip();
                gossips = self.now + GOSSIP;
            }
            self.ask(3, true);
            let more = self.rng.between(20, 80) * 1_000_000;
            self.run(self.now + more)?;
        }
        self.run(self.now + 3 * asks::WAIT)
    }

    /// This share of the relays, but for those that ask and are asked, is gone.
    fn take_down(&mut self, share: f64) {
        let (relays, first) = (self.shape.relays, self.shape.endpoints());
        let mut down: Vec<u32> = (first..relays).collect();
        let most = ((share * f64::from(relays)) as usize).min(down.len());
        for place in 0..most {
            let other = place + self.rng.index(down.len() - place);
            down.swap(place, other);
            let member = &mut self.members[down[place] as usize];
            (member.up, member.wake) = (false, None);
            self.counts.failures += 1;
        }
    }

    /// The record of everybody who is asked reaches everybody who is up, over the fewest hops.
    fn gossip(&mut self) {
        let now = self.clock().mono;
        for source in 0..self.shape.endpoints() {
            let did = self.shape.did(source);
            let mut reached = vec![false; self.shape.relays as usize];
            let mut next = VecDeque::from([(source, 0_u8)]);
            reached[source as usize] = true;
            while let Some((n, hops)) = next.pop_front() {
                for other in self.shape.around(n) {
                    if *other == source || !self.members[*other as usize].up {
                        continue;
                    }
                    self.members[*other as usize].node.hear_of(now, &did, path(n), hops);
                    if !core::mem::replace(&mut reached[*other as usize], true) {
                        next.push_back((*other, hops.saturating_add(1)));
                    }
                }
            }
        }
    }
}
