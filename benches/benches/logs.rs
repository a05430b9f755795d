//! Logs: appending, proving, verifying, beside the hashing that they need.

use criterion::{Criterion, Throughput};
use sluis_benches::logs::{Append, append_floor, file};
use sluis_chain::log::merkle::{RawLeaves, leaf_hash, prove_inclusion, verify_inclusion};
use sluis_chain::verify::{Settings, Verifier};
use sluis_core::Seed;

/// Everything in this file.
pub(crate) fn all(c: &mut Criterion) {
    let mut group = c.benchmark_group("logs");
    let (content, leaf) = Append::new().hashed();
    group.bench_function("floor: SHA-256 of what an append hashes", |b| b.iter(|| append_floor(&content, &leaf)));
    let mut append = Append::new();
    group.bench_function("append", |b| b.iter(|| append.step()));

    let leaves: Vec<u8> = (0..1000_u32).flat_map(|n| leaf_hash(&n.to_le_bytes())).collect();
    group.bench_function("inclusion proof from 1,000 leaf hashes", |b| {
        b.iter(|| prove_inclusion(&mut RawLeaves(&leaves), 500, 1000));
    });
    let path = prove_inclusion(&mut RawLeaves(&leaves), 500, 1000).expect("in range");
    let root = sluis_chain::log::merkle::root_of(&mut RawLeaves(&leaves), 1000).expect("in range");
    let leaf = leaf_hash(&500_u32.to_le_bytes());
    group.bench_function("verify an inclusion proof", |b| b.iter(|| verify_inclusion(&leaf, 500, 1000, &path, &root)));

    for (linked, name) in [(false, "of the reference"), (true, "of a linked log")] {
        let file = file(1000, linked);
        group.throughput(Throughput::Bytes(file.len() as u64));
        group.bench_function(format!("verify 1,000 tokens {name}"), |b| {
            b.iter(|| {
                let mut verifier = Verifier::new(Settings::default(), None, &Seed::from_u64(1));
                verifier.push(&file, &mut |finding| panic!("{finding}"));
                verifier.finish(&mut |finding| panic!("{finding}")).0
            });
        });
    }
    group.finish();
}
