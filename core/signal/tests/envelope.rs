//! Envelopes: what the reference signs is read, what it refuses is refused, and what we sign it takes.

mod common;

use common::{bytes, key, rows, text};
use proptest::prelude::*;
use serde_json::Value;
use sluis_core::Seed;
use sluis_signal::envelope::{Content, EnvelopeError, HEADER_LEN, Kind, Unverified};
use sluis_signal::key::{KeyError, PublicKey, SecretKey};
use sluis_signal::text::{content_hash, received, survives};

fn verified(wire: &[u8]) -> Result<(PublicKey, Content<'_>), EnvelopeError> {
    let envelope = Unverified::parse(wire)?.verify()?;
    Ok((envelope.source, envelope.content))
}

/// What their decoder made of it.
fn check(packet: &Value, source: PublicKey, content: &Content<'_>) {
    assert_eq!(source.to_string(), text(packet, "src_pk_hex"));
    assert_eq!(content.queue[..], bytes(packet, "queue_id_hex"));
    assert_eq!(
        (u64::from(content.seq), content.timestamp),
        (packet["seq_no"].as_u64().unwrap(), packet["timestamp"].as_u64().unwrap())
    );
    assert_eq!(u64::from(content.kind), packet["msg_type"].as_u64().unwrap());
    assert_eq!(received(content.body), text(packet, "msg"));
}

#[test]
fn what_the_reference_signs_is_read() {
    for row in rows("app_packets_valid.jsonl") {
        let wire = bytes(&row, "wire_hex");
        let (source, content) = verified(&wire).unwrap_or_else(|why| panic!("{}: {why}", row["name"]));
        assert_eq!(source, key(text(&row, "signer")).public());
        assert_eq!(content.body, bytes(&row, "body_hex"));
        check(&row["unpack"], source, &content);
        assert_eq!(content.envelope_len() as u64, row["len"].as_u64().unwrap());
        // Ours of the same content differs in the signature only, and holds too.
        let mut ours = vec![0; wire.len()];
        assert_eq!(content.sign(&key(text(&row, "signer")), &mut ours), Ok(wire.len()));
        assert!(ours[..33] == wire[..33] && ours[97..] == wire[97..]);
        assert_eq!(verified(&ours), Ok((source, content)));
        assert!(ours[65] < 0x80, "a low s");
    }
}

#[test]
fn what_the_reference_refuses_is_refused_and_what_it_takes_is_taken() {
    let (mut taken, mut refused) = (0, 0);
    for row in rows("app_packets_malformed.jsonl") {
        // Rows about the type of the argument of a function have no bytes.
        let Some(_) = row["wire_hex"].as_str() else { continue };
        let wire = bytes(&row, "wire_hex");
        let packet = &row["result"]["packet"];
        match verified(&wire) {
            Ok((source, content)) => {
                check(packet, source, &content);
                taken += 1;
            }
            Err(why) => {
                assert!(packet.is_null(), "{}: {why}", row["name"]);
                assert_eq!(why == EnvelopeError::Short, wire.len() < HEADER_LEN, "{}", row["name"]);
                refused += 1;
            }
        }
    }
    assert_eq!((taken, refused), (3, 42));
}

/// The row whose nonce is that of RFC 6979: ours is the same, s made low.
#[test]
fn the_nonce_is_that_of_rfc_6979_with_the_digest_of_the_wire() {
    let rows = rows("app_packets_malformed.jsonl");
    let row = rows.iter().find(|row| text(row, "name").contains("RFC 6979")).unwrap();
    let wire = bytes(row, "wire_hex");
    let (_, content) = verified(&wire).unwrap();
    let mut ours = vec![0; wire.len()];
    content.sign(&key("alice"), &mut ours).unwrap();
    assert_eq!(ours[33..65], wire[33..65]);
    assert!(wire[65] >= 0x80 && ours[65] < 0x80);
    let mut again = vec![0; wire.len()];
    content.sign(&key("alice"), &mut again).unwrap();
    assert_eq!(ours, again);
}

#[test]
fn the_room_of_the_caller_is_respected() {
    let content = Content { queue: [0; 32], seq: 0, timestamp: 0, kind: Kind::Message as u8, body: b"abc" };
    assert_eq!(content.sign(&key("bob"), &mut [0; HEADER_LEN + 2]), Err(EnvelopeError::Room));
    assert_eq!(content.sign(&key("bob"), &mut [0; 999]), Ok(HEADER_LEN + 3));
    for kind in 0..=255 {
        assert_eq!(Kind::from_byte(kind).map(|known| known as u8), (1..=3).contains(&kind).then_some(kind));
    }
}

#[test]
fn texts_become_what_they_become_there() {
    let (mut sent, mut heard) = (0, 0);
    for row in rows("text_conversion.jsonl") {
        if text(&row, "dir").starts_with("sender") {
            // It drops what is not ASCII, and so does the hash by which a message is known.
            if let Some(said) = row["in_text"].as_str() {
                assert_eq!(content_hash(said.as_bytes()), content_hash(&bytes(&row, "out_hex")));
                sent += 1;
            }
        } else if text(&row, "dir").starts_with("receiver") {
            let body = bytes(&row, "in_hex");
            assert_eq!(received(&body), text(&row, "out_text"), "{row}");
            assert_eq!(survives(&body), text(&row, "out_text").as_bytes() == body);
            assert_eq!(content_hash(&body)[..], bytes(&row, "dedupe_sha256"), "{row}");
            heard += 1;
        }
    }
    assert!(sent >= 9 && heard >= 20, "{sent} {heard}");
}

#[test]
fn keys_have_one_spelling_each() {
    let alice = key("alice");
    let hex = alice.public().to_string();
    assert_eq!(hex.parse(), Ok(alice.public()));
    assert_eq!(alice.public().to_hex()[..], *hex.as_bytes());
    assert_eq!(hex.to_uppercase().parse::<PublicKey>(), Err(KeyError::Hex));
    assert_eq!(hex[2..].parse::<PublicKey>(), Err(KeyError::Hex));
    for prefix in [0, 1, 4, 5, 6, 7, 0x82] {
        let mut bytes = alice.public().to_bytes();
        bytes[0] = prefix;
        assert_eq!(PublicKey::from_bytes(bytes), Err(KeyError::NotAPoint));
    }
    let order: [u8; 32] =
        common::unhex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").try_into().unwrap();
    for bad in [[0; 32], order, [0xff; 32]] {
        assert_eq!(SecretKey::from_bytes(&bad).map(|_| ()), Err(KeyError::NotASecret));
    }
    assert!(key("alice") == alice && key("bob") != alice);
}

#[test]
fn keys_survive_pem_and_are_not_printed() {
    let alice = key("alice");
    let pem = alice.to_pem().unwrap();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert!(SecretKey::from_pem(&pem).unwrap() == alice);
    for broken in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        assert_eq!(SecretKey::from_pem(broken).map(|_| ()), Err(KeyError::Pem));
    }
    let public = alice.public().to_pem().unwrap();
    assert_eq!(PublicKey::from_pem(&public), Ok(alice.public()));
    assert_eq!(PublicKey::from_pem(&pem), Err(KeyError::Pem));
    // An Ed25519 key is of the wrong kind.
    let other = sluis_core::identity::SecretKey::from_seed(&[1; 32]).to_pem().unwrap();
    assert_eq!(SecretKey::from_pem(&other).map(|_| ()), Err(KeyError::Pem));
    let secret: String = alice.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let shown = format!("{alice:?} {:?}", alice.public());
    assert!(!shown.contains(&secret) && shown.contains("redacted"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// What is signed is read as it was; whatever is touched is refused.
    #[test]
    fn any_content_survives_and_no_touch_does(
        seed: u64, queue: [u8; 32], seq: u32, timestamp: u64, kind: u8, body in proptest::collection::vec(any::<u8>(), 0..200),
        at: prop::sample::Index, bit in 0..8_u8,
    ) {
        let key = SecretKey::generate(&mut Seed::from_u64(seed).fork("key"));
        let content = Content { queue, seq, timestamp, kind, body: &body };
        let mut wire = vec![0; content.envelope_len()];
        content.sign(&key, &mut wire).unwrap();
        prop_assert_eq!(verified(&wire), Ok((key.public(), content)));
        let at = at.index(wire.len());
        wire[at] ^= 1 << bit;
        prop_assert_eq!(verified(&wire), Err(EnvelopeError::Signature));
        prop_assert!(verified(&wire[..at]).is_err());
    }

    #[test]
    fn garbage_is_refused(wire in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(verified(&wire).is_err());
    }
}
