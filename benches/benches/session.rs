//! Sessions: packets beside the bare cipher, handshakes beside the bare operations on curves.

use std::hint::black_box;

use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce, Tag};
use criterion::Criterion;
use sluis_benches::sessions::{HandshakeFloor, Handshakes, SessionPair};
use sluis_core::session::{HEAD_ROOM, Suites, sealed_len};

/// Everything in this file.
pub(crate) fn all(c: &mut Criterion) {
    packets(c);
    handshakes(c);
}

fn packets(c: &mut Criterion) {
    let mut group = c.benchmark_group("session");
    for len in [61, 509, 1400] {
        let mut pair = SessionPair::default();
        // Time stands still as far as keys are concerned: they would be renewed in between.
        group.bench_function(format!("seal+open/{len} B"), |b| b.iter(|| pair.pass(1, black_box(len))));
        // The same cipher, its key set up for each packet, on what is encrypted of such a packet, with as much authenticated beside.
        let key = [7; 32];
        let (mut text, head) = (vec![7; sealed_len(len) - 40], [7; HEAD_ROOM - 3]);
        let mut n = 0_u64;
        group.bench_function(format!("floor: chacha20poly1305 both ways/{len} B"), |b| {
            b.iter(|| {
                n += 1;
                let mut nonce = [0; 12];
                nonce[4..].copy_from_slice(&n.to_le_bytes());
                let nonce = Nonce::from(nonce);
                let seal = ChaCha20Poly1305::new(black_box(&key).into());
                let tag = seal.encrypt_inout_detached(&nonce, &head, text.as_mut_slice().into()).expect("sealed");
                let open = ChaCha20Poly1305::new(black_box(&key).into());
                open.decrypt_inout_detached(&nonce, &head, text.as_mut_slice().into(), &Tag::from(tag))
                    .expect("opened");
            });
        });
    }
}

fn handshakes(c: &mut Criterion) {
    let mut group = c.benchmark_group("session handshake");
    for (suite, suites) in [(1, Suites::One), (2, Suites::Two)] {
        let (mut ours, floor) = (Handshakes::new(suites), HandshakeFloor::new(suites));
        group
            .bench_function(format!("IK, both sides, up to the first packet/suite {suite}"), |b| b.iter(|| ours.run()));
        group
            .bench_function(format!("floor: its bare asymmetric operations/suite {suite}"), |b| b.iter(|| floor.run()));
    }
}
