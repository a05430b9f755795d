//! The side that begins a handshake.

use alloc::boxed::Box;

use super::guard::{Receiver, Tag, read_cookie};
use super::handshake::{Admit, Draft, MACS, message, rest_frame};
use super::kem::{Announced, KemSecret, announce};
use super::payload::{Answer, FINAL_LEN, Offer, SCRATCH, WriteError, pattern_byte, prologue, verify};
use super::pending::{Answered, Half};
use super::room::{Outgoing, Sessions};
use super::table::{NONE, Phase, Session};
use super::wire::{ANSWER_HEAD, Head, INIT_HEAD, Kind};
use super::{Claim, ConnectError, Ingress, SUITE, SUITE_HYBRID, SessionReject, Stamp, Suites};
use crate::identity::PublicKey;
use crate::noise::{Curve as _, Finished, Handshake, Pattern, X25519, X25519Secret};
use crate::path::Path;
use crate::time::Now;

/// How many cookies one handshake takes: more are no answer to load.
const MOST_COOKIES: u8 = 4;

/// A first message of ours.
struct First {
    packet: Box<[u8]>,
    /// What it announces of a key.
    rest: Option<Box<[u8]>>,
    noise: Handshake<X25519>,
    pattern: Pattern,
    mac1: Tag,
}

/// What is new in each first message.
struct Fresh {
    index: u32,
    stamp: Stamp,
    ephemeral: X25519Secret,
    kem: Option<Box<KemSecret>>,
}

impl Sessions {
    /// Write the first message of a session's handshake, or write it anew; then with the early data that it had. After an error everything
    /// is as it was.
    pub(super) fn begin(&mut self, now: Now, slot: u32, early: &[u8]) -> Result<(), ConnectError> {
        let session = self.table.at(slot).ok_or(ConnectError::Busy)?;
        let (half, path, suite) = (session.half, session.path, self.next_suite(session));
        let datagrams = if suite == SUITE_HYBRID { 2 } else { 1 };
        if self.outgoing.len() + datagrams > self.limits.outgoing
            || (half == NONE && self.halves.ours() >= self.limits.half_open)
        {
            return Err(ConnectError::Busy);
        }
        let (index, ephemeral) = (self.fresh_index(), X25519::generate(&mut self.rng));
        let kem = (suite == SUITE_HYBRID).then(|| Box::new(KemSecret::generate(&mut self.rng)));
        let stamp = self.local.stamp.following(now.wall);
        let known = self.halves.at(half);
        let (early, cookie) = known.map_or((early, None), |half| (&*half.early, half.cookie.as_ref()));
        let fresh = Fresh { index, stamp, ephemeral, kem };
        let (first, kem) = self.first_message(now, slot, fresh, early, cookie)?;
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
            (half.suite, half.kem, half.answered) = (suite, kem, None);
        }
        if let Some(session) = self.table.at_mut(slot) {
            session.half = half;
            if session.phase == Phase::Opening {
                session.suite = suite;
            }
        }
        for packet in [Some(first.packet), first.rest].into_iter().flatten() {
            if let Some(session) = self.table.at_mut(slot) {
                session.count_sent(packet.len());
            }
            self.outgoing.push_back(Outgoing { path, packet });
        }
        let at = now.mono + self.retry_after(slot);
        self.table.set_timer(slot, at);
        Ok(())
    }

    /// The suite of the next first message: that of the keys that there are, or the best; where both are spoken the third and the last attempt are in the other one.
    fn next_suite(&self, session: &Session) -> u8 {
        let suites = self.limits.suites;
        let known = self.epochs.at(session.current).map(|epoch| epoch.suite).filter(|suite| suites.takes(*suite));
        let first = known.unwrap_or(suites.best());
        let tries = self.halves.at(session.half).map_or(0, |half| half.tries);
        match suites {
            Suites::Any if tries == 2 || tries == 4 => SUITE + SUITE_HYBRID - first,
            _ => first,
        }
    }

    fn first_message(
        &self,
        now: Now,
        slot: u32,
        fresh: Fresh,
        early: &[u8],
        cookie: Option<&Tag>,
    ) -> Result<(First, Option<Box<KemSecret>>), ConnectError> {
        let Fresh { index, stamp, ephemeral, kem } = fresh;
        let suite = if kem.is_some() { SUITE_HYBRID } else { SUITE };
        let session = self.table.at(slot).ok_or(ConnectError::Busy)?;
        let remote = session.statics();
        let pattern = if remote.is_some() { Pattern::Ik } else { Pattern::Xx };
        let (prologue, prologue_len) = prologue(suite, pattern, &session.did);
        let prologue = prologue.get(..prologue_len).unwrap_or_default();
        let mut noise = Handshake::initiator(pattern, prologue, remote, ephemeral).map_err(WriteError::from)?;
        let key = kem.as_ref().map(|kem| kem.public());
        let announced = key.as_deref().map(announce);
        let offer = Offer {
            stamp,
            key: self.local.public,
            incarnation: self.local.incarnation,
            fresh: self.sending_epoch(session, now.mono).is_none(),
            best: self.limits.suites.best(),
            did: self.local.did.as_str(),
            early: match &announced {
                Some((announced, _)) => announced,
                None if pattern == Pattern::Ik => early,
                None => &[],
            },
        };
        let payload = Offer::len(offer.did, offer.early);
        let len = INIT_HEAD + noise.message_len(payload).ok_or(ConnectError::Busy)? + MACS;
        let rest_len = announced.map_or(0, |(_, rest)| ANSWER_HEAD + rest.len() + MACS);
        if !session.may_send(len + rest_len) {
            return Err(ConnectError::Busy);
        }
        let head =
            Head { kind: Kind::Init, suite, pattern: pattern_byte(pattern), sender: index, receiver: 0, counter: 0 };
        let receiver = session.key.as_ref().filter(|_| pattern == Pattern::Ik);
        let receiver = receiver.map_or(Receiver::Did(&session.did), Receiver::Key).mac1();
        let draft = Draft { head, pattern, payload, receiver: &receiver, cookie };
        let (packet, mac1) = self.write_message(&mut noise, &draft, |payload| offer.write(payload))?;
        if let Some(key) = &key {
            noise.mix(key, None);
        }
        let rest = announced.map(|(_, rest)| rest_frame(&head, rest, &receiver));
        Ok((First { packet, rest, noise, pattern, mac1 }, kem))
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
        let pattern = self.pattern_of(head)?;
        self.guard.check_mac1(datagram, true)?;
        let half_slot = self.halves.find(head.receiver).ok_or(SessionReject::Unknown)?;
        let half = self.halves.at(half_slot).ok_or(SessionReject::Unknown)?;
        let session = self.table.at(half.session).ok_or(SessionReject::Unknown)?;
        if !session.path.same_remote(&path) {
            return Err(SessionReject::Path);
        }
        let mut noise = half
            .noise
            .as_ref()
            .filter(|_| (head.suite, pattern) == (half.suite, half.pattern))
            .map(Handshake::trial)
            .ok_or(SessionReject::Unknown)?;
        let mut payload = [0; SCRATCH];
        let message = message(datagram, ANSWER_HEAD)?;
        let len = noise.read(&self.local.statics, message, &mut payload).map_err(|_| SessionReject::Handshake)?;
        let payload = payload.get(..len).unwrap_or_default();
        let answer = Answer::read(payload, head.suite).ok_or(SessionReject::Handshake)?;
        let Answer { key, incarnation, .. } = answer;
        if key == self.local.public {
            return Err(SessionReject::OwnKey);
        }
        verify(&key, (Kind::Response, pattern), noise.binding(), payload)?;
        if !self.limits.suites.agrees(head.suite, answer.best) {
            return Err(SessionReject::Suite);
        }
        if session.key.is_some_and(|known| known != key)
            || !admit(&Claim { did: &session.did, key, path, answers: true })
        {
            return Err(SessionReject::Key);
        }
        let mut answered = Answered { noise, key, incarnation, peer_index: head.sender, announced: None };
        if head.suite == SUITE {
            return self.complete(now, path, half_slot, answered);
        }
        answered.announced = Some(Announced::read(answer.announced).ok_or(SessionReject::Handshake)?);
        if let Some(half) = self.halves.at_mut(half_slot) {
            half.answered = Some(Box::new(answered));
        }
        Ok(Ingress::Nothing)
    }

    /// The rest of a second message: a ciphertext.
    pub(super) fn on_rest_of_second(
        &mut self,
        now: Now,
        path: Path,
        head: &Head,
        rest: &[u8],
        admit: &mut Admit<'_>,
    ) -> Result<Ingress, SessionReject> {
        let half_slot = self.halves.find(head.receiver).ok_or(SessionReject::Unknown)?;
        let half = self.halves.at(half_slot).ok_or(SessionReject::Unknown)?;
        let session = self.table.at(half.session).ok_or(SessionReject::Unknown)?;
        if !session.path.same_remote(&path) {
            return Err(SessionReject::Path);
        }
        let answered = half.answered.as_ref().filter(|answered| answered.peer_index == head.sender);
        let (answered, kem) = answered.zip(half.kem.as_ref()).ok_or(SessionReject::Unknown)?;
        let announced = answered.announced.as_ref().ok_or(SessionReject::Unknown)?;
        let ciphertext = announced.with(rest).ok_or(SessionReject::Handshake)?;
        // It may have been revoked in between.
        if !admit(&Claim { did: &session.did, key: answered.key, path, answers: true }) {
            return Err(SessionReject::Key);
        }
        let shared = kem.decapsulate(&ciphertext).ok_or(SessionReject::Handshake)?;
        let answered = self.halves.at_mut(half_slot).and_then(|half| half.answered.take());
        let mut answered = answered.ok_or(SessionReject::Unknown)?;
        answered.noise.mix(&ciphertext, Some(&shared));
        self.complete(now, path, half_slot, *answered)
    }

    /// All of a second message was right: there are keys.
    fn complete(&mut self, now: Now, path: Path, half_slot: u32, answered: Answered) -> Result<Ingress, SessionReject> {
        let Answered { mut noise, key, incarnation, peer_index, .. } = answered;
        let half = self.halves.at(half_slot).ok_or(SessionReject::Unknown)?;
        let (slot, index, pattern, suite) = (half.session, half.index, half.pattern, half.suite);
        let packet = if pattern == Pattern::Xx {
            self.write_final(&mut noise, suite, (index, peer_index), &key)?
        } else {
            Box::default()
        };
        let keys = noise.finish().map_err(|_| SessionReject::Handshake)?;
        self.learn(slot, key, &keys, pattern);
        let epoch = self.add_epoch(now.mono, slot, index, peer_index, keys, (true, suite))?;
        self.settle_incarnation(slot, epoch, path, &incarnation)?;
        self.finish_half(now, slot, half_slot, packet);
        self.install(now.mono, slot, epoch, true);
        Ok(Ingress::Nothing)
    }

    /// Our handshake has its answer: nothing of it stays but, of XX, the message that may have to be repeated.
    fn finish_half(&mut self, now: Now, slot: u32, half_slot: u32, packet: Box<[u8]>) {
        let Some(half) = self.halves.at_mut(half_slot) else { return };
        let early = !half.early.is_empty() && packet.is_empty();
        (half.noise, half.tries, half.at, half.kem) = (None, 0, now.mono, None);
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
        suite: u8,
        (sender, receiver): (u32, u32),
        to: &PublicKey,
    ) -> Result<Box<[u8]>, SessionReject> {
        let head = Head { kind: Kind::Final, suite, pattern: pattern_byte(Pattern::Xx), sender, receiver, counter: 0 };
        let receiver = &Receiver::Key(to).mac1();
        let draft = Draft { head, pattern: Pattern::Xx, payload: FINAL_LEN, receiver, cookie: None };
        Ok(self.write_message(noise, &draft, |_| ())?.0)
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
