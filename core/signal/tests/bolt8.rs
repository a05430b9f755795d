//! The handshake over secp256k1 against the vectors of BOLT 8 (appendix A).

mod common;

use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use common::{bytes, rows, text, unhex};
use serde_json::Value;
use sluis_core::noise::{Finished, Handshake, NoiseError, Pattern, Role};
use sluis_signal::key::{PublicKey, Secp256k1Curve, SecretKey};

fn secret(row: &Value, name: &str) -> SecretKey {
    SecretKey::from_bytes(&bytes(row, name).try_into().unwrap()).unwrap()
}

/// Take an act apart: a version, which must be 0, and a message of the handshake.
fn read(side: &mut Handshake<Secp256k1Curve>, local: &SecretKey, act: &[u8]) -> Result<usize, NoiseError> {
    match act {
        [0, message @ ..] => side.read(local, message, &mut []),
        _ => Err(NoiseError::Unverified),
    }
}

fn write(side: &mut Handshake<Secp256k1Curve>, local: &SecretKey) -> Vec<u8> {
    let mut act = vec![0; 1 + side.message_len(0).unwrap()];
    side.write(local, b"", &mut act[1..]).unwrap();
    act
}

/// Play a row; whether it came to its end.
fn play(row: &Value) -> Option<Finished<Secp256k1Curve>> {
    let (local, ephemeral) = (secret(row, "static"), secret(row, "ephemeral"));
    let mut side = if text(row, "role") == "initiator" {
        let remote: PublicKey = text(row, "remote").parse().unwrap();
        Handshake::initiator(Pattern::Xk, b"lightning", Some(remote), ephemeral).unwrap()
    } else {
        Handshake::responder(Pattern::Xk, b"lightning", &local, ephemeral)
    };
    let steps = row["steps"].as_array().unwrap();
    for (at, step) in steps.iter().enumerate() {
        if step["output"].is_string() {
            assert!(side.is_our_turn());
            assert_eq!(write(&mut side, &local), bytes(step, "output"), "{}", row["name"]);
        } else if step["input"].is_string() {
            let result = read(&mut side, &local, &bytes(step, "input"));
            let fails = steps.get(at + 1).is_some_and(|next| next["error"].is_string());
            assert_eq!(result.is_err(), fails, "{} {}", row["role"], row["name"]);
        }
    }
    side.finish().ok()
}

/// What a plain cipher makes of it.
fn sealed(key: &[u8], counter: u64, message: &[u8]) -> Vec<u8> {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    let mut out = message.to_vec();
    let cipher = ChaCha20Poly1305::new_from_slice(key).unwrap();
    let tag = cipher.encrypt_inout_detached(&nonce.into(), b"", out.as_mut_slice().into()).unwrap();
    out.extend_from_slice(&tag);
    out
}

#[test]
fn acts_and_keys_are_those_of_the_page() {
    let rows = rows("bolt8.jsonl");
    let (mut good, mut bad) = (0, 0);
    for row in &rows {
        match play(row) {
            Some(ends) => {
                let (first, second) = (bytes(row, "first"), bytes(row, "second"));
                let initiator = text(row, "role") == "initiator";
                // The initiator sends under the first key.
                let (ours, theirs) = if initiator { (&first, &second) } else { (&second, &first) };
                for (key, end) in [(ours, &ends.send), (theirs, &ends.receive)] {
                    let mut message = *b"hello";
                    let tag = end.seal(3, b"", &mut message).unwrap();
                    assert_eq!([&message[..], &tag].concat(), sealed(key, 3, b"hello"));
                }
                good += 1;
            }
            None => bad += 1,
        }
    }
    assert_eq!((good, bad), (2, 13));
    // The page's first two messages, which it encrypts as a length and a text each.
    let ends = play(&rows[0]).unwrap();
    for (counter, plain, cipher) in [
        (0, &[0, 5][..], "cf2b30ddf0cf3f80e7c35a6e6730b59fe802"),
        (1, b"hello", "473180f396d88a8fb0db8cbcf25d2f214cf9ea1d95"),
        (2, &[0, 5], "72887022101f0b6753e0c7de21657d35a4cb"),
        (3, b"hello", "2a1f5cde2650528bbc8f837d0f0d7ad833b1a256a1"),
    ] {
        let mut message = plain.to_vec();
        let tag = ends.send.seal(counter, b"", &mut message).unwrap();
        assert_eq!([&message[..], &tag].concat(), unhex(cipher));
    }
}

#[test]
fn both_ends_of_the_page_meet() {
    let rows = rows("bolt8.jsonl");
    let ends = ["initiator", "responder"].map(|role| {
        let row = rows.iter().find(|row| row["role"] == role && row["name"] == "successful handshake").unwrap();
        play(row).unwrap()
    });
    assert_eq!(ends[0].hash, ends[1].hash);
    let key = |name| SecretKey::from_bytes(&[name; 32]).unwrap().public();
    assert_eq!((ends[0].remote, ends[1].remote), (key(0x21), key(0x11)));
    let local = SecretKey::from_bytes(&[0x11; 32]).unwrap();
    let side = Handshake::<Secp256k1Curve>::responder(Pattern::Xk, b"", &local, local.clone());
    assert_eq!(side.role(), Role::Responder);
}
