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

/// At most a hundred or so: they are looked through.
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

    /// Where the holder of a reservation is.
    pub(super) fn find(&self, now: Instant, did: u64) -> Option<Hop> {
        self.held.iter().find(|held| held.did == did && held.until > now).map(|held| held.hop)
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
        if let Some(held) = self.held.iter_mut().find(|held| held.did == did) {
            *held = fresh;
        } else if self.held.len() < config.max_reservations {
            self.held.push(fresh);
        } else {
            return Err(ReserveError::Full);
        }
        Ok(until)
    }

    /// Give one up. False where there is none.
    pub(super) fn release(&mut self, did: u64) -> bool {
        let place = self.held.iter().position(|held| held.did == did);
        place.map(|place| self.held.swap_remove(place)).is_some()
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
