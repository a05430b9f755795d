//! What a node is like at one moment: copied by its own task, written by another.

use std::collections::BTreeMap;
use std::time::Duration;

use sluis_core::node::{Node, SessionState, Stats};
use sluis_core::relay::{RelayConfig, RelayStats};

use crate::view::Recorded;

/// Counters and gauges.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) uptime: Duration,
    pub(crate) stats: Stats,
    /// Tables and queues of the node.
    pub(crate) tables: Vec<Table>,
    /// Of the peers, those whose address has proven itself.
    pub(crate) proven: usize,
    /// Names that are reached through sessions over relays.
    pub(crate) relayed: usize,
    pub(crate) relay: Option<Relayed>,
    /// Records that a registry refused, by reason.
    pub(crate) refused_records: Vec<(&'static str, u64)>,
    pub(crate) sessions: Sessions,
    /// Pings whose way is known from their trace: direct ones, and those that came over relays.
    pub(crate) paths: [u64; 2],
    /// Lines that nobody read, and bytes that wait for a reader.
    pub(crate) lost_output: u64,
    pub(crate) queued_output: usize,
    pub(crate) recorded: Option<Recorded>,
}

/// How full something is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) entries: usize,
    pub(crate) capacity: usize,
}

/// What a relay did, and how full its tables are.
#[derive(Clone, Debug)]
pub(crate) struct Relayed {
    pub(crate) stats: RelayStats,
    pub(crate) tables: Vec<Table>,
}

/// What happened to sessions, by what it was and why.
pub(crate) type Sessions = BTreeMap<(&'static str, &'static str), u64>;

/// Count what happened to a session.
pub(crate) fn count(sessions: &mut Sessions, state: SessionState) {
    let role = match state {
        SessionState::Up { initiator: true } => "initiator",
        SessionState::Up { initiator: false } => "responder",
        _ => state.reason().unwrap_or(""),
    };
    *sessions.entry((state.name(), role)).or_default() += 1;
}

/// The tables and queues of a node, and what they may hold.
pub(crate) fn tables(node: &Node, stats: &Stats) -> Vec<Table> {
    let (config, tables) = (node.config(), stats.tables);
    let caps = &config.caps;
    let table = |name, entries, capacity| Table { name, entries, capacity };
    let mut all = vec![
        table("peers", tables.peers, caps.peers as usize),
        table("waiting", tables.waiting, caps.waiting as usize),
        table("open", tables.open, caps.open as usize),
        table("requests", tables.requests, caps.requests as usize),
        table("nonces", tables.nonces, config.replay.max_entries),
        table("events", tables.events, caps.events as usize),
        table("transmits", tables.transmits, caps.transmits as usize),
        table("sessions", tables.sessions, config.session_caps.sessions),
    ];
    if let (Some(registry), Some(overlay)) = (node.registry(), &config.overlay) {
        all.push(table("records", registry.len(), overlay.registry.max_devices));
    }
    all
}

/// What a relay did, if the node is one.
pub(crate) fn relayed(node: &Node) -> Option<Relayed> {
    let (stats, config) = (node.relay_stats()?, node.config().relay.as_deref()?);
    let RelayConfig { max_seen, max_open, max_routes, max_neighbours, max_reservations, max_circuits, .. } = *config;
    let table = |name, entries, capacity| Table { name, entries, capacity };
    let tables = vec![
        table("relay_seen", stats.seen, max_seen),
        table("relay_open", stats.open, max_open),
        table("relay_routes", stats.routes, max_routes),
        table("relay_neighbours", stats.neighbours, max_neighbours),
        table("relay_reservations", stats.reservations, max_reservations),
        table("relay_circuits", stats.circuits, max_circuits),
        table("relay_unproven", stats.unproven, max_routes),
        // Of sources, of targets and of links.
        table("relay_quotas", stats.quotas, 5 * config.max_rates),
    ];
    Some(Relayed { stats, tables })
}
