//! Sessions over relays: the ends of circuits that are at this node.
//!
//! A [circuit](crate::relay) is asked for with a ping of the type `relay` and the intent [`CIRCUIT`], signed as any other, which names both ends to the relays on its way and leaves a label
//! with each of them. What goes through it afterwards is a frame of a session behind that label: a relay reads nothing of it, and cannot tell a ping from an answer. To the sessions a circuit is
//! a [`Path`] of its own, under an address that nobody sees: what comes and goes on it is unpacked and packed here. What this room promises:
//!
//! * **Only with who is known**: a circuit is asked for where a key is pinned to the target, and counts where that key signed the answer; one is entered into with who signed and is let in.
//! * **Only from the relay** over which it was asked for something comes through a circuit.
//! * **It outlives its relays.** A circuit over which something was sent and nothing heard is asked for again, under the same label, over the relay that is named last; the session stays.
//! * **What waits for it ends**: with an answer, with its own time, or without a session where it may go without.
//! * **Bounded**: so many circuits, one from each name that asks for one, and so much that waits. Who has no pinned key takes no place from who has one.

mod ask;
#[cfg(test)]
mod tests;

pub(super) use self::ask::{answer, asks, shown};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::fmt;

use super::client::RequestId;
use super::links::Waiting;
use super::outbox::packet_id;
use crate::framing::Encoding;
use crate::identity::PublicKey;
use crate::relay::{CIRCUIT_HEAD, CircuitPacket, Label};
use crate::time::{Duration, Instant};
use crate::{Path, Transmit};

/// The intent of a ping that asks for a circuit.
pub const CIRCUIT: &str = "overlay.circuit";
/// How many ends there are at once; the one that was silent longest makes way, first of those whose name may be anybody's.
const MAX_ENDS: usize = 1024;
/// Over so many relays the packets of a circuit go.
const HOPS: u8 = 16;
/// From this long after the first packet without a word from the other side a circuit is asked for again.
const UNHEARD: Duration = Duration::from_secs(5);
/// After so long without a packet what was said before counts for nothing: a session that waits for an answer says something sooner.
const PAUSE: Duration = Duration::from_secs(20);
/// A circuit that was silent for so long is asked for again before anything goes through it: its relays may have forgotten it.
const IDLE: Duration = Duration::from_secs(60);
/// Most bytes of frames that wait for circuits.
const MAX_PARKED: usize = 1 << 20;
/// Most bytes of packets that wait until a silent circuit was asked for again.
const MAX_STALE: usize = 64 * 1024;
/// How long after it was asked for last it is not asked for again.
const AGAIN: Duration = Duration::from_secs(2);

/// One end of a circuit.
struct End {
    /// The relay next to us: where packets go, and the only place where they come from.
    relay: Path,
    /// Keyed hash of who is at the other end, and whether we asked for it.
    name: (u64, bool),
    /// It stands: the other end has accepted it.
    up: bool,
    /// We asked for it, or a key is pinned to who did: it makes way for nobody whose name may be anybody's.
    known: bool,
    heard: Instant,
    /// When something was sent first since something was heard, without a [pause](PAUSE) behind it; and last.
    unheard: Option<[Instant; 2]>,
    /// Where we asked for it.
    opener: Option<Box<Opener>>,
}

/// What is needed to ask for a circuit, and what waits for it.
struct Opener {
    /// The random part of the packet id, which makes the label.
    key: u64,
    did: Box<str>,
    pin: PublicKey,
    /// Over whom to ask, and where that is: from where the answer comes, the packets of the circuit come.
    relay: Box<str>,
    place: Path,
    max_hops: Option<u8>,
    encoding: Encoding,
    /// The ping that asks, as long as it waits for its answer.
    request: Option<RequestId>,
    asked: Option<Instant>,
    tries: u8,
    /// When what waits for it waits no more.
    until: Instant,
    parked: Vec<Parked>,
    /// Packets that wait until a circuit that was silent for long stands again.
    stale: Vec<Box<[u8]>>,
}

/// A frame that waits for a circuit.
struct Parked {
    waiting: Waiting,
    /// How long the handshake of its session may take, where it may go without one.
    patience: Option<Duration>,
}

/// Whom a circuit is to lead to, and over whom.
struct Wanted<'a> {
    /// Keyed hash of the name.
    name: u64,
    did: &'a str,
    pin: PublicKey,
    relay: (&'a str, Path),
    max_hops: Option<u8>,
    encoding: Encoding,
    until: Instant,
}

/// What became of a datagram that goes through a circuit.
pub(super) enum Sent {
    /// It is packed.
    Now(Transmit),
    /// It waits until the circuit was asked for again.
    Later,
}

/// Every end of a circuit at this node.
#[derive(Default)]
pub(super) struct Circuits {
    ends: BTreeMap<u64, End>,
    /// Labels by the name at the other end, and whether we asked for it.
    names: BTreeMap<(u64, bool), u64>,
    /// To be asked for.
    due: BTreeSet<u64>,
    /// Labels by the pings that ask for them.
    requests: BTreeMap<RequestId, u64>,
    /// Bytes of frames that wait.
    parked: usize,
    /// Packets that waited for a circuit that was asked for again, and can go.
    ready: VecDeque<(Path, Box<[u8]>)>,
    /// Packets that waited for one that made way for another.
    lost: u64,
}

impl Circuits {
    /// Whether a ping that asks for a circuit is to be sent.
    pub(super) fn has_output(&self) -> bool {
        !self.due.is_empty() || !self.ready.is_empty()
    }

    /// A packet of a circuit that ends here: the path that it has for the sessions, and where the frame in it is.
    pub(super) fn receive(&self, path: Path, bytes: &[u8]) -> Option<(Path, core::ops::Range<usize>)> {
        let packet = CircuitPacket::read(bytes)?;
        let label = packet.label.number();
        let ends_here = self.ends.get(&label).is_some_and(|end| end.up && end.relay.same_remote(&path));
        ends_here.then(|| (Path::of_circuit(label), CIRCUIT_HEAD..CIRCUIT_HEAD + packet.frame.len()))
    }

    /// Something genuine came through a circuit.
    pub(super) fn heard(&mut self, now: Instant, path: Path) {
        if let Some(end) = path.circuit().and_then(|label| self.ends.get_mut(&label)) {
            (end.heard, end.unheard) = (now, None);
        }
    }

    /// Pack a datagram that goes through a circuit; `None` where there is no such circuit, or no room.
    pub(super) fn send(&mut self, now: Instant, label: u64, (out, len): (&mut [u8], usize)) -> Option<Sent> {
        let end = self.ends.get_mut(&label)?;
        let whole = len + CIRCUIT_HEAD;
        if whole > end.relay.max_datagram() {
            return None;
        }
        out.get_mut(..whole)?.copy_within(..len, CIRCUIT_HEAD);
        out.get_mut(..CIRCUIT_HEAD)?.copy_from_slice(&CircuitPacket::head(Label::from_number(label), HOPS, len));
        // What is said last before a silence, nobody answers.
        if now.saturating_since(end.heard) >= IDLE
            && let Some(opener) = end.opener.as_mut()
            && opener.stale.iter().map(|packet| packet.len()).sum::<usize>() + whole <= MAX_STALE
            && (opener.request.is_some() || opener.asked.is_none_or(|asked| now.saturating_since(asked) >= AGAIN))
        {
            opener.stale.push(out.get(..whole)?.into());
            if opener.request.is_none() {
                (opener.tries, opener.until) = (0, now + IDLE);
                self.due.insert(label);
            }
            return Some(Sent::Later);
        }
        let ongoing = end.unheard.filter(|[_, last]| now.saturating_since(*last) < PAUSE);
        let [first, _] = ongoing.unwrap_or([now; 2]);
        end.unheard = Some([first, now]);
        if now.saturating_since(first) >= UNHEARD && end.may_ask(now) {
            self.due.insert(label);
        }
        Some(Sent::Now(Transmit { path: end.relay, len: whole }))
    }

    /// A datagram that did not leave, as the sessions know it: its path, and where the frame in it is.
    pub(super) fn unsent(&self, bytes: &[u8]) -> Option<(Path, core::ops::Range<usize>)> {
        let packet = CircuitPacket::read(bytes)?;
        let label = packet.label.number();
        self.ends
            .contains_key(&label)
            .then(|| (Path::of_circuit(label), CIRCUIT_HEAD..CIRCUIT_HEAD + packet.frame.len()))
    }

    /// The path as others know it: of a circuit that to the relay.
    pub(super) fn shown(&self, path: Path) -> Path {
        path.circuit().and_then(|label| self.ends.get(&label)).map_or(path, |end| end.relay)
    }

    /// Whether somebody may have an end here. Names without a pinned key, of which anybody may have many, share 15 of 16 places and take none from others.
    pub(super) fn has_place(&self, name: u64, known: bool) -> bool {
        known || self.names.contains_key(&(name, false)) || self.ends.len() < MAX_ENDS - MAX_ENDS / 16
    }

    /// Somebody who is let in asked for a circuit, over this path, and there is a [place](Self::has_place). The one that he asked for before is over.
    pub(super) fn accept(&mut self, now: Instant, (name, known): (u64, bool), label: Label, relay: Path) {
        let label = label.number();
        // A label of ours is not for others to move.
        if self.ends.get(&label).is_some_and(|end| end.name != (name, false)) {
            return;
        }
        let name = (name, false);
        self.insert(label, End { relay, name, up: true, known, heard: now, unheard: None, opener: None });
    }

    fn insert(&mut self, label: u64, end: End) {
        if let Some(before) = self.names.get(&end.name).copied().filter(|before| *before != label) {
            self.remove(before);
        }
        if self.ends.len() >= MAX_ENDS
            && !self.ends.contains_key(&label)
            && let Some(oldest) =
                self.ends.iter().min_by_key(|(_, end)| (end.known, end.heard)).map(|(label, _)| *label)
        {
            self.remove(oldest);
        }
        self.names.insert(end.name, label);
        self.ends.insert(label, end);
    }

    /// Forget a circuit; what waits for it runs out of its own time.
    fn remove(&mut self, label: u64) {
        let Some(end) = self.ends.remove(&label) else { return };
        self.names.remove(&end.name);
        self.due.remove(&label);
        if let Some(opener) = end.opener {
            opener.request.map(|request| self.requests.remove(&request));
            self.parked -= opener.parked_bytes();
            self.lost = self.lost.saturating_add(opener.stale.len() as u64);
        }
    }

    /// How many packets did not leave because their circuit made way for another while they waited for it.
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    fn opener(&mut self, label: u64) -> Option<&mut Opener> {
        self.ends.get_mut(&label)?.opener.as_deref_mut()
    }

    /// Whether a session that goes through this path would do better to ask for the circuit anew, over this relay, before anything is sent.
    pub(super) fn is_doubtful(&self, now: Instant, path: Path, relay: Path) -> bool {
        let Some(end) = path.circuit().and_then(|label| self.ends.get(&label)) else { return false };
        let elsewhere = !end.relay.same_remote(&relay);
        let unheard = end.unheard.is_some_and(|[first, _]| now.saturating_since(first) >= AGAIN);
        end.opener.is_some() && (now.saturating_since(end.heard) >= IDLE || (elsewhere && unheard))
    }

    /// The circuit to a name, if it stands and nothing speaks against using it.
    fn standing(&self, now: Instant, name: u64, relay: Path) -> Option<Path> {
        let label = *self.names.get(&(name, true))?;
        let path = Path::of_circuit(label);
        let up = self.ends.get(&label).is_some_and(|end| end.up);
        (up && !self.is_doubtful(now, path, relay)).then_some(path)
    }

    /// Whether a frame of this length can wait.
    fn has_room(&self, len: usize) -> bool {
        self.parked + len <= MAX_PARKED
    }

    /// Have a frame wait for a circuit, which is asked for if it is not yet. `key` makes the label of a new one.
    fn park(&mut self, now: Instant, own: &str, key: u64, wanted: &Wanted<'_>, parked: Parked) {
        let name = (wanted.name, true);
        let label = match self.names.get(&name) {
            Some(label) => *label,
            None => {
                let label = Label::of(packet_id(key).as_str(), own, wanted.did).number();
                let opener = Some(Box::new(Opener::new(key, wanted)));
                let (relay, heard) = (wanted.relay.1, now);
                self.insert(label, End { relay, name, up: false, known: true, heard, unheard: None, opener });
                label
            }
        };
        let Some(opener) = self.ends.get_mut(&label).and_then(|end| end.opener.as_deref_mut()) else { return };
        if opener.request.is_none() {
            let key = opener.key;
            let before = core::mem::replace(opener, Opener::new(key, wanted));
            (opener.parked, opener.stale) = (before.parked, before.stale);
            self.due.insert(label);
        }
        self.parked += parked.waiting.frame.len();
        opener.parked.push(parked);
    }

    /// What waits for a circuit waits no more.
    fn unpark(&mut self, label: u64) -> Vec<Parked> {
        let Some(opener) = self.opener(label) else { return Vec::new() };
        let (bytes, parked) = (opener.parked_bytes(), core::mem::take(&mut opener.parked));
        self.parked -= bytes;
        parked
    }

    /// The circuit that this request asks for, if it does.
    pub(super) fn asked(&self, request: RequestId) -> Option<u64> {
        self.requests.get(&request).copied()
    }

    /// The ping that asks for a circuit was answered, or ran out of time.
    fn settle(&mut self, request: RequestId) -> Option<u64> {
        let label = self.requests.remove(&request)?;
        self.opener(label)?.request = None;
        Some(label)
    }

    /// A circuit stands, over this relay.
    fn stand(&mut self, now: Instant, label: u64, relay: Path) {
        if let Some(end) = self.ends.get_mut(&label) {
            (end.up, end.relay, end.heard, end.unheard) = (true, relay, now, None);
        }
        self.release(label);
    }

    /// What waited for a silent circuit goes out, whatever came of asking for it.
    fn release(&mut self, label: u64) {
        let Some(end) = self.ends.get_mut(&label) else { return };
        let relay = end.relay;
        let stale = end.opener.as_mut().map(|opener| core::mem::take(&mut opener.stale)).unwrap_or_default();
        self.ready.extend(stale.into_iter().map(|packet| (relay, packet)));
    }

    /// The next packet that waited and can go.
    pub(super) fn next_ready(&mut self, out: &mut [u8]) -> Option<Transmit> {
        let (path, packet) = self.ready.pop_front()?;
        out.get_mut(..packet.len())?.copy_from_slice(&packet);
        Some(Transmit { path, len: packet.len() })
    }
}

impl Opener {
    fn new(key: u64, wanted: &Wanted<'_>) -> Self {
        let &Wanted { did, pin, relay: (relay, place), max_hops, encoding, until, .. } = wanted;
        let (did, relay) = (did.into(), relay.into());
        let (request, asked, tries, parked, stale) = (None, None, 0, Vec::new(), Vec::new());
        Self { key, did, pin, relay, place, max_hops, encoding, request, asked, tries, until, parked, stale }
    }

    fn parked_bytes(&self) -> usize {
        self.parked.iter().map(|parked| parked.waiting.frame.len()).sum()
    }
}

impl End {
    fn may_ask(&self, now: Instant) -> bool {
        let opener = self.opener.as_ref();
        opener.is_some_and(|opener| {
            opener.request.is_none() && opener.asked.is_none_or(|asked| now.saturating_since(asked) >= AGAIN)
        })
    }
}

impl fmt::Debug for Circuits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuits").field("ends", &self.ends.len()).field("parked", &self.parked).finish_non_exhaustive()
    }
}
