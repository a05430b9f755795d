//! Reservations: a node that is to be reached over a relay tells it where it is, again and again; and what a relay does with that.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::RelayError;
use crate::framing::{Decision, Number, Response};
use crate::node::identity::FromSession;
use crate::node::ingress::Sender;
use crate::node::{Node, Ping, RequestId, Rooms};
use crate::time::{Duration, Instant, Now};
use crate::{Path, check_did};

/// The intent of a ping that asks a relay for a reservation.
pub const RESERVE: &str = "overlay.reserve";
/// What the payload of the answer says: for how many seconds.
const SECONDS: &str = "reserved_s";
/// At how many relays a node reserves.
const MAX_RELAYS: usize = 4;
/// How often a reservation is renewed at least: a relay that was started again has forgotten it.
const RENEW: Duration = Duration::from_secs(60);
/// How long after a failure it is tried again, twice as long each time; and the most.
const RETRY: [u64; 4] = [5, 10, 20, 60];
/// What is told and nobody took out, at most.
const MAX_NEWS: usize = 16;

/// What came of a reservation, where that is new.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reservation {
    /// The relay.
    pub relay: Box<str>,
    /// Where it is.
    pub path: Path,
    /// For how long it holds if it is not renewed; `None`: the relay gave none, or does not answer.
    pub lasts: Option<Duration>,
}

#[derive(Debug)]
struct Relay {
    did: Box<str>,
    path: Path,
    next: Instant,
    request: Option<RequestId>,
    failures: usize,
    /// What was told last.
    told: Option<bool>,
}

/// The relays over which this node is to be reached.
#[derive(Debug, Default)]
pub(in crate::node) struct Reserving {
    relays: Vec<Relay>,
    news: VecDeque<Box<Reservation>>,
}

impl Reserving {
    /// When something is to be asked.
    pub(in crate::node) fn deadline(&self) -> Option<Instant> {
        self.relays.iter().filter(|relay| relay.request.is_none()).map(|relay| relay.next).min()
    }

    pub(in crate::node) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    pub(in crate::node) fn pop_news(&mut self) -> Option<Box<Reservation>> {
        self.news.pop_front()
    }

    /// Whether a request asks for a reservation.
    pub(in crate::node) fn asks(&self, request: RequestId) -> bool {
        self.relays.iter().any(|relay| relay.request == Some(request))
    }

    /// A request ended, with a reservation or without. False where it was none of these.
    pub(in crate::node) fn settle(&mut self, now: Instant, request: RequestId, lasts: Option<Duration>) -> bool {
        let Some(at) = self.relays.iter().position(|relay| relay.request == Some(request)) else { return false };
        self.conclude(now, at, lasts);
        true
    }

    fn conclude(&mut self, now: Instant, at: usize, lasts: Option<Duration>) {
        let Some(relay) = self.relays.get_mut(at) else { return };
        relay.request = None;
        let wait = match lasts {
            Some(lasts) => {
                relay.failures = 0;
                (lasts / 2).clamp(Duration::from_secs(1), RENEW)
            }
            None => {
                let seconds = RETRY[relay.failures.min(RETRY.len() - 1)];
                relay.failures += 1;
                Duration::from_secs(seconds)
            }
        };
        relay.next = now + wait;
        if relay.told != Some(lasts.is_some()) && self.news.len() < MAX_NEWS {
            relay.told = Some(lasts.is_some());
            self.news.push_back(Box::new(Reservation { relay: relay.did.clone(), path: relay.path, lasts }));
        }
    }
}

impl Node {
    /// Have this relay pass pings for this node on to where it is, as long as both run: the relay is asked for a reservation through a session, again once a minute. Its key has to be pinned.
    /// [`Event::Reservation`](crate::node::Event::Reservation) tells what came of it. Naming it again changes its address.
    ///
    /// # Errors
    /// [`RelayError::Did`], [`RelayError::OwnName`], [`RelayError::NoSessions`], [`RelayError::TooManyRelays`].
    pub fn reserve_at(&mut self, now: Now, did: &str, path: Path) -> Result<(), RelayError> {
        check_did(did)?;
        if did == self.config.did.as_str() {
            return Err(RelayError::OwnName);
        }
        if self.rooms.links.is_none() {
            return Err(RelayError::NoSessions);
        }
        let reserving = self.rooms.reserving.get_or_insert_default();
        if let Some(relay) = reserving.relays.iter_mut().find(|relay| *relay.did == *did) {
            (relay.path, relay.next) = (path, now.mono);
        } else if reserving.relays.len() < MAX_RELAYS {
            let (did, next, request, failures, told) = (did.into(), now.mono, None, 0, None);
            reserving.relays.push(Relay { did, path, next, request, failures, told });
        } else {
            return Err(RelayError::TooManyRelays(MAX_RELAYS));
        }
        Ok(())
    }

    /// Ask for the reservations that are due.
    pub(in crate::node) fn ask_for_reservations(&mut self, now: Now) {
        let due = |relay: &Relay| relay.request.is_none() && relay.next <= now.mono;
        loop {
            let Some(reserving) = self.rooms.reserving.as_deref_mut() else { return };
            let Some(at) = reserving.relays.iter().position(due) else { return };
            let Some(relay) = reserving.relays.get(at) else { return };
            let (did, path) = (relay.did.clone(), relay.path);
            let mut ping = Ping::new(&did, path, RESERVE);
            ping.purpose = "To be reached over the relay";
            let asked = self.ask_in_session(now, &ping);
            let Some(reserving) = self.rooms.reserving.as_deref_mut() else { return };
            match (asked, reserving.relays.get_mut(at)) {
                (Some(request), Some(relay)) => relay.request = Some(request),
                _ => reserving.conclude(now.mono, at, None),
            }
        }
    }

    /// A ping that goes through a session or not at all.
    fn ask_in_session(&mut self, now: Now, ping: &Ping<'_>) -> Option<RequestId> {
        let pinned = self.policy.pins.get(ping.target).is_some_and(|pin| !pin.revoked);
        pinned.then(|| self.ping(now, ping).ok()).flatten()
    }
}

/// Whether a ping asks for a reservation.
pub(in crate::node) fn asks(sender: Sender<'_>) -> bool {
    sender.intent == RESERVE
}

/// For how long an answer says that there is one.
pub(in crate::node) fn lasts(response: &Response<'_>) -> Option<Duration> {
    match response.payload.get(SECONDS).and_then(|value| value.as_number()) {
        Some(Number::Int(seconds)) if response.decision == Decision::Accept && seconds > 0 => {
            Some(Duration::from_secs(seconds.unsigned_abs()))
        }
        _ => None,
    }
}

impl Rooms {
    /// Somebody who is let in asks for a reservation: what the answer says. Only who comes through a session, with the key that is pinned to him, has shown where he is.
    pub(in crate::node) fn reserve(
        &mut self,
        now: Now,
        sender: Sender<'_>,
        from: Option<(FromSession, Path)>,
    ) -> String {
        let shown = from.filter(|(session, path)| !session.early && path.circuit().is_none());
        let given = self
            .relaying
            .as_deref_mut()
            .zip(shown)
            .and_then(|(relaying, (_, path))| relaying.room_mut().reserve(now.mono, sender.did, path).ok());
        match given {
            Some(until) => format!("{{\"{SECONDS}\":{}}}", until.saturating_since(now.mono).as_secs()),
            None => "{}".into(),
        }
    }
}
