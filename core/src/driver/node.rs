//! A node behind a handle: pings as futures, and its other events as owned values.

use alloc::boxed::Box;
use alloc::string::ToString;

use super::handle::{Answer, Handle, Request, Requests};
use crate::framing::{Decision, Encoding, PingType, Priority, Response, Text, Value, ValueBuf, Zone};
use crate::identity::PublicKey;
use crate::node::{
    AnswerError, Answered, Auth, Event, Keeping, LanError, LanNews, Node, OpenId, Operation, OperationError,
    OperationId, OperationOutcome, Outcome, OverlayError, OverlayNews, Ping, PingError, Received, RequestId,
    Reservation, SessionChange, SessionState, TraceNews, WaitId,
};
#[cfg(feature = "record")]
use crate::record::Recorded;
use crate::time::Duration;
use crate::{Path, StoreError, StoreSeq, Unsent};

/// An owned answer to a ping of ours.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PingReply {
    /// Names the ping that is answered.
    pub packet_id: Box<str>,
    /// Names the response.
    pub response_id: Box<str>,
    /// Who answered.
    pub responder_did: Box<str>,
    /// What was decided. After `Pending` the decision may follow: see [`Request::next`].
    pub decision: Decision,
    /// Application data; `None` where msgpack carried something that JSON has no form for (byte strings, say).
    pub payload: Option<ValueBuf>,
    /// How far the responder trusts us.
    pub trust_score: f64,
    /// The zone it put us in; `None` for a word that is none of the three.
    pub zone: Option<Zone>,
    /// Name of the rule that decided.
    pub rule: Option<Box<str>>,
    /// Where the answer came from.
    pub from: Path,
    /// What it proves about who gave it.
    pub auth: Auth,
    /// Time since the ping was made.
    pub rtt: Duration,
    /// Nothing follows.
    pub last: bool,
}

/// Why a ping has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// Nobody answered in time.
    #[error("no answer came in time")]
    Timeout,
    /// The answer was `pending`, and nobody decided in time.
    #[error("no decision came in time")]
    Undecided,
    /// The ping did not leave: at once, with the system's reason.
    #[error("the ping was not sent: {0}")]
    Unsent(Unsent),
    /// The driver has ended.
    #[error("the node has been shut down")]
    Ended,
}

/// What a node tells besides the answers to its own pings: [`Event`], owned.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// A ping passed the gate.
    Ping(Box<PingNotice>),
    /// A waiting ping was decided.
    Decided {
        /// The ping as it was announced.
        wait: WaitId,
        /// Its `packet_id`.
        packet_id: Box<str>,
        /// Its sender.
        source_did: Box<str>,
        /// What it wanted.
        intent: Box<str>,
        /// Where it came from.
        from: Path,
        /// What became of it.
        outcome: Outcome,
        /// How long it had waited.
        waited: Duration,
        /// Whether an answer to its sender was queued.
        answered: bool,
        /// For an approved ping that the application answers itself: the id to answer.
        open: Option<OpenId>,
    },
    /// An accepted ping was not answered by the application in time.
    Unanswered(OpenId),
    /// A heartbeat came from an accepted sender; only where the node is told to tell.
    Heartbeat {
        /// Its sender.
        did: Box<str>,
        /// Where it came from.
        path: Path,
    },
    /// A DID was heard from and accepted for the first time, or again after it was lost.
    PeerSeen {
        /// Its name.
        did: Box<str>,
        /// Where it is.
        path: Path,
    },
    /// A key was retired by a statement that came in a ping.
    Retired {
        /// The key.
        key: PublicKey,
        /// The one that takes its place.
        successor: Option<PublicKey>,
    },
    /// A session came up, has new keys, moved, or is over.
    Session {
        /// The name of the other side.
        did: Box<str>,
        /// Its key; unknown where nobody ever answered.
        key: Option<PublicKey>,
        /// Its address.
        path: Path,
        /// Whether it goes over relays; then `path` leads to the one next to us.
        relayed: bool,
        /// What happened.
        state: SessionState,
        /// The suite that it speaks.
        suite: u8,
    },
    /// The first key that signed under a name was pinned to it.
    Pinned {
        /// The name.
        did: Box<str>,
        /// The key.
        key: PublicKey,
        /// When that is safe.
        keeping: Keeping,
    },
    /// Changes up to this number are on the medium, or were taken back.
    Kept {
        /// The last of them.
        upto: StoreSeq,
        /// How it ended.
        result: Result<(), StoreError>,
    },
    /// Something was heard on the local network.
    Lan(LanNews),
    /// A peer was removed: it was silent for too long, or had proven nothing and made way for another.
    PeerLost {
        /// Its name.
        did: Box<str>,
    },
    /// The trace of a ping or of an answer was read.
    Trace(Box<TraceNews>),
    /// A relay gave a reservation, or gives none any more.
    Reservation(Box<Reservation>),
    /// Others did something in the overlay.
    Overlay(Box<OverlayNews>),
}

/// An owned ping that passed the gate.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PingNotice {
    /// Set when the ping waits for a decision.
    pub wait: Option<WaitId>,
    /// Set when the application has to answer.
    pub open: Option<OpenId>,
    /// Names the packet.
    pub packet_id: Box<str>,
    /// The sender.
    pub source_did: Box<str>,
    /// The receiver: this node, or everyone.
    pub target_did: Box<str>,
    /// What the ping is for.
    pub ping_type: PingType,
    /// How urgent it is.
    pub priority: Priority,
    /// What is wanted.
    pub intent: Box<str>,
    /// Why.
    pub purpose: Box<str>,
    /// Application data; `None` where msgpack carried something that JSON has no form for (byte strings, say).
    pub payload: Option<ValueBuf>,
    /// The sender's pod.
    pub pod_id: Option<Box<str>>,
    /// The sender's station.
    pub station_id: Option<Box<str>>,
    /// How the packet was written.
    pub encoding: Encoding,
    /// Where it came from.
    pub from: Path,
    /// What it proves about its sender.
    pub auth: Auth,
    /// Where the airlock put it.
    pub zone: Zone,
    /// Accept or pending.
    pub decision: Decision,
    /// How far the sender is trusted.
    pub trust: f64,
    /// Name of the rule that decided.
    pub rule: Option<Box<str>>,
}

/// Names something that was asked of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeRequest {
    /// A ping.
    Ping(RequestId),
    /// An operation of the overlay.
    Operation(OperationId),
}

/// What either is answered with; [`Handle::ping`] and [`Handle::start_operation`] give the one that fits.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum NodeReply {
    /// A ping.
    Ping(PingResult),
    /// An operation of the overlay.
    Operation(OperationResult),
}

/// What a ping is answered with.
pub type PingResult = Result<PingReply, NoReply>;
/// What an operation of the overlay comes to.
pub type OperationResult = Result<OperationOutcome, NoOutcome>;

/// Why an operation has come to nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoOutcome {
    /// It failed.
    #[error(transparent)]
    Failed(#[from] OperationError),
    /// The driver has ended.
    #[error("the node has been shut down")]
    Ended,
}

// A request is answered with its own kind of reply: the other arm of each is never taken.
impl From<NodeReply> for PingResult {
    fn from(reply: NodeReply) -> Self {
        match reply {
            NodeReply::Ping(reply) => reply,
            NodeReply::Operation(_) => Err(NoReply::Ended),
        }
    }
}

impl From<NodeReply> for OperationResult {
    fn from(reply: NodeReply) -> Self {
        match reply {
            NodeReply::Operation(reply) => reply,
            NodeReply::Ping(_) => Err(NoOutcome::Ended),
        }
    }
}

macro_rules! requests {
    ($node:ty) => {
        impl Requests for $node {
            type Id = NodeRequest;
            type Reply = NodeReply;
            type Notice = Notice;

            fn poll_reply(&mut self) -> Option<Answer<NodeRequest, NodeReply>> {
                answer_of(Self::poll_reply(self)?)
            }

            fn poll_notice(&mut self) -> Option<Notice> {
                notice_of(Self::poll_notice(self)?)
            }

            fn cancel(&mut self, id: NodeRequest) {
                match id {
                    NodeRequest::Ping(id) => _ = self.forget(id),
                    NodeRequest::Operation(id) => _ = self.give_up(id),
                }
            }

            fn ended(id: NodeRequest) -> NodeReply {
                match id {
                    NodeRequest::Ping(_) => NodeReply::Ping(Err(NoReply::Ended)),
                    NodeRequest::Operation(_) => NodeReply::Operation(Err(NoOutcome::Ended)),
                }
            }
        }
    };
}
requests!(Node);
#[cfg(feature = "record")]
requests!(Recorded<Node>);

/// An event about a request of ours, owned.
fn answer_of(event: Event<'_>) -> Option<Answer<NodeRequest, NodeReply>> {
    let answer =
        |request, last, reply| Some(Answer { id: NodeRequest::Ping(request), last, reply: NodeReply::Ping(reply) });
    match event {
        Event::Response(answered) => answer(answered.request, answered.last, Ok(own_reply(&answered))),
        Event::Timeout { request, pending } => {
            let why = if pending { NoReply::Undecided } else { NoReply::Timeout };
            answer(request, true, Err(why))
        }
        Event::Unsent { request, why } => answer(request, true, Err(NoReply::Unsent(why))),
        Event::Operation { id, result } => {
            let reply = result.cloned().map_err(|why| why.clone().into());
            Some(Answer { id: NodeRequest::Operation(id), last: true, reply: NodeReply::Operation(reply) })
        }
        _ => None,
    }
}

/// Any other event, owned.
fn notice_of(event: Event<'_>) -> Option<Notice> {
    match event {
        Event::Ping(received) => Some(Notice::Ping(Box::new(own_ping(&received)))),
        Event::Decided(decided) => Some(Notice::Decided {
            wait: decided.wait,
            packet_id: decided.packet_id.into(),
            source_did: decided.source_did.into(),
            intent: decided.intent.into(),
            from: decided.from,
            outcome: decided.outcome,
            waited: decided.waited,
            answered: decided.answered,
            open: decided.open,
        }),
        Event::Unanswered(id) => Some(Notice::Unanswered(id)),
        Event::Heartbeat { did, path } => Some(Notice::Heartbeat { did: did.into(), path }),
        Event::PeerSeen { did, path } => Some(Notice::PeerSeen { did: did.into(), path }),
        Event::PeerLost { did } => Some(Notice::PeerLost { did: did.into() }),
        Event::Lan(news) => Some(Notice::Lan(news.clone())),
        Event::Retired { key, successor } => Some(Notice::Retired { key, successor }),
        Event::Session(SessionChange { did, key, path, relayed, state, suite }) => {
            Some(Notice::Session { did: did.into(), key, path, relayed, state, suite })
        }
        Event::Pinned { did, key, keeping } => Some(Notice::Pinned { did: did.into(), key, keeping }),
        Event::Kept { upto, result } => Some(Notice::Kept { upto, result }),
        Event::Trace(news) => Some(Notice::Trace(Box::new(news.clone()))),
        Event::Reservation(news) => Some(Notice::Reservation(Box::new(news.clone()))),
        Event::Overlay(news) => Some(Notice::Overlay(Box::new(news.clone()))),
        Event::Response(_) | Event::Timeout { .. } | Event::Unsent { .. } | Event::Operation { .. } => None,
    }
}

macro_rules! handles {
    ($($(#[$cfg:meta])* $node:ty),+) => {
        $($(#[$cfg])*
        impl Handle<$node> {
            /// Send a ping; the future resolves with the answer.
            ///
            /// # Errors
            /// Why nothing was sent.
            pub fn ping(&self, ping: &Ping<'_>) -> Result<Request<$node, PingResult>, PingError> {
                self.request_for(|node, now| node.ping(now, ping).map(NodeRequest::Ping))
            }

            /// Begin an operation of the overlay; the future resolves with what it comes to: [`Node::start_operation`].
            ///
            /// # Errors
            /// Why it does not begin.
            pub fn start_operation(
                &self,
                operation: &Operation<'_>,
                timeout: Option<Duration>,
            ) -> Result<Request<$node, OperationResult>, OverlayError> {
                self.request_for(|node, now| node.start_operation(now, operation, timeout).map(NodeRequest::Operation))
            }

            /// Answer an accepted ping: [`Node::respond`].
            ///
            /// # Errors
            /// Why nothing was sent; the ping stays open.
            pub fn respond(&self, id: OpenId, payload: Value<'_>) -> Result<(), AnswerError> {
                self.with(|node, now| node.respond(now, id, payload))
            }

            /// Let a waiting ping in: [`Node::approve`].
            ///
            /// # Errors
            /// Why nothing happened; the ping goes on waiting.
            pub fn approve(&self, id: WaitId) -> Result<Option<OpenId>, AnswerError> {
                self.with(|node, now| node.approve(now, id))
            }

            /// Call for somebody by name on the local network: [`Node::seek`].
            ///
            /// # Errors
            /// Why nobody is called for.
            pub fn seek(&self, did: &str) -> Result<(), LanError> {
                self.with(|node, now| node.seek(now, did))
            }

            /// Turn a waiting ping away: [`Node::reject`].
            ///
            /// # Errors
            /// It did not wait any more.
            pub fn reject(&self, id: WaitId) -> Result<(), AnswerError> {
                self.with(|node, now| node.reject(now, id))
            }
        })+
    };
}
handles!(
    Node,
    #[cfg(feature = "record")]
    Recorded<Node>
);

fn own(text: Text<'_>) -> Box<str> {
    match text.as_str() {
        Some(plain) => plain.into(),
        None => text.to_string().into(),
    }
}

fn own_reply(answered: &Answered<'_>) -> PingReply {
    let Response {
        response_id,
        in_response_to,
        responder_did,
        decision,
        payload,
        trust_score,
        airlock_zone,
        applied_rule,
        ..
    } = answered.response();
    PingReply {
        packet_id: own(in_response_to),
        response_id: own(response_id),
        responder_did: own(responder_did),
        decision,
        payload: ValueBuf::new(payload).ok(),
        trust_score: trust_score.to_f64(),
        zone: airlock_zone.as_str().and_then(Zone::from_wire),
        rule: applied_rule.map(own),
        from: answered.from,
        auth: answered.auth,
        rtt: answered.rtt,
        last: answered.last,
    }
}

fn own_ping(received: &Received<'_>) -> PingNotice {
    let packet = &received.packet();
    PingNotice {
        wait: received.wait,
        open: received.open,
        packet_id: own(packet.packet_id),
        source_did: own(packet.source_did),
        target_did: own(packet.target_did),
        ping_type: packet.ping_type,
        priority: packet.priority,
        intent: own(packet.intent),
        purpose: own(packet.purpose),
        payload: ValueBuf::new(packet.payload).ok(),
        pod_id: packet.pod_id.map(own),
        station_id: packet.station_id.map(own),
        encoding: received.encoding,
        from: received.from,
        auth: received.auth,
        zone: received.zone,
        decision: received.decision,
        trust: received.trust,
        rule: received.rule.map(Box::from),
    }
}
