//! What both sides of a handshake do.

use alloc::boxed::Box;
use alloc::vec;

use super::epoch::{Epoch, Inner, sealed_len};
use super::guard::{Tag, put_macs};
use super::payload::{WriteError, pattern_byte, sign};
use super::room::{Outgoing, Sessions};
use super::table::{NONE, Phase, Since, news, owed};
use super::wire::{ANSWER_HEAD, Head, Kind, MAC};
use super::{Claim, ConnectError, Ingress, SessionReject};
use crate::identity::{MacKey, PublicKey};
use crate::noise::{Finished, Handshake, NoiseError, Pattern, X25519};
use crate::path::Path;
use crate::time::{Duration, Instant, Now};

/// Both macs.
pub(super) const MACS: usize = 2 * MAC;

/// Who is asked whether a key may speak under a name.
pub(super) type Admit<'a> = dyn FnMut(&Claim<'_>) -> bool + 'a;

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
pub(super) fn message(frame: &[u8], head: usize) -> Result<&[u8], SessionReject> {
    frame.get(head..frame.len().saturating_sub(MACS)).ok_or(SessionReject::Frame)
}

/// What is written of a frame of a handshake, beside what Noise makes of it.
pub(super) struct Draft<'a> {
    pub(super) head: Head,
    pub(super) pattern: Pattern,
    /// Length of the payload, its signature included, in bytes.
    pub(super) payload: usize,
    /// Of whoever is to read it.
    pub(super) receiver: &'a MacKey,
    pub(super) cookie: Option<&'a Tag>,
}

/// A frame with the rest of what a message announced. It needs no second mac: who looks at it has looked at that message.
pub(super) fn rest_frame(message: &Head, rest: &[u8], mac1: &MacKey) -> Box<[u8]> {
    let mut packet = vec![0; ANSWER_HEAD + rest.len() + MACS];
    Head { kind: Kind::Rest, ..*message }.write(&mut packet);
    packet.iter_mut().skip(ANSWER_HEAD).zip(rest).for_each(|(to, from)| *to = *from);
    put_macs(&mut packet, mac1, None);
    packet.into()
}

impl Sessions {
    /// The pattern of a frame in a suite that we speak.
    pub(super) fn pattern_of(&self, head: &Head) -> Result<Pattern, SessionReject> {
        let known = [Pattern::Xx, Pattern::Ik].into_iter().find(|pattern| pattern_byte(*pattern) == head.pattern);
        known.filter(|_| self.limits.suites.takes(head.suite)).ok_or(SessionReject::Suite)
    }

    /// Write a message of a handshake: `fill` writes the payload, which is signed then. Also returns its first mac.
    pub(super) fn write_message(
        &self,
        noise: &mut Handshake<X25519>,
        draft: &Draft<'_>,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<(Box<[u8]>, Tag), WriteError> {
        let Draft { head, pattern, payload, receiver, cookie } = *draft;
        let (before, len) = (head.len(), noise.message_len(payload).ok_or(NoiseError::Room)?);
        let mut packet = vec![0; before + len + MACS];
        head.write(&mut packet);
        let room = packet.get_mut(before..before + len).unwrap_or_default();
        noise.write_with(&self.local.statics, payload, room, |binding, payload| {
            fill(payload);
            sign(&*self.local.identity, (head.kind, pattern), binding, payload)
        })?;
        let mac1 = put_macs(&mut packet, receiver, cookie);
        Ok((packet.into(), mac1))
    }

    /// The rest of what a first or a second message announced.
    pub(super) fn on_rest(
        &mut self,
        now: Now,
        path: Path,
        head: &Head,
        datagram: &[u8],
        admit: &mut Admit<'_>,
    ) -> Result<Ingress, SessionReject> {
        let pattern = self.pattern_of(head)?;
        let (of_first, rest) = (head.receiver == 0, message(datagram, ANSWER_HEAD)?);
        self.guard.check_mac1(datagram, !of_first || pattern == Pattern::Ik)?;
        if of_first {
            self.on_rest_of_first(now, path, head, rest, datagram.len())
        } else {
            self.on_rest_of_second(now, path, head, rest, admit)
        }
    }

    /// Whether there is room for one session more, and for what is to be remembered of it afterwards.
    pub(super) fn has_room(&mut self, now: Now, key: &PublicKey) -> bool {
        !self.table.slab.is_full()
            && !self.table.has_its_share(key)
            && self.stamps.reserve(self.table.slab.len(), now.wall)
    }

    pub(super) fn add_epoch(
        &mut self,
        now: Instant,
        slot: u32,
        index: u32,
        peer_index: u32,
        keys: Finished<X25519>,
        (initiator, suite): (bool, u8),
    ) -> Result<u32, SessionReject> {
        if let Some(session) = self.table.at_mut(slot).filter(|session| session.phase == Phase::Opening) {
            session.suite = suite;
        }
        let epoch = Epoch::new(index, peer_index, slot, [keys.send, keys.receive], initiator, suite, now);
        self.epochs.insert(epoch).ok_or(SessionReject::Busy)
    }

    /// Say a last thing under these keys, where there is room for it.
    pub(super) fn part(&mut self, epoch: u32, path: Path, inner: Inner) {
        let mut packet = [0; sealed_len(0)];
        if self.outgoing.len() < self.limits.outgoing
            && let Some(epoch) = self.epochs.at_mut(epoch)
            && let Ok(len) = epoch.seal(inner, 0, &mut packet)
        {
            self.outgoing.push_back(Outgoing { path, packet: packet.get(..len).unwrap_or_default().into() });
        }
    }

    /// The other side is at this address, from where it has shown to have new keys: so it is, whatever it was before.
    pub(super) fn settle_at(&mut self, slot: u32, path: Path) {
        let Some(session) = self.table.at_mut(slot) else { return };
        let from = core::mem::replace(&mut session.path, path);
        session.unproven = false;
        if session.phase == Phase::Up && !from.same_remote(&path) {
            let roaming = session.roaming.get_or_insert_default();
            (roaming.probe, roaming.from) = (None, Some(from));
            self.table.tell(slot, news::MOVED);
        }
    }

    /// From now on, send under these keys.
    pub(super) fn install(&mut self, now: Instant, slot: u32, epoch: u32, initiator: bool) {
        let Some(session) = self.table.at(slot) else { return };
        let (previous, was_opening, unconfirmed) =
            (session.previous, session.phase == Phase::Opening, session.is_unconfirmed());
        self.epochs.remove(previous);
        self.opening -= usize::from(unconfirmed).min(self.opening);
        let suite = self.epochs.at(epoch).map(|epoch| epoch.suite);
        let Some(session) = self.table.at_mut(slot) else { return };
        session.suite = suite.unwrap_or(session.suite);
        session.previous = session.current;
        session.current = epoch;
        if session.next == epoch {
            session.next = NONE;
        }
        (session.replaced, session.heard, session.confirmed) = (now, now, 0);
        (session.awaiting, session.fresh, session.unproven) = (Since::NEVER, false, false);
        if was_opening {
            session.phase = Phase::Up;
            session.initiator = initiator;
        }
        self.table.tell(slot, if was_opening { news::UP } else { news::REKEYED });
        // The other side waits to see the keys used.
        self.table.owe(slot, owed::NOTHING);
        self.offer_addresses(slot);
        self.table.set_timer(slot, now + Duration::from_secs(1));
    }
}
