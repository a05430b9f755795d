//! What the overlay tells: what others did here, and how operations of ours ended.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::airlock::SignedId;
use crate::discovery::TokenId;
use crate::identity::PublicKey;
use crate::node::PingError;
use crate::registry::{Address, MakeRecordError, ResolveError, Source};
use crate::time::{Duration, Wall};
use crate::{DidError, Path, table};

/// Names an operation of ours. Never names another one later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperationId(pub(super) table::SlotId);

impl OperationId {
    /// From the bits in a recording.
    #[cfg(feature = "record")]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(table::SlotId::from_bits(bits))
    }

    /// As a recording writes it.
    #[cfg(feature = "record")]
    pub(crate) const fn to_bits(self) -> u64 {
        self.0.to_bits()
    }
}

/// Something that others did at this node.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum OverlayNews {
    /// A record of a device was taken in, and is kept.
    Registered {
        /// The device.
        did: Box<str>,
        /// Where it says that it is: its best endpoint.
        endpoint: Option<Box<str>>,
        /// The number of the record.
        seq: u64,
        /// Until when it holds: seconds since the Unix epoch.
        expires: u64,
        /// Where it was heard from.
        from: Path,
    },
    /// A device is elsewhere, by its own signed word.
    Moved {
        /// The device.
        did: Box<str>,
        /// Where it was.
        from: Option<Box<str>>,
        /// Where it is.
        to: Option<Box<str>>,
    },
    /// A device joined by a token: its key is pinned, and it is trusted.
    Joined {
        /// The device.
        did: Box<str>,
        /// Its key.
        key: PublicKey,
        /// The token.
        token: TokenId,
        /// How far it is trusted.
        trust: f64,
    },
    /// A device that registered here was challenged at its endpoint.
    Verified {
        /// The device.
        did: Box<str>,
        /// The key that was asked for.
        key: PublicKey,
        /// Where.
        path: Path,
        /// How long the answer took; `None`: none came, or a wrong one.
        took: Option<Duration>,
        /// Its score now, where it is registered.
        score: Option<f64>,
    },
    /// A signed vouch counts from now on.
    Vouched {
        /// Its id.
        id: SignedId,
        /// Who vouches.
        voucher: Box<str>,
        /// For whom.
        named: Vec<Box<str>>,
        /// Until when: seconds since the Unix epoch.
        expires: u64,
    },
    /// A signed vouch was revoked by who gave it.
    VouchRevoked {
        /// Its id.
        id: SignedId,
    },
}

/// What was found out about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The name.
    pub did: Box<str>,
    /// Where it is: `HOST:PORT`.
    pub endpoint: Box<str>,
    /// From where that is known.
    pub source: Source,
    /// The number of the record that says so; `None`: no record does.
    pub seq: Option<u64>,
    /// The key that speaks for the name, where one is known.
    pub key: Option<PublicKey>,
    /// When the record was heard.
    pub heard: Option<Wall>,
}

impl Resolution {
    /// The endpoint, taken apart.
    #[must_use]
    pub fn address(&self) -> Option<Address<'_>> {
        Address::parse(&self.endpoint).ok()
    }
}

/// A device that was found by what it can do. Its record bears the signature of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundDevice {
    /// Its name.
    pub did: Box<str>,
    /// Its key.
    pub key: PublicKey,
    /// Whether that key is known to be the one of this name: pinned to it, or bound to it in our registry.
    pub bound: bool,
    /// Its best endpoint.
    pub endpoint: Option<Box<str>>,
    /// What it can do.
    pub capabilities: Vec<Box<str>>,
    /// The number of its record.
    pub seq: u64,
    /// Until when its record holds: seconds since the Unix epoch.
    pub expires: u64,
}

/// What an operation of ours came to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum OperationOutcome {
    /// A registry keeps our record.
    Registered {
        /// Where it says that we are.
        endpoint: Option<Box<str>>,
        /// Its number.
        seq: u64,
        /// Until when it holds: seconds since the Unix epoch.
        expires: u64,
    },
    /// A name was found.
    Resolved(Resolution),
    /// A name was found, and its key answered there.
    Reached {
        /// What is known of it.
        resolution: Resolution,
        /// Where it is.
        path: Path,
        /// How long its answer took.
        took: Duration,
    },
    /// Devices that can do what was asked for.
    Found(Vec<FoundDevice>),
    /// A key answered a challenge.
    Verified {
        /// Whose.
        did: Box<str>,
        /// The key.
        key: PublicKey,
        /// Where.
        path: Path,
        /// How long its answer took.
        took: Duration,
        /// Its score now, where it is registered here.
        score: Option<f64>,
    },
    /// We were let in: the hub's key is pinned, it is trusted, and its peers are known.
    Joined {
        /// The hub.
        hub: Box<str>,
        /// Its key.
        key: PublicKey,
        /// How far it trusts us.
        trust: f64,
        /// How many devices it named.
        peers: usize,
    },
}

/// Why an operation of ours came to nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OperationError {
    /// Nobody knows the name.
    #[error("nobody knows where this name is")]
    Unknown,
    /// No answer came in time.
    #[error("no answer came in time")]
    Timeout,
    /// There is no key to verify: none is pinned to the name, and no record of it is known.
    #[error("no key of this name is known: pin one, or have the device registered")]
    NoKey,
    /// A registry is to be asked, and nothing that it says could be believed: the text is its name.
    #[error("no key is pinned to {0}, so anybody could answer in its place: pin its key")]
    Unpinned(Box<str>),
    /// Answers came, and nothing shows that they are from who was asked, or what they say is from whom it is about: they are not signed, or not by the key of that name.
    #[error("what came in answer is not signed by the key of who was asked, or of who it is about")]
    Unproven,
    /// Who answered there does not have the key.
    #[error("who answered there does not have the key of this name")]
    Failed,
    /// The endpoint is a host name: it has to be looked up, and the address named.
    #[error("the endpoint {0} is a host name, which has to be looked up")]
    HostName(Box<str>),
    /// The other side refused, in these words.
    #[error("refused: {0}")]
    Refused(Box<str>),
    /// The other side does not do this: it is no registry, or knows no such request.
    #[error("the other side does not answer requests of this kind")]
    NotServed,
    /// The hub does not know the token, or is not who it says.
    #[error("the token is worth nothing there: it was used, is over, was revoked, or is another hub's")]
    Token,
    /// Nobody answered who wanted to join: a hub says nothing to who does not name a token that lets somebody in.
    #[error(
        "no answer came in time: no hub is at that address, it does not know the token (used up, over, revoked, another hub's), keeps this name out, or the clocks differ"
    )]
    NotLetIn,
    /// A record of our own cannot be made.
    #[error(transparent)]
    Record(#[from] MakeRecordError),
    /// A ping cannot be sent.
    #[error(transparent)]
    Ping(#[from] PingError),
    /// Something of what was learned cannot be kept.
    #[error("what was learned cannot be kept: {0}")]
    Keep(Box<str>),
}

/// Why an operation does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OverlayError {
    /// The node has no overlay.
    #[error("the node was made without an overlay")]
    Off,
    /// The node has no key to sign with.
    #[error("this takes a key of our own to sign with")]
    NoIdentity,
    /// As many are under way as may be.
    #[error("too many operations are under way")]
    Busy,
    /// A name cannot be one.
    #[error(transparent)]
    Did(#[from] DidError),
    /// A capability cannot be one.
    #[error("a capability has 1 to 64 bytes, no control characters, and no blanks at its ends")]
    Capability,
    /// Endpoints that the operator names.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The node says of itself what no record can say.
    #[error(transparent)]
    Profile(#[from] MakeRecordError),
    /// As many registries are asked as may be.
    #[error("{0} registries are asked already, the most that the configuration allows")]
    TooManyServers(usize),
    /// There are changes enough that wait for the store.
    #[error("the store is behind, try again")]
    Store,
}
