//! Handshakes: who begins, who answers, and what comes of it.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::epoch::Epoch;
use super::guard::{Receiver, Tag, put_macs, read_cookie};
use super::payload::{
    ANSWER_LEN, FINAL_LEN, Offer, SCRATCH, WriteError, pattern_byte, prologue, read_answer, sign, verify, write_answer,
};
use super::pending::{Claim as PendingClaim, Half};
use super::room::{Outgoing, Sessions};
use super::table::{NONE, Phase, Session, news, owed};
use super::wire::{ANSWER_HEAD, Head, INIT_HEAD, Kind, MAC};
use super::{Claim, ConnectError, HEAD_ROOM, Ingress, SUITE, SessionId, SessionReject, Stamp};
use crate::identity::PublicKey;
use crate::noise::{Curve as _, Finished, Handshake, NoiseError, Pattern, X25519, X25519Secret};
use crate::path::Path;
use crate::time::{Duration, Instant, Now};

/// A first message that crosses one of ours this young gives way to it, where ours is of the lower key.
const CROSSING: Duration = Duration::from_secs(4);
/// How many cookies one handshake takes: more are no answer to load.
const MOST_COOKIES: u8 = 4;

/// Both macs.
const MACS: usize = 2 * MAC;

/// Who is asked whether a key may speak under a name.
type Admit<'a> = dyn FnMut(&Claim<'_>) -> bool + 'a;

/// A first message of ours.
struct First {
    packet: Box<[u8]>,
    noise: Handshake<X25519>,
    pattern: Pattern,
    mac1: Tag,
}

/// Where a first message came from, and how its sender wants to be answered.
#[derive(Clone, Copy)]
struct Sender {
    path: Path,
    index: u32,
    len: usize,
}

impl From<WriteError> for SessionReject {
    fn from(why: WriteError) -> Self {
        match why {
            WriteError::Noise(_) => Self::Handshake,
            WriteError::Signer(_) => Self::Signer,
        }
    }
}

impl From<WriteError> for ConnectError {
    fn from(why: WriteError) -> Self {
        match why {
            WriteError::Noise(NoiseError::Weak) => Self::Weak,
            WriteError::Noise(_) => Self::Busy,
            WriteError::Signer(_) => Self::Signer,
        }
    }
}

/// What Noise wrote of a frame of a handshake.
fn message(frame: &[u8], head: usize) -> Result<&[u8], SessionReject> {
    frame.get(head..frame.len().saturating_sub(MACS)).ok_or(SessionReject::Frame)
}

fn pattern_of(head: &Head) -> Result<Pattern, SessionReject> {
    let known = [Pattern::Xx, Pattern::Ik].into_iter().find(|pattern| pattern_byte(*pattern) == head.pattern);
    known.filter(|_| head.suite == SUITE).ok_or(SessionReject::Suite)
}

impl Sessions {
    /// Write the first message of a session's handshake, or write it anew; then with the early data that it had. After an error everything
    /// is as it was.
    pub(super) fn begin(&mut self, now: Now, slot: u32, early: &[u8]) -> Result<(), ConnectError> {
        let session = self.table.at(slot).ok_or(ConnectError::Busy)?;
        let (half, path) = (session.half, session.path);
        if self.outgoing.len() >= self.limits.outgoing || (half == NONE && self.halves.ours() >= self.limits.half_open)
        {
            return Err(ConnectError::Busy);
        }
        let (index, ephemeral) = (self.fresh_index(), X25519::generate(&mut self.rng));
        let stamp = self.local.stamp.following(now.wall);
        let known = self.halves.at(half);
        let (early, cookie) = known.map_or((early, None), |half| (&*half.early, half.cookie.as_ref()));
        let first = self.first_message(now, slot, (index, stamp, ephemeral), early, cookie)?;
        self.local.stamp = stamp;
        let half = match half {
            NONE => {
                let mut half = Half::new(index, slot, now.mono);
                half.early = early.into();
                self.halves.insert(half).ok_or(ConnectError::Busy)?
            }
            half => half,
        };
        self.halves.renumber(half, index);
        if let Some(half) = self.halves.at_mut(half) {
            (half.noise, half.pattern, half.mac1, half.at) = (Some(first.noise), first.pattern, first.mac1, now.mono);
        }
        if let Some(session) = self.table.at_mut(slot) {
            session.half = half;
            session.count_sent(first.packet.len());
        }
        self.outgoing.push_back(Outgoing { path, packet: first.packet });
        let at = now.mono + self.retry_after(slot);
        self.table.set_timer(slot, at);
        Ok(())
    }

    fn first_message(
        &self,
        now: Now,
        slot: u32,
        (index, stamp, ephemeral): (u32, Stamp, X25519Secret),
        early: &[u8],
        cookie: Option<&Tag>,
    ) -> Result<First, ConnectError> {
        let session = self.table.at(slot).ok_or(ConnectError::Busy)?;
        let remote = session.statics();
        let pattern = if remote.is_some() { Pattern::Ik } else { Pattern::Xx };
        let (prologue, prologue_len) = prologue(pattern, &session.did);
        let prologue = prologue.get(..prologue_len).unwrap_or_default();
        let mut noise = Handshake::initiator(pattern, prologue, remote, ephemeral).map_err(WriteError::from)?;
        let offer = Offer {
            stamp,
            key: self.local.public,
            fresh: self.sending_epoch(session, now.mono).is_none(),
            did: self.local.did.as_str(),
            early: if pattern == Pattern::Ik { early } else { &[] },
        };
        let payload = Offer::len(offer.did, offer.early);
        let len = INIT_HEAD + noise.message_len(payload).ok_or(ConnectError::Busy)? + MACS;
        if !session.may_send(len) {
            return Err(ConnectError::Busy);
        }
        let mut packet = vec![0; len];
        let (sender, receiver) = (index, 0);
        Head { kind: Kind::Init, suite: SUITE, pattern: pattern_byte(pattern), sender, receiver, counter: 0 }
            .write(&mut packet);
        let room = packet.get_mut(INIT_HEAD..len - MACS).unwrap_or_default();
        noise.write_with(&self.local.statics, payload, room, |binding, payload| {
            offer.write(payload);
            sign(&*self.local.identity, (Kind::Init, pattern), binding, payload)
        })?;
        let receiver = session.key.as_ref().filter(|_| pattern == Pattern::Ik);
        let receiver = receiver.map_or(Receiver::Did(&session.did), Receiver::Key);
        let mac1 = put_macs(&mut packet, &receiver.mac1(), cookie);
        Ok(First { packet: packet.into(), noise, pattern, mac1 })
    }

    /// A first message.
    pub(super) fn on_init(
        &mut self,
        now: Now,
        path: Path,
        head: &Head,
        datagram: &mut [u8],
        admit: &mut Admit<'_>,
    ) -> Result<Ingress, SessionReject> {
        let pattern = pattern_of(head)?;
        let by_key = pattern == Pattern::Ik;
        self.guard.check_mac1(datagram, by_key)?;
        self.guard.admit(now.mono, &path, datagram, by_key).map_err(|(why, reply)| {
            match reply {
                Some(reply) if self.cookies.len() < self.limits.outgoing => self.cookies.push_back(reply),
                Some(_) => return SessionReject::Load,
                None => {}
            }
            why
        })?;
        if self.outgoing.len() >= self.limits.outgoing || self.halves.theirs() + self.opening >= self.limits.half_open {
            return Err(SessionReject::Busy);
        }
        let mut payload = [0; SCRATCH];
        let (noise, len) = self.read_init(pattern, message(datagram, INIT_HEAD)?, &mut payload)?;
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
        if !admit(&Claim { did: offer.did, key: offer.key, path, answers: false }) {
            return Err(SessionReject::Key);
        }
        if existing.is_none() && !self.has_room(now, &offer.key) {
            return Err(SessionReject::Busy);
        }
        if let Some(slot) = existing {
            self.set_stamp(slot, &offer);
            self.settle_crossing(now, slot, &offer)?;
        }
        let from = Sender { path, index: head.sender, len: datagram.len() };
        if pattern == Pattern::Xx {
            self.answer_xx(now, from, noise, &offer, existing)?;
            return Ok(Ingress::Nothing);
        }
        let session = self.answer_ik(now, from, noise, &offer, existing)?;
        let body = HEAD_ROOM..HEAD_ROOM + offer.early.len();
        match datagram.get_mut(body.clone()) {
            Some(room) if !offer.early.is_empty() => {
                room.copy_from_slice(offer.early);
                Ok(Ingress::Early { session, key: offer.key, body })
            }
            _ => Ok(Ingress::Nothing),
        }
    }

    fn read_init(
        &mut self,
        pattern: Pattern,
        message: &[u8],
        payload: &mut [u8],
    ) -> Result<(Handshake<X25519>, usize), SessionReject> {
        let (prologue, len) = prologue(pattern, self.local.did.as_str());
        let ephemeral = X25519::generate(&mut self.rng);
        let prologue = prologue.get(..len).unwrap_or_default();
        let mut noise = Handshake::responder(pattern, prologue, &self.local.statics, ephemeral);
        let len = noise.read(&self.local.statics, message, payload).map_err(|_| SessionReject::Handshake)?;
        Ok((noise, len))
    }

    /// Whether there is room for one session more, and for what is to be remembered of it afterwards.
    pub(super) fn has_room(&mut self, now: Now, key: &PublicKey) -> bool {
        !self.table.slab.is_full()
            && !self.table.has_its_share(key)
            && self.stamps.reserve(self.table.slab.len(), now.wall)
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

    /// The second and last message of IK: from now on there are keys, which the other side is to use first.
    fn answer_ik(
        &mut self,
        now: Now,
        from: Sender,
        mut noise: Handshake<X25519>,
        offer: &Offer<'_>,
        existing: Option<u32>,
    ) -> Result<SessionId, SessionReject> {
        let index = self.fresh_index();
        let packet = self.answer(&mut noise, Pattern::Ik, index, from.index, &offer.key)?;
        let keys = noise.finish().map_err(|_| SessionReject::Handshake)?;
        let slot = match existing {
            Some(slot) => slot,
            None => self.insert_theirs(now, from.path, offer.did, offer.key, offer.stamp)?,
        };
        let session = self.table.at_mut(slot).ok_or(SessionReject::Busy)?;
        session.set_statics(keys.remote);
        session.replaced = now.mono;
        if offer.fresh || session.current == NONE {
            (session.fresh, session.unproven, session.path) = (true, true, from.path);
            [session.received, session.sent] =
                [from.len, packet.len()].map(|len| u32::try_from(len).unwrap_or(u32::MAX));
        }
        let before = core::mem::replace(&mut session.next, NONE);
        self.epochs.remove(before);
        let next = self.add_epoch(now.mono, slot, index, from.index, keys, false)?;
        if let Some(session) = self.table.at_mut(slot) {
            session.next = next;
        }
        self.table.set_timer(slot, now.mono + super::timers::HALF_OPEN);
        self.outgoing.push_back(Outgoing { path: from.path, packet });
        self.table.id(slot).ok_or(SessionReject::Busy)
    }

    /// The second message of XX: the third is waited for.
    fn answer_xx(
        &mut self,
        now: Now,
        from: Sender,
        mut noise: Handshake<X25519>,
        offer: &Offer<'_>,
        existing: Option<u32>,
    ) -> Result<(), SessionReject> {
        let index = self.fresh_index();
        let packet = self.answer(&mut noise, Pattern::Xx, index, from.index, &offer.key)?;
        let peer = self.stamps.peer(offer.did, offer.key.as_bytes());
        // One that waits already was not heard: it goes.
        if let Some(before) = self.halves.of(|claim| claim.peer == peer) {
            self.halves.remove(before);
        }
        let mut half = Half::new(index, NONE, now.mono);
        half.noise = Some(noise);
        let (did, key, stamp) = (offer.did.into(), offer.key, offer.stamp);
        half.claim = Some(Box::new(PendingClaim { did, key, peer, stamp, path: from.path, peer_index: from.index }));
        self.halves.insert(half).ok_or(SessionReject::Busy)?;
        if existing.is_none() {
            self.stamps.put(peer, offer.stamp);
        }
        self.outgoing.push_back(Outgoing { path: from.path, packet });
        Ok(())
    }

    /// Write a second message.
    fn answer(
        &self,
        noise: &mut Handshake<X25519>,
        pattern: Pattern,
        sender: u32,
        receiver: u32,
        to: &PublicKey,
    ) -> Result<Box<[u8]>, SessionReject> {
        let identity = &*self.local.identity;
        let head =
            Head { kind: Kind::Response, suite: SUITE, pattern: pattern_byte(pattern), sender, receiver, counter: 0 };
        let len = noise.message_len(ANSWER_LEN).ok_or(SessionReject::Handshake)?;
        let mut packet = vec![0; ANSWER_HEAD + len + MACS];
        head.write(&mut packet);
        let room = packet.get_mut(ANSWER_HEAD..ANSWER_HEAD + len).unwrap_or_default();
        noise.write_with(&self.local.statics, ANSWER_LEN, room, |binding, payload| {
            write_answer(&self.local.public, payload);
            sign(identity, (Kind::Response, pattern), binding, payload)
        })?;
        put_macs(&mut packet, &Receiver::Key(to).mac1(), None);
        Ok(packet.into())
    }

    /// A second message.
    pub(super) fn on_response(
        &mut self,
        now: Now,
        path: Path,
        head: &Head,
        datagram: &[u8],
        admit: &mut Admit<'_>,
    ) -> Result<Ingress, SessionReject> {
        let pattern = pattern_of(head)?;
        self.guard.check_mac1(datagram, true)?;
        let half_slot = self.halves.find(head.receiver).ok_or(SessionReject::Unknown)?;
        let half = self.halves.at(half_slot).ok_or(SessionReject::Unknown)?;
        let slot = half.session;
        let session = self.table.at(slot).ok_or(SessionReject::Unknown)?;
        if !session.path.same_remote(&path) {
            return Err(SessionReject::Path);
        }
        let mut noise = half
            .noise
            .as_ref()
            .filter(|_| pattern == half.pattern)
            .map(Handshake::trial)
            .ok_or(SessionReject::Unknown)?;
        let mut payload = [0; SCRATCH];
        let message = message(datagram, ANSWER_HEAD)?;
        let len = noise.read(&self.local.statics, message, &mut payload).map_err(|_| SessionReject::Handshake)?;
        let payload = payload.get(..len).unwrap_or_default();
        let key = read_answer(payload).ok_or(SessionReject::Handshake)?;
        if key == self.local.public {
            return Err(SessionReject::OwnKey);
        }
        verify(&key, (Kind::Response, pattern), noise.binding(), payload)?;
        if session.key.is_some_and(|known| known != key)
            || !admit(&Claim { did: &session.did, key, path, answers: true })
        {
            return Err(SessionReject::Key);
        }
        let index = half.index;
        let packet = if pattern == Pattern::Xx {
            self.write_final(&mut noise, index, head.sender, &key)?
        } else {
            Box::default()
        };
        let keys = noise.finish().map_err(|_| SessionReject::Handshake)?;
        self.learn(slot, key, &keys, pattern);
        let epoch = self.add_epoch(now.mono, slot, index, head.sender, keys, true)?;
        self.finish_half(now, slot, half_slot, packet);
        self.install(now.mono, slot, epoch, true);
        Ok(Ingress::Nothing)
    }

    /// Our handshake has its answer: nothing of it stays but, of XX, the message that may have to be repeated.
    fn finish_half(&mut self, now: Now, slot: u32, half_slot: u32, packet: Box<[u8]>) {
        let Some(half) = self.halves.at_mut(half_slot) else { return };
        let early = !half.early.is_empty() && packet.is_empty();
        (half.noise, half.tries, half.at) = (None, 0, now.mono);
        if let Some(session) = self.table.at_mut(slot) {
            session.early = early;
            if packet.is_empty() {
                session.half = NONE;
                self.halves.remove(half_slot);
            } else {
                self.outgoing.push_back(Outgoing { path: session.path, packet: packet.clone() });
                half.last = packet;
            }
        }
    }

    fn write_final(
        &self,
        noise: &mut Handshake<X25519>,
        sender: u32,
        receiver: u32,
        to: &PublicKey,
    ) -> Result<Box<[u8]>, SessionReject> {
        let identity = &*self.local.identity;
        let head =
            Head { kind: Kind::Final, suite: SUITE, pattern: pattern_byte(Pattern::Xx), sender, receiver, counter: 0 };
        let len = noise.message_len(FINAL_LEN).ok_or(SessionReject::Handshake)?;
        let mut packet: Vec<u8> = vec![0; ANSWER_HEAD + len + MACS];
        head.write(&mut packet);
        let room = packet.get_mut(ANSWER_HEAD..ANSWER_HEAD + len).unwrap_or_default();
        noise.write_with(&self.local.statics, FINAL_LEN, room, |binding, payload| {
            sign(identity, (Kind::Final, Pattern::Xx), binding, payload)
        })?;
        put_macs(&mut packet, &Receiver::Key(to).mac1(), None);
        Ok(packet.into())
    }

    /// The third message of XX.
    pub(super) fn on_final(
        &mut self,
        now: Now,
        path: Path,
        head: &Head,
        datagram: &[u8],
    ) -> Result<Ingress, SessionReject> {
        if pattern_of(head)? != Pattern::Xx {
            return Err(SessionReject::Suite);
        }
        self.guard.check_mac1(datagram, true)?;
        let half_slot = self.halves.find(head.receiver).ok_or(SessionReject::Unknown)?;
        let half = self.halves.at(half_slot).ok_or(SessionReject::Unknown)?;
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
        let epoch = self.add_epoch(now.mono, slot, half.index, claim.peer_index, keys, false)?;
        if let Some(session) = self.table.at_mut(slot) {
            // It could not be written without the message that went there.
            session.path = path;
            session.unproven = false;
        }
        self.install(now.mono, slot, epoch, false);
        Ok(Ingress::Nothing)
    }

    /// A cookie for a first message of ours, which is written anew with it.
    pub(super) fn on_cookie(
        &mut self,
        now: Now,
        path: Path,
        head: &Head,
        datagram: &[u8],
    ) -> Result<Ingress, SessionReject> {
        let half_slot = self.halves.find(head.receiver).ok_or(SessionReject::Unknown)?;
        let half = self.halves.at(half_slot).filter(|half| half.noise.is_some()).ok_or(SessionReject::Unknown)?;
        let slot = half.session;
        let session = self.table.at(slot).ok_or(SessionReject::Unknown)?;
        if !session.path.same_remote(&path) {
            return Err(SessionReject::Path);
        }
        let receiver = session.key.as_ref().filter(|_| half.pattern == Pattern::Ik);
        let receiver = receiver.map_or(Receiver::Did(&session.did), Receiver::Key);
        let cookie = read_cookie(datagram, receiver, &half.mac1).ok_or(SessionReject::Mac)?;
        if half.cookies >= MOST_COOKIES {
            return Err(SessionReject::Load);
        }
        if let Some(half) = self.halves.at_mut(half_slot) {
            half.cookie = Some(cookie);
            half.cookies += 1;
        }
        self.begin(now, slot, &[]).map_err(|_| SessionReject::Busy)?;
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
        session.stamp = stamp.max(self.stamps.take(self.stamps.peer(did, key.as_bytes())));
        let slot = self.table.insert(session).ok_or(SessionReject::Busy)?;
        self.opening += 1;
        self.table.tell(slot, news::STAMP);
        Ok(slot)
    }

    /// Who the other side of a handshake is.
    fn learn(&mut self, slot: u32, key: PublicKey, keys: &Finished<X25519>, pattern: Pattern) {
        let is_new = self.table.at(slot).is_some_and(|session| session.key.is_none());
        self.table.identify(slot, key);
        let Some(session) = self.table.at_mut(slot) else { return };
        // Of IK it was known before.
        if pattern == Pattern::Xx {
            session.set_statics(keys.remote);
        }
        if is_new {
            let newest = self.stamps.take(self.stamps.peer(&session.did, key.as_bytes()));
            session.stamp = session.stamp.max(newest);
        }
    }

    fn add_epoch(
        &mut self,
        now: Instant,
        slot: u32,
        index: u32,
        peer_index: u32,
        keys: Finished<X25519>,
        initiator: bool,
    ) -> Result<u32, SessionReject> {
        let epoch = Epoch::new(index, peer_index, slot, [keys.send, keys.receive], initiator, now);
        self.epochs.insert(epoch).ok_or(SessionReject::Busy)
    }

    /// From now on, send under these keys.
    pub(super) fn install(&mut self, now: Instant, slot: u32, epoch: u32, initiator: bool) {
        let Some(session) = self.table.at(slot) else { return };
        let (previous, was_opening, unconfirmed) =
            (session.previous, session.phase == Phase::Opening, session.is_unconfirmed());
        self.epochs.remove(previous);
        self.opening -= usize::from(unconfirmed).min(self.opening);
        let Some(session) = self.table.at_mut(slot) else { return };
        session.previous = session.current;
        session.current = epoch;
        if session.next == epoch {
            session.next = NONE;
        }
        (session.replaced, session.heard, session.confirmed) = (now, now, 0);
        (session.awaiting, session.fresh, session.unproven) = (None, false, false);
        if was_opening {
            session.phase = Phase::Up;
            session.initiator = initiator;
        }
        self.table.tell(slot, if was_opening { news::UP } else { news::REKEYED });
        // The other side waits to see the keys used.
        self.table.owe(slot, owed::NOTHING);
        self.table.set_timer(slot, now + Duration::from_secs(1));
    }
}
