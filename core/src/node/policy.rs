//! What the operator decided: whom to trust, what the gate lets through, how to answer.

use super::NodeConfig;
use super::admission::RoodBecause;
use super::ingress::Auth;
use super::replies::Replies;
use crate::airlock::{Gate, GateError, LegacyList, Source, Standing, Subject, TrustTable, VouchRegistry, unsigned_cap};
use crate::framing::Zone;
use crate::identity::PublicKey;
use crate::time::Wall;
use crate::{Name, Seed, SipKey};

/// The settings that judge a packet. Nothing in here changes when a packet arrives.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) gate: Gate,
    pub(super) trust: TrustTable,
    pub(super) vouches: VouchRegistry,
    pub(super) legacy: LegacyList,
    pub(super) replies: Replies,
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

/// What the proof that a packet bears says about its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// No key is pinned to the name, so whatever key signed, it could be anybody's.
    Nothing,
    /// The key that is pinned to the name signed.
    Pinned,
    /// A key is pinned to the name, and did not sign.
    Contradicted,
}

impl Proof {
    fn of(auth: Auth, pinned: Option<PublicKey>) -> Self {
        match pinned {
            None => Self::Nothing,
            Some(pinned) if auth.key() == Some(pinned) => Self::Pinned,
            Some(_) => Self::Contradicted,
        }
    }
}

impl Policy {
    /// `names` is the key that the names of senders are hashed with.
    pub(super) fn new(config: &NodeConfig, seed: &Seed, names: &SipKey) -> Result<Self, GateError> {
        let mut keys = seed.fork("node.policy");
        Ok(Self {
            gate: Gate::new(config.gate)?,
            trust: TrustTable::new(config.trust, names.clone()),
            vouches: VouchRegistry::new(config.vouches, keys.sip_key()),
            legacy: LegacyList::default(),
            replies: Replies::new(config.caps.replies, config.caps.reply_bytes),
        })
    }

    /// Trust of the sender, rules and thresholds; and what its proof is worth, in this order.
    pub(super) fn judge(&self, now: Wall, subject: &Subject<'_>, sender: Name<'_>, auth: Auth) -> Judged<'_> {
        let Standing { trust, source } = Standing::of_name(sender, &self.trust, &self.vouches, now);
        let verdict = self.gate.judge(subject, trust);
        let (zone, trust) = match Proof::of(auth, self.pinned(sender)) {
            Proof::Contradicted => (Zone::Rood, trust),
            Proof::Pinned => (verdict.zone, trust),
            Proof::Nothing if self.legacy.allows(subject.source_did) => (verdict.zone, trust),
            Proof::Nothing => unsigned_cap(verdict.zone, trust, self.gate.config()),
        };
        Judged { zone, trust, source, rule: verdict.rule }
    }

    /// The key that is pinned to a name. There are no pins yet: the table of them belongs here.
    #[allow(clippy::unused_self, reason = "the table of pins belongs here")]
    const fn pinned(&self, _: Name<'_>) -> Option<PublicKey> {
        None
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
        Standing::of(did, &self.trust, &self.vouches, now)
    }
}

#[cfg(test)]
mod tests {
    use super::{Auth, Proof};
    use crate::identity::SecretKey;
    use crate::table::SlotId;

    #[test]
    fn a_proof_is_worth_something_only_to_a_name_with_a_pin() {
        let key = |n| SecretKey::from_seed(&[n; 32]).public();
        let session = SlotId::from_bits(1);
        for auth in [Auth::Unsigned, Auth::Signed(key(1)), Auth::Session(session, key(1))] {
            assert_eq!(Proof::of(auth, None), Proof::Nothing);
            assert_eq!(Proof::of(auth, Some(key(2))), Proof::Contradicted);
        }
        assert_eq!(Proof::of(Auth::Unsigned, Some(key(1))), Proof::Contradicted);
        assert_eq!(Proof::of(Auth::Signed(key(1)), Some(key(1))), Proof::Pinned);
        assert_eq!(Proof::of(Auth::Session(session, key(1)), Some(key(1))), Proof::Pinned);
    }
}
