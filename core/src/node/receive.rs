//! From a datagram to a decision.
//!
//! The order of the checks is the protection: a ROOD packet is decoded in place, judged and forgotten. Only what the
//! gate lets pass reaches a table, and only after room for everything it needs was found.

use super::admission::{AdmissionControl, Bound, Passed};
use super::circuits;
use super::event::Outcome;
use super::events::PROOF;
use super::identity::{Identity, Require};
use super::inbox::{AMPLIFICATION, Charged, Inbound, Kept};
use super::ingress::{Ingress, Scratch, Texts};
use super::outbox::{Answer, NextHop, Outbox};
use super::overlay::{self, Asked, Served};
use super::peers::{PeerLookup, Recorded};
use super::ping::AnswerError;
use super::policy::Policy;
use super::relay::{self, Own};
use super::{Node, Rooms};
use crate::airlock::Rank;
use crate::framing::{Decision, Frame, Message, Packet, PingType, RoutingMode, Value, Zone};
use crate::identity::{Signer, Statement};
use crate::limits::MAX_DID;
use crate::pins::{PinError, Pins};
use crate::relay::trace::Trace;
use crate::relay::{ANSWER_INTENT, Label};
use crate::time::Now;
use crate::{Path, Reject, SocketId};

/// What became of a datagram that was not turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "record"), allow(unreachable_pub))]
pub enum Taken {
    /// A ping was accepted.
    Accepted,
    /// A heartbeat was.
    Heartbeat,
    /// A ping waits for a decision.
    Waiting,
    /// A request of ours was answered.
    Response,
    /// It passed, and waits until the store has what it rests on.
    Held,
    /// It concerned nothing but a session.
    Session,
    /// A beacon on the local network was.
    Beacon,
    /// It was passed on, or back.
    Forwarded,
}

/// Bytes of a key.
pub(super) const KEY: usize = 32;

/// The intent of a ping whose payload is a [`Statement`].
pub const STATEMENT: &str = "overlay.key";

impl Node {
    /// Decode a datagram and do what it asks for.
    pub(super) fn take(&mut self, now: Now, path: Path, bytes: &mut [u8]) -> Result<Taken, Reject> {
        if path.remote.port() == 0 || path.socket == SocketId::CIRCUIT {
            return Err(Reject::SourcePortZero);
        }
        if self.rooms.lan.as_ref().is_some_and(|lan| lan.is_of_network(path.socket)) {
            return self.take_said_to_all(now, path, bytes);
        }
        if self.is_sealed(bytes) {
            return self.take_sealed(now, path, bytes);
        }
        if let Some(taken) = self.take_of_circuit(now, path, bytes) {
            return taken;
        }
        if self.is_of_circuit(bytes) {
            return self.carry(now, path, bytes);
        }
        let bytes = &*bytes;
        let frame = &Frame::decode(bytes)?;
        self.take_frame(now, &Ingress { path, session: None, frame, bytes })
    }

    /// Do what a frame asks for, however it came.
    pub(super) fn take_frame(&mut self, now: Now, ingress: &Ingress<'_>) -> Result<Taken, Reject> {
        match &ingress.frame.message {
            Message::Packet(packet) => self.take_packet(now, ingress, packet),
            Message::Response(response) => match self.take_answer(now, ingress, response) {
                Err(Reject::Unrequested) if self.rooms.relaying.is_some() => self.pass_back(now, ingress, response),
                taken => taken,
            },
        }
    }

    fn take_packet(&mut self, now: Now, ingress: &Ingress<'_>, packet: &Packet<'_>) -> Result<Taken, Reject> {
        if !AdmissionControl::is_for(self.rooms.outbox.did(), packet) {
            return self.take_transit(now, ingress, packet);
        }
        if packet.intent == *ANSWER_INTENT {
            return self.take_carried(now, ingress, packet);
        }
        if packet.ping_type == PingType::Discover && ingress.session.is_none() && self.rooms.hears_beacons() {
            return self.take_beacon(now, ingress, packet);
        }
        if packet.intent == *STATEMENT {
            self.hear_statement(now, packet.payload)?;
        }
        if packet.intent == *overlay::VOUCH && self.rooms.overlay.is_some() {
            self.hear_vouch(now, packet.payload)?;
        }
        if self.policy.doubts_vouches() {
            self.refresh_vouches(now);
        }
        if self.lets_join(now, packet) {
            let mut scratch = Scratch::new();
            let texts = Texts::read(packet, &mut scratch)?;
            return self.take_join(now, (ingress, packet), texts);
        }
        match Texts::read_plain(packet) {
            Some(texts) => self.take_named(now, (ingress, packet), texts?, true),
            None => {
                let mut scratch = Scratch::new();
                let texts = Texts::read(packet, &mut scratch)?;
                self.take_named(now, (ingress, packet), texts, true)
            }
        }
    }

    /// A ping brings the statement of a key: it speaks for itself, whoever carries it, and holds before the ping is judged. One that says
    /// nothing new, or is none, changes nothing.
    fn hear_statement(&mut self, now: Now, payload: Value<'_>) -> Result<(), Reject> {
        let Ok(key) = Statement::peek(payload) else { return Ok(()) };
        if !self.policy.pins.speaks(&key) {
            return Ok(());
        }
        let Rooms { admission, events, .. } = &mut self.rooms;
        if !events.room_for_notices(1, 2 * KEY) || !admission.may_verify(now.mono) {
            return Err(Reject::Busy);
        }
        let Ok(statement) = Statement::read(payload) else { return Err(Reject::BadSignature) };
        match self.retire(&statement) {
            Ok(_) => drop(self.rooms.events.retired(key, statement.successor())),
            Err(PinError::Busy) => return Err(Reject::Busy),
            Err(_) => {}
        }
        Ok(())
    }

    /// Judge a packet for us whose texts are read, and take in what passes.
    fn take_named(
        &mut self,
        now: Now,
        (ingress, packet): (&Ingress<'_>, &Packet<'_>),
        texts: Texts<'_>,
        first: bool,
    ) -> Result<Taken, Reject> {
        let did = texts.sender.did;
        let may_pin = first && self.policy.believes_first(did) && self.may_pin_first(now, did);
        let Self { policy, rooms, .. } = self;
        let Rooms { admission, peers, outbox, storing, overlay, .. } = rooms;
        let judges = (&*policy, &*peers, overlay.as_deref());
        let passed = admission.check(judges, outbox.did(), now, (ingress, packet), (texts, Bound::Here { may_pin }))?;
        if let Some(key) = passed.first_use {
            self.pin_first(now, did, key);
            return self.take_named(now, (ingress, packet), texts, false);
        }
        if passed.stamp().is_some_and(|stamp| storing.holds(now, stamp)) || storing.is_new(did) {
            return if storing.hold(ingress) { Ok(Taken::Held) } else { Err(Reject::Busy) };
        }
        let Passed { sender, seat, judged, rank, .. } = passed;
        // Who waits is no peer yet, and needs no room among them.
        if judged.zone == Zone::Groen && !peers.has_room_for(now.mono, seat, rank) {
            return Err(Reject::Busy);
        }
        if sender.ping_type == PingType::Heartbeat {
            return rooms.take_heartbeat(now, ingress, passed);
        }
        let served;
        let auth = passed.auth;
        let asks = circuits::asks(sender) && rooms.links.is_some() && ingress.session.is_none();
        // A relay that passes no circuits on is on the way: there can be none.
        if asks && judged.zone != Zone::Groen && policy.require >= Require::Session {
            // Nobody is asked about what came without a session.
            return Err(Reject::BadSignature);
        }
        let known = asks && policy.speaks(now.wall, rooms.admission.name(sender.did));
        let circuit = asks
            && auth.key().is_some()
            && (!is_relayed(packet) || Trace::is_marked(ingress.bytes))
            && rooms.has_place_for_circuit(sender.did, known);
        let asked = Asked {
            did: sender.did,
            key: auth.key(),
            from: ingress.path,
            intent: sender.intent,
            payload: packet.payload,
            room: match rank {
                Rank::Stranger | Rank::Trusted if ingress.session.is_none() => {
                    (ingress.bytes.len() * AMPLIFICATION).saturating_sub(overlay::BESIDE)
                }
                _ => overlay::ANSWER,
            },
        };
        let answer = if judged.zone == Zone::Groen { rooms.serve(now, &policy.pins, &asked)? } else { None };
        let plan = match (judged.zone, answer) {
            (_, Some(Served::Answer(json))) => {
                served = json;
                Plan::Answer(Value::from_wire(&served))
            }
            (_, Some(Served::Hold)) if rooms.storing.hold(ingress) => return Ok(Taken::Held),
            (_, Some(Served::Hold)) => return Err(Reject::Busy),
            (Zone::Groen, None) if relay::asks(sender) && rooms.relaying.is_some() => {
                let from = ingress.session.map(|from| (from, ingress.path));
                let speaks = policy.speaks(now.wall, rooms.admission.name(sender.did));
                served = rooms.reserve(now, sender, from.filter(|_| speaks));
                Plan::Answer(Value::from_wire(&served))
            }
            (Zone::Groen, None) if asks => Plan::Answer(circuits::answer(circuit)),
            (_, None) if asks => Plan::Wait(Some(circuits::answer(circuit))),
            (Zone::Groen, None) => match policy.replies.find(sender.intent, ingress.frame.encoding) {
                Some(payload) => Plan::Answer(payload),
                None => Plan::Open,
            },
            // What an approval would be answered with.
            (Zone::Geel | Zone::Rood, None) => Plan::Wait(policy.replies.find(sender.intent, ingress.frame.encoding)),
        };
        let taken = rooms.take_ping(now, policy, (ingress, packet), passed, plan)?;
        if circuit && taken == Taken::Accepted {
            let label = Label::of(sender.packet_id, sender.did, rooms.outbox.did());
            rooms.end_circuit(now.mono, (label, sender.did), known, ingress.path);
        }
        Ok(taken)
    }

    /// Take in a packet of a circuit that ends here; `None` where none does.
    fn take_of_circuit(&mut self, now: Now, path: Path, bytes: &mut [u8]) -> Option<Result<Taken, Reject>> {
        let (inner, at) = self.rooms.circuits.as_ref()?.receive(path, bytes)?;
        let frame = bytes.get_mut(at)?;
        if !self.is_sealed(frame) {
            return Some(Err(Reject::Header));
        }
        let taken = self.take_sealed(now, inner, frame);
        if let (Ok(_), Some(circuits)) = (&taken, &mut self.rooms.circuits) {
            circuits.heard(now.mono, inner);
        }
        Some(taken)
    }
}

impl Rooms {
    /// What the overlay answers to a ping that is accepted; `None` when it is none of the overlay's.
    fn serve(&mut self, now: Now, pins: &Pins, asked: &Asked<'_>) -> Result<Option<Served>, Reject> {
        let Self { overlay, outbox, storing, .. } = self;
        let Some(overlay) = overlay.as_deref_mut() else { return Ok(None) };
        if let Some(key) = asked.key {
            overlay.note_interaction(now, asked.did, key);
        }
        let signer = outbox.identity().map(|identity| identity.signer() as &dyn Signer);
        overlay.serve(now, asked, (outbox.did(), signer), pins, storing).transpose()
    }
}

/// What is to happen to a ping that passed the gate.
#[derive(Clone, Copy)]
enum Plan<'p> {
    /// Accept it and answer at once with this payload.
    Answer(Value<'p>),
    /// Accept it and keep it open until the application answers.
    Open,
    /// Put it into the waiting room and say `pending`. Once approved it is answered with this, or by the application.
    Wait(Option<Value<'p>>),
}

impl Rooms {
    /// A heartbeat from an accepted sender keeps its peer entry alive; it draws no answer.
    fn take_heartbeat(&mut self, now: Now, ingress: &Ingress<'_>, passed: Passed<'_>) -> Result<Taken, Reject> {
        let Passed { seat, rank, .. } = passed;
        let path = ingress.path;
        let (mut count, mut bytes) = peer_notices(seat);
        if self.tell_heartbeats {
            (count, bytes) = (count + 1, bytes + seat.did().len());
        }
        if !self.events.room_for_rank(rank, count, bytes) {
            return Err(Reject::Busy);
        }
        self.admission.admit(passed);
        if path.circuit().is_none() {
            self.record_peer(now, seat, path, rank);
            self.prove_by_session(seat, ingress, rank);
            self.credit(ingress, ingress.bytes.len() * AMPLIFICATION);
        }
        if self.tell_heartbeats {
            let path = self.shown(path);
            let _ = self.events.heartbeat(seat.did(), path);
        }
        Ok(Taken::Heartbeat)
    }

    /// Reserve everything that the ping needs, then commit all of it.
    fn take_ping(
        &mut self,
        now: Now,
        policy: &Policy,
        (ingress, packet): (&Ingress<'_>, &Packet<'_>),
        passed: Passed<'_>,
        plan: Plan<'_>,
    ) -> Result<Taken, Reject> {
        let Passed { sender, seat, judged, rank, auth, .. } = passed;
        let &Ingress { path, bytes, .. } = ingress;
        let encoding = ingress.frame.encoding;
        let relayed = is_relayed(packet);
        let hop = match ingress.session {
            Some(from) => NextHop::Session(from.id, path),
            None if relayed && !Trace::is_marked(bytes) => NextHop::Carried(path),
            None => NextHop::Direct(path),
        };
        let traced = self.outbox.signs() && Trace::split(bytes).1.is_some();
        if traced && self.traces.as_ref().is_some_and(|traces| !traces.has_room()) {
            return Err(Reject::Busy);
        }
        // A ping that is signed brings its digest. What JSON has no form for cannot be signed, nor its answer. What goes through a session need not be.
        let digest = match passed.digest {
            _ if !self.outbox.signs() || hop.is_session() => None,
            None => packet.digest(encoding).ok(),
            made => made,
        };
        let decision = if matches!(plan, Plan::Wait(_)) { Decision::Pending } else { Decision::Accept };
        // Who waits is no peer yet, but the decision will be an event, too.
        let (more, more_bytes) =
            if decision == Decision::Accept { peer_notices(seat) } else { (1, sender.text_bytes()) };
        let event_bytes = bytes.len() + PROOF + judged.rule.map_or(0, str::len);
        let events = self.events.room_for_rank(rank, more + 1, event_bytes + more_bytes);
        if !events || !self.outbox.has_room(rank) {
            return Err(Reject::Busy);
        }
        let mut allowance = bytes.len() * AMPLIFICATION;
        let draft = Answer {
            to: sender.did,
            in_response_to: packet.packet_id,
            decision,
            payload: Value::EMPTY_OBJECT,
            judged,
            hop,
            encoding,
            digest: digest.as_ref(),
            allowance: (rank < Rank::Proven && !hop.is_session()).then_some(allowance),
        };
        let mut staged = match plan {
            Plan::Answer(payload) => Some(self.outbox.stage(now, &Answer { payload, ..draft }).map_err(reject_of)?),
            Plan::Open => None,
            Plan::Wait(approval) => {
                let len = stage_pending(&mut self.outbox, now, &draft, approval).map_err(reject_of)?;
                allowance = allowance.saturating_sub(len);
                Some(len)
            }
        };
        let kept = if let Plan::Answer(_) = plan {
            Kept::Nowhere
        } else {
            let charged = Charged::new(self.admission.names(), seat.hash(), rank, path.remote);
            let how = (hop, auth, digest);
            let ping = Inbound::new(now.mono, (rank, charged), sender, how, encoding, &judged, allowance);
            self.keep(now, ping.ok_or(Reject::TooLong)?, decision).ok_or(Reject::Busy)?
        };
        // Nothing below can fail: room was found for all of it.
        if let (Some(len), Plan::Answer(_), true, NextHop::Direct(_)) = (&mut staged, plan, traced, hop) {
            let most = draft.allowance.unwrap_or(usize::MAX);
            self.outbox.trace_answer(now, (ingress, packet), most, len);
        }
        if let Some(len) = staged {
            self.outbox.commit(hop, len);
            if let Plan::Answer(_) = plan {
                self.credit(ingress, allowance.saturating_sub(len));
            }
        }
        self.admission.admit(passed);
        if decision == Decision::Accept && !relayed && path.circuit().is_none() {
            self.record_peer(now, seat, path, rank);
            self.prove_by_session(seat, ingress, rank);
        }
        // Who asks for a circuit wants nothing of the application, as long as nobody has to decide about it.
        if !circuits::asks(sender) || kept != Kept::Nowhere {
            let from = self.shown(path);
            let _ = self.events.ping(bytes, encoding, (from, auth), &judged, decision, kept);
        }
        if traced {
            let certain = policy.is_certain(sender.did, ingress.session.as_ref());
            let faults = self.admission.faults_of_relays();
            let own = Own { did: self.outbox.did(), key: self.outbox.identity().map(Identity::public), faults };
            let judges = (policy, &mut self.admission, own);
            let traces = self.traces.get_or_insert_default();
            traces.read_ping(now, judges, (ingress, packet), (sender, rank, certain));
        }
        Ok(if decision == Decision::Accept { Taken::Accepted } else { Taken::Waiting })
    }

    /// Keep a ping until the application has spoken.
    pub(super) fn keep(&mut self, now: Now, ping: Inbound, decision: Decision) -> Option<Kept> {
        if decision == Decision::Accept {
            return self.inbox.open(now.mono, ping).map(Kept::Open);
        }
        let text_bytes = ping.text_bytes();
        let (id, displaced) = self.inbox.wait(now.mono, ping)?;
        if let Some((old, ping)) = displaced {
            self.events.release(ping.text_bytes());
            let from = self.shown(ping.path());
            let _ = self.events.decided(now.mono, (old, from), &ping, Outcome::Displaced, false, None);
        }
        // For the event about its decision.
        self.events.reserve(text_bytes);
        Some(Kept::Waiting(id))
    }

    /// Note who was heard from and accepted after the fact, if there is room to remember it.
    pub(super) fn meet(&mut self, now: Now, seat: PeerLookup<'_>, path: Path, rank: Rank) {
        let (count, bytes) = peer_notices(seat);
        let room = self.events.room_for_notices(count, bytes);
        if room && self.peers.has_room_for(now.mono, seat, rank) {
            self.record_peer(now, seat, path, rank);
        }
    }

    /// Note who was heard from; room for the entry and the events was found before.
    pub(super) fn record_peer(&mut self, now: Now, seat: PeerLookup<'_>, path: Path, rank: Rank) {
        if let Some((lost, stale)) = self.peers.make_room(now.mono, seat, rank) {
            let _ = self.events.peer_lost(&lost);
            if !stale {
                self.traffic.count_displaced_peer();
            }
        }
        if self.peers.record(now.mono, seat, path, rank) == Recorded::New {
            let _ = self.events.peer_seen(seat.did(), path);
            self.timers.plan_cleanup(now.mono);
        }
        if self.peers.proven_len() > 0 {
            self.timers.plan_heartbeats(now.mono);
        }
    }
}

/// Room for the notices that recording a peer can bring, number and bytes: that it is new, and that it took the place of
/// another.
const fn peer_notices(seat: PeerLookup<'_>) -> (usize, usize) {
    if seat.is_known() { (0, 0) } else { (2, seat.did().len() + MAX_DID) }
}

/// Stage the `pending` answer. Its address must be allowed that one and, afterwards, the decision: a ping that could not be
/// answered either way must not wait. `approval` is the payload that it would be approved with, if not by the application.
fn stage_pending(
    outbox: &mut Outbox,
    now: Now,
    pending: &Answer<'_>,
    approval: Option<Value<'_>>,
) -> Result<usize, AnswerError> {
    let mut pending = *pending;
    if let Some(allowed) = pending.allowance {
        let mut decision = outbox.measure(now, &Answer { decision: Decision::Reject, ..pending })?;
        if let Some(payload) = approval {
            decision = decision.max(outbox.measure(now, &Answer { decision: Decision::Accept, payload, ..pending })?);
        }
        pending.allowance = Some(allowed.saturating_sub(decision));
    }
    outbox.stage(now, &pending)
}

/// Whether a ping came over relays: who it is from is not where it came from.
fn is_relayed(packet: &Packet<'_>) -> bool {
    packet.routing_mode == RoutingMode::Mesh && packet.hop_count > 0
}

/// How a sender's ping is turned away when it cannot be answered.
pub(super) const fn reject_of(why: AnswerError) -> Reject {
    match why {
        AnswerError::Unproven { .. } => Reject::Amplification,
        AnswerError::QueueFull | AnswerError::Gone | AnswerError::Rood | AnswerError::Sign(_) => Reject::Busy,
        AnswerError::TooLarge { .. } | AnswerError::Encode(_) => Reject::TooLong,
    }
}
