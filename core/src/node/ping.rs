//! What the application asks a node to do, and how that can fail.

use crate::airlock::glob::{StarInside, Unseen};
use crate::framing::{EncodeError, Encoding, PingType, Priority, RoutingMode, SigningError, Value};
use crate::identity::SignError;
use crate::session::ConnectError;
use crate::time::Duration;
use crate::{DidError, Path};

/// A ping to send. Start from [`Ping::new`] and change what differs.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Ping<'a> {
    /// Whom to ask; only this DID may answer (anyone at the address, for
    /// [`BROADCAST`](crate::limits::BROADCAST)).
    pub target: &'a str,
    /// Where to ask; only this address may answer.
    pub path: Path,
    /// What is wanted: at most 256 bytes.
    pub intent: &'a str,
    /// Why, for people.
    pub purpose: &'a str,
    /// Application data, an object by convention. As the reference does, a node sends `{}` for what Python takes for false
    /// (`null`, `false`, 0, and empty texts, arrays and objects).
    pub payload: Value<'a>,
    /// What the ping is for.
    pub ping_type: PingType,
    /// How urgent it is.
    pub priority: Priority,
    /// How it travels.
    pub routing_mode: RoutingMode,
    /// The sender's pod.
    pub pod_id: Option<&'a str>,
    /// The sender's station.
    pub station_id: Option<&'a str>,
    /// How the ping is written, and so its answer.
    pub encoding: Encoding,
    /// How long to wait for the first answer; `None` is the node's default.
    pub timeout: Option<Duration>,
    /// The name of the relay that passes the ping on, where `path` is its address and not that of the target: see [`over`](Self::over).
    pub via: Option<&'a str>,
    /// Over how many relays it may go; `None` is the reference's default, 5.
    pub max_hops: Option<u8>,
    /// Where it goes without a session: have each relay with a key sign what it passes on, and whoever answers what he got ([`relay::trace`](crate::relay::trace)). Takes a key of ours;
    /// [`Event::Trace`](super::Event::Trace) tells what came of it.
    pub trace: bool,
}

impl<'a> Ping<'a> {
    /// A direct ping with an intent and nothing else.
    #[must_use]
    pub fn new(target: &'a str, path: impl Into<Path>, intent: &'a str) -> Self {
        Self {
            target,
            path: path.into(),
            intent,
            purpose: "",
            payload: Value::EMPTY_OBJECT,
            ping_type: PingType::Intent,
            priority: Priority::Normal,
            routing_mode: RoutingMode::Direct,
            pod_id: None,
            station_id: None,
            encoding: Encoding::Json,
            timeout: None,
            via: None,
            max_hops: None,
            trace: false,
        }
    }

    /// A ping to a target whose address is not known, over the relay with this name and address. Where a key is pinned to the target it goes through a session with it, over a circuit that
    /// relays do not read; as between neighbours it goes signed where nobody answers that, unless a session is demanded or there was one before.
    #[must_use]
    pub fn over(target: &'a str, relay: &'a str, path: impl Into<Path>, intent: &'a str) -> Self {
        Self { via: Some(relay), ..Self::new(target, path, intent) }
    }
}

/// Why a ping could not be sent. Nothing was sent and nothing is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PingError {
    /// The target is not a DID.
    #[error("target: {0}")]
    Target(#[from] DidError),
    /// The intent is over its limit.
    #[error("an intent has at most {max} bytes, this one has {len}", max = crate::limits::MAX_INTENT)]
    Intent {
        /// Its length in bytes.
        len: usize,
    },
    /// Nobody is at an unspecified address (0.0.0.0, `::`): the answer would come from another one, and count for nothing.
    #[error("{0} is no address of anybody, name the one of the other end")]
    Unspecified(core::net::IpAddr),
    /// The frame does not fit into a datagram.
    #[error("the frame takes more than the {max} bytes that a datagram to this address can carry")]
    TooLarge {
        /// What a datagram to that address can carry.
        max: usize,
    },
    /// The encoding cannot express the payload.
    #[error("{0}")]
    Encode(EncodeError),
    /// The signer did not sign.
    #[error(transparent)]
    Sign(SignError),
    /// No session with the target can be begun, and without one nothing may go there.
    #[error("no session can be begun: {0}")]
    Session(ConnectError),
    /// No key is pinned to the target, and there is a session in its name with somebody at another address; or the target is everybody, and
    /// nothing may go without a session.
    #[error(
        "the ping may only go through a session, and there is none with this name at this address: pin the key of its owner"
    )]
    NoSession,
    /// A trace without a key to sign it with.
    #[error("a trace begins with a signature of whoever asks, and this node has no key")]
    NoTraceKey,
    /// Too many requests are waiting for an answer: wait for one.
    #[error("{0} requests are waiting for an answer already")]
    TooManyRequests(u32),
    /// Too much is waiting to be sent: drain the node first.
    #[error("the send queue is full")]
    QueueFull,
}

/// Why an answer or a decision did not happen. The ping stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// No such ping waits: it was answered, decided, or ran out of time.
    #[error("this ping does not wait any more: it was answered, decided, or ran out of time")]
    Gone,
    /// By now the gate says ROOD to this ping: trust or a rule has changed since it came. It can still be turned away.
    #[error("the gate says ROOD to this ping by now: trust its sender first, or reject it")]
    Rood,
    /// The answer does not fit into a datagram.
    #[error("the answer takes more than the {max} bytes that a datagram to this address can carry")]
    TooLarge {
        /// What a datagram to that address can carry.
        max: usize,
    },
    /// The address has not proven itself and has not sent enough to be sent that much.
    #[error("the answer takes {len} bytes, but this unproven address may be sent only {allowed} more")]
    Unproven {
        /// Bytes of the answer.
        len: usize,
        /// Bytes it may still be sent for this ping: three times what it sent, less what it got.
        allowed: usize,
    },
    /// The encoding of the ping cannot express the payload.
    #[error("{0}")]
    Encode(EncodeError),
    /// The signer did not sign.
    #[error(transparent)]
    Sign(SignError),
    /// Too much is waiting to be sent or answered: drain the node first.
    #[error("a queue of the node is full")]
    QueueFull,
}

impl From<SigningError> for PingError {
    fn from(why: SigningError) -> Self {
        match why {
            SigningError::Text(why) => Self::Encode(why),
            SigningError::Signer(why) => Self::Sign(why),
        }
    }
}

impl From<SigningError> for AnswerError {
    fn from(why: SigningError) -> Self {
        match why {
            SigningError::Text(why) => Self::Encode(why),
            SigningError::Signer(why) => Self::Sign(why),
        }
    }
}

/// Why a reply rule, or what heartbeats are to say, was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// There are too many already.
    #[error("there are {0} reply rules already, which is the most this node takes")]
    TooMany(u32),
    /// No datagram has room for the reply.
    #[error("the reply takes {len} bytes, and no answer has room for more than {max}")]
    TooLarge {
        /// Its length in bytes.
        len: usize,
        /// What an answer has room for.
        max: usize,
    },
    /// JSON has no form for it.
    #[error("{0}")]
    Encode(#[from] EncodeError),
    /// All replies together are too large.
    #[error("all replies together take more than the {0} bytes that this node keeps")]
    TooMuch(usize),
    /// The intent pattern has a star that stands for nothing.
    #[error(transparent)]
    Star(#[from] StarInside),
    /// The intent pattern has a character that is not seen.
    #[error(transparent)]
    Unseen(#[from] Unseen),
    /// The intent pattern is over its limit.
    #[error("an intent pattern has at most {max} bytes, this one has {len}", max = crate::limits::MAX_INTENT)]
    Pattern {
        /// Its length in bytes.
        len: usize,
    },
}
