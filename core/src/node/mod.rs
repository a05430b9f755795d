//! The datagram machine: a node that pings, and gates the pings of others.
//!
//! It composes the rooms below it ([`framing`](crate::framing), [`airlock`](crate::airlock)) and adds what ties them
//! together: requests and their answers, pings that wait for the application, peers, heartbeats. What it promises:
//!
//! * A ROOD sender gets no byte and leaves nothing but a counter (and, on request, the name of the last one).
//! * A ping is accepted only after room was found for its answer, its event and its table entries.
//! * A response is accepted only from whom and where it was asked; every request ends once.
//! * A waiting ping that is decided later is answered then: its sender gets a second response.
//! * An address that has not proven itself is sent at most three times the bytes that it sent.
//! * Every table and queue is bounded ([`Caps`]), and an accepted ping costs no allocation once they are warm.

mod answer;
mod asking;
mod command;
mod commands;
mod config;
mod deciding;
mod event;
mod events;
pub(crate) mod faults;
mod heap;
mod ids;
mod inbound;
mod inbox;
mod machine;
mod outbox;
mod peers;
mod ping;
mod policy;
#[cfg(feature = "sim")]
pub(crate) mod probe;
mod queue;
mod quota;
mod receive;
mod replies;
mod requests;
mod rood;
mod stats;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;

pub use command::{Command, CommandOutcome};
pub use config::{Caps, ConfigError, NodeConfig};
pub use event::{Answered, Decided, Event, OpenId, Outcome, Received, WaitId, Waiting};
pub use peers::{Peer, PeerLookup, Peers, Recorded};
pub use ping::{AnswerError, Ping, PingError, ReplyError};
#[cfg(feature = "record")]
pub use receive::Taken;
pub use replies::Reply;
pub use requests::RequestId;
pub use rood::{Rood, RoodBecause};
pub use stats::{Stats, Tables};

use self::events::Events;
use self::faults::Faults;
use self::inbound::Inbound;
use self::inbox::Inbox;
use self::outbox::Outbox;
use self::policy::Policy;
use self::requests::Requests;
use self::rood::LastRood;
use crate::airlock::ReplayWindow;
use crate::time::{Duration, Instant};
use crate::{Seed, SipKey};

/// A node. See the [module](self) for what it promises and [`Machine`](crate::Machine) for how to drive it.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    policy: Policy,
    state: State,
}

/// Everything in a node that changes with time and traffic.
#[derive(Debug)]
struct State {
    /// Hashes names, for every table that keeps anything under a name.
    names: SipKey,
    replay: ReplayWindow,
    peers: Peers,
    requests: Requests,
    inbox: Inbox,
    events: Events,
    outbox: Outbox,
    stats: Stats,
    /// Nothing, outside of a simulation.
    faults: Faults,
    /// The latest time that the node was told.
    now: Instant,
    decision_timeout: Duration,
    heartbeat: Round,
    /// Whether heartbeats that are taken are events.
    tell_heartbeats: bool,
    /// Who met silence last, where that is kept.
    last_rood: Option<Box<LastRood>>,
    cleanup: Cleanup,
    /// Keeps what the last event lends although its table entry is gone.
    lent: Lent,
}

/// What an event lends that is in no table any more.
#[derive(Debug)]
enum Lent {
    Nothing,
    Ping(Box<Inbound>),
    Peer(Box<str>),
}

/// Heartbeats: when the next round starts, and how many peers this round still has to reach.
#[derive(Debug)]
struct Round {
    interval: Option<Duration>,
    at: Option<Instant>,
    left: usize,
}

/// Removal of stale peers: when it is due, and whether it is going on.
#[derive(Debug)]
struct Cleanup {
    interval: Duration,
    at: Option<Instant>,
    running: bool,
}

impl State {
    fn schedule_heartbeat(&mut self, now: Instant) {
        if let (None, Some(interval)) = (self.heartbeat.at, self.heartbeat.interval) {
            self.heartbeat.at = Some(now + interval);
        }
    }

    fn schedule_cleanup(&mut self, now: Instant) {
        if self.cleanup.at.is_none() {
            self.cleanup.at = Some(now + self.cleanup.interval);
        }
    }
}

impl Node {
    /// A node that knows nobody. `seed` must come from the system and must not be used again.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(config: NodeConfig, seed: &Seed) -> Result<Self, ConfigError> {
        Self::with_faults(config, seed, Faults::default())
    }

    /// A node with a protection switched off: only a simulation gets here with one.
    pub(crate) fn with_faults(config: NodeConfig, seed: &Seed, faults: Faults) -> Result<Self, ConfigError> {
        config.check()?;
        let caps = if faults.no_table_cap() { Caps::none() } else { config.caps };
        // One key for every table of names, so that a name is hashed once a packet.
        let mut keys = seed.fork("node.keys");
        let names = keys.sip_key();
        let mut replay = ReplayWindow::new(config.replay, names.clone());
        if let Some(floor) = config.not_before {
            replay.raise_floor(floor);
        }
        Ok(Self {
            policy: Policy::new(&config, seed, &names)?,
            state: State {
                names: names.clone(),
                replay,
                peers: Peers::new(caps.peers, caps.peer_bytes, config.peer_stale, names.clone()),
                requests: Requests::new(caps.requests),
                inbox: Inbox::new(&caps, config.waiting_expiry, config.answer_timeout),
                events: Events::new(caps.events as usize, caps.event_bytes),
                outbox: Outbox::new(config.did.clone(), seed, &caps),
                stats: Stats::default(),
                faults,
                now: Instant::ZERO,
                decision_timeout: config.decision_timeout,
                heartbeat: Round { interval: config.heartbeat, at: None, left: 0 },
                tell_heartbeats: config.tell_heartbeats,
                last_rood: config.keep_last_rood.then(Box::default),
                cleanup: Cleanup { interval: config.peer_cleanup, at: None, running: false },
                lent: Lent::Nothing,
            },
            config,
        })
    }

    /// What is switched off.
    #[cfg(feature = "record")]
    pub(crate) const fn faults(&self) -> Faults {
        self.state.faults
    }
}
