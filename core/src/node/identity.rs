//! Who a node is, and who vouches for what it hears: its own key, the keys pinned to names, and what that makes of a packet.

use alloc::sync::Arc;
use core::fmt;

use super::event::Auth;
use crate::airlock::Source;
use crate::data::hex;
use crate::framing::{Digest, Encoding, Packet, ProofError, Response, Text};
use crate::identity::{PublicKey, SecretKey, Signer};
use crate::noise::X25519Secret;
use crate::pins::{Judgement, Pins};
use crate::session::SessionId;
use crate::time::{Duration, Instant};
use crate::{Name, Reject};

/// The key that a node signs with. Cheap to clone; never printed.
#[derive(Clone)]
pub struct Identity(Arc<Keys>);

struct Keys {
    signer: Arc<dyn Signer + Send + Sync>,
    /// What sessions need beside it.
    statics: Option<X25519Secret>,
}

impl Identity {
    /// Whatever signs: a [`SecretKey`], a chip, a service that answers at once. Sessions take an identity [with a static key](Self::with_static).
    pub fn new(signer: impl Signer + Send + Sync + 'static) -> Self {
        Self(Arc::new(Keys { signer: Arc::new(signer), statics: None }))
    }

    /// The same with the static key of its sessions. Peers that have pinned the identity expect the key that [belongs to it](X25519Secret::of_identity); with another one
    /// sessions come up only where the peer asks without knowing the key.
    pub fn with_static(signer: impl Signer + Send + Sync + 'static, statics: X25519Secret) -> Self {
        Self(Arc::new(Keys { signer: Arc::new(signer), statics: Some(statics) }))
    }

    /// The key by which others know the node.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.0.signer.public()
    }

    pub(super) fn signer(&self) -> &(dyn Signer + Send + Sync) {
        &*self.0.signer
    }

    pub(super) fn has_static(&self) -> bool {
        self.0.statics.is_some()
    }

    /// What sessions are made with; `None` without a static key.
    pub(super) fn for_sessions(&self) -> Option<(Arc<dyn Signer + Send + Sync>, X25519Secret)> {
        Some((self.0.signer.clone(), self.0.statics.clone()?))
    }
}

/// With the static key that belongs to it.
impl From<SecretKey> for Identity {
    fn from(key: SecretKey) -> Self {
        let statics = X25519Secret::of_identity(&key);
        Self::with_static(key, statics)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.public())
    }
}

/// What others have to prove before a node listens to them at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Require {
    /// Nothing: who signs nothing is judged by name, as far as no key is pinned to it.
    #[default]
    Nothing,
    /// A signature by whatever key, or a session: what has neither is turned away, whatever rules and legacy patterns say.
    Signed,
    /// A session, with whatever key: what does not come through one is turned away.
    Session,
}

/// The session that something came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FromSession {
    pub(super) id: SessionId,
    /// Who is at its other side.
    pub(super) key: PublicKey,
    /// It rode in a first message, whose sender has not shown yet to hear us at its address.
    pub(super) early: bool,
}

/// What the proof that a packet bears says about its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Proof {
    /// No key is pinned to the name, so whatever key signed, it could be anybody's.
    Nothing,
    /// A signed vouch names the key that signed together with the name, and lends it trust.
    Vouched(Lent),
    /// The key that is pinned to the name signed.
    Pinned,
    /// A key is pinned to the name, and did not sign.
    Contradicted,
}

/// What signed vouches, or its own score, lend to a name with a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lent {
    pub(super) trust: f64,
    /// How many vouches name it; none: it is its score.
    pub(super) count: u32,
}

impl Lent {
    /// Where it comes from.
    pub(super) const fn source(self) -> Source {
        match self.count {
            0 => Source::Score,
            count => Source::Vouched { count },
        }
    }
}

/// What a packet claims to bear, as far as that can be told without arithmetic on the curve.
#[derive(Clone, Copy, Debug)]
pub(super) enum Claim {
    /// No signature, and none is needed.
    Unsigned,
    /// A signature that is to be verified: by the pinned key, or by whatever key it names.
    Signed(Option<PublicKey>),
    /// It came through a session; whether its key is pinned to the name.
    Session(FromSession, bool),
    /// A signed vouch names the key with which it is signed, or that of its session.
    Vouched(PublicKey, Option<FromSession>, Lent),
}

impl Claim {
    /// What it is worth if it holds.
    pub(super) const fn proof(self) -> Proof {
        match self {
            Self::Unsigned | Self::Signed(None) | Self::Session(_, false) => Proof::Nothing,
            Self::Signed(Some(_)) | Self::Session(_, true) => Proof::Pinned,
            Self::Vouched(_, _, lent) => Proof::Vouched(lent),
        }
    }

    /// What it says, as a simulation believes it where nothing is verified.
    pub(super) const fn unverified(self) -> Auth {
        match self {
            Self::Session(FromSession { id, key, .. }, _) => Auth::Session(id, key),
            Self::Vouched(key, Some(FromSession { id, .. }), _) => Auth::Session(id, key),
            Self::Signed(Some(key)) | Self::Vouched(key, None, _) => Auth::Signed(key),
            Self::Unsigned | Self::Signed(None) => Auth::Unsigned,
        }
    }

    /// Verify it. Also returns the digest of the ping if it had to be made, since who signs the answer needs the same.
    pub(super) fn verify(self, packet: &Packet<'_>, encoding: Encoding) -> Result<(Auth, Option<Digest>), Reject> {
        match self {
            Self::Unsigned => Ok((Auth::Unsigned, None)),
            Self::Session(FromSession { id, key, .. }, _) | Self::Vouched(key, Some(FromSession { id, .. }), _) => {
                Ok((Auth::Session(id, key), None))
            }
            Self::Vouched(key, None, _) => Self::Signed(Some(key)).verify(packet, encoding),
            Self::Signed(expected) => {
                let digest = packet.digest(encoding).map_err(|_| Reject::BadSignature)?;
                let key = packet.verify_digest(&digest, expected.as_ref()).map_err(|why| reject_of(&why))?;
                Ok((Auth::Signed(key), Some(digest)))
            }
        }
    }
}

/// The key that a proof names, unchecked.
fn named(proof: Text<'_>) -> Result<[u8; 32], Reject> {
    let mut key = [0; 32];
    let digits = proof.as_str().and_then(|text| text.as_bytes().get(..64));
    digits.and_then(|digits| hex::parse(digits, &mut key)).ok_or(Reject::BadSignature)?;
    Ok(key)
}

/// Whether this key may speak under this name by now: whether it is pinned to it, or why not.
pub(super) fn judge_key(pins: &Pins, name: Name<'_>, key: PublicKey) -> Result<bool, Reject> {
    match pins.judge_name(name, key) {
        Judgement::Pinned => Ok(true),
        Judgement::Unpinned => Ok(false),
        Judgement::OtherKey => Err(Reject::Unpinned),
        Judgement::Retired => Err(Reject::Revoked),
    }
}

/// What a ping of this name claims to prove, or why it cannot be true.
pub(super) fn claim(
    pins: &Pins,
    name: Name<'_>,
    (proof, session): (Option<Text<'_>>, Option<FromSession>),
    require: Require,
    lent: impl Fn(PublicKey) -> Option<Lent>,
) -> Result<Claim, Reject> {
    if let Some(session) = session {
        let pinned = judge_key(pins, name, session.key)?;
        let lent = if pinned { None } else { lent(session.key) };
        return Ok(match lent {
            Some(lent) => Claim::Vouched(session.key, Some(session), lent),
            None => Claim::Session(session, pinned),
        });
    }
    if require >= Require::Session {
        return Err(Reject::BadSignature);
    }
    let pin = pins.get_name(name);
    let Some(proof) = proof else {
        let wanted = require >= Require::Signed || pin.is_some();
        return if wanted { Err(Reject::BadSignature) } else { Ok(Claim::Unsigned) };
    };
    let named = named(proof)?;
    match pin {
        Some(pin) if pin.key.as_bytes() == &named && !pin.revoked => Ok(Claim::Signed(Some(pin.key))),
        Some(pin) if pin.key.as_bytes() == &named => Err(Reject::Revoked),
        _ if pins.is_retired_bytes(&named) => Err(Reject::Revoked),
        Some(_) => Err(Reject::Unpinned),
        None => {
            // Compared only: what a vouch names was checked.
            let key = PublicKey::checked(named);
            Ok(lent(key).map_or(Claim::Signed(None), |lent| Claim::Vouched(key, None, lent)))
        }
    }
}

/// Who gave an answer in this name to the ping with this digest.
pub(super) fn verify_answer(
    pins: &Pins,
    name: Name<'_>,
    (response, encoding, session): (&Response<'_>, Encoding, Option<FromSession>),
    ping: Option<&Digest>,
    require: Require,
) -> Result<Auth, Reject> {
    match (claim(pins, name, (response.proof, session), require, |_| None)?, ping) {
        (Claim::Unsigned | Claim::Vouched(..), _) => Ok(Auth::Unsigned),
        (Claim::Session(FromSession { id, key, .. }, _), _) => Ok(Auth::Session(id, key)),
        (Claim::Signed(expected), Some(ping)) => {
            response.verify(encoding, ping, expected.as_ref()).map(Auth::Signed).map_err(|why| reject_of(&why))
        }
        // A proof to a ping whose digest was not kept proves nothing: no key was pinned when it was sent, and none demanded.
        (Claim::Signed(None), None) if require < Require::Signed => Ok(Auth::Unsigned),
        (Claim::Signed(_), None) => Err(Reject::BadSignature),
    }
}

/// What a proof that was found to hold says of a name by now.
pub(super) fn proof_of(pins: &Pins, name: Name<'_>, auth: Auth, lent: impl Fn(PublicKey) -> Option<Lent>) -> Proof {
    match auth.key().map(|key| pins.judge_name(name, key)) {
        None if pins.get_name(name).is_some() => Proof::Contradicted,
        None => Proof::Nothing,
        Some(Judgement::Unpinned) => auth.key().and_then(lent).map_or(Proof::Nothing, Proof::Vouched),
        Some(Judgement::Pinned) => Proof::Pinned,
        Some(Judgement::OtherKey | Judgement::Retired) => Proof::Contradicted,
    }
}

const fn reject_of(why: &ProofError) -> Reject {
    match why {
        ProofError::OtherKey => Reject::Unpinned,
        _ => Reject::BadSignature,
    }
}

/// How often something that strangers bring about may happen in a time: signatures of unproven addresses are verified for a bounded share of a processor, names
/// are pinned at first sight so seldom that nobody fills the table.
#[derive(Debug)]
pub(super) struct Budget<const SECONDS: u64> {
    most: u32,
    left: u32,
    since: Instant,
}

impl<const SECONDS: u64> Budget<SECONDS> {
    pub(super) const fn new(most: u32) -> Self {
        Self { most, left: most, since: Instant::ZERO }
    }

    /// Whether any is left.
    pub(super) fn has(&mut self, now: Instant) -> bool {
        if now.saturating_since(self.since) >= Duration::from_secs(SECONDS) {
            (self.left, self.since) = (self.most, now);
        }
        self.left > 0
    }

    /// Take one; `false` when those of this time are used up.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let some = self.has(now);
        self.left = self.left.saturating_sub(1);
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Statement;
    use crate::pins::{Origin, PinConfig};
    use crate::{Duration, Seed};

    #[test]
    fn a_proof_is_worth_something_only_to_a_name_with_a_pin() {
        let secret = |n| SecretKey::from_seed(&[n; 32]);
        let key = |n| secret(n).public();
        let names = Seed::from_u64(1).fork("names").sip_key();
        let mut pins = Pins::new(PinConfig::default(), names.clone());
        let name = names.name("jis:a");
        for auth in [Auth::Unsigned, Auth::Signed(key(1))] {
            assert_eq!(proof_of(&pins, name, auth, |_| None), Proof::Nothing);
        }
        let _ = pins.pin("jis:a", key(2), Origin::Operator, 0).unwrap();
        for auth in [Auth::Unsigned, Auth::Signed(key(1))] {
            assert_eq!(proof_of(&pins, name, auth, |_| None), Proof::Contradicted);
        }
        assert_eq!(proof_of(&pins, name, Auth::Signed(key(2)), |_| None), Proof::Pinned);
        let _ = pins.retire(&Statement::revocation(&secret(2), 1).unwrap(), true).unwrap();
        assert_eq!(proof_of(&pins, name, Auth::Signed(key(2)), |_| None), Proof::Contradicted);
        assert_eq!(proof_of(&pins, names.name("jis:b"), Auth::Signed(key(2)), |_| None), Proof::Contradicted);
    }

    #[test]
    fn strangers_have_so_many_signatures_verified_a_second() {
        let mut budget = Budget::<1>::new(3);
        let at = |millis| Instant::ZERO + Duration::from_millis(millis);
        assert_eq!([0, 1, 2, 3, 999].map(|millis| budget.take(at(millis))), [true, true, true, false, false]);
        assert!(budget.take(at(1000)));
    }
}
