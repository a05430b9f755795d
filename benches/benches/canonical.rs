//! Canonical text: what a signature covers, and a larger value put in order.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use sluis_benches::samples::{ENCODINGS, ping_frame};
use sluis_core::data::{Counter, Separators, Value, canonical};
use sluis_core::framing::{Frame, Message};

/// Everything in this file.
pub(crate) fn all(c: &mut Criterion) {
    signature_payload(c);
    value(c);
}

fn signature_payload(c: &mut Criterion) {
    let mut group = c.benchmark_group("signature_payload");
    for (encoding, name) in ENCODINGS {
        let frame = ping_frame(encoding);
        let Ok(Frame { message: Message::Packet(ping), .. }) = Frame::decode(&frame) else { panic!("a ping") };
        let mut out = Vec::with_capacity(1024);
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                black_box(&ping).signature_payload(&mut out)
            });
        });
    }
}

fn value(c: &mut Criterion) {
    let mut group = c.benchmark_group("canonical");
    let members: Vec<String> = (0..100)
        .map(|i| format!(r#""key-{:02}":{{"z":{i}.5,"a":[{i},"text \u00e9",null,true],"m":{{}}}}"#, (i * 37) % 100))
        .collect();
    let text = format!("{{{}}}", members.join(","));
    let value = Value::from_json(&text).expect("JSON");
    group.throughput(Throughput::Bytes(text.len() as u64));
    let mut out = Vec::with_capacity(text.len() * 2);
    for (name, separators) in [("compact", Separators::Compact), ("spaced", Separators::Spaced)] {
        group.bench_function(format!("100 members/{name}"), |b| {
            b.iter(|| {
                out.clear();
                canonical::write(&mut out, black_box(value), separators)
            });
        });
    }
    group.bench_function("100 members/counted", |b| {
        b.iter(|| {
            let mut counter = Counter::default();
            canonical::write(&mut counter, black_box(value), Separators::Compact).map(|()| counter.count())
        });
    });
}
