//! What is known of a name here and now, and how operations of ours end.

use alloc::boxed::Box;

use super::Overlay;
use super::client::{End, RESEND};
use super::news::{FoundDevice, OperationId, OperationOutcome, OverlayNews, Resolution};
use super::operations::{Ask, Job, Target};
use crate::discovery::Neighbour;
use crate::node::RequestId;
use crate::node::event::Auth;
use crate::node::peers::Peers;
use crate::node::policy::Policy;
use crate::registry::{Address, Record, Resolved, Source};
use crate::time::{Now, Wall};
use crate::{Name, Path};

impl Overlay {
    /// Challenge a device where its record says that it is.
    pub(super) fn challenge_registered(&mut self, now: Now, did: &str) {
        let Some(device) = self.registry.get(did).filter(|_| self.config.verify_registered) else { return };
        let (key, Some(Address::Ip(addr))) = (device.key(), device.endpoint()) else { return };
        let job = Job::Verify { did: did.into(), key: Some(key), path: Some(Path::to(addr)) };
        // Two challenges at most, which are together shorter than three times the ping that brought them about.
        self.operations.insert(job, now.mono + RESEND * 2, true);
    }

    /// What is known here and now of a name.
    pub(super) fn known(&self, now: Now, did: &str, peers: &Peers) -> Option<Resolution> {
        let proven =
            |did: &str| peers.get(now.mono, did).filter(|peer| peer.is_proven()).map(|peer| peer.path().remote);
        let known = self.resolver.known(now.wall, did, &self.registry, proven)?;
        Some(own(did, &known))
    }

    /// The last record of a name, which may be out of date.
    pub(super) fn last_known(&self, wall: Wall, did: &str) -> Option<Resolution> {
        let Some(device) = self.registry.get(did) else { return self.unproven(did) };
        if device.is_revoked() {
            return None;
        }
        let (record, heard) = (Some((device.seq(), device.key())), Some(device.heard().0));
        let source = if device.is_current(wall) { Source::Network } else { Source::LastKnown };
        Some(own(did, &Resolved { endpoint: device.endpoint()?, source, record, heard }))
    }

    /// Where somebody said that a name is, signed by nobody.
    fn unproven(&self, did: &str) -> Option<Resolution> {
        let endpoint = Address::parse(self.unproven.get(did)?).ok()?;
        Some(own(did, &Resolved { endpoint, source: Source::LastKnown, record: None, heard: None }))
    }

    pub(super) fn aim_at(&mut self, id: OperationId, target: Target) {
        if let Some(row) = self.operations.get_mut(id) {
            (row.target, row.tries) = (Some(Box::new(target)), 0);
        }
    }

    /// A ping of the overlay was not answered, or did not leave; false when it is none of the overlay's.
    pub(in crate::node) fn lose_request(&mut self, request: RequestId) -> bool {
        let ask = self.operations.answered(request);
        if let Some(Ask::Step(id)) = ask {
            self.operations.set_due(id);
        }
        ask.is_some()
    }

    /// Whether a request is one of the overlay's; then whether what came in answer to it counts. An answer that does not is as good as none: the one that was asked for may still come.
    pub(in crate::node) fn takes(
        &mut self,
        request: RequestId,
        responder: Name<'_>,
        auth: Auth,
        policy: &Policy,
    ) -> Option<bool> {
        let ask = self.operations.asked(request)?;
        let row = match ask {
            Ask::Step(id) => self.operations.get_mut(id),
            Ask::Question(_) => None,
        };
        let believed = match row {
            // What is asked for is a signature, over what nobody knew before.
            Some(row) if row.target.is_some() => true,
            // It shows to know the token together with the key that signed.
            Some(row) if matches!(row.job, Job::Join(_)) => auth.key().is_some(),
            _ => policy.believes(responder, auth),
        };
        if !believed {
            self.doubt(request);
            self.refuse("unproven");
        }
        Some(believed)
    }

    /// An answer came that does not show to be from who was asked. Of who is challenged that says nothing: what counts there is the signature.
    pub(in crate::node) fn doubt(&mut self, request: RequestId) {
        match self.operations.asked(request) {
            Some(Ask::Step(id)) => {
                let row = self.operations.get_mut(id).filter(|row| row.target.is_none());
                row.into_iter().for_each(|row| row.came.unproven = true);
            }
            Some(Ask::Question(query)) => self.operations.note(query, |came| came.unproven = true),
            None => {}
        }
    }

    /// An operation has ended.
    pub(super) fn end(&mut self, wall: Wall, id: OperationId, end: End) {
        let Some((row, end)) = self.operations.end(id, end) else { return };
        // One of the node's own: the challenge of a device that registered.
        if let (Job::Verify { .. }, Some(target)) = (&row.job, row.target) {
            let Target { did, key, path, .. } = *target;
            let took = match end {
                Ok(OperationOutcome::Verified { took, .. }) => Some(took),
                _ => None,
            };
            let score = self.registry.get(&did).map(|device| device.fira(wall).score);
            self.tell(OverlayNews::Verified { did, key, path, took, score });
        }
    }
}

pub(super) fn text(address: Address<'_>) -> Box<str> {
    alloc::format!("{address}").into()
}

pub(super) fn own(did: &str, resolved: &Resolved<'_>) -> Resolution {
    let &Resolved { endpoint, source, record, heard } = resolved;
    let (seq, key) = record.unzip();
    Resolution { did: did.into(), endpoint: text(endpoint), source, seq, key, heard }
}

/// Where somebody on the local network says that it listens: a hint, as the address of a peer.
pub(super) fn near(neighbour: &Neighbour<'_>) -> Resolution {
    let endpoint = text(neighbour.addr.into());
    Resolution { did: neighbour.did.into(), endpoint, source: Source::Peer, seq: None, key: neighbour.key, heard: None }
}

pub(super) fn describe(record: &Record<'_>, bound: bool) -> FoundDevice {
    let claims = record.claims();
    FoundDevice {
        did: claims.did.into(),
        key: claims.key,
        bound,
        endpoint: claims.endpoints().next().map(text),
        capabilities: claims.capabilities().map(Into::into).collect(),
        seq: claims.seq,
        expires: claims.expires,
    }
}

/// How a record that is not taken in is counted.
pub(super) fn refused(why: crate::registry::AnswerReject) -> &'static str {
    use crate::registry::AnswerReject as A;
    match why {
        A::Unasked => "unasked",
        A::Record(_) => "no_record",
        A::Register(why) => super::config::refusal(why),
    }
}

/// Whether a record that is not taken in is none that the key of its name has signed.
pub(super) const fn proves_nothing(why: crate::registry::AnswerReject) -> bool {
    use crate::registry::{AnswerReject as A, RegisterError as R};
    matches!(why, A::Record(_) | A::Register(R::OtherKey | R::Retired))
}
