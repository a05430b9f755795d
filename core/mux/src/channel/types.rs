//! What is said of a channel: names, states, faults, news.

use alloc::string::String;
use core::fmt;

use sluis_core::identity::{PublicKey, SignError, Signer};

use super::opening::Bad;
use super::record::MAX_MESSAGE;
use crate::proof::{BYTES, Direction, JSON};

/// Longest reason for closing or refusing in bytes.
pub const MAX_REASON: usize = 256;

/// The name of a channel: 16 random bytes, chosen by whoever opens it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub [u8; 16]);

impl fmt::Debug for Own<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signer = self.signer.map(Signer::public);
        f.debug_struct("Own").field("signer", &signer).field("pinned", &self.pinned).finish()
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ch-")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which end of a channel this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It opened the channel.
    Opener,
    /// The channel was opened to it.
    Target,
}

impl Side {
    pub(super) const fn sends(self) -> Direction {
        match self {
            Self::Opener => Direction::Out,
            Self::Target => Direction::Back,
        }
    }

    pub(super) const fn hears(self) -> Direction {
        match self {
            Self::Opener => Direction::Back,
            Self::Target => Direction::Out,
        }
    }
}

/// How far a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// OPEN is not answered.
    Opening,
    /// Both ends may send.
    Open,
    /// One end has sent its last message.
    HalfClosed,
    /// Its stream is gone; it goes on with another one, or ends.
    Parked,
    /// It is over.
    Closed,
}

/// What is known of who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing: one end has no key, or is on no native connection. Whoever carries the channel can change it: each connection on the way is
    /// protected by itself alone.
    None,
    /// The other end signed with a key that nobody had named before: it stays the same, whoever it is.
    Unpinned(PublicKey),
    /// The other end signed with the key that is known to be its own.
    Pinned(PublicKey),
}

impl Proof {
    /// Its name in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "hop",
            Self::Unpinned(_) => "unpinned",
            Self::Pinned(_) => "end",
        }
    }
}

/// Why a channel is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// What came is no record of this protocol, or not in this place.
    #[error("what came is not what the protocol allows")]
    Malformed,
    /// A message, an acknowledgement or the opening is not what the other end made: altered, dropped, repeated or moved on the way.
    #[error("it was tampered with on the way")]
    Tampered,
    /// The other end has another key than the one that is known to be its own.
    #[error("the other end has another key than the one that is pinned to its name")]
    Unpinned,
    /// A key is pinned to the other end's name, and nothing is signed with it: it is on no native connection right now, or somebody took
    /// the signatures away.
    #[error("the other end proves nothing, and a key is pinned to its name")]
    Unproven,
    /// Our own signer does not sign.
    #[error("our own key does not sign")]
    Signer,
}

impl From<Bad> for Fault {
    fn from(bad: Bad) -> Self {
        match bad {
            Bad::Malformed => Self::Malformed,
            Bad::Signature => Self::Tampered,
        }
    }
}

impl From<SignError> for Fault {
    fn from(_: SignError) -> Self {
        Self::Signer
    }
}

/// Why a message is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Too much waits for its acknowledgement: later.
    #[error("too much waits for its acknowledgement")]
    Full,
    /// Longer than [`MAX_MESSAGE`].
    #[error("a message has at most {MAX_MESSAGE} bytes")]
    TooLong,
    /// Not JSON.
    #[error("the message is not JSON")]
    NotJson,
    /// Nothing more can be sent on it.
    #[error("the channel is closed")]
    Closed,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JSON text.
    Json,
    /// Any bytes.
    Bytes,
}

impl Kind {
    pub(super) const fn record(self) -> u8 {
        match self {
            Self::Json => JSON,
            Self::Bytes => BYTES,
        }
    }
}

/// What a channel tells its application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is open.
    Opened(Proof),
    /// The other end, or the hub, does not want it.
    Refused(String),
    /// A message: its number. [`Channel::message`](super::Channel::message) is its body, until the next call.
    Message(u64, Kind),
    /// The other end's application took all messages up to this one. There is room again, where `room`.
    Acked {
        /// The number of the last.
        upto: u64,
        /// A send that was [`Full`](SendError::Full) can be tried again.
        room: bool,
    },
    /// The other end has signed for all messages up to this one.
    Signed(u64),
    /// It goes on after its connection was lost.
    Resumed,
    /// It cannot go on yet: the other end is not there.
    Away,
    /// The other end has sent its last message, for this reason.
    Finished(String),
}

/// Who we are at one end of a channel, and whom we expect at the other one.
#[derive(Clone, Copy)]
pub struct Own<'a> {
    /// What we sign with; without one nothing is proven.
    pub signer: Option<&'a dyn Signer>,
    /// The key that the other end has, where that is known: it has to be shown.
    pub pinned: Option<PublicKey>,
}
