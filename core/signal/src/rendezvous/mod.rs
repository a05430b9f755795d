//! Rendezvous: messages to keys, over whatever brokers live. It composes the rest of this crate.
//!
//! - **Joined** are the first brokers of our own ranking, [ten of each family](Config::join), for good: there peers look for us.
//! - **To a peer** a message goes first over the brokers on which it was heard, or the first three of its ranking; without an answer over the
//!   first ten, then over the whole pool. So two sides that share one live broker meet. The first acknowledgement takes all other copies
//!   back. Connections that only served for sending are left after ten minutes without use.
//! - **Sealed** is everything between nodes of ours: the first message to a peer begins with a hello, and a session that finds no echo
//!   is followed by a new one, with the same messages. Hellos of strangers are answered within a budget and leave nothing behind that lasts.
//! - **Delivered** is what the other application confirmed, see [`delivery`](crate::delivery). A message in the clear, as peers of the
//!   reference send it, is turned away; they are recognised by their answer to a hello.
//!
//! [`Rendezvous`] is a [`Streams`](sluis_core::Streams) machine: any driver of such machines runs it. Brokers are known by their place in
//! [`Config::brokers`], each has at most one stream. Who has streams of his own can feed it broker by broker instead
//! ([`broker_order`](Rendezvous::broker_order) says what is to be done).

mod hello;
mod incoming;
mod machine;
mod outgoing;
mod peer;
#[cfg(feature = "std")]
mod requests;
mod streams;

pub use machine::Rendezvous;
#[cfg(feature = "std")]
pub use requests::Signalling;

use alloc::string::String;
use alloc::vec::Vec;

use sluis_core::Security;
use sluis_core::time::Duration;

use crate::broker::{Left, Settings};
use crate::delivery::{Handed, InboxLimits, SenderLimits};
use crate::key::{PublicKey, SecretKey};
use crate::rank::{Family, Weight};

/// A broker of the pool.
#[derive(Clone, Debug)]
pub struct Place {
    /// By which family it is reached.
    pub family: Family,
    /// Its host as the pool spells it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How much it draws.
    pub weight: Weight,
    /// How streams to it are protected.
    pub security: Security,
    /// What it is told and allowed.
    pub settings: Settings,
}

/// What a rendezvous is made of.
#[derive(Debug)]
pub struct Config {
    /// Who we are.
    pub key: SecretKey,
    /// All brokers that there are; each is known by its place here.
    pub brokers: Vec<Place>,
    /// How many of each family are joined for good.
    pub join: usize,
    /// Peers that are known at once.
    pub peers: usize,
    /// What is held for one peer that is sent to.
    pub sender: SenderLimits,
    /// What is held of what came.
    pub inbox: InboxLimits,
}

impl Config {
    /// With the defaults for everything but who we are and where.
    #[must_use]
    pub fn new(key: SecretKey, brokers: Vec<Place>) -> Self {
        Self { key, brokers, join: 10, peers: 4096, sender: SenderLimits::default(), inbox: InboxLimits::default() }
    }
}

/// What the application is told. Brokers are known by their place in [`Config::brokers`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A broker is joined; what the answer to CONNECT took.
    Joined {
        /// Which.
        broker: usize,
        /// How far it is.
        rtt: Duration,
    },
    /// A broker is not joined any more, or could not be; it is tried again.
    Left {
        /// Which.
        broker: usize,
        /// Why.
        reason: Left,
    },
    /// A message, to be [confirmed](Rendezvous::confirm).
    Message(Handed),
    /// A send has come to its end.
    Sent {
        /// To whom.
        to: PublicKey,
        /// What [`Rendezvous::send`] said.
        number: u64,
        /// After how long it was acknowledged, or why not.
        outcome: Result<Duration, NotDelivered>,
    },
    /// An acknowledgement of a message that was given up.
    Late {
        /// Of whom.
        to: PublicKey,
        /// What [`Rendezvous::send`] said.
        number: u64,
        /// So long after it was sent.
        after: Duration,
    },
    /// A peer answered a hello: it is one of ours, or of the reference.
    Answered {
        /// Who.
        peer: PublicKey,
        /// One of ours.
        sealed: bool,
        /// How long that took.
        after: Duration,
        /// Over which broker.
        broker: usize,
    },
    /// A [probe](Rendezvous::probe) was not answered in time.
    Unanswered {
        /// Whom it was for.
        peer: PublicKey,
    },
}

/// Why a message is not known to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotDelivered {
    /// None of the brokers could be joined.
    #[error("no broker could be joined")]
    NoBroker,
    /// Nothing came back in time.
    #[error("no acknowledgement in time")]
    NoAck,
    /// The driver has ended before.
    #[error("the node has been shut down")]
    Ended,
}

/// Why what came was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Turned {
    /// Neither a sealed packet nor an envelope, or one that does not verify.
    Unverified,
    /// Of a session that is not known.
    Session,
    /// Stamped more than two minutes ago, or ahead.
    Time,
    /// More hellos than are answered.
    Budget,
    /// In the clear.
    Plain,
    /// No room for it now.
    Busy,
    /// An answer that nobody waits for, our own hello, or one that ours stands against.
    Unasked,
}

impl Turned {
    /// How many reasons there are.
    pub const COUNT: usize = 7;

    /// Every reason, in declaration order.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Unverified, Self::Session, Self::Time, Self::Budget, Self::Plain, Self::Busy, Self::Unasked];

    /// The name in counts and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Session => "session",
            Self::Time => "time",
            Self::Budget => "budget",
            Self::Plain => "plain",
            Self::Busy => "busy",
            Self::Unasked => "unasked",
        }
    }
}
