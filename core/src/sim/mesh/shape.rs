//! Who is whose neighbour in a mesh.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use super::super::rng::SimRng;
use super::super::{Name, Topology};

/// Neighbours of a relay, on average, foes aside.
const DEGREE: u32 = 4;
/// Nodes that are no relays and whose keys no relay knows.
pub(super) const GUESTS: u32 = 2;
/// So many relays at most ask and are asked.
const ENDPOINTS: u32 = 12;

/// What stands at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A relay that does as it should.
    Relay,
    /// A node that asks over relays.
    Guest,
    /// A relay that means harm.
    Foe,
}

/// Honest relays first, then guests, then foes: as numbers.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) relays: u32,
    pub(super) foes: u32,
    /// Of guests, over whom they ask.
    around: Vec<Vec<u32>>,
}

impl Shape {
    /// The honest relays reach each other without the foes.
    pub(super) fn new(relays: u32, foes: u32, rng: &mut SimRng) -> Self {
        let count = (relays + GUESTS + foes) as usize;
        let mut shape = Self { relays, foes, around: vec![Vec::new(); count] };
        for wire in (Topology::Random { degree: DEGREE }).wires(relays, rng) {
            shape.tie(wire.a, wire.b);
        }
        for guest in relays..relays + GUESTS {
            for _ in 0..2 {
                let over = rng.below(relays.into()) as u32;
                if !shape.around[guest as usize].contains(&over) {
                    shape.around[guest as usize].push(over);
                }
            }
        }
        for foe in shape.all_foes() {
            for _ in 0..rng.between(2, 4) {
                shape.tie(foe, rng.below(relays.into()) as u32);
            }
        }
        shape
    }

    /// Two are neighbours from now on.
    pub(super) fn tie(&mut self, a: u32, b: u32) {
        if a != b && !self.around[a as usize].contains(&b) {
            self.around[a as usize].push(b);
            self.around[b as usize].push(a);
        }
    }

    pub(super) fn part(&self, member: u32) -> Part {
        match member {
            n if n < self.relays => Part::Relay,
            n if n < self.relays + GUESTS => Part::Guest,
            _ => Part::Foe,
        }
    }

    pub(super) const fn all_foes(&self) -> core::ops::Range<u32> {
        let first = self.relays + GUESTS;
        first..first + self.foes
    }

    pub(super) const fn guests(&self) -> core::ops::Range<u32> {
        self.relays..self.relays + GUESTS
    }

    /// How many relays ask and are asked; everybody knows their keys.
    pub(super) fn endpoints(&self) -> u32 {
        self.relays.min(ENDPOINTS)
    }

    pub(super) fn around(&self, member: u32) -> &[u32] {
        &self.around[member as usize]
    }

    pub(super) fn did(&self, member: u32) -> alloc::string::String {
        match self.part(member) {
            Part::Guest => alloc::format!("jis:guest:{member}"),
            Part::Relay | Part::Foe => Name::of(member).as_str().into(),
        }
    }

    /// How many steps it is from each to this one, over those that are usable; `u32::MAX` where there is no way.
    pub(super) fn steps(&self, to: u32, usable: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut steps = vec![u32::MAX; self.around.len()];
        let mut next = VecDeque::from([to]);
        steps[to as usize] = 0;
        while let Some(at) = next.pop_front() {
            for other in self.around(at) {
                if steps[*other as usize] == u32::MAX && usable(*other) {
                    steps[*other as usize] = steps[at as usize] + 1;
                    next.push_back(*other);
                }
            }
        }
        for guest in self.guests() {
            let over = self.around(guest).iter().map(|over| steps[*over as usize]).min();
            steps[guest as usize] = over.unwrap_or(u32::MAX).saturating_add(1);
        }
        steps
    }
}
