//! A snapshot as OpenMetrics text.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use sluis_core::Reject;
use sluis_core::relay::RelayReject;

use super::Commits;
use super::snapshot::{Relayed, Snapshot, Table};

/// What the text is.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All of it.
pub(super) fn openmetrics(snapshot: &Snapshot, commits: &Commits) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("sluis");
    registry.register_collector(Box::new(Collected { snapshot: snapshot.clone(), commits: commits.clone() }));
    let mut text = String::with_capacity(16 * 1024);
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Collected {
    snapshot: Snapshot,
    commits: Commits,
}

impl Collector for Collected {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Text(encoder);
        let snapshot = &self.snapshot;
        about(&mut page, snapshot)?;
        traffic(&mut page, snapshot)?;
        own(&mut page, snapshot)?;
        tables(&mut page, snapshot)?;
        sessions(&mut page, snapshot)?;
        snapshot.relay.as_ref().map_or(Ok(()), |relay| relayed(&mut page, relay))?;
        losses(&mut page, snapshot)?;
        let Commits { seconds, failed } = &self.commits;
        page.0
            .encode_descriptor(
                "store_commit",
                "Commits of the store of --state",
                Some(&Unit::Seconds),
                seconds.metric_type(),
            )
            .and_then(|encoder| seconds.encode(encoder))?;
        page.counter("store_commit_failures", "Commits of the store that failed", failed.get())
    }
}

fn about(page: &mut Text<'_>, snapshot: &Snapshot) -> fmt::Result {
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    page.0.encode_descriptor("build", "What runs", None, MetricType::Info)?.encode_info(&version)?;
    let help = "Since the node began";
    let mut encoder = page.0.encode_descriptor("uptime", help, Some(&Unit::Seconds), MetricType::Gauge)?;
    encoder.encode_gauge(&snapshot.uptime.as_secs_f64())
}

/// What came in, and what became of it.
fn traffic(page: &mut Text<'_>, snapshot: &Snapshot) -> fmt::Result {
    let stats = &snapshot.stats;
    page.counter(
        "received_datagrams",
        "Datagrams taken in; of several frames in one packet of a session each counts",
        stats.received,
    )?;
    page.counters(
        "datagrams",
        "Datagrams taken in, by what became of them",
        "outcome",
        [
            ("accepted", stats.accepted),
            ("waiting", stats.waiting),
            ("response", stats.responses),
            ("session", stats.sessions),
            ("beacon", stats.beacons),
            ("forwarded", stats.forwarded),
            ("rejected", stats.rejected.total()),
        ],
    )?;
    if !snapshot.refused_records.is_empty() {
        let refused = snapshot.refused_records.iter().copied();
        page.counters("refused_records", "Records that were refused, by reason", "reason", refused)?;
    }
    page.gauge("held_datagrams", "Datagrams that wait until the store has what they rest on", stats.held)?;
    let reasons = Reject::ALL.iter().map(|why| (why.name(), stats.rejected.get(*why)));
    page.counters("rejected_datagrams", "Datagrams turned away, by reason", "reason", reasons)?;
    page.counter("heartbeats", "Accepted heartbeats", stats.heartbeats)?;
    page.counters(
        "decisions",
        "Pings that waited for a decision, by what became of them",
        "outcome",
        [
            ("approved", stats.approved),
            ("refused", stats.refused),
            ("expired", stats.expired),
            ("displaced", stats.displaced),
        ],
    )?;
    page.counter("unanswered", "Accepted pings that were not answered in time", stats.unanswered)?;
    let [direct, relayed] = snapshot.paths;
    page.counters(
        "traced_pings",
        "Pings whose way is known from their trace",
        "path",
        [("direct", direct), ("relayed", relayed)],
    )
}

/// What the node does of its own accord.
fn own(page: &mut Text<'_>, snapshot: &Snapshot) -> fmt::Result {
    let stats = &snapshot.stats;
    page.counter("transmitted_datagrams", "Datagrams handed to the socket", stats.transmitted)?;
    page.counter("unsent_datagrams", "Of those, datagrams that did not leave", stats.unsent)?;
    page.counter("requests", "Requests of this node", stats.requests)?;
    page.counter("request_timeouts", "Of those, requests that nobody answered", stats.timeouts)
}

/// How full tables and queues are.
fn tables(page: &mut Text<'_>, snapshot: &Snapshot) -> fmt::Result {
    let all = || snapshot.tables.iter().chain(snapshot.relay.iter().flat_map(|relay| &relay.tables));
    let of = |what: fn(&Table) -> usize| all().map(move |table| (table.name, what(table) as u64));
    page.gauges("table_entries", "Entries of tables and queues", "table", of(|table| table.entries))?;
    page.gauges("table_capacity", "How many entries there may be", "table", of(|table| table.capacity))?;
    let peers = snapshot.stats.tables.peers as u64;
    let proven = snapshot.proven as u64;
    page.gauges(
        "peers",
        "Peers, by whether their address has proven itself",
        "address",
        [("proven", proven), ("unproven", peers.saturating_sub(proven))],
    )?;
    page.gauges(
        "peers_by_path",
        "Peers, by the way to them: heard from directly, or reached through a session over relays",
        "path",
        [("direct", peers), ("relayed", snapshot.relayed as u64)],
    )?;
    page.counter(
        "peers_displaced",
        "Peers that had proven nothing and made way for another",
        snapshot.stats.peers_displaced,
    )
}

/// What happened to encrypted sessions.
fn sessions(page: &mut Text<'_>, snapshot: &Snapshot) -> fmt::Result {
    let handshakes = |role| snapshot.sessions.get(&("up", role)).copied().unwrap_or_default();
    page.counters(
        "handshakes",
        "Handshakes of sessions that were brought to their end, by the side of this node",
        "role",
        [("initiator", handshakes("initiator")), ("responder", handshakes("responder"))],
    )?;
    let mut encoder = page.0.encode_descriptor(
        "session_changes",
        "What happened to sessions that were up",
        None,
        MetricType::Counter,
    )?;
    for ((state, reason), n) in snapshot.sessions.iter().filter(|((state, _), _)| *state != "up") {
        let labels = [("state", *state), ("reason", *reason)];
        ConstCounter::new(*n).encode(encoder.encode_family(&labels)?)?;
    }
    Ok(())
}

/// What was passed on for others, and what was not.
fn relayed(page: &mut Text<'_>, relay: &Relayed) -> fmt::Result {
    let stats = &relay.stats;
    page.counters(
        "relayed",
        "Passed on for others, by what it was",
        "kind",
        [("ping", stats.forwarded), ("answer", stats.answered), ("circuit", stats.carried)],
    )?;
    page.counter("relayed_copies", "Copies that went for pings: more where the way was not known", stats.copies)?;
    page.counter("relayed_unanswered", "Pings that were passed on and not answered in time", stats.silent)?;
    page.counter("relayed_circuit_bytes", "Bytes of circuits", stats.carried_bytes)?;
    let reasons = || RelayReject::ALL.iter().map(|why| (why.name(), stats.rejects.get(*why)));
    page.counters("relay_dropped", "Not passed on, by reason", "reason", reasons())?;
    let quotas = reasons().filter_map(|(name, n)| Some((name.strip_suffix("_quota")?, n)));
    page.counters("relay_quota_hits", "Of those, because a quota was used up, by whose", "quota", quotas)
}

/// What nobody will see.
fn losses(page: &mut Text<'_>, snapshot: &Snapshot) -> fmt::Result {
    page.counter("lost_output_lines", "Lines of output that nobody read in time", snapshot.lost_output)?;
    page.gauge("queued_output_bytes", "Bytes of output that wait for their reader", snapshot.queued_output as u64)?;
    let Some(recorded) = snapshot.recorded else { return Ok(()) };
    page.counter("recorded", "Happenings in the file of --record", recorded.recorded)?;
    page.counter("recorded_lost", "Happenings that are missing there", recorded.lost)
}

/// What is being written.
struct Text<'e>(DescriptorEncoder<'e>);

impl Text<'_> {
    fn counter(&mut self, name: &str, help: &str, n: u64) -> fmt::Result {
        ConstCounter::new(n).encode(self.0.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        of: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        of.into_iter().try_for_each(|(value, n)| ConstCounter::new(n).encode(encoder.encode_family(&[(label, value)])?))
    }

    fn gauge(&mut self, name: &str, help: &str, n: u64) -> fmt::Result {
        ConstGauge::new(whole(n)).encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        of: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        of.into_iter()
            .try_for_each(|(value, n)| ConstGauge::new(whole(n)).encode(encoder.encode_family(&[(label, value)])?))
    }
}

fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
