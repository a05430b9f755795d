//! Envelopes and statements: the specification's own vectors, tampering of every kind, and chains that make no
//! statement.

use proptest::prelude::*;
use sluis_core::chain::export::{
    Envelope, EnvelopeError, KeyId, PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE, Statement, StatementError, pae,
};
use sluis_core::chain::token::Hash32;
use sluis_core::chain::workload::{Data, MAX_LINE, NewStep, NewWorkload, Protection, Workload};
use sluis_core::framing::Value;
use sluis_core::identity::{MacKey, PublicKey, SecretKey};
use sluis_core::table::Heap;
use sluis_core::{Instant, Now, Rng, Seed, Wall};

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

fn keys(numbers: &[u8]) -> Vec<PublicKey> {
    numbers.iter().map(|n| key(*n).public()).collect()
}

fn now(seconds: u64) -> Now {
    let micros = 1_736_942_400_000_000 + i64::try_from(seconds).expect("small") * 1_000_000;
    Now::new(Instant::from_nanos(seconds * 1_000_000_000), Wall::from_micros(micros))
}

fn rng(n: u64) -> Rng {
    Seed::from_u64(n).fork("export")
}

/// A pipeline that is run line by line.
struct Run<'k> {
    workload: Workload<Heap>,
    rng: Rng,
    protection: Protection<'k>,
    lines: Vec<String>,
    clock: u64,
}

impl<'k> Run<'k> {
    fn new(seed: u64, protection: Protection<'k>) -> Self {
        let mut rng = rng(seed);
        let new =
            NewWorkload { name: "survey", owner: "ops", actor: "jis:dispatch", node: "n1", ..NewWorkload::default() };
        let workload = Workload::new(now(0), &new, &mut rng).expect("a workload");
        let mut run = Self { workload, rng, protection, lines: Vec::new(), clock: 0 };
        run.write();
        run
    }

    fn write(&mut self) {
        let mut room = vec![0; MAX_LINE];
        while let Some(written) = self.workload.poll_token(&self.protection, &mut room) {
            let line = &room[..written.expect("room").len];
            self.lines.push(String::from_utf8(line.to_vec()).expect("ASCII"));
        }
    }

    /// Run a step with this output and these declared files.
    fn step(&mut self, name: &str, output: Data<'_>, files: Option<&str>) -> &mut Self {
        let metadata = files.map(|files| format!("{{\"outputs\": {files}}}"));
        let metadata = metadata.as_deref().map_or(Value::EMPTY_OBJECT, |text| Value::from_json(text).expect("JSON"));
        let new = NewStep { name, metadata, ..NewStep::default() };
        let sequence = self.workload.add(&new, &mut self.rng).expect("added");
        self.workload.start(now(self.clock + 1), sequence, Data::None, Some("jis:drone")).expect("started");
        self.workload.complete(now(self.clock + 2), sequence, output, None).expect("completed");
        self.clock += 2;
        self.write();
        self
    }

    fn close(&mut self) -> Vec<String> {
        self.workload.close(now(self.clock + 1)).expect("closed");
        self.write();
        self.lines.clone()
    }
}

fn json(text: &str) -> Data<'_> {
    Data::Value(Value::from_json(text).expect("JSON"))
}

fn state(lines: &[String]) -> Result<Statement, StatementError> {
    Statement::of(lines.iter().map(String::as_str), None, None)
}

fn survey() -> Vec<String> {
    let mut run = Run::new(1, Protection::default());
    run.step("plan", json(r#"{"route": [1, 2]}"#), None).step("fly", json(r#"{"photos": 12}"#), None);
    run.close()
}

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
        (r#"{"payload":"","payloadType":"","signatures":[{"sig":"","keyid":null}]}"#, Member("keyid")),
        (r#"{"payload":"","payloadType":"","signatures":[{"sig":"!"}]}"#, Base64("sig")),
        (&many, TooManySignatures),
    ] {
        assert_eq!(Envelope::parse(text), Err(error), "{text}");
    }
    Envelope::parse(r#" { "payload" : "" , "payloadType" : "" , "signatures" : [ ] } "#).expect("empty, but there");
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

    #[test]
    fn pipelines_of_any_shape_make_statements(names in prop::collection::btree_set("\\PC{1,12}", 0..6), seed: u64, closed: bool) {
        let mut run = Run::new(seed, Protection::default());
        for (n, name) in names.iter().enumerate() {
            let output = format!("{{\"n\": {n}, \"name\": {:?}}}", n % 2);
            run.step(name, if n % 3 == 2 { Data::None } else { json(&output) }, None);
        }
        let lines = if closed { run.close() } else { run.lines.clone() };
        let statement = state(&lines).expect("a statement");
        prop_assert_eq!(statement.lines(), &lines[..]);
        let read = Statement::read(statement.as_json().as_bytes(), None);
        prop_assert_eq!(read.as_ref(), Ok(&statement));
        let outputs = (0..names.len()).filter(|n| n % 3 != 2).count();
        prop_assert_eq!(statement.subjects().len(), outputs.max(1));
        // Any one line left out, any two swapped: no statement, or an honest one about fewer steps.
        for gone in 0..lines.len() {
            let mut fewer = lines.clone();
            fewer.remove(gone);
            prop_assert_eq!(state(&fewer).is_ok(), gone + 1 == lines.len() && gone > 0);
        }
        for n in 1..lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(n - 1, n);
            prop_assert!(state(&swapped).is_err());
        }
    }
}

#[test]
fn the_statement_is_what_in_toto_reads() {
    let lines = survey();
    let statement = state(&lines).expect("a statement");
    let value: serde_json::Value = serde_json::from_str(statement.as_json()).expect("JSON");
    assert_eq!(value["_type"], STATEMENT_TYPE);
    assert_eq!(value["predicateType"], PREDICATE_TYPE);
    let hash = |text: &str| {
        let hash =
            sluis_core::chain::workload::hash_value(Value::from_json(text).expect("JSON")).expect("a hash").to_hex();
        String::from_utf8(hash.to_vec()).expect("digits")
    };
    let (route, photos) = (hash(r#"{"route": [1, 2]}"#), hash(r#"{"photos": 12}"#));
    let subject = serde_json::json!([
        {"name": "fly", "digest": {"sha256": photos}},
        {"name": "plan", "digest": {"sha256": route}},
    ]);
    assert_eq!(value["subject"], subject);
    let predicate = &value["predicate"];
    assert_eq!(predicate["workload"]["id"], statement.workload().as_str());
    assert_eq!(predicate["workload"]["status"], "completed");
    assert_eq!(predicate["workload"]["coordinator"], "jis:dispatch");
    assert_eq!(predicate["workload"]["closedAt"], "2025-01-15T12:00:05+00:00");
    assert_eq!(predicate["steps"][1]["executor"], "jis:drone");
    assert_eq!(predicate["steps"][1]["inputSha256"], predicate["steps"][0]["outputSha256"]);
    assert_eq!(predicate["tokenHash"], "sha256");
    assert_eq!(predicate["tokens"], serde_json::json!(lines));
}

#[test]
fn declared_files_are_subjects_where_the_output_hash_covers_them() {
    let (a, b, c) = ("a".repeat(64), "b".repeat(64), "c".repeat(64));
    let first = format!(r#"{{"map.png": "{a}", "route.json": "{b}"}}"#);
    let second = format!(r#"{{"route.json": "{c}"}}"#);
    let names = |lines: &[String]| -> Vec<(String, Hash32)> {
        state(lines).expect("a statement").subjects().iter().map(|s| (s.name.clone(), s.sha256)).collect()
    };
    let mut run = Run::new(1, Protection::default());
    run.step("plan", json(&first), Some(&first)).step("mend", json(&second), Some(&second));
    let hash = |digit: u8| Hash32([digit; 32]);
    assert_eq!(names(&run.close()), [("map.png".to_owned(), hash(0xaa)), ("route.json".to_owned(), hash(0xcc))]);

    for wrong in [second.as_str(), r#"{"x": 1}"#, r#"{"x": "00"}"#, "[]", "{}"] {
        let mut run = Run::new(1, Protection::default());
        run.step("plan", json(&first), Some(wrong));
        let found = names(&run.close());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "plan", "{wrong}");
    }
    // Covered, but no digests.
    let odd = r#"{"x": {"y": "z"}}"#;
    let mut run = Run::new(1, Protection::default());
    run.step("plan", json(odd), Some(odd));
    assert_eq!(names(&run.close())[0].0, "plan");
}

#[test]
fn a_workload_without_output_is_its_own_subject() {
    use sha2::Digest as _;
    let mut run = Run::new(1, Protection::default());
    let expect = |lines: &[String], kind: &str| {
        let statement = state(lines).expect("a statement");
        let [subject] = statement.subjects() else { panic!("one subject") };
        let last = lines.last().expect("lines");
        assert!(subject.name.starts_with(kind) && last.contains(&format!("\"token_id\": \"{}\"", subject.name)));
        assert_eq!(subject.sha256.0[..], sha2::Sha256::digest(last.as_bytes())[..]);
        let status = if kind == "closed_" { "\"status\":\"completed\"" } else { "\"status\":\"open\"" };
        assert!(statement.as_json().contains(status));
    };
    expect(&run.lines, "workload_");
    run.step("look", Data::None, None);
    expect(&run.lines, "step_");
    expect(&run.close(), "closed_");
}

#[test]
fn one_workload_is_taken_from_among_others() {
    let mut other = Run::new(2, Protection::default());
    other.step("saw", json("1"), None);
    let (ours, others) = (survey(), other.close());
    let mixed: Vec<String> = ours
        .iter()
        .zip(&others)
        .flat_map(|(a, b)| [a.clone(), String::new(), b.clone()])
        .chain(ours.last().cloned())
        .collect();
    assert_eq!(state(&mixed), Err(StatementError::Several));
    let wanted = state(&ours).expect("a statement");
    let found = Statement::of(mixed.iter().map(String::as_str), Some(wanted.workload()), None).expect("found");
    assert_eq!(found, wanted);
    let missing = Statement::of(others.iter().map(String::as_str), Some(wanted.workload()), None);
    assert_eq!(missing, Err(StatementError::NoWorkload));
    assert_eq!(state(&[]), Err(StatementError::NoWorkload));
    assert!(matches!(state(&["no token".to_owned()]), Err(StatementError::Token { line: 1, .. })));
}

#[test]
fn changed_lines_make_no_statement() {
    let lines = survey();
    for n in 0..lines.len() {
        let mut changed = lines.clone();
        changed[n] = changed[n].replacen("\"node\": \"n1\"", "\"node\": \"n2\"", 1);
        assert_ne!(changed, lines);
        assert_eq!(state(&changed), Err(StatementError::ContentHash { line: n + 1 }));
    }
    let mut twice = lines.clone();
    twice.insert(2, lines[1].clone());
    assert_eq!(state(&twice), Err(StatementError::OutOfOrder { line: 3 }));
    let mut after = lines.clone();
    after.push(lines[2].clone());
    assert_eq!(state(&after), Err(StatementError::OutOfOrder { line: 5 }));
}

#[test]
fn a_statement_says_only_what_its_tokens_say() {
    let statement = state(&survey()).expect("a statement");
    let text = statement.as_json();
    assert_eq!(Statement::read(text.as_bytes(), None).as_ref(), Ok(&statement));
    for (from, to) in [
        ("\"name\":\"fly\"", "\"name\":\"fry\""),
        ("\"status\":\"completed\"", "\"status\":\"failed\""),
        ("\"sha256\":\"", "\"sha256\":\"0"),
        ("jis:drone", "jis:drome"),
        ("\"subject\":[", "\"subject\":[{\"name\":\"x\"},"),
        ("{\"_type\"", "{ \"_type\""),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        assert!(matches!(Statement::read(changed.as_bytes(), None), Err(StatementError::Differs)), "{from}");
    }
    for foreign in [
        "",
        "{}",
        "[]",
        &text.replace(PREDICATE_TYPE, "https://slsa.dev/provenance/v1"),
        &text.replace(STATEMENT_TYPE, "x"),
    ] {
        assert_eq!(Statement::read(foreign.as_bytes(), None), Err(StatementError::NotOurs), "{foreign}");
    }
    assert_eq!(Statement::read(b"\xff", None), Err(StatementError::NotOurs));
}

#[test]
fn chains_under_a_shared_key_need_it() {
    let mac = MacKey::new(b"shared");
    let mut run = Run::new(1, Protection { mac: Some(&mac), ..Protection::default() });
    run.step("plan", json("[1]"), None);
    let lines = run.close();
    assert_eq!(state(&lines), Err(StatementError::ContentHash { line: 1 }));
    let statement = Statement::of(lines.iter().map(String::as_str), None, Some(&mac)).expect("a statement");
    assert!(statement.as_json().contains("\"tokenHash\":\"hmac-sha256\""));
    assert_eq!(Statement::read(statement.as_json().as_bytes(), Some(&mac)).as_ref(), Ok(&statement));
    assert!(Statement::read(statement.as_json().as_bytes(), None).is_err());
}

#[test]
fn sealed_lines_go_in_as_they_are() {
    let signer = key(7);
    let mut run = Run::new(1, Protection { seal: Some(&signer), ..Protection::default() });
    run.step("plan", json("[1]"), None);
    let lines = run.close();
    assert!(lines.iter().all(|line| line.contains("\"signature\": \"ed25519:")));
    assert_eq!(state(&lines).expect("a statement").lines(), &lines[..]);
}
