//! Who is whose neighbour in a mesh.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use super::super::rng::SimRng;
use super::super::{Name, Topology};

/// How many there are of each, and how near to each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) relays: u32,
    /// Nodes that are no relays and whose keys no relay knows.
    pub(super) guests: u32,
    pub(super) foes: u32,
    /// How many relays ask and are asked, at most; everybody knows their keys.
    pub(super) endpoints: u32,
    /// Neighbours of a relay, on average, foes aside.
    pub(super) degree: u32,
    /// Each guest asks over one relay, that of its own number, and who has what number says nothing of its neighbours; else over up to two that are drawn, and the first have more neighbours
    /// than others.
    pub(super) at_home: bool,
}

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
    guests: u32,
    foes: u32,
    endpoints: u32,
    /// Of guests, over whom they ask.
    around: Vec<Vec<u32>>,
}

impl Shape {
    /// The honest relays reach each other without the foes.
    pub(super) fn new(size: Size, rng: &mut SimRng) -> Self {
        let Size { relays, guests, foes, endpoints, degree, at_home } = size;
        let around = vec![Vec::new(); (relays + guests + foes) as usize];
        let mut shape = Self { relays, guests, foes, endpoints: endpoints.min(relays), around };
        let mut places: Vec<u32> = (0..relays).collect();
        for place in (1..places.len()).filter(|_| at_home) {
            places.swap(place, rng.index(place + 1));
        }
        for wire in (Topology::Random { degree }).wires(relays, rng) {
            shape.tie(places[wire.a as usize], places[wire.b as usize]);
        }
        for guest in shape.guests() {
            for _ in 0..if at_home { 1 } else { 2 } {
                let over = if at_home { guest - relays } else { rng.below(relays.into()) as u32 };
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
            n if n < self.relays + self.guests => Part::Guest,
            _ => Part::Foe,
        }
    }

    pub(super) const fn all_foes(&self) -> core::ops::Range<u32> {
        let first = self.relays + self.guests;
        first..first + self.foes
    }

    pub(super) const fn guests(&self) -> core::ops::Range<u32> {
        self.relays..self.relays + self.guests
    }

    /// How many relays ask and are asked; everybody knows their keys.
    pub(super) const fn endpoints(&self) -> u32 {
        self.endpoints
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

    /// How many datagrams there are when something goes to everybody who is up: each gives it to all neighbours but the one that it came from.
    pub(super) fn flood(&self, up: impl Fn(u32) -> bool) -> u64 {
        let around = self.around.iter().zip(0..).filter(|(_, n)| up(*n)).map(|(around, _)| around.len() as u64);
        around.map(|neighbours| neighbours.saturating_sub(1)).sum()
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
