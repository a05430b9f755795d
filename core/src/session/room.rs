//! The room itself: what the application calls.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::fmt;
use core::net::SocketAddr;

use super::direct::MAX_ADDRESSES;
use super::epoch::{ByNumber, Epoch, Inner};
use super::faults::Faults;
use super::guard::{CookieReply, Guard};
use super::incarnation::{Incarnation, Known};
use super::pending::Halves;
use super::stamp::Stamps;
use super::table::{NONE, Phase, Session, Table, news};
use super::wire::{Head, Kind};
use super::{
    Claim, Config, ConfigError, ConnectError, Connected, Down, Event, Ingress, News, Peer, Route, SealError, Sealed,
    SessionId, SessionReject, Stamp, Suites, max_early,
};
use crate::identity::{PublicKey, Signer};
use crate::machine::Transmit;
use crate::noise::X25519Secret;
use crate::path::Path;
use crate::table::{Heap, Index, Slab};
use crate::time::{Duration, Instant, Now};
use crate::{Did, Rng, Seed, check_did};

/// Who we are.
pub(super) struct Local {
    pub(super) did: Did,
    pub(super) identity: Arc<dyn Signer + Send + Sync>,
    pub(super) public: PublicKey,
    pub(super) statics: X25519Secret,
    /// Of our own first message that was written last.
    pub(super) stamp: Stamp,
    pub(super) incarnation: Incarnation,
}

/// The keys of all sessions.
pub(super) struct Epochs {
    slab: Slab<Epoch, Heap>,
    by_number: Index<ByNumber, Heap>,
}

impl Epochs {
    pub(super) fn at(&self, slot: u32) -> Option<&Epoch> {
        self.slab.at(slot)
    }

    pub(super) fn at_mut(&mut self, slot: u32) -> Option<&mut Epoch> {
        self.slab.at_mut(slot)
    }

    pub(super) fn find(&self, index: u32) -> Option<u32> {
        self.by_number.find(&self.slab, u64::from(index), |epoch| epoch.index == index)
    }

    pub(super) fn insert(&mut self, epoch: Epoch) -> Option<u32> {
        let index = u64::from(epoch.index);
        let slot = self.slab.insert(epoch).ok()?.slot();
        self.by_number.insert(&mut self.slab, slot, index);
        Some(slot)
    }

    pub(super) fn remove(&mut self, slot: u32) {
        if self.slab.at(slot).is_some() {
            self.by_number.remove(&mut self.slab, slot);
            self.slab.remove_at(slot);
        }
    }
}

/// A message of a handshake that waits to be sent.
pub(super) struct Outgoing {
    pub(super) path: Path,
    pub(super) packet: Box<[u8]>,
}

/// How things are, in numbers.
pub(super) struct Limits {
    pub(super) half_open: usize,
    pub(super) outgoing: usize,
    pub(super) suites: Suites,
    pub(super) rekey_after: Duration,
    pub(super) rekey_after_packets: u64,
}

/// Encrypted sessions of one node with all others. See the [room](super).
pub struct Sessions {
    pub(super) local: Local,
    pub(super) limits: Limits,
    pub(super) rng: Rng,
    pub(super) guard: Guard,
    pub(super) table: Table,
    pub(super) epochs: Epochs,
    pub(super) halves: Halves,
    pub(super) stamps: Stamps,
    pub(super) outgoing: VecDeque<Outgoing>,
    pub(super) cookies: VecDeque<CookieReply>,
    /// Sessions of others that are not confirmed.
    pub(super) opening: usize,
    /// Those, oldest first, among others that were.
    pub(super) unconfirmed: VecDeque<SessionId>,
    /// The session that was told of last, when that was its end.
    told: Option<Session>,
    rejected: [u64; SessionReject::COUNT],
    /// Where this node can be reached without relays.
    pub(super) addresses: heapless::Vec<SocketAddr, MAX_ADDRESSES>,
    /// Nothing, outside of a simulation.
    pub(super) faults: Faults,
}

impl Sessions {
    /// No session yet. The seed must never be used twice: everything secret is drawn from it.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(config: Config, seed: &Seed) -> Result<Self, ConfigError> {
        let caps = config.caps;
        let numbers = [caps.sessions, caps.half_open, caps.outgoing, caps.stamps];
        let rates = [caps.handshakes_per_second, u32::from(caps.handshakes_per_source), caps.cookies_per_second];
        if numbers.contains(&0) || rates.contains(&0) || (caps.outgoing < 2 && config.suites != Suites::One) {
            return Err(ConfigError::Cap);
        }
        let ages = Duration::from_secs(1)..=Duration::from_secs(120);
        if !ages.contains(&config.rekey_after) || !(1..=1 << 32).contains(&config.rekey_after_packets) {
            return Err(ConfigError::Rekey);
        }
        let public = config.identity.public();
        let mut rng = seed.fork("session");
        let guard = Guard::new(&config, &public, seed.fork("session guard"));
        let limits = Limits {
            half_open: caps.half_open,
            outgoing: caps.outgoing,
            suites: config.suites,
            rekey_after: config.rekey_after,
            rekey_after_packets: config.rekey_after_packets,
        };
        Ok(Self {
            limits,
            guard,
            table: Table::new(caps.sessions, rng.sip_key()),
            // A session has three sets of keys at most.
            epochs: Epochs { slab: Slab::new(caps.sessions.saturating_mul(3)), by_number: Index::new() },
            halves: Halves::new(caps.half_open.saturating_mul(2)),
            // What a session knows needs a place when it ends.
            stamps: Stamps::new(caps.stamps.saturating_add(caps.sessions), rng.sip_key()),
            rng,
            local: Local {
                did: config.did,
                identity: config.identity,
                public,
                statics: config.statics,
                stamp: Stamp::ZERO,
                incarnation: Incarnation::NONE,
            },
            outgoing: VecDeque::new(),
            cookies: VecDeque::new(),
            opening: 0,
            unconfirmed: VecDeque::new(),
            told: None,
            rejected: [0; SessionReject::COUNT],
            addresses: heapless::Vec::new(),
            faults: Faults::default(),
        })
    }

    /// Switch protections off.
    #[cfg(feature = "sim")]
    pub(crate) const fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Begin a session, or find the one that there is. Early data rides in the first message where the key is known and only [suite 1](Suites::One) is spoken; it goes out again with each attempt.
    ///
    /// The handshake goes on by itself; its outcome is [`News::Up`] or [`News::Down`].
    ///
    /// # Errors
    /// [`ConnectError`]. Nothing is begun then.
    pub fn connect(&mut self, now: Now, peer: &Peer<'_>, path: Path, early: &[u8]) -> Result<Connected, ConnectError> {
        check_did(peer.did)?;
        if peer.did == self.local.did.as_str() || peer.key == Some(self.local.public) {
            return Err(ConnectError::Ourselves);
        }
        let most = max_early(self.local.did.as_str());
        if early.len() > most {
            return Err(ConnectError::TooLong(most));
        }
        if let Some(slot) = self.table.find(peer.did, peer.key.as_ref()) {
            if let Some(key) = peer.key {
                // One that was begun with whoever answers is with nobody else from now on.
                self.table.identify(slot, key);
            }
            if let Some(session) = self.table.at_mut(slot) {
                session.ours = true;
            }
            let session = self.table.id(slot).ok_or(ConnectError::Busy)?;
            return Ok(Connected { session, early: false });
        }
        let reserved = match &peer.key {
            Some(key) => self.has_room(now, key),
            None => self.stamps.reserve(self.table.slab.len(), now.wall),
        };
        if !reserved {
            return Err(ConnectError::Busy);
        }
        let mut session = Session::new(peer.did, peer.key, path, now.mono);
        session.ours = true;
        if let Some(key) = &peer.key {
            session.remember(self.stamps.take(self.stamps.peer(peer.did, key.as_bytes())));
        }
        if let Some(statics) = peer.statics.filter(|_| peer.key.is_some()) {
            session.set_statics(statics);
        }
        let slot = self.table.insert(session).ok_or(ConnectError::Busy)?;
        // Nor does it go out later, when the key is known: the caller is told that it does not.
        let early = if peer.key.is_some() && self.limits.suites == Suites::One { early } else { &[] };
        if let Err(why) = self.begin(now, slot, early) {
            self.end(slot, None);
            return Err(why);
        }
        let session = self.table.id(slot).ok_or(ConnectError::Busy)?;
        Ok(Connected { session, early: !early.is_empty() })
    }

    /// Take in a datagram for which [`is_session_frame`](super::is_session_frame) holds. It is decrypted in place. `admit` is asked about everybody who proved to have a key, each time a handshake is
    /// made: pins, trust and revocations are the caller's.
    ///
    /// # Errors
    /// Why it was turned away. It is counted already, and changed nothing.
    pub fn handle(
        &mut self,
        now: Now,
        path: Path,
        datagram: &mut [u8],
        admit: &mut dyn FnMut(&Claim<'_>) -> bool,
    ) -> Result<Ingress, SessionReject> {
        let outcome = self.receive(now, path, datagram, admit);
        if let Err(why) = outcome {
            let count = &mut self.rejected[why as usize];
            *count = count.saturating_add(1);
        }
        outcome
    }

    /// Encrypt a body of `len` bytes that stands in the buffer at [`HEAD_ROOM`](super::HEAD_ROOM); the buffer must be at least
    /// [`sealed_len`](super::sealed_len) long. Begins a handshake for new keys where they get old.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(&mut self, now: Now, id: SessionId, buf: &mut [u8], len: usize) -> Result<Sealed, SealError> {
        let slot = self.table.live(id).ok_or(SealError::Gone)?;
        self.seal_body(now, slot, buf, len)
    }

    /// Write the next message of a handshake, cookie, challenge or confirmation into `out`, and say where it goes. 1,200 bytes hold any of them: into less nothing is written, and nothing is lost.
    pub fn poll_transmit(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit> {
        if let Some(next) = self.outgoing.front() {
            out.get_mut(..next.packet.len())?.copy_from_slice(&next.packet);
            let Outgoing { path, packet } = self.outgoing.pop_front()?;
            return Some(Transmit { path, len: packet.len() });
        }
        if let Some(reply) = self.cookies.front().copied() {
            let len = self.guard.write_cookie(now.mono, &reply, out)?;
            self.cookies.pop_front();
            return Some(Transmit { path: reply.path, len });
        }
        self.send_owed(now, out)
    }

    /// What happened next, in the order in which sessions had something happen to them first.
    pub fn poll_event(&mut self) -> Option<Event<'_>> {
        self.told = None;
        loop {
            let slot = self.table.telling()?;
            let id = self.table.id(slot)?;
            let session = self.table.at_mut(slot)?;
            // The lowest bit: the order of the news.
            let what = session.told & session.told.wrapping_neg();
            session.told &= !what;
            let news = match (what, session.phase) {
                (news::STAMP, _) => Some(News::Stamp(session.stamp)),
                (news::INCARNATION, _) => Some(News::Incarnation(session.known)),
                (news::UP, _) => Some(News::Up { initiator: session.initiator, early: session.early }),
                (news::REKEYED, _) => Some(News::Rekeyed),
                (news::MOVED, _) => {
                    session.roaming.as_ref().and_then(|roaming| roaming.from).map(|from| News::Moved { from })
                }
                (news::CLONE, _) => {
                    session.shown.as_ref().and_then(|shown| shown.elsewhere).map(|elsewhere| News::Clone { elsewhere })
                }
                (_, Phase::Gone(Some(down))) => Some(News::Down(down)),
                _ => None,
            };
            let (done, gone) = (session.told == 0, session.is_gone());
            if done {
                self.table.told_all(slot);
                if gone {
                    self.told = self.table.slab.remove_at(slot);
                }
            }
            let Some(news) = news else { continue };
            let session = if done && gone { self.told.as_ref()? } else { self.table.at(slot)? };
            let Session { did, key, path, suite, .. } = session;
            return Some(Event { session: id, did, key: *key, path: *path, suite: *suite, news });
        }
    }

    /// Whether [`poll_event`](Self::poll_event) has something.
    #[must_use]
    pub const fn has_events(&self) -> bool {
        self.table.telling().is_some()
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has something.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.outgoing.is_empty() || !self.cookies.is_empty() || self.table.sending().is_some()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called at the latest; `None` is never.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let half = self.halves.oldest().map(|(_, since)| since + super::timers::HALF_OPEN);
        [self.table.wheel.next(), half].into_iter().flatten().min()
    }

    /// End a session, and tell the other side. What was told of it until now stays to be taken with [`poll_event`](Self::poll_event); its end is not told.
    pub fn close(&mut self, now: Now, id: SessionId) {
        let Some(slot) = self.table.live(id) else { return };
        if let Some(session) = self.table.at(slot)
            && session.may_send(super::epoch::sealed_len(0))
            && let Some(epoch) = self.sending_epoch(session, now.mono)
        {
            let path = session.path;
            self.part(epoch, path, Inner::Close);
        }
        self.end(slot, None);
    }

    /// End every session and handshake of a key at once; says how many sessions. The other side is told nothing.
    pub fn revoke(&mut self, key: &PublicKey) -> usize {
        let mut ended = 0;
        while let Some(slot) = self.table.of_key(key) {
            self.end(slot, Some(Down::Revoked));
            ended += 1;
        }
        while let Some(slot) = self.halves.of(|claim| claim.key == *key) {
            self.halves.remove(slot);
        }
        ended
    }

    /// End a session at once, because its other side is not let in any more: nothing that it is owed goes out, nor anything that waits to go to its address. It is told nothing.
    pub fn shut_out(&mut self, id: SessionId) {
        if let Some(slot) = self.table.live(id) {
            self.shut_out_at(slot);
        }
    }

    /// [Shut out](Self::shut_out) everybody for whom this holds, given the name, the key and whether a session with it was [asked for](Self::connect) here; end the handshakes that such began, too. Whose key
    /// is not known yet is passed over. Looks at every session there is.
    pub fn shut_out_where(&mut self, mut is_out: impl FnMut(&str, &PublicKey, bool) -> bool) {
        for slot in 0..self.table.slab.slots() {
            let out =
                self.table.at(slot).filter(|session| !session.is_gone()).is_some_and(|session| {
                    session.key.as_ref().is_some_and(|key| is_out(&session.did, key, session.ours))
                });
            if out {
                self.shut_out_at(slot);
            }
        }
        while let Some(slot) = self.halves.of(|claim| is_out(&claim.did, &claim.key, false)) {
            let path = self.halves.remove(slot).and_then(|half| half.claim).map(|claim| claim.path);
            self.outgoing.retain(|waiting| path.is_none_or(|path| !waiting.path.same_remote(&path)));
        }
    }

    fn shut_out_at(&mut self, slot: u32) {
        let Some(path) = self.table.at(slot).map(|session| session.path) else { return };
        self.end(slot, Some(Down::Rood));
        // A handshake for new keys may have been written already.
        self.outgoing.retain(|waiting| !waiting.path.same_remote(&path));
    }

    /// Whether a session with its other side was [asked for](Self::connect) here. False of one that is over.
    #[must_use]
    pub fn is_ours(&self, id: SessionId) -> bool {
        self.table.live(id).and_then(|slot| self.table.at(slot)).is_some_and(|session| session.ours)
    }

    /// The session to which a packet says to belong. Nothing of it is verified.
    #[must_use]
    pub fn addressed(&self, datagram: &[u8]) -> Option<SessionId> {
        let head = Head::parse(datagram).ok().filter(|head| head.kind == Kind::Data)?;
        let epoch = self.epochs.at(self.epochs.find(head.receiver)?)?;
        self.table.id(epoch.session)
    }

    /// End the next session, and tell its other side, as [`close`](Self::close) does; `cursor` begins as 0 and remembers how far this has come. False when there is none
    /// left, or no room at the moment for what is told to its other side: then it goes on when that was [sent](Self::poll_transmit).
    pub fn close_next(&mut self, now: Now, cursor: &mut u32) -> bool {
        while self.outgoing.len() < self.limits.outgoing {
            let slot = *cursor;
            if slot >= self.table.slab.slots() {
                return false;
            }
            *cursor += 1;
            if let Some(id) = self.table.id(slot).filter(|id| self.table.live(*id).is_some()) {
                self.close(now, id);
                return true;
            }
        }
        false
    }

    /// Whether something of the application's can be sealed in a session at the moment, an unproven address aside.
    #[must_use]
    pub fn is_ready(&self, now: Now, id: SessionId) -> bool {
        let session = self.table.live(id).and_then(|slot| self.table.at(slot));
        session.is_some_and(|session| !session.fresh && self.sending_epoch(session, now.mono).is_some())
    }

    /// How something for this name is to be sent, given whether its key is pinned. To a pinned key nothing ever goes in the clear,
    /// and neither does it to anybody whom there is a session with.
    #[must_use]
    pub fn route(&self, did: &str, pinned: Option<&PublicKey>) -> Route {
        let Some((slot, id)) = self.table.find(did, pinned).and_then(|slot| Some((slot, self.table.id(slot)?))) else {
            return if pinned.is_some() { Route::Connect } else { Route::Plain };
        };
        match self.table.at(slot) {
            Some(session) if session.current != NONE || session.next != NONE => Route::Session(id),
            _ => Route::Wait(id),
        }
    }

    /// The name and the key of the other side, and its address.
    #[must_use]
    pub fn peer(&self, id: SessionId) -> Option<(&str, Option<PublicKey>, Path)> {
        let session = self.table.at(self.table.live(id)?)?;
        Some((&session.did, session.key, session.path))
    }

    /// The suite of the keys that there are: [`SUITE`](super::SUITE) or [`SUITE_HYBRID`](super::SUITE_HYBRID).
    #[must_use]
    pub fn suite(&self, id: SessionId) -> Option<u8> {
        let session = self.table.at(self.table.live(id)?)?;
        let epoch = self.epochs.at(session.current).or_else(|| self.epochs.at(session.next))?;
        Some(epoch.suite)
    }

    /// The static key of the other side, once it is known: for [`Peer::statics`] after a restart, where it is not the usual one.
    #[must_use]
    pub fn statics(&self, id: SessionId) -> Option<crate::noise::X25519Public> {
        self.table.at(self.table.live(id)?)?.statics()
    }

    /// Restore the newest stamp of a name and key, as [`News::Stamp`] told it. False where there is no room for it: then everything up to it is refused
    /// of everybody of whom nothing is known.
    pub fn set_newest(&mut self, did: &str, key: &PublicKey, stamp: Stamp) -> bool {
        let peer = self.stamps.peer(did, key.as_bytes());
        if let Some(session) = self.table.find(did, Some(key)).and_then(|slot| self.table.at_mut(slot)) {
            session.stamp = session.stamp.max(stamp);
        }
        let room = self.stamps.has_room(self.table.slab.len()) && self.stamps.put(peer, stamp, Known::default());
        if !room {
            self.stamps.raise_floor(stamp);
        }
        room
    }

    /// Refuse first messages with stamps up to this of everybody of whom no newer one is known: of a node without a store, the time of its start.
    pub fn raise_floor(&mut self, floor: Stamp) {
        self.stamps.raise_floor(floor);
    }

    /// The stamp of our own first message that was written last; to be stored where the clock may step back, and given to
    /// [`set_own_stamp`](Self::set_own_stamp) after a restart: peers refuse what is not above it.
    #[must_use]
    pub const fn own_stamp(&self) -> Stamp {
        self.local.stamp
    }

    /// Write no stamp up to this.
    pub fn set_own_stamp(&mut self, stamp: Stamp) {
        self.local.stamp = self.local.stamp.max(stamp);
    }

    /// How many sessions there are, those included that are not up yet or whose end is to be told.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.slab.len()
    }

    /// How many of those that are up go over relays. Looks at each.
    pub(crate) fn relayed_len(&self) -> usize {
        let relayed = |session: &Session| session.phase == Phase::Up && session.is_relayed();
        self.table.slab.iter().filter(|(_, session)| relayed(session)).count()
    }

    /// No session.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.slab.is_empty()
    }

    /// How many handshakes are under way that another is yet to answer or confirm.
    #[must_use]
    pub fn half_open(&self) -> usize {
        self.halves.ours() + self.halves.theirs() + self.opening
    }

    /// How many datagrams were turned away for this reason.
    #[must_use]
    pub fn rejected(&self, why: SessionReject) -> u64 {
        self.rejected[why as usize]
    }

    /// Bytes of heap that tables hold, names and windows of single sessions aside.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let Epochs { slab, by_number } = &self.epochs;
        let queues =
            self.outgoing.capacity() * size_of::<Outgoing>() + self.cookies.capacity() * size_of::<CookieReply>();
        let queues = queues + self.unconfirmed.capacity() * size_of::<SessionId>();
        self.table.heap_bytes() + slab.heap_bytes() + by_number.heap_bytes() + self.halves.heap_bytes() + queues
    }

    /// A number that nothing of ours has.
    pub(super) fn fresh_index(&mut self) -> u32 {
        loop {
            #[allow(clippy::cast_possible_truncation, reason = "half of it is random, too")]
            let index = self.rng.u64() as u32;
            // 0 is nobody's: a frame to it is for who has not given a number yet.
            if index != 0 && self.epochs.find(index).is_none() && self.halves.find(index).is_none() {
                return index;
            }
        }
    }

    /// Take a session out of everything. What is to be told of it is told first.
    pub(super) fn end(&mut self, slot: u32, why: Option<Down>) {
        let Some(session) = self.table.at(slot) else { return };
        let (epochs, half) = ([session.current, session.previous, session.next], session.half);
        let theirs = session.phase == Phase::Opening && !session.ours;
        let (why, told) = (why.filter(|_| !theirs), session.told);
        if let Some(key) = &session.key {
            // There is room: a session is let in only where its stamp has a place in the end.
            let (peer, stamp, known) = (self.stamps.peer(&session.did, key.as_bytes()), session.stamp, session.known);
            let is_news = stamp > self.stamps.newest(peer) || known != self.stamps.known(peer);
            if is_news && !self.stamps.put(peer, stamp, known) {
                self.stamps.raise_floor(stamp);
            }
        }
        if session.is_unconfirmed() {
            self.opening = self.opening.saturating_sub(1);
        }
        epochs.into_iter().for_each(|epoch| self.epochs.remove(epoch));
        self.halves.remove(half);
        self.table.retire(slot);
        if let Some(session) = self.table.at_mut(slot) {
            session.phase = Phase::Gone(why);
            (session.current, session.previous, session.next, session.half) = (NONE, NONE, NONE, NONE);
        }
        if why.is_some() {
            self.table.tell(slot, news::DOWN);
        } else if told == 0 {
            self.table.slab.remove_at(slot);
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("did", &self.local.did)
            .field("sessions", &self.len())
            .field("half_open", &self.half_open())
            .finish_non_exhaustive()
    }
}
