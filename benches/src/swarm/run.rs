//! Worlds, seed by seed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use sluis_core::sim::{
    LanNodeError, LanViolation, MeshCounts, Scenario, ScenarioError, Setup, Violation, World, WorldConfig, run_home,
};

use super::args::{Args, Protection, Which};
use super::{mux, record, relay, signal};
use crate::alloc::heap;

/// How much virtual time is simulated between two looks at the progress: this part of the whole.
const SLICES: u32 = 50;

/// Why nothing ran.
#[derive(Debug)]
pub enum Trouble {
    /// There is no such world.
    Scenario(ScenarioError),
    /// There is no such home, or mesh.
    Lan(LanNodeError),
    /// The recording cannot be written.
    Record(PathBuf, std::io::Error),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Scenario(error) => error.fmt(f),
            Self::Lan(error) => error.fmt(f),
            Self::Record(path, error) => write!(f, "cannot write {}: {error}", path.display()),
        }
    }
}

/// What was wrong.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Virtual time since the beginning.
    pub at: Duration,
    /// The node.
    pub node: usize,
    /// Which invariant.
    pub invariant: &'static str,
    /// What was seen.
    pub detail: String,
}

impl Finding {
    /// Of these parts.
    #[must_use]
    pub const fn new(at: Duration, node: usize, invariant: &'static str, detail: String) -> Self {
        Self { at, node, invariant, detail }
    }
}

impl From<&Violation> for Finding {
    fn from(violation: &Violation) -> Self {
        let Violation { at, node, invariant, detail } = violation;
        Self { at: *at, node: *node as usize, invariant: invariant.name(), detail: detail.clone() }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { at, node, invariant, detail } = self;
        write!(f, "{invariant} at node {node} after {:.6} s: {detail}", at.as_secs_f64())
    }
}

/// What one seed came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Events.
    pub events: u64,
    /// Datagrams that nodes took in.
    pub deliveries: u64,
    /// What was wrong.
    pub findings: Vec<Finding>,
    /// Virtual time that passed.
    pub elapsed: Duration,
    /// Digest of the run.
    pub digest: u64,
    /// What came of what was asked in a mesh.
    pub mesh: Option<MeshCounts>,
}

/// What all seeds came to.
#[derive(Clone, Debug, Default)]
pub struct Total {
    /// Seeds that ran.
    pub seeds: u64,
    /// Events of all.
    pub events: u64,
    /// Datagrams that nodes took in, of all.
    pub deliveries: u64,
    /// Wall time.
    pub wall: Duration,
    /// Virtual time of all together.
    pub elapsed: Duration,
    /// Heap of a node and its share of the world, at rest.
    pub bytes_per_node: u64,
    /// The seeds in which something was wrong, in order.
    pub failed: Vec<Outcome>,
    /// Digest of the last seed.
    pub digest: u64,
    /// What came of what was asked in all meshes.
    pub mesh: Option<MeshCounts>,
}

/// Progress of all threads.
#[derive(Debug, Default)]
pub struct Progress {
    /// Seeds done.
    pub seeds: AtomicU64,
    /// Deliveries so far.
    pub deliveries: AtomicU64,
    /// Thousandths of a seed done by the seeds that are running.
    pub part: AtomicU64,
}

/// Run every seed. `look` is called now and then, on the first thread, with what has been done.
///
/// # Errors
/// There is no such world, or it cannot be recorded.
pub fn run(args: &Args, look: &(dyn Fn(&Progress) + Sync)) -> Result<Total, Trouble> {
    let bytes_per_node = bytes_per_node(args).map_err(Trouble::Scenario)?;
    let start = Instant::now();
    let (next, progress) = (Mutex::new(args.seeds.clone()), Progress::default());
    let outcomes = Mutex::new(Vec::new());
    let work = |first: bool| -> Result<(), Trouble> {
        loop {
            let Some(seed) = next.lock().unwrap_or_else(PoisonError::into_inner).next() else { return Ok(()) };
            let outcome = one(args, seed, &progress, &|| {
                if first {
                    look(&progress);
                }
            })?;
            outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
        }
    };
    std::thread::scope(|scope| {
        // Where the system gives no more threads, fewer have more to do.
        let more = (1..args.jobs).map_while(|_| Builder::new().spawn_scoped(scope, || work(false)).ok());
        let others: Vec<_> = more.collect();
        let mut end = work(true);
        for other in others {
            end = end.and(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        end
    })?;
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|outcome| outcome.seed);
    let mut total = Total { wall: start.elapsed(), bytes_per_node, ..Total::default() };
    for outcome in outcomes {
        total.seeds += 1;
        total.events += outcome.events;
        total.deliveries += outcome.deliveries;
        total.elapsed += outcome.elapsed;
        total.digest = outcome.digest;
        if let Some(counts) = outcome.mesh {
            *total.mesh.get_or_insert_default() += counts;
        }
        if !outcome.findings.is_empty() {
            total.failed.push(outcome);
        }
    }
    Ok(total)
}

fn one(args: &Args, seed: u64, progress: &Progress, look: &dyn Fn()) -> Result<Outcome, Trouble> {
    let scenario = match args.scenario {
        Which::Signal | Which::Mux | Which::Lan | Which::Relay | Which::Mesh => {
            return pairs(args, seed, progress, look);
        }
        Which::Network(scenario) => scenario,
    };
    let mut config = scenario.config(&args.setup(seed)).map_err(Trouble::Scenario)?;
    let Some(path) = &args.record else { return in_world(args, seed, config, progress, look) };
    let unwritten = |error| Trouble::Record(path.clone(), error);
    let (witness, recording) = record::to(path).map_err(unwritten)?;
    config.witness = Some(witness);
    let outcome = in_world(args, seed, config, progress, look)?;
    recording.finish().map_err(unwritten)?;
    Ok(outcome)
}

/// Run pairs at brokers or at a hub, devices on local networks, or relays.
fn pairs(args: &Args, seed: u64, progress: &Progress, look: &dyn Fn()) -> Result<Outcome, Trouble> {
    sound(seed, || {
        let outcome = match (args.scenario, args.fault) {
            (Which::Mux, Some(Protection::Mux(fault))) => {
                mux::run(args.nodes, args.channels, seed, args.span, Some(fault))
            }
            (Which::Mux, _) => mux::run(args.nodes, args.channels, seed, args.span, None),
            (Which::Lan, _) => home(args, seed)?,
            (Which::Relay, fault) => {
                let fault = fault.and_then(Protection::of_nodes);
                relay::run(args.nodes, seed, args.span, fault).map_err(Trouble::Lan)?
            }
            (Which::Mesh, _) => relay::run_alone(args.nodes, seed, args.span).map_err(Trouble::Lan)?,
            (_, Some(Protection::Signal(fault))) => signal::run(args.nodes, seed, args.span, Some(fault)),
            _ => signal::run(args.nodes, seed, args.span, None),
        };
        progress.deliveries.fetch_add(outcome.deliveries, Ordering::Relaxed);
        progress.seeds.fetch_add(1, Ordering::Relaxed);
        look();
        Ok(outcome)
    })
}

/// Run devices on local networks.
fn home(args: &Args, seed: u64) -> Result<Outcome, Trouble> {
    let run = run_home(args.nodes as usize, seed, args.span).map_err(Trouble::Lan)?;
    let finding = |violation: &LanViolation| {
        let LanViolation { at, node, invariant, detail } = violation;
        Finding::new(*at, *node, invariant.name(), detail.clone())
    };
    Ok(Outcome {
        seed,
        events: run.counts.steps,
        deliveries: run.counts.deliveries,
        findings: run.violations.iter().map(finding).collect(),
        elapsed: run.elapsed,
        digest: run.digest,
        mesh: None,
    })
}

/// A panic is something wrong with its seed.
fn sound(seed: u64, run: impl FnOnce() -> Result<Outcome, Trouble>) -> Result<Outcome, Trouble> {
    // What is seen again after a panic is atomics and the recording, which is a prefix then.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        let detail = said.unwrap_or("something").to_owned();
        let findings = vec![Finding::new(Duration::ZERO, 0, "panic", detail)];
        Ok(Outcome { seed, events: 0, deliveries: 0, findings, elapsed: Duration::ZERO, digest: 0, mesh: None })
    })
}

/// Run one world; a panic in it is something wrong with this seed.
fn in_world(
    args: &Args,
    seed: u64,
    config: WorldConfig,
    progress: &Progress,
    look: &dyn Fn(),
) -> Result<Outcome, Trouble> {
    sound(seed, || in_sound_world(args, seed, config, progress, look))
}

fn in_sound_world(
    args: &Args,
    seed: u64,
    config: WorldConfig,
    progress: &Progress,
    look: &dyn Fn(),
) -> Result<Outcome, Trouble> {
    let mut world = World::new(config).map_err(|error| Trouble::Scenario(error.into()))?;
    let mut seen = 0;
    for slice in 1..=SLICES {
        let content = world.run_until(args.span * slice / SLICES);
        let deliveries = world.counts().deliveries;
        progress.deliveries.fetch_add(deliveries - seen, Ordering::Relaxed);
        seen = deliveries;
        if !content {
            break;
        }
        progress.part.store(u64::from(slice * 1000 / SLICES), Ordering::Relaxed);
        look();
    }
    progress.part.store(0, Ordering::Relaxed);
    progress.seeds.fetch_add(1, Ordering::Relaxed);
    Ok(outcome(seed, &world))
}

fn outcome(seed: u64, world: &World) -> Outcome {
    let counts = world.counts();
    Outcome {
        seed,
        events: counts.events,
        deliveries: counts.deliveries,
        findings: world.violations().iter().map(Finding::from).collect(),
        elapsed: world.elapsed(),
        digest: world.digest(),
        mesh: None,
    }
}

/// Heap that each node adds to the world of the first seed before anything has happened: the node itself and its share of links,
/// clocks and books, but not what every world has, however small.
fn bytes_per_node(args: &Args) -> Result<u64, ScenarioError> {
    match args.scenario {
        // Its machines are measured by the benches.
        Which::Signal | Which::Mux | Which::Lan | Which::Relay | Which::Mesh => Ok(0),
        Which::Network(scenario) => bytes_in(args, scenario),
    }
}

fn bytes_in(args: &Args, scenario: Scenario) -> Result<u64, ScenarioError> {
    let held = |nodes| -> Result<u64, ScenarioError> {
        let before = heap().held;
        let world = scenario.build(&Setup { nodes, ..args.setup(args.seeds.start) })?;
        let held = heap().held.saturating_sub(before) as u64;
        drop(world);
        Ok(held)
    };
    let nodes = args.nodes.max(2);
    let (one, all) = (held(1)?, held(nodes)?);
    Ok(all.saturating_sub(one) / u64::from(nodes - 1))
}

#[cfg(test)]
mod tests {
    use sluis_core::sim::adversary::{Adversary, AdversaryContext};
    use sluis_core::sim::{Placed, Scenario};

    use super::super::args::{Asked, parse};
    use super::{Progress, in_world};

    struct Bomb;

    impl Adversary for Bomb {
        fn wake(&mut self, _: &mut AdversaryContext<'_>) {
            panic!("boom");
        }
    }

    #[test]
    fn a_panic_is_something_wrong_with_its_seed() {
        let line = "--scenario random --nodes 4 --seeds 7..8";
        let Ok(Asked::Run(args)) = parse(line.split(' ').map(str::to_owned)) else { panic!() };
        let mut config = Scenario::Random.config(&args.setup(7)).unwrap();
        config.adversaries.push(Placed { adversary: Box::new(Bomb), victim: None, targets: vec![0] });
        let outcome = in_world(&args, 7, config, &Progress::default(), &|| {}).unwrap();
        assert_eq!((outcome.seed, outcome.findings.len()), (7, 1));
        assert_eq!((outcome.findings[0].invariant, &*outcome.findings[0].detail), ("panic", "boom"));
    }
}
