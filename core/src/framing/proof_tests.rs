//! Proofs: what one covers, and what is refused. Every member of the schema takes part, also one that is added later.

use std::borrow::ToOwned as _;
use std::string::String;

use proptest::prelude::*;

use super::schema::packets;
use super::types::Word;
use super::{Encoding, Frame, Message, Number, Packet, Priority, ProofError, Response, Text, Value};
use crate::Seed;
use crate::data::EncodeError;
use crate::identity::{PublicKey, SecretKey};
use crate::limits::MAX_FRAME;

const ENCODINGS: [Encoding; 3] = [Encoding::Json, Encoding::Msgpack, Encoding::Postcard];

/// A member with another value than this one, by its kind.
macro_rules! changed {
    (text $old:expr) => {
        other($old, Text::new("1"), Text::new("2"))
    };
    (optional_text $old:expr) => {
        other($old, Some(Text::EMPTY), None)
    };
    (trailing_text $old:expr) => {
        None
    };
    (word $old:expr) => {
        next($old)
    };
    (level $old:expr) => {
        other($old, Priority::Lazy, Priority::Urgent)
    };
    (int $old:expr) => {
        $old ^ 1
    };
    (any $old:expr) => {
        other($old, Value::NULL, Value::EMPTY_ARRAY)
    };
    (array $old:expr) => {
        other($old, Value::EMPTY_ARRAY, Value::from_json("[null]").unwrap())
    };
    (object $old:expr) => {
        other($old, Value::EMPTY_OBJECT, Value::from_json(r#"{"":1}"#).unwrap())
    };
    (number $old:expr) => {
        other($old, Number::Int(0), Number::Float(0.0))
    };
    (optional_number $old:expr) => {
        other($old, Some(Number::Int(0)), None)
    };
}

fn other<T: Copy + PartialEq>(old: T, one: T, two: T) -> T {
    if old == one { two } else { one }
}

fn next<W: Word>(old: W) -> W {
    W::ALL[(usize::from(old.index()) + 1) % W::ALL.len()]
}

macro_rules! changes {
    ($(
        $(#[$meta:meta])* $packet:ident $title:literal { $($name:ident: $kind:ident $default:tt, $doc:literal;)+ }
    )+) => { $(
        impl<'a> $packet<'a> {
            /// The name of every member, and the packet with another value in it.
            fn changes(self) -> std::vec::Vec<(&'static str, Self)> {
                std::vec![$((stringify!($name), Self { $name: changed!($kind self.$name), ..self })),+]
            }
        }
    )+ };
}

packets!(changes);

fn key(n: u64) -> SecretKey {
    SecretKey::generate(&mut Seed::from_u64(n).fork("key"))
}

/// As the far end has it.
fn sent(message: Message<'_>, encoding: Encoding) -> &'static [u8] {
    let mut out = std::vec![0; MAX_FRAME];
    let len = message.encode(encoding, &mut out).unwrap();
    out.truncate(len);
    out.leak()
}

fn ping(texts: &[String; 4], payload: &'static str, hops: (i64, i64)) -> Packet<'static> {
    let text = |n: usize| Text::new(texts[n].clone().leak());
    Packet {
        packet_id: text(0),
        source_did: text(1),
        target_did: text(2),
        purpose: text(3),
        intent: text(0),
        payload: Value::from_json(payload).unwrap(),
        pod_id: (hops.0 % 2 == 0).then(|| text(1)),
        vouched_by: (hops.1 % 2 == 0).then(|| text(3)),
        hop_count: hops.0,
        max_hops: hops.1,
        nonce: text(2),
        timestamp: text(3),
        ..Packet::default()
    }
}

const PAYLOADS: [&str; 3] =
    [r#"{"b": 1.50, "a": [null, "\u00e9\ud83c\udf21"], "a": {}}"#, "{}", r#"[-0.0, 1e22, "\n"]"#];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_member_of_a_signed_ping_may_change_but_its_hops(
        texts: [String; 4], payload in prop::sample::select(&PAYLOADS[..]), hops: (i64, i64),
        encoding in prop::sample::select(&ENCODINGS[..]),
    ) {
        let (plain, key) = (ping(&texts, payload, hops), key(1));
        let public = key.public();
        let made = plain.sign(encoding, &key, &mut [0; 4096]).unwrap();
        let frame = sent(Message::Packet(made.on(plain)), encoding);
        let Ok(Frame { message: Message::Packet(heard), .. }) = Frame::decode(frame) else { panic!("a ping") };
        prop_assert_eq!(heard.verify(encoding, None), Ok(public));
        prop_assert_eq!(heard.verify(encoding, Some(&public)), Ok(public));
        let digest = heard.digest(encoding).unwrap();
        prop_assert_eq!(heard.verify_digest(&digest, Some(&public)), Ok(public));
        prop_assert_eq!(heard.verify_digest(&[0; 32], None), Err(ProofError::BadSignature));
        prop_assert_eq!(heard.verify_signature(&public, &mut [0; 4096]), Ok(()));
        prop_assert_eq!(heard.digest(encoding), made.on(plain).digest(encoding));
        prop_assert_eq!(made, heard.sign(encoding, &key, &mut [0; 4096]).unwrap(), "what is there already does not count");

        for (name, changed) in heard.changes() {
            let expected = match name {
                "hop_count" => Ok(public),
                "proof" => Err(ProofError::Missing),
                _ => Err(ProofError::BadSignature),
            };
            prop_assert_eq!(changed.verify(encoding, Some(&public)), expected, "{}", name);
            prop_assert_eq!(changed.verify(encoding, None), expected, "{}", name);
        }
        for other in ENCODINGS.into_iter().filter(|other| *other != encoding) {
            prop_assert_eq!(heard.verify(other, Some(&public)), Err(ProofError::BadSignature));
        }
    }

    #[test]
    fn no_member_of_a_signed_answer_may_change_nor_its_ping(
        texts: [String; 4], payload in prop::sample::select(&PAYLOADS[..]), score: f64,
        encoding in prop::sample::select(&ENCODINGS[..]),
    ) {
        let (ping, key) = (ping(&texts, payload, (0, 5)), key(2));
        let public = key.public();
        let asked = ping.digest(encoding).unwrap();
        let plain = Response {
            in_response_to: ping.packet_id,
            payload: ping.payload,
            trust_score: Number::Float(score),
            applied_rule: ping.pod_id,
            ..Response::default()
        };
        let made = plain.sign(encoding, &asked, &key).unwrap();
        let frame = sent(Message::Response(Response { proof: Some(made.as_text()), ..plain }), encoding);
        let Ok(Frame { message: Message::Response(heard), .. }) = Frame::decode(frame) else { panic!("a response") };
        prop_assert_eq!(heard.verify(encoding, &asked, None), Ok(public));
        prop_assert_eq!(heard.verify(encoding, &asked, Some(&public)), Ok(public));
        for (name, changed) in heard.changes() {
            let expected = if name == "proof" { ProofError::Missing } else { ProofError::BadSignature };
            prop_assert_eq!(changed.verify(encoding, &asked, Some(&public)), Err(expected), "{}", name);
        }
        for (name, other) in ping.changes().into_iter().filter(|(name, _)| !["hop_count", "proof"].contains(name)) {
            let other = other.digest(encoding).unwrap();
            prop_assert_eq!(heard.verify(encoding, &other, None), Err(ProofError::BadSignature), "{}", name);
        }
    }
}

#[test]
fn a_proof_has_one_spelling_and_one_key() {
    let (key, other) = (key(3), key(4));
    let plain = Packet { packet_id: Text::new("ping_1"), ..Packet::default() };
    let made = plain.sign(Encoding::Json, &key, &mut [0; 1024]).unwrap();
    let signed = made.on(plain);
    let proof = signed.proof.and_then(|text| text.as_str()).unwrap();
    let verify = |proof: &str, expected: Option<&PublicKey>| {
        Packet { proof: Some(Text::new(proof)), ..signed }.verify(Encoding::Json, expected)
    };
    let public = key.public();
    assert_eq!(verify(proof, Some(&public)), Ok(public));
    assert_eq!(verify(proof, Some(&other.public())), Err(ProofError::OtherKey));
    // The same key and signature, written otherwise.
    for bad in
        ["", &proof[1..], &proof[2..], &std::format!("{proof}00"), &proof.to_uppercase(), &proof.replace('a', "A")]
    {
        assert_eq!(verify(bad, None), Err(ProofError::Malformed), "{bad}");
        assert_eq!(verify(bad, Some(&public)), Err(ProofError::Malformed), "{bad}");
    }
    // s + L is the same scalar; strict verification knows one.
    let mut signature = [0; 64];
    crate::data::hex::parse(&proof.as_bytes()[64..], &mut signature).unwrap();
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    let malleable: String = signature.iter().map(|byte| std::format!("{byte:02x}")).collect();
    assert_eq!(verify(&(proof[..64].to_owned() + &malleable), None), Err(ProofError::BadSignature));
    // A key that everybody signs for, and other spellings of keys.
    for weak in ["01".to_owned() + &"00".repeat(31), "00".repeat(32), "ee".to_owned() + &"ff".repeat(30) + "7f"] {
        assert_eq!(verify(&(weak + &proof[64..]), None), Err(ProofError::Malformed));
    }
    // Somebody else's proof over the same, and our proof under somebody else's name.
    let theirs = plain.sign(Encoding::Json, &other, &mut [0; 1024]).unwrap();
    let theirs = theirs.on(plain).proof.and_then(|text| text.as_str()).unwrap().to_owned();
    assert_eq!(verify(&theirs, Some(&public)), Err(ProofError::OtherKey));
    assert_eq!(verify(&(proof[..64].to_owned() + &theirs[64..]), Some(&public)), Err(ProofError::BadSignature));
    assert_eq!(verify(&(theirs[..64].to_owned() + &proof[64..]), None), Err(ProofError::BadSignature));
}

#[test]
fn a_value_that_shows_more_than_was_signed_is_not_signed() {
    let key = key(7);
    let json = |text: &'static str| Value::from_json(text).unwrap();
    for (signed, shown) in [
        (r#"{"door":"north"}"#, json(r#"{"door":"south","door":"north"}"#)),
        (r#"{"a":[{"b":1}]}"#, json(r#"{"a":[{"b":2,"\u0062":1}]}"#)),
        (r#"{"a":0.0}"#, json(r#"{"a":1e-400}"#)),
        (r#"{"a":0.1}"#, json(r#"{"a":0.1000000000000000055}"#)),
        (r#"{"a":Infinity}"#, json(r#"{"a":1e999}"#)),
        (r#"{"a":1}"#, Value::from_msgpack(b"\x82\xa1a\x02\xa1a\x01").unwrap()),
    ] {
        let payload = json(signed);
        let ping = Packet { payload, ..Packet::default() };
        let made = ping.sign(Encoding::Json, &key, &mut [0; 1024]).unwrap();
        let ping = made.on(ping);
        assert_eq!(ping.verify(Encoding::Json, None), Ok(key.public()), "{signed}");
        let digest = ping.digest(Encoding::Json).unwrap();
        let altered = Packet { payload: shown, ..ping };
        assert_eq!(altered.digest(Encoding::Json).unwrap(), digest, "this is about what is signed alike");
        assert_eq!(altered.verify(Encoding::Json, None), Err(ProofError::Malformed), "{signed}");
        assert_eq!(altered.verify_digest(&digest, Some(&key.public())), Err(ProofError::Malformed), "{signed}");
        assert_eq!(altered.verify_signature(&key.public(), &mut [0; 1024]), Err(ProofError::Malformed), "{signed}");
        let answer = Response { payload, ..Response::default() };
        let proof = answer.sign(Encoding::Json, &digest, &key).unwrap();
        let answer = Response { proof: Some(proof.as_text()), ..answer };
        assert_eq!(answer.verify(Encoding::Json, &digest, None), Ok(key.public()), "{signed}");
        let altered = Response { payload: shown, ..answer };
        assert_eq!(altered.verify(Encoding::Json, &digest, None), Err(ProofError::Malformed), "{signed}");
    }
}

/// The order of the group of Ed25519.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

#[test]
fn the_signature_of_the_reference_covers_eight_members() {
    let key = key(5);
    let plain = Packet { source_did: Text::new("jis:a"), ..Packet::default() };
    let made = plain.sign(Encoding::Json, &key, &mut [0; 1024]).unwrap();
    let signed = made.on(plain);
    let covered = ["packet_id", "source_did", "target_did", "ping_type", "intent", "payload", "nonce", "timestamp"];
    for (name, changed) in signed.changes() {
        let expected = match name {
            "signature" => Err(ProofError::Malformed),
            _ if covered.contains(&name) => Err(ProofError::BadSignature),
            _ => Ok(()),
        };
        assert_eq!(changed.verify_signature(&key.public(), &mut [0; 1024]), expected, "{name}");
    }
    assert_eq!(plain.verify_signature(&key.public(), &mut [0; 1024]), Err(ProofError::Missing));
}

#[test]
fn what_cannot_be_signed_is_said() {
    let key = key(6);
    let bytes = Packet { payload: Value::from_msgpack(b"\xc4\x01x").unwrap(), ..Packet::default() };
    assert!(bytes.sign(Encoding::Msgpack, &key, &mut [0; 1024]).is_err());
    let made = Packet::default().sign(Encoding::Msgpack, &key, &mut [0; 1024]).unwrap();
    assert_eq!(made.on(bytes).verify(Encoding::Msgpack, None), Err(ProofError::Malformed));
    let small = Packet::default().sign(Encoding::Json, &key, &mut [0; 10]);
    assert_eq!(small, Err(super::SigningError::Text(EncodeError::BufferFull)));
}
