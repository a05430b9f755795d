//! Signed vouches in a node: brought by packets or by the operator, they feed the airlock.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{OverlayNews, RestoreOverlayError, wire};
use crate::Reject;
use crate::airlock::{AcceptError, HeldVouch, SignedId, SignedVouch, SignedVouchError, VouchChange, VouchRevocation};
use crate::framing::Value;
use crate::node::storing::OverlayChange;
use crate::node::{Keeping, Node};
use crate::time::{Duration, Now, Wall};

/// How often vouches that are over are looked for.
const SWEEP: Duration = Duration::from_secs(30);

/// Why a signed vouch, or the revocation of one, is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VouchRefusal {
    /// It is none.
    #[error(transparent)]
    Signed(#[from] SignedVouchError),
    /// It does not count here.
    #[error(transparent)]
    Accept(#[from] AcceptError),
    /// There are changes enough that wait for the store.
    #[error("the store is behind, try again")]
    Busy,
}

impl Node {
    /// Take in a signed vouch that somebody brought to the operator: from the next packet on whom it names is trusted with the named key, as far as it says. It is taken
    /// back should it turn out that it cannot be kept.
    ///
    /// # Errors
    /// [`VouchRefusal`].
    pub fn accept_vouch(&mut self, now: Now, bytes: &[u8]) -> Result<(SignedId, Keeping), VouchRefusal> {
        let (id, change) = self.take_vouch(now, bytes)?;
        Ok((id, self.rooms.storing.keep_overlay(OverlayChange::Vouch(change))))
    }

    /// Take in a vouch, whose change is still to be kept.
    fn take_vouch(&mut self, now: Now, bytes: &[u8]) -> Result<(SignedId, VouchChange), VouchRefusal> {
        let vouch = &SignedVouch::read(bytes)?;
        if !self.rooms.has_room_to_store() {
            return Err(VouchRefusal::Busy);
        }
        self.refresh_vouches(now);
        let Self { policy, rooms, .. } = self;
        let change = policy.accept_vouch(now.wall, vouch)?;
        if change.record().is_some()
            && let Some(overlay) = rooms.overlay.as_deref_mut()
        {
            let named = vouch.named().map(|(did, _)| Box::from(did)).collect();
            let (id, voucher, expires) = (vouch.id, vouch.voucher.into(), vouch.expires);
            overlay.tell(OverlayNews::Vouched { id, voucher, named, expires });
        }
        Ok((vouch.id, change))
    }

    /// Take in that a vouch counts no longer, as signed by who gave it: with it go all that were made on its ground.
    ///
    /// # Errors
    /// [`VouchRefusal`].
    pub fn accept_vouch_revocation(&mut self, now: Now, bytes: &[u8]) -> Result<(SignedId, Keeping), VouchRefusal> {
        let (id, changes) = self.take_vouch_revocation(now, bytes)?;
        Ok((id, self.keep_vouches(changes)))
    }

    fn take_vouch_revocation(&mut self, now: Now, bytes: &[u8]) -> Result<(SignedId, Vec<VouchChange>), VouchRefusal> {
        let revocation = VouchRevocation::read(bytes)?;
        if !self.rooms.has_room_to_store() {
            return Err(VouchRefusal::Busy);
        }
        let changes = self.policy.signed_vouches().revoke(now.wall, &revocation)?;
        Ok((revocation.id, changes))
    }

    /// Take a signed vouch back as the operator, who need sign nothing.
    ///
    /// # Errors
    /// [`VouchRefusal`].
    pub fn remove_signed_vouch(&mut self, now: Now, id: &SignedId) -> Result<Keeping, VouchRefusal> {
        if !self.rooms.has_room_to_store() {
            return Err(VouchRefusal::Busy);
        }
        let changes = self.policy.signed_vouches().remove(now.wall, id)?;
        Ok(self.keep_vouches(changes))
    }

    /// Every signed vouch that counts here.
    pub fn held_vouches(&self) -> impl Iterator<Item = HeldVouch<'_>> {
        self.policy.held_vouches()
    }

    /// Keep what somebody has decided about vouches; when it is safe.
    fn keep_vouches(&mut self, changes: Vec<VouchChange>) -> Keeping {
        let storing = &mut self.rooms.storing;
        changes
            .into_iter()
            .map(|change| storing.keep_overlay(OverlayChange::Vouch(change)))
            .last()
            .unwrap_or(Keeping::Done)
    }

    /// Keep what came of itself.
    fn push_vouches(&mut self, changes: Vec<VouchChange>) {
        let storing = &mut self.rooms.storing;
        changes.into_iter().for_each(|change| _ = storing.push_overlay(OverlayChange::Vouch(change)));
    }

    /// A ping brings a signed vouch, or the revocation of one: it speaks for itself, whoever carries it, and holds before the ping is judged. One that says nothing new, or
    /// does not count here, changes nothing.
    pub(in crate::node) fn hear_vouch(&mut self, now: Now, payload: Value<'_>) -> Result<(), Reject> {
        let (vouch, revoke) = (wire::text(payload, "vouch"), wire::text(payload, "revoke"));
        let Some(bytes) = vouch.as_deref().or(revoke.as_deref()).and_then(SignedVouch::from_text) else {
            return Ok(());
        };
        if vouch.is_some() && self.policy.knows_vouch(&bytes) {
            return Ok(());
        }
        if !self.rooms.admission.may_verify(now.mono) {
            return Err(Reject::Busy);
        }
        let taken = match vouch {
            Some(_) => self.take_vouch(now, &bytes).map(|(id, change)| (id, Vec::from([change]))),
            None => self.take_vouch_revocation(now, &bytes),
        };
        let taken = taken.map(|(id, changes)| {
            self.push_vouches(changes);
            id
        });
        let Some(overlay) = self.rooms.overlay.as_deref_mut() else { return Ok(()) };
        match taken {
            Ok(id) if vouch.is_none() => overlay.tell(OverlayNews::VouchRevoked { id }),
            Ok(_) => {}
            Err(VouchRefusal::Signed(SignedVouchError::Signature)) => return Err(Reject::BadSignature),
            Err(VouchRefusal::Signed(_)) => return Err(Reject::Malformed),
            Err(VouchRefusal::Busy) => return Err(Reject::Busy),
            Err(VouchRefusal::Accept(AcceptError::NameTaken)) => overlay.refuse("vouch_other_key"),
            Err(VouchRefusal::Accept(_)) => overlay.refuse("vouch"),
        }
        Ok(())
    }

    /// Judge the vouches anew after trust or pins have changed.
    pub(in crate::node) fn refresh_vouches(&mut self, now: Now) {
        let changes = self.policy.refresh_vouches(now.wall);
        self.push_vouches(changes);
    }

    /// Drop vouches that are over, now and then.
    pub(super) fn sweep_vouches(&mut self, now: Now) {
        let Some(overlay) = self.rooms.overlay.as_deref_mut().filter(|overlay| overlay.sweep <= now.mono) else {
            return;
        };
        overlay.sweep = now.mono + SWEEP;
        let changes = self.policy.expire_vouches(now.wall);
        self.push_vouches(changes);
    }

    pub(super) fn restore_vouch(&mut self, key: &[u8], value: &[u8]) -> Result<bool, RestoreOverlayError> {
        // Nothing is dropped for having expired by a clock that nobody has read yet.
        Ok(self.policy.restore_vouch(Wall::MIN, key, value)?)
    }
}
