//! What both sides of a handshake do.

use super::epoch::{Epoch, Inner, sealed_len};
use super::payload::{WriteError, pattern_byte};
use super::room::{Outgoing, Sessions};
use super::table::{NONE, Phase, news, owed};
use super::wire::{Head, MAC};
use super::{Claim, ConnectError, SUITE, SessionReject};
use crate::identity::PublicKey;
use crate::noise::{Finished, NoiseError, Pattern, X25519};
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

pub(super) fn pattern_of(head: &Head) -> Result<Pattern, SessionReject> {
    let known = [Pattern::Xx, Pattern::Ik].into_iter().find(|pattern| pattern_byte(*pattern) == head.pattern);
    known.filter(|_| head.suite == SUITE).ok_or(SessionReject::Suite)
}

impl Sessions {
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
        initiator: bool,
    ) -> Result<u32, SessionReject> {
        let epoch = Epoch::new(index, peer_index, slot, [keys.send, keys.receive], initiator, now);
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
