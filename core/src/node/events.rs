//! The queues of events: what happened, kept in the node's own memory until it is polled.
//!
//! There are two, so that an application that is slow to read about the pings of others still hears the answers to its
//! own.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use super::client::{Match, RequestId};
use super::config::Caps;
use super::event::{Answered, Auth, Decided, Event, OpenId, Outcome, Received, SessionChange, SessionState, WaitId};
use super::inbox::{Inbound, Kept};
use super::policy::Judged;
use super::queue::{Full, Queue};
use super::storing::Keeping;
use crate::Path;
use crate::airlock::{Rank, Source};
use crate::framing::{Decision, Encoding, Zone};
use crate::identity::PublicKey;
use crate::session::{Down, SessionId};
use crate::time::{Duration, Instant};

/// The fixed part of a queued event. Texts and the datagram itself are the record's bytes.
#[derive(Clone, Copy, Debug)]
enum Head {
    /// Bytes: the datagram, what proves its sender, then the name of the rule.
    Ping {
        kept: Kept,
        encoding: Encoding,
        from: Path,
        proven: Proven,
        zone: Zone,
        decision: Decision,
        trust: f64,
        source: Source,
        frame: u32,
        rule: bool,
    },
    /// Bytes: the packet id, the sender, the intent.
    Decided {
        wait: WaitId,
        from: Path,
        outcome: Outcome,
        waited: Duration,
        answered: bool,
        open: Option<OpenId>,
        packet_id: u32,
        did: u32,
    },
    /// Bytes: the name.
    Heartbeat { path: Path },
    /// Bytes: the name.
    PeerSeen { path: Path },
    /// Bytes: the name.
    PeerLost,
    /// Bytes: the key, then its successor if there is one.
    Retired,
    /// Bytes: the name, then the key if it is known.
    Session { path: Path, relayed: bool, state: State, suite: u8, did: u32 },
    /// Bytes: the key, then the name.
    Pinned { keeping: Keeping },
}

/// A [`SessionState`] without the address in it, which makes a head long that hardly any event has: it stands in [`Events::places`].
#[derive(Clone, Copy, Debug)]
enum State {
    Up { initiator: bool },
    Rekeyed,
    Moved,
    Cloned,
    Down(Down),
}

impl State {
    const fn of(state: SessionState) -> (Self, Option<Path>) {
        match state {
            SessionState::Up { initiator } => (Self::Up { initiator }, None),
            SessionState::Rekeyed => (Self::Rekeyed, None),
            SessionState::Moved { from } => (Self::Moved, Some(from)),
            SessionState::Cloned { elsewhere } => (Self::Cloned, Some(elsewhere)),
            SessionState::Down(why) => (Self::Down(why), None),
        }
    }

    /// With the next address, if there is one in it.
    fn with(self, place: impl FnOnce() -> Option<Path>) -> Option<SessionState> {
        Some(match self {
            Self::Up { initiator } => SessionState::Up { initiator },
            Self::Rekeyed => SessionState::Rekeyed,
            Self::Moved => SessionState::Moved { from: place()? },
            Self::Cloned => SessionState::Cloned { elsewhere: place()? },
            Self::Down(why) => SessionState::Down(why),
        })
    }
}

/// Bytes of what proves a sender at most: a key, and a session.
pub(super) const PROOF: usize = 40;

/// How the sender of something is proven; by what stands in the bytes of the record.
#[derive(Clone, Copy, Debug)]
enum Proven {
    Nothing,
    /// Bytes: the key.
    Signed,
    /// Bytes: the key, then the session.
    Session,
}

impl Proven {
    /// With the bytes behind the datagram.
    fn of(auth: Auth) -> (Self, [u8; PROOF]) {
        let mut bytes = [0; PROOF];
        let (key, session) = bytes.split_at_mut(32);
        auth.key().into_iter().for_each(|proven| key.copy_from_slice(proven.as_bytes()));
        let proven = match auth {
            Auth::Unsigned => Self::Nothing,
            Auth::Signed(_) => Self::Signed,
            Auth::Session(id, _) => {
                session.copy_from_slice(&id.to_bits().to_be_bytes());
                Self::Session
            }
        };
        (proven, bytes)
    }

    const fn len(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Signed => 32,
            Self::Session => PROOF,
        }
    }

    /// From the bytes behind a datagram, which are of this length.
    fn auth(self, bytes: &[u8]) -> Option<Auth> {
        let key = || bytes.first_chunk().copied().map(PublicKey::checked);
        Some(match self {
            Self::Nothing => Auth::Unsigned,
            Self::Signed => Auth::Signed(key()?),
            Self::Session => Auth::Session(SessionId::from_bits(u64::from_be_bytes(*bytes.last_chunk()?)), key()?),
        })
    }
}

/// The fixed part of a queued response; its bytes are the datagram, then what proves its sender.
#[derive(Clone, Copy, Debug)]
struct ReplyHead {
    request: RequestId,
    decision: Decision,
    from: Path,
    proven: Proven,
    rtt: Duration,
    last: bool,
}

/// Events that wait to be polled.
#[derive(Debug)]
pub(super) struct Events {
    replies: Queue<ReplyHead>,
    notices: Queue<Head>,
    /// The second address of each notice that has one, in their order.
    places: Option<Box<Places>>,
    /// Room among the notices that is kept free for decisions about pings that wait: how many, and their bytes.
    reserved: (usize, usize),
}

/// Addresses of notices.
#[derive(Debug, Default)]
struct Places(VecDeque<Path>);

/// A length that fits by construction: everything here comes out of one datagram or is a limited text.
fn len32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

impl Events {
    /// Each of the two queues has these bounds.
    pub(super) const fn new(max_events: usize, max_bytes: usize) -> Self {
        let replies = Queue::new(max_events, max_bytes);
        let notices = Queue::new(max_events, max_bytes);
        Self { replies, notices, places: None, reserved: (0, 0) }
    }

    pub(super) fn len(&self) -> usize {
        self.replies.len() + self.notices.len()
    }

    /// Bytes of storage of both.
    #[cfg(feature = "sim")]
    pub(super) fn storage(&self) -> usize {
        self.replies.storage() + self.notices.storage()
    }

    pub(super) fn has_reply(&self) -> bool {
        !self.replies.is_empty()
    }

    pub(super) fn has_notice(&self) -> bool {
        !self.notices.is_empty()
    }

    /// Whether `count` notices of `bytes` bytes together fit beside what is reserved.
    pub(super) fn room_for_notices(&self, count: usize, bytes: usize) -> bool {
        let (records, more) = self.reserved;
        self.notices.has_room(count + records, bytes + more)
    }

    /// The same for notices about a sender of this rank.
    pub(super) fn room_for_rank(&self, rank: Rank, count: usize, bytes: usize) -> bool {
        let (records, more) = self.notices.bounds();
        let (records, more) = (Caps::reserved(records, rank), Caps::reserved(more, rank));
        self.room_for_notices(count + records, bytes + more)
    }

    /// Keep room for a notice of so many bytes, which [`room_for_notices`](Self::room_for_notices) found.
    pub(super) const fn reserve(&mut self, bytes: usize) {
        self.reserved = (self.reserved.0 + 1, self.reserved.1 + bytes);
    }

    /// Give reserved room back.
    pub(super) const fn release(&mut self, bytes: usize) {
        self.reserved = (self.reserved.0.saturating_sub(1), self.reserved.1.saturating_sub(bytes));
    }

    /// Whether a response of `bytes` bytes fits.
    pub(super) fn room_for_reply(&self, bytes: usize) -> bool {
        self.replies.has_room(1, bytes)
    }

    pub(super) fn ping(
        &mut self,
        datagram: &[u8],
        encoding: Encoding,
        (from, auth): (Path, Auth),
        judged: &Judged<'_>,
        decision: Decision,
        kept: Kept,
    ) -> Result<(), Full> {
        let (proven, bytes) = Proven::of(auth);
        let head = Head::Ping {
            kept,
            encoding,
            from,
            proven,
            zone: judged.zone,
            decision,
            trust: judged.trust,
            source: judged.source,
            frame: len32(datagram),
            rule: judged.rule.is_some(),
        };
        self.notices.push(head, &[datagram, &bytes[..proven.len()], judged.rule.unwrap_or_default().as_bytes()])
    }

    /// `from`: where the ping came from, as others know it.
    pub(super) fn decided(
        &mut self,
        now: Instant,
        (wait, from): (WaitId, Path),
        ping: &Inbound,
        outcome: Outcome,
        answered: bool,
        open: Option<OpenId>,
    ) -> Result<(), Full> {
        let [packet_id, did, intent] = ping.texts().map(str::as_bytes);
        // An id out of a recording lacks the number.
        let wait = WaitId { number: ping.number(), ..wait };
        let waited = now.saturating_since(ping.since());
        let (packet_id_len, did_len) = (len32(packet_id), len32(did));
        let head =
            Head::Decided { wait, from, outcome, waited, answered, open, packet_id: packet_id_len, did: did_len };
        self.notices.push(head, &[packet_id, did, intent])
    }

    pub(super) fn response(&mut self, datagram: &[u8], (from, auth): (Path, Auth), answer: &Match) -> Result<(), Full> {
        let &Match { request, rtt, decision, .. } = answer;
        let (proven, bytes) = Proven::of(auth);
        let head = ReplyHead { request, decision, from, proven, rtt, last: answer.is_last() };
        self.replies.push(head, &[datagram, &bytes[..proven.len()]])
    }

    pub(super) fn heartbeat(&mut self, did: &str, path: Path) -> Result<(), Full> {
        self.notices.push(Head::Heartbeat { path }, &[did.as_bytes()])
    }

    pub(super) fn peer_seen(&mut self, did: &str, path: Path) -> Result<(), Full> {
        self.notices.push(Head::PeerSeen { path }, &[did.as_bytes()])
    }

    pub(super) fn peer_lost(&mut self, did: &str) -> Result<(), Full> {
        self.notices.push(Head::PeerLost, &[did.as_bytes()])
    }

    pub(super) fn retired(&mut self, key: PublicKey, successor: Option<PublicKey>) -> Result<(), Full> {
        let successor = successor.map(PublicKey::to_bytes);
        self.notices.push(Head::Retired, &[key.as_bytes(), successor.as_ref().map_or(&[][..], |key| key)])
    }

    pub(super) fn session(&mut self, change: &SessionChange<'_>) -> Result<(), Full> {
        let &SessionChange { did, key, path, relayed, state, suite } = change;
        let key = key.map(PublicKey::to_bytes);
        let (state, place) = State::of(state);
        let head = Head::Session { path, relayed, state, suite, did: len32(did.as_bytes()) };
        self.notices.push(head, &[did.as_bytes(), key.as_ref().map_or(&[][..], |key| key)])?;
        if let Some(place) = place {
            self.places.get_or_insert_default().0.push_back(place);
        }
        Ok(())
    }

    pub(super) fn pinned(&mut self, did: &str, key: PublicKey, keeping: Keeping) -> Result<(), Full> {
        self.notices.push(Head::Pinned { keeping }, &[key.as_bytes(), did.as_bytes()])
    }

    /// Take out the oldest response.
    pub(super) fn pop_reply(&mut self) -> Option<Event<'_>> {
        let (ReplyHead { request, decision, from, proven, rtt, last }, bytes) = self.replies.pop()?;
        let (frame, proof) = bytes.split_at_checked(bytes.len().checked_sub(proven.len())?)?;
        let auth = proven.auth(proof)?;
        Some(Event::Response(Answered { request, decision, from, auth, rtt, last, frame }))
    }

    /// Take out the oldest notice.
    pub(super) fn pop_notice(&mut self) -> Option<Event<'_>> {
        let (head, bytes) = self.notices.pop()?;
        // What is read back here was checked before it was queued, so none of the `?` is ever taken.
        match head {
            Head::Ping { kept, encoding, from, proven, zone, decision, trust, source, frame, rule } => {
                let (frame, name) = bytes.split_at_checked(frame as usize)?;
                let (proof, name) = name.split_at_checked(proven.len())?;
                let auth = proven.auth(proof)?;
                let rule = if rule { core::str::from_utf8(name).ok() } else { None };
                let (wait, open) = (kept.wait(), kept.open());
                Some(Event::Ping(Received {
                    wait,
                    open,
                    encoding,
                    from,
                    auth,
                    zone,
                    decision,
                    trust,
                    source,
                    rule,
                    frame,
                }))
            }
            Head::Decided { wait, from, outcome, waited, answered, open, packet_id, did } => {
                let text = core::str::from_utf8(bytes).ok()?;
                let (packet_id, rest) = text.split_at_checked(packet_id as usize)?;
                let (source_did, intent) = rest.split_at_checked(did as usize)?;
                Some(Event::Decided(Decided {
                    wait,
                    packet_id,
                    source_did,
                    intent,
                    from,
                    outcome,
                    waited,
                    answered,
                    open,
                }))
            }
            Head::Heartbeat { path } => Some(Event::Heartbeat { did: core::str::from_utf8(bytes).ok()?, path }),
            Head::PeerSeen { path } => Some(Event::PeerSeen { did: core::str::from_utf8(bytes).ok()?, path }),
            Head::Retired => {
                let (key, successor) = bytes.split_first_chunk::<32>()?;
                let successor = successor.first_chunk::<32>().copied().map(PublicKey::checked);
                Some(Event::Retired { key: PublicKey::checked(*key), successor })
            }
            Head::Session { path, relayed, state, suite, did } => {
                let (did, key) = bytes.split_at_checked(did as usize)?;
                let (did, key) = (core::str::from_utf8(did).ok()?, key.first_chunk::<32>().copied());
                let state = state.with(|| self.places.as_mut()?.0.pop_front())?;
                let key = key.map(PublicKey::checked);
                Some(Event::Session(SessionChange { did, key, path, relayed, state, suite }))
            }
            Head::Pinned { keeping } => {
                let (key, did) = bytes.split_first_chunk::<32>()?;
                let did = core::str::from_utf8(did).ok()?;
                Some(Event::Pinned { did, key: PublicKey::checked(*key), keeping })
            }
            Head::PeerLost => Some(Event::PeerLost { did: core::str::from_utf8(bytes).ok()? }),
        }
    }
}
