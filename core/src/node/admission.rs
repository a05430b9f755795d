//! Admission: which packets are taken in. Gate and replay window, in the order that protects.
//!
//! A packet that the gate turns away leaves nothing but a counter (and, on request, the name of the last one). Nothing is
//! remembered of a packet before [`admit`](AdmissionControl::admit).

use alloc::boxed::Box;
use alloc::string::String;

use super::NodeConfig;
use super::circuits;
use super::event::Auth;
use super::faults::Faults;
use super::identity::{self, Budget, Claim, FromSession, Proof, Require};
use super::inbox;
use super::ingress::{Ingress, Sender, Texts};
use super::links::Standing;
use super::overlay::{self, Overlay};
use super::peers::{PeerLookup, Peers};
use super::policy::{Judged, Policy};
use crate::airlock::replay::Origin;
use crate::airlock::{Admission, Rank, ReplayWindow, Source};
use crate::framing::{Digest, Packet, PingType, Zone};
use crate::identity::PublicKey;
use crate::limits::BROADCAST;
use crate::time::{Instant, Now, Wall, iso};
use crate::{Name, Path, Reject, SipKey, check_did, session};

/// Longest timestamp that is unescaped; one without escapes may be longer.
const MAX_STAMP: usize = 64;

/// The gate's memory: what was taken in, and who was turned away last.
#[derive(Debug)]
pub(super) struct AdmissionControl {
    /// Hashes names, for every table that keeps anything under a name.
    names: SipKey,
    replay: ReplayWindow,
    /// How many signatures of strangers may still be verified.
    verifications: Budget<1>,
    /// How many names may be pinned at first sight in a minute.
    most_first_uses: u32,
    /// How many still may; made when the first of them asks.
    first_uses: Option<Box<Budget<60>>>,
    /// Who met silence last, where that is kept.
    last_rood: Option<Box<LastRood>>,
    /// Nothing, outside of a simulation.
    faults: Faults,
}

/// For whom a packet is that is to be judged.
pub(super) enum Bound<'b> {
    /// For us; the first key of its source may be pinned.
    Here {
        /// Whether it may.
        may_pin: bool,
    },
    /// To be passed on.
    Elsewhere {
        /// Also for a source that is ROOD for no other reason than that it is unknown.
        unknown_too: bool,
        /// It comes from the address of a neighbour, for which so many signatures more are verified than for all others.
        reserve: Option<&'b mut Budget<1>>,
    },
}

/// A packet that passed the gate and the replay window, and what was learned on the way.
pub(super) struct Passed<'a> {
    pub(super) sender: Sender<'a>,
    pub(super) seat: PeerLookup<'a>,
    pub(super) judged: Judged<'a>,
    pub(super) rank: Rank,
    pub(super) auth: Auth,
    /// What the proof that it bears covers; `None` if it bears none.
    pub(super) digest: Option<Digest>,
    /// The key that signed, where it is the first of its name and the operator has it believed: to be pinned before anything else happens.
    pub(super) first_use: Option<PublicKey>,
    /// Always there, outside of a simulation.
    admission: Option<Admission>,
}

impl Passed<'_> {
    /// When it was made, by its sender's clock.
    pub(super) fn stamp(&self) -> Option<Wall> {
        self.admission.as_ref().map(Admission::stamp)
    }
}

impl AdmissionControl {
    /// Nothing was taken in yet.
    pub(super) fn new(config: &NodeConfig, names: SipKey, faults: Faults) -> Self {
        let mut replay = ReplayWindow::new(config.replay, names.clone());
        if let Some(floor) = config.not_before {
            replay.raise_floor(floor);
        }
        let verifications = Budget::new(config.caps.verifications);
        let last_rood = config.keep_last_rood.then(Box::default);
        let most_first_uses = config.caps.first_uses;
        Self { names, replay, verifications, most_first_uses, first_uses: None, last_rood, faults }
    }

    /// Take nothing stamped up to this.
    pub(super) fn raise_floor(&mut self, floor: Wall) {
        self.replay.raise_floor(floor);
    }

    /// Whether a stored floor is to be passed over.
    pub(super) fn forgets_floor(&self) -> bool {
        self.faults.forget_floor()
    }

    /// A name with its hash.
    pub(super) fn name<'a>(&self, name: &'a str) -> Name<'a> {
        self.names.name(name)
    }

    /// The key that names are hashed with.
    pub(super) const fn names(&self) -> &SipKey {
        &self.names
    }

    /// Whether a packet that came to `own` may be taken in, or on. Nothing but the last ROOD sender is remembered of it.
    #[inline]
    pub(super) fn check<'a>(
        &mut self,
        (policy, peers, overlay): (&'a Policy, &Peers, Option<&Overlay>),
        own: &str,
        now: Now,
        (ingress, packet): (&Ingress<'_>, &Packet<'_>),
        (texts, bound): (Texts<'a>, Bound<'_>),
    ) -> Result<Passed<'a>, Reject> {
        let (may_pin, unknown_too, reserve) = match bound {
            Bound::Here { may_pin } => (may_pin, false, None),
            Bound::Elsewhere { unknown_too, reserve } => (false, unknown_too, reserve),
        };
        let Texts { sender, nonce, timestamp } = texts;
        check_did(sender.did).map_err(|_| Reject::Malformed)?;
        if sender.did == own {
            return Err(Reject::OwnName);
        }
        let name = self.names.name(sender.did);
        let lent = |key| overlay::lent(policy, overlay, sender.did, key, now.wall);
        // Sessions over relays begin with a ping that is signed, by a key that is pinned; nothing of it reaches the application.
        let opens = circuits::asks(sender) && policy.pins.get_name(name).is_some_and(|pin| !pin.revoked);
        let require = if opens { policy.require.min(Require::Signed) } else { policy.require };
        let claim = match identity::claim(&policy.pins, name, (packet.proof, ingress.session), require, lent) {
            Ok(claim) => claim,
            Err(why) => {
                if let Some(last) = &mut self.last_rood {
                    last.set(sender.did, ingress.path, RoodBecause::Key(why));
                }
                return Err(why);
            }
        };
        let first_use = matches!(claim, Claim::Signed(None)) && may_pin;
        let proof = if first_use { Proof::Pinned } else { claim.proof() };
        let judged = policy.judge(now.wall, &sender.subject(), name, proof);
        let unknown = judged.source == Source::Unknown && judged.rule.is_none() && proof != Proof::Contradicted;
        match judged.zone {
            Zone::Rood if unknown && unknown_too => {}
            Zone::Rood if !self.faults.answer_rood() => {
                if let Some(last) = &mut self.last_rood {
                    last.set(sender.did, ingress.path, policy.because(&judged));
                }
                return Err(Reject::Rood);
            }
            Zone::Geel if sender.ping_type == PingType::Heartbeat => return Err(Reject::HeartbeatNotAccepted),
            Zone::Rood | Zone::Geel | Zone::Groen => {}
        }

        let mut scratch = [0; MAX_STAMP];
        let stamp = timestamp.resolve(&mut scratch).ok().and_then(iso::parse);
        let stamp = stamp.ok_or(Reject::BadTimestamp)?;
        let remote = ingress.path.remote;
        let seat = peers.look_up_name(name);
        // Who sends under the keys of a session has heard us at its address; that makes it somebody only with a pinned key.
        let proven = matches!(
            claim,
            Claim::Session(FromSession { early: false, .. }, true)
                | Claim::Vouched(_, Some(FromSession { early: false, .. }), _)
        );
        let rank = match proven || peers.is_proven(seat, remote) {
            true => Rank::Proven,
            false if policy.trusts(&judged) => Rank::Trusted,
            false => Rank::Stranger,
        };
        let origin = match rank {
            Rank::Stranger => Origin::Stranger(inbox::address(&self.names, remote)),
            Rank::Trusted => Origin::Trusted,
            Rank::Proven => Origin::Proven,
        };
        let admission = match self.replay.check_name(now, name, nonce, stamp, origin) {
            Ok(admission) => Some(admission),
            Err(_) if self.faults.no_replay_check() => None,
            Err(why) => return Err(why.into()),
        };
        // Last, because it costs most: nothing is remembered of a packet whose signature does not hold.
        let claimed = matches!(claim, Claim::Signed(_) | Claim::Vouched(_, None, _));
        if claimed
            && rank < Rank::Proven
            && !self.may_verify(now.mono)
            && !reserve.is_some_and(|reserve| reserve.take(now.mono))
        {
            return Err(Reject::Busy);
        }
        let (auth, digest) = match claim.verify(packet, ingress.frame.encoding) {
            Err(_) if self.faults.no_signature_check() => (claim.unverified(), None),
            verified => verified?,
        };
        let first_use = auth.key().filter(|_| first_use);
        Ok(Passed { sender, seat, judged, rank, auth, digest, first_use, admission })
    }

    /// Whether there may be a session with this key under this name.
    pub(super) fn check_claim(
        &mut self,
        (policy, overlay): (&Policy, Option<&Overlay>),
        wall: Wall,
        claim: &session::Claim<'_>,
        standing: Standing,
    ) -> Result<(), Reject> {
        let name = self.names.name(claim.did);
        let lent = || overlay::lent(policy, overlay, claim.did, claim.key, wall);
        let proof_of = |pinned| match pinned {
            true => Proof::Pinned,
            false => lent().map_or(Proof::Nothing, Proof::Vouched),
        };
        let why = match identity::judge_key(&policy.pins, name, claim.key) {
            // Who was asked may answer, whatever it might want of us.
            Ok(_) if claim.answers => return Ok(()),
            Ok(false) if standing.crowded => return Err(Reject::Busy),
            Ok(pinned) => match policy.judge_any(wall, name, proof_of(pinned), standing.speaks) {
                None => return Ok(()),
                Some(why) => (why, Reject::Rood),
            },
            Err(why) => (RoodBecause::Key(why), why),
        };
        if let Some(last) = &mut self.last_rood {
            last.set(claim.did, claim.path, why.0);
        }
        Err(why.1)
    }

    /// Whether a packet that goes around the gate is new, by the same window as all others.
    pub(super) fn check_new(
        &self,
        now: Now,
        (name, remote): (Name<'_>, core::net::SocketAddr),
        texts: Texts<'_>,
    ) -> Result<Admission, Reject> {
        let mut scratch = [0; MAX_STAMP];
        let stamp = texts.timestamp.resolve(&mut scratch).ok().and_then(iso::parse);
        let stamp = stamp.ok_or(Reject::BadTimestamp)?;
        let origin = Origin::Stranger(inbox::address(&self.names, remote));
        Ok(self.replay.check_name(now, name, texts.nonce, stamp, origin)?)
    }

    /// Remember such a packet.
    pub(super) fn admit_new(&mut self, admission: Admission) {
        self.replay.admit(admission);
    }

    /// Whether another signature of a stranger may be verified now.
    pub(super) fn may_verify(&mut self, now: Instant) -> bool {
        self.verifications.take(now)
    }

    /// Whether another name may be pinned at first sight now, and if so, that it is.
    pub(super) fn may_pin_first(&mut self, now: Instant, take: bool) -> bool {
        let budget = self.first_uses.get_or_insert_with(|| Box::new(Budget::new(self.most_first_uses)));
        if take { budget.take(now) } else { budget.has(now) }
    }

    /// Whether this target is us, or everyone.
    pub(super) fn is_for(own: &str, packet: &Packet<'_>) -> bool {
        packet.target_did == *own || packet.target_did == *BROADCAST
    }

    /// Remember a packet: it is taken in.
    pub(super) fn admit(&mut self, passed: Passed<'_>) {
        if let Some(admission) = passed.admission {
            self.replay.admit(admission);
        }
    }

    /// Whether a ping that waited may still be let in.
    pub(super) fn still_passes(
        &self,
        (policy, overlay): (&Policy, Option<&Overlay>),
        now: Now,
        ping: &inbox::Inbound,
    ) -> bool {
        let name = self.names.name(ping.did());
        let lent = |key| overlay::lent(policy, overlay, ping.did(), key, now.wall);
        let proof = identity::proof_of(&policy.pins, name, ping.auth(), lent);
        let judged = policy.judge(now.wall, &ping.subject(), name, proof);
        judged.zone != Zone::Rood || self.faults.answer_rood()
    }

    /// The last sender that met silence because it is ROOD.
    pub(super) fn last_rood(&self) -> Option<Rood<'_>> {
        self.last_rood.as_ref()?.get()
    }

    /// How many packets are remembered.
    pub(super) fn nonces(&self) -> usize {
        self.replay.len()
    }

    /// What is switched off in relays and in who reads traces.
    pub(super) fn faults_of_relays(&self) -> crate::relay::Faults {
        self.faults.of_relays()
    }

    #[cfg(feature = "record")]
    pub(super) const fn faults(&self) -> Faults {
        self.faults
    }

    #[cfg(feature = "sim")]
    pub(super) const fn replay(&self) -> &ReplayWindow {
        &self.replay
    }
}

/// The last sender that was turned away as ROOD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rood<'a> {
    /// Its name, or the name that was written.
    pub did: &'a str,
    /// Where it was heard from.
    pub from: Path,
    /// Why.
    pub because: RoodBecause<'a>,
}

/// What made a sender ROOD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoodBecause<'a> {
    /// How far it is trusted: below the threshold.
    Trust,
    /// The rule of this name.
    Rule(&'a str),
    /// No rule matches, and [`GateConfig::otherwise`](crate::airlock::GateConfig::otherwise) is ROOD.
    Otherwise,
    /// It does not prove what it has to: [`BadSignature`](Reject::BadSignature), [`Unpinned`](Reject::Unpinned) or
    /// [`Revoked`](Reject::Revoked).
    Key(Reject),
}

/// One entry, overwritten by the next.
#[derive(Debug, Default)]
struct LastRood {
    did: String,
    rule: String,
    path: Option<Path>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Default)]
enum Kind {
    #[default]
    Trust,
    Rule,
    Otherwise,
    Key(Reject),
}

impl LastRood {
    fn set(&mut self, did: &str, path: Path, because: RoodBecause<'_>) {
        self.did.clear();
        self.did.push_str(did);
        self.rule.clear();
        self.path = Some(path);
        self.kind = match because {
            RoodBecause::Trust => Kind::Trust,
            RoodBecause::Otherwise => Kind::Otherwise,
            RoodBecause::Key(why) => Kind::Key(why),
            RoodBecause::Rule(name) => {
                self.rule.push_str(name);
                Kind::Rule
            }
        };
    }

    fn get(&self) -> Option<Rood<'_>> {
        let because = match self.kind {
            Kind::Trust => RoodBecause::Trust,
            Kind::Rule => RoodBecause::Rule(&self.rule),
            Kind::Otherwise => RoodBecause::Otherwise,
            Kind::Key(why) => RoodBecause::Key(why),
        };
        Some(Rood { did: &self.did, from: self.path?, because })
    }
}
