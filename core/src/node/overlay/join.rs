//! Join tokens on the wire: a device that knows the secret of one is let in, and learns in turn who the hub is.
//!
//! Such a ping comes before the gate, since nobody knows its sender yet: it has to be signed, what the operator has decided about the name goes before the token, and nothing is
//! remembered of it until its proof holds.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::news::{OperationError, OperationId, OperationOutcome, OverlayError, OverlayNews};
use super::operations::Job;
use super::wire::{self, Members};
use super::{Overlay, serve};
use crate::airlock::{Rank, Source};
use crate::did::may_be_taken;
use crate::discovery::{Join, JoinReject, JoinToken, JoinTokens, Joined, NewTokenError, TokenId};
use crate::framing::{Decision, Digest, Packet, Value, Zone};
use crate::identity::PublicKey;
use crate::limits::BROADCAST;
use crate::node::event::Auth;
use crate::node::identity::{self, Proof};
use crate::node::inbox::AMPLIFICATION;
use crate::node::ingress::{Ingress, Texts};
use crate::node::outbox::{Answer, NextHop};
use crate::node::receive::Taken;
use crate::node::storing::OverlayChange;
use crate::node::{Keeping, Node};
use crate::pins::Origin;
use crate::registry::{Heard, Record};
use crate::time::{Duration, Now};
use crate::{Path, Reject, check_did};

/// How far a device trusts the hub that has shown to know its token: the operator gave it to both.
const HUB_TRUST: f64 = 0.9;

/// Why a join token is not made.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The node has no overlay, or no key to show to who joins.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// The token makes no sense, or there are too many.
    #[error(transparent)]
    Token(#[from] NewTokenError),
}

impl Node {
    /// Make a join token that lets so many devices in, within this time, and has them trusted so far. It is worth something once it is kept: hand it out then, for it is taken back
    /// should it turn out that it cannot be.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn new_join_token(
        &mut self,
        now: Now,
        uses: u32,
        life: Duration,
        trust: f64,
    ) -> Result<(JoinToken, Keeping), TokenError> {
        if self.rooms.outbox.identity().is_none() {
            return Err(OverlayError::NoIdentity.into());
        }
        if !self.rooms.has_room_to_store() {
            return Err(OverlayError::Store.into());
        }
        let seconds = u64::try_from(now.wall.as_micros() / 1_000_000).unwrap_or(0);
        let Overlay { tokens, rng, config, .. } = self.overlay()?;
        let tokens = tokens.get_or_insert_with(|| Box::new(JoinTokens::new(config.max_tokens, rng)));
        let made = tokens.create(rng, uses, seconds.saturating_add(life.as_secs()), trust);
        let (token, change) = made?;
        Ok((token, self.rooms.storing.keep_overlay(OverlayChange::Token(change))))
    }

    /// A join token is worth nothing from now on, at the next packet; `None` when there is none of this id. That holds also if it cannot be kept, until the node is made anew: revoke it
    /// again to have it kept. Who has joined by it stays in.
    pub fn revoke_join_token(&mut self, id: &TokenId) -> Option<Keeping> {
        let overlay = self.rooms.overlay.as_deref_mut()?;
        let change = overlay.tokens.as_mut()?.revoke(id)?;
        overlay.tell_joined(id);
        Some(self.rooms.storing.keep_overlay(OverlayChange::Token(change)))
    }

    /// Whether a ping is looked at before the gate: it wants to join, and names a token that lets somebody in. Whoever knows of none is judged by the gate like everybody, so that a
    /// stranger does not learn that there is a hub.
    pub(in crate::node) fn lets_join(&self, now: Now, packet: &Packet<'_>) -> bool {
        if packet.intent != *wire::JOIN {
            return false;
        }
        let tokens = self.rooms.overlay.as_ref().and_then(|overlay| overlay.tokens.as_ref());
        let Some((tokens, token)) = tokens.zip(wire::bytes(packet.payload, "token")) else { return false };
        let did = packet.source_did.to_cow();
        let key = self.policy.pins.get(&did).filter(|pin| !pin.revoked).map(|pin| pin.key);
        tokens.is_live(now.wall, &token, &did, key)
    }

    /// Take in the ping of somebody who wants to join.
    pub(in crate::node) fn take_join(
        &mut self,
        now: Now,
        (ingress, packet): (&Ingress<'_>, &Packet<'_>),
        texts: Texts<'_>,
    ) -> Result<Taken, Reject> {
        let name = self.rooms.admission.name(texts.sender.did);
        let admission = self.rooms.admission.check_new(now, (name, ingress.path.remote), texts)?;
        let (key, digest) = self.check_join(now, (ingress, packet), texts)?;
        // After a restart nothing stamped up to the mark on the medium is taken in: what is stamped after it waits for the next mark.
        if self.rooms.storing.holds(now, admission.stamp()) {
            return if self.rooms.storing.hold(ingress) { Ok(Taken::Held) } else { Err(Reject::Busy) };
        }
        let payload = packet.payload;
        let token = wire::bytes(payload, "token").ok_or(Reject::Malformed)?;
        let nonce = wire::bytes(payload, "nonce").ok_or(Reject::Malformed)?;
        let join = Join { token, did: texts.sender.did, key, nonce };
        let (challenge, proof) = (wire::bytes(payload, "challenge"), wire::bytes(payload, "proof"));
        let answer = match challenge.zip(proof) {
            None => {
                let tokens = self.rooms.overlay.as_deref_mut().ok_or(Reject::Busy)?.tokens();
                Members::new().hex("challenge", &tokens.challenge(now.mono, &join)).finish()
            }
            Some((challenge, proof)) => match self.redeem(now, ingress, &join, (&challenge, &proof))? {
                Some(answer) => answer,
                None if self.rooms.storing.hold(ingress) => return Ok(Taken::Held),
                None => return Err(Reject::Busy),
            },
        };
        let taken = self.answer_join(now, (ingress, packet), texts, (&answer, &digest))?;
        self.rooms.admission.admit_new(admission);
        Ok(taken)
    }

    /// Who signed it, if what the operator has decided does not keep it out.
    fn check_join(
        &mut self,
        now: Now,
        (ingress, packet): (&Ingress<'_>, &Packet<'_>),
        texts: Texts<'_>,
    ) -> Result<(PublicKey, Digest), Reject> {
        let Self { policy, rooms, .. } = self;
        let did = texts.sender.did;
        if !may_be_taken(did) {
            return Err(Reject::Malformed);
        }
        if did == rooms.outbox.did() {
            return Err(Reject::OwnName);
        }
        let name = rooms.admission.name(did);
        let judged = policy.judge(now.wall, &texts.sender.subject(), name, Proof::Pinned);
        let decided = judged.rule.is_some() || judged.source == Source::Known;
        if judged.zone == Zone::Rood && decided {
            return Err(Reject::Rood);
        }
        let proof = (packet.proof, ingress.session);
        let claim = identity::claim(&policy.pins, name, proof, policy.require, |_| None)?;
        if ingress.session.is_none() && !rooms.admission.may_verify(now.mono) {
            return Err(Reject::Busy);
        }
        let (auth, digest) = claim.verify(packet, ingress.frame.encoding)?;
        let key = auth.key().ok_or(Reject::BadSignature)?;
        let digest = match digest {
            Some(digest) => digest,
            None => packet.digest(ingress.frame.encoding).map_err(|_| Reject::Malformed)?,
        };
        Ok((key, digest))
    }

    /// Let somebody in whose proof holds: the answer, or `None` as long as that is not kept.
    fn redeem(
        &mut self,
        now: Now,
        ingress: &Ingress<'_>,
        join: &Join<'_>,
        (challenge, proof): (&[u8; 32], &[u8; 32]),
    ) -> Result<Option<String>, Reject> {
        let Some(identity) = self.rooms.outbox.identity().cloned() else { return Err(Reject::Busy) };
        let own = self.config.did.clone();
        let mut key = Vec::from(*b"j");
        key.extend_from_slice(&join.token);
        let storing = &self.rooms.storing;
        if storing.is_waiting(&key) {
            return Ok(None);
        }
        let overlay = self.rooms.overlay.as_deref_mut().ok_or(Reject::Busy)?;
        if storing.is_failing(now.mono) || !storing.has_room_for(3) || !overlay.has_room_for_news(1) {
            return Err(Reject::Busy);
        }
        // A token lets nobody in under a name that is somebody's already.
        let taken = self.policy.is_of_another(join.did, join.key, now.wall)
            || (self.policy.legacy.allows(join.did) && self.rooms.peers.get(now.mono, join.did).is_some())
            || overlay.registry.get(join.did).is_some_and(|device| device.key() != join.key);
        if self.policy.pins.get(join.did).is_none() && taken {
            overlay.refuse("name_taken");
            return Ok(Some(Members::new().text("error", "name_taken").finish()));
        }
        let redeemed = overlay.tokens().redeem(now, join, challenge, proof, (own.as_str(), &identity.public()));
        let Joined { trust, again, answer, change } = match redeemed {
            Ok(joined) => joined,
            Err(why) => {
                overlay.refuse("token");
                let word = match why {
                    JoinReject::Challenge => "challenge",
                    JoinReject::Proof => "token",
                    // Such a token is not spoken of.
                    _ => return Err(Reject::Rood),
                };
                return Ok(Some(Members::new().text("error", word).finish()));
            }
        };
        if !again {
            let undo = |node: &mut Self| {
                node.rooms.overlay.as_mut().map(|overlay| overlay.tokens().undo(&change));
            };
            if self.policy.pins.get(join.did).is_none() && self.pin(now, join.did, join.key, Origin::Joined).is_err() {
                undo(self);
                return Err(Reject::Busy);
            }
            let known = self.trusted(join.did).is_some_and(|known| known >= trust);
            if !known && self.decide_trust(join.did, trust).is_err() {
                undo(self);
                return Err(Reject::Busy);
            }
            let Some(overlay) = self.rooms.overlay.as_deref_mut() else { return Err(Reject::Busy) };
            let news = OverlayNews::Joined { did: join.did.into(), key: join.key, token: join.token, trust };
            if self.rooms.storing.push_overlay(OverlayChange::Token(change)) {
                overlay.unkept.insert(join.did.into(), Vec::from([news]));
                return Ok(None);
            }
            overlay.news.push_back(news);
        }
        let overlay = self.rooms.overlay.as_deref_mut().ok_or(Reject::Busy)?;
        overlay.news.extend(overlay.unkept.remove(join.did).unwrap_or_default());
        let room = if ingress.session.is_some() {
            serve::ANSWER
        } else {
            (ingress.bytes.len() * AMPLIFICATION).saturating_sub(serve::BESIDE)
        };
        Ok(Some(overlay.welcome(now, (join.did, ingress.path), (&answer, trust), room)))
    }

    /// Send the answer to somebody who is not known, or was not until now.
    fn answer_join(
        &mut self,
        now: Now,
        (ingress, packet): (&Ingress<'_>, &Packet<'_>),
        texts: Texts<'_>,
        (answer, digest): (&str, &Digest),
    ) -> Result<Taken, Reject> {
        let Self { policy, rooms, .. } = self;
        let name = rooms.admission.name(texts.sender.did);
        let judged = policy.judge(now.wall, &texts.sender.subject(), name, Proof::Pinned);
        if !rooms.outbox.has_room(Rank::Stranger) {
            return Err(Reject::Busy);
        }
        let path = ingress.path;
        let hop = ingress.session.map_or(NextHop::Direct(path), |from| NextHop::Session(from.id, path));
        let allowance = ingress.session.is_none().then_some(ingress.bytes.len() * AMPLIFICATION);
        let answer = Answer {
            to: texts.sender.did,
            in_response_to: packet.packet_id,
            decision: Decision::Accept,
            payload: Value::from_wire(answer),
            judged,
            hop,
            encoding: ingress.frame.encoding,
            digest: Some(digest).filter(|_| rooms.outbox.signs() && !hop.is_session()),
            allowance,
        };
        let len = rooms.outbox.stage(now, &answer).map_err(crate::node::receive::reject_of)?;
        rooms.outbox.commit(hop, len);
        Ok(Taken::Accepted)
    }

    /// Send the next message of a join.
    pub(super) fn send_join(&mut self, now: Now, id: OperationId) {
        let Some(key) = self.rooms.outbox.identity().map(crate::node::Identity::public) else { return };
        let own = self.config.did.clone();
        let Some(overlay) = self.rooms.overlay.as_deref_mut() else { return };
        let Some(row) = overlay.operations.get_mut(id) else { return };
        let Job::Join(joining) = &row.job else { return };
        let join = Join { token: joining.token.id(), did: own.as_str(), key, nonce: joining.nonce };
        let members = Members::new().hex("token", &join.token).hex("nonce", &join.nonce);
        let payload = match &joining.challenge {
            None => members.question(),
            Some(challenge) => {
                let proof = joining.token.prove(&join, challenge);
                members.hex("challenge", challenge).hex("proof", &proof).question()
            }
        };
        let path = joining.path;
        self.send_step(now, id, (BROADCAST, path), wire::JOIN, &payload);
    }

    /// What the hub says to who wants to join.
    pub(super) fn take_joined(
        &mut self,
        now: Now,
        id: OperationId,
        (hub, path, auth): (&str, Path, Auth),
        payload: Value<'_>,
    ) {
        let own_key = self.rooms.outbox.identity().map(crate::node::Identity::public);
        let own = self.config.did.clone();
        let Some(overlay) = self.rooms.overlay.as_deref_mut() else { return };
        let Some(row) = overlay.operations.get_mut(id) else { return };
        let Job::Join(joining) = &mut row.job else { return };
        if let (None, Some(challenge)) = (joining.challenge, wire::bytes(payload, "challenge")) {
            (joining.challenge, row.tries) = (Some(challenge), 0);
            return overlay.operations.set_due(id);
        }
        if wire::text(payload, "error").as_deref() == Some("challenge") {
            // It took too long.
            joining.challenge = None;
            return overlay.operations.set_due(id);
        }
        if wire::text(payload, "error").as_deref() == Some("name_taken") {
            let why = OperationError::Refused("the name is another device's at this hub".into());
            return overlay.end(now.wall, id, Err(why));
        }
        let answer = wire::bytes(payload, "answer");
        let shown = (joining.challenge).zip(answer).zip(auth.key()).zip(own_key);
        let holds = shown.is_some_and(|(((challenge, answer), hub_key), key)| {
            let join = Join { token: joining.token.id(), did: own.as_str(), key, nonce: joining.nonce };
            joining.token.is_hub(&join, &challenge, hub, &hub_key, &answer)
        });
        let (Some(key), true) = (auth.key(), holds && check_did(hub).is_ok()) else {
            return overlay.end(now.wall, id, Err(OperationError::Token));
        };
        let end = self.believe_hub(now, (hub, key, path), payload);
        if let Some(overlay) = self.rooms.overlay.as_deref_mut() {
            overlay.end(now.wall, id, end);
        }
    }

    /// The hub knows the token, too: its key is pinned, it is trusted and asked from now on, and whom it names is known.
    fn believe_hub(
        &mut self,
        now: Now,
        (hub, key, path): (&str, PublicKey, Path),
        payload: Value<'_>,
    ) -> Result<OperationOutcome, OperationError> {
        if self.policy.pins.get(hub).is_none_or(|pin| pin.key != key) {
            self.pin(now, hub, key, Origin::Joined)
                .map_err(|why| OperationError::Keep(alloc::format!("{why}").into()))?;
        }
        if self.trusted(hub).is_none() {
            self.decide_trust(hub, HUB_TRUST).map_err(|why| OperationError::Keep(alloc::format!("{why}").into()))?;
        }
        let Self { rooms, policy, .. } = self;
        let mut peers = 0;
        if let Some(overlay) = rooms.overlay.as_deref_mut() {
            // One more than may be asked is known all the same.
            let _ = overlay.add_server(hub, path);
            if let Some(profile) = &mut overlay.profile {
                wire::text(payload, "seen").iter().for_each(|at| _ = profile.see(at));
            }
            let mut buf = [0; Record::MAX_LEN];
            for text in wire::texts(payload, "records") {
                let record = Record::from_text(&text, &mut buf).and_then(|bytes| Record::read(bytes).ok());
                let Some(record) = record else { continue };
                if let Ok(registered) = overlay.registry.register(now.wall, &record, Heard::PassedOn, &policy.pins) {
                    rooms.storing.push_overlay(OverlayChange::Device(registered.change));
                    peers += 1;
                }
            }
        }
        self.rooms.prove_named(now, hub, path);
        let trust = wire::float(payload, "trust").filter(|trust| (0.0..=1.0).contains(trust)).unwrap_or_default();
        Ok(OperationOutcome::Joined { hub: Box::from(hub), key, trust, peers })
    }
}

impl Overlay {
    /// Tell of those who have joined by this token and cannot ask again for the answer that they wait for.
    fn tell_joined(&mut self, id: &TokenId) {
        let by_it = |news: &OverlayNews| matches!(news, OverlayNews::Joined { token, .. } if token == id);
        let Self { unkept, news, .. } = self;
        unkept.retain(|_, held| {
            let joined = held.iter().any(by_it);
            if joined {
                news.extend(held.drain(..));
            }
            !joined
        });
    }

    /// What somebody learns who has joined: that we know the token, how far it is trusted, and who else is here, as far as there is room.
    fn welcome(&self, now: Now, (did, from): (&str, Path), (answer, trust): (&[u8; 32], f64), room: usize) -> String {
        let mut buf = [0; Record::MAX_TEXT];
        let (mut texts, mut bytes) = (Vec::new(), 0);
        for device in self.registry.iter().filter(|device| device.is_current(now.wall) && device.did() != did) {
            let Some(record) = device.record() else { continue };
            let text = record.to_text(&mut buf);
            bytes += text.len() + 3;
            if bytes > room {
                break;
            }
            texts.push(String::from(text));
        }
        let seen = alloc::format!("{}", from.remote);
        let members = Members::new().hex("answer", answer).float("trust", trust).text("seen", &seen);
        members.texts("records", texts.iter().map(String::as_str)).finish()
    }
}
