//! What the operator decided: whom to trust, which key speaks for whom, what the gate lets through, how to answer.

use alloc::boxed::Box;
use alloc::string::String;

use super::NodeConfig;
use super::admission::RoodBecause;
use super::identity::{Proof, Require};
use super::replies::Replies;
use super::storing::Decisions;
use crate::airlock::{
    Gate, GateError, LegacyList, Rule, Source, Standing, Subject, TrustTable, VouchConfig, VouchRegistry, glob,
    unsigned_cap,
};
use crate::framing::{PingType, Zone};
use crate::pins::Pins;
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
    vouches: Option<Box<VouchRegistry>>,
    /// What it is made of.
    vouching: (VouchConfig, SipKey),
    /// What names of senders are hashed with.
    names: SipKey,
    pub(super) legacy: LegacyList,
    pub(super) replies: Replies,
    pub(super) pins: Pins,
    /// Names whose first key is believed.
    pub(super) first_use: LegacyList,
    pub(super) require: Require,
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
            decisions: Decisions::new(),
            vouches: None,
            vouching: (config.vouches, keys.sip_key()),
            names: names.clone(),
            legacy: LegacyList::default(),
            replies: Replies::new(config.caps.replies, config.caps.reply_bytes),
            pins: Pins::new(config.pins, names.clone()),
            first_use: LegacyList::default(),
            require: config.require,
        })
    }

    /// Trust of the sender, rules and thresholds; and what its proof is worth, in this order.
    pub(super) fn judge(&self, now: Wall, subject: &Subject<'_>, sender: Name<'_>, proof: Proof) -> Judged<'_> {
        let Standing { trust, source } = Standing::of_name(sender, &self.trust, self.vouches.as_deref(), now);
        let verdict = self.gate.judge(subject, trust);
        let (zone, trust) = match proof {
            Proof::Contradicted => (Zone::Rood, trust),
            Proof::Pinned => (verdict.zone, trust),
            Proof::Nothing if self.legacy.allows(subject.source_did) => (verdict.zone, trust),
            Proof::Nothing => unsigned_cap(verdict.zone, trust, self.gate.config()),
        };
        Judged { zone, trust, source, rule: verdict.rule }
    }

    /// Why there may be no session with this sender: nothing that it could send would pass. A rule that lets some of it in is reason enough, so
    /// that rules about intents hold within sessions as without; and so is, with the pinned key and no word of the operator's against it, that there was a session before: it
    /// has to be renewed by both sides, also where only one of them asks.
    pub(super) fn judge_any(&self, now: Wall, sender: Name<'_>, pinned: bool, speaks: bool) -> Option<RoodBecause<'_>> {
        let did = sender.as_str();
        let subject = Subject { source_did: did, intent: "", pod_id: None, ping_type: PingType::Intent };
        let proof = if pinned { Proof::Pinned } else { Proof::Nothing };
        let judged = self.judge(now, &subject, sender, proof);
        let lets_in = |rule: &Rule<String>| {
            rule.zone != Zone::Rood && rule.source_did.as_ref().is_none_or(|pattern| glob::matches(pattern, did))
        };
        let unknown = judged.source != Source::Known && judged.rule.is_none();
        let may = judged.zone != Zone::Rood || (pinned && speaks && unknown) || self.gate.rules().iter().any(lets_in);
        if may { None } else { Some(self.because(&judged)) }
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
        Standing::of_name(self.names.name(did), &self.trust, self.vouches.as_deref(), now)
    }

    /// Who vouches for whom.
    pub(super) fn registry(&mut self) -> &mut VouchRegistry {
        let (config, key) = &self.vouching;
        self.vouches.get_or_insert_with(|| Box::new(VouchRegistry::new(*config, key.clone())))
    }

    /// Forget a vouch; false when there is none with this id.
    pub(super) fn revoke_vouch(&mut self, id: &str) -> bool {
        self.vouches.as_mut().is_some_and(|vouches| vouches.revoke(id))
    }
}
