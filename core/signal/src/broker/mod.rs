//! One broker as a machine: it joins, stays joined, and goes on trying for ever.
//!
//! ```text
//! Resting(until) → Dialling → Connecting → Subscribing → Joined → Closing
//!       ↑______________|___________|____________|___________|        |
//!       |_____________________________________________________ closed for good
//! ```
//!
//! - **Joined** only after CONNACK 0 *and* a SUBACK that grants quality 1 for our topic; it subscribes anew on every connection, under
//!   a fresh random client id each time, with a clean session.
//! - **A dead broker is noticed**: PINGREQ after 10 s without a packet in one of the directions, dead when nothing comes for 10 s more. After
//!   a gap in time (the machine slept), PINGREQ at once, and three round trips to answer. So is one that acknowledges nothing for 20 s.
//! - **No storms, no defeated back-off**: full jitter up to 1, 2, 4 … 60 s, back to the first step only after 30 s joined. Who loses a
//!   joined broker while others are up waits up to 10 s, and tries again at any moment of the next 10, later of as long as the step is: so a
//!   broker that was away for whatever time is not met by everybody within a second. Who loses the others, too, or has no answer of a peer that
//!   was heard before, tries within a second, once in five seconds at most.
//! - **Publishing never blocks**: it takes a packet into a bounded queue, or says that it does not. They leave at the pace that the
//!   broker allows. What is no longer wanted is [taken back](Broker::cancel), also after it was queued.
//! - **Bounded**: queue, packets in flight, acknowledgements to be written, the length of what is read.
//!
//! A PUBACK says that the broker has the message, not that anybody hears it. What a broken connection had queued is gone with it: whoever
//! sent it sends again, end to end.
//!
//! The machine has the shape of one connection of a stream machine: [`poll_order`](Broker::poll_order) says what to dial or to end,
//! bytes go in and out by prefix, and `now` comes with every call.

mod backoff;
mod link;
mod machine;
mod outbox;

pub(crate) use backoff::jitter;
pub use machine::{Broker, Counts, Event, Order};

use alloc::string::String;
use core::time::Duration;

use zeroize::Zeroizing;

use crate::mqtt::DecodeError;

/// What a broker is told and allowed.
#[derive(Clone)]
pub struct Settings {
    /// Who we are there; without it anonymous.
    pub user: Option<String>,
    /// And how we show that. Needs a user.
    pub password: Option<Zeroizing<String>>,
    /// Publishes a second that it takes from us, after a burst.
    pub rate: u32,
    /// How many at once.
    pub burst: u32,
    /// How long dialling may take, and then each of CONNACK and SUBACK.
    pub patience: Duration,
    /// Silence after which the broker is asked whether it is there, and after which it is not. Its own limit is half as long again.
    pub keep_alive: Duration,
    /// The longest packet that is taken, in bytes.
    pub max_packet: usize,
    /// The most packets that wait to be written.
    pub max_queue: usize,
    /// The most bytes of payload that wait to be written.
    pub max_queue_bytes: usize,
    /// The most packets that the broker has not acknowledged.
    pub max_in_flight: usize,
}

impl Default for Settings {
    /// A broker with a public address: 20 publishes a second, 50 at once.
    fn default() -> Self {
        Self {
            user: None,
            password: None,
            rate: 20,
            burst: 50,
            patience: Duration::from_secs(5),
            keep_alive: Duration::from_secs(10),
            max_packet: crate::mqtt::MAX_PACKET,
            max_queue: 1024,
            max_queue_bytes: 512 * 1024,
            max_in_flight: 256,
        }
    }
}

impl core::fmt::Debug for Settings {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Settings(user {:?}, {} publishes a second, burst {})", self.user, self.rate, self.burst)
    }
}

/// Why a connection to a broker is no more. All of them cost back-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Left {
    /// It could not be dialled.
    #[error("it cannot be reached")]
    Unreachable,
    /// TLS with it fails, or its certificate is not believed.
    #[error("TLS with it fails, or its certificate is not trusted")]
    Untrusted,
    /// Dialling took too long.
    #[error("it cannot be reached in time")]
    DialTimeout,
    /// It does not let us in: CONNACK with this code (1 version, 2 client id, 3 unavailable, 4 password, 5 not authorised).
    #[error("it refuses us with code {0}")]
    Refused(u8),
    /// No CONNACK in time.
    #[error("it does not answer")]
    NoConnAck,
    /// It does not let us hear our topic, or with another quality than 1.
    #[error("it refuses the subscription with code {0}")]
    SubscriptionRefused(u8),
    /// No SUBACK in time.
    #[error("it does not answer the subscription")]
    NoSubAck,
    /// Nothing came for too long.
    #[error("it is silent")]
    Silent,
    /// It does not acknowledge what it was sent.
    #[error("it does not acknowledge messages")]
    NoPubAck,
    /// The stream ended.
    #[error("it ended the connection")]
    Ended,
    /// The stream broke.
    #[error("the connection is lost")]
    Lost,
    /// It sent what is no MQTT.
    #[error("it sends {0}")]
    Malformed(DecodeError),
    /// It sent what a broker does not send, or not then.
    #[error("it sends what no broker sends")]
    Protocol,
    /// It was asked for.
    #[error("it was left")]
    Closed,
}

impl Left {
    /// The name in events and JSON: lower case with underscores.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Untrusted => "untrusted",
            Self::DialTimeout => "dial_timeout",
            Self::Refused(_) => "refused",
            Self::NoConnAck => "no_connack",
            Self::SubscriptionRefused(_) => "subscription_refused",
            Self::NoSubAck => "no_suback",
            Self::Silent => "silent",
            Self::NoPubAck => "no_puback",
            Self::Ended => "ended",
            Self::Lost => "lost",
            Self::Malformed(why) => why.name(),
            Self::Protocol => "protocol",
            Self::Closed => "closed",
        }
    }
}

/// How a stream came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was never up.
    Unreachable,
    /// The other side ended it.
    Ended,
    /// It broke.
    Lost,
    /// TLS did not come about, or with somebody who is not believed.
    Untrusted,
}

/// Why a packet was not taken to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Not joined: nothing is kept for later.
    #[error("the broker is not joined")]
    NotJoined,
    /// The queue is full.
    #[error("the queue of the broker is full")]
    Full,
    /// Longer than a packet may be.
    #[error("longer than a packet may be")]
    TooLong,
}
