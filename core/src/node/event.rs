//! What a node tells its application.

use super::client::RequestId;
use super::lan::LanNews;
use super::storing::Keeping;
use super::{OperationError, OperationId, OperationOutcome, OverlayNews, Reservation, TraceNews};
use crate::Path;
use crate::airlock::{Source, WaitingId};
use crate::framing::{Decision, Encoding, Frame, Message, Packet, Response, Zone};
use crate::identity::PublicKey;
use crate::session::{Down, SessionId};
use crate::time::{Duration, Instant};
use crate::{StoreError, StoreSeq, Unsent};

/// A ping that waits for a decision: [`Node::approve`](super::Node::approve) or [`Node::reject`](super::Node::reject).
///
/// An id outlives its ping harmlessly: using it then is a typed error and never hits another ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WaitId {
    pub(crate) slot: WaitingId,
    pub(crate) number: u64,
}

impl WaitId {
    /// The place where it waits, as a number other than 0.
    pub(super) const fn to_slot_bits(self) -> u64 {
        self.slot.to_bits().wrapping_add(1)
    }

    /// From that number; without the number by which people name it.
    pub(super) const fn from_slot_bits(bits: u64) -> Self {
        Self { slot: WaitingId::from_bits(bits.wrapping_sub(1)), number: 0 }
    }

    /// A short number by which people can name the ping: pings that wait are numbered from 1 in the order in which they
    /// came, and no number is used twice in the life of a node. [`Node::waiting_number`](super::Node::waiting_number)
    /// finds the ping again.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.number
    }
}

/// An accepted ping that waits for the application's answer: [`Node::respond`](super::Node::respond).
///
/// An id outlives its ping harmlessly: using it then is a typed error and never hits another ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpenId(pub(crate) WaitingId);

/// What a datagram proves about who sent it. To whom a key belongs the [pins](crate::pins::Pins) of the node say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Auth {
    /// Nothing: it bears no signature.
    #[default]
    Unsigned,
    /// The holder of this key signed all of it.
    Signed(PublicKey),
    /// It came through this session with the holder of this key.
    Session(SessionId, PublicKey),
}

impl Auth {
    /// The key that is proven to be its sender's.
    #[must_use]
    pub const fn key(self) -> Option<PublicKey> {
        match self {
            Self::Unsigned => None,
            Self::Signed(key) | Self::Session(_, key) => Some(key),
        }
    }

    /// Its name in output: `none`, `signed`, `session`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "none",
            Self::Signed(_) => "signed",
            Self::Session(..) => "session",
        }
    }
}

/// Something the application may want to know, lent from the node's own memory.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A ping passed the gate: it was accepted, or it waits for a decision.
    Ping(Received<'a>),
    /// A waiting ping was decided: approved, rejected, or expired undecided.
    Decided(Decided<'a>),
    /// One of our requests was answered.
    Response(Answered<'a>),
    /// One of our requests ran out of time; it is forgotten.
    Timeout {
        /// The request.
        request: RequestId,
        /// Whether a `pending` answer had come, so that only the decision is missing.
        pending: bool,
    },
    /// The ping of one of our requests did not leave; the request is forgotten.
    Unsent {
        /// The request.
        request: RequestId,
        /// Why.
        why: Unsent,
    },
    /// An accepted ping was not answered by the application in time; its sender never hears of it.
    Unanswered(OpenId),
    /// A heartbeat came from an accepted sender; only with
    /// [`NodeConfig::tell_heartbeats`](super::NodeConfig::tell_heartbeats).
    Heartbeat {
        /// Its sender.
        did: &'a str,
        /// Where it came from.
        path: Path,
    },
    /// A DID was heard from and accepted for the first time, or again after it was lost.
    PeerSeen {
        /// Its name.
        did: &'a str,
        /// Where it is.
        path: Path,
    },
    /// A key that names were pinned to was retired by a statement that came in a ping: its successor speaks for them now, or nobody.
    Retired {
        /// The key.
        key: PublicKey,
        /// The one that takes its place.
        successor: Option<PublicKey>,
    },
    /// A session came up, has new keys, moved, or is over.
    Session(SessionChange<'a>),
    /// The first key that signed under a name was pinned to it ([`Node::trust_first_use`](super::Node::trust_first_use)).
    Pinned {
        /// The name.
        did: &'a str,
        /// The key.
        key: PublicKey,
        /// When that is safe: nothing that it signed is acknowledged before.
        keeping: Keeping,
    },
    /// Changes up to this number are on the medium, or could not be brought there and were taken back (what was retired or revoked stays so).
    Kept {
        /// The last of them.
        upto: StoreSeq,
        /// How it ended.
        result: Result<(), StoreError>,
    },
    /// Something was heard on the local network, where the node takes part in discovery.
    Lan(&'a LanNews),
    /// A peer was removed: it was silent for too long, or had proven nothing and made way for another.
    PeerLost {
        /// Its name.
        did: &'a str,
    },
    /// The trace of a ping of somebody else, or of the answer to one of ours, was read: the way that it took, and who changed it.
    Trace(&'a TraceNews),
    /// A relay gave a reservation, or gives none any more ([`Node::reserve_at`](super::Node::reserve_at)).
    Reservation(&'a Reservation),
    /// Others did something in the overlay.
    Overlay(&'a OverlayNews),
    /// An operation of ours has ended.
    Operation {
        /// The operation.
        id: OperationId,
        /// What it came to.
        result: Result<&'a OperationOutcome, &'a OperationError>,
    },
}

/// Something that happened to an encrypted session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionChange<'a> {
    /// The name of the other side.
    pub did: &'a str,
    /// Its key; unknown where nobody ever answered.
    pub key: Option<PublicKey>,
    /// Its address.
    pub path: Path,
    /// What happened.
    pub state: SessionState,
    /// Whether it goes over relays; then `path` leads to the one next to us.
    pub relayed: bool,
    /// The suite that it speaks ([`SUITE`](crate::session::SUITE) or [`SUITE_HYBRID`](crate::session::SUITE_HYBRID)); of one that never came up, that of the last attempt.
    pub suite: u8,
}

/// What happened to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionState {
    /// There are keys, and both sides have them.
    Up {
        /// Whether we began.
        initiator: bool,
    },
    /// There are new keys.
    Rekeyed,
    /// The other side has another address.
    Moved {
        /// Where it was before.
        from: Path,
    },
    /// Two nodes speak with the name and key of the other side: the session is over, as that with the other one ([`Down::Clone`] follows).
    Cloned {
        /// Where the other one is.
        elsewhere: Path,
    },
    /// It is over.
    Down(Down),
}

impl SessionState {
    /// The name in logs and JSON: `up`, `rekeyed`, `moved`, `clone`, `down`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up { .. } => "up",
            Self::Rekeyed => "rekeyed",
            Self::Moved { .. } => "moved",
            Self::Cloned { .. } => "clone",
            Self::Down(_) => "down",
        }
    }

    /// Why it is over: a word in lower case with underscores; `None` while it is not.
    #[must_use]
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Down(why) => Some(why.name()),
            _ => None,
        }
    }
}

/// A ping that passed the gate.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Set when the ping waits for a decision, which is when `decision` is pending.
    pub wait: Option<WaitId>,
    /// Set when the ping was accepted and the application has to answer it ([`Reply::Later`](super::Reply::Later)). When
    /// neither is set, the answer is on its way already.
    pub open: Option<OpenId>,
    /// How it was written.
    pub encoding: Encoding,
    /// Where it came from.
    pub from: Path,
    /// What it proves about its sender.
    pub auth: Auth,
    /// Where the airlock put it.
    pub zone: Zone,
    /// Accept or pending.
    pub decision: Decision,
    /// How far the sender is trusted, 0 to 1.
    pub trust: f64,
    /// Where that trust comes from.
    pub source: Source,
    /// Name of the rule that decided.
    pub rule: Option<&'a str>,
    /// The datagram, which was decoded before it was queued.
    pub(super) frame: &'a [u8],
}

impl<'a> Received<'a> {
    /// The ping itself, decoded in place: an application that does not look pays nothing.
    #[must_use]
    pub fn packet(&self) -> Packet<'a> {
        match Frame::decode(self.frame) {
            Ok(Frame { message: Message::Packet(packet), .. }) => packet,
            // Only a datagram that decodes to a packet is ever queued as one.
            _ => Packet::default(),
        }
    }
}

/// A waiting ping that was decided.
#[derive(Clone, Copy, Debug)]
pub struct Decided<'a> {
    /// The ping as it was announced in [`Event::Ping`].
    pub wait: WaitId,
    /// Its `packet_id`.
    pub packet_id: &'a str,
    /// Its sender.
    pub source_did: &'a str,
    /// What it wanted.
    pub intent: &'a str,
    /// Where it came from.
    pub from: Path,
    /// What became of it.
    pub outcome: Outcome,
    /// How long it had waited. How long its sender waits is not known here.
    pub waited: Duration,
    /// Whether an answer to its sender was queued. Not when nobody decided, not as long as the application has yet to
    /// answer (`open`), and not for a rejected ping whose answer found no room.
    pub answered: bool,
    /// For an approved ping that the application answers itself: the id to answer.
    pub open: Option<OpenId>,
}

/// What became of a waiting ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Let in.
    Approved,
    /// Turned away.
    Rejected,
    /// Nobody decided in time; the sender was told nothing.
    Expired,
    /// Nobody had decided when the waiting room was full and the ping of somebody better known came; the sender was told
    /// nothing.
    Displaced,
}

/// A ping that waits for a decision, for whoever lists them.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Waiting<'a> {
    /// How to decide about it.
    pub id: WaitId,
    /// Its `packet_id`. Senders choose these: several pings may have the same.
    pub packet_id: &'a str,
    /// Its sender.
    pub source_did: &'a str,
    /// What it wants.
    pub intent: &'a str,
    /// Where it came from.
    pub from: Path,
    /// What it proves about its sender.
    pub auth: Auth,
    /// When it came.
    pub since: Instant,
}

/// An answer to a request of ours.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The request.
    pub request: RequestId,
    /// What was decided.
    pub decision: Decision,
    /// Where it came from: where it was asked.
    pub from: Path,
    /// What it proves about who gave it.
    pub auth: Auth,
    /// Time since the request was made.
    pub rtt: Duration,
    /// Whether this ends the request. After a `pending` answer the decision may still come.
    pub last: bool,
    /// The datagram, which was decoded before it was queued.
    pub(super) frame: &'a [u8],
}

impl<'a> Answered<'a> {
    /// The answer itself, decoded in place: an application that does not look pays nothing.
    #[must_use]
    pub fn response(&self) -> Response<'a> {
        match Frame::decode(self.frame) {
            Ok(Frame { message: Message::Response(response), .. }) => response,
            // Only a datagram that decodes to a response is ever queued as one.
            _ => Response::default(),
        }
    }
}
