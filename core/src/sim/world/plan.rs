//! What the plan says: partitions, crashes, clocks.

use super::config::{Part, Plan};
use super::member::{Doing, Role};
use super::report::Invariant;
use super::{World, WorldError};
use crate::sim::link::nanos;
use crate::sim::names::Name;

impl World {
    /// Carry out one line of the plan.
    pub(super) fn carry_out(&mut self, line: u32) {
        let Some(step) = self.plan.get(line as usize).copied() else { return };
        self.net.trace.note(self.now, u64::from(line) << 48);
        match step {
            Plan::Cut { number, who } => self.cut(number, who),
            Plan::Mend { number } => {
                for side in &mut self.net.sides {
                    *side &= !bit(number);
                }
            }
            Plan::Crash { node } => self.crash(node),
            Plan::Start { node } => {
                self.crash(node);
                if let Err(error) = self.start(node) {
                    self.observer.object(self.now, node, Invariant::World, alloc::format!("{error}"));
                }
            }
            Plan::StepWall { node, micros } => {
                if let Some(member) = self.members.get_mut(node as usize) {
                    member.clock.step_wall(micros);
                }
            }
            Plan::Quiet => self.quiet = true,
        }
    }

    fn cut(&mut self, number: u8, who: Part) {
        for (n, side) in (0..).zip(&mut self.net.sides) {
            let off = match who {
                Part::Range(from, to) => (from..to).contains(&n),
                Part::OneIn(count) => self.net.rng.below(u64::from(count.max(1))) == 0,
            };
            if off {
                *side |= bit(number);
            }
        }
    }

    /// A node stops: all that it knew is gone, but what has reached its store.
    fn crash(&mut self, n: u32) {
        if n >= self.nodes {
            return;
        }
        let member = &mut self.members[n as usize];
        member.crash();
        for edge in self.net.edges_of(n) {
            let edge = &mut self.net.edges[edge as usize];
            (edge.proven, edge.asked, edge.heard, edge.lied) = (false, false, false, false);
            edge.speaks = false;
            (edge.got, edge.gave) = (0, 0);
        }
    }

    /// A node starts with a fresh seed, and with what its store has.
    fn start(&mut self, n: u32) -> Result<(), WorldError> {
        if n >= self.nodes {
            return Err(WorldError::NoMember(n));
        }
        let clock = &mut self.members[n as usize].clock;
        clock.restart(self.now);
        let now = clock.now(self.now);
        let node = self.born(n, now)?;
        for edge in self.net.edges_of(n) {
            // Once it is kept that there was a session, it holds for every life.
            let edge = &mut self.net.edges[edge as usize];
            edge.speaks = node.pins().get(Name::of(edge.to).as_str()).is_some_and(|pin| pin.session);
        }
        self.members[n as usize].role = Role::Node(node);
        self.testify(n);
        self.begin(n);
        Ok(())
    }

    /// A node's application begins.
    pub(super) fn begin(&mut self, n: u32) {
        let start = nanos(self.habits.start).max(1);
        if self.habits.greet {
            if self.members[n as usize].askable > 0 {
                let after = self.rng.below(start);
                let first = self.net.edges_of(n).start;
                self.later(n, after, Doing::Greet(first));
            }
            return;
        }
        for _ in 0..self.habits.in_flight {
            let after = self.rng.below(start);
            self.later(n, after, Doing::Ask);
        }
    }
}

const fn bit(number: u8) -> u8 {
    1 << (number % 8)
}
