//! Tokens: reading, hashing, verifying, writing, beside raw hashes and serde_json.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};
use sluis_benches::tokens::{Kind, line};
use sluis_chain::token::Token;
use sluis_core::identity::MacKey;

/// Everything in this file.
pub(crate) fn all(c: &mut Criterion) {
    for (kind, name) in Kind::ALL {
        one(c, kind, name);
    }
}

fn one(c: &mut Criterion, kind: Kind, name: &str) {
    let mut group = c.benchmark_group(format!("tokens/{name}"));
    let key = MacKey::new(b"your_secret_key");
    let (plain, mac) = (line(kind, 7, None), line(kind, 7, Some(&key)));
    let token = Token::parse(&plain).expect("a token");
    let mut input = Vec::new();
    token.hash_input(&mut input).expect("room");
    group.throughput(Throughput::Bytes(plain.len() as u64));
    group.bench_function("floor: IgnoredAny and SHA-256 of the line", |b| {
        b.iter(|| {
            let _: IgnoredAny = serde_json::from_str(black_box(&plain)).expect("JSON");
            Sha256::digest(plain.as_bytes())
        });
    });
    group.bench_function("floor: SHA-256 of what is hashed", |b| b.iter(|| Sha256::digest(black_box(&input))));
    let floor = Hmac::<Sha256>::new_from_slice(b"your_secret_key").expect("any length");
    group.bench_function("floor: HMAC of what is hashed", |b| {
        b.iter(|| {
            let mut mac = floor.clone();
            mac.update(black_box(&input));
            mac.finalize().into_bytes()
        });
    });
    group.bench_function("read", |b| b.iter(|| Token::parse(black_box(&plain)).map(|token| token.state)));
    group.bench_function("hash", |b| b.iter(|| black_box(&token).content_hash(None)));
    group.bench_function("verify", |b| b.iter(|| Token::parse(black_box(&plain)).map(|token| token.verify(None))));
    group.bench_function("verify HMAC", |b| {
        b.iter(|| Token::parse(black_box(&mac)).map(|token| token.verify(Some(&key))));
    });
    let mut out = vec![0; 4096];
    group.bench_function("write", |b| b.iter(|| black_box(&token).write_to(&mut out)));
}
