//! What comes in: beacons, and devices that want to be let in.

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::string::ToString as _;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{BeaconDecision, Called, Found, LanNews};
use crate::airlock::{Rank, Source};
use crate::data::Text;
use crate::discovery::{Beacon, DiscoveryReject, Heard, Kind, Verdict, key_hash};
use crate::framing::{Decision, Frame, Message, Packet, PingType, Zone};
use crate::identity::PublicKey;
use crate::limits::MAX_DID;
use crate::node::admission::AdmissionControl;
use crate::node::event::{Auth, OpenId, Outcome, WaitId};
use crate::node::identity::{self, Claim, Require};
use crate::node::inbox::{Charged, Inbound, Verdict as Decided};
use crate::node::ingress::{Ingress, Scratch, Texts};
use crate::node::outbox::NextHop;
use crate::node::ping::AnswerError;
use crate::node::policy::{Judged, Policy};
use crate::node::receive::Taken;
use crate::node::{Node, Rooms};
use crate::pins::{Origin, PinError};
use crate::time::{Duration, Now, Wall, iso};
use crate::{Path, Reject};

/// How a beacon is noted that an operator has turned away.
const REFUSED: u64 = u64::MAX;
/// News that one beacon brings at most.
const NEWS: usize = 2;

/// Under which of the reasons of a node it counts.
impl From<DiscoveryReject> for Reject {
    fn from(why: DiscoveryReject) -> Self {
        match why {
            DiscoveryReject::Own => Self::OwnName,
            DiscoveryReject::OtherDomain => Self::NotForUs,
            DiscoveryReject::Did(_) => Self::Malformed,
            DiscoveryReject::Port => Self::SourcePortZero,
            // What a name has proven once holds as a pin does.
            DiscoveryReject::Taken => Self::Unpinned,
            DiscoveryReject::Replay => Self::Replay,
            DiscoveryReject::Full => Self::Busy,
        }
    }
}

/// A beacon that passed the keys and the rules.
struct Passed {
    stamp: Wall,
    auth: Auth,
    /// The key is the one that is pinned to the name.
    pinned: bool,
    zone: Zone,
}

impl Node {
    /// Take in a datagram that was said to everybody on a network: a beacon, or nothing.
    pub(in crate::node) fn take_said_to_all(&mut self, now: Now, path: Path, bytes: &[u8]) -> Result<Taken, Reject> {
        let frame = &Frame::decode(bytes)?;
        match &frame.message {
            Message::Packet(packet)
                if self.rooms.hears_beacons()
                    && packet.ping_type == PingType::Discover
                    && AdmissionControl::is_for(self.rooms.outbox.did(), packet) =>
            {
                self.take_beacon(now, &Ingress { path, session: None, frame, bytes }, packet)
            }
            _ => Err(Reject::NotForUs),
        }
    }

    /// Take in a beacon.
    pub(in crate::node) fn take_beacon(
        &mut self,
        now: Now,
        ingress: &Ingress<'_>,
        packet: &Packet<'_>,
    ) -> Result<Taken, Reject> {
        let mut scratch = Scratch::new();
        let texts = match Texts::read_plain(packet) {
            Some(texts) => texts?,
            None => Texts::read(packet, &mut scratch)?,
        };
        let beacon = Beacon::read(packet.payload).map_err(|_| Reject::Malformed)?;
        if !self.rooms.concerns(ingress.path, texts.sender.did, &beacon) {
            return Ok(Taken::Beacon);
        }
        let Passed { stamp, auth, pinned, zone } =
            self.rooms.check_beacon(now, &self.policy, (ingress, packet), (&texts, &beacon))?;
        let sender = texts.sender;
        let Some(on) = self.rooms.lan.as_mut().and_then(|lan| lan.on.as_mut()) else { return Err(Reject::NotForUs) };
        if on.news.len() + NEWS > on.config.max_news {
            return Err(Reject::Busy);
        }
        // Whoever had the name with another key was not who the operator means.
        if pinned && on.hood.get(sender.did).is_some_and(|known| known.key.is_some() && known.key != auth.key()) {
            on.hood.forget(sender.did);
        }
        let heard = (ingress.path, ingress.bytes.len());
        let heard = on.hood.hear(now.mono, heard, sender.did, (auth.key(), stamp), &beacon)?;
        on.heard = on.heard.saturating_add(1);
        let addr = addr_of(ingress.path, &beacon);
        match heard {
            Heard::Gone => on.news.push_back(LanNews::Gone { did: sender.did.into(), addr }),
            Heard::Found | Heard::Moved { .. } => {
                on.sought.retain(|(sought, _)| **sought != *sender.did);
                let since = on.called.filter(|_| beacon.kind == Kind::Answer);
                let waited = Duration::from_millis(beacon.waited_ms.unwrap_or(0).into());
                on.news.push_back(LanNews::Found(Box::new(Found {
                    did: sender.did.into(),
                    addr,
                    from: if let Heard::Moved { from } = heard { Some(from) } else { None },
                    device_type: beacon.device_type.to_string().into(),
                    capabilities: texts_of(beacon.capabilities()),
                    key: auth.key(),
                    zone,
                    rtt: since.map(|called| now.mono.saturating_since(called).saturating_sub(waited)),
                })));
            }
            Heard::Known => on.sought.retain(|(sought, _)| **sought != *sender.did),
            Heard::Asked | Heard::Nobody => {}
        }
        if on.config.admits && beacon.kind == Kind::Call && zone != Zone::Groen {
            let is_new = matches!(heard, Heard::Found | Heard::Moved { .. });
            self.admit(now, (ingress, packet, addr), (sender.did, &beacon), (stamp, auth, is_new));
        }
        Ok(Taken::Beacon)
    }

    /// A device calls that is not accepted yet: let it in, have it wait for a person, or say why it cannot.
    fn admit(
        &mut self,
        now: Now,
        (ingress, packet, addr): (&Ingress<'_>, &Packet<'_>, SocketAddr),
        (did, beacon): (&str, &Beacon<'_>),
        (stamp, auth, is_new): (Wall, Auth, bool),
    ) {
        let key = auth.key();
        let proven = match key {
            // Signed with the very key that the beacon names.
            Some(key) => beacon.key_hash == Some(key_hash(&key)),
            None => self.policy.legacy.allows(did),
        };
        let Some(lan) = &self.rooms.lan else { return };
        let decision = match lan.rules.judge(now.wall, did, Some(stamp), beacon, proven) {
            Verdict::AutoVouched { rule, pod } => {
                BeaconDecision::AutoVouched { rule: rule.into(), pod: pod.map(Into::into) }
            }
            Verdict::Ask | Verdict::Unproven if proven => BeaconDecision::Pending,
            Verdict::Ask | Verdict::Unproven if is_new => BeaconDecision::Unproven,
            _ => return,
        };
        let wait = match decision {
            // Where there is no room to keep it, or too many came in this minute, its next call will do.
            BeaconDecision::AutoVouched { .. } => {
                if !self.rooms.admission.may_pin_first(now.mono, true) || self.let_in(now, did, key).is_err() {
                    return;
                }
                None
            }
            BeaconDecision::Pending => match self.have_wait(now, (ingress, packet), did, auth) {
                None => return,
                wait => wait,
            },
            BeaconDecision::Unproven => None,
        };
        let Ok(on) = self.rooms.discovery() else { return };
        // Room was found before.
        on.news.push_back(LanNews::Beacon(Box::new(Called {
            wait,
            did: did.into(),
            from: addr,
            device_type: beacon.device_type.to_string().into(),
            capabilities: texts_of(beacon.capabilities()),
            key,
            decision,
        })));
    }

    /// Have a device wait for a person, unless it does already or was turned away.
    fn have_wait(
        &mut self,
        now: Now,
        (ingress, packet): (&Ingress<'_>, &Packet<'_>),
        did: &str,
        auth: Auth,
    ) -> Option<WaitId> {
        let note = self.rooms.discovery().ok()?.hood.get(did)?.note;
        let waits = |bits| self.rooms.inbox.waiting(WaitId::from_slot_bits(bits)).is_some_and(|ping| ping.did() == did);
        if note == REFUSED || note != 0 && waits(note) {
            return None;
        }
        let mut scratch = Scratch::new();
        let sender = Texts::read(packet, &mut scratch).ok()?.sender;
        let name = self.rooms.admission.name(did);
        let lent = |key| self.policy.lent(did, key, now.wall);
        let proof = identity::proof_of(&self.policy.pins, name, auth, lent);
        let judged = self.policy.judge(now.wall, &sender.subject(), name, proof);
        // The decision will be an event.
        if !self.rooms.events.room_for_rank(Rank::Stranger, 1, sender.text_bytes()) {
            return None;
        }
        let charged = Charged::new(self.rooms.admission.names(), name.hash(), Rank::Stranger, ingress.path.remote);
        let how = (NextHop::Direct(ingress.path), auth, None);
        let ping = Inbound::new(now.mono, (Rank::Stranger, charged), sender, how, ingress.frame.encoding, &judged, 0)?;
        let id = self.rooms.keep(now, ping.of_beacon(), Decision::Pending)?.wait()?;
        self.rooms.discovery().ok()?.hood.note(did, id.to_slot_bits());
        Some(id)
    }

    /// Pin the key of a device, if it has proven one, and trust it as those who are let in.
    fn let_in(&mut self, now: Now, did: &str, key: Option<PublicKey>) -> Result<(), AnswerError> {
        let trust = self.rooms.discovery().map_err(|_| AnswerError::Gone)?.config.trust;
        if let Some(key) = key {
            self.pin(now, did, key, Origin::Approved).map_err(|why| match why {
                PinError::OtherKey | PinError::Retired => AnswerError::Rood,
                _ => AnswerError::QueueFull,
            })?;
        }
        if self.policy.standing(did, now.wall).trust < trust {
            self.decide_trust(did, trust).map_err(|_| AnswerError::QueueFull)?;
        }
        Ok(())
    }

    /// Let a device in that called: its key is pinned, and it is trusted. It is told nothing; its next ping is accepted.
    pub(in crate::node) fn approve_beacon(&mut self, now: Now, id: WaitId) -> Result<Option<OpenId>, AnswerError> {
        let ping = self.rooms.inbox.waiting(id).ok_or(AnswerError::Gone)?;
        let name = self.rooms.admission.name(ping.did());
        let lent = |key| self.policy.lent(ping.did(), key, now.wall);
        let proof = identity::proof_of(&self.policy.pins, name, ping.auth(), lent);
        if is_kept_out(&self.policy, &self.policy.judge(now.wall, &ping.subject(), name, proof)) {
            return Err(AnswerError::Rood);
        }
        let (did, key) = (heapless::String::<MAX_DID>::try_from(ping.did()).unwrap_or_default(), ping.auth().key());
        self.let_in(now, &did, key)?;
        let ping = self.rooms.take_waiting(id, Decided::Approved)?;
        // Room was reserved when it began to wait.
        let _ = self.rooms.events.decided(now.mono, (id, ping.path()), &ping, Outcome::Approved, false, None);
        Ok(None)
    }

    /// Turn a device away that called. It does not wait again as long as it is a neighbour.
    pub(in crate::node) fn reject_beacon(&mut self, now: Now, id: WaitId) -> Result<(), AnswerError> {
        let ping = self.rooms.take_waiting(id, Decided::Refused)?;
        if let Ok(on) = self.rooms.discovery() {
            on.hood.note(ping.did(), REFUSED);
        }
        let _ = self.rooms.events.decided(now.mono, (id, ping.path()), &ping, Outcome::Rejected, false, None);
        Ok(())
    }
}

impl Rooms {
    /// Whether beacons are listened to.
    pub(in crate::node) fn hears_beacons(&self) -> bool {
        self.lan.as_ref().is_some_and(|lan| lan.is_on())
    }

    /// Whether a beacon is for this installation, and not our own as it comes back from the group. What does not concern us is passed over before anything costly is done.
    fn concerns(&mut self, path: Path, did: &str, beacon: &Beacon<'_>) -> bool {
        let Some(lan) = self.lan.as_deref_mut() else { return false };
        let own = did == self.outbox.did()
            && lan
                .networks
                .iter()
                .any(|network| network.port == path.remote.port() || network.group.socket == path.socket);
        let Some(on) = &mut lan.on else { return false };
        let concerns = !own && beacon.domain == *on.config.discovery.domain;
        on.heard = on.heard.saturating_add(u64::from(!concerns));
        concerns
    }

    /// Hold a beacon against its time, the keys and the rules; the signature comes last.
    fn check_beacon(
        &mut self,
        now: Now,
        policy: &Policy,
        (ingress, packet): (&Ingress<'_>, &Packet<'_>),
        (Texts { sender, timestamp, .. }, beacon): (&Texts<'_>, &Beacon<'_>),
    ) -> Result<Passed, Reject> {
        let Some(lan) = self.lan.as_deref() else { return Err(Reject::NotForUs) };
        if sender.did == self.outbox.did() {
            return Err(Reject::OwnName);
        }
        let stamp = timestamp.resolve(&mut [0; MAX_STAMP]).ok().and_then(iso::parse).ok_or(Reject::BadTimestamp)?;
        match lan.rules.judge(now.wall, sender.did, Some(stamp), beacon, false) {
            Verdict::TooOld => return Err(Reject::Stale),
            Verdict::Future => return Err(Reject::Future),
            Verdict::BadName => return Err(Reject::Malformed),
            Verdict::AutoVouched { .. } | Verdict::Unproven | Verdict::Ask => {}
        }
        let name = self.admission.name(sender.did);
        // Nobody has a session before he is found.
        let require = policy.require.min(Require::Signed);
        let lent = |key| policy.lent(sender.did, key, now.wall);
        let claim = identity::claim(&policy.pins, name, (packet.proof, ingress.session), require, lent)?;
        let judged = policy.judge(now.wall, &sender.subject(), name, claim.proof());
        if is_kept_out(policy, &judged) {
            return Err(Reject::Rood);
        }
        if matches!(claim, Claim::Signed(_) | Claim::Vouched(_, None, _)) && !self.admission.may_verify(now.mono) {
            return Err(Reject::Busy);
        }
        let (auth, _) = claim.verify(packet, ingress.frame.encoding)?;
        if let (Some(named), Some(key)) = (beacon.key_hash, auth.key())
            && named != key_hash(&key)
        {
            return Err(Reject::BadSignature);
        }
        let pinned = matches!(claim, Claim::Signed(Some(_)));
        Ok(Passed { stamp, auth, pinned, zone: judged.zone })
    }
}

/// Longest timestamp that is unescaped.
const MAX_STAMP: usize = 64;

/// Whether a sender is ROOD by somebody's decision: a rule, the operator's trust, a key that contradicts. Who is merely unknown may call: that is what beacons are for.
fn is_kept_out(policy: &Policy, judged: &Judged<'_>) -> bool {
    judged.zone == Zone::Rood
        && (judged.rule.is_some() || judged.source == Source::Known || judged.trust >= policy.gate.config().rood)
}

/// Where the sender of a beacon says that it listens.
fn addr_of(path: Path, beacon: &Beacon<'_>) -> SocketAddr {
    let mut addr = path.remote;
    addr.set_port(beacon.port.unwrap_or(addr.port()));
    addr
}

fn texts_of<'a>(texts: impl Iterator<Item = Text<'a>>) -> Vec<Box<str>> {
    texts.map(|text| text.as_str().map_or_else(|| text.to_string().into(), |plain| plain.to_owned().into())).collect()
}
