//! What the application asks for: pings of ours, and its word about those of others.

use super::circuits;
use super::event::{OpenId, Outcome, WaitId, Waiting};
use super::identity::Require;
use super::inbox::{Inbound, Verdict};
use super::links::Way;
use super::outbox::{Answer, NextHop};
use super::peers::Peers;
use super::ping::{AnswerError, Ping, PingError};
use super::{Node, RequestId, Rooms};
use crate::airlock::Rank;
use crate::framing::{Decision, Value};
use crate::limits::{BROADCAST, MAX_DID, MAX_INTENT};
use crate::time::{Duration, Now};
use crate::{Name, Path, check_did};

impl Node {
    /// Forget a request of ours: it does not run out of time, and an answer that still comes is turned away. Only an
    /// answer that came before and was not polled yet is still told. False when it had ended already.
    pub fn forget(&mut self, request: RequestId) -> bool {
        self.rooms.client.forget(request)
    }

    /// Send a ping and remember it until it is answered or runs out of time.
    ///
    /// Exactly one of these follows for it: an [`Event::Response`](super::Event::Response) with `last`, possibly after
    /// one without (a `pending` answer), or an [`Event::Timeout`](super::Event::Timeout).
    ///
    /// # Errors
    /// Why nothing was sent.
    pub fn ping(&mut self, now: Now, ping: &Ping<'_>) -> Result<RequestId, PingError> {
        check_did(ping.target)?;
        if ping.intent.len() > MAX_INTENT {
            return Err(PingError::Intent { len: ping.intent.len() });
        }
        if ping.path.remote.ip().to_canonical().is_unspecified() {
            return Err(PingError::Unspecified(ping.path.remote.ip()));
        }
        if ping.trace && !self.rooms.outbox.signs() {
            return Err(PingError::NoTraceKey);
        }
        let timeout = ping.timeout.unwrap_or(self.config.request_timeout);
        self.brief_sessions();
        let name = self.rooms.admission.name(ping.target);
        let pinned = self.policy.pins.get_name(name).is_some()
            || self.policy.require >= Require::Signed
            || self.policy.believes_first(ping.target);
        // A session has one other side.
        let to = Some(name).filter(|_| ping.target != BROADCAST);
        if let Some(relay) = ping.via {
            check_did(relay)?;
            return self.ping_over(now, ping, (relay, timeout), pinned);
        }
        let (way, key) = self.rooms.way(now, &self.policy, ping, to.is_some());
        let asked = match (way, to) {
            (Way::Elsewhere, _) => return Err(PingError::NoSession),
            (Way::Plain, _) | (_, None) => self.rooms.ask(now, ping, (NextHop::Direct(ping.path), timeout), pinned),
            (Way::Session(id, path), _) => self.rooms.ask(now, ping, (NextHop::Session(id, path), timeout), pinned),
            (Way::Wait(_) | Way::Connect, Some(to)) => {
                match self.rooms.ask_later(now, (ping, to, key), (way, ping.path), timeout) {
                    // Where it may go without a session it does.
                    Err(PingError::Session(_)) if self.rooms.may_go_plain(to, ping.intent) => {
                        self.rooms.ask(now, ping, (NextHop::Direct(ping.path), timeout), pinned)
                    }
                    asked => asked,
                }
            }
        };
        self.follow_sessions();
        asked
    }

    /// Answer a ping that was accepted with [`Reply::Later`](super::Reply::Later).
    ///
    /// # Errors
    /// Why nothing was sent; the ping stays open. [`AnswerError::Rood`] if it would be turned away by now.
    pub fn respond(&mut self, now: Now, id: OpenId, payload: Value<'_>) -> Result<(), AnswerError> {
        let ping = self.rooms.inbox.opened(id).ok_or(AnswerError::Gone)?;
        if !self.rooms.admission.still_passes((&self.policy, self.rooms.overlay.as_deref()), now, ping) {
            return Err(AnswerError::Rood);
        }
        self.rooms.respond(now, id, payload)
    }

    /// Let a waiting ping in: its sender gets a second response, `accept`, with what the reply rules say.
    ///
    /// The [beacon](super::LanNews::Beacon) of a device is let in, too: its key is pinned and it is trusted; it is told nothing, and its next ping is accepted.
    ///
    /// With [`Reply::Later`](super::Reply::Later) the ping becomes open instead, and the id under which to
    /// [`respond`](Self::respond) is returned.
    ///
    /// # Errors
    /// Why nothing happened; the ping goes on waiting. [`AnswerError::Rood`] if it would be turned away by now. Room for the answer of the reply rules that held when the ping came
    /// was set aside, so this happens only when they have changed since or a queue is full.
    pub fn approve(&mut self, now: Now, id: WaitId) -> Result<Option<OpenId>, AnswerError> {
        let waiting = self.rooms.inbox.waiting(id).ok_or(AnswerError::Gone)?;
        if waiting.is_beacon() {
            return self.approve_beacon(now, id);
        }
        // Who may not even wait by now does not get in by having waited.
        if !self.rooms.admission.still_passes((&self.policy, self.rooms.overlay.as_deref()), now, waiting) {
            return Err(AnswerError::Rood);
        }
        if let Some((relay, label)) = self.rooms.circuit_of(waiting) {
            let did = heapless::String::<MAX_DID>::try_from(waiting.did()).unwrap_or_default();
            let known = self.policy.speaks(now.wall, self.rooms.admission.name(&did));
            let place = self.rooms.has_place_for_circuit(&did, known);
            self.rooms.accept_waiting(now, id, circuits::answer(place))?;
            if place {
                self.rooms.end_circuit(now.mono, (label, &did), known, relay);
            }
            return Ok(None);
        }
        match self.policy.replies.find(waiting.intent(), waiting.encoding()) {
            Some(payload) => self.rooms.accept_waiting(now, id, payload).map(|()| None),
            None => self.rooms.open_waiting(now, id).map(Some),
        }
    }

    /// Turn a waiting ping away. It stops waiting in any case; its sender gets a second response, `reject`, if that finds
    /// room ([`Decided::answered`](super::Decided::answered)) and it would not be turned away as ROOD by now.
    ///
    /// # Errors
    /// [`AnswerError::Gone`]: it did not wait any more.
    pub fn reject(&mut self, now: Now, id: WaitId) -> Result<(), AnswerError> {
        if self.rooms.inbox.waiting(id).is_some_and(Inbound::is_beacon) {
            return self.reject_beacon(now, id);
        }
        let judges = (&self.policy, self.rooms.overlay.as_deref());
        let waiting = self.rooms.inbox.waiting(id).ok_or(AnswerError::Gone)?;
        let answer = self.rooms.admission.still_passes(judges, now, waiting);
        self.rooms.reject(now, id, answer)
    }

    /// Every ping that waits for a decision, the one that came first in front.
    pub fn waiting(&self) -> impl Iterator<Item = Waiting<'_>> {
        let circuits = self.rooms.circuits.as_deref();
        self.rooms.inbox.list().map(move |ping| Waiting { from: circuits::shown(circuits, ping.from), ..ping })
    }

    /// The ping that waits under this [number](WaitId::number).
    #[must_use]
    pub fn waiting_number(&self, number: u64) -> Option<Waiting<'_>> {
        self.waiting().find(|ping| ping.id.number() == number)
    }
}

impl Rooms {
    pub(super) fn ask(
        &mut self,
        now: Now,
        ping: &Ping<'_>,
        (hop, timeout): (NextHop, Duration),
        pinned: bool,
    ) -> Result<RequestId, PingError> {
        let full = PingError::TooManyRequests(self.client.max());
        if self.client.is_full() {
            return Err(full);
        }
        let (key, deadline) = (self.outbox.key(), now.mono + timeout);
        let (mut len, digest) = self.outbox.stage_packet(now, ping, (hop.wrap(), key), pinned)?;
        // Through a session it goes over nobody.
        let traced =
            if ping.trace && !hop.is_session() { self.outbox.stage_trace(now, ping.path, &mut len) } else { None };
        let responder = (ping.target != BROADCAST).then(|| self.admission.name(ping.target).hash());
        let how = (ping.path, hop.is_session(), digest);
        let id = self.client.insert(key, responder, how, now.mono, deadline).ok_or(full)?;
        self.outbox.commit_ping(hop, id, len);
        if ping.via.is_some() {
            self.client.note_relayed(id);
        }
        if let Some(asked) = traced {
            self.traces.get_or_insert_default().note_asked(&self.client, id, asked);
        }
        Ok(id)
    }

    /// Whether a ping to this name may go without a session.
    pub(super) fn may_go_plain(&self, name: Name<'_>, intent: &str) -> bool {
        self.links.as_ref().is_none_or(|links| links.may_go_plain(name, intent))
    }

    fn respond(&mut self, now: Now, id: OpenId, payload: Value<'_>) -> Result<(), AnswerError> {
        let Self { inbox, peers, outbox, links, .. } = self;
        let ping = inbox.opened(id).ok_or(AnswerError::Gone)?;
        let hop = Self::hop_to(links.as_deref_mut(), now, ping)?;
        let how = (hop, is_proven(peers, ping));
        let len = outbox.stage(now, &Answer::to(ping, how, Decision::Accept, payload))?;
        let (path, left) = (ping.path(), ping.allowance().saturating_sub(len));
        outbox.commit(hop, len);
        inbox.take_open(id);
        self.credit_path(hop, path, left);
        Ok(())
    }

    /// Write the decision about a waiting ping behind the send queue.
    fn stage_decision(
        &mut self,
        now: Now,
        id: WaitId,
        decision: Decision,
        payload: Value<'_>,
    ) -> Result<(NextHop, usize), AnswerError> {
        let Self { inbox, peers, outbox, links, .. } = self;
        let ping = inbox.waiting(id).ok_or(AnswerError::Gone)?;
        let hop = Self::hop_to(links.as_deref_mut(), now, ping)?;
        let len = outbox.stage(now, &Answer::to(ping, (hop, is_proven(peers, ping)), decision, payload))?;
        Ok((hop, len))
    }

    /// Take a ping out that waits for a decision, and free the room that is reserved for telling of it.
    pub(super) fn take_waiting(&mut self, id: WaitId, verdict: Verdict) -> Result<Inbound, AnswerError> {
        let ping = self.inbox.take_waiting(id, verdict).ok_or(AnswerError::Gone)?;
        self.events.release(ping.text_bytes());
        Ok(ping)
    }

    fn reject(&mut self, now: Now, id: WaitId, answer: bool) -> Result<(), AnswerError> {
        let staged = match answer {
            true => self.stage_decision(now, id, Decision::Reject, Value::EMPTY_OBJECT),
            false => Err(AnswerError::Rood),
        };
        let ping = self.take_waiting(id, Verdict::Refused)?;
        if let Ok((hop, len)) = staged {
            self.outbox.commit(hop, len);
            self.credit_path(hop, ping.path(), ping.allowance().saturating_sub(len));
        }
        let from = self.shown(ping.path());
        // Room was reserved when it began to wait.
        let _ = self.events.decided(now.mono, (id, from), &ping, Outcome::Rejected, staged.is_ok(), None);
        Ok(())
    }

    /// Answer a waiting ping: it is accepted.
    fn accept_waiting(&mut self, now: Now, id: WaitId, payload: Value<'_>) -> Result<(), AnswerError> {
        let (hop, len) = self.stage_decision(now, id, Decision::Accept, payload)?;
        let ping = self.take_waiting(id, Verdict::Approved)?;
        self.outbox.commit(hop, len);
        self.credit_path(hop, ping.path(), ping.allowance().saturating_sub(len));
        let from = self.shown(ping.path());
        let _ = self.events.decided(now.mono, (id, from), &ping, Outcome::Approved, true, None);
        self.approved(now, ping.did(), ping.path());
        Ok(())
    }

    /// Move a waiting ping to the open ones.
    fn open_waiting(&mut self, now: Now, id: WaitId) -> Result<OpenId, AnswerError> {
        let ping = self.inbox.waiting(id).ok_or(AnswerError::Gone)?;
        if !self.inbox.can_open(ping) {
            return Err(AnswerError::QueueFull);
        }
        let ping = self.take_waiting(id, Verdict::Approved)?;
        let (did, path) = (heapless::String::<MAX_DID>::try_from(ping.did()).unwrap_or_default(), ping.path());
        let open = self.inbox.open(now.mono, ping).ok_or(AnswerError::QueueFull)?;
        let from = self.shown(path);
        if let Some(ping) = self.inbox.opened(open) {
            let _ = self.events.decided(now.mono, (id, from), ping, Outcome::Approved, false, Some(open));
        }
        self.approved(now, &did, path);
        Ok(open)
    }

    /// Only now is the sender of a waiting ping accepted, and so a peer. What is known of it already is newer than the ping.
    fn approved(&mut self, now: Now, did: &str, path: Path) {
        let seat = self.peers.look_up(did);
        if !seat.is_known() && path.circuit().is_none() {
            self.meet(now, seat, path, Rank::Stranger);
        }
    }
}

/// Whether a ping came from the proven address of its sender.
fn is_proven(peers: &Peers, ping: &Inbound) -> bool {
    peers.is_proven(peers.look_up(ping.did()), ping.path().remote)
}
