//! Trust and vouches that were decided while the node ran, and are kept.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::Keeping;
use crate::airlock::{TrustError, Vouch, VouchError, VouchId};
use crate::limits::MAX_STORE_VALUE;
use crate::node::Node;
use crate::node::policy::Policy;
use crate::time::Wall;

/// First bytes of keys.
pub(super) const TRUST: u8 = b't';
pub(super) const VOUCH: u8 = b'v';

/// How far names are trusted by decision rather than by configuration. As bounded as the table of trust, in which each of them is, too.
#[derive(Debug, Default)]
pub(in crate::node) struct Decisions(Option<Box<ByName>>);

/// Most nodes have none.
#[derive(Debug, Default)]
struct ByName(BTreeMap<Box<str>, f64>);

impl Decisions {
    pub(super) fn insert(&mut self, did: Box<str>, trust: f64) {
        self.0.get_or_insert_default().0.insert(did, trust);
    }

    fn remove(&mut self, did: &str) -> Option<f64> {
        self.0.as_mut()?.0.remove(did)
    }

    fn get(&self, did: &str) -> Option<f64> {
        self.0.as_ref()?.0.get(did).copied()
    }
}

/// How something was before a decision.
#[derive(Clone, Debug)]
pub(in crate::node) enum Undo {
    Trust {
        did: Box<str>,
        trust: Option<f64>,
        decided: Option<f64>,
    },
    /// The record of the vouch that had this id.
    Vouch {
        id: Box<str>,
        before: Option<String>,
        wall: Wall,
    },
    /// Nothing is to be taken back.
    Nothing,
}

impl Policy {
    /// Take a decision back that could not be kept. What was there before has room.
    pub(super) fn undo(&mut self, undo: Undo) {
        self.doubt_vouches();
        match undo {
            Undo::Trust { did, trust, decided } => {
                match trust {
                    Some(trust) => _ = self.trust.set(&did, trust),
                    None => _ = self.trust.remove(&did),
                }
                match decided {
                    Some(decided) => self.decisions.insert(did, decided),
                    None => _ = self.decisions.remove(&did),
                }
            }
            Undo::Vouch { id, before, wall } => {
                self.revoke_vouch(&id);
                if let Some(before) = before {
                    let _ = self.registry().read(&id, &before, wall);
                }
            }
            Undo::Nothing => {}
        }
    }
}

/// A key: what it is about, behind what kind of record it is.
fn key(kind: u8, name: &str) -> Box<[u8]> {
    let mut key = Vec::with_capacity(1 + name.len());
    key.push(kind);
    key.extend_from_slice(name.as_bytes());
    key.into()
}

impl Node {
    /// As [`set_trust`](Self::set_trust), and for good: it is kept, and counts before what a configuration says until somebody decides otherwise or
    /// [withdraws](Self::withdraw_trust) it. It is taken back should it turn out that it cannot be kept.
    ///
    /// # Errors
    /// As there, and [`TrustError::Busy`].
    pub fn decide_trust(&mut self, did: &str, trust: f64) -> Result<(f64, Keeping), TrustError> {
        if !self.rooms.has_room_to_store() {
            return Err(TrustError::Busy);
        }
        let undo = self.trust_now(did);
        let trust = self.policy.trust.set(did, trust)?;
        self.policy.doubt_vouches();
        let record = alloc::format!("{trust}").into_bytes();
        self.policy.decisions.insert(did.into(), trust);
        Ok((trust, self.rooms.storing.push_decision(key(TRUST, did), Some(record.into()), undo)))
    }

    /// Forget what was [decided](Self::decide_trust) about a name, and trust it no further than vouches do; `None` if nothing was.
    ///
    /// # Errors
    /// [`TrustError::Busy`].
    pub fn withdraw_trust(&mut self, did: &str) -> Result<Option<Keeping>, TrustError> {
        if !self.rooms.has_room_to_store() {
            return Err(TrustError::Busy);
        }
        let undo = self.trust_now(did);
        if self.policy.decisions.remove(did).is_none() {
            return Ok(None);
        }
        self.policy.trust.remove(did);
        self.policy.doubt_vouches();
        Ok(Some(self.rooms.storing.push_decision(key(TRUST, did), None, undo)))
    }

    /// How far a name is trusted by [decision](Self::decide_trust), if there is one.
    #[must_use]
    pub fn decided_trust(&self, did: &str) -> Option<f64> {
        self.policy.decisions.get(did)
    }

    fn trust_now(&self, did: &str) -> Undo {
        Undo::Trust { did: did.into(), trust: self.trusted(did), decided: self.decided_trust(did) }
    }

    /// Vouch for others: until the vouch expires or is revoked they are trusted as far as it says. Where state is kept, so is it, and it is taken back should it turn out
    /// that it cannot be.
    ///
    /// # Errors
    /// The vouch makes no sense, or there are too many.
    pub fn vouch(&mut self, vouch: &Vouch<'_>, wall: Wall) -> Result<VouchId, VouchError> {
        if !self.config.durable {
            return self.policy.registry().add(vouch, wall);
        }
        if !self.rooms.has_room_to_store() {
            return Err(VouchError::Busy);
        }
        let registry = self.policy.registry();
        let before = registry.write(vouch.id);
        let id = registry.add(vouch, wall)?;
        let record = registry.write(vouch.id).unwrap_or_default();
        let undo = Undo::Vouch { id: vouch.id.into(), before, wall };
        if record.len() > MAX_STORE_VALUE {
            self.policy.undo(undo);
            return Err(VouchError::Record(MAX_STORE_VALUE));
        }
        if let Some(swept) = registry.take_swept() {
            // It counted no longer.
            let _ = self.rooms.storing.push_decision(key(VOUCH, &swept), None, Undo::Nothing);
        }
        let _ = self.rooms.storing.push_decision(key(VOUCH, vouch.id), Some(record.into_bytes().into()), undo);
        Ok(id)
    }

    /// Revoke a vouch; false when there is none with this id. It holds at once, also if it cannot be kept.
    pub fn revoke_vouch(&mut self, vouch_id: &str) -> bool {
        let revoked = self.policy.revoke_vouch(vouch_id);
        if revoked {
            let _ = self.rooms.storing.push_decision(key(VOUCH, vouch_id), None, Undo::Nothing);
        }
        revoked
    }
}
