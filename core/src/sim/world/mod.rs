//! The world: nodes, the network between them, applications on top, and an observer who checks what must hold.

mod ahead;
mod config;
mod foes;
mod keep;
mod member;
mod net;
mod observe;
mod plan;
mod report;
mod said;
mod sealed;
mod step;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

pub use crate::node::faults::Fault;
pub use config::{Clocks, Habits, Part, Placed, Plan, Trust, Witness, WorldConfig, WorldError};
pub use report::{Counts, Invariant, Violation};
pub(super) use said::FORGED;

use self::member::{Errands, Foe, Member, Role};
use self::net::Net;
use self::observe::Observer;
use self::said::Said;
use super::agenda::Due;
use super::clock::Clock;
use super::link::nanos;
use super::names::{MAX_MEMBERS, Name, address, key};
use super::rng::SimRng;
use super::store::MemoryStore;
use super::topology::Wire;
use crate::airlock::Rule;
use crate::framing::{Value, ValueBuf, Zone};
use crate::limits::MAX_DATAGRAM_V6;
use crate::node::faults::Faults;
use crate::node::{Node, NodeConfig, Reply, Stats};
use crate::pins::Origin as PinOrigin;
use crate::record::{Recorded, Sink, Version};
use crate::time::{Duration, Now};
use crate::{Did, Seed};

/// How many nodes a world can have; some addresses are kept for adversaries.
pub const MAX_NODES: u32 = MAX_MEMBERS - 1024;

/// A network of nodes in virtual time. See the [room](super) for what it promises.
pub struct World {
    /// Virtual time since the beginning, in nanoseconds.
    now: u64,
    members: Vec<Member>,
    net: Net,
    /// Victims and the adversaries on their paths, in order.
    taps: Vec<(u32, u32)>,
    observer: Observer,
    habits: Habits,
    payload: ValueBuf,
    plan: Vec<Plan>,
    errands: Errands,
    /// What was asked, where nodes have keys.
    said: Option<Said>,
    /// Decides what applications do.
    rng: SimRng,
    /// Where nodes write their datagrams.
    scratch: Vec<u8>,
    template: Template,
    /// How many members are nodes under test; adversaries come after them.
    nodes: u32,
    quiet: bool,
    witness: Option<Box<dyn Witness>>,
    /// What a node wrote down of one step.
    lines: String,
}

/// What it takes to start a node.
struct Template {
    config: NodeConfig,
    answer: ValueBuf,
    later: Option<&'static str>,
    lengthy: Option<(&'static str, ValueBuf)>,
    guests: bool,
    keyed: bool,
    fault: Option<Fault>,
    seeds: SimRng,
}

/// JSON of a scenario as a value.
fn value(json: &'static str) -> Result<ValueBuf, WorldError> {
    let value = Value::from_json(json).ok().and_then(|value| ValueBuf::new(value).ok());
    value.ok_or(WorldError::Payload(json))
}

/// A text of so many letters.
fn letters_of(letters: u16) -> Option<ValueBuf> {
    let mut json = String::from("\"");
    json.extend((0..letters).map(|_| 'x'));
    json.push('"');
    ValueBuf::new(Value::from_json(&json).ok()?).ok()
}

/// Whether all nodes that are named are there.
fn named(nodes: u32, adversaries: &[Placed], plan: &[(Duration, Plan)]) -> Result<(), WorldError> {
    let foes = adversaries.iter().flat_map(|placed| placed.targets.iter().chain(&placed.victim).copied());
    let planned = plan.iter().filter_map(|(_, step)| match step {
        Plan::Crash { node } | Plan::Start { node } | Plan::StepWall { node, .. } => Some(*node),
        Plan::Cut { .. } | Plan::Mend { .. } | Plan::Quiet => None,
    });
    match foes.chain(planned).find(|n| *n >= nodes) {
        Some(n) => Err(WorldError::NoMember(n)),
        None => Ok(()),
    }
}

impl World {
    /// Make a world.
    ///
    /// # Errors
    /// It cannot be.
    pub fn new(config: WorldConfig) -> Result<Self, WorldError> {
        let WorldConfig {
            nodes,
            seed,
            topology,
            links,
            node,
            trust,
            habits,
            clocks,
            adversaries,
            plan,
            keyed,
            fault,
            witness,
        } = config;
        let all = u64::from(nodes) + adversaries.len() as u64;
        if all > u64::from(MAX_MEMBERS) {
            return Err(WorldError::TooMany);
        }
        if links.is_empty() {
            return Err(WorldError::NoLinks);
        }
        named(nodes, &adversaries, &plan)?;
        let mut wires = topology.wires(nodes, &mut SimRng::new(&seed, "sim.topology"));
        for (me, placed) in (nodes..).zip(&adversaries) {
            let mut targets = placed.targets.clone();
            targets.sort_unstable();
            targets.dedup();
            wires.extend(targets.into_iter().map(|target| Wire { a: target, b: me, class: 0 }));
        }
        let mut world = Self {
            now: 0,
            members: Vec::with_capacity(all as usize),
            net: Net::new(all as usize, &wires, &links, SimRng::new(&seed, "sim.links")),
            taps: Vec::new(),
            observer: Observer::default(),
            payload: value(habits.payload)?,
            plan: Vec::new(),
            errands: Errands::default(),
            said: keyed.then(|| Said::new(nodes)),
            rng: SimRng::new(&seed, "sim.applications"),
            scratch: vec![0; MAX_DATAGRAM_V6],
            template: Template {
                config: NodeConfig { heartbeat_encoding: habits.encoding, durable: node.durable || keyed, ..node },
                answer: value(habits.answer)?,
                later: habits.later,
                lengthy: habits.lengthy.and_then(|(pattern, letters)| Some((pattern, letters_of(letters)?))),
                guests: !adversaries.is_empty(),
                keyed,
                fault,
                seeds: SimRng::new(&seed, "sim.nodes"),
            },
            habits,
            nodes,
            quiet: false,
            witness,
            lines: String::new(),
        };
        world.draw_trust(trust, &mut SimRng::new(&seed, "sim.trust"));
        world.people(clocks, &seed)?;
        world.place(adversaries, &seed);
        for (at, step) in plan {
            world.net.agenda.push(nanos(at), Due::Plan(world.plan.len() as u32));
            world.plan.push(step);
        }
        world.observer.counters_begin(world.members.len());
        Ok(world)
    }

    /// Tell the witness what a node wrote down.
    fn testify(&mut self, n: u32) {
        if let Some(witness) = &mut self.witness
            && let Role::Node(node) = &mut self.members[n as usize].role
        {
            self.lines.clear();
            node.take_lines(&mut self.lines);
            witness.lines(&self.lines);
        }
    }

    fn draw_trust(&mut self, trust: Trust, rng: &mut SimRng) {
        for edge in &mut self.net.edges {
            if edge.to < self.nodes {
                edge.zone = match () {
                    () if rng.chance(trust.rood) => Zone::Rood,
                    () if rng.chance(trust.geel) => Zone::Geel,
                    () => Zone::Groen,
                };
            }
        }
    }

    /// Start every node.
    fn people(&mut self, clocks: Clocks, seed: &Seed) -> Result<(), WorldError> {
        let mut rng = SimRng::new(seed, "sim.clocks");
        let offset = u64::try_from(clocks.offset.as_micros()).unwrap_or(u64::MAX / 4);
        let mut stores = SimRng::new(seed, "sim.stores");
        for n in 0..self.nodes {
            let off = rng.between(0, 2 * offset) as i64 - offset as i64;
            let ppm = rng.between(0, 2 * u64::from(clocks.drift_ppm)) as i32 - i32::from(clocks.drift_ppm);
            let clock = Clock::new(0, off, ppm);
            let node = self.born(n, clock.now(0))?;
            self.members.push(Member::new(Role::Node(node), clock, self.askable(n)));
            if self.template.config.durable {
                let store = MemoryStore::new(SimRng::new(&stores.seed(), "sim.store"));
                self.members[n as usize].store = Some(Box::new(store));
            }
            self.testify(n);
            self.begin(n);
        }
        Ok(())
    }

    /// A node that knows nothing but what its operator told it, and what it kept of an earlier life.
    fn born(&mut self, n: u32, now: Now) -> Result<Box<Recorded<Node>>, WorldError> {
        let Template { config, answer, later, lengthy, guests, keyed, fault, seeds } = &mut self.template;
        let refused = |error: &dyn ToString| WorldError::Node(error.to_string());
        let did = Did::new(Name::of(n).as_str()).map_err(|e| refused(&e))?;
        let mut config = NodeConfig { did, ..config.clone() };
        if *keyed {
            config.identity = Some(key(n).into());
        }
        let seed = seeds.seed();
        let node = Node::with_faults(config, &seed, Faults { fault: *fault }).map_err(|e| refused(&e))?;
        let mut node = match self.witness {
            Some(_) => node.begin((Some(n), Version::default()), &seed, Sink::Keep(String::new())),
            None => Recorded::off(node),
        };
        node.note_address(address(n));
        if let Some(store) = self.members.get(n as usize).and_then(|member| member.store.as_deref()) {
            for (key, value) in store.entries() {
                node.restore(key, value).map_err(|e| refused(&e))?;
            }
        }
        if !*keyed {
            node.allow_legacy("*").map_err(|e| refused(&e))?;
        }
        if let Some(pattern) = later {
            node.set_reply(pattern, Reply::Later).map_err(|e| refused(&e))?;
        }
        if let Some((pattern, answer)) = lengthy {
            node.set_reply(pattern, Reply::Now(answer.clone())).map_err(|e| refused(&e))?;
        }
        node.set_reply("*", Reply::Now(answer.clone())).map_err(|e| refused(&e))?;
        if *guests {
            let mut rule = Rule::new("guests", "guests wait", Zone::Geel);
            rule.source_did = Some("jis:guest:*");
            node.add_rule(&rule).map_err(|e| refused(&e))?;
        }
        for edge in self.net.edges_of(n) {
            let edge = &self.net.edges[edge as usize];
            let trust = match edge.zone {
                Zone::Groen => 0.9,
                Zone::Geel => 0.5,
                Zone::Rood => 0.1,
            };
            if edge.to < self.nodes {
                let name = Name::of(edge.to);
                node.set_trust(name.as_str(), trust).map_err(|e| refused(&e))?;
                if *keyed {
                    node.pin(now, name.as_str(), key(edge.to).public(), PinOrigin::Operator)
                        .map_err(|e| refused(&e))?;
                }
            }
        }
        Ok(Box::new(node))
    }

    /// How many of a node's edges lead to nodes; those to adversaries come after them.
    fn askable(&self, n: u32) -> u32 {
        let edges = self.net.edges_of(n);
        edges.filter(|e| self.net.edges[*e as usize].to < self.nodes).count() as u32
    }

    /// Put adversaries in their places.
    fn place(&mut self, adversaries: Vec<Placed>, seed: &Seed) {
        let mut rng = SimRng::new(seed, "sim.adversaries");
        for (me, placed) in (self.nodes..).zip(adversaries) {
            let Placed { adversary, victim, targets } = placed;
            if let Some(victim) = victim {
                let edges = self.net.edges_of(victim);
                self.taps.push((victim, me));
                for edge in edges {
                    let back = self.net.edges[edge as usize].back;
                    self.net.edges[edge as usize].tapped = true;
                    self.net.edges[back as usize].tapped = true;
                }
            }
            let foe = Foe { adversary, victim, targets, rng: SimRng::new(&rng.seed(), "sim.adversary") };
            self.members.push(Member::new(Role::Foe(Some(Box::new(foe))), Clock::new(0, 0, 0), 0));
            self.net.agenda.push(0, Due::Timer(me));
            self.members[me as usize].armed = 0;
        }
        self.taps.sort_unstable();
    }

    /// Let the world run until this virtual time since its beginning, or until something is wrong; whether nothing was.
    pub fn run_until(&mut self, until: Duration) -> bool {
        let until = nanos(until);
        while self.observer.is_content() {
            if self.net.agenda.has_news() && self.members.len() >= ahead::LARGE {
                self.look_ahead();
            }
            let Some((at, due)) = self.net.agenda.pop(until) else {
                self.now = self.now.max(until);
                self.sweep();
                return self.observer.is_content();
            };
            self.now = at;
            self.happen(due);
        }
        false
    }

    /// Let no application ask anything more, and run until every request has ended, or for an hour; whether nothing was
    /// wrong and no request is left.
    pub fn settle(&mut self) -> bool {
        self.quiet = true;
        for _ in 0..360 {
            if !self.run_until(Duration::from_nanos(self.now) + Duration::from_secs(10)) {
                return false;
            }
            if self.members.iter().all(|m| m.books.open() == 0) {
                return true;
            }
        }
        false
    }

    /// Virtual time since the beginning.
    #[must_use]
    pub const fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.now)
    }

    /// What happened so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.net.counts
    }

    /// What was wrong, in the order it was seen. A world stops at the first.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        self.observer.violations()
    }

    /// A digest of every datagram that reached a node, of what was turned away, and of when anything was sent. Runs with
    /// different digests were not the same; to compare byte for byte, have a [`Witness`].
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.net.trace.digest()
    }

    /// A node, unless it is down.
    #[must_use]
    pub fn node(&self, n: u32) -> Option<&Node> {
        match self.members.get(n as usize).map(|m| &m.role) {
            Some(Role::Node(node)) => Some(node),
            _ => None,
        }
    }

    /// The counters of a node that is up.
    #[must_use]
    pub fn stats(&self, n: u32) -> Option<Stats> {
        self.node(n).map(Node::stats)
    }

    /// Tell a node something (set a trust, add a rule, send a ping) with its own clock, and take out of it what
    /// that leaves to send. A request made here is not one of the world's own: who makes it need not look after it. From
    /// then on, until it is started again, the node may ask whom it likes, and whom it trusts is not checked.
    pub fn command<R>(&mut self, n: u32, tell: impl FnOnce(&mut Recorded<Node>, Now) -> R) -> Option<R> {
        let member = self.members.get_mut(n as usize)?;
        let now = member.clock.now(self.now);
        let Role::Node(node) = &mut member.role else { return None };
        let out = tell(node, now);
        member.books.commanded = true;
        self.drain(n, now, None, false);
        Some(out)
    }
}

impl core::fmt::Debug for World {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("World").field("elapsed", &self.elapsed()).field("nodes", &self.nodes).finish_non_exhaustive()
    }
}
