//! From an answer to the request that it answers.

use alloc::vec;

use super::client::{Claimed, Match};
use super::event::Auth;
use super::events::PROOF;
use super::identity::{self, Identity, Require};
use super::ingress::Ingress;
use super::outbox::packet_key;
use super::policy::Policy;
use super::receive::{KEY, Taken};
use super::relay::{self, Own};
use super::{Node, RequestId, Rooms};
use crate::airlock::Rank;
use crate::framing::{Frame, Message, Packet, Response};
use crate::identity::PublicKey;
use crate::limits::{HEADER_LEN, MAX_DID, MAX_PACKET_ID, MAX_PAYLOAD};
use crate::pins::Origin;
use crate::relay::{peek_answered, unpack_answer};
use crate::time::Now;
use crate::{Name, Path, Reject};

impl Node {
    /// An answer that came as a ping, over relays that pass no answers back: it is judged as any answer, and the ping around it says nothing more.
    ///
    /// Nobody has judged its sender, so it is looked at in place first: unpacked is only what answers an open request, and came from where that was asked.
    pub(super) fn take_carried(
        &mut self,
        now: Now,
        ingress: &Ingress<'_>,
        packet: &Packet<'_>,
    ) -> Result<Taken, Reject> {
        let answered = peek_answered(packet.payload).ok_or(Reject::Malformed)?;
        let mut scratch = [0; MAX_PACKET_ID];
        let key = answered.resolve(&mut scratch).ok().and_then(packet_key).ok_or(Reject::Unrequested)?;
        self.rooms.client.awaits(key, ingress.path)?;
        let mut bytes = vec![0; HEADER_LEN + MAX_PAYLOAD];
        let len = unpack_answer(packet.payload, &mut bytes).ok_or(Reject::Malformed)?;
        let bytes = bytes.get(..len).unwrap_or_default();
        let frame = &Frame::decode(bytes)?;
        let Message::Response(response) = &frame.message else { return Err(Reject::Malformed) };
        self.take_answer(now, &Ingress { path: ingress.path, session: None, frame, bytes }, response)
    }

    pub(super) fn take_answer(
        &mut self,
        now: Now,
        ingress: &Ingress<'_>,
        response: &Response<'_>,
    ) -> Result<Taken, Reject> {
        let mut scratch = [0; MAX_DID];
        let claimed = Claimed::read(response, &mut scratch)?;
        let may_pin = self.policy.believes_first(claimed.responder) && self.may_pin_first(now, claimed.responder);
        let mut heard = self.rooms.take_response(now, &self.policy, (ingress, response), claimed, may_pin)?;
        if let Heard::FirstUse(key) = heard {
            self.pin_first(now, claimed.responder, key);
            heard = self.rooms.take_response(now, &self.policy, (ingress, response), claimed, false)?;
        }
        match heard {
            Heard::Taken(taken) => Ok(taken),
            Heard::Reservation(request) => {
                let (now, lasts) = (now.mono, relay::lasts(response));
                let settled = self.rooms.reserving.as_mut().map(|reserving| reserving.settle(now, request, lasts));
                settled.map_or(Err(Reject::Unrequested), |_| Ok(Taken::Response))
            }
            Heard::Circuit(request) => {
                self.circuit_answered(now, (request, ingress.path), response);
                Ok(Taken::Response)
            }
            Heard::Overlay(request, auth) => {
                self.take_overlay_answer(now, (request, ingress.path, auth), response);
                Ok(Taken::Response)
            }
            // Nobody asked for it.
            Heard::FirstUse(_) => Err(Reject::Busy),
        }
    }

    /// Whether there is room for all that pinning the first key of this name takes. Where nothing can be written, nothing is pinned.
    pub(super) fn may_pin_first(&mut self, now: Now, did: &str) -> bool {
        let Rooms { admission, storing, events, .. } = &mut self.rooms;
        admission.may_pin_first(now.mono, false)
            && storing.has_room()
            && !storing.is_failing(now.mono)
            && events.room_for_notices(1, KEY + did.len())
    }

    /// Pin the first key of a name; where the table is full it stays without.
    pub(super) fn pin_first(&mut self, now: Now, did: &str, key: PublicKey) {
        if let Ok(keeping) = self.pin(now, did, key, Origin::FirstUse)
            && self.rooms.admission.may_pin_first(now.mono, true)
        {
            // Room was found before.
            let _ = self.rooms.events.pinned(did, key, keeping);
        }
    }
}

/// What became of an answer.
enum Heard {
    Taken(Taken),
    /// It answers a request of the overlay.
    Overlay(RequestId, Auth),
    /// It answers one that asks for a circuit.
    Circuit(RequestId),
    /// It answers one that asks for a reservation.
    Reservation(RequestId),
    /// This key is the first that signed under the name, and is to be pinned; nothing has changed.
    FirstUse(PublicKey),
}

impl Rooms {
    /// A response counts only from whom and where it was asked.
    fn take_response(
        &mut self,
        now: Now,
        policy: &Policy,
        (ingress, response): (&Ingress<'_>, &Response<'_>),
        Claimed { key, responder }: Claimed<'_>,
        may_pin: bool,
    ) -> Result<Heard, Reject> {
        let Self { client, admission, events, storing, overlay, circuits, reserving, .. } = self;
        let (responder, path) = (admission.name(responder), ingress.path);
        let answer = client.check(now.mono, (path, ingress.session.is_some()), key, responder, response.decision)?;
        let untold = self.traces.as_ref().is_some_and(|traces| traces.is_full_for(answer.request));
        if untold || !events.room_for_reply(ingress.bytes.len() + PROOF) {
            return Err(Reject::Busy);
        }
        let digest = client.digest(answer.request);
        let said = (response, ingress.frame.encoding, ingress.session);
        let circuit = circuits.as_ref().is_some_and(|circuits| circuits.asked(answer.request).is_some());
        let require = if circuit { policy.require.min(Require::Signed) } else { policy.require };
        let auth = match identity::verify_answer(&policy.pins, responder, said, digest, require) {
            Ok(auth) => auth,
            Err(why) => {
                overlay.iter_mut().for_each(|overlay| overlay.doubt(answer.request));
                self.read_trace(policy, (ingress, response), (&answer, responder, false));
                return Err(why);
            }
        };
        if let (true, Some(key), None) = (may_pin, auth.key(), policy.pins.get_name(responder)) {
            return Ok(Heard::FirstUse(key));
        }
        if storing.is_new(responder.as_str()) {
            let held = storing.hold(ingress);
            return if held { Ok(Heard::Taken(Taken::Held)) } else { Err(Reject::Busy) };
        }
        if circuit {
            if auth.key().is_none() {
                return Err(Reject::BadSignature);
            }
            client.conclude(now.mono, answer);
            return Ok(Heard::Circuit(answer.request));
        }
        if reserving.as_ref().is_some_and(|reserving| reserving.asks(answer.request)) {
            client.conclude(now.mono, answer);
            if !answer.is_last() {
                client.forget(answer.request);
            }
            return Ok(Heard::Reservation(answer.request));
        }
        let taken = overlay.as_deref_mut().and_then(|overlay| overlay.takes(answer.request, responder, auth, policy));
        if taken == Some(false) {
            return Err(if auth.key().is_some() { Reject::Unpinned } else { Reject::BadSignature });
        }
        client.conclude(now.mono, answer);
        if taken.is_some() {
            return Ok(Heard::Overlay(answer.request, auth));
        }
        if !answer.relayed && path.circuit().is_none() {
            self.prove_peer(now, responder, path);
        }
        self.read_trace(policy, (ingress, response), (&answer, responder, true));
        let path = self.shown(path);
        // Room was found above.
        let _ = self.events.response(ingress.bytes, (path, auth), &answer);
        Ok(Heard::Taken(Taken::Response))
    }

    /// Read the trace of an answer, whether it counts or not.
    fn read_trace(
        &mut self,
        policy: &Policy,
        said: (&Ingress<'_>, &Response<'_>),
        (answer, responder, believed): (&Match, Name<'_>, bool),
    ) {
        let faults = self.admission.faults_of_relays();
        let own = Own { did: self.outbox.did(), key: self.outbox.identity().map(Identity::public), faults };
        if let Some(traces) = self.traces.as_deref_mut() {
            traces.read_answer((policy, own), said, (answer, responder.as_str(), believed));
        }
    }

    /// Who answers a request is heard from, accepted, and proven to be where it was asked. No room to remember that is
    /// no reason to lose the answer.
    pub(super) fn prove_peer(&mut self, now: Now, name: Name<'_>, path: Path) {
        let seat = self.peers.look_up_name(name);
        self.meet(now, seat, path, Rank::Proven);
        self.peers.prove(seat, path.remote);
        self.timers.plan_heartbeats(now.mono);
    }

    /// A name has shown at this address that it has its key.
    pub(super) fn prove_named(&mut self, now: Now, did: &str, path: Path) {
        let name = self.admission.names().clone();
        self.prove_peer(now, name.name(did), path);
    }
}
