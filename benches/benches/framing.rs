//! Header, decode, encode, in every encoding, and decode with encode beside serde's way of doing the same.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use sluis_benches::contenders;
use sluis_benches::samples::{ENCODINGS, ping, ping_frame, response, response_frame};
use sluis_core::framing::{Encoding, Frame, Header};
use sluis_core::limits::MAX_FRAME;

/// Everything in this file.
pub(crate) fn all(c: &mut Criterion) {
    header(c);
    decode(c);
    encode(c);
    roundtrip(c);
    signed(c);
}

fn header(c: &mut Criterion) {
    let frame = ping_frame(Encoding::Json);
    c.bench_function("header/parse", |b| b.iter(|| Header::parse(black_box(&frame))));
    let header = Header::parse(&frame).expect("a header");
    c.bench_function("header/write", |b| b.iter(|| black_box(header).to_bytes()));
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for (encoding, name) in ENCODINGS {
        for (kind, frame) in [("ping", ping_frame(encoding)), ("response", response_frame(encoding))] {
            group.throughput(Throughput::Bytes(frame.len() as u64));
            group.bench_function(format!("{kind}/{name}"), |b| {
                b.iter(|| {
                    let _ = black_box(Frame::decode(black_box(&frame)));
                });
            });
        }
    }
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    let mut out = vec![0; MAX_FRAME];
    let (ping, response) = (ping(), response());
    for (encoding, name) in ENCODINGS {
        group.bench_function(format!("ping/{name}"), |b| b.iter(|| black_box(&ping).encode(encoding, &mut out)));
        group
            .bench_function(format!("response/{name}"), |b| b.iter(|| black_box(&response).encode(encoding, &mut out)));
    }
}

/// Decode a typical ping and encode it again; the floor is serde into borrowed structs.
fn roundtrip(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode+encode");
    for (encoding, name) in ENCODINGS {
        let frame = ping_frame(encoding);
        let mut ours = contenders::ours(&frame);
        group.bench_function(format!("{name}/sluis"), |b| b.iter(&mut ours));
        let mut floor = contenders::floor(encoding, &frame);
        group.bench_function(format!("{name}/{}", contenders::floor_name(encoding)), |b| b.iter(&mut floor));
    }
}

/// A hub that takes in a signed ping of a known key and signs its answer; the floor is the same unsigned, one strict
/// verification and one signature.
fn signed(c: &mut Criterion) {
    let mut group = c.benchmark_group("signed ping");
    for (encoding, name) in ENCODINGS {
        let mut ours = contenders::signed(encoding);
        group.bench_function(format!("{name}/sluis"), |b| b.iter(&mut ours));
        let mut floor = contenders::signed_floor(encoding);
        group.bench_function(format!("{name}/unsigned + Ed25519"), |b| b.iter(&mut floor));
    }
}
