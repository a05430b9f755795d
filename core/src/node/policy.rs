//! What the operator decided: whom to trust, which key speaks for whom, what the gate lets through, how to answer.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::NodeConfig;
use super::admission::RoodBecause;
use super::event::Auth;
use super::identity::{FromSession, Lent, Proof, Require};
use super::replies::Replies;
use super::storing::Decisions;
use crate::airlock::{
    AcceptError, Gate, GateError, HeldVouch, LegacyList, RestoreVouchError, Rule, SignedId, SignedVouch, SignedVouches,
    Source, Standing, Subject, TrustTable, VouchChange, VouchConfig, VouchRegistry, glob, unsigned_cap,
};
use crate::framing::{PingType, Zone};
use crate::identity::PublicKey;
use crate::pins::{Judgement, Pins};
use crate::time::Wall;
use crate::{Name, Seed, SipKey};

/// The settings that judge a packet. Nothing in here changes when a packet arrives.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) gate: Gate,
    pub(super) trust: TrustTable,
    /// Of those, what was decided while the node ran, or in an earlier life of it.
    pub(super) decisions: Decisions,
    /// Made with the first vouch.
    vouches: Option<Box<Vouches>>,
    /// What it is made of.
    vouching: (VouchConfig, SipKey),
    /// What names of senders are hashed with.
    names: SipKey,
    pub(super) legacy: LegacyList,
    pub(super) replies: Replies,
    pub(super) pins: Pins,
    /// Names whose first key is believed, if there are any.
    pub(super) first_use: Option<Box<LegacyList>>,
    pub(super) require: Require,
    /// Something was decided since the sessions that there are were judged.
    doubts_sessions: bool,
}

/// Who vouches for whom: as the operator says, and as was signed.
#[derive(Debug)]
struct Vouches {
    told: VouchRegistry,
    signed: SignedVouches,
    /// Trust or pins have changed since the signed ones were judged.
    stale: bool,
}

/// How the gate judged a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged<'p> {
    pub(super) zone: Zone,
    /// How far the sender is trusted, after the cap for unsigned packets.
    pub(super) trust: f64,
    pub(super) source: Source,
    pub(super) rule: Option<&'p str>,
}

impl Policy {
    /// `names` is the key that the names of senders are hashed with.
    pub(super) fn new(config: &NodeConfig, seed: &Seed, names: &SipKey) -> Result<Self, GateError> {
        let mut keys = seed.fork("node.policy");
        Ok(Self {
            gate: Gate::new(config.gate)?,
            trust: TrustTable::new(config.trust, names.clone()),
            decisions: Decisions::default(),
            vouches: None,
            vouching: (config.vouches, keys.sip_key()),
            names: names.clone(),
            legacy: LegacyList::default(),
            replies: Replies::new(config.caps.replies, config.caps.reply_bytes),
            pins: Pins::new(config.pins, names.clone()),
            first_use: None,
            require: config.require,
            doubts_sessions: false,
        })
    }

    /// Whether the first key of this name is believed.
    pub(super) fn believes_first(&self, did: &str) -> bool {
        self.first_use.as_ref().is_some_and(|names| names.allows(did))
    }

    /// Whether what came through this session came from who has this name, for certain: its key is pinned to it. What others write in that name into a session of their own proves nothing.
    pub(super) fn is_certain(&self, did: &str, session: Option<&FromSession>) -> bool {
        let pin = self.pins.get(did).filter(|pin| !pin.revoked);
        pin.zip(session).is_some_and(|(pin, session)| pin.key == session.key)
    }

    /// Whether an answer in this name, to a question of the node's own, could be believed: its key is pinned, is to be learned from the first answer, or none is demanded.
    pub(super) fn may_believe(&self, did: &str) -> bool {
        match self.pins.get(did) {
            Some(pin) => !pin.revoked,
            None => self.believes_first(did) || self.legacy.allows(did),
        }
    }

    /// Whether an answer with this proof is believed to be of this name. One that is pinned by its first answer is pinned by then.
    pub(super) fn believes(&self, name: Name<'_>, auth: Auth) -> bool {
        match auth.key() {
            Some(key) if self.pins.judge_name(name, key) == Judgement::Pinned => true,
            _ => self.pins.get_name(name).is_none() && self.legacy.allows(name.as_str()),
        }
    }

    /// Trust of the sender, rules and thresholds; and what its proof is worth, in this order.
    pub(super) fn judge(&self, now: Wall, subject: &Subject<'_>, sender: Name<'_>, proof: Proof) -> Judged<'_> {
        let Standing { mut trust, mut source } = self.standing_of(sender, now);
        if let Proof::Vouched(lent) = proof
            && source != Source::Known
            && lent.trust > trust
        {
            (trust, source) = (lent.trust, lent.source());
        }
        let verdict = self.gate.judge(subject, trust);
        let (zone, trust) = match proof {
            Proof::Contradicted => (Zone::Rood, trust),
            Proof::Pinned | Proof::Vouched(_) => (verdict.zone, trust),
            Proof::Nothing if self.legacy.allows(subject.source_did) => (verdict.zone, trust),
            Proof::Nothing => unsigned_cap(verdict.zone, trust, self.gate.config()),
        };
        Judged { zone, trust, source, rule: verdict.rule }
    }

    /// Why there may be no session with this sender: nothing that it could send would pass. A rule that lets some of it in is reason enough, so
    /// that rules about intents hold within sessions as without; and so is, with the pinned key and no word of the operator's against it, that there was a session before: it
    /// has to be renewed by both sides, also where only one of them asks.
    pub(super) fn judge_any(&self, now: Wall, sender: Name<'_>, proof: Proof, speaks: bool) -> Option<RoodBecause<'_>> {
        let did = sender.as_str();
        let subject = Subject { source_did: did, intent: "", pod_id: None, ping_type: PingType::Intent };
        let judged = self.judge(now, &subject, sender, proof);
        let lets_in = |rule: &Rule<String>| {
            rule.zone != Zone::Rood && rule.source_did.as_ref().is_none_or(|pattern| glob::matches(pattern, did))
        };
        let unknown = judged.source != Source::Known && judged.rule.is_none();
        let may = judged.zone != Zone::Rood
            || (proof == Proof::Pinned && speaks && unknown)
            || self.gate.rules().iter().any(lets_in);
        if may { None } else { Some(self.because(&judged)) }
    }

    /// Whether it is by a word of the operator's that a name is ROOD whatever it asks and proves.
    pub(super) fn shuts_out(&self, now: Wall, name: Name<'_>) -> bool {
        self.judge_any(now, name, Proof::Pinned, true).is_some()
    }

    /// Whether a key is pinned to a name and speaks for it, and the name is not kept out.
    pub(super) fn speaks(&self, now: Wall, name: Name<'_>) -> bool {
        self.pins.get_name(name).is_some_and(|pin| !pin.revoked) && !self.shuts_out(now, name)
    }

    /// Whether the operator trusts a sender by name, and not to keep it out.
    pub(super) fn trusts(&self, judged: &Judged<'_>) -> bool {
        judged.source == Source::Known && judged.trust >= self.gate.config().rood
    }

    /// Why a packet is ROOD.
    pub(super) fn because<'a>(&self, judged: &Judged<'a>) -> RoodBecause<'a> {
        match judged.rule {
            Some(rule) => RoodBecause::Rule(rule),
            None if judged.trust < self.gate.config().rood => RoodBecause::Trust,
            None => RoodBecause::Otherwise,
        }
    }

    /// What is known of a sender: trust set by the operator counts before vouches.
    pub(super) fn standing(&self, did: &str, now: Wall) -> Standing {
        self.standing_of(self.names.name(did), now)
    }

    fn standing_of(&self, name: Name<'_>, now: Wall) -> Standing {
        Standing::of_name(name, &self.trust, self.vouches.as_ref().map(|vouches| &vouches.told), now)
    }

    fn vouches(&mut self) -> &mut Vouches {
        let (config, key) = &self.vouching;
        self.vouches.get_or_insert_with(|| {
            let (told, signed) = (VouchRegistry::new(*config, key.clone()), SignedVouches::new(*config, key.clone()));
            Box::new(Vouches { told, signed, stale: false })
        })
    }

    /// Who vouches for whom, as the operator says.
    pub(super) fn registry(&mut self) -> &mut VouchRegistry {
        &mut self.vouches().told
    }

    /// Forget a vouch; false when there is none with this id.
    pub(super) fn revoke_vouch(&mut self, id: &str) -> bool {
        self.doubt_sessions();
        self.vouches.as_mut().is_some_and(|vouches| vouches.told.revoke(id))
    }

    /// What signed vouches lend to this name with this key.
    pub(super) fn lent(&self, did: &str, key: PublicKey, now: Wall) -> Option<Lent> {
        let (trust, count) = self.vouches.as_ref()?.signed.trust_for(did, key, now)?;
        Some(Lent { trust, count })
    }

    /// Whether the operator has decided something about this name, or somebody has vouched for it, without its having anything to do with this key.
    pub(super) fn is_of_another(&self, did: &str, key: PublicKey, now: Wall) -> bool {
        let has_rule = |rule: &Rule<String>| rule.source_did.as_deref() == Some(did);
        self.standing(did, now).source != Source::Unknown
            || self.gate.rules().iter().any(has_rule)
            || self.vouches.as_ref().is_some_and(|vouches| vouches.signed.names_with_another_key(did, key, now))
    }

    /// Take in a signed vouch.
    pub(super) fn accept_vouch(&mut self, now: Wall, vouch: &SignedVouch<'_>) -> Result<VouchChange, AcceptError> {
        self.vouches();
        let Self { vouches, pins, trust, .. } = self;
        vouches.as_mut().map_or(Err(AcceptError::Unknown), |vouches| vouches.signed.accept(now, vouch, pins, trust))
    }

    /// Whether a signed vouch of just these bytes is held.
    pub(super) fn knows_vouch(&self, bytes: &[u8]) -> bool {
        let id = bytes.get(8..24).and_then(|id| <SignedId>::try_from(id).ok());
        let held = id.zip(self.vouches.as_ref()).and_then(|(id, vouches)| vouches.signed.get(&id));
        held.is_some_and(|held| held.vouch.as_bytes() == bytes)
    }

    pub(super) fn signed_vouches(&mut self) -> &mut SignedVouches {
        &mut self.vouches().signed
    }

    pub(super) fn held_vouches(&self) -> impl Iterator<Item = HeldVouch<'_>> {
        self.vouches.iter().flat_map(|vouches| vouches.signed.iter())
    }

    /// Something was decided that may let somebody in no more: sessions are to be judged anew.
    pub(super) const fn doubt_sessions(&mut self) {
        self.doubts_sessions = true;
    }

    /// Whether they are to be.
    pub(super) const fn doubts_sessions(&self) -> bool {
        self.doubts_sessions
    }

    /// They are judged from now on.
    pub(super) const fn end_doubt_of_sessions(&mut self) {
        self.doubts_sessions = false;
    }

    /// Trust or pins have changed: signed vouches are to be judged anew, and so are sessions.
    pub(super) fn doubt_vouches(&mut self) {
        self.doubt_sessions();
        self.vouches.iter_mut().for_each(|vouches| vouches.stale = true);
    }

    /// Whether they are to be.
    pub(super) fn doubts_vouches(&self) -> bool {
        self.vouches.as_ref().is_some_and(|vouches| vouches.stale)
    }

    /// Judge signed vouches anew if that is due.
    pub(super) fn refresh_vouches(&mut self, now: Wall) -> Vec<VouchChange> {
        let Self { vouches, pins, trust, .. } = self;
        let Some(vouches) = vouches.as_deref_mut().filter(|vouches| vouches.stale) else { return Vec::new() };
        vouches.stale = false;
        self.doubts_sessions = true;
        vouches.signed.refresh(now, pins, trust)
    }

    /// Drop signed vouches that are over.
    pub(super) fn expire_vouches(&mut self, now: Wall) -> Vec<VouchChange> {
        let expired = self.vouches.as_mut().map_or_else(Vec::new, |vouches| vouches.signed.expire(now));
        self.doubts_sessions |= !expired.is_empty();
        expired
    }

    /// Take back that a signed vouch was taken in.
    pub(super) fn undo_vouch(&mut self, change: &VouchChange) {
        self.vouches.iter_mut().for_each(|vouches| _ = vouches.signed.undo(change));
    }

    /// Take in a signed vouch that was kept, or that one was revoked.
    pub(super) fn restore_vouch(&mut self, now: Wall, key: &[u8], value: &[u8]) -> Result<bool, RestoreVouchError> {
        let vouches = self.vouches();
        // What it was taken in for was another life's trust and pins.
        vouches.stale = true;
        vouches.signed.restore(now, key, value)
    }
}
