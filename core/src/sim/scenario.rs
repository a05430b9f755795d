//! Scenarios by name: worlds worth running with many seeds.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::adversary::{
    Adversary, Alterer, BlackHole, Burner, Copier, Downgrader, Flooder, Forger, Knocker, Replayer, Tamperer,
};
use super::link::LinkConfig;
use super::names::Name;
use super::rng::SimRng;
use super::topology::Topology;
use super::world::{Clocks, Fault, Habits, Part, Placed, Plan, Trust, World, WorldConfig, WorldError};
use crate::framing::Encoding;
use crate::identity::SecretKey;
use crate::node::{NodeConfig, SessionPolicy};
use crate::session::Suites;
use crate::time::Duration;
use crate::{Did, Seed};

/// A kind of world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// A random graph, pings in flight all the time, light faults, an adversary or two.
    Random,
    /// Everybody asks one hub.
    Star,
    /// Bad links, wrong clocks, and every kind of adversary.
    Storm,
    /// Clusters that are cut off from each other again and again.
    Partition,
    /// Nodes with stores crash and start again, with replayers on the paths.
    Restart,
    /// Each node greets its neighbours once; from then on there are only heartbeats.
    Heartbeat,
    /// Nodes with keys and stores, and everybody who would like to speak in their names; crashes, and clocks that are set back.
    Adversary,
}

/// What can be chosen in a scenario.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Nodes under test.
    pub nodes: u32,
    /// Where all randomness comes from.
    pub seed: u64,
    /// How nodes write.
    pub encoding: Encoding,
    /// How long it will run; what is planned is spread over this.
    pub span: Duration,
    /// A protection to switch off in every node.
    pub fault: Option<Fault>,
}

impl Setup {
    /// So many nodes for a minute, in postcard.
    #[must_use]
    pub const fn new(nodes: u32, seed: u64) -> Self {
        Self { nodes, seed, encoding: Encoding::Postcard, span: Duration::from_secs(60), fault: None }
    }
}

/// Why a scenario cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// There is none of this name.
    #[error("there is no scenario {name:?}; there are {}", names())]
    Unknown {
        /// The name.
        name: String,
    },
    /// The world cannot be.
    #[error("{0}")]
    World(#[from] WorldError),
}

fn names() -> String {
    let mut all = String::new();
    for scenario in Scenario::ALL {
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(scenario.name());
    }
    all
}

const MS: fn(u64) -> Duration = Duration::from_millis;

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Random, Self::Star, Self::Storm, Self::Partition, Self::Restart, Self::Heartbeat, Self::Adversary];

    /// The name on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Star => "star",
            Self::Storm => "storm",
            Self::Partition => "partition",
            Self::Restart => "restart",
            Self::Heartbeat => "heartbeat",
            Self::Adversary => "adversary",
        }
    }

    /// The scenario of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn from_name(name: &str) -> Result<Self, ScenarioError> {
        let found = Self::ALL.into_iter().find(|s| s.name() == name);
        found.ok_or_else(|| ScenarioError::Unknown { name: name.into() })
    }

    /// Make the world.
    ///
    /// # Errors
    /// It cannot be: zero nodes, say.
    pub fn build(self, setup: &Setup) -> Result<World, ScenarioError> {
        Ok(World::new(self.config(setup)?)?)
    }

    /// What the world is made of, to change before it is [made](World::new).
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn config(self, setup: &Setup) -> Result<WorldConfig, ScenarioError> {
        let seed = Seed::from_u64(setup.seed);
        let mut rng = SimRng::new(&seed, "sim.scenario");
        let mut config = WorldConfig::new(setup.nodes, seed, template())?;
        config.fault = setup.fault;
        config.habits.encoding = setup.encoding;
        config.habits.in_flight = 2;
        config.trust = Trust { geel: 0.05, rood: 0.03 };
        config.clocks = Clocks { offset: MS(1_000), drift_ppm: 50 };
        config.links = vec![LinkConfig::light(MS(20), MS(40))];
        match self {
            Self::Random => random(&mut config, &mut rng),
            Self::Star => star(&mut config),
            Self::Storm => storm(&mut config, &mut rng),
            Self::Partition => partition(&mut config, setup.span),
            Self::Restart => restart(&mut config, setup.span, &mut rng),
            Self::Heartbeat => heartbeat(&mut config),
            Self::Adversary => adversary(&mut config, setup.span, &mut rng),
        }
        Ok(config)
    }
}

/// A node of every scenario: the defaults, with small tables, so that traffic meets their caps.
fn template() -> NodeConfig {
    // Each node gets its own name.
    let did = Did::new(Name::of(0).as_str());
    let mut node = NodeConfig::new(did.unwrap_or_else(|_| unreachable!("the name of a member is a DID")));
    let caps = &mut node.caps;
    (caps.waiting, caps.waiting_per_sender, caps.open) = (4, 2, 8);
    (caps.requests, caps.peers) = (8, 64);
    (caps.events, caps.transmits) = (64, 64);
    node
}

fn random(config: &mut WorldConfig, rng: &mut SimRng) {
    config.topology = Topology::Random { degree: 6 };
    if rng.chance(0.25) {
        config.habits.later = Some("humidity.*");
        config.habits.intents = &["temperature.read", "door.state", "light.state", "humidity.read"];
    }
    if config.nodes >= 4 {
        place(config, rng, Box::new(Forger { zeal: 0.1, everything: false }));
        let other: Box<dyn Adversary> = match rng.below(4) {
            0 => Box::new(Replayer::new(0.1)),
            1 => Box::new(Tamperer { zeal: 0.1 }),
            2 => Box::new(BlackHole { appetite: 0.2, responses_only: false }),
            _ => Box::new(Flooder { interval: MS(200) }),
        };
        place(config, rng, other);
    }
}

fn star(config: &mut WorldConfig) {
    config.topology = Topology::Star;
    config.habits.think = MS(1_000);
    let caps = &mut config.node.caps;
    (caps.waiting, caps.open, caps.peers) = (256, 256, config.nodes.max(64));
}

fn storm(config: &mut WorldConfig, rng: &mut SimRng) {
    config.topology = Topology::Random { degree: 5 };
    config.links = vec![LinkConfig::bad(MS(50))];
    config.clocks = Clocks { offset: MS(3_000), drift_ppm: 200 };
    config.trust = Trust { geel: 0.2, rood: 0.2 };
    config.habits.later = Some("humidity.*");
    lengthy(config, rng);
    // What comes while a driver is away meets the caps of the queues.
    config.habits.away = MS(1_500);
    (config.node.caps.events, config.node.caps.transmits) = (3, 4);
    // What is forgotten for room must not be taken in again.
    (config.node.replay.per_sender, config.node.replay.max_entries) = (4, 24);
    for _ in 0..(config.nodes / 20).clamp(1, 20) {
        place(config, rng, Box::new(Forger { zeal: 0.3, everything: false }));
        place(config, rng, Box::new(Replayer::new(0.3)));
        place(config, rng, Box::new(Tamperer { zeal: 0.3 }));
        place(config, rng, Box::new(BlackHole { appetite: 0.5, responses_only: true }));
        place(config, rng, Box::new(Flooder { interval: MS(20) }));
    }
}

fn partition(config: &mut WorldConfig, span: Duration) {
    config.topology = Topology::Clusters { size: 8 };
    config.links = vec![LinkConfig::light(MS(2), MS(2)), LinkConfig::light(MS(60), MS(40))];
    config.habits.think = MS(200);
    for round in 0..8_u8 {
        let at = span / 8 * u32::from(round);
        let who = if round % 2 == 0 { Part::Range(0, config.nodes / 2) } else { Part::OneIn(3) };
        config.plan.push((at, Plan::Cut { number: round, who }));
        config.plan.push((at + span / 16, Plan::Mend { number: round }));
    }
}

fn restart(config: &mut WorldConfig, span: Duration, rng: &mut SimRng) {
    config.topology = Topology::Random { degree: 4 };
    config.habits.think = MS(200);
    config.node.durable = true;
    lengthy(config, rng);
    if config.nodes >= 2 {
        place(config, rng, Box::new(Replayer::new(0.3)));
        place(config, rng, Box::new(Replayer::new(0.3)));
    }
    crashes(config, span, rng, (20_000, 2));
}

/// A quarter of the nodes crash, start again after so many milliseconds at most, and have their clocks set after this many times as long.
fn crashes(config: &mut WorldConfig, span: Duration, rng: &mut SimRng, (longest, set_after): (u64, u32)) {
    for _ in 0..(config.nodes / 4).max(1) {
        let node = rng.below(u64::from(config.nodes)) as u32;
        let at = MS(rng.below(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)));
        let down = MS(rng.below(longest));
        config.plan.push((at, Plan::Crash { node }));
        config.plan.push((at + down, Plan::Start { node }));
        let micros = rng.between(0, 20_000_000) as i64 - 10_000_000;
        config.plan.push((at + down * set_after, Plan::StepWall { node, micros }));
    }
}

/// Every protection that needs keys, a store or sessions is attacked in some world.
fn adversary(config: &mut WorldConfig, span: Duration, rng: &mut SimRng) {
    config.keyed = true;
    config.topology = Topology::Random { degree: 4 };
    config.habits.think = MS(300);
    let thief = |rng: &mut SimRng| SecretKey::generate(&mut rng.seed().fork("thief"));
    // Without sessions signatures have to do alone. Where somebody copies what passes, the paths work: if one loses a packet, its end may be believed to have moved.
    let (sessions, copied) = match rng.below(4) {
        0 | 1 => (false, false),
        2 => (true, false),
        _ => (true, true),
    };
    if sessions {
        config.node.sessions = SessionPolicy::Auto;
        let caps = &mut config.node.session_caps;
        (caps.sessions, caps.half_open, caps.outgoing, caps.stamps) = (64, 16, 64, 64);
        (caps.handshakes_per_second, caps.handshakes_per_source, caps.cookies_per_second) = (4, 4, 64);
    }
    // One of a kind, and none too eager: what one sends passes the others on its path, and itself. If that made one more of each datagram, there would be no end.
    let mut drawn = Vec::new();
    for _ in 0..4 {
        // Where somebody copies, most draws mean him.
        let draw = match (rng.below(6), copied) {
            (0 | 1, _) => 0,
            (3.., true) => 3,
            (draw, _) => draw,
        };
        if drawn.contains(&draw) {
            continue;
        }
        drawn.push(draw);
        let adversary: Box<dyn Adversary> = match (draw, sessions, copied) {
            (0, ..) => Box::new(Replayer::new(0.3).anywhere()),
            (2, true, _) => Box::new(Knocker::new(MS(10), thief(rng))),
            (_, _, true) => Box::new(Copier::new(0.2)),
            (3, true, _) => Box::new(Tamperer { zeal: 0.2 }),
            (_, true, _) => Box::new(Downgrader { after: MS(rng.below(5_000)) }),
            (2, ..) => Box::new(Tamperer { zeal: 0.2 }),
            (3, ..) => Box::new(Forger { zeal: 0.2, everything: true }),
            (4, ..) => Box::new(Burner { zeal: 0.2 }),
            _ => Box::new(Alterer::new(0.3, thief(rng))),
        };
        place(config, rng, adversary);
    }
    if copied {
        config.links = vec![LinkConfig::perfect(MS(30))];
    } else {
        // Started again at once or soon, with a clock that is set back then or not: what was recorded before is still young.
        let set_after = rng.below(2) as u32;
        crashes(config, span, rng, (5_000, set_after));
    }
    // One suite whose first messages carry pings, and the better one.
    config.node.suites = if rng.below(2) == 0 { Suites::One } else { Suites::Any };
}

/// Some answers are about three times as long as the pings, in whatever encoding.
fn lengthy(config: &mut WorldConfig, rng: &mut SimRng) {
    config.habits.intents = &["temperature.read", "humidity.read", "history.read"];
    config.habits.lengthy = Some(("history.*", rng.between(50, 1500) as u16));
}

fn heartbeat(config: &mut WorldConfig) {
    config.topology = Topology::Random { degree: 4 };
    config.trust = Trust::default();
    config.links = vec![LinkConfig::perfect(MS(30))];
    config.habits = Habits {
        greet: true,
        in_flight: 0,
        start: Duration::from_secs(30),
        encoding: config.habits.encoding,
        ..Habits::default()
    };
}

/// Put an adversary on the path of some node, with links to a few.
fn place(config: &mut WorldConfig, rng: &mut SimRng, adversary: Box<dyn Adversary>) {
    let count = u64::from(config.nodes);
    let victim = rng.below(count) as u32;
    let mut targets: Vec<u32> = (0..4).map(|_| rng.below(count) as u32).collect();
    targets.push(victim);
    targets.sort_unstable();
    targets.dedup();
    config.adversaries.push(Placed { adversary, victim: Some(victim), targets });
}
