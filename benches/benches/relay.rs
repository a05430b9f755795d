//! A relay: pings, with and without a record of their trace, and packets of circuits.

use criterion::Criterion;
use sluis_benches::contenders;
use sluis_benches::relaying::{Carried, Relaying};
use sluis_benches::relays::{Carrying, Forwarding};
use sluis_benches::samples::{ENCODINGS, ping_frame};
use sluis_core::framing::Encoding;

/// Everything in this file.
pub(crate) fn all(c: &mut Criterion) {
    let mut group = c.benchmark_group("relay");
    for (encoding, name) in ENCODINGS {
        let mut ours = Forwarding::new(encoding);
        group.bench_function(format!("ping/{name}"), |b| b.iter_custom(|n| ours.run(n)));
        let mut node = Relaying::new(encoding);
        group.bench_function(format!("ping, whole node/{name}"), |b| b.iter_custom(|n| node.run(n)));
        let frame = ping_frame(encoding);
        let mut floor = contenders::ours(&frame);
        group.bench_function(format!("floor: decode + encode/{name}"), |b| b.iter(&mut floor));
    }
    let mut traced = Forwarding::traced(Encoding::Json);
    group.bench_function("ping, traced/json", |b| b.iter_custom(|n| traced.run(n)));
    let mut traced = Relaying::traced(Encoding::Json);
    group.bench_function("ping, traced, whole node/json", |b| b.iter_custom(|n| traced.run(n)));
    for len in [128, 1400] {
        let mut node = Carried::new(len);
        group.bench_function(format!("circuit, whole node/{len} B"), |b| b.iter(|| node.pass()));
        let mut circuit = Carrying::new(len);
        group.bench_function(format!("circuit/{len} B"), |b| b.iter(|| circuit.pass()));
        group.bench_function(format!("floor: a header and a copy/{len} B"), |b| b.iter(|| circuit.copy()));
    }
}
