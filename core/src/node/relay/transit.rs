//! What goes through: pings for somebody else, their answers, and packets of circuits.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::Relaying;
use super::news::{Tampering, TraceNews};
use super::traces::{self, MAX_TRACE, digest_of, digest_of_response};
use crate::airlock::Rank;
use crate::framing::{Decision, Frame, Message, Packet, Response, Zone};
use crate::identity::Signer;
use crate::limits::{HEADER_LEN, MAX_DID, MAX_PAYLOAD};
use crate::node::admission::{Bound, Passed};
use crate::node::identity::Budget;
use crate::node::inbox::AMPLIFICATION;
use crate::node::ingress::{Ingress, Scratch, Texts};
use crate::node::outbox::{NextHop, Outbox};
use crate::node::receive::Taken;
use crate::node::{Node, Rooms};
use crate::relay::trace::{Deed, Field, MARK, Trace};
use crate::relay::{
    ANSWER_INTENT, Back, CircuitPacket, MAX_FANOUT, RelayReject, Transit, peek_answered, unpack_answer,
};
use crate::time::Now;
use crate::{Path, Reject};

/// Bytes that a packet may grow by when it is passed on: a record of ours, with the longest name. Escapes that it came without are not counted here.
const GROWTH: usize = 3 * MAX_DID;

impl Node {
    /// Whether a datagram is a packet of a circuit, for a relay to pass on.
    pub(in crate::node) fn is_of_circuit(&self, bytes: &[u8]) -> bool {
        self.rooms.relaying.is_some() && CircuitPacket::is_one(bytes)
    }

    /// Pass on a packet of a circuit, unread.
    pub(in crate::node) fn carry(&mut self, now: Now, path: Path, bytes: &mut [u8]) -> Result<Taken, Reject> {
        let Rooms { relaying, outbox, .. } = &mut self.rooms;
        let relaying = relaying.as_deref_mut().ok_or(Reject::Header)?;
        if !outbox.signs() {
            return Err(relaying.relay.refuse(RelayReject::Keyless).into());
        }
        if !outbox.has_room_for(1, bytes.len()) {
            return Err(Reject::Busy);
        }
        let to = relaying.relay.carry(now.mono, path, bytes)?;
        outbox.push(to, &[bytes]).then_some(Taken::Forwarded).ok_or(Reject::Busy)
    }

    /// Pass on a ping for somebody else, if this node is a relay.
    pub(in crate::node) fn take_transit(
        &mut self,
        now: Now,
        ingress: &Ingress<'_>,
        packet: &Packet<'_>,
    ) -> Result<Taken, Reject> {
        // What came through a circuit goes on to nobody: an answer could not go back that way.
        if self.rooms.relaying.is_none() || ingress.path.circuit().is_some() {
            return Err(Reject::NotForUs);
        }
        if packet.intent == *ANSWER_INTENT
            && let Some(taken) = self.pass_back_carried(now, ingress, packet)
        {
            return taken;
        }
        self.rooms.refuse_keyless(packet.proof.is_some() || Trace::split(ingress.bytes).1.is_some())?;
        if self.policy.doubts_vouches() {
            self.refresh_vouches(now);
        }
        let (mut scratch, mut target) = (Scratch::new(), [0; MAX_DID]);
        let texts = Texts::read(packet, &mut scratch)?;
        let target = packet.target_did.resolve(&mut target).map_err(|_| Reject::Malformed)?;
        let Self { policy, rooms, .. } = self;
        let Rooms { admission, peers, outbox, overlay, relaying, traces, .. } = rooms;
        let relaying = relaying.as_deref_mut().ok_or(Reject::NotForUs)?;
        // Copies come from every neighbour, and foes make more; and who is let in may send too much. That uses up none of the signatures that are verified.
        if packet.proof.is_some()
            && let Err(why) = relaying.relay.check_unverified(now.mono, packet, ingress.path)
        {
            return Err(relaying.relay.refuse(why).into());
        }
        let judges = (&*policy, &*peers, overlay.as_deref());
        // Judged as a ping for us, and not remembered: the relay itself knows what it has passed on.
        let allowed = relaying.sources.allows(texts.sender.did);
        let reserve = relaying.reserve(now, ingress, packet)?;
        let bound = Bound::Elsewhere { unknown_too: allowed, reserve };
        let passed = match admission.check(judges, outbox.did(), now, (ingress, packet), (texts, bound)) {
            Err(why @ Reject::BadSignature) => {
                relaying.relay.charge_link(now.mono, ingress.path);
                return Err(why);
            }
            passed => passed?,
        };
        let Passed { sender, judged, auth, rank, .. } = passed;
        let pinned = policy.pins.get(sender.did).is_some();
        if !outbox.has_room_for(MAX_FANOUT, MAX_FANOUT * (ingress.bytes.len() + GROWTH)) {
            return Err(Reject::Busy);
        }
        // Whose key does not speak any more, or who is kept out by now, is not where he said.
        if relaying.relay.is_reserved(now.mono, target) && !policy.speaks(now.wall, admission.name(target)) {
            relaying.relay.release(target);
        }
        let device = overlay.as_deref().and_then(|overlay| overlay.endpoint(target, now.wall));
        let peer = peers.get(now.mono, target);
        let transit = Transit {
            packet,
            from: ingress.path,
            zone: if allowed { Zone::Groen } else { judged.zone },
            proven: auth.key().is_some() && pinned,
            // Nobody has more sent to an address than to his own; where neighbours are the operator says.
            room: match rank {
                Rank::Stranger | Rank::Trusted if ingress.session.is_none() && !relaying.knows(&ingress.path) => {
                    Some(ingress.bytes.len() * AMPLIFICATION)
                }
                _ => None,
            },
            len: ingress.bytes.len(),
            peer: peer.map(crate::node::Peer::path),
            peer_proven: peer.is_some_and(crate::node::Peer::is_proven),
            recorded: relaying.neighbours.get(target).copied().or(device),
        };
        let forward = relaying.relay.forward(now.mono, &transit)?;
        let certain = policy.is_certain(sender.did, ingress.session.as_ref()).then_some(sender.did);
        let mut records = [0; MAX_TRACE];
        let room = (&mut records, &mut relaying.scratch);
        let (trailer, culprit) = passed_on(now, outbox, (ingress, packet), certain, room);
        if culprit {
            let news = TraceNews::of_neighbour(sender.did, sender.packet_id, ingress.path);
            traces.get_or_insert_default().tell(news);
        }
        let packet = Packet { hop_count: forward.hop_count(), ..*packet };
        let mut sent = false;
        for (n, path) in forward.to().iter().enumerate() {
            let to = (*path, forward.room(n).unwrap_or(usize::MAX));
            let mut len = outbox.pass_on(to, &packet, ingress.frame.encoding, trailer);
            if len.is_none() && forward.room(n).is_some() {
                // Without a record of ours, for which there is no room.
                len = outbox.pass_on(to, &packet, ingress.frame.encoding, as_it_came(ingress));
            }
            if let Some(len) = len {
                relaying.relay.sent_on(&forward, n, len);
                sent = true;
            }
        }
        // What came in fewer bytes than it takes in ours, and is too long so.
        if sent { Ok(Taken::Forwarded) } else { Err(Reject::TooLong) }
    }

    /// Pass an answer back, if this node is a relay and it answers what was passed on.
    pub(in crate::node) fn pass_back(
        &mut self,
        now: Now,
        ingress: &Ingress<'_>,
        response: &Response<'_>,
    ) -> Result<Taken, Reject> {
        // Who answers signs, if he can, whatever he was asked with; a trace begins with the question.
        self.rooms.refuse_keyless(Trace::split(ingress.bytes).1.is_some())?;
        let back = self.rooms.way_back(now, ingress, response)?;
        let Self { policy, rooms, .. } = self;
        let Rooms { outbox, relaying, .. } = rooms;
        let relaying = relaying.as_deref_mut().ok_or(Reject::Unrequested)?;
        let (frame, trace) = Trace::split(ingress.bytes);
        let is_certain = |did: &&str| policy.is_certain(did, ingress.session.as_ref());
        let certain = response.responder_did.as_str().filter(is_certain);
        let mut records = [0; MAX_TRACE];
        let traced = trace.zip(outbox.identity()).and_then(|(trace, identity)| {
            let digest = digest_of_response(response, frame.len(), &mut relaying.scratch)?;
            let deed = Deed::Passed { received: &digest, passed: &digest, hop_count: None, from: certain };
            let (who, signs) = ((outbox.did(), now.wall), (identity.signer() as &dyn Signer, frame.len()));
            traces::extend(Some(trace), who, &deed, signs, &mut records)
        });
        let as_it_came = ingress.bytes.get(frame.len()..).filter(|_| trace.is_some()).unwrap_or_default();
        let trailer = traced.and_then(|(len, _)| records.get(..len)).unwrap_or(as_it_came);
        let keeps = if response.decision == Decision::Pending { frame.len() } else { 0 };
        self.rooms.send_back(&back, (frame, trailer), keeps)
    }

    /// An answer in a ping, since a reference relay is on the way: it goes back as it is, if it answers what was passed on. `None` where it does not: then it is a ping as any other.
    fn pass_back_carried(
        &mut self,
        now: Now,
        ingress: &Ingress<'_>,
        packet: &Packet<'_>,
    ) -> Option<Result<Taken, Reject>> {
        let answered = peek_answered(packet.payload)?;
        if !self.rooms.relaying.as_deref()?.relay.awaits(now.mono, answered) {
            return None;
        }
        let mut bytes = vec![0; HEADER_LEN + MAX_PAYLOAD];
        let len = unpack_answer(packet.payload, &mut bytes)?;
        let frame = Frame::decode(bytes.get(..len)?).ok()?;
        let Message::Response(response) = &frame.message else { return None };
        if let Err(why) = self.rooms.check_hops(packet) {
            return Some(Err(why));
        }
        let back = match self.rooms.way_back(now, ingress, response) {
            Ok(back) => back,
            Err(Reject::Unrequested | Reject::WrongResponder) => return None,
            Err(why) => return Some(Err(why)),
        };
        let packet = Packet { hop_count: packet.hop_count.saturating_add(1), ..*packet };
        let mut sent = None;
        for (n, path) in back.to().iter().enumerate() {
            let most = back.room(n).unwrap_or(usize::MAX);
            sent = sent.max(self.rooms.outbox.pass_on((*path, most), &packet, ingress.frame.encoding, &[]));
        }
        if let (Some(len), Some(relaying)) = (sent, &mut self.rooms.relaying) {
            relaying.relay.sent_back(&back, len);
        }
        Some(if sent.is_some() { Ok(Taken::Forwarded) } else { Err(Reject::TooLong) })
    }
}

impl Relaying {
    /// How many signatures may be verified for who sent this, if all that are for anybody are used up: none, but for neighbours. An address whose signatures do not hold uses up the quota of
    /// its link by them, so that it is not asked for ever what they say.
    fn reserve(
        &mut self,
        now: Now,
        ingress: &Ingress<'_>,
        packet: &Packet<'_>,
    ) -> Result<Option<&mut Budget<1>>, Reject> {
        if packet.proof.is_none() {
            return Ok(None);
        }
        if !self.relay.has_link_room(now.mono, ingress.path) {
            return Err(self.relay.refuse(RelayReject::LinkQuota).into());
        }
        let near = self.relay.is_near(ingress.path);
        Ok(near.then_some(&mut self.verifications))
    }
}

impl Rooms {
    /// Of three times what came from somewhere no answer takes so many bytes: so many of pings for others may go there, if this node is a relay.
    pub(in crate::node) fn credit(&mut self, ingress: &Ingress<'_>, bytes: usize) {
        if ingress.session.is_none() {
            self.credit_path(NextHop::Direct(ingress.path), ingress.path, bytes);
        }
    }

    /// The same for what was kept, and has been answered over this hop.
    pub(in crate::node) fn credit_path(&mut self, hop: NextHop, path: Path, bytes: usize) {
        if let Some(relaying) = self.relaying.as_deref_mut().filter(|_| !hop.is_session()) {
            relaying.relay.credit(path, bytes);
        }
    }

    /// A relay that could sign nothing itself passes on legacy packets only: what is signed or traced goes over relays that can be held to what they did.
    fn refuse_keyless(&mut self, needs_key: bool) -> Result<(), Reject> {
        match self.relaying.as_deref_mut() {
            Some(relaying) if needs_key && !self.outbox.signs() => {
                Err(relaying.relay.refuse(RelayReject::Keyless).into())
            }
            _ => Ok(()),
        }
    }

    /// Whether a ping that carries an answer may go one hop further.
    fn check_hops(&mut self, packet: &Packet<'_>) -> Result<(), Reject> {
        let relaying = self.relaying.as_deref_mut().ok_or(Reject::NotForUs)?;
        Ok(relaying.relay.check_hops(packet).map(|_| ()).map_err(|why| relaying.relay.refuse(why))?)
    }

    /// Where an answer goes back to. Room to send it there was found.
    fn way_back(&mut self, now: Now, ingress: &Ingress<'_>, response: &Response<'_>) -> Result<Back, Reject> {
        let Self { relaying, outbox, .. } = self;
        let relaying = relaying.as_deref_mut().ok_or(Reject::Unrequested)?;
        if !outbox.has_room_for(MAX_FANOUT, MAX_FANOUT * (ingress.bytes.len() + GROWTH)) {
            return Err(Reject::Busy);
        }
        Ok(relaying.relay.answer(now.mono, ingress.path, response)?)
    }
}

impl Rooms {
    /// Queue an answer to those who asked, room in the queue was found: with what is behind its frame, where so much may go to who asked and so much is left.
    fn send_back(&mut self, back: &Back, (frame, trailer): (&[u8], &[u8]), keeps: usize) -> Result<Taken, Reject> {
        let Self { relaying, outbox, .. } = self;
        let relay = &mut relaying.as_deref_mut().ok_or(Reject::Unrequested)?.relay;
        let mut sent = None;
        for (n, path) in back.to().iter().enumerate() {
            let room = back.room(n).unwrap_or(usize::MAX);
            let whole = frame.len() + trailer.len();
            let len = if whole <= room.saturating_sub(keeps) { whole } else { frame.len() };
            if len > room {
                continue;
            }
            let trailer = if len == whole { trailer } else { &[] };
            let _ = outbox.push(*path, &[frame, trailer]);
            sent = sent.max(Some(len));
        }
        match sent {
            Some(len) => relay.sent_back(back, len),
            None => {
                relay.refused_back();
                return Err(Reject::Amplification);
            }
        }
        Ok(Taken::Forwarded)
    }
}

/// What goes behind the frame of a ping that is passed on; and whether who signed last is certain to have changed it. There is room for records, and for the packet as its digest takes it.
fn passed_on<'a>(
    now: Now,
    outbox: &Outbox,
    (ingress, packet): (&Ingress<'a>, &Packet<'_>),
    certain: Option<&str>,
    (records, scratch): (&'a mut [u8; MAX_TRACE], &mut Vec<u8>),
) -> (&'a [u8], bool) {
    let (frame, trace) = Trace::split(ingress.bytes);
    let Some(trace) = trace else {
        // Who sends it first need not say that he takes answers.
        let marked = packet.hop_count == 0 || Trace::is_marked(ingress.bytes);
        return (if marked { &MARK } else { &[] }, false);
    };
    let as_it_came = as_it_came(ingress);
    let traced = outbox.identity().and_then(|identity| {
        let digest = digest_of(packet, frame.len(), scratch)?;
        let deed =
            Deed::Passed { received: &digest, passed: &digest, hop_count: Some(packet.hop_count), from: certain };
        let (who, signs) = ((outbox.did(), now.wall), (identity.signer() as &dyn Signer, frame.len() + 1));
        traces::extend(Some(trace), who, &deed, signs, records)
    });
    match traced {
        Some((len, culprit)) => (records.get(..len).unwrap_or(as_it_came), culprit),
        None => (as_it_came, false),
    }
}

/// The trace of a ping as it came, if it bears one.
fn as_it_came<'a>(ingress: &Ingress<'a>) -> &'a [u8] {
    let (frame, trace) = Trace::split(ingress.bytes);
    let len = trace.map_or(0, |trace| trace.encoded_len());
    ingress.bytes.get(frame.len()..frame.len() + len).unwrap_or_default()
}

impl TraceNews {
    /// Who a ping came from, for certain, sent something else than he signed.
    fn of_neighbour(did: &str, packet_id: &str, from: Path) -> Self {
        let relay: Box<str> = did.into();
        let tampered =
            vec![Tampering { relay: Some(relay.clone()), between: (Some(relay.clone()), None), field: Field::Content }];
        Self {
            request: None,
            did: relay,
            packet_id: packet_id.into(),
            from,
            rtt: None,
            believed: true,
            hops: Vec::new(),
            tampered,
        }
    }
}
