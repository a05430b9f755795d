//! What a world is made of.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::Seed;
use crate::framing::Encoding;
use crate::node::NodeConfig;
use crate::node::faults::Fault;
use crate::sim::adversary::Adversary;
use crate::sim::{LinkConfig, Topology};
use crate::time::{Duration, Wall};

/// Everything a [`World`](super::World) is made of. Same configuration, same seed: same run, byte for byte.
#[non_exhaustive]
pub struct WorldConfig {
    /// Nodes under test, numbered from 0; adversaries get the numbers after them.
    pub nodes: u32,
    /// Where all randomness comes from.
    pub seed: Seed,
    /// Who has a link to whom.
    pub topology: Topology,
    /// Links by class (see [`Wire::class`](crate::sim::Wire::class)); a class that is not there is as the first.
    pub links: Vec<LinkConfig>,
    /// What every node is told at birth; each gets its own name.
    pub node: NodeConfig,
    /// Whom nodes trust.
    pub trust: Trust,
    /// What the applications do.
    pub habits: Habits,
    /// How wrong the clocks are.
    pub clocks: Clocks,
    /// Who means harm.
    pub adversaries: Vec<Placed>,
    /// What happens when, as virtual time since the beginning.
    pub plan: Vec<(Duration, Plan)>,
    /// Whether nodes have [keys](crate::sim::key): each signs with its own, has pinned those of its neighbours, lets nobody in by name alone, and keeps what has to
    /// survive in a store that loses power when it crashes. What applications ask is numbered, so that the world knows who said what, and when it was heard.
    pub keyed: bool,
    /// A protection to switch off in every node, to see that it is missed.
    pub fault: Option<Fault>,
    /// Who is told everything.
    pub witness: Option<Box<dyn Witness>>,
}

impl WorldConfig {
    /// So many nodes in a line, on perfect links of 10 ms, with right clocks, who trust each other, and nobody asks anything.
    ///
    /// # Errors
    /// No node, or more than there are addresses.
    pub(crate) fn new(nodes: u32, seed: Seed, node: NodeConfig) -> Result<Self, WorldError> {
        match nodes {
            0 => return Err(WorldError::NoNodes),
            n if n > super::MAX_NODES => return Err(WorldError::TooMany),
            _ => {}
        }
        Ok(Self {
            nodes,
            seed,
            topology: Topology::Line,
            links: Vec::from([LinkConfig::perfect(Duration::from_millis(10))]),
            node,
            trust: Trust::default(),
            habits: Habits::default(),
            clocks: Clocks::default(),
            adversaries: Vec::new(),
            plan: Vec::new(),
            keyed: false,
            fault: None,
            witness: None,
        })
    }
}

/// Somebody who writes a run down. Every method does nothing unless it is written.
pub trait Witness {
    /// A datagram was sent, by a node or by an adversary, whether or not it arrives.
    fn sent(&mut self, _at: Wall, _from: SocketAddr, _to: SocketAddr, _bytes: &[u8]) {}

    /// A node took something in, or gave something out: lines of JSON, each with its end, as
    /// [`record`](crate::record) writes them, with the node's number.
    fn lines(&mut self, _lines: &str) {}
}

/// Why there is no such world.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// Zero nodes.
    #[error("a world needs at least one node")]
    NoNodes,
    /// More nodes than addresses.
    #[error("a world has at most {max} nodes", max = super::MAX_NODES)]
    TooMany,
    /// A member that is not there is named.
    #[error("there is no member {0} in this world")]
    NoMember(u32),
    /// There is no kind of link.
    #[error("a world needs at least one kind of link")]
    NoLinks,
    /// A payload is not JSON.
    #[error("{0:?} is not JSON")]
    Payload(&'static str),
    /// The nodes' configuration makes no sense.
    #[error("{0}")]
    Node(String),
}

/// How nodes trust their neighbours, drawn for each direction of each link.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Trust {
    /// Probability that a neighbour has to wait (GEEL).
    pub geel: f64,
    /// Probability that a neighbour is turned away (ROOD). The others are let in (GROEN).
    pub rood: f64,
}

/// What the application on every node does.
#[derive(Clone, Debug)]
pub struct Habits {
    /// Pings in flight at all times.
    pub in_flight: u16,
    /// How long to think, at most, before a ping takes the place of one that ended.
    pub think: Duration,
    /// When every node begins to ask: at some time up to this.
    pub start: Duration,
    /// Ask every neighbour once at the beginning instead of keeping pings in flight.
    pub greet: bool,
    /// What is asked for.
    pub intents: &'static [&'static str],
    /// Intents (a pattern) that the application answers itself, later.
    pub later: Option<&'static str>,
    /// Intents (a pattern) that are answered with a text of so many letters, which an unproven address may not get.
    pub lengthy: Option<(&'static str, u16)>,
    /// How long the application takes, at most, to answer or to decide.
    pub decide: Duration,
    /// Probability that a waiting ping is approved; it is refused half as often as the rest, else forgotten.
    pub approve: f64,
    /// How long, at most, a node's driver is away now and then (zero: never); what comes meanwhile piles up in the node.
    pub away: Duration,
    /// How pings and heartbeats are written.
    pub encoding: Encoding,
    /// Payload of pings, as JSON.
    pub payload: &'static str,
    /// Payload of answers, as JSON.
    pub answer: &'static str,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            in_flight: 0,
            think: Duration::ZERO,
            start: Duration::from_millis(100),
            greet: false,
            intents: &["temperature.read"],
            later: None,
            lengthy: None,
            decide: Duration::from_secs(5),
            approve: 0.5,
            away: Duration::ZERO,
            encoding: Encoding::Postcard,
            payload: "{}",
            answer: "{\"celsius\":21.5}",
        }
    }
}

/// How wrong clocks may be, each drawn evenly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// Wall clocks are off by up to this, either way.
    pub offset: Duration,
    /// Clocks run fast or slow by up to so many parts in a million.
    pub drift_ppm: u16,
}

/// Something that happens at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Plan {
    /// The network falls apart: what this cut says cannot talk to the rest. Up to eight cuts, by number, can be at once.
    Cut {
        /// Number of the cut, below 8.
        number: u8,
        /// Who is cut off.
        who: Part,
    },
    /// A cut is mended.
    Mend {
        /// Number of the cut.
        number: u8,
    },
    /// A node stops without a word.
    Crash {
        /// Which.
        node: u32,
    },
    /// A node that is down (or not) starts with nothing but its configuration, a fresh seed, and what its store has, if it is [durable](NodeConfig::durable).
    Start {
        /// Which.
        node: u32,
    },
    /// A wall clock is set.
    StepWall {
        /// Whose.
        node: u32,
        /// By how many microseconds.
        micros: i64,
    },
    /// Applications ask nothing more.
    Quiet,
}

/// A part of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Nodes from this one on, up to but without the other.
    Range(u32, u32),
    /// About one node in so many, chosen by chance.
    OneIn(u32),
}

/// An adversary and its place.
pub struct Placed {
    /// Who.
    pub adversary: Box<dyn Adversary>,
    /// The node on whose path to everybody it sits, if on any.
    pub victim: Option<u32>,
    /// The nodes under test that it has a link to.
    pub targets: Vec<u32>,
}
