//! Exported workloads, verified by `securesystemslib` and `in-toto-attestation`; and envelopes of theirs, verified by
//! us.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value as Json, json};
use sluis_chain::export::{Envelope, EnvelopeError, KeyId, PAYLOAD_TYPE, PREDICATE_TYPE, Statement, pae};
use sluis_chain::workload::{Data, MAX_LINE, NewStep, NewWorkload, Protection, Workload};
use sluis_core::data::{Value, hex};
use sluis_core::identity::{PublicKey, SecretKey};
use sluis_core::table::Heap;
use sluis_core::{Instant, Now, Seed, Wall};

use crate::common::folder::Folder;
use crate::peers::{python, script};

/// `attest.py`, which answers line by line.
struct Attest {
    process: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Attest {
    fn start(python: &Path) -> Self {
        let mut command = Command::new(python);
        command.arg("-u").arg(script("attest.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("python starts");
        let to = process.stdin.take();
        let from = BufReader::new(process.stdout.take().expect("piped"));
        Self { process, to, from }
    }

    fn ask(&mut self, question: &Json) -> Json {
        let to = self.to.as_mut().expect("still open");
        writeln!(to, "{question}").expect("it reads");
        let mut line = String::new();
        self.from.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// The answer to something that must succeed.
    fn done(&mut self, question: &Json) -> Json {
        let answer = self.ask(question);
        assert!(answer.get("error").is_none(), "{answer}");
        answer
    }

    /// Why something was refused.
    fn refused(&mut self, question: &Json) -> String {
        let answer = self.ask(question);
        answer["error"].as_str().unwrap_or_else(|| panic!("was accepted: {answer}")).to_owned()
    }
}

impl Drop for Attest {
    fn drop(&mut self) {
        drop(self.to.take());
        let _ = self.process.wait();
    }
}

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

fn pem(n: u8) -> String {
    key(n).public().to_pem().expect("a PEM text")
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| hex::pair(*byte)).map(char::from).collect()
}

/// A workload of three steps with hard names, each signed by another executor.
fn workload() -> Vec<String> {
    let now = |s: u64| {
        let wall = Wall::from_micros(1_736_942_400_000_000 + i64::try_from(s).expect("small") * 1_000_000);
        Now::new(Instant::from_nanos(s * 1_000_000_000), wall)
    };
    let mut rng = Seed::from_u64(4).fork("attestation");
    let new = NewWorkload {
        name: "lot żółw 🐢",
        owner: "ops \"1\"",
        actor: "jis:dispatch",
        node: "n1",
        ..NewWorkload::default()
    };
    let mut workload: Workload<Heap> = Workload::new(now(0), &new, &mut rng).expect("a workload");
    let (mut lines, mut room) = (Vec::new(), vec![0; MAX_LINE]);
    let mut write = |workload: &mut Workload<Heap>, by: u8| {
        let signer = key(by);
        let protection = Protection { seal: Some(&signer), ..Protection::default() };
        while let Some(written) = workload.poll_token(&protection, &mut room) {
            let line = &room[..written.expect("room").len];
            lines.push(String::from_utf8(line.to_vec()).expect("ASCII"));
        }
    };
    write(&mut workload, 1);
    let files = format!(r#"{{"mapa ż.png": "{}", "out/\"q\".json": "{}"}}"#, "a".repeat(64), "0f".repeat(32));
    let metadata = format!(r#"{{"outputs": {files}}}"#);
    for (n, (name, output, metadata)) in
        [("plan 🗺", r#"{"route": [1.5, "é"]}"#, "{}"), ("fly", &files, &metadata), ("wait", "null", "{}")]
            .into_iter()
            .enumerate()
    {
        let metadata = Value::from_json(metadata).expect("JSON");
        let sequence = workload.add(&NewStep { name, metadata, ..NewStep::default() }, &mut rng).expect("added");
        workload.start(now(1), sequence, Data::None, Some("jis:drone")).expect("started");
        let output = Data::Value(Value::from_json(output).expect("JSON"));
        workload.complete(now(2), sequence, output, None).expect("completed");
        write(&mut workload, u8::try_from(n).expect("small") + 2);
    }
    workload.close(now(3)).expect("closed");
    write(&mut workload, 1);
    lines
}

#[test]
fn what_we_sign_others_verify() {
    let Some(python) = python() else { return };
    let mut attest = Attest::start(python);
    let lines = workload();
    let statement = Statement::of(lines.iter().map(String::as_str), None, None).expect("a statement");
    let mut envelope = statement.envelope();
    envelope.sign(&key(1)).expect("signed");
    envelope.sign(&key(2)).expect("signed");
    let text = envelope.to_json();

    let verify = |envelope: &str, keys: &[u8], threshold: usize| {
        let keys: Vec<_> = keys.iter().map(|n| pem(*n)).collect();
        json!({"cmd": "verify", "envelope": envelope, "keys": keys, "threshold": threshold})
    };
    let found = attest.done(&verify(&text, &[1, 2], 2));
    let mut ids: Vec<_> = [1, 2].iter().map(|n| KeyId::of(&key(*n).public()).to_string()).collect();
    ids.sort_unstable();
    assert_eq!(found["keyids"], json!(ids));
    assert_eq!(found["payload"], json!(to_hex(statement.as_json().as_bytes())));
    let mut signed = Vec::new();
    pae(&mut signed, PAYLOAD_TYPE, statement.as_json().as_bytes()).expect("room");
    assert_eq!(found["pae"], json!(to_hex(&signed)));
    attest.done(&verify(&text, &[3, 2], 1));

    // Refused by them where we refuse.
    attest.refused(&verify(&text, &[2, 3], 2));
    attest.refused(&verify(&text, &[3], 1));
    let relabelled = text.replace(PAYLOAD_TYPE, "application/vnd.in-toto+jsom");
    attest.refused(&verify(&relabelled, &[1, 2], 1));
    let (head, payload) = text.split_once("\"payload\":\"").expect("a payload");
    let tampered = format!("{head}\"payload\":\"{}", payload.replacen('e', "f", 1));
    assert_ne!(tampered, text);
    attest.refused(&verify(&tampered, &[1, 2], 1));

    let read = attest.done(&json!({"cmd": "statement", "payload": statement.as_json()}));
    let subjects: Vec<_> = statement.subjects().iter().map(|s| json!([s.name, to_hex(&s.sha256.0)])).collect();
    assert_eq!(subjects.len(), 3);
    assert_eq!(read["subjects"], json!(subjects));
    assert_eq!(read["predicate_type"], PREDICATE_TYPE);
    assert_eq!(read["workload"], statement.workload().as_str());

    // A workload that put nothing out is valid too.
    let bare = Statement::of(lines.iter().take(1).map(String::as_str), None, None).expect("a statement");
    attest.done(&json!({"cmd": "statement", "payload": bare.as_json()}));
}

#[test]
fn what_others_sign_we_verify() {
    let Some(python) = python() else { return };
    let mut attest = Attest::start(python);
    let lines = workload();
    let statement = Statement::of(lines.iter().map(String::as_str), None, None).expect("a statement");
    let seeds: Vec<_> = [5, 6].iter().map(|n: &u8| to_hex(&[*n; 32])).collect();
    let question = json!({"cmd": "sign", "payload": statement.as_json(), "payload_type": PAYLOAD_TYPE, "seeds": seeds});
    let answer = attest.done(&question);
    let text = answer["envelope"].as_str().expect("a text");
    let known: Vec<PublicKey> = [5, 6].iter().map(|n| key(*n).public()).collect();
    let ids: Vec<_> = known.iter().map(|key| KeyId::of(key).to_string()).collect();
    assert_eq!(answer["keyids"], json!(ids));

    let envelope = Envelope::parse(text).expect("an envelope");
    let verified = envelope.verify(&known, 2).expect("both signed");
    let read = Statement::read(verified.statement().expect("a statement"), None).expect("ours");
    assert_eq!(read, statement);
    let error = envelope.verify(&[key(7).public()], 1).expect_err("a stranger");
    assert_eq!(error, EnvelopeError::Unverified { found: 0, threshold: 1 });
    // Signatures are deterministic, so both sides write the same.
    let mut ours = statement.envelope();
    ours.sign(&key(5)).expect("signed");
    ours.sign(&key(6)).expect("signed");
    assert_eq!(envelope, ours);
}

#[test]
fn key_ids_agree() {
    let Some(python) = python() else { return };
    let mut attest = Attest::start(python);
    for n in 0..20 {
        let answer = attest.done(&json!({"cmd": "keyid", "pem": pem(n)}));
        let public = key(n).public();
        assert_eq!(answer["keyid"], KeyId::of(&public).as_str());
        assert_eq!(answer["public"], to_hex(public.as_bytes()));
    }
}

/// The whole way from the command line: run, export, verify elsewhere; and sign elsewhere, verify here.
#[test]
fn what_the_command_line_exports_others_verify() {
    let Some(python) = python() else { return };
    let mut attest = Attest::start(python);
    let folder = Folder::new("interop-attestation");
    folder.prints(&["key", "new", "ci.key"]);
    let public = folder.prints(&["key", "export", "ci.key"]);
    folder.write("ci.pub", &public);
    let make = ["chain", "run", "ci.jsonl", "--step", "make", "--output", "a.txt", "--key", "ci.key"];
    folder.sluis(&[&make[..], &["--", "sh", "-c", "printf made > a.txt"]].concat());
    let text = folder.prints(&["chain", "export", "ci.jsonl", "--key", "ci.key"]);
    let found = attest.done(&json!({"cmd": "verify", "envelope": text, "keys": [public], "threshold": 1}));
    let payload = found["payload"].as_str().expect("hex");
    let mut bytes = vec![0; payload.len() / 2];
    hex::parse(payload.as_bytes(), &mut bytes).expect("hex");
    let payload = String::from_utf8(bytes).expect("JSON");
    let read = attest.done(&json!({"cmd": "statement", "payload": payload}));
    // sha256sum of `made`
    let made = "ea0890697a77af0a2e054cccec587c8a42feb5cf38e778c6c6e2a96bfb945c0b";
    assert_eq!(read["subjects"], json!([["a.txt", made]]));

    folder.write("proof.json", &text);
    folder.prints(&["chain", "verify", "proof.json", "--key", "ci.pub"]);
    let question =
        json!({"cmd": "sign", "payload": payload, "payload_type": PAYLOAD_TYPE, "seeds": [to_hex(&[9; 32])]});
    let theirs = attest.done(&question);
    folder.write("theirs.json", theirs["envelope"].as_str().expect("a text"));
    folder.write("nine.pub", pem(9));
    folder.ends(0, &["chain", "verify", "theirs.json", "--key", "nine.pub", "--key", "ci.pub"]);
    folder.ends(1, &["chain", "verify", "theirs.json", "--key", "ci.pub"]);
}
