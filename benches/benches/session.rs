//! Sessions: packets beside the bare cipher, handshakes beside the bare operations on curves.

use std::hint::black_box;

use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce, Tag};
use criterion::Criterion;
use sluis_benches::sessions::{HUB, SessionPair, at, paths, room, talk};
use sluis_core::Seed;
use sluis_core::identity::SecretKey;
use sluis_core::noise::{Curve as _, X25519};
use sluis_core::session::{HEAD_ROOM, Peer, sealed_len};

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
    let mut buf = vec![0; 1500];
    let (mut sensor, _) = room("jis:home:sensor", 1, 10);
    let (mut hub, key) = room(HUB, 2, 11);
    let mut millis = 1000;
    group.bench_function("IK, both sides, up to the first packet", |b| {
        b.iter(|| {
            millis += 1;
            let now = at(millis);
            let connected = sensor.connect(now, &Peer::pinned(HUB, key), paths()[0], b"").expect("a session");
            let up = talk(now, &mut sensor, &mut hub, &mut buf);
            assert!(up.iter().all(Option::is_some));
            sensor.close(now, connected.session);
            talk(now, &mut sensor, &mut hub, &mut buf);
        });
    });
    let mut rng = Seed::from_u64(3).fork("keys");
    let [a, b] = [X25519::generate(&mut rng), X25519::generate(&mut rng)];
    let [to_a, to_b] = [X25519::public(&a), X25519::public(&b)];
    let identity = SecretKey::generate(&mut rng);
    group.bench_function("floor: 2 new keys, 8 shared secrets, 2 signatures, 2 verified", |bench| {
        bench.iter(|| {
            for (ours, theirs) in [(&a, &to_b), (&b, &to_a)] {
                black_box(X25519::public(black_box(ours)));
                for _ in 0..4 {
                    black_box(X25519::dh(black_box(ours), black_box(theirs)));
                }
                let signature = identity.sign_now(black_box(&[7; 87]));
                identity.public().verify(black_box(&[7; 87]), &signature).expect("verified");
            }
        });
    });
}
