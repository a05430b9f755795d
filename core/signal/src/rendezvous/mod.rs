//! Rendezvous: messages to keys, over whatever brokers live. It composes the rest of this crate.
//!
//! - **Joined** are the first brokers of our own ranking, [ten of each family](Config::join), for good: there peers look for us.
//! - **To a peer** a message goes first over the brokers on which it was heard, or the first three of its ranking; without an answer over the
//!   first ten, then over the whole pool. So two sides that share one live broker meet. The first acknowledgement takes all other copies
//!   back. Connections that only served for sending are left after ten minutes without use.
//! - **Sealed** is everything between nodes of ours: the first message to a peer begins with a hello, and a session that finds no echo
//!   is followed by a new one, with the same messages. Hellos of strangers are answered within a budget and leave nothing behind that lasts.
//! - **Delivered** is what the other application confirmed, see [`delivery`](crate::delivery).
//! - **Told** in every session, and whenever it changes, is where each side is joined: so a broker that one of them has lost is not waited for.
//!   A name may come along, DID and the Ed25519 key that signs for it in this very session ([`Config::name`]): messages then
//!   bear [it](Message::name).
//! - **In the clear** is what peers of the reference send and read. It is turned away, and never sent, unless [`Legacy`] says otherwise; see
//!   there what it is worth. A peer that was once seen as one of ours is never again sent or believed anything in the clear.
//! - **Kept** over a restart, where [`Config::keeps`] says so and the driver has a store: what was handed over, who is one of ours, where
//!   peers were heard.
//!
//! In steady state a message takes no memory at its sender, and at its receiver one piece for what is said, none where the application [hands that
//! back](Rendezvous::take_back).
//!
//! [`Rendezvous`] is a [`Streams`](sluis_core::Streams) machine: any driver of such machines runs it. Brokers are known by their place in
//! [`Config::brokers`], each has at most one stream. Who has streams of his own can feed it broker by broker instead
//! ([`broker_order`](Rendezvous::broker_order) says what is to be done).

mod budget;
mod clock;
mod hello;
mod incoming;
mod kept;
mod legacy;
mod machine;
mod outgoing;
mod peer;
mod peers;
mod pins;
mod plain;
#[cfg(feature = "std")]
mod requests;
mod streams;
mod tell;

pub use legacy::Legacy;
pub use machine::Rendezvous;
#[cfg(feature = "std")]
pub use requests::{Pipe, PipeError, Signalling};

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use sluis_core::identity::{self, Signer};
use sluis_core::time::Duration;
use sluis_core::{Did, Security};

use crate::broker::{Left, Settings};
use crate::delivery::{InboxLimits, SenderLimits};
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
    /// How many of them, from the front, are the pool. Those behind are only used for peers of whom a [hint](Rendezvous::hint) says so.
    pub pool: usize,
    /// How many of each family are joined for good.
    pub join: usize,
    /// Peers that are known at once.
    pub peers: usize,
    /// By which name peers know us, besides the key.
    pub name: Option<Named>,
    /// What is held for one peer that is sent to.
    pub sender: SenderLimits,
    /// What is held of what came.
    pub inbox: InboxLimits,
    /// With whom messages in the clear are exchanged.
    pub legacy: Legacy,
    /// Take messages in the clear that were stamped before we started, or before what is kept was begun: they may be replays of what was
    /// handed over then.
    pub accept_older: bool,
    /// What must survive a restart goes to the store of the driver first. Without a store, nothing is handed over then.
    pub keeps: bool,
    /// Of what was kept, where peers were heard within the last hour is where they are looked for first.
    pub cache: bool,
}

impl Config {
    /// With the defaults for everything but who we are and where.
    #[must_use]
    pub fn new(key: SecretKey, brokers: Vec<Place>) -> Self {
        Self {
            key,
            brokers,
            pool: usize::MAX,
            join: 10,
            peers: 4096,
            name: None,
            sender: SenderLimits::default(),
            inbox: InboxLimits::default(),
            legacy: Legacy::Nobody,
            accept_older: false,
            keeps: false,
            cache: false,
        }
    }
}

/// A name for our key: a DID, and who signs for it. Peers hear it sealed, and only those with whom we have a session.
#[derive(Clone)]
pub struct Named {
    did: Did,
    signer: Arc<dyn Signer + Send + Sync>,
}

impl Named {
    /// `signer` has the Ed25519 key by which others know the DID.
    #[must_use]
    pub fn new(did: Did, signer: impl Signer + Send + Sync + 'static) -> Self {
        Self { did, signer: Arc::new(signer) }
    }

    fn did(&self) -> &str {
        self.did.as_str()
    }

    fn signer(&self) -> &dyn Signer {
        &*self.signer
    }
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Named({})", self.did)
    }
}

/// The name that a peer goes by: it has shown, in a session of its secp256k1 key, that it holds the key which signs for this DID. That the key
/// is the DID's own is not shown by it: that is for a pin to say, as at an [airlock](sluis_core::airlock).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerName {
    /// The DID.
    pub did: Arc<str>,
    /// The key.
    pub key: identity::PublicKey,
}

/// Which message of which sender: what is [confirmed](Rendezvous::confirm). Shown, it is the same for every copy of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageKey {
    /// One that came sealed.
    Sealed {
        /// Who sent it.
        from: PublicKey,
        /// The sender's, from its start on.
        epoch: u64,
        /// Within the epoch.
        number: u64,
    },
    /// One that came in the clear.
    Plain {
        /// Who signed it.
        from: PublicKey,
        /// The sender's.
        queue: [u8; 32],
        /// Within the queue.
        seq: u32,
    },
}

impl MessageKey {
    /// Who sent it.
    #[must_use]
    pub const fn from(&self) -> PublicKey {
        match self {
            Self::Sealed { from, .. } | Self::Plain { from, .. } => *from,
        }
    }

    /// Whether it came sealed.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        matches!(self, Self::Sealed { .. })
    }
}

impl fmt::Display for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sealed { epoch, number, .. } => write!(f, "{epoch:016x}-{number}"),
            Self::Plain { queue, seq, .. } => {
                queue.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                write!(f, "-{seq}")
            }
        }
    }
}

/// A message, to be [confirmed](Rendezvous::confirm).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Which one, and who sent it.
    pub key: MessageKey,
    /// Who its sender has proven to be, where it came sealed and its sender has a name. One that overtakes the name of a peer that we greeted
    /// has none.
    pub name: Option<PeerName>,
    /// When it was sent, in milliseconds since 1970 by the sender's clock. (In the clear: whole seconds, of the copy that came first.)
    pub said: u64,
    /// Over which broker it came first.
    pub broker: usize,
    /// What is said.
    pub body: Vec<u8>,
}

/// How a message arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// From the call to the acknowledgement.
    pub after: Duration,
    /// Over which broker that came.
    pub broker: usize,
    /// Nobody on the way read it.
    pub sealed: bool,
    /// The peer runs the reference, and was sent the same letters within four minutes: it may have acknowledged the message and thrown it away.
    pub maybe_dropped: bool,
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
    Message(Message),
    /// A send has come to its end.
    Sent {
        /// To whom.
        to: PublicKey,
        /// What [`Rendezvous::send`] said.
        number: u64,
        /// How it arrived, or why it is not known to have.
        outcome: Result<Delivered, NotDelivered>,
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
    /// By the stamps of peers our wall clock is off. Told when that is found, and again when it has changed.
    Clock {
        /// By how many seconds it is ahead; negative: behind.
        ahead: i64,
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
    /// The peer runs the reference, which cannot read what is sealed, and [`Legacy`] does not let us speak in the clear to it.
    #[error("the peer reads only what is in the clear, and that is not allowed")]
    Refused,
    /// The peer runs the reference, which would mangle it: it is not UTF-8.
    #[error("the peer takes text only, and would lose the bytes that are none")]
    Mangled,
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
    /// A name that is not proven. What comes in the session is taken without it.
    Name,
}

impl Turned {
    /// How many reasons there are.
    pub const COUNT: usize = 8;

    /// Every reason, in declaration order.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Unverified, Self::Session, Self::Time, Self::Budget, Self::Plain, Self::Busy, Self::Unasked, Self::Name];

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
            Self::Name => "name",
        }
    }
}
