//! Reservations: who may count on a relay, for how long.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::config::RelayConfig;
use super::neighbours::Hop;
use crate::time::Instant;

/// Why a reservation was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReserveError {
    /// As many names hold one as may ([`RelayConfig::max_reservations`]).
    #[error("the relay has no reservation left")]
    Full,
    /// As many names at this IP address hold one as may ([`RelayConfig::max_reservations_per_address`]).
    #[error("too many names at this address hold a reservation")]
    AddressFull,
}

struct Reservation {
    did: u64,
    hop: Hop,
    until: Instant,
}

/// At most a hundred or so, in the order of their hashes.
pub(super) struct Reservations {
    held: Vec<Reservation>,
}

impl Reservations {
    pub(super) const fn new() -> Self {
        Self { held: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// The place of the one of this name, or where it would be.
    fn place(&self, did: u64) -> Result<usize, usize> {
        self.held.binary_search_by_key(&did, |held| held.did)
    }

    /// Where the holder of a reservation is.
    pub(super) fn find(&self, now: Instant, did: u64) -> Option<Hop> {
        let held = self.held.get(self.place(did).ok()?)?;
        (held.until > now).then_some(held.hop)
    }

    /// Give one, or renew it; until when it lasts.
    pub(super) fn reserve(
        &mut self,
        now: Instant,
        config: &RelayConfig,
        did: u64,
        hop: Hop,
    ) -> Result<Instant, ReserveError> {
        self.expire(now);
        let (ip, until) = (address(&hop), now + config.reservation_for);
        let others = self.held.iter().filter(|held| held.did != did && address(&held.hop) == ip).count();
        if others >= config.max_reservations_per_address {
            return Err(ReserveError::AddressFull);
        }
        let fresh = Reservation { did, hop, until };
        match self.place(did) {
            Ok(place) => {
                if let Some(held) = self.held.get_mut(place) {
                    *held = fresh;
                }
            }
            Err(place) if self.held.len() < config.max_reservations => self.held.insert(place, fresh),
            Err(_) => return Err(ReserveError::Full),
        }
        Ok(until)
    }

    /// Give one up. False where there is none.
    pub(super) fn release(&mut self, did: u64) -> bool {
        self.place(did).map(|place| self.held.remove(place)).is_ok()
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.held.retain(|held| held.until > now);
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.held.iter().map(|held| held.until).min()
    }
}

const fn address(hop: &Hop) -> IpAddr {
    hop.path.remote.ip().to_canonical()
}
