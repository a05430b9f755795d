//! A node on the local network: it calls, answers, and hears who is there.
//!
//! It gives [`discovery`](crate::discovery) the node's packets, keys and time. What it promises:
//!
//! * **Only beacons come from everybody**: what else is said to a group is turned away. A beacon passes the keys and the rules of the node before anything is remembered of it.
//! * **What is heard is a hint**: an address is that of a claim until it has answered a request of ours, and no trust comes of a beacon without a proven key, unless the operator
//!   takes its sender without one.
//! * **Nobody gets more than three times what he sent**, and not everybody answers ([`Neighbourhood`]).
//! * **Whoever leaves says so**, on every network.

mod calls;
mod config;
mod heard;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use self::config::MAX_LIST;
pub use self::config::{BeaconDecision, Called, Found, LanConfig, LanError, LanNews};
use super::{Node, Rooms};
use crate::discovery::{AutoVouch, AutoVouchError, Kind, Neighbour, Neighbourhood, RuleDraft};
use crate::time::{Instant, Now};
use crate::{Network, NetworkChange, Seed, SocketId, check_did};

/// How many networks there may be.
const MAX_NETWORKS: usize = 64;
/// How many calls name somebody who is sought.
const CALLS: u8 = 3;

/// The networks of a node, and what it does there.
#[derive(Default)]
pub(super) struct Lan {
    networks: Vec<Network>,
    rules: AutoVouch,
    /// Nothing where discovery is off.
    on: Option<Discovery>,
}

/// What discovery knows.
struct Discovery {
    config: LanConfig,
    hood: Neighbourhood,
    /// Who is sought, and how many calls are still to name it.
    sought: Vec<(Box<str>, u8)>,
    round: Round,
    /// When we called last.
    called: Option<Instant>,
    news: VecDeque<LanNews>,
    /// Beacons that were heard, those included that are of no concern.
    heard: u64,
    /// Where payloads are written.
    scratch: Vec<u8>,
}

/// A round of calls, which goes to every network and address.
#[derive(Clone, Copy, Debug)]
struct Round {
    kind: Kind,
    /// How many it still has to reach.
    left: usize,
}

impl Lan {
    /// Whether what comes through this socket was said to everybody.
    pub(super) fn is_of_network(&self, socket: SocketId) -> bool {
        socket != SocketId::MAIN && self.networks.iter().any(|network| network.socket == socket)
    }

    /// Whether beacons are listened to.
    pub(super) const fn is_on(&self) -> bool {
        self.on.is_some()
    }

    /// Beacons that were taken in.
    pub(super) fn heard(&self) -> u64 {
        self.on.as_ref().map_or(0, |on| on.heard)
    }

    /// How many a round of calls goes to.
    fn targets(&self) -> usize {
        self.networks.len() + self.on.as_ref().map_or(0, |on| on.config.addresses.len())
    }

    /// Begin a round of calls.
    fn begin(&mut self, kind: Kind) {
        let left = self.targets();
        if let Some(on) = &mut self.on {
            on.round = Round { kind, left };
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let Some(on) = &mut self.on else { return };
        if on.hood.poll_call(now) {
            let kind = if on.config.query { Kind::Query } else { Kind::Call };
            on.called = Some(now);
            self.begin(kind);
        }
    }

    /// The driver ends: say goodbye.
    pub(super) fn handle_stop(&mut self) {
        self.begin(Kind::Goodbye);
    }

    pub(super) fn handle_network(&mut self, now: Instant, change: NetworkChange) {
        match change {
            NetworkChange::Down(socket) => self.networks.retain(|network| network.socket != socket),
            NetworkChange::Up(network) => {
                self.networks.retain(|known| known.socket != network.socket);
                if self.networks.len() < MAX_NETWORKS {
                    self.networks.push(network);
                }
                // Whoever is there is called at once.
                self.on.iter_mut().for_each(|on| on.hood.call_now(now));
            }
        }
    }

    /// When this wants to be called again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.on.as_ref().map(|on| on.hood.next_timeout())
    }

    /// Whether something is to be sent.
    pub(super) fn has_output(&self, now: Instant) -> bool {
        self.on.as_ref().is_some_and(|on| on.round.left > 0 || on.hood.has_answer(now))
    }

    /// Whether something is to be told.
    pub(super) fn has_news(&self, now: Instant) -> bool {
        self.on.as_ref().is_some_and(|on| !on.news.is_empty() || on.hood.has_gone(now))
    }

    /// The oldest that is to be told.
    pub(super) fn pop_news(&mut self, now: Instant) -> Option<LanNews> {
        let on = self.on.as_mut()?;
        on.news.pop_front().or_else(|| on.hood.poll_gone(now).map(|(did, addr)| LanNews::Gone { did, addr }))
    }
}

impl core::fmt::Debug for Lan {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let hood = self.on.as_ref().map(|on| &on.hood);
        f.debug_struct("Lan").field("networks", &self.networks).field("hood", &hood).finish_non_exhaustive()
    }
}

impl Rooms {
    fn lan_mut(&mut self) -> &mut Lan {
        self.lan.get_or_insert_default()
    }

    fn discovery(&mut self) -> Result<&mut Discovery, LanError> {
        self.lan.as_mut().and_then(|lan| lan.on.as_mut()).ok_or(LanError::Off)
    }
}

/// Discovery on the local network.
impl Node {
    /// Take part in discovery on the networks that the driver [tells](crate::Datagrams::handle_network) of, from now on: a first call goes out at once. Told again it begins anew.
    ///
    /// # Errors
    /// [`LanError`]: what is wrong with the configuration.
    pub fn discover(&mut self, now: Now, config: &LanConfig) -> Result<(), LanError> {
        config.check()?;
        let mut seed = [0; 32];
        for part in seed.as_chunks_mut::<8>().0 {
            *part = self.rooms.outbox.key().to_le_bytes();
        }
        let rng = Seed::new(seed).fork("node.lan");
        let mut discovery = config.discovery.clone();
        if config.query {
            // Who answers is there to be found.
            discovery.max_answers = 0;
        }
        self.rooms.lan_mut().on = Some(Discovery {
            hood: Neighbourhood::new(now.mono, self.config.did.clone(), discovery, rng),
            config: config.clone(),
            sought: Vec::new(),
            round: Round { kind: Kind::Call, left: 0 },
            called: None,
            news: VecDeque::new(),
            heard: 0,
            scratch: Vec::new(),
        });
        Ok(())
    }

    /// Call for somebody by name, now and up to twice again: whoever bears the name answers. What comes of it is news, or [`neighbour`](Self::neighbour) knows already.
    ///
    /// # Errors
    /// [`LanError::Did`], [`LanError::TooMany`], [`LanError::Off`].
    pub fn seek(&mut self, now: Now, did: &str) -> Result<(), LanError> {
        check_did(did)?;
        let on = self.rooms.discovery()?;
        on.sought.retain(|(sought, _)| **sought != *did);
        if on.sought.len() >= MAX_LIST {
            return Err(LanError::TooMany { field: "sought", max: MAX_LIST });
        }
        on.sought.push((did.into(), CALLS));
        on.hood.call_now(now.mono);
        Ok(())
    }

    /// Let devices in that call and prove their key, where this rule holds and none before it; only with [`LanConfig::admits`].
    ///
    /// # Errors
    /// [`AutoVouchError`].
    pub fn add_auto_vouch(&mut self, rule: &RuleDraft<'_>) -> Result<(), AutoVouchError> {
        self.rooms.lan_mut().rules.add(rule)
    }

    /// Somebody on the local network.
    #[must_use]
    pub fn neighbour(&self, did: &str) -> Option<Neighbour<'_>> {
        self.rooms.lan.as_ref()?.on.as_ref()?.hood.get(did)
    }

    /// Everybody who is known on the local network, in no meaningful but a reproducible order.
    pub fn neighbours(&self) -> impl Iterator<Item = Neighbour<'_>> {
        self.rooms.lan.iter().flat_map(|lan| lan.on.iter()).flat_map(|on| on.hood.iter())
    }
}
