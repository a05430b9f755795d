//! What a node is told once, at birth.

use alloc::boxed::Box;

use super::OverlayConfig;
use super::identity::{Identity, Require};
use crate::Did;
use crate::airlock::{GateConfig, GateError, Rank, ReplayConfig, TrustConfig, VouchConfig};
use crate::framing::Encoding;
use crate::pins::PinConfig;
use crate::relay::RelayConfig;
use crate::session::{self, Suites};
use crate::time::{Duration, Wall};

/// What goes through encrypted sessions ([`session`]).
///
/// To a name with a pinned key nothing unsigned ever goes, whatever this says, and no answer counts that neither the pinned key signed nor a session with it brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum SessionPolicy {
    /// Nothing, and none are answered.
    #[default]
    Off,
    /// Pings to names with a pinned key, answers to what came through a session, and heartbeats where there is one. The first ping begins the session.
    ///
    /// Where nobody answers the handshake for three seconds (or a third of the ping's timeout, if that is less), the ping goes out signed instead, and so do the next ones,
    /// while a session is tried again once a minute. Never once there was a session with the pinned key in the life of this node: then a ping without a session is lost.
    /// To names without a pinned key pings go as without sessions, unless there is a session at the address that is pinged.
    Auto,
    /// Every ping: a session is begun also where no key is pinned, with whoever answers under that name. Nothing falls back; what
    /// has no session is not sent. Who is listened to [`Require::Session`] says.
    Require,
}

/// Settings of a [`Node`](super::Node). Start from [`NodeConfig::new`] and change what differs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeConfig {
    /// The node's own name.
    pub did: Did,
    /// Thresholds of the airlock.
    pub gate: GateConfig,
    /// Bounds of the trust table.
    pub trust: TrustConfig,
    /// Bounds of the vouch registry.
    pub vouches: VouchConfig,
    /// Bounds of the table of pinned keys.
    pub pins: PinConfig,
    /// The key that the node signs with: every ping, answer and heartbeat. `None` by default: what it sends is unsigned, as the reference's.
    pub identity: Option<Identity>,
    /// What others have to prove before they are listened to at all: nothing.
    pub require: Require,
    /// What goes through encrypted sessions: nothing. Anything else needs an identity with a static key, as one made from a [`SecretKey`](crate::identity::SecretKey) has.
    pub sessions: SessionPolicy,
    /// Which suites sessions may be in: any, the better one first. So between two nodes that leave this as it is, what is said stays closed to who records it now and breaks
    /// X25519 later; the first ping then takes a round trip more than with [`Suites::One`], whose first message carries it.
    pub suites: Suites,
    /// Bounds of sessions and handshakes.
    pub session_caps: session::Caps,
    /// Whether changes of what is kept are given out to a store ([`Durable`](crate::Durable)), and acknowledged only once they are there: off. Packets are among what
    /// waits for that, so a node with this and without a store admits none.
    pub durable: bool,
    /// What the node does in the overlay, in which devices are found by name: nothing, `None`.
    pub overlay: Option<Box<OverlayConfig>>,
    /// How the node relays for others: not at all, `None`.
    pub relay: Option<Box<RelayConfig>>,
    /// The replay window.
    pub replay: ReplayConfig,
    /// Packets stamped before this are [`Stale`](crate::Reject::Stale). `None` by default: a node that starts remembers nothing, so
    /// what was sent to it in the last 30 seconds could be replayed once. Setting the time of starting leaves of that only what
    /// was stamped ahead of our clock, by [`ReplayConfig::skew`] at most; without kept state that could only be closed by taking
    /// nothing at all for as long. It refuses for a while what comes from clocks that are behind.
    pub not_before: Option<Wall>,
    /// With what a store kept, packets stamped up to so long before its replay floor are taken, too, so that what was sent to this node in that time may be replayed to it
    /// once. Zero by default: nothing that was taken in before a restart is taken in after it, whatever the wall clock shows.
    pub accept_older: Duration,
    /// How long a request waits for its first answer: 10 s. [`Ping::timeout`](super::Ping::timeout) overrides it.
    pub request_timeout: Duration,
    /// How long a request stays open for the decision after a `pending` answer: 300 s.
    pub decision_timeout: Duration,
    /// How long the application may take to answer an accepted ping with [`Reply::Later`](super::Reply::Later): 10 s.
    pub answer_timeout: Duration,
    /// How long a ping waits in the waiting room: 300 s.
    pub waiting_expiry: Duration,
    /// How often every proven peer hears from us: 30 s. `None`: never.
    pub heartbeat: Option<Duration>,
    /// Whether heartbeats that are taken are events too: off, since most applications have no use for them.
    pub tell_heartbeats: bool,
    /// Whether the name and the address of the last sender that was ROOD are kept, see
    /// [`Node::last_rood`](super::Node::last_rood): off. One entry of at most 514 bytes, for an operator who wonders whom silence met.
    pub keep_last_rood: bool,
    /// How our heartbeats are written.
    pub heartbeat_encoding: Encoding,
    /// How often stale peers are removed: 45 s.
    pub peer_cleanup: Duration,
    /// How long a peer may be silent before it counts as stale: 90 s, the reference's default.
    pub peer_stale: Duration,
    /// Upper bounds of every table and queue.
    pub caps: Caps,
}

impl NodeConfig {
    /// The defaults that `docs/design.md` lists.
    #[must_use]
    pub fn new(did: Did) -> Self {
        Self {
            did,
            gate: GateConfig::default(),
            trust: TrustConfig::default(),
            vouches: VouchConfig::default(),
            pins: PinConfig::default(),
            identity: None,
            require: Require::default(),
            sessions: SessionPolicy::Off,
            suites: Suites::Any,
            session_caps: session::Caps::default(),
            durable: false,
            overlay: None,
            relay: None,
            replay: ReplayConfig::default(),
            not_before: None,
            accept_older: Duration::ZERO,
            request_timeout: Duration::from_secs(10),
            decision_timeout: Duration::from_secs(300),
            answer_timeout: Duration::from_secs(10),
            waiting_expiry: Duration::from_secs(300),
            heartbeat: Some(Duration::from_secs(30)),
            tell_heartbeats: false,
            keep_last_rood: false,
            heartbeat_encoding: Encoding::Json,
            peer_cleanup: Duration::from_secs(45),
            peer_stale: Duration::from_secs(90),
            caps: Caps::default(),
        }
    }
}

impl NodeConfig {
    /// Whether a node can work with this; [`Node::new`](super::Node::new) asks.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.gate.check()?;
        for (field, interval) in [("heartbeat", self.heartbeat), ("peer_cleanup", Some(self.peer_cleanup))] {
            if interval.is_some_and(|interval| interval < MIN_INTERVAL) {
                return Err(ConfigError::Interval { field });
            }
        }
        let capable = self.identity.as_ref().is_some_and(Identity::has_static);
        if self.sessions != SessionPolicy::Off && !capable {
            return Err(ConfigError::NoStaticKey);
        }
        if self.sessions == SessionPolicy::Off && self.require >= Require::Session {
            return Err(ConfigError::SessionsOff);
        }
        let caps = &self.caps;
        for (field, value, least) in [
            ("peers", caps.peers as usize, 1),
            ("waiting", caps.waiting as usize, 1),
            ("waiting_per_sender", caps.waiting_per_sender as usize, 1),
            ("waiting_per_name", caps.waiting_per_name as usize, 1),
            ("waiting_per_address", caps.waiting_per_address as usize, 1),
            ("open", caps.open as usize, 1),
            ("open_per_address", caps.open_per_address as usize, 1),
            ("requests", caps.requests as usize, 1),
            ("events", caps.events as usize, MIN_EVENTS),
            ("event_bytes", caps.event_bytes, MIN_BYTES),
            ("transmits", caps.transmits as usize, 1),
            ("transmit_bytes", caps.transmit_bytes, MIN_BYTES),
        ] {
            if value < least {
                return Err(ConfigError::TooSmall { field, least });
            }
        }
        Ok(())
    }
}

/// Shorter intervals would be all that the node is busy with.
const MIN_INTERVAL: Duration = Duration::from_millis(1);
/// A ping from somebody new can bring three events: it, its peer, and the peer that made room.
const MIN_EVENTS: usize = 3;
/// Room for the smallest packets and answers in every encoding.
const MIN_BYTES: usize = 2048;

/// Why a configuration makes no working node.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The thresholds of the gate make no sense.
    #[error("{0}")]
    Gate(#[from] GateError),
    /// Sessions without a key to make them with.
    #[error("sessions need an identity with a static key, such as one made from a secret key")]
    NoStaticKey,
    /// Only what comes through a session is to be heard, and there are none.
    #[error("nothing can be heard: a session is required of others, and sessions are off")]
    SessionsOff,
    /// The bounds of sessions.
    #[error(transparent)]
    Sessions(#[from] session::ConfigError),
    /// A bound under which nothing works.
    #[error("caps.{field} must be at least {least}")]
    TooSmall {
        /// The field of [`Caps`].
        field: &'static str,
        /// The least that works.
        least: usize,
    },
    /// An interval that is next to nothing.
    #[error("{field} must be at least a millisecond")]
    Interval {
        /// The field of [`NodeConfig`].
        field: &'static str,
    },
}

/// Upper bounds. Every table starts empty, grows with use and never passes its bound.
///
/// Of what pings of others fill (peers, waiting and open pings, senders in the replay window, events, datagrams to be sent) an
/// eighth is kept for senders that the operator trusts by name and for addresses that have proven themselves, and half of that
/// for the latter alone: whatever names are written from unproven addresses, they share the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caps {
    /// Peers: 65,536.
    pub peers: u32,
    /// Bytes of peers, names included: 32 MiB.
    pub peer_bytes: usize,
    /// Pings that wait for a decision: 1,024.
    pub waiting: u32,
    /// Of those, from one sender at one address: 64.
    pub waiting_per_sender: u32,
    /// Of those, in one name from all its addresses that have not proven themselves: 128. What is over half of that takes a
    /// stranger's place, and makes way for who is better known; and the address that has most of them makes way for another.
    pub waiting_per_name: u32,
    /// Of those, from one address that has not proven itself (of IPv6: a network of 64 bits), whatever names it gives: 128.
    pub waiting_per_address: u32,
    /// Accepted pings that wait for the application's answer: 4,096.
    pub open: u32,
    /// Of those, from one address that has not proven itself: 1,024.
    pub open_per_address: u32,
    /// Requests of ours that wait for an answer: 4,096.
    pub requests: u32,
    /// Events that wait to be polled: 4,096.
    pub events: u32,
    /// Bytes of those events: 4 MiB.
    pub event_bytes: usize,
    /// Datagrams that wait to be sent: 4,096.
    pub transmits: u32,
    /// Bytes of those datagrams: 4 MiB.
    pub transmit_bytes: usize,
    /// Reply rules: 1,024.
    pub replies: u32,
    /// Bytes of those rules: 4 MiB.
    pub reply_bytes: usize,
    /// Signatures of addresses that have not proven themselves that are verified in a second: 5,000. What comes beyond is
    /// [`Busy`](crate::Reject::Busy). A relay verifies as many more for its neighbours.
    pub verifications: u32,
    /// Names whose keys are pinned at first sight in a minute, where that is [allowed](super::Node::trust_first_use): 60. Who comes beyond is judged as before.
    pub first_uses: u32,
    /// Changes of what is kept that wait for the store: 256.
    pub changes: u32,
}

impl Caps {
    /// How much of a table of this size senders of this rank may not take.
    pub(super) const fn reserved(size: usize, rank: Rank) -> usize {
        match rank {
            Rank::Stranger => size / 8,
            Rank::Trusted => size / 16,
            Rank::Proven => 0,
        }
    }

    /// No bounds worth the name.
    pub(super) const fn none() -> Self {
        Self {
            peers: u32::MAX - 1,
            peer_bytes: usize::MAX / 2,
            waiting: u32::MAX - 1,
            waiting_per_sender: u32::MAX,
            waiting_per_name: u32::MAX,
            waiting_per_address: u32::MAX,
            open: u32::MAX - 1,
            open_per_address: u32::MAX,
            requests: u32::MAX - 1,
            events: u32::MAX,
            event_bytes: usize::MAX / 2,
            transmits: u32::MAX,
            transmit_bytes: usize::MAX / 2,
            replies: u32::MAX,
            reply_bytes: usize::MAX / 2,
            verifications: u32::MAX,
            first_uses: u32::MAX,
            changes: u32::MAX,
        }
    }
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            peers: 65_536,
            peer_bytes: 32 << 20,
            waiting: 1_024,
            waiting_per_sender: 64,
            waiting_per_name: 128,
            waiting_per_address: 128,
            open: 4_096,
            open_per_address: 1_024,
            requests: 4_096,
            events: 4_096,
            event_bytes: 4 << 20,
            transmits: 4_096,
            transmit_bytes: 4 << 20,
            replies: 1_024,
            reply_bytes: 4 << 20,
            verifications: 5_000,
            first_uses: 60,
            changes: 256,
        }
    }
}
