//! Meshes of relays, some of which mean harm.
//!
//! Honest relays are real nodes, each of which also asks and is asked; guests ask whose keys no relay knows. Foes change what passes and sign it or hide it, swallow it, send it back, take ids
//! in advance, flood; two of them may work together. Relays crash and come back without what they knew, the network is parted and mended, datagrams are lost. In the end all is well again but
//! for the foes, which swallow everything then, and whoever asks has to be answered. [`MeshConditions`] are for relays alone. What comes next is drawn from the seed; everything is held against [`MeshInvariant`]s.
//!
//! ```
//! use sluis_core::sim::{MeshSetup, run_mesh};
//! use sluis_core::time::Duration;
//!
//! let run = run_mesh(&MeshSetup::new(8, 7, Duration::from_secs(10)))?;
//! assert!(run.violations.is_empty() && run.counts.answered > 0, "{:?}", run.violations);
//! # Ok::<(), sluis_core::sim::LanNodeError>(())
//! ```

mod asks;
mod conditions;
mod foes;
mod net;
mod shape;
mod watch;

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use self::asks::Ask;
pub use self::conditions::MeshConditions;
use self::foes::Foe;
use self::net::Flight;
use self::shape::{Part, Shape, Size};
use self::watch::{Book, Watch};
pub use self::watch::{MeshInvariant, MeshViolation};
use super::agenda::{Agenda, Due};
use super::rng::SimRng;
use super::{Fault, LanNodeError, key};
use crate::framing::{Value, ValueBuf};
use crate::identity::PublicKey;
use crate::limits::MAX_DATAGRAM_V6;
use crate::node::faults::Faults;
use crate::node::{Identity, Node, NodeConfig, Reply, RequestId};
use crate::pins::Origin;
use crate::relay::{Rate, RelayConfig};
use crate::time::{Duration, Instant, Now};
use crate::{Did, Path, Seed};

/// What everybody answers.
const ANSWER: &str = r#"{"ok":true}"#;
/// Foes that flood, at most: what more than that do in names that are let in uses up what a target may be sent.
const FLOODERS: u32 = 2;
/// Signatures that a node verifies in a second for who has not proven to be at an address: less than a flood has.
const VERIFICATIONS: u32 = 250;
/// Pairs that ask when all is well again.
const LAST: usize = 6;

/// A mesh.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MeshSetup {
    /// Honest relays, two at least. For every four there is a foe.
    pub relays: u32,
    /// Where all randomness comes from.
    pub seed: u64,
    /// How long there is trouble.
    pub span: Duration,
    /// Whether all foes change what passes and do not hide it, and guests alone ask, so that there is most to be named. Default no: foes of all kinds.
    pub tamperers: bool,
    /// A protection of relays to switch off, to see that it is missed.
    pub fault: Option<Fault>,
    /// Relays alone, without foes, under conditions that stay as they are. Default none: see the module.
    pub conditions: Option<MeshConditions>,
}

impl MeshSetup {
    /// One with all protections.
    #[must_use]
    pub const fn new(relays: u32, seed: u64, span: Duration) -> Self {
        Self { relays, seed, span, tamperers: false, fault: None, conditions: None }
    }
}

/// What happened, in numbers: a mesh in which nothing gets through proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeshCounts {
    /// What was done.
    pub steps: u64,
    /// Datagrams that arrived.
    pub deliveries: u64,
    /// Questions that three tries had time for, while there was trouble.
    pub asked: u64,
    /// Those that came to whom they were for, in at most three tries.
    pub delivered: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Hops of all that came, and of the shortest ways.
    pub hops: u64,
    /// See [`hops`](Self::hops).
    pub shortest: u64,
    /// Pings that a foe changed, and that came to whom they were for.
    pub altered: u64,
    /// How often one who changed something was named.
    pub named: u64,
    /// Pings of floods.
    pub flooded: u64,
    /// Crashes of relays, and partitions.
    pub failures: u64,
    /// Datagrams that honest nodes sent.
    pub messages: u64,
    /// What they had sent if each question had gone to everybody once: each relay that is up gives it to all its neighbours but the one that it came from.
    pub flooding: u64,
}

impl core::ops::AddAssign for MeshCounts {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.deliveries += other.deliveries;
        self.asked += other.asked;
        self.delivered += other.delivered;
        self.answered += other.answered;
        self.hops += other.hops;
        self.shortest += other.shortest;
        self.altered += other.altered;
        self.named += other.named;
        self.flooded += other.flooded;
        self.failures += other.failures;
        self.messages += other.messages;
        self.flooding += other.flooding;
    }
}

/// What came of a mesh.
#[derive(Clone, Debug)]
pub struct MeshRun {
    /// What did not hold; the run ends soon after the first.
    pub violations: Vec<MeshViolation>,
    /// What happened.
    pub counts: MeshCounts,
    /// How long it ran.
    pub elapsed: Duration,
    /// What arrived where and when, in short.
    pub digest: u64,
}

/// Run a mesh.
///
/// # Errors
/// There is no such mesh.
pub fn run_mesh(setup: &MeshSetup) -> Result<MeshRun, LanNodeError> {
    let mut mesh = Mesh::new(setup)?;
    match setup.conditions {
        Some(conditions) => mesh.endure(setup.span, conditions)?,
        None => {
            mesh.trouble(setup.span)?;
            if mesh.watch.violations.is_empty() {
                mesh.heal()?;
            }
        }
    }
    mesh.count();
    let Mesh { watch, counts, now, digest, .. } = mesh;
    Ok(MeshRun { violations: watch.violations, counts, elapsed: Duration::from_nanos(now), digest })
}

/// An honest node.
struct Member {
    node: Node,
    up: bool,
    /// When it is looked after next.
    wake: Option<Instant>,
    book: Book,
    /// Its questions that are open.
    open: BTreeMap<RequestId, usize>,
}

struct Mesh {
    shape: Shape,
    config: RelayConfig,
    /// Signatures that a node verifies in a second for who has not proven to be at an address.
    verifications: Option<u32>,
    /// What only guests ask can be changed without a word of the relays behind, so nobody else asks.
    tamperers: bool,
    /// By number of member.
    keys: Vec<PublicKey>,
    fault: Option<Fault>,
    members: Vec<Member>,
    foes: Vec<Foe>,
    agenda: Agenda,
    flights: Vec<Option<Flight>>,
    free: Vec<u32>,
    asks: Vec<Ask>,
    now: u64,
    seed: Seed,
    rng: SimRng,
    /// Probability that a datagram is lost.
    loss: f64,
    /// On which side of a cut each is.
    sides: Option<Vec<bool>>,
    /// Foes do nothing any more but swallow.
    calm: bool,
    watch: Watch,
    counts: MeshCounts,
    digest: u64,
    lives: u64,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
}

impl Mesh {
    fn new(setup: &MeshSetup) -> Result<Self, LanNodeError> {
        let seed = Seed::from_u64(setup.seed);
        let mut rng = SimRng::new(&seed, "sim.mesh");
        let (relays, among_foes) = (setup.relays.max(2), setup.conditions.is_none());
        let size = if among_foes { among(relays) } else { conditions::alone(relays) };
        let mut shape = Shape::new(size, &mut rng);
        let foes = Foe::draw(&mut shape, (FLOODERS, setup.tamperers), &mut rng);
        let mut mesh = Self {
            keys: (0..shape.all_foes().end).map(|n| key(n).public()).collect(),
            shape,
            config: if among_foes { quotas() } else { RelayConfig::default() },
            verifications: among_foes.then_some(VERIFICATIONS),
            tamperers: setup.tamperers,
            fault: setup.fault,
            members: Vec::new(),
            foes,
            agenda: Agenda::new(),
            flights: Vec::new(),
            free: Vec::new(),
            asks: Vec::new(),
            now: 0,
            seed,
            rng,
            loss: 0.0,
            sides: None,
            calm: false,
            watch: Watch::default(),
            counts: MeshCounts::default(),
            digest: 0xcbf2_9ce4_8422_2325,
            lives: 0,
            buffer: vec![0; MAX_DATAGRAM_V6],
            scratch: vec![0; 16 * 1024],
        };
        for n in 0..mesh.shape.guests().end {
            let node = mesh.begin(n)?;
            let (up, wake, book, open) = (true, None, Book::default(), BTreeMap::new());
            mesh.members.push(Member { node, up, wake, book, open });
        }
        Ok(mesh)
    }

    /// A node that knows nothing but what its operator told it.
    fn begin(&mut self, n: u32) -> Result<Node, LanNodeError> {
        let did = self.shape.did(n);
        let mut config = NodeConfig::new(Did::new(&did)?);
        (config.identity, config.heartbeat) = (Some(Identity::from(key(n))), None);
        config.caps.verifications = self.verifications.unwrap_or(config.caps.verifications);
        let is_relay = self.shape.part(n) == Part::Relay;
        config.relay = is_relay.then(|| self.config.into());
        self.lives += 1;
        let seed = Seed::from_u64(self.seed.fork(&alloc::format!("sim.mesh.{}", self.lives)).u64());
        let mut node = Node::with_faults(config, &seed, Faults { fault: self.fault })?;
        self.tell(n, &mut node)?;
        Ok(node)
    }

    /// What the operator of a node tells it.
    fn tell(&self, n: u32, node: &mut Node) -> Result<(), LanNodeError> {
        let (shape, now) = (&self.shape, self.clock());
        let knows_all = self.verifications.is_some() && (shape.part(n) == Part::Guest || n < shape.endpoints());
        let relays = if knows_all { shape.relays } else { shape.endpoints() };
        for other in (0..relays).chain(shape.all_foes()).filter(|other| *other != n) {
            let did = shape.did(other);
            node.pin(now, &did, self.keys[other as usize], Origin::Operator).map_err(told)?;
            node.set_trust(&did, 0.9).map_err(told)?;
        }
        if shape.part(n) == Part::Guest {
            return Ok(());
        }
        for other in shape.around(n) {
            node.set_neighbour(&shape.did(*other), path(*other), 0.5).map_err(told)?;
        }
        node.relay_for("jis:guest:*").map_err(told)?;
        if n < shape.endpoints() {
            node.allow_legacy("jis:guest:*").map_err(told)?;
            for guest in shape.guests() {
                node.set_trust(&shape.did(guest), 0.9).map_err(told)?;
            }
            let answer = Value::from_json(ANSWER).map_err(told)?;
            node.set_reply("*", Reply::Now(ValueBuf::new(answer).map_err(told)?)).map_err(told)?;
        }
        Ok(())
    }

    /// Both clocks: every node's are right.
    fn clock(&self) -> Now {
        let wall = super::clock::EPOCH.saturating_add(Duration::from_nanos(self.now));
        Now::new(Instant::from_nanos(self.now), wall)
    }

    /// Everything that can go wrong does.
    fn trouble(&mut self, span: Duration) -> Result<(), LanNodeError> {
        let end = span.as_nanos() as u64;
        while self.now < end && self.watch.violations.is_empty() {
            self.counts.steps += 1;
            match self.rng.below(20) {
                0..=11 => self.ask(3, true),
                12..=14 => self.ask(1, false),
                15 => self.crash(),
                16 => self.part_ways(),
                17 => self.loss = [0.0, 0.0, 0.1, 0.3][self.rng.index(4)],
                _ => self.flood(),
            }
            let more = self.rng.between(20, 800) * 1_000_000;
            self.run(self.now + more)?;
        }
        Ok(())
    }

    fn crash(&mut self) {
        let n = self.rng.below(self.shape.relays.into()) as u32;
        let member = &mut self.members[n as usize];
        if member.up {
            self.counts.failures += 1;
            (member.up, member.wake) = (false, None);
            member.open.clear();
            let back = self.rng.between(1000, 15_000) * 1_000_000;
            self.agenda.push(self.now + back, Due::Plan(n));
        }
    }

    /// It is back, and has forgotten everything.
    fn come_back(&mut self, n: u32) -> Result<(), LanNodeError> {
        if !self.members[n as usize].up {
            let node = self.begin(n)?;
            let member = &mut self.members[n as usize];
            (member.node, member.book, member.up) = (node, Book::default(), true);
        }
        Ok(())
    }

    /// The network falls apart, or is whole again.
    fn part_ways(&mut self) {
        self.sides = match self.sides {
            Some(_) => None,
            None => {
                self.counts.failures += 1;
                let all = self.shape.all_foes().end;
                Some((0..all).map(|_| self.rng.chance(0.5)).collect())
            }
        };
    }

    /// All is well again, but for the foes, which swallow everything: now every question is answered.
    fn heal(&mut self) -> Result<(), LanNodeError> {
        (self.loss, self.sides, self.calm) = (0.0, None, true);
        for n in 0..self.shape.relays {
            self.come_back(n)?;
        }
        self.run(self.now + 1_000_000_000)?;
        (0..LAST).for_each(|_| self.ask(asks::PATIENT, false));
        self.run(self.now + asks::WAIT * (u64::from(asks::PATIENT) + 1))?;
        self.check_lives();
        Ok(())
    }
}

/// Relays among foes, of whom there is one for every four.
const fn among(relays: u32) -> Size {
    Size { relays, guests: 2, foes: relays.div_ceil(4), endpoints: 12, degree: 4, at_home: false }
}

/// Quotas and caps that are soon used up.
fn quotas() -> RelayConfig {
    RelayConfig {
        source_rate: Rate::new(10, 20),
        target_rate: Rate::new(40, 80),
        link_rate: Rate::new(100, 200),
        max_rates: 256,
        max_open: 256,
        max_open_per_source: 32,
        ..RelayConfig::default()
    }
}

/// What a node was told was wrong.
fn told(why: impl core::fmt::Display) -> LanNodeError {
    LanNodeError::Told(alloc::format!("{why}").into())
}

fn path(member: u32) -> Path {
    Path::to(super::address(member))
}
