//! Packets, and where they come from.

use super::epoch::{Inner, sealed_len};
use super::room::Sessions;
use super::table::{AMPLIFICATION, NONE, Phase, Probe, Roaming, Session, Shown, Since, news, owed};
use super::timers::{KEEPALIVE, QUIET, REKEY_OTHERS};
use super::wire::{Head, Kind};
use super::{Claim, DEAD_AFTER, Down, HEAD_ROOM, Ingress, REJECT_AFTER, SealError, Sealed, SessionReject, wire};
use crate::machine::Transmit;
use crate::path::Path;
use crate::time::{Duration, Instant, Now};

/// How much longer than the new address the old one has to answer a challenge.
const GRACE: Duration = Duration::from_millis(500);
/// How often the old address is asked again when the new one has answered.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(200);
/// How often a new address is challenged.
const TRIES: u8 = 3;
/// How long a change of address is looked into, and then not again.
const PROBE_FOR: Duration = Duration::from_secs(4);
/// Length of a packet with a challenge or its answer.
const SHORT: usize = sealed_len(8);

impl Sessions {
    /// Take in any frame.
    pub(super) fn receive(
        &mut self,
        now: Now,
        path: Path,
        datagram: &mut [u8],
        admit: &mut dyn FnMut(&Claim<'_>) -> bool,
    ) -> Result<Ingress, SessionReject> {
        let head = Head::parse(datagram)?;
        match head.kind {
            Kind::Data => self.on_data(now, path, &head, datagram),
            Kind::Init => self.on_init(now, path, &head, datagram, admit),
            Kind::Response => self.on_response(now, path, &head, datagram, admit),
            Kind::Final => self.on_final(now, path, &head, datagram),
            Kind::Rest => self.on_rest(now, path, &head, datagram, admit),
            Kind::Cookie => self.on_cookie(now, path, &head, datagram),
        }
    }

    fn on_data(&mut self, now: Now, path: Path, head: &Head, datagram: &mut [u8]) -> Result<Ingress, SessionReject> {
        let epoch_slot = self.epochs.find(head.receiver).ok_or(SessionReject::Unknown)?;
        let epoch = self.epochs.at_mut(epoch_slot).ok_or(SessionReject::Unknown)?;
        let age = now.mono.saturating_since(epoch.born);
        if age >= REJECT_AFTER {
            return Err(SessionReject::Expired);
        }
        if self.faults.no_replay_check() {
            epoch.forget_counters();
        }
        let (slot, initiator, is_first) = (epoch.session, epoch.initiator, !epoch.heard);
        let opened = epoch.open(head.counter, datagram)?;
        let wide = epoch.is_wide();
        let session = self.table.at_mut(slot).ok_or(SessionReject::Unknown)?;
        session.heard = now.mono;
        session.awaiting = Since::NEVER;
        let key = session.key.ok_or(SessionReject::Unknown)?;
        if session.next == epoch_slot {
            // It is judged once.
            let Shown { incarnation, anew, .. } = session.shown.take().map_or_else(Shown::default, |shown| *shown);
            self.settle_incarnation(slot, epoch_slot, path, &incarnation)?;
            if let Some(anew) = anew {
                // It has heard what went there.
                self.settle_at(slot, anew);
            }
            self.install(now.mono, slot, epoch_slot, false);
        } else if is_first {
            self.confirm(slot, initiator);
        }
        if wide {
            self.table.set_timer(slot, now.mono + QUIET);
        }
        self.watch_path(now.mono, slot, path, datagram.len(), opened.newest);
        let body = HEAD_ROOM..HEAD_ROOM + opened.len;
        let said = datagram.get(body.clone()).unwrap_or_default();
        match opened.inner {
            Inner::Body => self.owe_answer(now.mono, slot),
            Inner::Challenge if self.may_answer(slot, &path) => self.on_challenge(slot, said, path),
            Inner::Challenge => {}
            Inner::Ask => self.on_challenge(slot, said, path),
            Inner::Addresses => self.on_addresses(now.mono, slot, said),
            Inner::Answer if self.is_answer_of_direct(now.mono, slot, said, path) => {}
            Inner::Answer => self.on_answer(now.mono, slot, said, path),
            Inner::Close => self.end(slot, Some(Down::Closed)),
            Inner::Clone => self.end(slot, Some(Down::Cloned)),
            Inner::Nothing => {}
        }
        if opened.inner != Inner::Body {
            return Ok(Ingress::Nothing);
        }
        if initiator && age >= REJECT_AFTER.saturating_sub(KEEPALIVE + Duration::from_secs(5)) {
            self.renew(now, slot);
        }
        let session = self.table.id(slot).ok_or(SessionReject::Unknown)?;
        Ok(Ingress::Body { session, key, body })
    }

    /// The first packet under keys that we send under already.
    fn confirm(&mut self, slot: u32, initiator: bool) {
        let Some(session) = self.table.at_mut(slot) else { return };
        if !initiator {
            // The other side asks until it hears something under these keys.
            self.table.owe(slot, owed::NOTHING);
        } else if self.halves.at(session.half).is_some_and(|half| half.noise.is_none()) {
            // A third message that has arrived need not be repeated.
            let half = core::mem::replace(&mut session.half, NONE);
            self.halves.remove(half);
        }
    }

    /// Have something sent at some time, so that the other side is not left in doubt.
    fn owe_answer(&mut self, now: Instant, slot: u32) {
        if let Some(session) = self.table.at_mut(slot).filter(|session| session.owing == Since::NEVER) {
            session.owing = Since::at(now);
            self.table.set_timer(slot, now + KEEPALIVE);
        }
    }

    /// Begin a handshake for new keys, unless one is under way. Where there is no room it is begun another time.
    pub(super) fn renew(&mut self, now: Now, slot: u32) {
        // One that is still opening without a handshake of ours waits for that of the other side.
        if self.table.at(slot).is_some_and(|session| session.half == NONE && session.phase == Phase::Up) {
            // A failure is none of the caller's: the next packet tries again.
            let _ = self.begin(now, slot, &[]);
        }
    }

    /// The keys to send under, if there are any that may be used.
    pub(super) fn sending_epoch(&self, session: &Session, now: Instant) -> Option<u32> {
        let usable =
            |slot: &u32| self.epochs.at(*slot).is_some_and(|epoch| now.saturating_since(epoch.born) < REJECT_AFTER);
        [session.current, session.next].into_iter().find(usable)
    }

    pub(super) fn seal_body(&mut self, now: Now, slot: u32, buf: &mut [u8], len: usize) -> Result<Sealed, SealError> {
        if len > super::MAX_BODY {
            return Err(SealError::TooLong);
        }
        if self.table.at(slot).is_some_and(|session| session.fresh) {
            return Err(SealError::NotReady);
        }
        let sealed = self.seal_inner(now, slot, Inner::Body, buf, len);
        if sealed == Err(SealError::NotReady) {
            self.renew(now, slot);
        }
        let sealed = sealed?;
        self.note_sent(now.mono, slot, buf.get(..sealed.len).unwrap_or_default());
        let Some(session) = self.table.at_mut(slot) else { return Ok(sealed) };
        let current = session.current;
        if session.awaiting == Since::NEVER {
            session.awaiting = Since::at(now.mono);
            self.table.set_timer(slot, now.mono + super::timers::UNHEARD);
        }
        if let Some(epoch) = self.epochs.at(current) {
            let age = now.mono.saturating_since(epoch.born);
            let most = if epoch.initiator { self.limits.rekey_after } else { REKEY_OTHERS };
            if age >= most || epoch.sent >= self.limits.rekey_after_packets {
                self.renew(now, slot);
            }
        }
        Ok(sealed)
    }

    /// Make a packet to the address of the session.
    pub(super) fn seal_inner(
        &mut self,
        now: Now,
        slot: u32,
        inner: Inner,
        buf: &mut [u8],
        len: usize,
    ) -> Result<Sealed, SealError> {
        let session = self.table.at(slot).ok_or(SealError::Gone)?;
        let epoch = self.sending_epoch(session, now.mono).ok_or(SealError::NotReady)?;
        if !session.may_send(sealed_len(len)) {
            return Err(SealError::Unproven);
        }
        let len = self.epochs.at_mut(epoch).ok_or(SealError::NotReady)?.seal(inner, len, buf)?;
        let session = self.table.at_mut(slot).ok_or(SealError::Gone)?;
        session.owing = Since::NEVER;
        session.owes &= !owed::NOTHING;
        session.count_sent(len);
        Ok(Sealed { path: session.path, len })
    }

    /// The next packet that is sent without the application.
    pub(super) fn send_owed(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit> {
        if out.len() < SHORT {
            return None;
        }
        while let Some(slot) = self.table.sending() {
            let session = self.table.at_mut(slot)?;
            let what = session.owes & session.owes.wrapping_neg();
            session.owes &= !what;
            if session.owes == 0 {
                self.table.sent_all(slot);
            }
            if let Some(transmit) = self.send_one(now, slot, what, out) {
                return Some(transmit);
            }
        }
        None
    }

    fn send_one(&mut self, now: Now, slot: u32, what: u8, out: &mut [u8]) -> Option<Transmit> {
        let session = self.table.at_mut(slot)?;
        let old = session.path;
        let roaming = session.roaming.as_deref_mut();
        let mut again = false;
        let (inner, token, path) = match (what, roaming) {
            (owed::ANSWER, Some(roaming)) => {
                let (token, path) = roaming.answer.take()?;
                // Who copied the challenge and was faster would have the answer for himself: the other side hears it on the way that it knows, too.
                again = !path.same_remote(&old);
                roaming.answer = again.then_some((token, old));
                (Inner::Answer, token, path)
            }
            (owed::ASK_NEW, Some(Roaming { probe: Some(probe), .. })) => {
                if probe.sent + SHORT > AMPLIFICATION * probe.received {
                    return None;
                }
                probe.sent += SHORT;
                (Inner::Challenge, probe.tokens[0], probe.path)
            }
            (owed::ASK_OLD, Some(Roaming { probe: Some(probe), .. })) => (Inner::Challenge, probe.tokens[1], old),
            (owed::NOTHING, _) => (Inner::Nothing, [0; 8], old),
            _ => return self.send_of_detour(now, slot, what, out),
        };
        if again {
            self.table.owe(slot, owed::ANSWER);
        }
        let len = if inner == Inner::Nothing { 0 } else { 8 };
        out.get_mut(HEAD_ROOM..HEAD_ROOM + 8)?.copy_from_slice(&token);
        let sealed = self.seal_inner(now, slot, inner, out, len).ok()?;
        Some(Transmit { path, len: sealed.len })
    }

    /// See where a genuine packet came from. Only one that is newer than all before says anything about where its sender is now.
    fn watch_path(&mut self, now: Instant, slot: u32, path: Path, len: usize, newest: bool) {
        if self.follow_back(now, slot, &path, newest) {
            return;
        }
        let Some(session) = self.table.at_mut(slot).filter(|session| session.phase == Phase::Up) else { return };
        if session.path.same_remote(&path) {
            if newest && session.path != path {
                session.path = path;
            }
        } else if let Some(Roaming { probe: Some(probe), .. }) = session.roaming.as_deref_mut() {
            if probe.path.same_remote(&path) {
                probe.received += len;
            }
        } else if newest && session.roaming.as_ref().is_none_or(|roaming| roaming.quiet_until.is_none()) {
            let mut tokens = [[0; 8]; 2];
            tokens.iter_mut().for_each(|token| self.rng.fill(token));
            let probe = Probe {
                path,
                tokens,
                began: now,
                received: len,
                sent: 0,
                tries: 1,
                answered: None,
                asked_old: now,
                relayed: false,
            };
            let ask = if session.is_relayed() { owed::ASK_NEW } else { owed::ASK_NEW | owed::ASK_OLD };
            session.roaming.get_or_insert_default().probe = Some(probe);
            self.table.owe(slot, ask);
            self.table.set_timer(slot, now + Duration::from_secs(1));
        }
        self.look_after_path(now, slot);
    }

    /// A challenge is answered to where it came from, since it is as long as the answer, and to where the other side was before.
    fn on_challenge(&mut self, slot: u32, token: &[u8], path: Path) {
        let Ok(token) = token.try_into() else { return };
        if let Some(session) = self.table.at_mut(slot) {
            session.roaming.get_or_insert_default().answer = Some((token, path));
            self.table.owe(slot, owed::ANSWER);
        }
    }

    /// The old address still works: the session stays there. Or the new one does; then the old one is asked again, since a challenge may have been lost.
    fn on_answer(&mut self, now: Instant, slot: u32, token: &[u8], path: Path) {
        let Some(session) = self.table.at_mut(slot) else { return };
        let old = session.path;
        let Some(roaming) = session.roaming.as_deref_mut() else { return };
        let Some(probe) = &mut roaming.probe else { return };
        if probe.tokens[1] == token {
            roaming.quiet_until = Some(probe.began + PROBE_FOR);
            roaming.probe = None;
        } else if probe.tokens[0] != token {
        } else if old.same_remote(&path) {
            // The other side answers there as well only where a challenge reached it from an address that is not ours.
            probe.relayed = true;
        } else if probe.path.same_remote(&path) && old.circuit().is_some() {
            self.go_direct(now, slot, path);
        } else if probe.path.same_remote(&path) && probe.answered.is_none() {
            (probe.answered, probe.asked_old) = (Some(now), now);
            self.table.owe(slot, owed::ASK_OLD);
            self.table.set_timer(slot, now + ASK_AGAIN);
        }
    }

    /// Move, ask again, or give up: what the time has come for. Says when it is to be called again.
    pub(super) fn look_after_path(&mut self, now: Instant, slot: u32) -> Option<Instant> {
        let session = self.table.at_mut(slot)?;
        let roaming = session.roaming.as_deref_mut()?;
        if roaming.quiet_until.is_some_and(|until| until <= now) {
            roaming.quiet_until = None;
        }
        let Some(probe) = &mut roaming.probe else {
            let until = roaming.quiet_until;
            if roaming.is_over() && session.told & news::MOVED == 0 {
                session.roaming = None;
            }
            return until;
        };
        if let Some(answered) = probe.answered {
            // The old address has had as long as the new one took, and a little longer; as long as there may be, where it is likely that somebody passes on.
            let usual = answered + (answered.saturating_since(probe.began) / 2).max(GRACE);
            let at = if probe.relayed { usual.max(probe.began + PROBE_FOR) } else { usual };
            if now < at {
                let again = probe.asked_old + ASK_AGAIN;
                if now < again {
                    return Some(at.min(again));
                }
                probe.asked_old = now;
                self.table.owe(slot, owed::ASK_OLD);
                return Some(at.min(now + ASK_AGAIN));
            }
            roaming.from = Some(session.path);
            session.path = probe.path;
            roaming.probe = None;
            self.table.tell(slot, news::MOVED);
            return None;
        }
        if now >= probe.began + PROBE_FOR {
            roaming.quiet_until = Some(now + PROBE_FOR);
            roaming.probe = None;
            return roaming.quiet_until;
        }
        let again = probe.began + Duration::from_secs(u64::from(probe.tries));
        if now >= again && probe.tries < TRIES {
            probe.tries += 1;
            let ask = if session.path.circuit().is_some() { owed::ASK_NEW } else { owed::ASK_NEW | owed::ASK_OLD };
            self.table.owe(slot, ask);
        }
        Some(if now >= again { now + Duration::from_secs(1) } else { again })
    }

    /// Whether nothing was heard for too long.
    pub(super) fn is_dead(session: &Session, now: Instant) -> bool {
        now.saturating_since(session.heard) >= DEAD_AFTER
    }
}

const _: () = assert!(SHORT <= 3 * sealed_len(0), "a challenge may answer the shortest packet");
const _: () = assert!(wire::DATA_HEAD + 3 == HEAD_ROOM, "the head room is what stands in front of a body");
