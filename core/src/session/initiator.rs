//! The side that begins a handshake.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::guard::{Receiver, Tag, put_macs, read_cookie};
use super::handshake::{Admit, MACS, message, pattern_of};
use super::payload::{Answer, FINAL_LEN, Offer, SCRATCH, WriteError, pattern_byte, prologue, sign, verify};
use super::pending::Half;
use super::room::{Outgoing, Sessions};
use super::table::NONE;
use super::wire::{ANSWER_HEAD, Head, INIT_HEAD, Kind};
use super::{Claim, ConnectError, Ingress, SUITE, SessionReject, Stamp};
use crate::identity::PublicKey;
use crate::noise::{Curve as _, Finished, Handshake, Pattern, X25519, X25519Secret};
use crate::path::Path;
use crate::time::Now;

/// How many cookies one handshake takes: more are no answer to load.
const MOST_COOKIES: u8 = 4;

/// A first message of ours.
struct First {
    packet: Box<[u8]>,
    noise: Handshake<X25519>,
    pattern: Pattern,
    mac1: Tag,
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
            incarnation: self.local.incarnation,
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
        let Answer { key, incarnation } = Answer::read(payload).ok_or(SessionReject::Handshake)?;
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
        self.settle_incarnation(slot, epoch, path, &incarnation)?;
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

    /// Who the other side of a handshake is.
    pub(super) fn learn(&mut self, slot: u32, key: PublicKey, keys: &Finished<X25519>, pattern: Pattern) {
        let is_new = self.table.at(slot).is_some_and(|session| session.key.is_none());
        self.table.identify(slot, key);
        let Some(session) = self.table.at_mut(slot) else { return };
        // Of IK it was known before.
        if pattern == Pattern::Xx {
            session.set_statics(keys.remote);
        }
        if is_new {
            let newest = self.stamps.take(self.stamps.peer(&session.did, key.as_bytes()));
            session.remember(newest);
        }
    }
}
