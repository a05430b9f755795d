//! The encrypted sessions of a node: what goes through one, what waits for one, and what goes without.
//!
//! * To a name with a pinned key a ping goes through the session with that key. Without one it begins one, and rides in its first message where it fits.
//! * With [`SessionPolicy::Auto`] a ping that nobody answers the handshake of goes out signed after [`PATIENCE`], unless there was a session with that name before, in this life of the
//!   node or in an earlier one that was kept: then only the session will do. With [`SessionPolicy::Require`] nothing goes without.
//! * A name that was [found](Links::note_found) by looking it up is written to through a session with its key only, whatever the policy: who answered at that address may have had somebody
//!   else answer for it.
//! * A name without a pinned key could be anybody's: a session with it is used only at the address that the application names.
//! * What waits is bounded in number and bytes, and ends with its request or its session.

mod held;
mod way;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;

use self::held::Held;
pub(super) use self::held::{Fate, Waiting};
pub(super) use self::way::Way;
use super::client::RequestId;
use super::config::{ConfigError, NodeConfig, SessionPolicy};
use super::event::{SessionChange, SessionState};
use super::faults::Faults;
use crate::identity::PublicKey;
use crate::pins::Pins;
use crate::session::{
    Claim, Config, Incarnation, Ingress, Known as Starts, News, SealError, SessionId, SessionReject, Sessions, Stamp,
};
use crate::time::{Duration, Instant, Now};
use crate::{Name, Path, Reject, Seed, SipKey, Transmit};

/// How long the answer to a handshake is waited for before a ping goes without a session, where it may: room for two attempts.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// How long nobody is asked for a session again who did not answer.
const AGAIN: Duration = Duration::from_secs(60);
/// How many sealed pings are known by their head, for when one turns out not to have left.
const RECENT: usize = 64;
/// How many names that were looked up are remembered as such. One more is not found.
const MAX_FOUND: usize = 4096;
/// Where the number of a session and the counter stand in a packet: together they are there once.
const HEAD: core::ops::Range<usize> = 12..24;
/// Where the kind of a session frame stands, and that of a first message.
const KIND: (usize, u8) = (8, 1);

/// What is known of a pinned name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// There was a session with its key: nothing goes without one any more.
    Speaks,
    /// Nobody answered a handshake; it is not tried again before this.
    Silent(Instant),
}

/// What is known of somebody who wants a session, besides its key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// There was one with that name and the key pinned to it before.
    pub(super) speaks: bool,
    /// There are as many sessions as there may be with names to which no key is pinned.
    pub(super) crowded: bool,
}

/// A session that is waited for only so long.
#[derive(Clone, Copy, Debug)]
struct Opening {
    until: Instant,
    session: SessionId,
    /// The hash of the name.
    name: u64,
}

/// The sessions of a node.
pub(super) struct Links {
    sessions: Sessions,
    policy: SessionPolicy,
    /// From so many sessions on there are new ones only with pinned keys.
    for_strangers: usize,
    held: Held,
    opening: Vec<Opening>,
    /// When the first of them is given up.
    give_up: Option<Instant>,
    /// By the keyed hash of a pinned name: bounded by the table of pins.
    known: BTreeMap<u64, Known>,
    /// Names, as keyed hashes, whose address was looked up: nothing but a challenge goes there without a session.
    found: BTreeSet<u64>,
    recent: [Option<([u8; 12], RequestId)>; RECENT],
    next_recent: usize,
    /// Frames that were given up because their session ended.
    lost: u64,
    /// Nothing, outside of a simulation.
    faults: Faults,
    /// The sessions know what was kept of an earlier life.
    briefed: bool,
    /// How far the end of all sessions has come, as long as it is under way.
    closing: Option<u32>,
    /// Nothing is said to anybody yet: which start of this node speaks is not on the medium.
    mute: bool,
    /// The stamp of our own first messages that was told last.
    own_stamp: Stamp,
}

/// What [`Links::poll_news`] found.
pub(super) enum Told<'a> {
    /// The newest stamp of a peer's first messages.
    Stamp(&'a str, PublicKey, Stamp),
    /// What is known of the starts of a peer.
    Incarnation(&'a str, PublicKey, Starts),
    /// Something for the application.
    Change(SessionChange<'a>),
}

impl Links {
    /// `None` where sessions are off.
    pub(super) fn new(config: &NodeConfig, seed: &Seed) -> Result<Option<Box<Self>>, ConfigError> {
        if config.sessions == SessionPolicy::Off {
            return Ok(None);
        }
        let identity = config.identity.as_ref().and_then(super::Identity::for_sessions);
        let (signer, statics) = identity.ok_or(ConfigError::NoStaticKey)?;
        let mut room = Config::with_signer(config.did.clone(), signer, statics);
        (room.caps, room.suites) = (config.session_caps, config.suites);
        let caps = &config.caps;
        Ok(Some(Box::new(Self {
            for_strangers: room.caps.sessions - room.caps.sessions / 8,
            sessions: Sessions::new(room, seed)?,
            policy: config.sessions,
            held: Held::new(caps.transmits as usize, caps.transmit_bytes),
            opening: Vec::new(),
            give_up: None,
            known: BTreeMap::new(),
            found: BTreeSet::new(),
            recent: [None; RECENT],
            next_recent: 0,
            lost: 0,
            faults: Faults::default(),
            briefed: false,
            closing: None,
            mute: false,
            own_stamp: Stamp::ZERO,
        })))
    }

    /// Switch protections off.
    #[cfg(feature = "sim")]
    pub(super) fn set_faults(&mut self, faults: Faults) {
        self.sessions.set_faults(faults.of_sessions());
        self.faults = faults;
    }

    /// How many bytes of what was sent are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.sessions.kept()
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Tell peers over relays that this node can be reached here.
    pub(super) fn add_address(&mut self, at: SocketAddr) -> bool {
        self.sessions.add_address(at)
    }

    /// The sessions, as long as nothing of theirs came or went: they have to be told what was kept of an earlier life.
    pub(super) fn unbriefed(&mut self) -> Option<&mut Sessions> {
        let briefed = core::mem::replace(&mut self.briefed, true);
        (!briefed).then_some(&mut self.sessions)
    }

    /// Show this start of the node to peers; `None`: say nothing to anybody yet.
    pub(super) fn speak_as(&mut self, incarnation: Option<Incarnation>) {
        self.mute = incarnation.is_none();
        if let Some(incarnation) = incarnation {
            self.sessions.set_incarnation(incarnation);
        }
    }

    /// Names with whose pinned key there was a session in an earlier life do not go without one in this.
    pub(super) fn recall(&mut self, names: &SipKey, pins: &Pins) {
        let spoke = pins.iter().filter(|pin| pin.session);
        self.known.extend(spoke.map(|pin| (names.name(pin.did).hash(), Known::Speaks)));
    }

    /// The stamp of our last first message, if there was one since this was asked.
    pub(super) fn new_own_stamp(&mut self) -> Option<Stamp> {
        let stamp = self.sessions.own_stamp();
        let before = core::mem::replace(&mut self.own_stamp, stamp);
        (stamp > before).then_some(stamp)
    }

    /// Take in a frame of a session. `admit` is asked about everybody who proved to have a key.
    pub(super) fn handle(
        &mut self,
        now: Now,
        (path, names): (Path, &SipKey),
        bytes: &mut [u8],
        admit: &mut dyn FnMut(&Claim<'_>, Standing) -> bool,
    ) -> Result<Ingress, SessionReject> {
        let Self { sessions, known, for_strangers, .. } = self;
        let crowded = sessions.len() >= *for_strangers;
        sessions.handle(now, path, bytes, &mut |claim| {
            let speaks = known.get(&names.name(claim.did).hash()) == Some(&Known::Speaks);
            admit(claim, Standing { speaks, crowded })
        })
    }

    /// The name at the other side of a session, and its address.
    pub(super) fn peer(&self, id: SessionId) -> Option<(&str, Path)> {
        self.sessions.peer(id).map(|(did, _, path)| (did, path))
    }

    /// The session to which a packet says to belong.
    pub(super) fn addressed(&self, bytes: &[u8]) -> Option<SessionId> {
        self.sessions.addressed(bytes)
    }

    /// Shut out the other side of a session if this holds of it; see [`shut_out_where`](Self::shut_out_where).
    pub(super) fn shut_out_if(
        &mut self,
        id: SessionId,
        names: &SipKey,
        is_out: impl FnOnce(Name<'_>, &PublicKey, bool) -> bool,
    ) {
        let Some((did, Some(key), _)) = self.sessions.peer(id) else { return };
        let name = names.name(did);
        if is_out(name, &key, self.speaks(name) || self.sessions.is_ours(id)) {
            self.sessions.shut_out(id);
        }
    }

    /// Shut out everybody of whom this holds, given the name, the key, and whether there was a session with that name's pinned key or one was asked for here.
    pub(super) fn shut_out_where(
        &mut self,
        names: &SipKey,
        mut is_out: impl FnMut(Name<'_>, &PublicKey, bool) -> bool,
    ) {
        let Self { sessions, known, .. } = self;
        sessions.shut_out_where(|did, key, ours| {
            let name = names.name(did);
            is_out(name, key, ours || known.get(&name.hash()) == Some(&Known::Speaks))
        });
    }

    fn speaks(&self, name: Name<'_>) -> bool {
        self.known.get(&name.hash()) == Some(&Known::Speaks)
    }

    /// What waits for keys that are there goes on.
    pub(super) fn release(&mut self, now: Now) {
        let Self { sessions, held, .. } = self;
        if !self.mute {
            held.release(|session| sessions.is_ready(now, session));
        }
    }

    /// Whether a frame of this length can wait for its session.
    pub(super) fn can_hold(&self, len: usize) -> bool {
        self.held.has_room(len)
    }

    /// Have a frame wait for its session. Where there is no room it is lost, and counted.
    pub(super) fn hold(&mut self, waiting: Waiting) {
        if !self.held.push(waiting) {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// The next frame that waited and can go now.
    pub(super) fn pop_ready(&mut self) -> Option<Waiting> {
        self.held.pop_ready()
    }

    /// A frame that could go cannot yet.
    pub(super) fn put_back(&mut self, waiting: Waiting) {
        self.held.put_back(waiting);
    }

    /// Seal the frames of this length together that stand in `out` behind the room that a session needs in front. They ask these requests.
    pub(super) fn seal(
        &mut self,
        now: Now,
        id: SessionId,
        (out, len): (&mut [u8], usize),
        requests: impl IntoIterator<Item = RequestId>,
    ) -> Result<Transmit, SealError> {
        if self.mute {
            return Err(SealError::NotReady);
        }
        let sealed = self.sessions.seal(now, id, out, len)?;
        let head = out.get(HEAD).and_then(|head| head.try_into().ok());
        for request in requests {
            self.recent[self.next_recent] = head.map(|head| (head, request));
            self.next_recent = (self.next_recent + 1) % RECENT;
        }
        Ok(Transmit { path: sealed.path, len: sealed.len })
    }

    /// The next datagram of the sessions themselves: handshakes and what keeps addresses honest. Nothing as long as there is
    /// [news](Self::has_news): what has to be kept of a handshake is taken out before its answer goes.
    pub(super) fn poll_transmit(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit> {
        if self.mute || self.has_news() { None } else { self.sessions.poll_transmit(now, out) }
    }

    /// End every session once nothing else is to be sent; whether there is any.
    pub(super) fn close_all(&mut self) -> bool {
        let any = !self.sessions.is_empty();
        self.closing = any.then_some(0);
        any
    }

    /// The next datagram that tells somebody that its session is over.
    pub(super) fn poll_farewell(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit> {
        let mut cursor = self.closing?;
        while self.sessions.close_next(now, &mut cursor) {
            self.closing = Some(cursor);
            // One without keys has nothing to be told.
            if let Some(transmit) = self.poll_transmit(now, out) {
                return Some(transmit);
            }
        }
        self.closing = None;
        self.poll_transmit(now, out)
    }

    /// A datagram of sessions did not leave. Names the requests whose pings were in it, or would have followed it.
    pub(super) fn unsent(&mut self, path: Path, bytes: &[u8], mut told: impl FnMut(RequestId)) {
        if bytes.get(KIND.0) == Some(&KIND.1) {
            self.held.unreachable(path, told);
        } else if let Some(head) = bytes.get(HEAD) {
            let known = self.recent.iter_mut().filter(|known| known.is_some_and(|(other, _)| other == *head));
            known.filter_map(Option::take).for_each(|(_, request)| told(request));
        }
    }

    /// Whether [`poll_news`](Self::poll_news) has something.
    pub(super) const fn has_news(&self) -> bool {
        self.sessions.has_events()
    }

    /// Whether there is something to be sent.
    pub(super) fn has_output(&self) -> bool {
        self.held.has_ready()
            || self.closing.is_some()
            || (!self.mute && !self.has_news() && self.sessions.has_output())
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.sessions.next_deadline().into_iter().chain(self.give_up).min()
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now: Now) {
        self.sessions.handle_timeout(now);
        // One that another began and never confirmed ends without a word.
        let Self { sessions, held, .. } = self;
        self.lost = self.lost.saturating_add(held.drop_dead(|session| sessions.peer(session).is_some()) as u64);
        self.release(now);
        if self.give_up.is_none_or(|at| at > now.mono) {
            return;
        }
        let Self { opening, held, known, .. } = self;
        opening.retain(|entry| {
            let over = entry.until <= now.mono;
            if over {
                // There was none: it would have been taken off the list.
                known.entry(entry.name).or_insert(Known::Silent(now.mono + AGAIN));
                held.go_plain(entry.session);
            }
            !over
        });
        self.give_up = self.opening.iter().map(|entry| entry.until).min();
    }

    /// What happened to a session next; what waits for it is looked after.
    pub(super) fn poll_news(&mut self, names: &SipKey, pins: &Pins) -> Option<Told<'_>> {
        let Self { sessions, held, opening, known, give_up, lost, .. } = self;
        let event = sessions.poll_event()?;
        let (session, did, path) = (event.session, event.did, event.path);
        let mut settled = true;
        let state = match event.news {
            News::Stamp(stamp) => return Some(Told::Stamp(did, event.key?, stamp)),
            News::Incarnation(starts) => return Some(Told::Incarnation(did, event.key?, starts)),
            News::Up { initiator, early } => {
                let name = names.name(did);
                if pins.get_name(name).is_some_and(|pin| Some(pin.key) == event.key) {
                    known.insert(name.hash(), Known::Speaks);
                }
                held.up(session, early);
                SessionState::Up { initiator }
            }
            News::Rekeyed => {
                held.up(session, false);
                SessionState::Rekeyed
            }
            News::Moved { from } => {
                settled = false;
                SessionState::Moved { from }
            }
            News::Clone { elsewhere } => SessionState::Cloned { elsewhere },
            News::Down(why) => {
                *lost = lost.saturating_add(held.drop_all(session) as u64);
                SessionState::Down(why)
            }
        };
        if settled && !opening.is_empty() {
            opening.retain(|entry| entry.session != session);
            *give_up = opening.iter().map(|entry| entry.until).min();
        }
        let relayed = path.circuit().is_some();
        Some(Told::Change(SessionChange { did, key: event.key, path, relayed, state, suite: event.suite }))
    }

    /// A key does not speak for a name any more, or for nobody: its sessions are over at once.
    pub(super) fn revoke(&mut self, key: &PublicKey) {
        self.sessions.revoke(key);
    }

    /// A name is not pinned any more.
    pub(super) fn forget(&mut self, name: Name<'_>) {
        self.known.remove(&name.hash());
        self.found.remove(&name.hash());
    }

    /// How many sessions that are up go over relays. Looks at each.
    pub(super) fn relayed_len(&self) -> usize {
        self.sessions.relayed_len()
    }

    /// How many frames were given up because their session ended.
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").field("sessions", &self.sessions).field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// How what a session turned away is counted; `refused` is what the gate said of who proved its key.
pub(super) fn reject_of(why: SessionReject, refused: Option<Reject>) -> Reject {
    match why {
        SessionReject::Frame => Reject::Header,
        SessionReject::Cookie | SessionReject::Load | SessionReject::Source => Reject::Cookie,
        SessionReject::Key => refused.unwrap_or(Reject::Unpinned),
        SessionReject::Signature => Reject::BadSignature,
        SessionReject::OwnKey => Reject::OwnName,
        SessionReject::Busy => Reject::Busy,
        SessionReject::Clone => Reject::Clone,
        SessionReject::Replay | SessionReject::Stamp => Reject::Replay,
        SessionReject::Unknown | SessionReject::Seal | SessionReject::Expired => Reject::Sealed,
        SessionReject::Suite
        | SessionReject::Mac
        | SessionReject::Handshake
        | SessionReject::Crossed
        | SessionReject::Signer
        | SessionReject::Path => Reject::Handshake,
    }
}
