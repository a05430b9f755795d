//! Whole pings: a datagram is handed to the hub, its answer is taken, its event is read; beside serde doing only the
//! decoding and encoding. And what bad input costs.

use std::hint::black_box;

use criterion::Criterion;
use sluis_benches::contenders::{WholePing, WholePingFloor, floor_name};
use sluis_benches::memory::World;
use sluis_benches::nodes::{Packets, Pair};
use sluis_benches::samples::ENCODINGS;
use sluis_core::framing::Encoding;

/// Everything in this file.
pub(crate) fn all(c: &mut Criterion) {
    whole(c);
    drivers(c);
    refused(c);
}

fn whole(c: &mut Criterion) {
    let mut group = c.benchmark_group("datagram to response");
    for (encoding, name) in ENCODINGS {
        let mut ours = WholePing::new(encoding);
        group.bench_function(format!("{name}/sluis"), |b| b.iter_custom(|n| ours.run(n)));
        let mut sealed = WholePing::sealed(encoding);
        group.bench_function(format!("{name}/sluis, through a session"), |b| b.iter_custom(|n| sealed.run(n)));
        let mut floor = WholePingFloor::new(encoding);
        let floor_name = floor_name(encoding);
        group.bench_function(format!("{name}/{floor_name}"), |b| b.iter_custom(|n| floor.run(n)));
    }
    let mut ours = WholePing::with_rules(Encoding::Json, 1000);
    group.bench_function("json/sluis, 1000 rules", |b| b.iter_custom(|n| ours.run(n)));
}

/// Sensor and hub, each behind its driver, joined in memory: both sides of a round trip without sockets.
fn drivers(c: &mut Criterion) {
    let mut group = c.benchmark_group("round trip over two drivers");
    for (encoding, name) in ENCODINGS {
        let mut world = World::new(encoding, 64);
        world.run(20_000);
        group.bench_function(name, |b| {
            b.iter_custom(|n| {
                let began = std::time::Instant::now();
                assert_eq!(world.run(n), n);
                began.elapsed()
            });
        });
    }
}

fn refused(c: &mut Criterion) {
    let mut group = c.benchmark_group("refused");
    let mut answers = Packets::default();
    for (name, trust, replay) in [("rood", 0.1, false), ("replay", 0.9, true)] {
        let mut pair = Pair::new(trust, Encoding::Json);
        let mut ping = pair.ask_and_forget().to_vec();
        if replay {
            pair.tell_hub(&mut ping, &mut answers).expect("the first time it is accepted");
        }
        group.bench_function(name, |b| b.iter(|| pair.tell_hub(black_box(&mut ping), &mut answers).is_err()));
    }
    let mut pair = Pair::new(0.9, Encoding::Json);
    let mut garbage = [0x55u8; 517];
    group.bench_function("garbage", |b| b.iter(|| pair.tell_hub(black_box(&mut garbage), &mut answers).is_err()));
}
