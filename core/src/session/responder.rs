//! The side that answers a handshake.

use alloc::boxed::Box;

use super::guard::Receiver;
use super::handshake::{Admit, Draft, message, rest_frame};
use super::kem::{Announced, Shared, announce, encapsulate};
use super::payload::{Answer, FINAL_LEN, Offer, SCRATCH, answer_len, pattern_byte, prologue, verify};
use super::pending::{Claim as PendingClaim, Half};
use super::room::{Outgoing, Sessions};
use super::table::{NONE, Session, news};
use super::timers::{HALF_OPEN, PLACE, TAKEOVER};
use super::wire::{ANSWER_HEAD, Head, INIT_HEAD, Kind};
use super::{Claim, HEAD_ROOM, Ingress, REJECT_AFTER, SUITE, SessionId, SessionReject, Stamp};
use crate::identity::PublicKey;
use crate::noise::{Curve as _, Handshake, Pattern, X25519};
use crate::path::Path;
use crate::time::{Duration, Instant, Now};

/// A first message that crosses one of ours this young gives way to it, where ours is of the lower key.
const CROSSING: Duration = Duration::from_secs(4);

/// A handshake of another, or a session that it has not used yet.
enum Waiting {
    Half(u32),
    Session(u32),
}

impl Sessions {
    /// A first message.
    pub(super) fn on_init(
        &mut self,
        now: Now,
        path: Path,
        head: &Head,
        datagram: &mut [u8],
        admit: &mut Admit<'_>,
    ) -> Result<Ingress, SessionReject> {
        let pattern = self.pattern_of(head)?;
        let by_key = pattern == Pattern::Ik;
        self.guard.check_mac1(datagram, by_key)?;
        let admitted = match self.faults.no_cookie() {
            true => Ok(()),
            false => self.guard.admit(now.mono, &path, datagram, by_key),
        };
        admitted.map_err(|(why, reply)| {
            match reply {
                Some(reply) if self.cookies.len() < self.limits.outgoing => self.cookies.push_back(reply),
                Some(_) => return SessionReject::Load,
                None => {}
            }
            why
        })?;
        if self.outgoing.len() >= self.limits.outgoing || !self.has_place(now.mono) {
            return Err(SessionReject::Busy);
        }
        let mut payload = [0; SCRATCH];
        let (noise, len) = self.read_init((head.suite, pattern), message(datagram, INIT_HEAD)?, &mut payload)?;
        let payload = payload.get(..len).unwrap_or_default();
        let offer = Offer::read(payload).ok_or(SessionReject::Handshake)?;
        let peer = self.stamps.peer(offer.did, offer.key.as_bytes());
        let existing = self.table.find(offer.did, Some(&offer.key));
        let session = existing.and_then(|slot| self.table.at(slot));
        let newest = session.map_or(Default::default(), |session| session.stamp).max(self.stamps.newest(peer));
        if offer.key == self.local.public || offer.did == self.local.did.as_str() {
            return Err(SessionReject::OwnKey);
        }
        if offer.stamp <= newest {
            return Err(SessionReject::Stamp);
        }
        verify(&offer.key, (Kind::Init, pattern), noise.binding(), payload)?;
        if !self.limits.suites.agrees(head.suite, offer.best) {
            return Err(SessionReject::Suite);
        }
        let announced = match head.suite {
            SUITE => None,
            _ => Some(Announced::read(offer.early).ok_or(SessionReject::Handshake)?),
        };
        if !admit(&Claim { did: offer.did, key: offer.key, path, answers: false }) {
            return Err(SessionReject::Key);
        }
        if existing.is_none() && !self.has_room(now, &offer.key) {
            return Err(SessionReject::Busy);
        }
        if !self.make_way(now.mono) {
            return Err(SessionReject::Busy);
        }
        if let Some(slot) = self.table.find(offer.did, Some(&offer.key)) {
            self.set_stamp(slot, &offer);
            self.settle_crossing(now, slot, &offer)?;
        }
        let claim = PendingClaim {
            did: offer.did.into(),
            key: offer.key,
            peer,
            stamp: offer.stamp,
            incarnation: offer.incarnation,
            path,
            peer_index: head.sender,
            fresh: offer.fresh,
            received: datagram.len(),
            announced,
        };
        let index = self.fresh_index();
        if claim.announced.is_some() {
            self.wait(now, (head.suite, pattern), index, noise, claim)?;
            return Ok(Ingress::Nothing);
        }
        let session = self.answer_claim(now, (SUITE, pattern), index, noise, claim, None)?;
        let Some(session) = session else { return Ok(Ingress::Nothing) };
        // Who may be one of two with one key is not heard before it is known to be alive, and then not at all.
        let heard = self.table.live(session).and_then(|slot| self.table.at(slot));
        let heard = heard.is_some_and(|session| !session.excludes(&offer.incarnation));
        let body = HEAD_ROOM..HEAD_ROOM + offer.early.len();
        match datagram.get_mut(body.clone()) {
            Some(room) if heard && !offer.early.is_empty() => {
                room.copy_from_slice(offer.early);
                Ok(Ingress::Early { session, key: offer.key, body })
            }
            _ => Ok(Ingress::Nothing),
        }
    }

    /// The rest of a first message: an encapsulation key. Whom it is from is known and let in, and holds a place among handshakes.
    pub(super) fn on_rest_of_first(
        &mut self,
        now: Now,
        path: Path,
        head: &Head,
        rest: &[u8],
        len: usize,
    ) -> Result<Ingress, SessionReject> {
        let is_it = |claim: &PendingClaim| {
            claim.announced.is_some() && claim.peer_index == head.sender && claim.path.same_remote(&path)
        };
        let half_slot = self.halves.of(is_it).ok_or(SessionReject::Unknown)?;
        let half = self.halves.at(half_slot).ok_or(SessionReject::Unknown)?;
        let claim = half.claim.as_deref().ok_or(SessionReject::Unknown)?;
        let announced = claim.announced.as_ref().ok_or(SessionReject::Unknown)?;
        if (half.suite, pattern_byte(half.pattern)) != (head.suite, head.pattern) {
            return Err(SessionReject::Unknown);
        }
        let kem_key = announced.with(rest).ok_or(SessionReject::Handshake)?;
        let (key, is_new) = (claim.key, self.table.find(&claim.did, Some(&claim.key)).is_none());
        if self.outgoing.len() + 2 > self.limits.outgoing || (is_new && !self.has_room(now, &key)) {
            return Err(SessionReject::Busy);
        }
        let (ciphertext, shared) = encapsulate(&kem_key, &mut self.rng).ok_or(SessionReject::Handshake)?;
        let half = self.halves.remove(half_slot).ok_or(SessionReject::Unknown)?;
        let (mut noise, mut claim) = half.noise.zip(half.claim).ok_or(SessionReject::Unknown)?;
        noise.mix(&kem_key, None);
        claim.announced = None;
        claim.received += len;
        self.answer_claim(now, (half.suite, half.pattern), half.index, noise, *claim, Some((&ciphertext, &shared)))?;
        Ok(Ingress::Nothing)
    }

    /// Have a place for one handshake more that another begins: where all are taken, what waits longest goes unheard, if it has waited for [`PLACE`]. So whoever goes on within that time keeps
    /// his place, and those that never do keep nobody out for longer. False where all places are that young.
    fn make_way(&mut self, now: Instant) -> bool {
        while self.halves.theirs() + self.opening >= self.limits.half_open {
            match self.longest_waiting(now) {
                Some(Waiting::Half(slot)) => _ = self.halves.remove(slot),
                Some(Waiting::Session(slot)) => self.end(slot, None),
                None => return false,
            }
        }
        true
    }

    /// Whether [`make_way`](Self::make_way) would have one.
    fn has_place(&mut self, now: Instant) -> bool {
        self.halves.theirs() + self.opening < self.limits.half_open || self.longest_waiting(now).is_some()
    }

    /// What has to make way first: the oldest of whichever kind takes more places.
    fn longest_waiting(&mut self, now: Instant) -> Option<Waiting> {
        let (slot, since) = if self.halves.theirs() >= self.opening {
            let (slot, since) = self.halves.oldest()?;
            (Waiting::Half(slot), since)
        } else {
            let slot = self.oldest_unconfirmed()?;
            (Waiting::Session(slot), self.table.at(slot)?.heard)
        };
        (now.saturating_since(since) >= PLACE).then_some(slot)
    }

    /// The oldest session that another began and has not used yet.
    fn oldest_unconfirmed(&mut self) -> Option<u32> {
        loop {
            let slot = self.unconfirmed.front().and_then(|id| self.table.live(*id));
            if let Some(slot) = slot.filter(|slot| self.table.at(*slot).is_some_and(Session::is_unconfirmed)) {
                return Some(slot);
            }
            self.unconfirmed.pop_front()?;
        }
    }

    /// Keep the order of those that are not confirmed. Those that are since, or are over, are forgotten before there are too many of them.
    fn note_unconfirmed(&mut self, slot: u32) {
        if self.unconfirmed.len() >= self.limits.half_open.saturating_mul(2) {
            let table = &self.table;
            let waits =
                |id: &SessionId| table.live(*id).and_then(|slot| table.at(slot)).is_some_and(Session::is_unconfirmed);
            self.unconfirmed.retain(waits);
        }
        self.unconfirmed.extend(self.table.id(slot));
    }

    fn read_init(
        &mut self,
        (suite, pattern): (u8, Pattern),
        message: &[u8],
        payload: &mut [u8],
    ) -> Result<(Handshake<X25519>, usize), SessionReject> {
        let (prologue, len) = prologue(suite, pattern, self.local.did.as_str());
        let ephemeral = X25519::generate(&mut self.rng);
        let prologue = prologue.get(..len).unwrap_or_default();
        let mut noise = Handshake::responder(pattern, prologue, &self.local.statics, ephemeral);
        let len = noise.read(&self.local.statics, message, payload).map_err(|_| SessionReject::Handshake)?;
        Ok((noise, len))
    }

    fn set_stamp(&mut self, slot: u32, offer: &Offer<'_>) {
        self.table.identify(slot, offer.key);
        if let Some(session) = self.table.at_mut(slot) {
            session.stamp = offer.stamp;
            self.table.tell(slot, news::STAMP);
        }
    }

    /// Both sides began at once: the one with the lower key goes on, on both sides.
    fn settle_crossing(&mut self, now: Now, slot: u32, offer: &Offer<'_>) -> Result<(), SessionReject> {
        let half = self.table.at(slot).map_or(NONE, |session| session.half);
        let Some(asking) = self.halves.at(half).filter(|half| half.noise.is_some()) else { return Ok(()) };
        if self.local.public < offer.key && now.mono.saturating_since(asking.at) < CROSSING && asking.tries < 2 {
            return Err(SessionReject::Crossed);
        }
        self.halves.remove(half);
        if let Some(session) = self.table.at_mut(slot) {
            session.half = NONE;
            session.replaced = now.mono;
        }
        Ok(())
    }

    /// Write the second message. With IK it is the last one, and there is a session.
    fn answer_claim(
        &mut self,
        now: Now,
        (suite, pattern): (u8, Pattern),
        index: u32,
        mut noise: Handshake<X25519>,
        claim: PendingClaim,
        kem: Option<(&[u8], &Shared)>,
    ) -> Result<Option<SessionId>, SessionReject> {
        let (path, numbers) = (claim.path, (index, claim.peer_index));
        let ciphertext = kem.map(|(ciphertext, _)| ciphertext);
        let packets = self.answer(&mut noise, (suite, pattern), numbers, &claim.key, ciphertext)?;
        if let Some((ciphertext, shared)) = kem {
            noise.mix(ciphertext, Some(shared));
        }
        let sent = packets.iter().flatten().map(|packet| packet.len()).sum();
        let session = if pattern == Pattern::Ik {
            Some(self.answer_ik(now, (suite, index), &noise, &claim, sent)?)
        } else {
            self.wait(now, (suite, pattern), index, noise, claim)?;
            None
        };
        self.outgoing.extend(packets.into_iter().flatten().map(|packet| Outgoing { path, packet }));
        Ok(session)
    }

    /// From now on there are keys, which the other side is to use first.
    fn answer_ik(
        &mut self,
        now: Now,
        (suite, index): (u8, u32),
        noise: &Handshake<X25519>,
        claim: &PendingClaim,
        sent: usize,
    ) -> Result<SessionId, SessionReject> {
        let keys = noise.finish().map_err(|_| SessionReject::Handshake)?;
        let slot = match self.table.find(&claim.did, Some(&claim.key)) {
            Some(slot) => slot,
            None => self.insert_theirs(now, claim.path, &claim.did, claim.key, claim.stamp)?,
        };
        let current = self.table.at(slot).and_then(|session| self.epochs.at(session.current));
        let usable = current.is_some_and(|epoch| now.mono.saturating_since(epoch.born) < REJECT_AFTER);
        let session = self.table.at_mut(slot).ok_or(SessionReject::Busy)?;
        session.set_statics(keys.remote);
        session.replaced = now.mono;
        session.set_shown(claim.incarnation);
        let anew = claim.fresh && !session.excludes(&claim.incarnation);
        if usable && anew {
            session.begins_anew(claim.path);
        } else if anew || session.current == NONE {
            (session.unproven, session.path) = (true, claim.path);
            [session.received, session.sent] = [claim.received, sent].map(|len| u32::try_from(len).unwrap_or(u32::MAX));
        }
        let before = core::mem::replace(&mut session.next, NONE);
        self.epochs.remove(before);
        let next = self.add_epoch(now.mono, slot, index, claim.peer_index, keys, (false, suite))?;
        if let Some(session) = self.table.at_mut(slot) {
            session.next = next;
        }
        let wait = if usable && anew { TAKEOVER } else { HALF_OPEN };
        self.table.set_timer(slot, now.mono + wait);
        self.table.id(slot).ok_or(SessionReject::Busy)
    }

    /// The next message is waited for: the rest of the first, or the third of XX.
    fn wait(
        &mut self,
        now: Now,
        (suite, pattern): (u8, Pattern),
        index: u32,
        noise: Handshake<X25519>,
        claim: PendingClaim,
    ) -> Result<(), SessionReject> {
        let (peer, stamp) = (claim.peer, claim.stamp);
        let is_new = self.table.find(&claim.did, Some(&claim.key)).is_none();
        // One that waits already was not heard: it goes.
        if let Some(before) = self.halves.of(|claim| claim.peer == peer) {
            self.halves.remove(before);
        }
        let mut half = Half::new(index, NONE, now.mono);
        (half.suite, half.pattern, half.noise, half.claim) = (suite, pattern, Some(noise), Some(Box::new(claim)));
        self.halves.insert(half).ok_or(SessionReject::Busy)?;
        if is_new {
            self.stamps.put(peer, stamp, Default::default());
        }
        Ok(())
    }

    /// Write a second message, and what of it does not fit into its datagram.
    fn answer(
        &self,
        noise: &mut Handshake<X25519>,
        (suite, pattern): (u8, Pattern),
        (sender, receiver): (u32, u32),
        to: &PublicKey,
        ciphertext: Option<&[u8]>,
    ) -> Result<[Option<Box<[u8]>>; 2], SessionReject> {
        let local = &self.local;
        let head = Head { kind: Kind::Response, suite, pattern: pattern_byte(pattern), sender, receiver, counter: 0 };
        let announced = ciphertext.map(announce);
        let answer = Answer {
            key: local.public,
            incarnation: local.incarnation,
            best: self.limits.suites.best(),
            announced: announced.as_ref().map_or(&[], |(announced, _)| announced),
        };
        let receiver = Receiver::Key(to).mac1();
        let draft = Draft { head, pattern, payload: answer_len(suite), receiver: &receiver, cookie: None };
        let (packet, _) = self.write_message(noise, &draft, |payload| answer.write(payload))?;
        let rest = announced.map(|(_, rest)| rest_frame(&head, rest, &receiver));
        Ok([Some(packet), rest])
    }

    /// The third message of XX.
    pub(super) fn on_final(
        &mut self,
        now: Now,
        path: Path,
        head: &Head,
        datagram: &[u8],
    ) -> Result<Ingress, SessionReject> {
        if self.pattern_of(head)? != Pattern::Xx {
            return Err(SessionReject::Suite);
        }
        self.guard.check_mac1(datagram, true)?;
        let half_slot = self.halves.find(head.receiver).ok_or(SessionReject::Unknown)?;
        let half = self.halves.at(half_slot).filter(|half| half.suite == head.suite).ok_or(SessionReject::Unknown)?;
        let claim = half.claim.as_deref().ok_or(SessionReject::Unknown)?;
        if !claim.path.same_remote(&path) || claim.peer_index != head.sender {
            return Err(SessionReject::Path);
        }
        let mut noise = half.noise.as_ref().map(Handshake::trial).ok_or(SessionReject::Unknown)?;
        let mut payload = [0; SCRATCH];
        let message = message(datagram, ANSWER_HEAD)?;
        let len = noise.read(&self.local.statics, message, &mut payload).map_err(|_| SessionReject::Handshake)?;
        let payload = payload.get(..len).filter(|_| len == FINAL_LEN).ok_or(SessionReject::Handshake)?;
        verify(&claim.key, (Kind::Final, Pattern::Xx), noise.binding(), payload)?;
        let keys = noise.finish().map_err(|_| SessionReject::Handshake)?;
        let (key, is_new) = (claim.key, self.table.find(&claim.did, Some(&claim.key)).is_none());
        if is_new && !self.has_room(now, &key) {
            return Err(SessionReject::Busy);
        }
        let half = self.halves.remove(half_slot).ok_or(SessionReject::Unknown)?;
        let claim = half.claim.ok_or(SessionReject::Unknown)?;
        let slot = match self.table.find(&claim.did, Some(&claim.key)) {
            Some(slot) => slot,
            None => self.insert_theirs(now, path, &claim.did, claim.key, claim.stamp)?,
        };
        self.learn(slot, claim.key, &keys, Pattern::Xx);
        let epoch = self.add_epoch(now.mono, slot, half.index, claim.peer_index, keys, (false, half.suite))?;
        self.settle_incarnation(slot, epoch, path, &claim.incarnation)?;
        // It could not be written without the message that went there.
        self.settle_at(slot, path);
        self.install(now.mono, slot, epoch, false);
        Ok(Ingress::Nothing)
    }

    /// A session that another began.
    fn insert_theirs(
        &mut self,
        now: Now,
        path: Path,
        did: &str,
        key: PublicKey,
        stamp: Stamp,
    ) -> Result<u32, SessionReject> {
        let mut session = Session::new(did, Some(key), path, now.mono);
        session.theirs = true;
        session.stamp = stamp;
        session.remember(self.stamps.take(self.stamps.peer(did, key.as_bytes())));
        let slot = self.table.insert(session).ok_or(SessionReject::Busy)?;
        self.opening += 1;
        self.note_unconfirmed(slot);
        self.table.tell(slot, news::STAMP);
        Ok(slot)
    }
}
