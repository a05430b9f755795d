//! The switchboard: who is there, which channels are open between whom, and what is handed to whom.
//!
//! It does no I/O. A server hands in what its clients ask for ([`rest`](crate::rest::rest), [`talk`](crate::talk::talk), or the
//! methods here), writes out what [`poll_text`](Switchboard::poll_text) has for each socket that
//! [`poll_ready`](Switchboard::poll_ready) names, and calls [`handle_timeout`](Switchboard::handle_timeout) at the
//! [`deadline`](Switchboard::deadline).
//!
//! What it promises:
//!
//! - A frame is `delivered` when a socket of the other end has it, or somebody who waits for that end's inbox right now. Else it is
//!   `queued`: 64 KiB an agent for 300 s, refused when there is no room, and the sender is told when nobody fetched it.
//! - Only the two ends of a channel can use it or see it; to anybody else it is not there.
//! - An agent's frames of one intent share one bucket, on however many channels, reopened or not.
//! - Everything is bounded: open channels an agent, channels, agents and sockets in all, what waits for each, what is kept of a
//!   channel (100 tags, 10 frames), how long a closed one stays (300 s).

mod agents;
mod channel;
mod frame;
mod inbox;
mod open;
mod ports;
mod refusal;
mod report;
mod send;
mod sockets;
mod timeouts;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use sluis_core::identity::MacKey;
use sluis_core::{Instant, Now, Rng, Seed, Wall};

use crate::access::{Access, Caller};
use crate::agent;
use crate::intents::{Intents, RegisterError};
use crate::news::{self, News};
use crate::signed::Guard;
use agents::Agents;
use channel::Channels;
use ports::Ports;
use sockets::Sockets;

pub use channel::ChannelId;
pub use inbox::Inbox;
pub use open::{Open, Opened};
pub(crate) use ports::{Next, PortOrder};
pub use refusal::{Invalid, Refusal, Throttle};
pub use send::{Body, Sent, payload_size};
pub use sockets::{MAX_CREDIT, SocketId, SocketOptions};

/// How the clients of a hub are connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Over TLS 1.3.
    Tls13,
    /// Anybody on the way can read and change everything.
    #[default]
    Plain,
}

/// Settings of a [`Switchboard`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The hub's own name, which stands for an empty agent.
    pub agent: String,
    /// Where the paths begin.
    pub prefix: String,
    /// Who may come in.
    pub access: Access,
    /// What `status` says of the connection.
    pub transport: Transport,
    /// Open channels of one agent.
    pub max_channels: usize,
    /// Channels in all, those closed a short time ago included.
    pub max_all_channels: usize,
    /// Agents that have a channel, a socket or mail, or had a short time ago.
    pub max_agents: usize,
    /// Sockets in all.
    pub max_sockets: usize,
    /// Bytes that may wait for one agent.
    pub queue_bytes: usize,
    /// How long they wait.
    pub queue_time: Duration,
    /// How long a closed channel can still be looked at.
    pub closed_time: Duration,
    /// Bytes of payloads that are kept for `recent_frames` of all channels.
    pub kept_bytes: usize,
    /// Who comes on a WebSocket, and which channels are opened and closed, is told; see [`Switchboard::poll_news`].
    pub tells: bool,
}

impl Config {
    /// The defaults, under this name.
    #[must_use]
    pub fn new(agent: &str) -> Self {
        Self {
            agent: agent::normalise(agent),
            prefix: String::from("/api/mux"),
            access: Access::default(),
            transport: Transport::Plain,
            max_channels: 32,
            max_all_channels: 131_072,
            max_agents: 65_536,
            max_sockets: 16_384,
            queue_bytes: 65_536,
            queue_time: Duration::from_secs(300),
            closed_time: Duration::from_secs(300),
            kept_bytes: 16 << 20,
            tells: false,
        }
    }
}

/// Who asks, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party<'a> {
    /// Somebody at an open hub who has said no name.
    Anyone,
    /// This agent.
    Named(&'a str),
}

impl<'a> From<&'a Caller> for Party<'a> {
    fn from(caller: &'a Caller) -> Self {
        match caller {
            Caller::Anyone => Self::Anyone,
            Caller::Agent(entry) => Self::Named(&entry.name),
        }
    }
}

/// What there was since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Channels that were opened.
    pub opened: u64,
    /// Channels that were closed.
    pub closed: u64,
    /// Frames that were accepted.
    pub frames: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Frames that the other end had at once.
    pub delivered: u64,
    /// Frames that had to wait for it.
    pub queued: u64,
    /// Frames that nobody fetched in time.
    pub expired: u64,
    /// Frames above their budget, refused ones included; none of a real-time intent.
    pub throttled: u64,
}

/// The state of a hub.
#[derive(Debug)]
pub struct Switchboard {
    config: Config,
    intents: Intents,
    agents: Agents,
    channels: Channels,
    sockets: Sockets,
    ports: Ports,
    totals: Totals,
    /// Signed frames that came.
    guard: Guard,
    /// Agents for whose inbox somebody waits and which has got something.
    mail: VecDeque<Arc<str>>,
    /// What happened, where that is to be told.
    news: news::Queue,
    /// Bytes of payloads that are kept.
    kept: usize,
    ids: Rng,
    /// The keys of channels are made from it.
    master: MacKey,
    started: Wall,
}

impl Switchboard {
    /// A hub without channels.
    #[must_use]
    pub fn new(config: Config, seed: &Seed, now: Now) -> Self {
        let mut rng = seed.fork("sluis mux switchboard");
        let key = rng.sip_key();
        let mut secret = [0; 32];
        rng.fill(&mut secret);
        Self {
            agents: Agents::new(config.max_agents, key),
            channels: Channels::new(config.max_all_channels),
            sockets: Sockets::new(config.max_sockets),
            ports: Ports::default(),
            intents: Intents::new(),
            totals: Totals::default(),
            guard: Guard::new(now.wall),
            mail: VecDeque::new(),
            news: news::Queue::default(),
            kept: 0,
            ids: seed.fork("sluis mux channel ids"),
            master: MacKey::new(&secret),
            started: now.wall,
            config,
        }
    }

    /// Its settings.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Route an intent to a backend; see [`Intents::register`].
    ///
    /// # Errors
    /// Too many, or too long.
    pub fn register_intent(&mut self, name: &str, backend: &str, description: &str) -> Result<(), RegisterError> {
        self.intents.register(name, backend, description)
    }

    /// What there was since the start.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// What happened, where that is to be told.
    pub fn poll_news(&mut self) -> Option<News> {
        self.news.pop()
    }

    /// Whether there is any.
    #[must_use]
    pub fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Who shows this token.
    #[must_use]
    pub fn identify(&self, token: Option<&str>) -> Option<Caller> {
        self.config.access.identify(token)
    }

    /// Change who may come in. Sockets of agents whose entry is gone or another are ended, and so are the channels that agents which
    /// are gone have opened.
    pub fn replace_access(&mut self, now: Now, access: Access) {
        self.config.access = access;
        let access = &self.config.access;
        let gone = |credential: &Option<Arc<crate::Credential>>| match credential {
            Some(credential) => !access.still_has(credential),
            None => !matches!(access, Access::Open),
        };
        let ended: Vec<SocketId> =
            self.sockets.iter().filter(|(_, socket)| gone(&socket.credential)).map(|(id, _)| id).collect();
        let known = |name: &str| match access {
            Access::Open => true,
            Access::Nobody => false,
            Access::Agents(agents) => agents.has(name),
        };
        let left: Vec<u32> =
            self.agents.iter().filter(|(_, agent)| !known(&agent.name)).map(|(slot, _)| slot).collect();
        for id in ended {
            self.sockets.end(id);
        }
        for slot in left {
            self.close_all(now, slot, "agent_removed");
        }
    }

    /// Where the tags of a channel come from.
    fn key_of(&self, id: ChannelId) -> [u8; 32] {
        self.master.tag(&id.0.to_be_bytes())
    }

    /// Note what a change means for an agent's timers.
    fn settle(&mut self, slot: u32, now: Instant) {
        self.agents.settle(slot, now, self.config.queue_time);
        if let Some(agent) = self.agents.at_mut(slot).filter(|agent| agent.awaited) {
            // Whoever waits tries, and waits again.
            agent.awaited = false;
            let name = Arc::clone(&agent.name);
            self.ports.tell(PortOrder::Relieved(name));
        }
    }
}
