//! A registry with 100,000 devices: a name that is known, one that is not, what devices can do, and newer records.

use std::collections::HashMap;
use std::hint::black_box;

use criterion::Criterion;
use sluis_benches::fleet::{CAPABILITIES, Fleet};
use sluis_core::Seed;
use sluis_core::registry::{Record, ResolveConfig, Resolver, Unverified};

/// Everything in this file.
pub(crate) fn all(c: &mut Criterion) {
    registry(c);
}

fn registry(c: &mut Criterion) {
    // Run once, unmeasured, it is to be over soon.
    let count = if std::env::args().any(|arg| arg == "--bench") { 100_000 } else { 1_000 };
    let (mut fleet, mut registry) = Fleet::fill(count, |_| ());
    let resolver = Resolver::new(ResolveConfig::default(), &mut Seed::from_u64(3).fork("resolver"));
    let names: Vec<String> = (0..count).map(Fleet::did).collect();
    let map: HashMap<String, u32> = names.iter().cloned().zip(0..).collect();
    let mut group = c.benchmark_group("registry");
    let mut at = 0usize;
    let mut next = |len: usize| {
        at = (at + 40_503) % len;
        at
    };
    group.bench_function("floor: a hash map", |b| b.iter(|| map.get(black_box(&names[next(names.len())]))));
    group.bench_function("resolve, known", |b| {
        b.iter(|| {
            let known = resolver.known(Fleet::wall(), black_box(&names[next(names.len())]), &registry, |_| None);
            black_box(known).is_some()
        });
    });
    group.bench_function("resolve, unknown", |b| {
        b.iter(|| black_box(resolver.known(Fleet::wall(), black_box("jis:stranger"), &registry, |_| None)).is_none());
    });
    group.bench_function("find, the first 50 of a capability", |b| {
        b.iter(|| registry.find(Fleet::wall(), black_box(CAPABILITIES[next(8)])).take(50).count());
    });
    let (mut n, mut seq, mut buf) = (0, 1, [0; Record::MAX_LEN]);
    group.bench_function("floor: one signature made and verified", |b| {
        let mut other = [0; Record::MAX_LEN];
        b.iter(|| {
            let record = fleet.record(0, 2, &mut other);
            Unverified::parse(record.as_bytes()).and_then(Unverified::verify).is_ok()
        });
    });
    group.bench_function("the same, and the registry takes the newer record", |b| {
        b.iter(|| {
            n = (n + 1) % count;
            seq += u64::from(n == 0);
            let len = fleet.record(n, seq + 1, &mut buf).as_bytes().len();
            let record = Unverified::parse(&buf[..len]).and_then(Unverified::verify).expect("it is ours");
            fleet.register(&mut registry, &record)
        });
    });
}
