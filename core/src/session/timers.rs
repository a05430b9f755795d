//! What the passing of time does.

use super::data::ASK_AGAIN;
use super::room::{Outgoing, Sessions};
use super::table::{NONE, Phase, Since, owed};
use super::{DEAD_AFTER, Down};
use crate::time::{Duration, Instant, Now};

/// How long the other side has for the next message of a handshake that it began, or for the first packet under its keys.
pub(super) const HALF_OPEN: Duration = Duration::from_secs(10);
/// How long a handshake that another began keeps its place where all are taken and more come: several round trips.
pub(super) const PLACE: Duration = Duration::from_secs(1);
/// How long what is to be sent waits for the other side to use new keys, where it says that it has lost the old ones: several round trips, and no more than who holds such a first message
/// back and lets it through later can hold a session up.
pub(super) const TAKEOVER: Duration = Duration::from_secs(1);
/// Something was heard, nothing was sent: say that we are there.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(10);
/// Something was sent, nothing was heard: the other side may have lost its keys.
pub(super) const UNHEARD: Duration = Duration::from_secs(15);
/// At this age whoever did not begin the handshake begins one for new keys, should the other side not have.
pub(super) const REKEY_OTHERS: Duration = Duration::from_secs(150);
/// Keys that were replaced are kept for packets on their way.
const KEEP_PREVIOUS: Duration = Duration::from_secs(30);
/// After so long without a packet those that are missing are given up, and so is the memory that it takes to know them.
pub(super) const QUIET: Duration = Duration::from_secs(10);
/// Seconds from each first message to the next, and at the end to giving up.
const RETRIES: [u64; 5] = [1, 2, 4, 8, 8];
/// How often a third message, or the first packet under new keys, is repeated until something is heard.
const CONFIRMATIONS: u8 = 4;

impl Sessions {
    /// Tell the room that time has passed. Harmless when nothing is due.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(slot) = self.table.wheel.pop(&mut self.table.slab, now.mono) {
            if let Some(next) = self.look_after(now, slot) {
                self.table.set_timer(slot, next);
            }
        }
        while let Some((half, _)) = self.halves.oldest().filter(|(_, since)| *since + HALF_OPEN <= now.mono) {
            self.halves.remove(half);
        }
    }

    /// How long the next answer is waited for.
    pub(super) fn retry_after(&self, slot: u32) -> Duration {
        let half = self.table.at(slot).and_then(|session| self.halves.at(session.half));
        let tries = half.map_or(0, |half| usize::from(half.tries));
        Duration::from_secs(RETRIES.get(tries).copied().unwrap_or(8))
    }

    /// Do for one session what the time has come for; says when it is to be done again.
    fn look_after(&mut self, now: Now, slot: u32) -> Option<Instant> {
        let session = self.table.at(slot).filter(|session| !session.is_gone())?;
        let (half, replaced) = (session.half, session.replaced);
        if session.phase == Phase::Opening && half == NONE && now.mono >= replaced + HALF_OPEN {
            self.end(slot, Some(Down::NoAnswer));
            return None;
        }
        if session.phase == Phase::Up && Self::is_dead(session, now.mono) {
            self.end(slot, Some(Down::Silent));
            return None;
        }
        let handshake = if half == NONE { None } else { Some(self.look_after_half(now, slot, half)?) };
        let windows = self.look_after_windows(now.mono, slot);
        let times = [handshake, windows, self.look_after_keys(now.mono, slot), self.look_after_talk(now, slot)];
        let path = self.look_after_path(now.mono, slot).map(|at| at.max(now.mono + ASK_AGAIN));
        let detour = self.look_after_detour(now.mono, slot);
        let session = self.table.at(slot).filter(|session| !session.is_gone())?;
        let end = match session.phase {
            Phase::Opening => session.replaced + HALF_OPEN,
            _ => session.heard + DEAD_AFTER,
        };
        times.into_iter().chain([path, detour, Some(end)]).flatten().filter(|at| *at > now.mono).min()
    }

    /// The handshake that we began. `None` when the session ended over it.
    fn look_after_half(&mut self, now: Now, slot: u32, half_slot: u32) -> Option<Instant> {
        let wait = self.retry_after(slot);
        let Some(half) = self.halves.at_mut(half_slot) else { return Some(now.mono + wait) };
        if now.mono < half.at + wait {
            return Some(half.at + wait);
        }
        half.tries += 1;
        if half.noise.is_none() {
            return Some(self.repeat_final(now.mono, slot, half_slot));
        }
        if usize::from(half.tries) < RETRIES.len() {
            // Where there is no room it is tried again all the same.
            let _ = self.begin(now, slot, &[]);
            return Some(now.mono + self.retry_after(slot));
        }
        self.halves.remove(half_slot);
        let session = self.table.at_mut(slot)?;
        session.half = NONE;
        if session.phase == Phase::Opening && session.next == NONE {
            self.end(slot, Some(Down::NoAnswer));
            return None;
        }
        Some(now.mono + wait)
    }

    /// Send the third message of XX again, until something is heard under the keys that it made.
    fn repeat_final(&mut self, now: Instant, slot: u32, half_slot: u32) -> Instant {
        let next = now + Duration::from_secs(1);
        let (Some(session), Some(half)) = (self.table.at_mut(slot), self.halves.at_mut(half_slot)) else { return next };
        let heard = self.epochs.at(session.current).is_none_or(|epoch| epoch.heard);
        if heard || half.tries > CONFIRMATIONS {
            session.half = NONE;
            self.halves.remove(half_slot);
        } else if self.outgoing.len() < self.limits.outgoing {
            half.at = now;
            self.outgoing.push_back(Outgoing { path: session.path, packet: half.last.clone() });
        }
        next
    }

    /// Keys that are kept, and keys that wait to be used.
    fn look_after_keys(&mut self, now: Instant, slot: u32) -> Option<Instant> {
        let session = self.table.at_mut(slot)?;
        let (previous, next, current) = (session.previous, session.next, session.current);
        let mut at = None;
        if session.fresh {
            let until = session.replaced + TAKEOVER;
            session.fresh = now < until;
            at = Some(until).filter(|_| session.fresh);
        }
        if previous != NONE || (next != NONE && current != NONE) {
            let until = session.replaced + KEEP_PREVIOUS;
            if now < until {
                at = at.or(Some(until));
            } else {
                (session.previous, session.next) = (NONE, if current == NONE { next } else { NONE });
                self.epochs.remove(previous);
                if current != NONE {
                    self.epochs.remove(next);
                }
            }
        }
        at
    }

    /// Memory for packets that are missing.
    fn look_after_windows(&mut self, now: Instant, slot: u32) -> Option<Instant> {
        let session = self.table.at(slot)?;
        let until = session.heard + QUIET;
        let mut next = None;
        for epoch in [session.current, session.previous] {
            match self.epochs.at_mut(epoch).filter(|epoch| epoch.is_wide()) {
                Some(_) if now < until => next = Some(until),
                Some(epoch) => epoch.narrow(),
                None => {}
            }
        }
        next
    }

    /// What is to be said, and whether anything is heard.
    fn look_after_talk(&mut self, now: Now, slot: u32) -> Option<Instant> {
        let session = self.table.at_mut(slot).filter(|session| session.phase == Phase::Up)?;
        let unheard = self.epochs.at(session.current).is_some_and(|epoch| epoch.initiator && !epoch.heard);
        let mut next = None;
        let mut owe = false;
        if unheard && session.confirmed < CONFIRMATIONS {
            session.confirmed += 1;
            owe = true;
            next = Some(now.mono + Duration::from_secs(1 << session.confirmed));
        }
        if let Some(since) = session.owing.get() {
            let at = since + KEEPALIVE;
            owe |= now.mono >= at;
            next = next.into_iter().chain(Some(at).filter(|at| now.mono < *at)).min();
        }
        let mut renew = false;
        if let Some(since) = session.awaiting.get() {
            let at = since + UNHEARD;
            renew = now.mono >= at;
            if renew {
                session.awaiting = Since::NEVER;
            }
            next = next.into_iter().chain(Some(at).filter(|_| !renew)).min();
        }
        if owe {
            self.table.owe(slot, owed::NOTHING);
        }
        if renew {
            self.renew(now, slot);
        }
        next
    }
}
