//! Keys against other implementations, and the one acceptance rule where it differs from theirs.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros, reason = "asks openssl")]

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT as B, EIGHT_TORSION};
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::{Verifier as _, VerifyingKey, verify_batch};
use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256, Sha512};
use sluis_core::identity::note::NoteKey;
use sluis_core::identity::{KeyError, MacKey, PublicKey, SecretKey, Signature};

const MESSAGE: &[u8] = b"what ran";

/// k = SHA-512(R ‖ A ‖ M), RFC 8032 5.1.7.
fn challenge(r: &[u8; 32], a: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(r).chain_update(a).chain_update(message).finalize();
    Scalar::from_bytes_mod_order_wide(&hash.into())
}

fn signature(r: &[u8; 32], s: &[u8; 32]) -> Signature {
    let mut out = [0; 64];
    out[..32].copy_from_slice(r);
    out[32..].copy_from_slice(s);
    out
}

/// What plain and batched verification of ed25519-dalek say.
fn others(key: [u8; 32], message: &[u8], signature: &Signature) -> [bool; 2] {
    let Ok(key) = VerifyingKey::from_bytes(&key) else { return [false; 2] };
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    let batch = verify_batch(&[message, message], &[signature, signature], &[key, key]);
    [key.verify(message, &signature).is_ok(), batch.is_ok()]
}

fn ours(key: [u8; 32], message: &[u8], signature: &Signature) -> bool {
    PublicKey::from_bytes(key).is_ok_and(|key| key.verify(message, signature).is_ok())
}

/// Find, by trying nonces, a signature by a key with this secret scalar and this torsion, for which the parts of small
/// order cancel out (or do not).
fn mixed(secret: Scalar, torsion: EdwardsPoint, cancels: bool) -> ([u8; 32], Signature) {
    let key = (B * secret + torsion).compress().to_bytes();
    (1_u64..200)
        .find_map(|n| {
            let nonce = Scalar::from(n);
            let r = (B * nonce).compress().to_bytes();
            let k = challenge(&r, &key, MESSAGE);
            let same = (torsion * k) == EdwardsPoint::default();
            (same == cancels).then(|| (key, signature(&r, &(nonce + k * secret).to_bytes())))
        })
        .unwrap()
}

#[test]
fn a_key_of_small_order_signs_anything_elsewhere_and_nothing_here() {
    for point in EIGHT_TORSION {
        let key = point.compress().to_bytes();
        assert_eq!(PublicKey::from_bytes(key), Err(KeyError::Weak));
        // s = 0 and R = -[k]A: for some message of a few, R is what the key is multiplied to.
        let forged = (0_u8..64).find_map(|n| {
            let r = EIGHT_TORSION.iter().map(|r| r.compress().to_bytes()).find(|r| {
                let k = challenge(r, &key, &[n]);
                (-(point * k)).compress().to_bytes() == *r
            })?;
            Some(([n], signature(&r, &[0; 32])))
        });
        let (message, forged) = forged.unwrap();
        // A batch multiplies both sides by numbers of its own, so what it says of points of small order is not even one
        // answer; about the neutral one it is sure.
        let [plain, batch] = others(key, &message, &forged);
        assert!(plain && (batch || point != EdwardsPoint::default()), "{point:?}");
        assert!(!ours(key, &message, &forged));
    }
}

#[test]
fn r_of_small_order_is_refused() {
    // R = 0: s = k a. Whoever knows the key can make it; the rule still has it that R says nothing then.
    let secret = Scalar::from(7_u64);
    let key = (B * secret).compress().to_bytes();
    let r = EdwardsPoint::default().compress().to_bytes();
    let made = signature(&r, &(challenge(&r, &key, MESSAGE) * secret).to_bytes());
    assert_eq!(others(key, MESSAGE, &made), [true, true]);
    assert!(!ours(key, MESSAGE, &made));
}

#[test]
fn other_spellings_of_a_key_are_refused() {
    // y + p for the small y that fit below 2^255: 19 values, with either sign of x.
    let mut points = 0;
    for y in 0..19_u8 {
        for sign in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (0xed + y, sign);
            points += u32::from(VerifyingKey::from_bytes(&bytes).is_ok());
            assert_eq!(PublicKey::from_bytes(bytes), Err(KeyError::NotCanonical));
        }
    }
    assert!(points > 10, "ed25519-dalek decodes {points} of them");
    // The largest y below p, and what lies around it.
    let mut below = [0xff; 32];
    (below[0], below[31]) = (0xec, 0x7f);
    assert_eq!(PublicKey::from_bytes(below), Err(KeyError::Weak), "-1 is of order 2");
}

#[test]
fn a_key_of_mixed_order_needs_the_exact_equation() {
    let secret = Scalar::from(11_u64);
    let torsion = EIGHT_TORSION[1];
    // Without a cofactor it depends on the message whether such a signature holds. Here as in plain verification:
    let (key, good) = mixed(secret, torsion, true);
    assert!(ours(key, MESSAGE, &good) && others(key, MESSAGE, &good)[0]);
    let (key, bad) = mixed(secret, torsion, false);
    assert!(!ours(key, MESSAGE, &bad) && !others(key, MESSAGE, &bad)[0]);
    // A verifier with a cofactor accepts what is refused here: [8][s]B = [8]R + [8][k]A.
    let [r, s] = [&bad[..32], &bad[32..]].map(|half| <[u8; 32]>::try_from(half).unwrap());
    let k = challenge(&r, &key, MESSAGE);
    let [a, r] = [key, r].map(|point| curve25519_dalek::edwards::CompressedEdwardsY(point).decompress().unwrap());
    let s = Scalar::from_canonical_bytes(s).unwrap();
    assert_eq!((B * s).mul_by_cofactor(), (r + a * k).mul_by_cofactor());
}

#[test]
fn s_has_one_spelling() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let key = SecretKey::from_seed(&[1; 32]);
    let good = key.sign_now(MESSAGE);
    assert!(ours(key.public().to_bytes(), MESSAGE, &good));
    // s + L is the same scalar.
    let (mut other, mut carry) = (good, 0);
    for (byte, add) in other[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert!(!ours(key.public().to_bytes(), MESSAGE, &other));
    assert_eq!(others(key.public().to_bytes(), MESSAGE, &other), [false, false]);
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_no_bit_may_change(
        seed: [u8; 32], message in prop::collection::vec(any::<u8>(), 0..200), bit in 0..512_usize,
    ) {
        let key = SecretKey::from_seed(&seed);
        let good = key.sign_now(&message);
        prop_assert!(key.public().verify(&message, &good).is_ok());
        prop_assert!(others(key.public().to_bytes(), &message, &good)[0]);
        let mut bad = good;
        bad[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(key.public().verify(&message, &bad).is_err());
        let mut other = message;
        other.push(0);
        prop_assert!(key.public().verify(&other, &good).is_err());
    }

    #[test]
    fn what_is_accepted_here_is_accepted_by_plain_verification(
        a: [u8; 32], r: [u8; 32], s: [u8; 32], torsion in prop::option::of((0..8_usize, 0..8_usize)),
    ) {
        let (a, r) = torsion.map_or((a, r), |(a, r)| {
            (EIGHT_TORSION[a].compress().to_bytes(), EIGHT_TORSION[r].compress().to_bytes())
        });
        let made = signature(&r, &s);
        prop_assert!(!ours(a, MESSAGE, &made) || others(a, MESSAGE, &made)[0]);
    }

    #[test]
    fn written_forms_read_back(seed: [u8; 32], name in "[a-z./-]{1,20}") {
        let key = SecretKey::from_seed(&seed);
        let public = key.public();
        prop_assert_eq!(public.to_string().parse(), Ok(public));
        prop_assert_eq!(PublicKey::from_pem(&public.to_pem().unwrap()), Ok(public));
        prop_assert!(SecretKey::from_pem(&key.to_pem().unwrap()).unwrap() == key);
        let line = NoteKey::new(&name, public).unwrap().to_string();
        prop_assert_eq!(NoteKey::parse(&line).unwrap().key(), public);
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in ".{0,120}", bytes: [u8; 32]) {
        let _ = (PublicKey::from_pem(&text).is_ok(), SecretKey::from_pem(&text).is_ok(), NoteKey::parse(&text).is_ok());
        prop_assert!(PublicKey::from_bytes(bytes).is_ok_and(|key| key.to_bytes() == bytes) || !ours(bytes, MESSAGE, &[0; 64]));
    }

    #[test]
    fn tags_are_those_of_the_hmac_crate_in_any_chunking(
        key in prop::collection::vec(any::<u8>(), 0..200), message in prop::collection::vec(any::<u8>(), 0..300),
        cuts in prop::collection::vec(0..300_usize, 0..6),
    ) {
        let mut oracle = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        oracle.update(&message);
        let oracle: [u8; 32] = oracle.finalize().into_bytes().into();
        let ours = MacKey::new(&key);
        let mut mac = ours.begin();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(message.len())).chain([0, message.len()]).collect();
        cuts.sort_unstable();
        cuts.windows(2).for_each(|two| mac.update(&message[two[0]..two[1]]));
        prop_assert_eq!(mac.finish(), oracle);
        prop_assert!(ours.tag(&message) == oracle && ours.verify(&message, &oracle));
    }
}

/// The `openssl` binary, where there is one: it reads our keys, we read its keys, signatures hold in both directions.
/// (Fixed texts written by others are in the unit tests.)
#[test]
fn openssl_reads_our_keys_and_we_read_its_keys() {
    use std::process::Command;
    let openssl = |args: &[&str]| Command::new("openssl").args(args).output();
    let Ok(version) = openssl(&["version"]) else {
        assert!(std::env::var_os("CI").is_none(), "CI has no openssl: install it");
        return eprintln!("no openssl here: this was not tried");
    };
    let dir = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("openssl-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let [ours_pem, theirs_pem, message, made] = ["ours.pem", "theirs.pem", "message", "signature"].map(file);
    let run = |args: &[&str]| {
        let out = openssl(args).unwrap();
        assert!(out.status.success(), "{version:?} {args:?}: {out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    std::fs::write(&message, MESSAGE).unwrap();

    let ours = SecretKey::from_seed(&[7; 32]);
    std::fs::write(&ours_pem, &**ours.to_pem().unwrap()).unwrap();
    assert_eq!(run(&["pkey", "-in", &ours_pem, "-pubout"]), ours.public().to_pem().unwrap());
    run(&["pkeyutl", "-sign", "-inkey", &ours_pem, "-rawin", "-in", &message, "-out", &made]);
    assert_eq!(std::fs::read(&made).unwrap(), ours.sign_now(MESSAGE));

    run(&["genpkey", "-algorithm", "ed25519", "-out", &theirs_pem]);
    let text = std::fs::read_to_string(&theirs_pem).unwrap();
    let theirs = SecretKey::from_pem(&text).unwrap();
    assert_eq!(*theirs.to_pem().unwrap(), text);
    std::fs::write(&made, theirs.sign_now(MESSAGE)).unwrap();
    run(&["pkeyutl", "-verify", "-inkey", &theirs_pem, "-rawin", "-in", &message, "-sigfile", &made]);
    std::fs::remove_dir_all(&dir).unwrap();
}
