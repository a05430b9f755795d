//! The peer table with 65,536 peers: one that is known, one that is not, and a full table that lets the oldest go.

use std::hint::black_box;

use criterion::Criterion;
use sluis_benches::nodes::sensor_addr;
use sluis_core::airlock::Rank;
use sluis_core::node::Peers;
use sluis_core::time::{Duration, Instant};
use sluis_core::{Path, Seed};

/// Everything in this file.
pub(crate) fn all(c: &mut Criterion) {
    peers(c);
}

fn peers(c: &mut Criterion) {
    const COUNT: u32 = 65_536;
    let mut peers = Peers::new(COUNT, 1 << 30, Duration::from_secs(90), Seed::from_u64(1).fork("peers").sip_key());
    let names: Vec<String> = (0..2 * COUNT).map(|i| format!("jis:fleet:sensor-{i:015}")).collect();
    let path = Path::to(sensor_addr());
    let mut now = Instant::ZERO;
    for name in names.iter().take(COUNT as usize) {
        let seat = peers.look_up(name);
        peers.record(now, seat, path, Rank::Proven);
    }
    let mut group = c.benchmark_group("peers");
    let mut at = 0usize;
    group.bench_function("known", |b| {
        b.iter(|| {
            at = (at + 40_503) % COUNT as usize;
            let seat = peers.look_up(black_box(&names[at]));
            peers.record(now, seat, path, Rank::Proven)
        });
    });
    group.bench_function("stranger in a full table", |b| {
        b.iter(|| peers.has_room_for(now, peers.look_up(black_box("jis:stranger")), Rank::Stranger));
    });
    group.bench_function("new in the place of a stale one", |b| {
        b.iter(|| {
            now = now + Duration::from_secs(91);
            at = (at + 1) % names.len();
            let seat = peers.look_up(black_box(&names[at]));
            peers.record(now, seat, path, Rank::Proven)
        });
    });
}
