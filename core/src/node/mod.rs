//! The datagram machine: a node that pings, and gates the pings of others.
//!
//! It composes the rooms below it ([`framing`](crate::framing), [`airlock`](crate::airlock)) and adds what ties them
//! together: requests and their answers, pings that wait for the application, peers, heartbeats. Each of these is a type with a state
//! of its own (`AdmissionControl`, `Client`, `Inbox`, `Peers`, `Events`, `Outbox`, `Links`, `Timers`, `Storing`); a node composes them and passes on between
//! them what comes in: a datagram is decoded once into an `Ingress`, a [`Command`] is all that an application may ask. What it promises:
//!
//! * A ROOD sender gets no byte and leaves nothing but a counter (and, on request, the name of the last one).
//! * A name with a [pinned](crate::pins) key is believed only where that key signed; pings, answers and heartbeats of a node with an
//!   [`Identity`] are signed. A statement that retires a key holds from the next packet on.
//! * Where [sessions](SessionPolicy) are on, pings to a name with a pinned key, their answers and heartbeats go encrypted, and cost no asymmetric
//!   operation once the session is up.
//! * What has to survive is given out to a store ([`Durable`](crate::Durable)) and acknowledged when it is there. Nothing that was admitted before a restart is admitted after
//!   it, whatever the wall clock shows: a packet waits until a mark that covers its stamp is stored, as long as anything can be.
//! * A ping is accepted only after room was found for its answer, its event and its table entries.
//! * A response is accepted only from whom and where it was asked; every request ends once.
//! * A waiting ping that is decided later is answered then: its sender gets a second response.
//! * An address that has not proven itself is sent at most three times the bytes that it sent.
//! * Over relays sessions go to a name with a pinned key as well: a relay reads nothing of them.
//! * Where it is told to [relay](NodeConfig::relay), it passes on what is for others, and their answers back.
//! * On the local network it calls, answers and is found, where it is told to [take part](Node::discover).
//! * Every table and queue is bounded ([`Caps`]), and an accepted ping costs no allocation once they are warm.

mod admission;
mod answers;
mod application;
mod bundle;
mod circuits;
mod client;
mod command;
mod config;
mod event;
mod events;
pub(crate) mod faults;
mod heap;
mod identity;
mod inbox;
mod ingress;
mod lan;
mod links;
mod machine;
mod operator;
mod outbox;
mod overlay;
mod peers;
mod ping;
mod policy;
#[cfg(feature = "sim")]
pub(crate) mod probe;
mod queue;
mod receive;
mod relay;
mod replies;
mod sealed;
mod silence;
mod stats;
mod storing;
#[cfg(test)]
mod tests;
mod timers;

use alloc::boxed::Box;

pub use admission::{Rood, RoodBecause};
pub use circuits::CIRCUIT;
pub use client::RequestId;
pub use command::{Command, CommandOutcome};
pub use config::{Caps, ConfigError, NodeConfig, SessionPolicy};
pub use event::{
    Answered, Auth, Decided, Event, OpenId, Outcome, Received, SessionChange, SessionState, WaitId, Waiting,
};
pub use identity::{Identity, Require};
pub use lan::{BeaconDecision, Called, Found, LanConfig, LanError, LanNews};
pub use overlay::{
    FIND, FoundDevice, JOIN, Operation, OperationError, OperationId, OperationOutcome, OverlayCommand, OverlayConfig,
    OverlayError, OverlayNews, Profile, REGISTER, RESOLVE, Resolution, RestoreOverlayError, TokenError, VERIFY, VOUCH,
    VouchRefusal,
};
pub use peers::{Peer, PeerLookup, Peers, Recorded};
pub use ping::{AnswerError, Ping, PingError, ReplyError};
pub use receive::STATEMENT;
#[cfg(feature = "record")]
pub use receive::Taken;
pub use relay::{PathHop, RESERVE, RelayCommand, RelayError, Reservation, Tampering, TraceNews};
pub use replies::Reply;
pub use stats::{Stats, Tables};
pub use storing::{Keeping, RestoreError};

use self::admission::AdmissionControl;
use self::circuits::Circuits;
use self::client::Client;
use self::events::Events;
use self::faults::Faults;
use self::inbox::{Inbound, Inbox};
use self::lan::Lan;
use self::links::Links;
use self::outbox::Outbox;
use self::overlay::Overlay;
use self::policy::Policy;
use self::relay::{Relaying, Reserving, Traces};
use self::stats::Traffic;
use self::storing::Storing;
use self::timers::Timers;
use crate::Seed;

/// A node. See the [module](self) for what it promises and [`Machine`](crate::Machine) for how to drive it.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    /// What the operator decided. Nothing in it changes when a packet arrives.
    policy: Policy,
    rooms: Rooms,
}

/// What changes with time and traffic, in rooms none of which sees the state of another. What is done here is to pass things on.
#[derive(Debug)]
struct Rooms {
    admission: AdmissionControl,
    peers: Peers,
    client: Client,
    inbox: Inbox,
    events: Events,
    outbox: Outbox,
    /// Nothing where sessions are off.
    links: Option<Box<Links>>,
    /// Nothing before the first session over relays.
    circuits: Option<Box<Circuits>>,
    /// Nothing where there are no networks to call on, and discovery is off.
    lan: Option<Box<Lan>>,
    /// Nothing where the overlay is off.
    overlay: Option<Box<Overlay>>,
    /// Nothing where the node is no relay.
    relaying: Option<Box<Relaying>>,
    /// Nothing where the node is reached over no relay.
    reserving: Option<Box<Reserving>>,
    /// Nothing before the first trace.
    traces: Option<Box<Traces>>,
    timers: Timers,
    storing: Storing,
    traffic: Traffic,
    /// Whether heartbeats that are taken are events.
    tell_heartbeats: bool,
    /// Keeps what the last event lends although its table entry is gone.
    lent: Lent,
}

/// What an event lends that is in no table any more.
#[derive(Debug)]
enum Lent {
    Nothing,
    Ping(Box<Inbound>),
    Peer(Box<str>),
    Lan(Box<LanNews>),
    News(Box<OverlayNews>),
    Trace(Box<TraceNews>),
    Reservation(Box<Reservation>),
    Ended(Box<(OperationId, Result<OperationOutcome, OperationError>)>),
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
        let names = seed.fork("node.keys").sip_key();
        let mut starts = (config.sessions != SessionPolicy::Off).then(|| seed.fork("node.starts"));
        let rooms = Rooms {
            admission: AdmissionControl::new(&config, names.clone(), faults),
            peers: Peers::new(caps.peers, caps.peer_bytes, config.peer_stale, names.clone()),
            client: Client::new(caps.requests, config.decision_timeout, faults),
            inbox: Inbox::new(&caps, config.waiting_expiry, config.answer_timeout),
            events: Events::new(caps.events as usize, caps.event_bytes),
            outbox: Outbox::new(config.did.clone(), config.identity.clone(), seed, &caps),
            links: Links::new(&config, seed)?,
            circuits: None,
            lan: None,
            overlay: Overlay::new(&config, seed),
            relaying: Relaying::new(&config, seed),
            reserving: None,
            traces: None,
            timers: Timers::new(config.heartbeat, config.peer_cleanup),
            storing: Storing::new(config.durable, caps.changes, &names, starts.as_mut()),
            traffic: Traffic::default(),
            tell_heartbeats: config.tell_heartbeats,
            lent: Lent::Nothing,
        };
        #[cfg(feature = "sim")]
        let rooms = {
            let mut rooms = rooms;
            rooms.links.iter_mut().for_each(|links| links.set_faults(faults));
            rooms.relaying.iter_mut().for_each(|relaying| relaying.room_mut().set_faults(faults.of_relays()));
            rooms
        };
        let policy = Policy::new(&config, seed, &names)?;
        Ok(Self { policy, rooms, config })
    }

    /// What is switched off.
    #[cfg(feature = "record")]
    pub(crate) const fn faults(&self) -> Faults {
        self.rooms.admission.faults()
    }
}
