//! Envelopes.

use proptest::prelude::*;
use sluis_chain::export::{Envelope, EnvelopeError, KeyId, PAYLOAD_TYPE, Statement, pae};

use super::*;

#[test]
fn pae_is_that_of_the_specification() {
    let mut out = Vec::new();
    pae(&mut out, "http://example.com/HelloWorld", b"hello world").expect("room");
    assert_eq!(out, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    out.clear();
    pae(&mut out, "ż", b"").expect("room");
    assert_eq!(out, "DSSEv1 2 ż 0 ".as_bytes());
}

#[test]
fn key_ids_are_those_of_securesystemslib() {
    // SSlibKey.from_crypto of the public key of the secret 0101…01.
    assert_eq!(
        KeyId::of(&key(1).public()).as_str(),
        "7ab6b86cb2c9684b0ddc10896153aa2595decf4d4327a5ff1a8ab7422c828b12"
    );
}

#[test]
fn an_envelope_of_others_is_read() {
    // The specification's example: another kind of key, no key id.
    let text = r#"{"payload": "aGVsbG8gd29ybGQ=", "payloadType": "http://example.com/HelloWorld", "more": [],
        "signatures": [{"sig": "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==", "x": 1}]}"#;
    let envelope = Envelope::parse(text).expect("an envelope");
    assert_eq!(envelope.key_ids().collect::<Vec<_>>(), [""]);
    let error = envelope.verify(&keys(&[1]), 1).expect_err("not by this key");
    assert_eq!(error, EnvelopeError::Unverified { found: 0, threshold: 1 });
    // Both alphabets.
    let mut signed = Envelope::new("t", b"\xfb\xff\xfe");
    signed.sign(&key(1)).expect("signed");
    let standard = signed.to_json();
    let url_safe = standard.replace('+', "-").replace("/", "_");
    assert_ne!(standard, url_safe);
    for text in [standard, url_safe] {
        let envelope = Envelope::parse(&text).expect("an envelope");
        assert_eq!(envelope.verify(&keys(&[1]), 1).expect("signed").payload(), b"\xfb\xff\xfe");
    }
}

#[test]
fn what_is_no_envelope_is_refused() {
    use EnvelopeError::{Base64, Member, NotJson, TooManySignatures};
    let many = format!(r#"{{"payload":"","payloadType":"","signatures":[{}]}}"#, vec![r#"{"sig":""}"#; 65].join(","));
    for (text, error) in [
        ("", NotJson),
        ("[]", NotJson),
        ("{", NotJson),
        ("{}", Member("payload")),
        (r#"{"payload":1}"#, Member("payload")),
        (r#"{"payload":"a"}"#, Base64("payload")),
        (r#"{"payload":"aGk"}"#, Base64("payload")),
        (r#"{"payload":"aG k"}"#, Base64("payload")),
        (r#"{"payload":"+-==","payloadType":""}"#, Base64("payload")),
        (r#"{"payload":""}"#, Member("payloadType")),
        (r#"{"payload":"","payloadType":"\ud800"}"#, Member("payloadType")),
        (r#"{"payload":"","payloadType":""}"#, Member("signatures")),
        (r#"{"payload":"","payloadType":"","signatures":{}}"#, Member("signatures")),
        (r#"{"payload":"","payloadType":"","signatures":[1]}"#, Member("sig")),
        (r#"{"payload":"","payloadType":"","signatures":[{"keyid":"a"}]}"#, Member("sig")),
        (r#"{"payload":"","payloadType":"","signatures":[{"sig":"","keyid":1}]}"#, Member("keyid")),
        (r#"{"payload":"","payloadType":"","signatures":[{"sig":"!"}]}"#, Base64("sig")),
        (&many, TooManySignatures),
    ] {
        assert_eq!(Envelope::parse(text), Err(error), "{text}");
    }
    Envelope::parse(r#" { "payload" : "" , "payloadType" : "" , "signatures" : [ ] } "#).expect("empty, but there");
    let null = r#"{"payload":"","payloadType":"","signatures":[{"sig":"","keyid":null}]}"#;
    Envelope::parse(null).expect("a key id that is null is none, as other tools write it");
}

#[test]
fn as_many_different_keys_as_are_asked_for() {
    let mut envelope = Envelope::new(PAYLOAD_TYPE, b"{}");
    for n in [1, 2, 1] {
        envelope.sign(&key(n)).expect("signed");
    }
    assert_eq!(envelope.key_ids().count(), 2, "one for each key");
    assert_eq!(envelope.verify(&keys(&[3, 2, 1]), 2).expect("two signed").signers(), keys(&[2, 1]));
    assert_eq!(envelope.verify(&keys(&[2, 3]), 1).expect("one signed").signers(), keys(&[2]));
    let unverified = |found, threshold| Some(EnvelopeError::Unverified { found, threshold });
    assert_eq!(envelope.verify(&keys(&[2, 3]), 2).err(), unverified(1, 2));
    let threshold = |keys, threshold| Some(EnvelopeError::Threshold { keys, threshold });
    assert_eq!(envelope.verify(&keys(&[1]), 0).err(), threshold(1, 0));
    assert_eq!(envelope.verify(&keys(&[1, 1]), 2).err(), threshold(1, 2));
    assert_eq!(envelope.verify(&[], 1).err(), threshold(0, 1));

    // The same signature twice is one signer.
    let text = envelope.to_json();
    let (head, list) = text.split_once("\"signatures\":[").expect("signatures");
    let first = list.split_once("},").expect("two").0;
    let twice = format!("{head}\"signatures\":[{first}}},{first}}}]}}");
    assert_eq!(Envelope::parse(&twice).expect("an envelope").verify(&keys(&[1, 2]), 2).err(), unverified(1, 2));
}

#[test]
fn a_key_id_decides_nothing() {
    let mut envelope = Envelope::new(PAYLOAD_TYPE, b"{}");
    envelope.sign(&key(1)).expect("signed");
    let (text, own) = (envelope.to_json(), KeyId::of(&key(1).public()));
    let other = KeyId::of(&key(2).public());
    for keyid in ["", "whatever", other.as_str()] {
        let renamed = Envelope::parse(&text.replace(own.as_str(), keyid)).expect("an envelope");
        assert_eq!(renamed.verify(&keys(&[2, 1]), 1).expect("signed").signers(), keys(&[1]), "{keyid}");
        assert_eq!(renamed.verify(&keys(&[2]), 1).err(), Some(EnvelopeError::Unverified { found: 0, threshold: 1 }));
    }
    let bare = text.replace(&format!("\"keyid\":\"{own}\","), "");
    assert_ne!(bare, text);
    assert!(Envelope::parse(&bare).expect("an envelope").verify(&keys(&[2, 1]), 1).is_ok());
}

#[test]
fn every_changed_character_is_found() {
    let statement = state(&survey()).expect("a statement");
    let mut envelope = statement.envelope();
    envelope.sign(&key(1)).expect("signed");
    let text = envelope.to_json();
    let known = keys(&[1]);
    let mut parsed = 0;
    for position in 0..text.len() {
        for bit in [1, 4, 32] {
            let mut bytes = text.clone().into_bytes();
            bytes[position] ^= bit;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            let Ok(changed) = Envelope::parse(&changed) else { continue };
            parsed += 1;
            if let Ok(verified) = changed.verify(&known, 1) {
                // Only what is not covered may differ: the key id.
                assert_eq!(verified.statement(), Ok(statement.as_json().as_bytes()), "at {position}");
                assert_ne!(changed.key_ids().next(), envelope.key_ids().next(), "at {position}");
            }
        }
    }
    assert!(parsed > text.len(), "{parsed} of {}", text.len());
}

#[test]
fn another_payload_type_is_another_text() {
    let mut envelope = Envelope::new("application/json", b"{}");
    envelope.sign(&key(1)).expect("signed");
    let verified = envelope.verify(&keys(&[1]), 1).expect("signed");
    assert_eq!(verified.statement(), Err(EnvelopeError::PayloadType));
    let relabelled = envelope.to_json().replace("application/json", PAYLOAD_TYPE);
    Envelope::parse(&relabelled).expect("an envelope").verify(&keys(&[1]), 1).expect_err("signed as something else");
}

proptest! {
    #[test]
    fn whatever_is_signed_comes_back(payload: Vec<u8>, payload_type in ".{0,40}", signers in 1_u8..5) {
        let mut envelope = Envelope::new(&payload_type, &payload);
        let numbers: Vec<u8> = (1..=signers).collect();
        for n in &numbers {
            envelope.sign(&key(*n)).expect("signed");
        }
        let received = Envelope::parse(&envelope.to_json()).expect("its own text");
        prop_assert_eq!(&received, &envelope);
        let known = keys(&numbers);
        let verified = received.verify(&known, known.len()).expect("all signed");
        prop_assert_eq!(verified.payload(), &payload[..]);
        prop_assert_eq!(verified.payload_type(), &payload_type);
        prop_assert_eq!(verified.signers(), &known[..]);
    }

    #[test]
    fn another_payload_is_never_verified(payload: Vec<u8>, other: Vec<u8>, payload_type in "[a-z ]{0,8}", other_type in "[a-z ]{0,8}") {
        prop_assume!((&payload, &payload_type) != (&other, &other_type));
        let sign = |payload_type: &str, payload: &[u8]| {
            let mut envelope = Envelope::new(payload_type, payload);
            envelope.sign(&key(1)).expect("signed");
            envelope.to_json()
        };
        let signatures = |text: &str| text.split_once("\"signatures\"").expect("signatures").1.to_owned();
        let (one, two) = (sign(&payload_type, &payload), sign(&other_type, &other));
        let mixed = two.replace(&signatures(&two), &signatures(&one));
        prop_assert!(Envelope::parse(&mixed).expect("an envelope").verify(&keys(&[1]), 1).is_err());
    }

    #[test]
    fn any_text_is_read_or_refused(text: String) {
        let _ = Envelope::parse(&text);
        let _ = Statement::read(text.as_bytes(), None);
    }
}
