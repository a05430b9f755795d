//! Requests of ours: from the ping to its answer.

use super::ids;
use super::ping::{Ping, PingError};
use super::requests::RequestId;
use super::{Node, State};
use crate::airlock::Rank;
use crate::framing::{Decision, Encoding, Frame, Message, Response};
use crate::limits::{BROADCAST, MAX_DID, MAX_INTENT, MAX_PACKET_ID};
use crate::time::{Instant, Now};
use crate::{Name, Path, Reject, Transmit, Unsent, check_did};

impl Node {
    /// Forget a request of ours: it does not run out of time, and an answer that still comes is turned away. Only an
    /// answer that came before and was not polled yet is still told. False when it had ended already.
    pub fn forget(&mut self, request: RequestId) -> bool {
        self.state.requests.remove(request).is_some()
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
        let timeout = ping.timeout.unwrap_or(self.config.request_timeout);
        self.state.ask(now, ping, now.mono + timeout)
    }
}

impl State {
    fn ask(&mut self, now: Now, ping: &Ping<'_>, deadline: Instant) -> Result<RequestId, PingError> {
        if self.requests.is_full() {
            return Err(PingError::TooManyRequests(self.requests.max()));
        }
        let key = self.outbox.key();
        let len = self.outbox.stage_packet(now, ping, key)?;
        let responder = (ping.target != BROADCAST).then(|| self.names.hash(ping.target.as_bytes()));
        let Some(id) = self.requests.insert(key, responder, ping.path, now.mono, deadline) else {
            return Err(PingError::TooManyRequests(self.requests.max()));
        };
        self.outbox.commit(ping.path, len);
        self.stats.requests = self.stats.requests.saturating_add(1);
        Ok(id)
    }

    /// A datagram of ours did not leave. If it was a ping, its request is over; of an answer there is nothing to be told.
    pub(super) fn unsent(&mut self, bytes: &[u8], why: Unsent) {
        self.stats.unsent = self.stats.unsent.saturating_add(1);
        let Ok(Frame { message: Message::Packet(packet), .. }) = Frame::decode(bytes) else { return };
        if let Some(key) = packet.packet_id.as_str().and_then(ids::packet_key) {
            self.requests.set_unsent(key, why);
        }
    }

    /// A response counts only from whom and where it was asked.
    pub(super) fn take_response(
        &mut self,
        now: Now,
        path: Path,
        bytes: &[u8],
        response: &Response<'_>,
    ) -> Result<(), Reject> {
        // Scratch is needed only where there are escapes.
        let key = match response.in_response_to.as_str() {
            Some(id) => ids::packet_key(id),
            None => response.in_response_to.resolve(&mut [0; MAX_PACKET_ID]).ok().and_then(ids::packet_key),
        };
        let key = key.ok_or(Reject::Unrequested)?;
        match response.responder_did.as_str() {
            Some(responder) => self.take_answer(now, path, bytes, response.decision, key, responder),
            None => {
                let mut scratch = [0; MAX_DID];
                let responder = response.responder_did.resolve(&mut scratch).map_err(|_| Reject::WrongResponder)?;
                self.take_answer(now, path, bytes, response.decision, key, responder)
            }
        }
    }

    /// The same, with its texts read: `key` is the random part of the packet id that it answers.
    fn take_answer(
        &mut self,
        now: Now,
        path: Path,
        bytes: &[u8],
        decision: Decision,
        key: u64,
        responder: &str,
    ) -> Result<(), Reject> {
        let (id, request) = self.requests.find(key).ok_or(Reject::Unrequested)?;
        let responder = self.names.name(responder);
        let named = match request.responder {
            Some(hash) => responder.hash() == hash,
            None => check_did(responder.as_str()).is_ok(),
        };
        if (!named || !request.path.same_remote(&path)) && !self.faults.any_responder() {
            return Err(Reject::WrongResponder);
        }
        let pending = decision == Decision::Pending;
        if pending && request.pending {
            // It was said before; the decision is what is missing.
            return Err(Reject::Unrequested);
        }
        let rtt = now.mono.saturating_since(request.sent);
        if !self.events.room_for_reply(bytes.len()) {
            return Err(Reject::Busy);
        }
        if pending {
            self.requests.set_pending(id, now.mono + self.decision_timeout);
        } else {
            self.requests.remove(id);
        }
        self.prove_peer(now, responder, path);
        // Room was found above.
        let _ = self.events.response(bytes, path, id, rtt, decision, !pending);
        Ok(())
    }

    /// Who answers a request is heard from, accepted, and proven to be where it was asked. No room to remember that is
    /// no reason to lose the answer.
    fn prove_peer(&mut self, now: Now, name: Name<'_>, path: Path) {
        let seat = self.peers.look_up_name(name);
        self.meet(now, seat, path, Rank::Proven);
        self.peers.prove(seat, path.remote);
        self.schedule_heartbeat(now.mono);
    }

    /// Write the heartbeat for one proven peer straight into the caller's buffer.
    pub(super) fn write_heartbeat(&mut self, now: Now, encoding: Encoding, out: &mut [u8]) -> Option<Transmit> {
        let peer = self.peers.next_proven()?;
        let len = self.outbox.write_heartbeat(now, peer.did(), encoding, out)?;
        Some(Transmit { path: peer.path(), len })
    }
}
