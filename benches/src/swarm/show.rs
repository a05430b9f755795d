//! What people and programs get to see.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluis_core::sim::MeshCounts;

use super::args::Args;
use super::run::{Progress, Total};

/// Failures that are shown one by one.
const SHOWN: usize = 10;

/// A line on stderr that is written over and over, once a run takes longer than a second.
#[derive(Debug)]
pub struct Ticker {
    start: Instant,
    /// When it was last written; `None`: not yet.
    last: Mutex<Option<Instant>>,
    seeds: u64,
    terminal: bool,
}

impl Ticker {
    /// For so many seeds.
    #[must_use]
    pub fn new(seeds: u64) -> Self {
        Self { start: Instant::now(), last: Mutex::new(None), seeds, terminal: stderr().is_terminal() }
    }

    /// Show the progress, if it is time: on a terminal five times a second, elsewhere every ten seconds.
    pub fn tick(&self, progress: &Progress) {
        let every = Duration::from_millis(if self.terminal { 200 } else { 10_000 });
        let Ok(mut last) = self.last.lock() else { return };
        let since = last.map_or(self.start.elapsed().saturating_sub(Duration::from_secs(1)), |at| at.elapsed());
        if since < every {
            return;
        }
        *last = Some(Instant::now());
        let seeds = progress.seeds.load(Ordering::Relaxed);
        let part = progress.part.load(Ordering::Relaxed) as f64 / 10.0;
        let deliveries = progress.deliveries.load(Ordering::Relaxed) as f64;
        let rate = deliveries / self.start.elapsed().as_secs_f64();
        let line = format!("{seeds}/{} seeds, this one {part:.0} %, {rate:.0} deliveries/s", self.seeds);
        let end = if self.terminal { "\r" } else { "\n" };
        let clear = if self.terminal { "\x1b[K" } else { "" };
        let _ = write!(stderr(), "{line}{clear}{end}").and_then(|()| stderr().flush());
    }

    /// Leave no half line behind.
    pub fn done(&self) {
        if self.terminal && self.last.lock().is_ok_and(|last| last.is_some()) {
            let _ = write!(stderr(), "\x1b[K");
        }
    }
}

/// What was wrong, and the summary, as objects.
#[must_use]
pub fn objects(args: &Args, total: &Total) -> Vec<Value> {
    let mut all = Vec::new();
    for outcome in total.failed.iter().take(SHOWN) {
        for violation in &outcome.findings {
            all.push(json!({
                "event": "violation",
                "seed": outcome.seed,
                "at_s": violation.at.as_secs_f64(),
                "node": violation.node,
                "invariant": violation.invariant,
                "detail": violation.detail,
                "replay": args.replay(outcome.seed),
            }));
        }
    }
    let mut summary = json!({
        "event": "summary",
        "scenario": args.scenario.name(),
        "nodes": args.nodes,
        "seeds": total.seeds,
        "events": total.events,
        "deliveries": total.deliveries,
        "violations": violations(total),
        "wall_s": total.wall.as_secs_f64(),
        "virtual_s": total.elapsed.as_secs_f64(),
        "bytes_per_node": total.bytes_per_node,
    });
    if let (Some(mesh), Some(summary)) = (&total.mesh, summary.as_object_mut()) {
        summary.insert("asked".into(), mesh.asked.into());
        summary.insert("delivered".into(), mesh.delivered.into());
        summary.insert("answered".into(), mesh.answered.into());
        summary.insert("hop_stretch".into(), stretch(mesh).into());
        summary.insert("altered".into(), mesh.altered.into());
        summary.insert("named".into(), mesh.named.into());
        summary.insert("flooded".into(), mesh.flooded.into());
        summary.insert("messages".into(), mesh.messages.into());
        summary.insert("of_flooding".into(), of_flooding(mesh).into());
    }
    all.push(summary);
    all
}

/// Hops taken for each of the shortest ways; 1 where nothing came.
fn stretch(mesh: &MeshCounts) -> f64 {
    if mesh.shortest == 0 { 1.0 } else { mesh.hops as f64 / mesh.shortest as f64 }
}

/// Datagrams that were sent, as a share of what flooding takes; 0 where nothing was asked.
fn of_flooding(mesh: &MeshCounts) -> f64 {
    mesh.messages as f64 / mesh.flooding.max(1) as f64
}

fn violations(total: &Total) -> usize {
    total.failed.iter().map(|outcome| outcome.findings.len()).sum()
}

/// The same for people.
#[must_use]
pub fn table(args: &Args, total: &Total) -> String {
    let (wall, elapsed) = (total.wall.as_secs_f64(), total.elapsed.as_secs_f64());
    let rate = |n: u64| n as f64 / wall.max(1e-9);
    let mut text = String::new();
    for outcome in total.failed.iter().take(SHOWN) {
        for violation in &outcome.findings {
            text += &format!("seed {}: {violation}\n  {}\n", outcome.seed, args.replay(outcome.seed));
        }
    }
    if let Some(more) = total.failed.len().checked_sub(SHOWN + 1) {
        text += &format!("and {} more seeds\n", more + 1);
    }
    let mut rows = vec![
        ("scenario", args.scenario.name().to_owned()),
        ("nodes", args.nodes.to_string()),
        ("seeds", total.seeds.to_string()),
        ("events", format!("{} ({:.0}/s)", total.events, rate(total.events))),
        ("deliveries", format!("{} ({:.0}/s)", total.deliveries, rate(total.deliveries))),
        ("violations", format!("{} in {} seeds", violations(total), total.failed.len())),
        ("wall", format!("{wall:.3} s")),
        ("virtual", format!("{elapsed:.3} s ({:.1} x real time)", elapsed / wall.max(1e-9))),
        ("bytes per node", total.bytes_per_node.to_string()),
        ("digest of the last seed", format!("{:016x}", total.digest)),
    ];
    if let Some(mesh) = &total.mesh {
        let part = |n: u64| format!("{n} of {} ({:.2} %)", mesh.asked, 100.0 * n as f64 / mesh.asked.max(1) as f64);
        rows.extend([
            ("delivered in three tries", part(mesh.delivered)),
            ("answered", part(mesh.answered)),
            ("hop stretch", format!("{:.2}", stretch(mesh))),
            ("altered on the way", format!("{}, {} times somebody was named", mesh.altered, mesh.named)),
            ("pings of floods", mesh.flooded.to_string()),
            ("datagrams of nodes", format!("{} ({:.2} % of flooding)", mesh.messages, 100.0 * of_flooding(mesh))),
        ]);
    }
    for (name, value) in rows {
        text += &format!("{name:<24} {value}\n");
    }
    text
}
