//! Whole networks in one process, on virtual time (feature `sim`).
//!
//! A [`World`] holds nodes, the links between them, applications on top, adversaries, and an observer. It needs no runtime, no
//! clock and no thread, and draws everything from one seed: the same seed gives the same run, byte for byte, so a run that
//! fails is a number that replays.
//!
//! * **Time** is virtual. Each node has clocks of its own ([`Clock`](clock::Clock)): off, fast or slow, stepped.
//! * **Links** ([`LinkConfig`]) delay, lose (one by one or in bursts), duplicate, reorder, corrupt, and limit length,
//!   bandwidth and queue. They are laid out by a [`Topology`]; [`Plan`]ned cuts take the network apart and mend it.
//! * **Nodes** are real [`Node`](crate::node::Node)s; they crash and start again with a fresh seed. [`adversary`] has those who
//!   mean harm.
//! * **Keys**: where nodes have them ([`WorldConfig::keyed`]), the world knows who said what, and whoever has no key is to be believed nothing.
//! * **Stores** ([`MemoryStore`]) lose power: what was not confirmed may be kept or lost.
//! * **Local networks** on which everybody can be called are [worlds of their own](Lan): a [`Crowd`], a [`Flood`], and [homes](run_home) in which devices are found by name.
//! * **Meshes** of [relays](crate::relay), some of which mean harm, are [worlds of their own](run_mesh), too.
//! * **Invariants** are checked on the node that was touched after every event, and on everything every 1,000 events: see
//!   [`Invariant`]. A world stops at the first that does not hold.
//! * [`Scenario`]s are worlds by name; `swarm` in `sluis-benches` runs them with thousands of seeds. A [`Fault`] switches
//!   one protection of the nodes off, to prove that its absence is noticed.
//!
//! ```
//! use sluis_core::sim::{Scenario, Setup};
//! use sluis_core::time::Duration;
//!
//! let mut world = Scenario::Random.build(&Setup::new(20, 7))?;
//! assert!(world.run_until(Duration::from_secs(10)), "{:?}", world.violations());
//! assert!(world.counts().deliveries > 1_000);
//! # Ok::<(), sluis_core::sim::ScenarioError>(())
//! ```
//!
//! To test decisions of your own, start from a [`WorldConfig`], look at nodes with [`World::node`] and tell them
//! things with [`World::command`].
//!
//! With the feature `std` the room also has the conformance suite for adapters, small machines to try drivers with, and
//! [networks of byte streams](streams).
#![allow(
    clippy::cast_possible_truncation,
    reason = "members, edges, datagrams and errands are numbered below 2^32; random bits are cut on purpose"
)]

#[cfg(feature = "sim")]
pub mod adversary;
#[cfg(feature = "sim")]
mod agenda;
#[cfg(feature = "sim")]
pub mod clock;
#[cfg(all(feature = "sim", feature = "std"))]
pub mod conformance;
#[cfg(feature = "std")]
mod keeper;
#[cfg(feature = "sim")]
mod lan;
#[cfg(feature = "sim")]
mod link;
#[cfg(feature = "std")]
pub mod machines;
#[cfg(feature = "sim")]
mod mesh;
#[cfg(feature = "sim")]
mod names;
#[cfg(feature = "sim")]
mod rng;
#[cfg(feature = "sim")]
mod scenario;
#[cfg(feature = "sim")]
mod store;
#[cfg(feature = "std")]
pub mod streams;
#[cfg(feature = "sim")]
mod topology;
#[cfg(feature = "sim")]
mod transit;
#[cfg(feature = "sim")]
mod world;

#[cfg(feature = "sim")]
pub use self::{
    lan::{
        Beacon, Crowd, CrowdReport, Flood, Lan, LanCounts, LanInvariant, LanNodeError, LanRun, LanTold, LanViolation,
        run_home,
    },
    link::{LinkConfig, Loss, Lost},
    mesh::{MeshConditions, MeshCounts, MeshInvariant, MeshRun, MeshSetup, MeshViolation, run_mesh},
    names::{MAX_MEMBERS, Name, address, key, member},
    rng::SimRng,
    scenario::{Scenario, ScenarioError, Setup},
    store::MemoryStore,
    topology::{Topology, Wire},
    transit::Origin,
    world::{
        Clocks, Counts, Fault, Habits, Invariant, MAX_NODES, Part, Placed, Plan, Trust, Violation, Witness, World,
        WorldConfig, WorldError,
    },
};
