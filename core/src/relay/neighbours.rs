//! The few neighbours who pass things on, and which of them a ping is given to whose way nobody knows.

use alloc::vec::Vec;

use super::config::MAX_FANOUT;
use crate::Path;
use crate::time::Instant;

/// A next hop: where it is, the keyed hash of that address, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hop {
    pub(super) path: Path,
    pub(super) link: u64,
    /// Whether it was shown to be that of who was heard there.
    pub(super) shown: bool,
}

/// Next hops of one ping, all different.
pub(super) type Hops = heapless::Vec<Hop, MAX_FANOUT>;

struct Neighbour {
    did: u64,
    hop: Hop,
    /// From 0 to 65,535, best last.
    score: u16,
    /// It was found to be unreachable, and is not to be tried before that.
    down_until: Option<Instant>,
}

/// At most a few dozen: choosing looks at each.
pub(super) struct Neighbours {
    known: Vec<Neighbour>,
    most: usize,
}

impl Neighbours {
    pub(super) const fn new(most: usize) -> Self {
        Self { known: Vec::new(), most }
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Add a neighbour, or change what is known of it. False where there is no room and nobody has a lower score, who would
    /// have to go.
    pub(super) fn set(&mut self, did: u64, hop: Hop, score: f64) -> bool {
        let score = in_16_bits(score);
        if let Some(known) = self.known.iter_mut().find(|known| known.did == did) {
            if known.hop.link != hop.link {
                known.down_until = None;
            }
            (known.hop, known.score) = (hop, score);
            return true;
        }
        let fresh = Neighbour { did, hop, score, down_until: None };
        if self.known.len() < self.most {
            self.known.push(fresh);
            return true;
        }
        match self.known.iter_mut().min_by_key(|known| known.score) {
            Some(worst) if worst.score < score => *worst = fresh,
            _ => return false,
        }
        true
    }

    /// Whether one of them is at this address.
    pub(super) fn has(&self, link: u64) -> bool {
        self.known.iter().any(|known| known.hop.link == link)
    }

    pub(super) fn remove(&mut self, did: u64) -> bool {
        let place = self.known.iter().position(|known| known.did == did);
        place.map(|place| self.known.swap_remove(place)).is_some()
    }

    /// Do not choose who is at this address before then.
    pub(super) fn down(&mut self, link: u64, until: Instant) {
        let there = self.known.iter_mut().filter(|known| known.hop.link == link);
        there.for_each(|known| known.down_until = Some(until));
    }

    /// Something came from there.
    pub(super) fn up(&mut self, link: u64) {
        let there = self.known.iter_mut().filter(|known| known.hop.link == link);
        there.for_each(|known| known.down_until = None);
    }

    /// Add the neighbours with the best score for which `usable` holds, until there are so many hops. Of equals it depends on the
    /// flow, and on nothing that anybody outside could compute, who comes first.
    pub(super) fn choose(&self, now: Instant, flow: u64, most: usize, hops: &mut Hops, usable: impl Fn(u64) -> bool) {
        let most = most.min(MAX_FANOUT);
        let mut best: heapless::Vec<(u64, Hop), MAX_FANOUT> = heapless::Vec::new();
        let room = most.saturating_sub(hops.len());
        for Neighbour { hop, score, down_until, .. } in &self.known {
            let taken = hops.iter().any(|taken| taken.link == hop.link);
            if room == 0 || taken || down_until.is_some_and(|until| until > now) || !usable(hop.link) {
                continue;
            }
            let rank = u64::from(*score) << 48 | (flow ^ hop.link).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
            let at = best.partition_point(|(other, _)| *other >= rank);
            if at < room {
                if best.len() == room {
                    best.pop();
                }
                let _ = best.insert(at, (rank, *hop));
            }
        }
        hops.extend(best.into_iter().map(|(_, hop)| hop));
    }
}

/// A score from 0 to 1 in 16 bits; what is no number counts as 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range")]
fn in_16_bits(score: f64) -> u16 {
    (score.clamp(0.0, 1.0) * f64::from(u16::MAX)) as u16
}
