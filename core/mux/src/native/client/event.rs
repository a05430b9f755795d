//! What an agent on native connections is told.

use alloc::string::String;
use core::time::Duration;

use sluis_core::End;
use sluis_core::table::SlotId;

use crate::channel::{Fault, Kind, Opening, Proof};
use crate::session::SessionError;

/// Names a channel of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel(pub(super) SlotId);

/// Why no channel is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There are [`ClientConfig::max_channels`](super::ClientConfig::max_channels).
    #[error("there are as many channels as there may be")]
    Full,
    /// A name or an intent is too long, or the metadata is no object or too long.
    #[error("a name, the intent or the metadata is not what it may be")]
    Invalid,
    /// Our own key does not sign.
    #[error("our own key does not sign")]
    Signer,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lost {
    /// It did not come up, or broke.
    Connection(End),
    /// It ended because of what came, or because nothing did.
    Session(SessionError),
    /// The hub does not say what it must, or not in time.
    Greeting,
    /// The hub does not let this agent in.
    Refused,
}

/// What an application is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The hub has let us in. It calls itself so.
    Connected(&'a str),
    /// There is no connection; the next attempt comes after this time. Channels that were open wait for it.
    Disconnected(Lost, Duration),
    /// A channel is opened to us: [accept](super::Client::accept) or [refuse](super::Client::refuse) it.
    Incoming(Channel, &'a Opening, Proof),
    /// A channel that we opened is accepted.
    Opened(Channel, Proof),
    /// A channel that we opened is refused, for this reason. It is gone.
    Refused(Channel, String),
    /// A message: its number, kind and body. [`take`](super::Client::take) tells the sender that it was taken.
    Message(Channel, u64, Kind, &'a [u8]),
    /// All messages up to this one were taken by the application at the other end.
    Acked(Channel, u64),
    /// A send that was [`SendError::Full`](crate::channel::SendError::Full) can be tried again.
    Writable(Channel),
    /// The other end has signed for all messages up to this one.
    Signed(Channel, u64),
    /// The connection of a channel is gone; it waits.
    Parked(Channel),
    /// It goes on.
    Resumed(Channel),
    /// The other end sends no more, for this reason.
    Finished(Channel, String),
    /// Both ends are done, and have all of each other's messages. It is gone.
    Closed(Channel),
    /// What came was not what the other end sent or may send. It is gone.
    Broken(Channel, Fault),
    /// It was parked for too long. It is gone; so many messages of ours were not acknowledged.
    Abandoned(Channel, u64),
}
