//! What has to hold in a mesh, and what is written down to see whether it does.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::framing::{Digest, Packet};
use crate::relay::trace::ping_digest;
use crate::relay::{Rate, RelayConfig};
use crate::time::Duration;

/// What has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MeshInvariant {
    /// Who changes a packet and does not hide from the trace is named by who reads it.
    Named,
    /// Nobody else is named.
    Wronged,
    /// What is taken in under a name whose key is known is what that name said.
    Genuine,
    /// A relay passes the same ping on once.
    Once,
    /// It does not pass it on to where it came from.
    Horizon,
    /// No ping leaves a relay with more hops than it may have.
    Hops,
    /// No ping is taken for one that was passed on before if it was not.
    Recognised,
    /// Nobody has more passed on than the quota of its name, its target and its link.
    Quota,
    /// No table is over its cap.
    Bounded,
    /// What a name asks whose key is known finds room, whoever floods.
    Crowded,
    /// An answer comes back where there is a live way.
    Lives,
}

impl MeshInvariant {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Wronged => "wronged",
            Self::Genuine => "genuine",
            Self::Once => "once",
            Self::Horizon => "horizon",
            Self::Hops => "hops",
            Self::Recognised => "recognised",
            Self::Quota => "quota",
            Self::Bounded => "bounded",
            Self::Crowded => "crowded",
            Self::Lives => "lives",
        }
    }
}

/// What did not hold.
#[derive(Clone, Debug)]
pub struct MeshViolation {
    /// When.
    pub at: Duration,
    /// At which member.
    pub node: usize,
    /// What should have held.
    pub invariant: MeshInvariant,
    /// What was seen.
    pub detail: String,
}

/// By what the world knows a ping again: all that it says but its hops, and its proof.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Print {
    pub(super) said: Digest,
    proof: Option<String>,
}

impl Print {
    pub(super) fn of(packet: &Packet<'_>, scratch: &mut [u8]) -> Option<Self> {
        let said = ping_digest(packet, scratch).ok()?;
        Some(Self { said, proof: packet.proof.map(|proof| proof.to_cow().into_owned()) })
    }
}

/// A quota, counted from outside.
#[derive(Debug)]
struct Bucket {
    at: u64,
    left: f64,
}

/// What one relay did in its life.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// What it passed on, and when.
    passed: BTreeMap<Print, u64>,
    buckets: BTreeMap<(u8, String), Bucket>,
}

/// The quotas of a relay.
#[derive(Clone, Copy)]
pub(super) enum Quota {
    Source,
    Target,
    Link,
}

impl Book {
    /// A ping was passed on; whether it was before, in the time for which a relay remembers it.
    pub(super) fn pass(&mut self, print: Print, now: u64, config: &RelayConfig) -> bool {
        let before = self.passed.insert(print, now);
        before.is_some_and(|at| now < at + config.seen_for.as_nanos() as u64)
    }

    /// Whether a ping that says this was passed on, with whatever proof.
    pub(super) fn knows(&self, said: &Digest) -> bool {
        let from = Print { said: *said, proof: None };
        self.passed.range(from..).next().is_some_and(|(print, _)| print.said == *said)
    }

    /// One more of a name, or from an address; whether that is over the rate.
    pub(super) fn charge(&mut self, quota: Quota, name: String, now: u64, rate: Rate) -> bool {
        let burst = f64::from(rate.burst);
        let bucket = self.buckets.entry((quota as u8, name)).or_insert(Bucket { at: now, left: burst });
        let more = (now - bucket.at) as f64 / 1e9 * f64::from(rate.per_second);
        (bucket.at, bucket.left) = (now, (bucket.left + more).min(burst) - 1.0);
        bucket.left < -0.001
    }
}

/// The record of a foe that names it.
#[derive(Debug)]
pub(super) struct Damning {
    pub(super) foe: u32,
    pub(super) signatures: Vec<[u8; 64]>,
    /// Another foe had it in its hands since.
    pub(super) void: bool,
}

/// What is known of all that happens, and nobody in the mesh knows.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) violations: Vec<MeshViolation>,
    /// What was asked under names whose keys are known.
    pub(super) made: BTreeSet<Print>,
    /// By packet id.
    pub(super) damning: BTreeMap<String, Damning>,
    /// Foes that changed something.
    pub(super) guilty: BTreeSet<String>,
    /// What is being taken in, and where it came from.
    pub(super) coming: Option<(Print, SocketAddr)>,
    /// Who was named since it was last looked: packet id, and the name.
    pub(super) told: Vec<(String, String)>,
}

impl Watch {
    pub(super) fn find(&mut self, now: u64, node: u32, invariant: MeshInvariant, detail: String) {
        if self.violations.len() < 20 {
            let (at, node) = (Duration::from_nanos(now), node as usize);
            self.violations.push(MeshViolation { at, node, invariant, detail });
        }
    }

    /// The foe that is to be named by whoever takes in this datagram.
    pub(super) fn to_be_named(&self, packet_id: &str, bytes: &[u8]) -> Option<u32> {
        let damning = self.damning.get(packet_id).filter(|damning| !damning.void)?;
        let is_there = |signature: &[u8; 64]| bytes.windows(64).any(|window| window == signature);
        damning.signatures.iter().any(is_there).then_some(damning.foe)
    }

    /// What every table of a relay has to keep to.
    pub(super) fn check_bounds(&mut self, now: u64, n: u32, stats: &crate::relay::RelayStats, config: &RelayConfig) {
        let tables = [
            ("seen", stats.seen, 2 * config.max_seen),
            ("open", stats.open, config.max_open),
            ("routes", stats.routes, config.max_routes),
            ("neighbours", stats.neighbours, config.max_neighbours),
            ("reservations", stats.reservations, config.max_reservations),
            ("circuits", stats.circuits, config.max_circuits),
            ("quotas", stats.quotas, 5 * config.max_rates),
        ];
        for (table, len, most) in tables {
            if len > most {
                self.find(now, n, MeshInvariant::Bounded, format!("{len} in {table}, {most} at most"));
            }
        }
    }
}
