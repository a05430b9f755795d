//! From a datagram to a decision.
//!
//! The order of the checks is the protection: a ROOD packet is decoded in place, judged and forgotten. Only what the
//! gate lets pass reaches a table, and only after room for everything it needs was found.

use super::answer::Answer;
use super::event::Outcome;
use super::inbound::{AMPLIFICATION, Inbound, Kept, Sender};
use super::outbox::Outbox;
use super::peers::{PeerLookup, Recorded};
use super::ping::AnswerError;
use super::policy::Judged;
use super::quota::{self, Charged};
use super::{Node, State};
use crate::airlock::replay::Origin;
use crate::airlock::{Admission, Rank};
use crate::framing::{Decision, Encoding, Frame, Message, Packet, PingType, Text, TextError, Value, Zone};
use crate::limits::{BROADCAST, MAX_DID, MAX_INTENT, MAX_NONCE, MAX_PACKET_ID};
use crate::time::{Now, iso};
use crate::{Path, Reject, check_did};

/// Longest timestamp that is unescaped; one without escapes may be longer.
const MAX_STAMP: usize = 64;

/// What became of a datagram that was not turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A ping was accepted.
    Accepted,
    /// A heartbeat was.
    Heartbeat,
    /// A ping waits for a decision.
    Waiting,
    /// A request of ours was answered.
    Response,
}

/// A datagram that holds a packet.
#[derive(Clone, Copy)]
struct Datagram<'a> {
    path: Path,
    bytes: &'a [u8],
    encoding: Encoding,
    /// Lent: it is too large to be copied about.
    packet: &'a Packet<'a>,
}

/// The texts that the gate and the tables look at, each within its limit.
#[derive(Clone, Copy)]
struct Texts<'a> {
    sender: Sender<'a>,
    nonce: &'a str,
}

impl<'a> Texts<'a> {
    /// Read them out of a packet, with `scratch` for those that hold escapes.
    fn read(packet: &'a Packet<'a>, scratch: &'a mut Scratch) -> Result<Self, Reject> {
        Ok(Self {
            sender: Sender {
                did: plain(packet.source_did, &mut scratch.did)?,
                intent: plain(packet.intent, &mut scratch.intent)?,
                packet_id: plain(packet.packet_id, &mut scratch.packet_id)?,
                pod_id: packet.pod_id.map(|text| plain(text, &mut scratch.pod_id)).transpose()?,
                ping_type: packet.ping_type,
            },
            nonce: plain(packet.nonce, &mut scratch.nonce)?,
        })
    }

    /// The same for the usual packet, in which none holds escapes: needs no scratch.
    fn read_plain(packet: &Packet<'a>) -> Option<Result<Self, Reject>> {
        let texts = Self {
            sender: Sender {
                did: packet.source_did.as_str()?,
                intent: packet.intent.as_str()?,
                packet_id: packet.packet_id.as_str()?,
                pod_id: match packet.pod_id {
                    Some(text) => Some(text.as_str()?),
                    None => None,
                },
                ping_type: packet.ping_type,
            },
            nonce: packet.nonce.as_str()?,
        };
        let Sender { did, intent, packet_id, pod_id, .. } = texts.sender;
        let within = did.len() <= MAX_DID
            && intent.len() <= MAX_INTENT
            && packet_id.len() <= MAX_PACKET_ID
            && texts.nonce.len() <= MAX_NONCE
            && pod_id.is_none_or(|pod| pod.len() <= MAX_DID);
        Some(if within { Ok(texts) } else { Err(Reject::TooLong) })
    }
}

/// Where texts are unescaped.
struct Scratch {
    did: [u8; MAX_DID],
    intent: [u8; MAX_INTENT],
    pod_id: [u8; MAX_DID],
    packet_id: [u8; MAX_PACKET_ID],
    nonce: [u8; MAX_NONCE],
}

/// A text of a packet as a plain string of at most `N` bytes.
fn plain<'b, const N: usize>(text: Text<'b>, scratch: &'b mut [u8; N]) -> Result<&'b str, Reject> {
    match text.resolve(scratch) {
        Ok(plain) if plain.len() <= N => Ok(plain),
        Ok(_) | Err(TextError::TooLong) => Err(Reject::TooLong),
        Err(TextError::LoneSurrogate) => Err(Reject::Malformed),
    }
}

impl Node {
    /// Decode a datagram and do what it asks for.
    pub(super) fn take(&mut self, now: Now, path: Path, bytes: &[u8]) -> Result<Taken, Reject> {
        if path.remote.port() == 0 {
            return Err(Reject::SourcePortZero);
        }
        let frame = Frame::decode(bytes).map_err(|e| e.reject())?;
        match &frame.message {
            Message::Response(response) => {
                self.state.take_response(now, path, bytes, response)?;
                Ok(Taken::Response)
            }
            Message::Packet(packet) => {
                self.take_packet(now, &Datagram { path, bytes, encoding: frame.encoding, packet })
            }
        }
    }

    fn take_packet(&mut self, now: Now, datagram: &Datagram<'_>) -> Result<Taken, Reject> {
        let packet = datagram.packet;
        if packet.target_did != *self.state.outbox.did() && packet.target_did != *BROADCAST {
            return Err(Reject::NotForUs);
        }
        match Texts::read_plain(packet) {
            Some(texts) => self.take_named(now, datagram, texts?),
            None => {
                let mut scratch = Scratch {
                    did: [0; MAX_DID],
                    intent: [0; MAX_INTENT],
                    pod_id: [0; MAX_DID],
                    packet_id: [0; MAX_PACKET_ID],
                    nonce: [0; MAX_NONCE],
                };
                let texts = Texts::read(packet, &mut scratch)?;
                self.take_named(now, datagram, texts)
            }
        }
    }

    /// Judge a packet for us whose texts are read, and take in what passes.
    fn take_named(&mut self, now: Now, datagram: &Datagram<'_>, texts: Texts<'_>) -> Result<Taken, Reject> {
        let (packet, Texts { sender, nonce }) = (datagram.packet, texts);
        check_did(sender.did).map_err(|_| Reject::Malformed)?;
        if sender.did == self.state.outbox.did() {
            return Err(Reject::OwnName);
        }

        let name = self.state.names.name(sender.did);
        let judged = self.policy.judge(now.wall, &sender.subject(), name);
        let heartbeat = packet.ping_type == PingType::Heartbeat;
        match judged.zone {
            Zone::Rood if !self.state.faults.answer_rood() => {
                if let Some(last) = &mut self.state.last_rood {
                    last.set(sender.did, datagram.path, self.policy.because(&judged));
                }
                return Err(Reject::Rood);
            }
            Zone::Geel if heartbeat => return Err(Reject::HeartbeatNotAccepted),
            Zone::Rood | Zone::Geel | Zone::Groen => {}
        }

        let mut scratch = [0; MAX_STAMP];
        let stamp = packet.timestamp.resolve(&mut scratch).ok().and_then(iso::parse);
        let stamp = stamp.ok_or(Reject::BadTimestamp)?;
        let remote = datagram.path.remote;
        let seat = self.state.peers.look_up_name(name);
        let rank = match self.state.peers.is_proven(seat, remote) {
            true => Rank::Proven,
            false if self.policy.trusts(&judged) => Rank::Trusted,
            false => Rank::Stranger,
        };
        let origin = match rank {
            Rank::Stranger => Origin::Stranger(quota::address(&self.state.names, remote)),
            Rank::Trusted => Origin::Trusted,
            Rank::Proven => Origin::Proven,
        };
        let admission = match self.state.replay.check_name(now, name, nonce, stamp, origin) {
            Ok(admission) => Some(admission),
            Err(_) if self.state.faults.no_replay_check() => None,
            Err(why) => return Err(why),
        };
        // Who waits is no peer yet, and needs no room among them.
        if judged.zone == Zone::Groen && !self.state.peers.has_room_for(now.mono, seat, rank) {
            return Err(Reject::Busy);
        }
        let passed = Passed { sender, seat, judged, rank, admission };
        if heartbeat {
            return self.state.take_heartbeat(now, datagram.path, passed);
        }
        let plan = match judged.zone {
            Zone::Groen => match self.policy.replies.find(sender.intent, datagram.encoding) {
                Some(payload) => Plan::Answer(payload),
                None => Plan::Open,
            },
            // What an approval would be answered with.
            Zone::Geel | Zone::Rood => Plan::Wait(self.policy.replies.find(sender.intent, datagram.encoding)),
        };
        self.state.take_ping(now, datagram, passed, plan)
    }
}

/// A packet that passed the gate and the replay window, and what was learned on the way.
struct Passed<'a> {
    sender: Sender<'a>,
    seat: PeerLookup<'a>,
    judged: Judged<'a>,
    rank: Rank,
    /// Always there, outside of a simulation.
    admission: Option<Admission>,
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

impl State {
    /// A heartbeat from an accepted sender keeps its peer entry alive; it draws no answer.
    fn take_heartbeat(&mut self, now: Now, path: Path, passed: Passed<'_>) -> Result<Taken, Reject> {
        let Passed { seat, rank, admission, .. } = passed;
        let (mut count, mut bytes) = peer_notices(seat);
        if self.tell_heartbeats {
            (count, bytes) = (count + 1, bytes + seat.did().len());
        }
        if !self.events.room_for_rank(rank, count, bytes) {
            return Err(Reject::Busy);
        }
        self.admit(admission);
        self.record_peer(now, seat, path, rank);
        if self.tell_heartbeats {
            let _ = self.events.heartbeat(seat.did(), path);
        }
        Ok(Taken::Heartbeat)
    }

    /// Reserve everything that the ping needs, then commit all of it.
    fn take_ping(
        &mut self,
        now: Now,
        datagram: &Datagram<'_>,
        passed: Passed<'_>,
        plan: Plan<'_>,
    ) -> Result<Taken, Reject> {
        let Passed { sender, seat, judged, rank, admission } = passed;
        let &Datagram { path, bytes, encoding, packet } = datagram;
        let decision = if matches!(plan, Plan::Wait(_)) { Decision::Pending } else { Decision::Accept };
        // Who waits is no peer yet, but the decision will be an event, too.
        let (more, more_bytes) =
            if decision == Decision::Accept { peer_notices(seat) } else { (1, sender.text_bytes()) };
        let event_bytes = bytes.len() + judged.rule.map_or(0, str::len);
        let events = self.events.room_for_rank(rank, more + 1, event_bytes + more_bytes);
        if !events || !self.outbox.has_room(rank) {
            return Err(Reject::Busy);
        }
        let mut allowance = bytes.len() * AMPLIFICATION;
        let draft = Answer {
            in_response_to: packet.packet_id,
            decision,
            payload: Value::EMPTY_OBJECT,
            judged,
            path,
            encoding,
            allowance: (rank < Rank::Proven).then_some(allowance),
        };
        let staged = match plan {
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
            let charged = Charged::new(&self.names, seat.hash(), rank, path.remote);
            let ping = Inbound::new(now.mono, (rank, charged), sender, path, encoding, &judged, allowance);
            self.keep(now, ping.ok_or(Reject::TooLong)?, decision).ok_or(Reject::Busy)?
        };
        // Nothing below can fail: room was found for all of it.
        if let Some(len) = staged {
            self.outbox.commit(path, len);
        }
        self.admit(admission);
        if decision == Decision::Accept {
            self.record_peer(now, seat, path, rank);
        }
        let _ = self.events.ping(bytes, encoding, path, &judged, decision, kept);
        Ok(if decision == Decision::Accept { Taken::Accepted } else { Taken::Waiting })
    }

    fn admit(&mut self, admission: Option<Admission>) {
        if let Some(admission) = admission {
            self.replay.admit(admission);
        }
    }

    /// Keep a ping until the application has spoken.
    fn keep(&mut self, now: Now, ping: Inbound, decision: Decision) -> Option<Kept> {
        if decision == Decision::Accept {
            return self.inbox.open(now.mono, ping).map(Kept::Open);
        }
        let text_bytes = ping.text_bytes();
        let (id, displaced) = self.inbox.wait(now.mono, ping)?;
        if let Some((old, ping)) = displaced {
            self.events.release(ping.text_bytes());
            let _ = self.events.decided(now.mono, old, &ping, Outcome::Displaced, false, None);
            self.stats.displaced = self.stats.displaced.saturating_add(1);
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
            self.stats.peers_displaced = self.stats.peers_displaced.saturating_add(u64::from(!stale));
        }
        if self.peers.record(now.mono, seat, path, rank) == Recorded::New {
            let _ = self.events.peer_seen(seat.did(), path);
            self.schedule_cleanup(now.mono);
        }
        if self.peers.proven_len() > 0 {
            self.schedule_heartbeat(now.mono);
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
        let mut decision = outbox.measure(&Answer { decision: Decision::Reject, ..pending })?;
        if let Some(payload) = approval {
            decision = decision.max(outbox.measure(&Answer { decision: Decision::Accept, payload, ..pending })?);
        }
        pending.allowance = Some(allowed.saturating_sub(decision));
    }
    outbox.stage(now, &pending)
}

/// How a sender's ping is turned away when it cannot be answered.
const fn reject_of(why: AnswerError) -> Reject {
    match why {
        AnswerError::Unproven { .. } => Reject::Amplification,
        AnswerError::QueueFull | AnswerError::Gone | AnswerError::Rood => Reject::Busy,
        AnswerError::TooLarge { .. } | AnswerError::Encode(_) => Reject::TooLong,
    }
}
