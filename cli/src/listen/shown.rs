//! What a listening node shows to a monitoring system (`--metrics`).

use std::net::SocketAddr;
use std::task::Context;

use sluis_core::node::{Event, Node, Stats};

use super::app::Listen;
use crate::metrics::{self, Commits, Metrics, Sessions, Snapshot};
use crate::trace;

/// The pages, and what is counted for them beside the node's own counters.
#[derive(Debug)]
pub(super) struct Shown {
    metrics: Metrics,
    sessions: Sessions,
    paths: [u64; 2],
}

impl Shown {
    pub(super) const fn new(metrics: Metrics) -> Self {
        Self { metrics, sessions: Sessions::new(), paths: [0; 2] }
    }

    pub(super) const fn addr(&self) -> SocketAddr {
        self.metrics.addr()
    }

    pub(super) fn commits(&self) -> Commits {
        self.metrics.commits.clone()
    }

    /// Count an event.
    pub(super) fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Session(change) => metrics::count(&mut self.sessions, change.state),
            Event::Trace(news) if news.request.is_none() => {
                self.paths[usize::from(trace::view::relays(news) != Some(0))] += 1;
            }
            _ => {}
        }
    }
}

impl Listen {
    /// Answer whoever asks.
    pub(super) fn show(&self, cx: &Context<'_>, node: &Node, stats: &Stats) {
        let Some(shown) = self.shown.as_ref().filter(|shown| shown.metrics.is_asked(cx)) else { return };
        let totals = self.totals(node);
        shown.metrics.answer(Snapshot {
            uptime: totals.elapsed,
            stats: *stats,
            tables: metrics::tables(node, stats),
            proven: node.peers().proven_len(),
            relayed: node.relayed_peers(),
            relay: metrics::relayed(node),
            refused_records: node.refused_records().collect(),
            sessions: shown.sessions.clone(),
            paths: shown.paths,
            lost_output: totals.lost_output.unwrap_or_default(),
            queued_output: self.out.unread(),
            recorded: totals.recorded,
        });
    }
}
