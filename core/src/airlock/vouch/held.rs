//! Signed vouches that are believed: for whom, with which key, for how long.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::signed::{MAX_DEPTH, SignedId, SignedVouch, VouchRevocation};
use super::{Expiry, Vouch, VouchConfig, VouchError, VouchRegistry};
use crate::airlock::TrustTable;
use crate::data::cursor::Cursor;
use crate::data::hex;
use crate::identity::PublicKey;
use crate::pins::{Judgement, Pins};
use crate::seed::SipKey;
use crate::table::{Chain, Chained, Heap, Index, Slab};
use crate::time::{Duration, Wall};

const HELD: u8 = b's';
const REVOKED: u8 = b'w';
const FORM: u8 = 1;
/// How far ahead of our clock a vouch may have been made.
const SKEW: Duration = Duration::from_secs(60);

/// A change of [`SignedVouches`].
pub type VouchChange = crate::change::Change<SignedId>;

/// Why a vouch is not taken in. It is counted by whoever asked; nothing is kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// Its time is over.
    #[error("the vouch has expired")]
    Expired,
    /// It was made in the future.
    #[error("the vouch was made in the future")]
    Future,
    /// It was taken back.
    #[error("the vouch has been revoked")]
    Revoked,
    /// Another key speaks for who vouches, or the key was retired.
    #[error("the key that signed the vouch does not speak for who vouches")]
    OtherKey,
    /// Who vouches is not trusted by name and key, or was vouched for without being allowed to vouch.
    #[error("who vouches may not vouch here")]
    NotAllowed,
    /// One with its id is known that is not older, or of another key.
    #[error("a vouch with this id is known")]
    Stale,
    /// Somebody else has vouched for one of its names with another key, and the operator does not trust this voucher by name.
    #[error("one of its names was vouched for with another key by somebody else")]
    NameTaken,
    /// It does not fit.
    #[error(transparent)]
    Table(#[from] VouchError),
    /// As many revocations are remembered as may be.
    #[error("too many revoked vouches are remembered")]
    TooManyRevoked,
    /// No such vouch is known.
    #[error("no such vouch is known")]
    Unknown,
}

struct ById;

struct Held {
    id: SignedId,
    bytes: Box<[u8]>,
    /// The vouch by which its voucher may vouch; `None`: the operator trusts him by name.
    parent: Option<SignedId>,
    /// How many levels may follow.
    depth: u8,
    /// Seconds: no later than the parent's.
    expires: u64,
    by_id: Chain,
}

impl Chained<ById> for Held {
    fn chain(&self) -> &Chain {
        &self.by_id
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_id
    }
}

struct Gone {
    id: SignedId,
    /// Seconds: until then somebody might bring it again.
    until: u64,
    by_id: Chain,
}

impl Chained<ById> for Gone {
    fn chain(&self) -> &Chain {
        &self.by_id
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_id
    }
}

/// A vouch in [`SignedVouches`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldVouch<'a> {
    /// What was signed.
    pub vouch: SignedVouch<'a>,
    /// The vouch by which its voucher may vouch.
    pub parent: Option<SignedId>,
    /// Until when it counts: seconds since the Unix epoch, no later than its parent.
    pub expires: u64,
}

/// Who vouches for whom, signed.
///
/// A vouch counts when the operator trusts the voucher and has pinned the key that signed it, or when a vouch that counts names voucher and key and
/// allows him to vouch. What is lent is the voucher's own trust times the factor, as in [`VouchRegistry`]; who is vouched for is trusted with the named key
/// alone. A vouch that ends, or is taken back, ends all that were made on its ground.
pub struct SignedVouches {
    config: VouchConfig,
    hash: SipKey,
    loans: VouchRegistry,
    held: Slab<Held, Heap>,
    by_id: Index<ById, Heap>,
    gone: Slab<Gone, Heap>,
    by_gone: Index<ById, Heap>,
    bytes: usize,
}

/// What a voucher may do.
struct Ground {
    trust: f64,
    parent: Option<SignedId>,
    /// The levels that may follow a vouch of his.
    depth: u8,
    expires: u64,
}

impl SignedVouches {
    /// Empty. Of `config`, the most bytes hold for the signed vouches and for what they lend, each.
    #[must_use]
    pub fn new(config: VouchConfig, hash: SipKey) -> Self {
        Self {
            config,
            loans: VouchRegistry::new(config, hash.clone()),
            hash,
            held: Slab::new(config.max_vouches),
            by_id: Index::new(),
            gone: Slab::new(config.max_vouches),
            by_gone: Index::new(),
            bytes: 0,
        }
    }

    /// Take in a vouch.
    ///
    /// # Errors
    /// [`AcceptError`]; then nothing has changed.
    pub fn accept(
        &mut self,
        now: Wall,
        vouch: &SignedVouch<'_>,
        pins: &Pins,
        trust: &TrustTable,
    ) -> Result<VouchChange, AcceptError> {
        if Wall::from_secs(vouch.expires) < now {
            return Err(AcceptError::Expired);
        }
        if Wall::from_secs(vouch.issued) > now.saturating_add(SKEW) {
            return Err(AcceptError::Future);
        }
        if self.gone(&vouch.id).is_some() {
            return Err(AcceptError::Revoked);
        }
        if let Some(known) = self.get(&vouch.id) {
            if known.vouch.as_bytes() == vouch.as_bytes() {
                return Ok(VouchChange::nothing());
            }
            if known.vouch.key != vouch.key || known.vouch.issued >= vouch.issued {
                return Err(AcceptError::Stale);
            }
        }
        let ground = self.ground(now, vouch, pins, trust)?;
        if ground.parent.is_some() && self.contradicts(now, vouch) {
            return Err(AcceptError::NameTaken);
        }
        self.hold(now, vouch, &ground)?;
        Ok(VouchChange::of(HELD, &vouch.id, Some(value(vouch, &ground)), Some(vouch.id)))
    }

    /// On what ground a voucher may vouch.
    fn ground(
        &self,
        now: Wall,
        vouch: &SignedVouch<'_>,
        pins: &Pins,
        trust: &TrustTable,
    ) -> Result<Ground, AcceptError> {
        let judgement = pins.judge(vouch.voucher, vouch.key);
        match (judgement, trust.get(vouch.voucher)) {
            (Judgement::OtherKey | Judgement::Retired, _) => return Err(AcceptError::OtherKey),
            (Judgement::Pinned, Some(trust)) => {
                return Ok(Ground { trust, parent: None, depth: vouch.depth, expires: vouch.expires });
            }
            // What the operator set for a name goes before what others say of it.
            (Judgement::Unpinned, Some(_)) => return Err(AcceptError::NotAllowed),
            (_, None) => {}
        }
        let grounds =
            self.naming(vouch.voucher, vouch.key, now).filter(|(held, _)| held.depth > 0 && held.id != vouch.id);
        let best = grounds.max_by(|(_, a), (_, b)| a.total_cmp(b)).ok_or(AcceptError::NotAllowed)?;
        let (parent, trust) = best;
        let (depth, expires) = (vouch.depth.min(parent.depth - 1), vouch.expires.min(parent.expires));
        Ok(Ground { trust, parent: Some(parent.id), depth, expires })
    }

    /// The vouches for this name that have not ended, with the key that each names and what it lends.
    fn loans_for(&self, did: &str, now: Wall) -> impl Iterator<Item = (&Held, SignedVouch<'_>, PublicKey, f64)> {
        self.loans.active_loans(did, now).filter_map(move |(id, trust)| {
            let mut bytes = SignedId::default();
            hex::parse(id.as_bytes(), &mut bytes)?;
            let held = self.held.at(self.find(&bytes)?)?;
            let vouch = SignedVouch::kept(&held.bytes)?;
            let key = vouch.named().find_map(|(named, key)| (named == did).then_some(key))?;
            Some((held, vouch, key, trust))
        })
    }

    /// Whether this name was vouched for with another key.
    pub(crate) fn names_with_another_key(&self, did: &str, key: PublicKey, now: Wall) -> bool {
        self.loans_for(did, now).any(|(_, _, named, _)| named != key)
    }

    /// Whether somebody else has vouched for one of its names with another key.
    fn contradicts(&self, now: Wall, vouch: &SignedVouch<'_>) -> bool {
        vouch.named().any(|(did, key)| {
            self.loans_for(did, now).any(|(held, other, named, _)| {
                let same = (other.voucher, other.key) == (vouch.voucher, vouch.key);
                held.id != vouch.id && named != key && !same
            })
        })
    }

    /// The vouches that name this pair now, and what each lends. One on the ground of another counts for nothing where somebody whom the operator trusts by name has vouched for
    /// the name with another key.
    fn naming(&self, did: &str, key: PublicKey, now: Wall) -> impl Iterator<Item = (&Held, f64)> {
        let by_root = |key| self.loans_for(did, now).any(|(held, _, named, _)| held.parent.is_none() && (named == key));
        let other = self.loans_for(did, now).any(|(held, _, named, _)| held.parent.is_none() && named != key);
        let outranked = other && !by_root(key);
        self.loans_for(did, now).filter_map(move |(held, _, named, trust)| {
            (named == key && !(outranked && held.parent.is_some())).then_some((held, trust))
        })
    }

    fn hold(&mut self, now: Wall, vouch: &SignedVouch<'_>, ground: &Ground) -> Result<(), AcceptError> {
        let known = self.find(&vouch.id);
        let freed = known.and_then(|slot| self.held.at(slot)).map_or(0, |held| held.bytes.len());
        if known.is_none() && self.held.is_full() {
            return Err(VouchError::TooMany(self.config.max_vouches).into());
        }
        if self.bytes - freed + vouch.as_bytes().len() > self.config.max_bytes {
            return Err(VouchError::TooLarge(self.config.max_bytes).into());
        }
        let named: Vec<&str> = vouch.named().map(|(did, _)| did).collect();
        let id = name(&vouch.id);
        let lent = Vouch {
            id: core::str::from_utf8(&id).unwrap_or_default(),
            voucher_did: vouch.voucher,
            voucher_trust: ground.trust,
            factor: f64::from(vouch.factor) / 1000.0,
            vouched: &named,
            expires: Expiry::After(Wall::from_secs(ground.expires)),
        };
        self.loans.add(&lent, now)?;
        known.into_iter().for_each(|slot| self.let_go(slot));
        self.bytes += vouch.as_bytes().len();
        let held = Held {
            id: vouch.id,
            bytes: vouch.as_bytes().into(),
            parent: ground.parent,
            depth: ground.depth,
            expires: ground.expires,
            by_id: Chain::default(),
        };
        if let Ok(id) = self.held.insert(held) {
            self.by_id.insert(&mut self.held, id.slot(), self.hash.hash(&vouch.id));
        }
        Ok(())
    }

    fn let_go(&mut self, slot: u32) {
        self.by_id.remove(&mut self.held, slot);
        if let Some(held) = self.held.remove_at(slot) {
            self.bytes -= held.bytes.len();
        }
    }

    /// Take a vouch back, as who gave it: with it go all that were made on its ground, and it does not come back.
    ///
    /// # Errors
    /// [`AcceptError::Unknown`], [`AcceptError::OtherKey`], [`AcceptError::TooManyRevoked`].
    pub fn revoke(&mut self, now: Wall, revocation: &VouchRevocation) -> Result<Vec<VouchChange>, AcceptError> {
        let known = self.get(&revocation.id).ok_or(AcceptError::Unknown)?;
        if known.vouch.key == revocation.key { self.remove(now, &revocation.id) } else { Err(AcceptError::OtherKey) }
    }

    /// The same as the operator, who need sign nothing.
    ///
    /// # Errors
    /// [`AcceptError::Unknown`], [`AcceptError::TooManyRevoked`].
    pub fn remove(&mut self, now: Wall, id: &SignedId) -> Result<Vec<VouchChange>, AcceptError> {
        let until = self.get(id).ok_or(AcceptError::Unknown)?.vouch.expires;
        self.forget_gone(now);
        self.note_gone(*id, until)?;
        let mut changes: Vec<_> = self.drop_with_followers(id);
        changes.push(VouchChange::of(REVOKED, id, Some(until.to_be_bytes().to_vec()), None));
        Ok(changes)
    }

    fn note_gone(&mut self, id: SignedId, until: u64) -> Result<(), AcceptError> {
        if self.gone(&id).is_some() {
            return Ok(());
        }
        let gone = Gone { id, until, by_id: Chain::default() };
        let slot = self.gone.insert(gone).map_err(|_| AcceptError::TooManyRevoked)?.slot();
        self.by_gone.insert(&mut self.gone, slot, self.hash.hash(&id));
        Ok(())
    }

    /// Forget the revocations of vouches that are over by themselves, where room is short.
    fn forget_gone(&mut self, now: Wall) {
        if !self.gone.is_full() {
            return;
        }
        for slot in 0..self.gone.slots() {
            if self.gone.at(slot).is_some_and(|gone| Wall::from_secs(gone.until) < now) {
                self.by_gone.remove(&mut self.gone, slot);
                self.gone.remove_at(slot);
            }
        }
    }

    fn drop_with_followers(&mut self, id: &SignedId) -> Vec<VouchChange> {
        let (mut ids, mut changes) = (Vec::from([*id]), Vec::new());
        while let Some(id) = ids.pop() {
            let Some(slot) = self.find(&id) else { continue };
            self.let_go(slot);
            self.loans.revoke(core::str::from_utf8(&name(&id)).unwrap_or_default());
            changes.push(VouchChange::of(HELD, &id, None, None));
            ids.extend(self.held.iter().filter(|(_, held)| held.parent == Some(id)).map(|(_, held)| held.id));
        }
        changes
    }

    /// Drop the vouches that are over: to be done now and then, for they take up room.
    pub fn expire(&mut self, now: Wall) -> Vec<VouchChange> {
        let over = self.held.iter().filter(|(_, held)| Wall::from_secs(held.expires) < now).map(|(_, held)| held.id);
        let over: Vec<_> = over.collect();
        over.iter().flat_map(|id| self.drop_with_followers(id)).collect()
    }

    /// Judge every vouch anew, after the operator has changed trust or pins, or a key was retired. Those that count no longer are dropped.
    pub fn refresh(&mut self, now: Wall, pins: &Pins, trust: &TrustTable) -> Vec<VouchChange> {
        let slots = 0..self.held.slots();
        let mut left: Vec<Box<[u8]>> =
            slots.filter_map(|slot| self.held.at(slot).map(|held| held.bytes.clone())).collect();
        self.held = Slab::new(self.config.max_vouches);
        (self.by_id, self.bytes) = (Index::new(), 0);
        self.loans = VouchRegistry::new(self.config, self.hash.clone());
        let mut changes = Vec::new();
        // Those of the operator's own first, then those on their ground.
        for _ in 0..MAX_DEPTH {
            left.retain(|bytes| {
                let Some(vouch) = SignedVouch::kept(bytes) else { return false };
                match self.accept(now, &vouch, pins, trust) {
                    Ok(change) => {
                        changes.push(change);
                        false
                    }
                    Err(_) => true,
                }
            });
        }
        let dropped = left.iter().filter_map(|bytes| SignedVouch::kept(bytes));
        changes.extend(dropped.map(|vouch| VouchChange::of(HELD, &vouch.id, None, None)));
        changes
    }

    /// The trust that is lent to a name with this key, and by how many vouches; `None` when by none, or none of it.
    #[must_use]
    pub fn trust_for(&self, did: &str, key: PublicKey, now: Wall) -> Option<(f64, u32)> {
        let found =
            self.naming(did, key, now).fold((0.0, 0), |(most, count), (_, trust)| (f64::max(most, trust), count + 1));
        (found.0 > 0.0).then_some(found)
    }

    /// A vouch.
    #[must_use]
    pub fn get(&self, id: &SignedId) -> Option<HeldVouch<'_>> {
        self.held.at(self.find(id)?).and_then(show)
    }

    /// Every vouch, in no meaningful but a reproducible order.
    pub fn iter(&self) -> impl Iterator<Item = HeldVouch<'_>> {
        self.held.iter().filter_map(|(_, held)| show(held))
    }

    /// Take back that a vouch was taken in, because it could not be written; false when it is not there.
    pub fn undo(&mut self, change: &VouchChange) -> bool {
        change.undone_by().is_some_and(|id| !self.drop_with_followers(id).is_empty())
    }

    /// Take in what was kept before, in any order; false when it is none of this room's.
    ///
    /// # Errors
    /// It is damaged, or does not fit: whoever reads a store should go no further than to say so.
    pub fn restore(&mut self, now: Wall, key: &[u8], value: &[u8]) -> Result<bool, RestoreVouchError> {
        let (prefix, id) = key.split_first().unwrap_or((&0, &[]));
        let id: Option<SignedId> = id.try_into().ok();
        match (*prefix, id) {
            (HELD, id) => {
                let (ground, bytes) = read_value(value).ok_or(RestoreVouchError)?;
                let vouch = SignedVouch::read(bytes).map_err(|_| RestoreVouchError)?;
                if id != Some(vouch.id) {
                    return Err(RestoreVouchError);
                }
                if self.gone(&vouch.id).is_none() && Wall::from_secs(ground.expires) >= now {
                    self.hold(now, &vouch, &ground).map_err(|_| RestoreVouchError)?;
                }
                Ok(true)
            }
            (REVOKED, Some(id)) => {
                let until = value.try_into().map(u64::from_be_bytes).map_err(|_| RestoreVouchError)?;
                self.note_gone(id, until).map_err(|_| RestoreVouchError)?;
                let _ = self.drop_with_followers(&id);
                Ok(true)
            }
            (REVOKED, None) => Err(RestoreVouchError),
            _ => Ok(false),
        }
    }

    fn find(&self, id: &SignedId) -> Option<u32> {
        self.by_id.find(&self.held, self.hash.hash(id), |held| held.id == *id)
    }

    fn gone(&self, id: &SignedId) -> Option<u32> {
        self.by_gone.find(&self.gone, self.hash.hash(id), |gone| gone.id == *id)
    }

    /// Bytes of heap held, the allocator's own overhead aside.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let indexes = self.by_id.heap_bytes() + self.by_gone.heap_bytes();
        self.loans.heap_bytes() + self.held.heap_bytes() + self.gone.heap_bytes() + indexes + self.bytes
    }
}

impl core::fmt::Debug for SignedVouches {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SignedVouches").field("vouches", &self.held.len()).finish_non_exhaustive()
    }
}

/// A kept vouch is damaged, or there is no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of a vouch is damaged, or there is no room for it")]
pub struct RestoreVouchError;

fn show(held: &Held) -> Option<HeldVouch<'_>> {
    Some(HeldVouch { vouch: SignedVouch::kept(&held.bytes)?, parent: held.parent, expires: held.expires })
}

/// An id as the registry of loans knows it.
fn name(id: &SignedId) -> [u8; 32] {
    let mut name = [0; 32];
    for (pair, byte) in name.as_chunks_mut::<2>().0.iter_mut().zip(id) {
        *pair = hex::pair(*byte);
    }
    name
}

/// What is kept: form (1), whether there is a parent (1), parent (16), depth (1), end (8), the voucher's trust (8), the vouch.
fn value(vouch: &SignedVouch<'_>, ground: &Ground) -> Vec<u8> {
    let mut value = Vec::with_capacity(35 + vouch.as_bytes().len());
    value.extend_from_slice(&[FORM, u8::from(ground.parent.is_some())]);
    value.extend_from_slice(&ground.parent.unwrap_or_default());
    value.push(ground.depth);
    value.extend_from_slice(&ground.expires.to_be_bytes());
    value.extend_from_slice(&ground.trust.to_bits().to_be_bytes());
    value.extend_from_slice(vouch.as_bytes());
    value
}

fn read_value(value: &[u8]) -> Option<(Ground, &[u8])> {
    let mut from = Cursor::new(value);
    let (FORM, has_parent @ 0..=1) = (from.u8()?, from.u8()?) else { return None };
    let (parent, depth, expires) = (from.array()?, from.u8()?, from.u64()?);
    let trust = f64::from_bits(from.u64()?);
    let parent = (has_parent == 1).then_some(parent);
    Some((Ground { trust, parent, depth, expires }, from.rest()))
}
