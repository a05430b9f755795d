//! An address translator between two segments, whose mappings expire and are given to others.

use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddr};

use crate::time::{Duration, Instant};

/// The first of the ports that it gives out.
const FIRST: u16 = 20_000;

/// Who is inside sends as the translator's address, each from a port of its own as long as it goes on sending. Whoever is outside reaches it there until then.
#[derive(Debug)]
pub(super) struct Nat {
    pub(super) inside: u16,
    pub(super) outside: u16,
    pub(super) address: Ipv4Addr,
    life: Duration,
    /// Who has a port, and when it sent last.
    mappings: Vec<(Ipv4Addr, Instant)>,
    /// Where the next free one is looked for: an address that was left is somebody else's only later.
    next: usize,
}

impl Nat {
    pub(super) const fn new(inside: u16, outside: u16, address: Ipv4Addr, life: Duration) -> Self {
        Self { inside, outside, address, life, mappings: Vec::new(), next: 0 }
    }

    fn is_live(&self, at: usize, now: Instant) -> bool {
        self.mappings.get(at).is_some_and(|(_, since)| now.saturating_since(*since) < self.life)
    }

    /// As whom somebody inside sends now.
    pub(super) fn out(&mut self, from: Ipv4Addr, now: Instant) -> SocketAddr {
        let own = (0..self.mappings.len())
            .find(|at| self.is_live(*at, now) && self.mappings.get(*at).is_some_and(|(who, _)| *who == from));
        let len = self.mappings.len();
        let at = own.unwrap_or_else(|| {
            // Ports that nobody uses any more are given out again, in turn.
            let free = (self.next..len).chain(0..self.next.min(len)).find(|at| !self.is_live(*at, now));
            let at = free.unwrap_or(len);
            self.next = at + 1;
            at
        });
        match self.mappings.get_mut(at) {
            Some(mapping) => *mapping = (from, now),
            None => self.mappings.push((from, now)),
        }
        SocketAddr::from((self.address, FIRST + at as u16))
    }

    /// Who is reached at a port of the translator now.
    pub(super) fn reach(&self, port: u16, now: Instant) -> Option<Ipv4Addr> {
        let at = usize::from(port.checked_sub(FIRST)?);
        if !self.is_live(at, now) {
            return None;
        }
        self.mappings.get(at).map(|(who, _)| *who)
    }
}
