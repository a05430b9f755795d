//! The gate with 0, 50 and 1,000 rules, none of which matches: every one is asked.

use std::hint::black_box;

use criterion::Criterion;
use sluis_benches::nodes::rules;
use sluis_benches::samples::{INTENT, SENSOR};
use sluis_core::airlock::{Gate, GateConfig, Subject, glob};
use sluis_core::framing::PingType;

/// Everything in this file.
pub(crate) fn all(c: &mut Criterion) {
    gate(c);
    patterns(c);
}

fn gate(c: &mut Criterion) {
    let mut group = c.benchmark_group("gate");
    let subject = Subject { source_did: SENSOR, intent: INTENT, pod_id: None, ping_type: PingType::Intent };
    for count in [0, 50, 1000] {
        let mut gate = Gate::new(GateConfig::default()).expect("the defaults make sense");
        for rule in rules(count) {
            gate.add_rule(&rule).expect("within the limits");
        }
        group.bench_function(format!("{count} rules"), |b| b.iter(|| gate.judge(black_box(&subject), black_box(0.9))));
    }
}

fn patterns(c: &mut Criterion) {
    let mut group = c.benchmark_group("glob");
    for (name, pattern) in [("plain", INTENT), ("prefix", "temperature.*"), ("suffix", "*.report"), ("all", "*")] {
        group.bench_function(name, |b| b.iter(|| glob::matches(black_box(pattern), black_box(INTENT))));
    }
}
