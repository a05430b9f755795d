//! Requests of ours: whom they were asked, and how each ends once.

use alloc::vec::Vec;

use super::event::Event;
use super::faults::Faults;
use super::heap::DeadlineHeap;
use super::outbox::packet_key;
use crate::framing::{Decision, Digest, Frame, Message, Response};
use crate::limits::{MAX_DID, MAX_PACKET_ID};
use crate::table::{Chain, Chained, Heap, Index, Slab, SlotId};
use crate::time::{Duration, Instant};
use crate::{Name, Path, Reject, Unsent, check_did};

/// Names a request of ours; what [`Node::ping`](super::Node::ping) returns. Never names another request later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub(super) SlotId);

impl RequestId {
    /// From the bits in a recording.
    #[cfg(feature = "record")]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(SlotId::from_bits(bits))
    }

    /// As a recording writes it.
    #[cfg(feature = "record")]
    pub(crate) const fn to_bits(self) -> u64 {
        self.0.to_bits()
    }

    /// A small number, below [`Caps::requests`](super::Caps::requests), that no other request has as long as this one waits:
    /// an application can keep its own data about requests in a `Vec`. It is free again once the last answer has come in, so
    /// take the events before you ask anew.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.0.slot()
    }
}

/// A request that waits for its answer, or after a `pending` answer for the decision.
#[derive(Debug)]
struct Request {
    /// The random part of its packet id.
    key: u64,
    /// Keyed hash of the only DID that may answer; `None` for a broadcast target.
    responder: Option<u64>,
    /// The only address that may answer, unless it was asked in a session.
    path: Path,
    /// It was asked in a session, and only a session may bring its answer.
    sealed: bool,
    /// It was asked over a relay, who is at that address.
    relayed: bool,
    /// When it was made.
    sent: Instant,
    /// A `pending` answer has come.
    pending: bool,
    /// Its ping did not leave: it is over, and that is to be told.
    unsent: Option<Unsent>,
    by_key: Chain,
}

#[derive(Debug)]
struct Key;

impl Chained<Key> for Request {
    fn chain(&self) -> &Chain {
        &self.by_key
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_key
    }
}

/// The requests, found by packet id and ordered by deadline.
#[derive(Debug)]
pub(super) struct Client {
    slab: Slab<Request, Heap>,
    keys: Index<Key, Heap>,
    deadlines: DeadlineHeap,
    /// What signed answers are bound to, by the slot of their request: empty as long as nobody signs.
    digests: Vec<Option<Digest>>,
    decision_timeout: Duration,
    made: u64,
    timeouts: u64,
    /// Nothing, outside of a simulation.
    faults: Faults,
}

/// An answer that counts, to be taken in with [`Client::conclude`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Match {
    pub(super) request: RequestId,
    pub(super) rtt: Duration,
    pub(super) decision: Decision,
    /// It came over a relay: who gave it is somewhere else.
    pub(super) relayed: bool,
}

impl Match {
    /// Whether it ends the request.
    pub(super) fn is_last(&self) -> bool {
        self.decision != Decision::Pending
    }
}

/// What an answer says it is: the random part of the packet id that it answers, and in whose name.
#[derive(Clone, Copy)]
pub(super) struct Claimed<'a> {
    pub(super) key: u64,
    pub(super) responder: &'a str,
}

impl<'a> Claimed<'a> {
    /// Read it out of a response, with `scratch` for a name that holds escapes.
    pub(super) fn read(response: &'a Response<'a>, scratch: &'a mut [u8; MAX_DID]) -> Result<Self, Reject> {
        // Scratch is needed only where there are escapes.
        let key = match response.in_response_to.as_str() {
            Some(id) => packet_key(id),
            None => response.in_response_to.resolve(&mut [0; MAX_PACKET_ID]).ok().and_then(packet_key),
        };
        let key = key.ok_or(Reject::Unrequested)?;
        let responder = match response.responder_did.as_str() {
            Some(responder) => responder,
            None => response.responder_did.resolve(scratch).map_err(|_| Reject::WrongResponder)?,
        };
        Ok(Self { key, responder })
    }
}

impl Client {
    /// Nobody was asked yet. At most `max` requests are open at a time; after a `pending` answer one stays open for
    /// `decision_timeout`.
    pub(super) fn new(max: u32, decision_timeout: Duration, faults: Faults) -> Self {
        Self {
            slab: Slab::new(max as usize),
            keys: Index::new(),
            deadlines: DeadlineHeap::default(),
            digests: Vec::new(),
            decision_timeout,
            made: 0,
            timeouts: 0,
            faults,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.slab.is_full()
    }

    /// How many there can be.
    pub(super) fn max(&self) -> u32 {
        u32::try_from(self.slab.capacity()).unwrap_or(u32::MAX)
    }

    /// Requests that were made, and those that ran out of time.
    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.made, self.timeouts)
    }

    /// Add a request; `None` when the table is full. `key` must be random: it is its own hash. `responder` is the hash of the only
    /// name that may answer.
    pub(super) fn insert(
        &mut self,
        key: u64,
        responder: Option<u64>,
        (path, sealed, digest): (Path, bool, Option<Digest>),
        sent: Instant,
        deadline: Instant,
    ) -> Option<RequestId> {
        let (relayed, pending, unsent, by_key) = (false, false, None, Chain::default());
        let request = Request { key, responder, path, sealed, relayed, sent, pending, unsent, by_key };
        let id = self.slab.insert(request).ok()?;
        self.bind(id.slot(), digest);
        self.keys.insert(&mut self.slab, id.slot(), key);
        self.deadlines.set(id.slot(), deadline);
        self.made = self.made.saturating_add(1);
        Some(RequestId(id))
    }

    /// Keep what signed answers to a request are bound to.
    fn bind(&mut self, slot: u32, digest: Option<Digest>) {
        let at = slot as usize;
        if digest.is_some() && self.digests.len() <= at {
            self.digests.resize(at + 1, None);
        }
        if let Some(place) = self.digests.get_mut(at) {
            *place = digest;
        }
    }

    /// Whether something is asked of the name with this hash. Looks at every request.
    pub(super) fn asks(&self, name: u64) -> bool {
        self.slab.iter().any(|(_, request)| request.responder == Some(name) && request.unsent.is_none())
    }

    /// Whether a request is still open.
    pub(super) fn is_open(&self, id: RequestId) -> bool {
        self.slab.get(id.0).is_some_and(|request| request.unsent.is_none())
    }

    /// A request was asked over a relay.
    pub(super) fn note_relayed(&mut self, id: RequestId) {
        if let Some(request) = self.slab.get_mut(id.0) {
            request.relayed = true;
        }
    }

    /// A request that was to be asked in a session is asked without one: from now on a signed answer counts, from where it is asked.
    pub(super) fn unseal(&mut self, id: RequestId, digest: Digest) {
        if let Some(request) = self.slab.get_mut(id.0) {
            request.sealed = false;
            self.bind(id.0.slot(), Some(digest));
        }
    }

    /// Whether a request with this key was asked at this address, and is open.
    pub(super) fn awaits(&self, key: u64, path: Path) -> Result<(), Reject> {
        let slot = self.keys.find(&self.slab, key, |request| request.key == key).ok_or(Reject::Unrequested)?;
        let here = self.slab.at(slot).is_some_and(|request| request.path.same_remote(&path));
        if here { Ok(()) } else { Err(Reject::WrongResponder) }
    }

    /// Whether this answer counts: it comes from whom and where (or, as the request, through a `session`) it was asked, and says something new. Changes nothing.
    pub(super) fn check(
        &self,
        now: Instant,
        (path, session): (Path, bool),
        key: u64,
        responder: Name<'_>,
        decision: Decision,
    ) -> Result<Match, Reject> {
        let slot = self.keys.find(&self.slab, key, |r| r.key == key).ok_or(Reject::Unrequested)?;
        let (Some(id), Some(request)) = (self.slab.id_at(slot), self.slab.at(slot)) else {
            return Err(Reject::Unrequested);
        };
        let named = match request.responder {
            Some(hash) => responder.hash() == hash,
            None => check_did(responder.as_str()).is_ok(),
        };
        let placed = if request.sealed { session } else { request.path.same_remote(&path) };
        if (!named || !placed) && !self.faults.any_responder() {
            return Err(Reject::WrongResponder);
        }
        if decision == Decision::Pending && request.pending {
            // It was said before; the decision is what is missing.
            return Err(Reject::Unrequested);
        }
        let (rtt, relayed) = (now.saturating_since(request.sent), request.relayed);
        Ok(Match { request: RequestId(id), rtt, decision, relayed })
    }

    /// What a signed answer to this request is bound to, if that was kept.
    pub(super) fn digest(&self, id: RequestId) -> Option<&Digest> {
        self.slab.get(id.0)?;
        self.digests.get(id.0.slot() as usize)?.as_ref()
    }

    /// Take an answer in: it ends its request, or keeps it open for the decision.
    pub(super) fn conclude(&mut self, now: Instant, answer: Match) {
        if answer.is_last() {
            self.remove(answer.request);
        } else if let Some(request) = self.slab.get_mut(answer.request.0) {
            request.pending = true;
            self.deadlines.set(answer.request.0.slot(), now + self.decision_timeout);
        }
    }

    /// A datagram of ours did not leave. If it was a ping, its request is over; of an answer there is nothing to be told.
    pub(super) fn unsent(&mut self, frame: &[u8], why: Unsent) {
        let Ok(Frame { message: Message::Packet(packet), .. }) = Frame::decode(frame) else { return };
        let Some(key) = packet.packet_id.as_str().and_then(packet_key) else { return };
        let found = self.keys.find(&self.slab, key, |r| r.key == key).and_then(|slot| self.slab.id_at(slot));
        if let Some(id) = found {
            self.request_unsent(RequestId(id), why);
        }
    }

    /// The ping of a request did not leave: it is over.
    pub(super) fn request_unsent(&mut self, id: RequestId, why: Unsent) {
        if let Some(request) = self.slab.get_mut(id.0) {
            request.unsent = Some(why);
            self.deadlines.set(id.0.slot(), Instant::ZERO);
        }
    }

    /// Forget a request; false when it has ended.
    pub(super) fn forget(&mut self, id: RequestId) -> bool {
        self.remove(id).is_some()
    }

    fn remove(&mut self, id: RequestId) -> Option<Request> {
        self.slab.get(id.0)?;
        self.keys.remove(&mut self.slab, id.0.slot());
        self.deadlines.remove(id.0.slot());
        self.slab.remove(id.0)
    }

    /// When the first request runs out of time.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| at)
    }

    /// Whether any has run out of time.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|at| at <= now)
    }

    /// Tell of the request that ran out of time first, if any has by `now`, and forget it.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Event<'static>> {
        let (at, slot) = self.deadlines.first()?;
        if at > now {
            return None;
        }
        let request = RequestId(self.slab.id_at(slot)?);
        let was = self.remove(request)?;
        if let Some(why) = was.unsent {
            return Some(Event::Unsent { request, why });
        }
        self.timeouts = self.timeouts.saturating_add(1);
        Some(Event::Timeout { request, pending: was.pending })
    }

    /// See [`Node::touch`](super::Node::touch).
    #[cfg(feature = "sim")]
    #[inline]
    pub(super) fn touch(&self, level: u32) -> u64 {
        match level {
            0 => (self.slab.len() ^ self.keys.len()) as u64,
            1 => self.deadline().map_or(0, Instant::as_nanos),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Client, Match};
    use crate::framing::Decision;
    use crate::node::faults::Faults;
    use crate::node::{Event, RequestId};
    use crate::time::{Duration, Instant};
    use crate::{Path, Reject, Seed, SipKey};

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn path(last: u8) -> Path {
        Path::to(([192, 0, 2, last], 7150).into())
    }

    fn asked(client: &mut Client, names: &SipKey, key: u64) -> RequestId {
        client.insert(key, Some(names.name("jis:a").hash()), (path(1), false, None), at(0), at(10)).unwrap()
    }

    #[test]
    fn an_answer_counts_once_and_only_from_whom_and_where_it_was_asked() {
        let names = Seed::from_u64(1).fork("test").sip_key();
        let mut client = Client::new(2, Duration::from_secs(300), Faults::default());
        let request = asked(&mut client, &names, 7);
        let check = |client: &Client, from, key, name, decision| {
            client
                .check(at(1), (path(from), false), key, names.name(name), decision)
                .map(|Match { request, .. }| request)
        };
        assert_eq!(check(&client, 1, 8, "jis:a", Decision::Accept), Err(Reject::Unrequested));
        assert_eq!(check(&client, 2, 7, "jis:a", Decision::Accept), Err(Reject::WrongResponder));
        assert_eq!(check(&client, 1, 7, "jis:b", Decision::Accept), Err(Reject::WrongResponder));
        let pending = client.check(at(1), (path(1), false), 7, names.name("jis:a"), Decision::Pending).unwrap();
        client.conclude(at(1), pending);
        assert_eq!(check(&client, 1, 7, "jis:a", Decision::Pending), Err(Reject::Unrequested), "said before");
        assert_eq!(client.deadline(), Some(at(301)));
        assert_eq!(check(&client, 1, 7, "jis:a", Decision::Reject), Ok(request));
        let last = client.check(at(2), (path(1), false), 7, names.name("jis:a"), Decision::Accept).unwrap();
        assert!(last.is_last() && last.rtt == Duration::from_secs(2));
        client.conclude(at(2), last);
        assert_eq!(check(&client, 1, 7, "jis:a", Decision::Accept), Err(Reject::Unrequested));
        assert!(!client.forget(request) && client.len() == 0 && client.deadline().is_none());
    }

    #[test]
    fn every_request_ends_in_time() {
        let names = Seed::from_u64(1).fork("test").sip_key();
        let mut client = Client::new(2, Duration::from_secs(300), Faults::default());
        let first = asked(&mut client, &names, 1);
        asked(&mut client, &names, 2);
        assert!(client.is_full() && client.insert(3, None, (path(1), false, None), at(0), at(10)).is_none());
        assert!(client.expire(at(9)).is_none() && !client.is_due(at(9)));
        let ended = client.expire(at(10));
        assert!(matches!(ended, Some(Event::Timeout { request, pending: false }) if request == first));
        assert!(client.expire(at(10)).is_some() && client.expire(at(10)).is_none());
        assert_eq!(client.counts(), (2, 2));
    }
}
